//! PostgresServers and ClusterPostgresServers: what has to be there before a server can be worked on, what it
//! says of itself, and how it goes.

mod ca;
mod credentials;
mod delete;
mod lost;
mod need;
mod orphans;
mod provider;
mod refused;
mod report;
mod status;
mod unread;

pub use ca::{config_map_of as ca_config_map, secret_of as ca_secret};
pub use credentials::all_servers;
pub use status::remote_users;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kube::Resource;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::watcher;
use serde_json::{Value, json};

use crate::api::{Reason, names};
use crate::controller::context::{API_TIMEOUT, Context, Notifier};
use crate::controller::error::Error;
use crate::controller::events;
use crate::controller::journal_store::{JournalChange, JournalLocation, JournalStore};
use crate::controller::objects::Objects;
use crate::controller::server::task::{Link, ServerTask, Setup};
use crate::objects::{ServerKey, ServerObject};
use crate::provider::gate::Gate;

/// How soon to look again at what waits for something that is not announced.
const AGAIN: Duration = Duration::from_secs(30);

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
        leave(&object.key(), context).await;
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
    let found = credentials::find(object, context).await?;
    let gate = gate_of(object, context);
    let link = credentials::link(object, context, &found, &gate);
    let server = at_work(object, context, link, gate).await?;
    orphans::let_go_of_named(object, &server, context).await?;
    let again = orphans::resolve(&server, context).await?;
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

/// Another operator looks after it, from now on or since ever.
async fn leave(key: &ServerKey, context: &Context) {
    let server = {
        let mut servers = context.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.remove(key)
    };
    if let Some(server) = server {
        server.stop();
        server.ended().await;
        tracing::info!(server = %key, "it is not selected any more, and left to another operator");
    }
}

fn has_finalizer(object: &ServerObject) -> bool {
    object
        .meta()
        .finalizers
        .iter()
        .flatten()
        .any(|finalizer| finalizer == names::SERVER_FINALIZER)
}

async fn add_finalizer(object: &ServerObject, context: &Context) -> Result<(), Error> {
    let mut finalizers = object.meta().finalizers.clone().unwrap_or_default();
    finalizers.push(names::SERVER_FINALIZER.to_string());
    patch_metadata(object, context, "finalizers", json!(finalizers)).await
}

/// Changes a server object's metadata, if it still is what was looked at.
async fn patch_metadata(
    object: &ServerObject,
    context: &Context,
    field: &str,
    value: Value,
) -> Result<(), Error> {
    let mut metadata = json!({
        "uid": object.meta().uid,
        "resourceVersion": object.meta().resource_version,
    });
    metadata[field] = value;
    let patch = Patch::Merge(json!({"metadata": metadata}));
    let params = PatchParams::default();
    let name = object.key().name;
    let patched = match object {
        ServerObject::Namespaced(_) => {
            let namespace = object.key().namespace.unwrap_or_default();
            let api: Objects<crate::api::PostgresServer> = Objects::of(context.client.clone(), &namespace);
            api.patch(&name, &params, &patch).await.map(drop)
        }
        ServerObject::Cluster(_) => {
            let api: Objects<crate::api::ClusterPostgresServer> = Objects::all(context.client.clone());
            api.patch(&name, &params, &patch).await.map(drop)
        }
    };
    patched.map_err(Error::RemoveFinalizer)
}

/// Where a server's journal is.
fn place(object: &ServerObject, context: &Context) -> JournalLocation {
    JournalLocation {
        secrets: Objects::of(context.journal_client.clone(), &context.options.journal_namespace),
        name: format!("pguser-journal-{}", object.uid()),
        annotations: [(names::JOURNAL_SERVER.to_string(), object.key().to_string())].into(),
        holder: context.options.holder.clone(),
    }
}

/// The gate that the journal of a server moves and its client asks: one and the same.
fn gate_of(object: &ServerObject, context: &Context) -> Gate {
    let server = context
        .server(&object.key())
        .filter(|server| server.uid == object.uid());
    server.map_or_else(Gate::closed, |server| server.gate.clone())
}

/// The server at work: started if it is not, told of what has changed if it is.
async fn at_work(
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
    let server = ServerTask::start(Setup {
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
