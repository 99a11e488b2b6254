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
use tokio::net::TcpStream;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::http::{ResolveError, resolve};
use super::tls::{self, Trust};
use crate::domain::endpoint::{AllowList, Host, NotAllowed};
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
    /// The server says that the password is wrong (28P01); it says the same of a user that does not exist.
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
    let mut tls = MakeRustlsConnect::new(
        settings
            .trust
            .client_config()
            .map_err(|error| LoginResult::unverifiable(error.to_string()))?,
    );
    // A certificate names an IPv6 address without brackets.
    let name = match &host {
        Host::Name(name) => name.clone(),
        Host::Ip(ip) => ip.to_string(),
    };
    let (read, write) = dial(&host, target.port, settings).await?.into_split();
    let stream = tokio::io::join(read.take(MOST_READ), write);
    let tls = make_connect(&mut tls, &name, &stream);
    let (client, connection) = config(target)
        .connect_raw(stream, tls)
        .await
        .map_err(|error| meaning(&error))?;
    // Without a client, the connection says goodbye and ends. Whether the server listens does not matter.
    drop(client);
    let _ = tokio::time::timeout(Duration::from_secs(1), connection).await;
    Ok(())
}

/// The TLS side of a connection; `stream` only says of what type.
fn make_connect<S>(
    tls: &mut MakeRustlsConnect,
    name: &str,
    _stream: &S,
) -> <MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect
where
    MakeRustlsConnect: MakeTlsConnect<S, Error = std::convert::Infallible>,
{
    match tls.make_tls_connect(name) {
        Ok(connect) => connect,
    }
}

/// A connection to the first allowed address that takes one: the address that was checked is the one dialled.
async fn dial(host: &Host, port: u16, settings: &LoginSettings) -> Result<TcpStream, LoginResult> {
    let addresses = resolve(&settings.allow, host, port)
        .await
        .map_err(|error| match error {
            ResolveError::Unresolved(_) => LoginResult::unverifiable("the host's name is not resolved"),
            ResolveError::NotAllowed(reason) => not_allowed(&reason),
        })?;
    // One address that swallows packets must not use up the time of all.
    let share = settings.timeout / (addresses.len() as u32).saturating_add(1);
    for address in addresses {
        if let Ok(Ok(stream)) = tokio::time::timeout(share, TcpStream::connect(address)).await {
            return Ok(stream);
        }
    }
    Err(LoginResult::unverifiable("the database cannot be reached"))
}

fn not_allowed(reason: &NotAllowed) -> LoginResult {
    LoginResult::unverifiable(reason.to_string())
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
    // Five letters and digits by definition; whoever sends something else is not quoted.
    let code = code.code();
    match code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => format!("{what} (SQLSTATE {code})"),
        false => what.to_string(),
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
