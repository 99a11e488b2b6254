//! PostgresServers and ClusterPostgresServers: what has to be there before a server can be worked on, what it
//! says of itself, and how it goes.

mod begin;
mod ca;
mod credentials;
mod delete;
mod finalizer;
mod lost;
mod need;
mod orphans;
mod provider;
mod refused;
mod report;
mod start;
mod status;
mod unread;

pub use ca::{config_map_of as ca_config_map, secret_of as ca_secret};
pub use status::remote_users;

use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use kube::runtime::controller::Action;
use kube::runtime::watcher;

use self::begin::begin;
use self::finalizer::{add_finalizer, has_finalizer};
use self::start::AGAIN;
use crate::controller::context::{API_TIMEOUT, Context};
use crate::controller::error::Error;
use crate::controller::journal_store::JournalChange;
use crate::controller::server::task::ServerTask;
use crate::objects::ServerObject;

/// Brings one server object into order.
///
/// # Errors
/// If a step failed; it is then tried again after a pause.
pub async fn reconcile(object: ServerObject, context: Arc<Context>) -> Result<Action, Error> {
    let outcome =
        match tokio::time::timeout(Duration::from_secs(120), bring_into_order(&object, &context)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Timeout),
        };
    context.metrics.reconciled(object.kind(), outcome.is_ok());
    match &outcome {
        Ok(_) => context.refusals.server_over(&object.uid()),
        Err(error) => refused::tell(&object, error, &context).await,
    }
    match outcome {
        Err(error) if error.is_gone() => Ok(Action::await_change()),
        other => other,
    }
}

async fn bring_into_order(object: &ServerObject, context: &Arc<Context>) -> Result<Action, Error> {
    if !context.options.selector.selects(object) || lost::was_left(object, context) {
        lost::leave(&object.key(), context).await;
        return Ok(Action::await_change());
    }
    if let Some(unread) = context.unread.of(object.meta()) {
        return unread::hold(object, &unread, context).await;
    }
    if object.deleting() {
        return delete::delete(object, context).await;
    }
    if !has_finalizer(object) {
        add_finalizer(object, context).await?;
    }
    let (server, again) = begin(object, context).await?;
    let again = again.into_iter().chain(try_journal(&server).await).min();
    status::report(object, &server, context).await?;
    Ok(again.map_or_else(Action::await_change, Action::requeue))
}

/// What the watch tells of server objects that are no more.
pub fn seen<K: Resource>(event: &watcher::Event<K>, context: &Context) {
    if let watcher::Event::Delete(object) = event {
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        context.let_go().remove(uid);
        context.left().remove(uid);
        context.refusals.server_over(uid);
    }
}

/// A journal that the Kubernetes API did not take is tried again, whether anybody has something to write or not: until when to
/// look again, if it still is not.
async fn try_journal(server: &ServerTask) -> Option<Duration> {
    server.journal.refusal()?;
    let written = tokio::time::timeout(API_TIMEOUT, server.commit(JournalChange::Touch)).await;
    (!matches!(written, Ok(Ok(_)))).then_some(AGAIN)
}
