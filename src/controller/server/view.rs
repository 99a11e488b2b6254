//! A server at work, as the planner sees it.

use std::time::Duration;

use super::task::state::ServerState;
use super::task::{Link, ServerTask};
use crate::api::{Reason, Verification};
use crate::domain::plan::{Server, Trouble, Unusable};
use crate::objects::ServerObject;

/// How soon a login is tried again that could not be tried, where nothing is published without one.
const LOG_IN_AGAIN: Duration = Duration::from_secs(30);

/// What is said of a server whose credentials are a copy.
pub const DELETIONS_ONLY: &str = "the credentials Secret was deleted; a copy is used for deletions alone";

/// What the planner has to know of a server. `object` is the server object, while there is one; `closed` says why nothing
/// new is begun here, `unverifiable` why logins cannot be tried from here.
pub fn usable(
    server: &ServerTask,
    object: Option<&ServerObject>,
    trouble: Option<Trouble>,
    closed: Option<Unusable>,
    unverifiable: Option<String>,
) -> Server {
    let state = server.state();
    Server {
        reference: server.key.reference(),
        identity: server.identity.clone(),
        capabilities: server.capabilities.clone(),
        allow_adoption: object.is_some_and(ServerObject::allow_adoption),
        take_over_from: object.and_then(ServerObject::take_over_from),
        credentials_worked: state.worked,
        gone: state.gone,
        trouble,
        closed,
        state: state.cluster,
        available: state.available.clone(),
        last_not_available: state.last_not_available,
        must_log_in: object.is_some_and(|it| it.verification() == Verification::Require),
        log_in_again: state.unverifiable.as_ref().map(|(_, at)| *at + LOG_IN_AGAIN),
        verifiable: unverifiable.is_none(),
        unverifiable,
        creator_id: state.creator_id.clone(),
    }
}

/// What is wrong with a server now, if anything. Credentials that are left for deletions alone are in order for these.
pub fn trouble(link: &Link, state: &ServerState, deleting: bool) -> Option<Trouble> {
    if let Some((reason, message)) = &link.unusable {
        return Some(Trouble {
            reason: *reason,
            message: message.clone(),
            stalled: matches!(*reason, Reason::EndpointNotAllowed | Reason::InvalidEndpoint),
        });
    }
    if link.deletions_only && !deleting {
        return Some(Trouble {
            reason: Reason::CredentialsNotFound,
            message: DELETIONS_ONLY.to_string(),
            stalled: false,
        });
    }
    state.trouble.clone()
}
