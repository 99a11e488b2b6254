//! The client of a server object's provider, made from its spec and what its credentials Secret holds.

use std::collections::BTreeMap;

use crate::api::{self, CredentialsRef, Reason};
use crate::controller::context::Context;
use crate::domain::password::Password;
use crate::objects::ProviderSpec;
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

/// What a credentials Secret has to hold and does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// All that it needs, in words.
    pub needs: String,
    /// The keys that it lacks.
    pub keys: Vec<String>,
}

/// The sets of keys that a provider can work with, the best one first.
fn alternatives(spec: &ProviderSpec<'_>) -> &'static [&'static [&'static str]] {
    match spec {
        ProviderSpec::Ionos(_) => &[&["token"], &["username", "password"]],
        ProviderSpec::Scalingo(_) => &[&["apiToken"], &["bearerToken"]],
        ProviderSpec::Postgresql(_) => &[&["username", "password"]],
    }
}

/// The credentials among a Secret's keys, under the names that the provider knows, or what is missing. Other keys are
/// nobody's business here.
pub fn credentials(spec: &ProviderSpec<'_>, secret: &Keys) -> Result<Keys, Lacking> {
    let reference = spec.credentials();
    let all = alternatives(spec).iter().copied();
    // Whoever says where a key is wants it read, even where the Secret has what would go before it.
    let is_meant = |names: &&[&str]| names.iter().any(|name| reference.mapped(name).is_some());
    let mut wanted: Vec<&[&str]> = all.clone().filter(is_meant).collect();
    if wanted.is_empty() {
        wanted = all.collect();
    }
    let Some(keys) = wanted.iter().find_map(|names| taken(reference, names, secret)) else {
        return Err(lacking(reference, &wanted, secret));
    };
    match spec {
        ProviderSpec::Scalingo(it) if keys.contains_key("apiToken") && it.app.is_none() => Err(Lacking {
            needs: "spec.scalingo.app with the key apiToken, or else the key bearerToken".to_string(),
            keys: vec![reference.key("bearerToken").to_string()],
        }),
        _ => Ok(keys),
    }
}

/// All of these keys, or none.
fn taken(reference: &CredentialsRef, names: &[&str], secret: &Keys) -> Option<Keys> {
    let key_of = |name: &&str| {
        let value = secret.get(reference.key(name))?;
        Some((name.to_string(), value.clone()))
    };
    names.iter().map(key_of).collect()
}

fn lacking(reference: &CredentialsRef, wanted: &[&[&str]], secret: &Keys) -> Lacking {
    let one = |name: &&str| match reference.mapped(name) {
        Some(key) => format!("{key} (as {name})"),
        None => name.to_string(),
    };
    let set = |names: &&[&str]| {
        let plural = if names.len() > 1 { "keys" } else { "key" };
        let names: Vec<String> = names.iter().map(one).collect();
        format!("the {plural} {}", names.join(" and "))
    };
    let keys = wanted.iter().copied().flatten().map(|name| reference.key(name));
    Lacking {
        needs: wanted.iter().map(set).collect::<Vec<_>>().join(", or "),
        keys: keys
            .filter(|key| !secret.contains_key(*key))
            .map(str::to_string)
            .collect(),
    }
}

/// A client. Nothing is sent yet; an error is a condition's reason and message.
pub fn connect(
    spec: &ProviderSpec<'_>,
    material: &Material,
    context: &Context,
    gate: Gate,
) -> Result<AnyProvider, (Reason, String)> {
    let (field, made) = match spec {
        ProviderSpec::Ionos(it) => (
            format!("spec.ionos.endpoint {:?}", it.endpoint),
            ionos(it, &material.keys, context, gate),
        ),
        ProviderSpec::Scalingo(it) => (
            "spec.scalingo.region and spec.scalingo.endpoints".to_string(),
            scalingo(it, &material.keys, context, gate),
        ),
        ProviderSpec::Postgresql(it) => (hosts(it), postgresql(it, material, context, gate)),
    };
    made.map_err(|error| {
        let reason = match error.class {
            ErrorClass::EndpointNotAllowed => Reason::EndpointNotAllowed,
            _ => Reason::InvalidEndpoint,
        };
        (reason, format!("{field}: {error}"))
    })
}

/// The fields that say where a PostgreSQL server is.
fn hosts(spec: &api::Postgresql) -> String {
    let further = match spec.hosts.is_empty() {
        true => "",
        false => " and spec.postgresql.hosts",
    };
    format!("spec.postgresql.host {:?}{further}", spec.host)
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
    let port = |port| u16::try_from(port).unwrap_or(5432);
    let further = spec.hosts.iter().map(|it| (it.host.clone(), port(it.port)));
    let config = postgresql::PostgresqlConfig {
        host: spec.host.clone(),
        port: port(spec.port),
        hosts: further.collect(),
        database: spec.database.clone(),
        sslmode: spec.sslmode,
        ca: material.ca.clone(),
        username: key(&material.keys, "username").reveal().to_string(),
        password: key(&material.keys, "password"),
        installation: context.installation.clone(),
        allow_insecure: context.options.allow_insecure_postgresql,
        send_plaintext_passwords: spec.send_plaintext_passwords,
    };
    postgresql::Postgresql::new(config, &context.sql, gate).map(AnyProvider::Postgresql)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn secret(keys: &[&str]) -> Keys {
        let value = |key: &&str| (key.to_string(), Password::new(format!("value-of-{key}")));
        keys.iter().map(value).collect()
    }

    fn postgresql(keys: Value) -> api::Postgresql {
        let reference = json!({"name": "orders-admin", "keys": keys});
        serde_json::from_value(json!({"host": "db.example", "credentialsSecretRef": reference})).unwrap()
    }

    fn ionos(keys: Value) -> api::Ionos {
        let reference = json!({"name": "ionos", "keys": keys});
        serde_json::from_value(json!({"clusterId": "c", "credentialsSecretRef": reference})).unwrap()
    }

    fn scalingo(app: Value, keys: Value) -> api::Scalingo {
        let reference = json!({"name": "scalingo", "keys": keys});
        let spec = json!({"app": app, "addonId": "ad-1", "credentialsSecretRef": reference});
        serde_json::from_value(spec).unwrap()
    }

    /// Which keys of the Secret are read, by the names that the provider knows.
    fn read(spec: &ProviderSpec<'_>, keys: &[&str]) -> Vec<(String, String)> {
        let found = credentials(spec, &secret(keys)).unwrap().into_iter();
        found
            .map(|(name, value)| (name, value.reveal().to_string()))
            .collect()
    }

    fn pair(name: &str, key: &str) -> (String, String) {
        (name.to_string(), format!("value-of-{key}"))
    }

    #[test]
    fn keys_have_their_own_names_unless_the_spec_says_otherwise() {
        let usual = postgresql(Value::Null);
        let mapped = postgresql(json!({"username": "user", "password": "pass"}));
        let half = postgresql(json!({"username": "user"}));
        let keys = ["user", "pass", "username", "password", "host"];
        assert_eq!(
            read(&ProviderSpec::Postgresql(&usual), &keys),
            [pair("password", "password"), pair("username", "username")]
        );
        assert_eq!(
            read(&ProviderSpec::Postgresql(&mapped), &keys),
            [pair("password", "pass"), pair("username", "user")]
        );
        assert_eq!(
            read(&ProviderSpec::Postgresql(&half), &keys),
            [pair("password", "password"), pair("username", "user")]
        );
    }

    #[test]
    fn what_the_spec_maps_goes_before_what_usually_does() {
        let keys = ["token", "username", "user", "password"];
        assert_eq!(
            read(&ProviderSpec::Ionos(&ionos(Value::Null)), &keys),
            [pair("token", "token")]
        );
        let mapped = ionos(json!({"username": "user"}));
        assert_eq!(
            read(&ProviderSpec::Ionos(&mapped), &keys),
            [pair("password", "password"), pair("username", "user")]
        );
    }

    #[test]
    fn what_is_missing_is_named_as_the_secret_would_have_it() {
        let of = |keys: Value, there: &[&str]| {
            let spec = postgresql(keys);
            credentials(&ProviderSpec::Postgresql(&spec), &secret(there)).unwrap_err()
        };
        let unmapped = of(Value::Null, &["user", "password"]);
        assert_eq!(unmapped.needs, "the keys username and password");
        assert_eq!(unmapped.keys, ["username"]);
        let mapped = of(json!({"username": "login"}), &["user", "password"]);
        assert_eq!(mapped.needs, "the keys login (as username) and password");
        assert_eq!(mapped.keys, ["login"]);
        let ionos = ionos(Value::Null);
        let lacking = credentials(&ProviderSpec::Ionos(&ionos), &secret(&["username"])).unwrap_err();
        assert_eq!(lacking.needs, "the key token, or the keys username and password");
        assert_eq!(lacking.keys, ["token", "password"]);
    }

    #[test]
    fn an_api_token_needs_an_app_under_whatever_name_it_is() {
        let keys = json!({"apiToken": "token"});
        let (with, without) = (scalingo(json!("shop"), keys.clone()), scalingo(Value::Null, keys));
        assert_eq!(
            read(&ProviderSpec::Scalingo(&with), &["token"]),
            [pair("apiToken", "token")]
        );
        let lacking = credentials(&ProviderSpec::Scalingo(&without), &secret(&["token"])).unwrap_err();
        assert!(lacking.needs.contains("spec.scalingo.app"), "{lacking:?}");
    }
}
