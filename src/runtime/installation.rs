//! Which installation this is, and its key.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ObjectMeta, PostParams};
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt};

use crate::api::names;
use crate::controller::objects::Objects;
use crate::domain::mac::MacKey;

/// The Secret that holds the key of the MACs in status.
const KEY: &str = "pguser-operator-key";

/// The UID of kube-system, or, where that may not be read, of the operator's namespace.
///
/// # Errors
/// If neither can be read.
pub async fn identity(client: &Client, namespace: &str) -> Result<String, kube::Error> {
    let namespaces: Objects<PartialObjectMeta<Namespace>> = Objects::all(client.clone());
    let found = match namespaces.get("kube-system").await {
        Ok(found) => found,
        Err(kube::Error::Api(status)) if status.code == 403 || status.code == 404 => {
            namespaces.get(namespace).await?
        }
        Err(error) => return Err(error),
    };
    Ok(found.uid().unwrap_or_default())
}

/// The key of the MACs in status, made at the first start.
///
/// # Errors
/// If the API server refuses, or what is there is not a key.
pub async fn mac_key(client: &Client, namespace: &str) -> Result<MacKey, String> {
    let secrets: Objects<Secret> = Objects::of(client.clone(), namespace);
    let describe = |error: kube::Error| crate::controller::api_error::api(&error);
    if let Some(secret) = secrets.get_opt(KEY).await.map_err(describe)? {
        return parse(&secret);
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    match secrets.create(&PostParams::default(), &secret(&random)).await {
        Ok(secret) => parse(&secret),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            parse(&secrets.get(KEY).await.map_err(describe)?)
        }
        Err(error) => Err(describe(error)),
    }
}

fn secret(key: &[u8; 32]) -> Secret {
    let labels = [
        (names::MANAGED_BY.to_string(), names::OPERATOR.to_string()),
        (names::COMPONENT.to_string(), "mac-key".to_string()),
    ];
    let metadata = ObjectMeta {
        name: Some(KEY.to_string()),
        labels: Some(labels.into()),
        ..ObjectMeta::default()
    };
    let data = [("key".to_string(), ByteString(key.to_vec()))];
    Secret {
        metadata,
        data: Some(data.into()),
        ..Secret::default()
    }
}

fn parse(secret: &Secret) -> Result<MacKey, String> {
    let bytes = secret.data.as_ref().and_then(|data| data.get("key"));
    bytes.and_then(|bytes| MacKey::from_slice(&bytes.0)).ok_or_else(|| {
        format!("the Secret {KEY} in the operator's namespace does not hold a key of 32 bytes: delete it to get a new one")
    })
}
