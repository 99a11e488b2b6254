//! The CustomResourceDefinitions, as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{ClusterPostgresServer, PostgresServer, PostgresUser};

/// All CRDs, with the file names they are kept under.
///
/// # Errors
/// If a CRD cannot be written as JSON, which would be a fault of the types.
pub fn all() -> Result<Vec<(String, Value)>, serde_json::Error> {
    [
        PostgresUser::crd(),
        PostgresServer::crd(),
        ClusterPostgresServer::crd(),
    ]
    .into_iter()
    .map(finished)
    .collect()
}

/// What the derive cannot say: kstatus must never take a new object for current, so `status` has a default
/// whose `observedGeneration` is no generation. And whoever deletes a CRD deletes every login, so the tools
/// that prune are asked not to.
fn finished(crd: CustomResourceDefinition) -> Result<(String, Value), serde_json::Error> {
    let name = crd.metadata.name.clone().unwrap_or_default();
    let mut value = serde_json::to_value(crd)?;
    value["metadata"]["annotations"] = json!({
        "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
        "helm.sh/resource-policy": "keep",
        "kustomize.toolkit.fluxcd.io/prune": "disabled",
    });
    let versions = value["spec"]["versions"].as_array_mut();
    for version in versions.into_iter().flatten() {
        version["schema"]["openAPIV3Schema"]["properties"]["status"]["default"] =
            json!({"observedGeneration": -1});
    }
    Ok((format!("{name}.yaml"), value))
}
