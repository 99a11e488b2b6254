//! The conditions of a server object that goes no further.

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::api::{ClusterPostgresServer, PostgresServer, Reason};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::objects::Objects;
use crate::domain::conditions::{self, ConditionChange, Finding, READY, RECONCILING, STALLED, Status};
use crate::objects::ServerObject;

/// Writes that a person has to see to it, if that is not what the conditions say.
///
/// # Errors
/// If the API server refuses.
pub async fn stalled(
    object: &ServerObject,
    reason: Reason,
    message: String,
    context: &Context,
) -> Result<(), Error> {
    let old = object
        .status()
        .map(|status| status.conditions.clone())
        .unwrap_or_default();
    let generation = object.meta().generation.unwrap_or_default();
    let changes = [
        ConditionChange::Set(Finding {
            type_: READY,
            status: Status::False,
            reason,
            message: message.clone(),
        }),
        ConditionChange::Remove(RECONCILING),
        ConditionChange::while_true(STALLED, Some((reason, message))),
    ];
    let new = conditions::merge(&old, &changes, generation, Timestamp::now());
    if new == old {
        return Ok(());
    }
    let patch = Patch::Merge(json!({
        "metadata": {"uid": object.meta().uid, "resourceVersion": object.meta().resource_version},
        "status": {"conditions": new, "observedGeneration": generation},
    }));
    let (key, params) = (object.key(), PatchParams::default());
    let written = match key.namespace {
        Some(namespace) => {
            let api: Objects<PostgresServer> = Objects::of(context.client.clone(), &namespace);
            let api = api.noting(&context.unread);
            api.patch_status(&key.name, &params, &patch).await.map(drop)
        }
        None => {
            let api: Objects<ClusterPostgresServer> = Objects::all(context.client.clone());
            let api = api.noting(&context.unread);
            api.patch_status(&key.name, &params, &patch).await.map(drop)
        }
    };
    written.map_err(Error::WriteStatus)
}
