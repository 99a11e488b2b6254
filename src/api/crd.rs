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
        let schema = &mut version["schema"]["openAPIV3Schema"];
        schema["properties"]["status"]["default"] = json!({"observedGeneration": -1});
        take_null_besides_words(schema);
    }
    Ok((format!("{name}.yaml"), value))
}

/// For an API server null is none of the words of an `enum`, not even where null is among them. Of what is within `allOf` null is
/// not asked, so the words of a field that may be null go there.
fn take_null_besides_words(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("nullable") == Some(&Value::Bool(true))
                && let Some(words) = fields.remove("enum")
            {
                fields.insert("allOf".to_string(), json!([{"enum": words}]));
            }
            fields.values_mut().for_each(take_null_besides_words);
        }
        Value::Array(items) => items.iter_mut().for_each(take_null_besides_words),
        _ => {}
    }
}

/// A CRD as YAML, the same text every time.
///
/// # Errors
/// If it cannot be written, which would be a fault of the types.
pub fn to_yaml(crd: &Value) -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(crd)
}
