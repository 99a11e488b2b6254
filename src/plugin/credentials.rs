//! What an output Secret says, as a person's commands use it.

use clap::ValueEnum;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::cluster::Cluster;
use super::failure::Failure;
use super::status::trouble;
use crate::api::{ChannelBinding, PostgresUser, SslMode, names};
use crate::domain::connection::ConnectionDetails;
use crate::domain::password::Password;
use crate::domain::secret::render_as_far_as_possible;
use crate::objects::PROVIDERS;

/// How to connect, and as whom.
#[derive(Debug)]
pub struct Credentials {
    /// The Secret's name.
    pub secret: String,
    /// Where to.
    pub details: ConnectionDetails,
    /// The login.
    pub username: String,
    /// Its password.
    pub password: Password,
    /// Keys of the Secret that do not say what the others say, or are not there.
    pub odd: Vec<String>,
}

/// How a connection from here is secured, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub enum Secured {
    /// TLS with any certificate; the login is bound to it, so that nobody in between can use it.
    Require,
    /// TLS with a certificate of a trusted authority, for whichever host.
    VerifyCa,
    /// TLS with a certificate of a trusted authority for this host.
    VerifyFull,
}

impl Secured {
    /// As libpq writes it.
    pub fn as_str(self) -> &'static str {
        SslMode::from(self).as_str()
    }
}

impl From<Secured> for SslMode {
    fn from(secured: Secured) -> Self {
        match secured {
            Secured::Require => SslMode::Require,
            Secured::VerifyCa => SslMode::VerifyCa,
            Secured::VerifyFull => SslMode::VerifyFull,
        }
    }
}

/// Reads the Secret of a user that has one.
pub async fn of(cluster: &Cluster, user: &PostgresUser) -> Result<Credentials, Failure> {
    let name = user.name_any();
    let binding = user.status.as_ref().and_then(|status| status.binding.as_ref());
    let Some(binding) = binding else {
        return Err(Failure::Other(format!(
            "{name} has no Secret yet. {}",
            trouble(user)
        )));
    };
    let secret = cluster.secret(&cluster.namespace_of(user), &binding.name).await?;
    let secret = secret.ok_or_else(|| {
        Failure::Other(format!(
            "the Secret {} of {name} is gone: the operator will make it again, with a new password",
            binding.name
        ))
    })?;
    if secret.annotations().get(names::SECRET_USER_UID) != user.uid().as_ref() {
        return Err(Failure::Other(format!(
            "the Secret {} is not that of {name}: its annotation {} names another object",
            binding.name,
            names::SECRET_USER_UID
        )));
    }
    read(&secret, user).map_err(|why| Failure::Other(format!("the Secret {} of {name} {why}", binding.name)))
}

/// Reads a Secret; the error says what is wrong with it. What it has no key for, since presets are not asked for that have one,
/// is as the status says that it was published.
pub fn read(secret: &Secret, user: &PostgresUser) -> Result<Credentials, String> {
    let details = details(secret, user)?;
    let text = |key| text_of(secret, key).ok_or_else(|| missing(key));
    let (username, password) = (text("username")?.to_string(), Password::new(text("password")?));
    let spec = user.spec.secret.clone().unwrap_or_default();
    let expected = render_as_far_as_possible(&details, &username, &password, &spec);
    let odd = expected
        .iter()
        .filter(|(key, value)| text_of(secret, key) != Some(value.as_str()));
    Ok(Credentials {
        secret: secret.name_any(),
        odd: odd.map(|(key, _)| key.clone()).collect(),
        details,
        username,
        password,
    })
}

fn missing(key: &str) -> String {
    format!("has no key {key:?} that holds text; the operator puts it back")
}

/// How to connect: by the keys, else by the status. A key that no preset writes may be a template's, and say anything.
fn details(secret: &Secret, user: &PostgresUser) -> Result<ConnectionDetails, String> {
    let published = user.published();
    let address = published.and_then(|published| published.address.as_deref());
    let (host, port, database) = address.and_then(parts_of).unwrap_or_default();
    let spec = user.spec.secret.clone().unwrap_or_default();
    let is_told = |key: &str| spec.presets().iter().any(|preset| preset.keys().contains(&key));
    let text = |key: &str, otherwise: &str| match text_of(secret, key).filter(|_| is_told(key)) {
        Some(text) => Ok(text.to_string()),
        None if otherwise.is_empty() => Err(missing(key)),
        None => Ok(otherwise.to_string()),
    };
    let recorded = user.record().map(|record| record.provider.as_str());
    let provider = text("provider", recorded.unwrap_or_default())?;
    let known = PROVIDERS.iter().find(|known| **known == provider);
    let port = text("port", port)?;
    let mode = published.and_then(|published| published.sslmode);
    Ok(ConnectionDetails {
        host: text("host", host)?,
        port: port
            .parse()
            .map_err(|_| format!("has port {port:?}, which is none"))?,
        database: text("database", database)?,
        sslmode: sslmode(&text("sslmode", mode.map_or("", SslMode::as_str))?)?,
        channel_binding: channel_binding(secret)?,
        provider: known
            .ok_or_else(|| format!("has provider {provider:?}, which this version does not know"))?,
        ca: text_of(secret, "ca.crt").map(|ca| ca.as_bytes().into()),
    })
}

/// What the server object said of channel binding when the Secret was written, where a key has it.
fn channel_binding(secret: &Secret) -> Result<Option<ChannelBinding>, String> {
    let keys = ["channel_binding", "PGCHANNELBINDING"];
    let Some(said) = keys.iter().find_map(|key| text_of(secret, key)) else {
        return Ok(None);
    };
    let binding = serde_json::from_value(said.into());
    binding
        .map(Some)
        .map_err(|_| format!("has channel_binding {said:?}, which is none"))
}

/// Host, port and database of an address as a status has it: `host:port/database`.
fn parts_of(address: &str) -> Option<(&str, &str, &str)> {
    let (server, database) = address.split_once('/')?;
    let (host, port) = server.rsplit_once(':')?;
    Some((host, port, database))
}

fn text_of<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    std::str::from_utf8(&secret.data.as_ref()?.get(key)?.0).ok()
}

fn sslmode(text: &str) -> Result<SslMode, String> {
    serde_json::from_value(text.into()).map_err(|_| format!("has sslmode {text:?}, which is none"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;
    use crate::domain::secret::render;

    fn details() -> ConnectionDetails {
        ConnectionDetails {
            host: "db.example.com".to_string(),
            port: 5433,
            database: "orders".to_string(),
            sslmode: SslMode::VerifyFull,
            channel_binding: None,
            provider: "postgresql",
            ca: None,
        }
    }

    /// With this in `spec.secret`.
    fn user(secret: serde_json::Value) -> PostgresUser {
        let user = serde_json::json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser", "metadata": {"name": "checkout"},
            "spec": {"serverRef": {"name": "orders"}, "secret": secret},
            "status": {
                "remoteUsers": [{"username": "checkout", "provider": "postgresql", "cluster": "c", "ownership": "Owned"}],
                "secret": {"name": "checkout-postgres", "resourceVersion": "7", "passwordMac": "k:m", "contentDigest": "d",
                    "address": details().address(), "sslmode": "verify-full"},
            },
        });
        serde_json::from_value(user).unwrap()
    }

    fn plain() -> PostgresUser {
        user(serde_json::json!({}))
    }

    fn secret_of(user: &PostgresUser) -> Secret {
        let spec = user.spec.secret.clone().unwrap_or_default();
        let keys = render(&details(), "checkout", &Password::new("s3cret"), &spec).unwrap();
        let data = keys
            .into_iter()
            .map(|(key, value)| (key, ByteString(value.as_bytes().to_vec())));
        Secret {
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    fn with(key: &str, value: &str) -> Secret {
        let mut secret = secret_of(&plain());
        let data = secret.data.as_mut().unwrap();
        data.insert(key.to_string(), ByteString(value.as_bytes().to_vec()));
        secret
    }

    #[test]
    fn a_secret_reads_back_as_it_was_written() {
        for spec in [
            serde_json::json!({}),
            serde_json::json!({"presets": []}),
            serde_json::json!({"presets": ["libpq", "dotnet"], "data": {"a": "{{ password }}"}}),
            serde_json::json!({"presets": ["uri"], "data": {"host": "elsewhere", "port": "none", "sslmode": "tight"}}),
        ] {
            let user = user(spec);
            let read = read(&secret_of(&user), &user).unwrap();
            assert_eq!(
                (read.username.as_str(), read.password.reveal()),
                ("checkout", "s3cret")
            );
            assert_eq!(read.details, details());
            assert!(read.odd.is_empty(), "{:?}", read.odd);
        }
    }

    #[test]
    fn an_address_is_taken_apart() {
        for (host, database) in [("db.example.com", "orders"), ("2001:db8::1", "a/b:c")] {
            let details = ConnectionDetails {
                host: host.to_string(),
                database: database.to_string(),
                ..details()
            };
            assert_eq!(parts_of(&details.address()), Some((host, "5433", database)));
        }
    }

    #[test]
    fn keys_that_disagree_are_found() {
        assert_eq!(
            read(&with("uri", "postgresql://elsewhere/"), &plain())
                .unwrap()
                .odd,
            ["uri"]
        );
        let odd = read(&with("password", "another"), &plain()).unwrap().odd;
        assert_eq!(odd, ["jdbc-uri", "jdbc-url", "pgpass", "uri"]);
        let user = user(serde_json::json!({"presets": ["libpq"], "data": {"a": "{{ uri }}"}}));
        assert_eq!(read(&with("username", "checkout"), &user).unwrap().odd.len(), 7);
    }

    #[test]
    fn what_cannot_be_read_is_named_without_the_password() {
        for (key, value) in [("port", "many"), ("sslmode", "tight"), ("provider", "acme")] {
            let error = read(&with(key, value), &plain()).unwrap_err();
            assert!(
                error.contains(key) && error.contains(value) && !error.contains("s3cret"),
                "{error}"
            );
        }
    }
}
