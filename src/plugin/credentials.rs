//! What an output Secret says, as a person's commands use it.

use clap::ValueEnum;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::cluster::Cluster;
use super::failure::Failure;
use super::status::trouble;
use crate::api::{PostgresUser, SslMode, names};
use crate::controller::server_spec::PROVIDERS;
use crate::domain::connection::{ConnectionDetails, render};
use crate::domain::password::Password;

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
    pub odd: Vec<&'static str>,
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
    read(&secret).map_err(|why| Failure::Other(format!("the Secret {} of {name} {why}", binding.name)))
}

/// Reads a Secret; the error says what is wrong with it.
pub fn read(secret: &Secret) -> Result<Credentials, String> {
    let text = |key: &str| {
        text_of(secret, key)
            .ok_or_else(|| format!("has no key {key:?} that holds text; the operator puts it back"))
    };
    let provider = text("provider")?;
    let known = PROVIDERS.iter().find(|known| **known == provider);
    let port = text("port")?;
    let details = ConnectionDetails {
        host: text("host")?.to_string(),
        port: port
            .parse()
            .map_err(|_| format!("has port {port:?}, which is none"))?,
        database: text("database")?.to_string(),
        sslmode: sslmode(text("sslmode")?)?,
        channel_binding: match text_of(secret, "channel_binding") {
            Some(said) => Some(
                serde_json::from_value(said.into())
                    .map_err(|_| format!("has channel_binding {said:?}, which is none"))?,
            ),
            None => None,
        },
        provider: known
            .ok_or_else(|| format!("has provider {provider:?}, which this version does not know"))?,
        ca: text("ca.crt").ok().map(|ca| ca.as_bytes().into()),
    };
    let (username, password) = (text("username")?.to_string(), Password::new(text("password")?));
    let expected = render(&details, &username, &password);
    let odd = expected
        .iter()
        .filter(|(key, value)| text_of(secret, key) != Some(value.as_str()));
    Ok(Credentials {
        secret: secret.name_any(),
        odd: odd.map(|(key, _)| *key).collect(),
        details,
        username,
        password,
    })
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

    fn secret() -> Secret {
        let details = ConnectionDetails {
            host: "db.example.com".to_string(),
            port: 5433,
            database: "orders".to_string(),
            sslmode: SslMode::VerifyFull,
            channel_binding: None,
            provider: "postgresql",
            ca: None,
        };
        let keys = render(&details, "checkout", &Password::new("s3cret"));
        let data = keys
            .into_iter()
            .map(|(key, value)| (key.to_string(), ByteString(value.as_bytes().to_vec())));
        Secret {
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    fn with(key: &str, value: &str) -> Secret {
        let mut secret = secret();
        let data = secret.data.as_mut().unwrap();
        data.insert(key.to_string(), ByteString(value.as_bytes().to_vec()));
        secret
    }

    #[test]
    fn a_secret_reads_back_as_it_was_written() {
        let read = read(&secret()).unwrap();
        assert_eq!((read.username.as_str(), read.details.port), ("checkout", 5433));
        assert_eq!(read.details.sslmode, SslMode::VerifyFull);
        assert!(read.odd.is_empty(), "{:?}", read.odd);
    }

    #[test]
    fn keys_that_disagree_are_found() {
        assert_eq!(
            read(&with("uri", "postgresql://elsewhere/")).unwrap().odd,
            ["uri"]
        );
        let odd = read(&with("password", "another")).unwrap().odd;
        assert_eq!(odd, ["jdbc-uri", "jdbc-url", "pgpass", "uri"]);
    }

    #[test]
    fn what_cannot_be_read_is_named_without_the_password() {
        for (key, value) in [("port", "many"), ("sslmode", "tight"), ("provider", "acme")] {
            let error = read(&with(key, value)).unwrap_err();
            assert!(
                error.contains(key) && error.contains(value) && !error.contains("s3cret"),
                "{error}"
            );
        }
    }
}
