//! Whether a failed request speaks of the server, or of the one login that it was about.

use super::poll::poll;
use super::server_task::ServerTask;
use super::trouble::backoff;
use crate::api::Reason;
use crate::clock;
use crate::domain::plan::Trouble;
use crate::provider::{AnyProvider, ErrorClass, RemoteError};

/// How many names in a row have to fail before that speaks of the server.
const NAMES_IN_A_ROW: usize = 3;

/// Whether a request about one login has failed for that login's sake: the server itself is in order, as a look at it shows,
/// and requests about others have not failed likewise. Then it is noted, and left alone for growing pauses.
pub(super) async fn is_of_one_name(
    server: &ServerTask,
    provider: &AnyProvider,
    username: &str,
    error: &RemoteError,
) -> bool {
    let of_server = matches!(
        error.class,
        ErrorClass::RateLimited { .. } | ErrorClass::EndpointNotAllowed | ErrorClass::GateClosed
    );
    if of_server || !poll(server, provider).await {
        return false;
    }
    let mut state = server.state();
    state.failed_names.insert(username.to_string());
    if state.failed_names.len() >= NAMES_IN_A_ROW {
        state.failed_names.clear();
        return false;
    }
    tracing::warn!(server = %server.key, ?username, %error, "requests about one login fail");
    let trouble = Trouble {
        reason: Reason::RequestFailed,
        message: format!(
            "the server is in order, but a request about this login fails ({error}): it is tried again after growing pauses"
        ),
        stalled: false,
    };
    let pause = |failures| backoff(server, failures);
    state.difficulties.note(username, trouble, clock::now(), pause);
    true
}
