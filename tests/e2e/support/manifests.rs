//! Objects as text: tests are written in the YAML that users write.

use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
    core::{ApiResource, GroupVersionKind, Request},
};

use super::{Outcome, raw};

/// Who tests are, to server-side apply.
const MANAGER: &str = "e2e";

/// Kinds that are in no namespace.
const CLUSTER_SCOPED: [&str; 7] = [
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "ClusterPostgresServer",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// Reads a text of one or more YAML documents.
pub fn parse(text: &str) -> Outcome<Vec<DynamicObject>> {
    let documents: Vec<Option<serde_json::Value>> = serde_saphyr::from_multiple(text)?;
    let objects = documents.into_iter().flatten().map(serde_json::from_value);
    Ok(objects.collect::<Result<_, _>>()?)
}

/// Applies an object, in the namespace where it names none. As `kubectl apply --server-side --force-conflicts`.
pub async fn apply(client: &Client, namespace: &str, object: DynamicObject) -> Outcome<DynamicObject> {
    let name = object.metadata.name.clone().ok_or("an object without a name")?;
    let api = api(client, namespace, &object)?;
    let params = PatchParams::apply(MANAGER).force();
    let request = Request::new(api.resource_url()).patch(&name, &params, &Patch::Apply(&object))?;
    Ok(serde_json::from_value(raw::object(client, request).await?)?)
}

/// Orders an object's deletion.
pub async fn delete(client: &Client, namespace: &str, object: &DynamicObject) -> Outcome {
    let name = object
        .metadata
        .name
        .as_deref()
        .ok_or("an object without a name")?;
    let api = api(client, namespace, object)?;
    api.delete(name, &DeleteParams::default()).await?;
    Ok(())
}

/// The objects of a kind, `v1/Secret` or `pguser.dev/v1alpha1/PostgresUser`.
pub fn kind_api(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let (version, kind) = kind.rsplit_once('/').unwrap_or(("pguser.dev/v1alpha1", kind));
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    scoped(client, namespace, &GroupVersionKind::gvk(group, version, kind))
}

fn api(client: &Client, namespace: &str, object: &DynamicObject) -> Outcome<Api<DynamicObject>> {
    let types = object
        .types
        .as_ref()
        .ok_or("an object without apiVersion and kind")?;
    let namespace = object.metadata.namespace.as_deref().unwrap_or(namespace);
    Ok(scoped(client, namespace, &GroupVersionKind::try_from(types)?))
}

fn scoped(client: &Client, namespace: &str, kind: &GroupVersionKind) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(kind);
    if CLUSTER_SCOPED.contains(&kind.kind.as_str()) {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), namespace, &resource)
    }
}
