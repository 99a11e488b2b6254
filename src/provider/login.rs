//! The verification login: whether a password logs in, asked of the database itself.
//!
//! The password is offered only over TLS with a verified certificate, and only by SCRAM-SHA-256 with channel
//! binding, which never shows it to the server. To a server that asks for the password in the clear or by MD5,
//! or that asks for none, nothing is answered: the client library, told to require channel binding, ends the
//! connection before it replies to any of these.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::SqlState;

use super::dial::dial;
use super::sqlstate;
use super::tls::{self, Trust};
use crate::domain::endpoint::{AllowList, Host};
use crate::domain::password::Password;

/// The most that a server may say before the login is through; it takes a few KiB.
const MOST_READ: u64 = 1 << 20;

/// What all verification logins share.
#[derive(Debug, Clone)]
pub struct LoginSettings {
    /// Which hosts and addresses may be dialled.
    pub allow: Arc<AllowList>,
    /// Whose certificates are trusted.
    pub trust: Trust,
    /// How long one verification may take in all.
    pub timeout: Duration,
}

/// What to log in to, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginTarget {
    /// A DNS name or an address; the certificate must be for it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database to connect to.
    pub database: String,
    /// The login's name.
    pub username: String,
    /// Its password.
    pub password: Password,
}

/// What became of a verification login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginResult {
    /// The login worked, up to being ready for a query.
    Accepted,
    /// The server says that the password is wrong (28P01). It says the same of a user that does not exist, and
    /// of a password that has expired.
    Refused,
    /// Nothing was learned about the password.
    Unverifiable {
        /// Why not, in words that may be shown: nothing in it comes from the server but an SQLSTATE code.
        reason: String,
    },
}

impl LoginResult {
    fn unverifiable(reason: impl Into<String>) -> Self {
        LoginResult::Unverifiable {
            reason: reason.into(),
        }
    }
}

/// Logs in once and out again.
pub async fn verify(target: &LoginTarget, settings: &LoginSettings) -> LoginResult {
    let result = match tokio::time::timeout(settings.timeout, attempt(target, settings)).await {
        Ok(Ok(())) => LoginResult::Accepted,
        Ok(Err(result)) => result,
        Err(_) => LoginResult::unverifiable("the database did not answer in time"),
    };
    tracing::debug!(?result, "verification login");
    result
}

async fn attempt(target: &LoginTarget, settings: &LoginSettings) -> Result<(), LoginResult> {
    let host = Host::parse(&target.host)
        .ok_or_else(|| LoginResult::unverifiable("the host is neither an address nor a DNS name"))?;
    let tls = settings
        .trust
        .client_config()
        .map_err(|error| LoginResult::unverifiable(error.to_string()))?;
    let stream = dial(&settings.allow, &host, target.port, settings.timeout)
        .await
        .map_err(|error| LoginResult::unverifiable(error.to_string()))?;
    let (read, write) = stream.into_split();
    let stream = tokio::io::join(read.take(MOST_READ), write);
    let tls = tls::postgres(tls, &host, &stream);
    let (client, connection) = config(target)
        .connect_raw(stream, tls)
        .await
        .map_err(|error| meaning(&error))?;
    // Without a client, the connection says goodbye and ends. Whether the server listens does not matter.
    drop(client);
    let _ = tokio::time::timeout(Duration::from_secs(1), connection).await;
    Ok(())
}

fn config(target: &LoginTarget) -> Config {
    let mut config = Config::new();
    config
        .user(&target.username)
        .password(target.password.reveal())
        .dbname(&target.database)
        .application_name("pguser-operator")
        .ssl_mode(SslMode::Require)
        .channel_binding(ChannelBinding::Require);
    config
}

/// What a failed login says.
fn meaning(error: &tokio_postgres::Error) -> LoginResult {
    match error.code() {
        Some(&SqlState::INVALID_PASSWORD) => LoginResult::Refused,
        Some(code) => LoginResult::unverifiable(said(code)),
        None => LoginResult::unverifiable(unsaid(error)),
    }
}

/// What the server said instead of yes or no.
fn said(code: &SqlState) -> String {
    let what = match *code {
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "the server does not let this login in from here (pg_hba.conf), or not at all"
        }
        SqlState::INVALID_CATALOG_NAME => "the database does not exist",
        SqlState::INSUFFICIENT_PRIVILEGE => "the login may not connect to the database",
        SqlState::TOO_MANY_CONNECTIONS => "the server has no connection to spare",
        SqlState::CANNOT_CONNECT_NOW => "the server is starting or stopping",
        _ => "the server refuses the connection",
    };
    match sqlstate::presentable(code) {
        Some(code) => format!("{what} (SQLSTATE {code})"),
        None => what.to_string(),
    }
}

/// What went wrong where the server said nothing. The library tells these apart by fixed texts only.
fn unsaid(error: &tokio_postgres::Error) -> &'static str {
    if let Some(reason) = tls::describe(error) {
        return reason;
    }
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    match cause.as_str() {
        "server does not support TLS" => "the server does not speak TLS",
        "server did not use channel binding" | "unsupported authentication method" => {
            "the server does not ask for the password by SCRAM-SHA-256 with channel binding"
        }
        _ if error.is_closed() => "the server closed the connection",
        _ => "the conversation with the server broke off",
    }
}
