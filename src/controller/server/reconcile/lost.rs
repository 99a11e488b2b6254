//! A journal that another process has taken over.
//!
//! Either another process does this one's work by now, and this one must end; or a server object was relabelled, and belongs to
//! another operator. Then only that one is left, whether the watch has told of the new labels yet or not.

use std::sync::{Arc, PoisonError};

use crate::api::{ClusterPostgresServer, PostgresServer};
use crate::controller::context::{API_TIMEOUT, Context};
use crate::controller::journal_store::OnLoss;
use crate::controller::objects::Objects;
use crate::controller::secrets::is_older;
use crate::objects::{Selector, ServerKey, ServerObject};

/// What is done once the journal of a server object is another process's.
pub fn on_loss(object: &ServerObject, context: &Arc<Context>) -> OnLoss {
    let (key, uid, context) = (object.key(), object.uid(), Arc::downgrade(context));
    Arc::new(move || {
        let Some(context) = context.upgrade() else { return };
        let (key, uid) = (key.clone(), uid.clone());
        tokio::spawn(async move { lost(&key, &uid, &context).await });
    })
}

/// Whether what the watch shows of a server object is from before it was found to be another operator's.
pub fn was_left(object: &ServerObject, context: &Context) -> bool {
    match context.left().get(&object.uid()) {
        None => false,
        Some(None) => true,
        Some(Some(then)) => is_older(
            object.meta().resource_version.as_deref().unwrap_or_default(),
            then,
        ),
    }
}

async fn lost(key: &ServerKey, uid: &str, context: &Context) {
    match is_anothers(key, uid, context).await {
        true => leave(key, context).await,
        false => context.fatal.raise("another process has taken over the journal"),
    }
}

/// Whether a server object is another operator's by now, by what the API server has at this moment.
async fn is_anothers(key: &ServerKey, uid: &str, context: &Context) -> bool {
    if context.options.selector == Selector::default() {
        return false;
    }
    let Ok(Ok(found)) = tokio::time::timeout(API_TIMEOUT, newest(key, context)).await else {
        return false;
    };
    let found = found.filter(|found| found.uid() == uid);
    if found
        .as_ref()
        .is_some_and(|found| context.options.selector.selects(found))
    {
        return false;
    }
    let version = found.and_then(|found| found.meta().resource_version.clone());
    context.left().insert(uid.to_string(), version);
    true
}

async fn newest(key: &ServerKey, context: &Context) -> Result<Option<ServerObject>, kube::Error> {
    let client = context.client.clone();
    Ok(match &key.namespace {
        Some(namespace) => {
            let api: Objects<PostgresServer> = Objects::of(client, namespace);
            let found = api.get_opt(&key.name).await?;
            found.map(|found| ServerObject::Namespaced(Arc::new(found)))
        }
        None => {
            let api: Objects<ClusterPostgresServer> = Objects::all(client);
            let found = api.get_opt(&key.name).await?;
            found.map(|found| ServerObject::Cluster(Arc::new(found)))
        }
    })
}

/// Another operator looks after it, from now on or since ever.
pub(super) async fn leave(key: &ServerKey, context: &Context) {
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
