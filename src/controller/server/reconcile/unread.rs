//! A server object of which something could not be read.
//!
//! Whom it admits, where it is and whom it trusts may all be other than what was read: nothing is begun by it, and what is
//! at work already goes on as it was. It may be deleted once nothing needs it.

use std::time::Duration;

use kube::runtime::controller::Action;

use super::finalizer::has_finalizer;
use super::start::{AGAIN, tell_users};
use super::{delete, need, report};
use crate::api::{Reason, Unread};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::events;
use crate::objects::ServerObject;

/// The condition's reason.
const REASON: Reason = Reason::Undecodable;

/// How soon to look again at what has just been mended.
const SOON: Duration = Duration::from_millis(200);

/// Holds a server object as it is.
///
/// # Errors
/// If a step failed; it is then tried again after a pause.
pub async fn hold(object: &ServerObject, unread: &Unread, context: &Context) -> Result<Action, Error> {
    let message = format!(
        "this operator cannot read {unread}: nothing new is begun by this server object until that is mended, or a version \
         is installed that can"
    );
    if context.unread.untold(object.meta()).is_some() {
        events::publish_for(context, object, true, REASON, message.clone()).await;
        tell_users(context, &object.key());
    }
    report::stalled(object, REASON, message, context).await?;
    if !object.deleting() || !has_finalizer(object) {
        // A status that is mended is no change that anybody is told of.
        let mended = context.unread.of(object.meta()).is_none();
        return Ok(Action::requeue(if mended { SOON } else { AGAIN }));
    }
    if is_needed(object, context).await? {
        return Ok(Action::requeue(AGAIN));
    }
    let server = context.server(&object.key());
    delete::remove(object, server.as_deref(), context).await?;
    Ok(Action::await_change())
}

/// Whether a PostgresUser so much as refers to it, as far as all are known, or anything is in its journal.
async fn is_needed(object: &ServerObject, context: &Context) -> Result<bool, Error> {
    if context.users_of(&object.key()).next().is_some() || !context.listing.is_complete() {
        return Ok(true);
    }
    need::has_entries(object, context).await
}
