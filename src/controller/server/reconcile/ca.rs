//! The certificates of the authorities that a PostgreSQL server's certificate is checked against.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::provider::CA_KEY;
use crate::api::CaSource;
use crate::controller::config_maps::ConfigMapKey;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::objects::Objects;
use crate::objects::{ProviderSpec, ServerObject};

/// What the spec names, else what the credentials Secret has under `ca.crt`, else none: the system's authorities are
/// trusted. The inner error says what is missing.
///
/// # Errors
/// If the API server refuses.
pub async fn find(
    object: &ServerObject,
    context: &Context,
    credentials: &Secret,
) -> Result<Result<Option<Vec<u8>>, String>, Error> {
    let Some(ProviderSpec::Postgresql(spec)) = object.provider() else {
        return Ok(Ok(None));
    };
    match &spec.ca {
        None => Ok(Ok(in_secret(credentials))),
        Some(source) => named(object, context, source).await,
    }
}

/// The certificates that a Secret has, if any.
pub fn in_secret(secret: &Secret) -> Option<Vec<u8>> {
    bytes(secret, CA_KEY)
}

/// The Secret that the certificates are in, if it is one.
pub fn secret_of(object: &ServerObject, context: &Context) -> Option<(String, String)> {
    let Some(ProviderSpec::Postgresql(spec)) = object.provider() else {
        return None;
    };
    let reference = spec.ca.as_ref()?.secret_key_ref.as_ref()?;
    Some((context.secrets_namespace(object), reference.name.clone()))
}

/// The ConfigMap that the certificates are in, if it is one.
pub fn config_map_of(object: &ServerObject, context: &Context) -> Option<ConfigMapKey> {
    let Some(ProviderSpec::Postgresql(spec)) = object.provider() else {
        return None;
    };
    let source = spec
        .ca
        .as_ref()
        .filter(|source| source.secret_key_ref.is_none())?;
    let reference = source.config_map_key_ref.as_ref()?;
    Some((context.secrets_namespace(object), reference.name.clone()))
}

fn bytes(secret: &Secret, key: &str) -> Option<Vec<u8>> {
    Some(secret.data.as_ref()?.get(key)?.0.clone())
}

async fn named(
    object: &ServerObject,
    context: &Context,
    source: &CaSource,
) -> Result<Result<Option<Vec<u8>>, String>, Error> {
    let namespace = context.secrets_namespace(object);
    let (field, reference, found) = match (&source.secret_key_ref, &source.config_map_key_ref) {
        (Some(reference), _) => {
            let secrets = context.secrets_of(&namespace);
            let secret = secrets
                .get_opt(&reference.name)
                .await
                .map_err(Error::ReadSecret)?;
            let found = secret.as_ref().and_then(|secret| bytes(secret, &reference.key));
            ("secretKeyRef", reference, found)
        }
        (None, Some(reference)) => {
            let place = (namespace.clone(), reference.name.clone());
            // First, so that no change goes unnoticed that comes while it is read.
            context.config_maps.refer_to(&place);
            let maps: Objects<ConfigMap> = Objects::of(context.client.clone(), &namespace);
            let map = maps.get_opt(&reference.name).await.map_err(Error::ReadSecret)?;
            let version = map
                .as_ref()
                .and_then(|map| map.metadata.resource_version.as_deref());
            context.config_maps.note(&place, version);
            let found = map
                .and_then(|map| map.data?.remove(&reference.key))
                .map(String::into_bytes);
            ("configMapKeyRef", reference, found)
        }
        (None, None) => return Ok(Ok(None)),
    };
    // What is there no more is still what it was.
    let known = || {
        let server = context.server(&object.key())?;
        (server.uid == object.uid())
            .then(|| server.link().ca)?
            .map(|ca| ca.to_vec())
    };
    Ok(match found.or_else(known) {
        Some(ca) => Ok(Some(ca)),
        None => Err(format!(
            "spec.postgresql.ca.{field}: there is no {:?} with the key {:?} in namespace {namespace:?}",
            reference.name, reference.key
        )),
    })
}
