//! The client of a server object's provider, made from its spec and what its credentials Secret holds.

use std::collections::BTreeMap;

use crate::api;
use crate::controller::context::Context;
use crate::controller::server_spec::ProviderSpec;
use crate::domain::password::Password;
use crate::provider::gate::Gate;
use crate::provider::{AnyProvider, ErrorClass, RemoteError, ionos, postgresql, scalingo};

/// What a credentials Secret holds, without what surrounds it.
pub type Keys = BTreeMap<String, Password>;

/// The key under which a copy of credentials has the authorities to be trusted, and a credentials Secret may.
pub const CA_KEY: &str = "ca.crt";

/// What a provider needs besides its spec.
#[derive(Debug, Clone)]
pub struct Material {
    /// The credentials Secret's keys.
    pub keys: Keys,
    /// The authorities to be trusted instead of the system's.
    pub ca: Option<Vec<u8>>,
}

impl Material {
    /// All of it as one text, to be known again by.
    pub fn one_text(&self) -> Password {
        let keys = self
            .keys
            .iter()
            .map(|(key, value)| format!("{key}\0{}", value.reveal()));
        let ca = self.ca.as_deref().map(String::from_utf8_lossy);
        Password::new(
            keys.chain(ca.map(|ca| format!("ca\0{ca}")))
                .collect::<Vec<_>>()
                .join("\0"),
        )
    }
}

/// The credentials among these keys, or what is missing. Other keys are nobody's business here.
pub fn credentials(spec: &ProviderSpec<'_>, keys: &Keys) -> Result<Keys, String> {
    let has = |names: &[&str]| names.iter().all(|name| keys.contains_key(*name));
    let take = |names: &[&str]| {
        let taken = keys.iter().filter(|(name, _)| names.contains(&name.as_str()));
        Ok(taken.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    match spec {
        ProviderSpec::Ionos(_) if has(&["token"]) => take(&["token"]),
        ProviderSpec::Ionos(_) if has(&["username", "password"]) => take(&["username", "password"]),
        ProviderSpec::Ionos(_) => Err("the key token, or the keys username and password".to_string()),
        ProviderSpec::Scalingo(it) if has(&["apiToken"]) => match it.app {
            Some(_) => take(&["apiToken"]),
            None => Err("spec.scalingo.app with the key apiToken, or else the key bearerToken".to_string()),
        },
        ProviderSpec::Scalingo(_) if has(&["bearerToken"]) => take(&["bearerToken"]),
        ProviderSpec::Scalingo(_) => Err("the key apiToken, or the key bearerToken".to_string()),
        ProviderSpec::Postgresql(_) if has(&["username", "password"]) => take(&["username", "password"]),
        ProviderSpec::Postgresql(_) => Err("the keys username and password".to_string()),
    }
}

/// A client. Nothing is sent yet; an error is a condition's reason and message.
pub fn connect(
    spec: &ProviderSpec<'_>,
    material: &Material,
    context: &Context,
    gate: Gate,
) -> Result<AnyProvider, (&'static str, String)> {
    let (field, made) = match spec {
        ProviderSpec::Ionos(it) => (
            format!("spec.ionos.endpoint {:?}", it.endpoint),
            ionos(it, &material.keys, context, gate),
        ),
        ProviderSpec::Scalingo(it) => (
            "spec.scalingo.region and spec.scalingo.endpoints".to_string(),
            scalingo(it, &material.keys, context, gate),
        ),
        ProviderSpec::Postgresql(it) => (
            format!("spec.postgresql.host {:?}", it.host),
            postgresql(it, material, context, gate),
        ),
    };
    made.map_err(|error| {
        let reason = match error.class {
            ErrorClass::EndpointNotAllowed => "EndpointNotAllowed",
            _ => "InvalidEndpoint",
        };
        (reason, format!("{field}: {error}"))
    })
}

fn key(keys: &Keys, name: &str) -> Password {
    keys.get(name).cloned().unwrap_or_else(|| Password::new(""))
}

fn ionos(spec: &api::Ionos, keys: &Keys, context: &Context, gate: Gate) -> Result<AnyProvider, RemoteError> {
    let credentials = match keys.get("token") {
        Some(token) => ionos::Credentials::Bearer(token.clone()),
        None => ionos::Credentials::Basic {
            username: key(keys, "username").reveal().to_string(),
            password: key(keys, "password"),
        },
    };
    let config = ionos::IonosConfig {
        endpoint: spec.endpoint.clone(),
        ..ionos::IonosConfig::new(&spec.cluster_id, credentials)
    };
    ionos::Ionos::new(config, &context.http, gate).map(AnyProvider::Ionos)
}

fn scalingo(
    spec: &api::Scalingo,
    keys: &Keys,
    context: &Context,
    gate: Gate,
) -> Result<AnyProvider, RemoteError> {
    let credentials = match keys.get("apiToken") {
        Some(token) => scalingo::Credentials::ApiToken(token.clone()),
        None => scalingo::Credentials::Bearer(key(keys, "bearerToken")),
    };
    let given = spec.endpoints.clone().unwrap_or_default();
    let usual =
        scalingo::ScalingoConfig::in_region(&spec.region, spec.app.clone(), &spec.addon_id, credentials);
    let config = scalingo::ScalingoConfig {
        auth_endpoint: given.auth.unwrap_or(usual.auth_endpoint),
        api_endpoint: given.api.unwrap_or(usual.api_endpoint),
        database_endpoint: given.database.unwrap_or(usual.database_endpoint),
        ..usual
    };
    scalingo::Scalingo::new(config, &context.http, gate).map(AnyProvider::Scalingo)
}

fn postgresql(
    spec: &api::Postgresql,
    material: &Material,
    context: &Context,
    gate: Gate,
) -> Result<AnyProvider, RemoteError> {
    let config = postgresql::PostgresqlConfig {
        host: spec.host.clone(),
        port: u16::try_from(spec.port).unwrap_or(5432),
        database: spec.database.clone(),
        sslmode: spec.sslmode,
        ca: material.ca.clone(),
        username: key(&material.keys, "username").reveal().to_string(),
        password: key(&material.keys, "password"),
        installation: context.installation.clone(),
        allow_insecure: context.options.allow_insecure_postgresql,
    };
    postgresql::Postgresql::new(config, &context.sql, gate).map(AnyProvider::Postgresql)
}
