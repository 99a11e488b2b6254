//! Events: what a person would want in `kubectl describe`.

use std::fmt;

use kube::Resource;
use kube::runtime::events::{Event, EventType};

use super::context::Context;
use crate::api::{PostgresUser, Reason};
use crate::domain::plan::ReleaseReason;
use crate::objects::ServerObject;

/// Publishes an Event. Best effort: none can be made in a namespace that is being deleted.
pub async fn publish<K: Resource<DynamicType = ()>>(
    context: &Context,
    object: &K,
    warning: bool,
    reason: impl fmt::Display,
    note: String,
) {
    let event = Event {
        type_: if warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: reason.to_string(),
        note: Some(note.chars().take(1000).collect()),
        action: "Reconcile".to_string(),
        secondary: None,
    };
    let reference = object.object_ref(&());
    // A recorder remembers for minutes what it has published, to count it up when it comes again: two KiB for each. News of
    // what went well comes once.
    let once = (!warning).then(|| context.recorder_for_once());
    let recorder = once.as_ref().unwrap_or(&context.recorder);
    let published = recorder.publish(&event, &reference);
    if let Ok(Err(error)) = tokio::time::timeout(super::context::API_TIMEOUT, published).await {
        tracing::debug!(
            %reason,
            error = super::api_error::api(&error),
            "an Event could not be published"
        );
    }
}

/// Publishes an Event of a server object.
pub async fn publish_for(
    context: &Context,
    object: &ServerObject,
    warning: bool,
    reason: impl fmt::Display,
    note: String,
) {
    match object {
        ServerObject::Namespaced(server) => publish(context, &**server, warning, reason, note).await,
        ServerObject::Cluster(server) => publish(context, &**server, warning, reason, note).await,
    }
}

/// Publishes why a PostgresUser is let go.
pub async fn released(context: &Context, user: &PostgresUser, release: ReleaseReason) {
    let username = user.username();
    let (warning, reason, note) = match release {
        ReleaseReason::NeverOwned => return,
        ReleaseReason::Deleted => (
            false,
            Reason::LoginDeleted,
            format!("the login {username:?} is gone from the server"),
        ),
        ReleaseReason::Retained => (
            false,
            Reason::LoginRetained,
            format!("the login {username:?} and its Secret were kept, as spec.deletionPolicy asks"),
        ),
        ReleaseReason::ClusterGone => (
            true,
            Reason::ClusterGone,
            format!("the remote cluster is gone, and the login {username:?} with it"),
        ),
        ReleaseReason::Forced => (
            true,
            Reason::LoginAbandoned,
            format!("the login {username:?} may still be on the server: the object was let go by annotation"),
        ),
        ReleaseReason::NotOurs => (
            true,
            Reason::LoginLeft,
            format!(
                "the login {username:?} on the server is not this object's any more: it was left as it is"
            ),
        ),
    };
    publish(context, user, warning, reason, note).await;
}
