//! The finalizer of server objects.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::api::names;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::objects::Objects;
use crate::objects::ServerObject;

pub(super) fn has_finalizer(object: &ServerObject) -> bool {
    object
        .meta()
        .finalizers
        .iter()
        .flatten()
        .any(|finalizer| finalizer == names::SERVER_FINALIZER)
}

pub(super) async fn add_finalizer(object: &ServerObject, context: &Context) -> Result<(), Error> {
    let mut finalizers = object.meta().finalizers.clone().unwrap_or_default();
    finalizers.push(names::SERVER_FINALIZER.to_string());
    patch_metadata(object, context, "finalizers", json!(finalizers)).await
}

/// Changes a server object's metadata, if it still is what was looked at.
pub(super) async fn patch_metadata(
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
