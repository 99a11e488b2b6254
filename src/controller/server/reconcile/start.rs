//! When work on a server object begins, and when it is left to another operator.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::lost;
use crate::api::{Reason, names};
use crate::controller::context::{Context, Notifier};
use crate::controller::error::Error;
use crate::controller::events;
use crate::controller::journal_store::{JournalLocation, JournalStore};
use crate::controller::objects::Objects;
use crate::controller::server::task::{self, Link, ServerTask, Setup};
use crate::objects::{ServerKey, ServerObject};
use crate::provider::gate::Gate;

/// How soon to look again at what waits for something that is not announced.
pub(super) const AGAIN: Duration = Duration::from_secs(30);

/// Where a server's journal is.
pub(super) fn place(object: &ServerObject, context: &Context) -> JournalLocation {
    JournalLocation {
        secrets: Objects::of(context.journal_client.clone(), &context.options.journal_namespace),
        name: format!("pguser-journal-{}", object.uid()),
        annotations: [(names::JOURNAL_SERVER.to_string(), object.key().to_string())].into(),
        holder: context.options.holder.clone(),
    }
}

/// The gate that the journal of a server moves and its client asks: one and the same.
pub(super) fn gate_of(object: &ServerObject, context: &Context) -> Gate {
    let server = context
        .server(&object.key())
        .filter(|server| server.uid == object.uid());
    server.map_or_else(Gate::closed, |server| server.gate.clone())
}

/// The server at work: started if it is not, told of what has changed if it is.
pub(super) async fn at_work(
    object: &ServerObject,
    context: &Arc<Context>,
    link: Link,
    gate: Gate,
) -> Result<Arc<ServerTask>, Error> {
    let key = object.key();
    if let Some(server) = context.server(&key).filter(|server| server.uid == object.uid()) {
        server.relink(link);
        if let Some(asked) = object.annotation(names::REFRESH) {
            server.refresh_if_new(asked);
        }
        if server.note_spec(object.meta().generation, object.meta().annotations.as_ref()) {
            tell_users(context, &key);
        }
        return Ok(server);
    }
    let opened = JournalStore::open(
        place(object, context),
        context.timings,
        gate.clone(),
        context.fatal.clone(),
        lost::on_loss(object, context),
    );
    let journal = match opened.await {
        Ok(journal) => journal,
        Err(error) => {
            let note = format!("{error}: nothing is done for this server's users until it can be");
            events::publish_for(context, object, true, Reason::JournalNotReady, note).await;
            return Err(Error::Journal(error));
        }
    };
    let provider = object.provider().ok_or(Error::ServerLost)?;
    let recorded = object.status().and_then(|status| status.credentials_mac.clone());
    let seen_with = match link.is_known_as(recorded.as_ref()) {
        true => link.credentials_mac.clone(),
        false => recorded,
    };
    let server = task::start(Setup {
        key: key.clone(),
        uid: object.uid(),
        identity: provider.identity(),
        capabilities: provider.capabilities().clone(),
        journal,
        gate,
        link,
        seen_with,
        timings: context.timings.on(provider.capabilities()),
        retries: context.retries,
        triggers: Arc::new(Notifier {
            dispatch: context.dispatch.clone(),
            claims: Arc::downgrade(context),
        }),
        metrics: context.metrics.clone(),
        mac_key: context.mac_key.clone(),
        lists: context.lists.clone(),
        fatal: context.fatal.clone(),
    });
    if let Some(asked) = object.annotation(names::REFRESH) {
        server.refresh_if_new(asked);
    }
    server.note_spec(object.meta().generation, object.meta().annotations.as_ref());
    let before = context
        .servers
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(key.clone(), server.clone());
    if let Some(before) = before {
        before.stop();
    }
    tell_users(context, &key);
    Ok(server)
}

/// Has all users of a server looked at again.
pub(super) fn tell_users(context: &Context, key: &ServerKey) {
    let near = context.users_at_rest().filter(|user| user.may_concern(key));
    for user in near {
        context.dispatch.user(user.reference());
    }
}
