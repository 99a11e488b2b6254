//! The verification login: whether a password logs in, asked of the database itself.
//!
//! The password is offered only over TLS with a verified certificate, and only by SCRAM-SHA-256 with channel
//! binding, which never shows it to the server. To a server that asks for the password in the clear or by MD5,
//! or that asks for none, nothing is answered: the client library, told to require channel binding, ends the
//! connection before it replies to any of these. That is why a person may waive the certificate ([`Certificate`]):
//! whoever is in between has another one, and cannot go on from there.
//!
//! For a certificate that is signed by Ed25519 no channel binding is defined. Such a certificate has to be verified, name and
//! all; then SCRAM-SHA-256 will do without, and whatever else the server asks for is heard by [`AuthGuard`] and not by the client.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio_postgres::config::ChannelBinding;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, SimpleQueryMessage};

use super::dial::dial;
use super::memory::Memory;
use super::postgresql::auth_guard::{AsksForPassword, AuthGuard, Budget};
use super::sqlstate;
use super::tls::{self, Asked, Trust};
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

/// Which certificates will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Of a trusted authority, for the host. The operator takes no other.
    Verified,
    /// Of a trusted authority, for whichever host.
    AnyHost,
    /// Any.
    Any,
}

/// How to get to the server, where a person says so.
#[derive(Debug, Clone)]
pub struct Route {
    /// What is dialled in place of the target's host and port; the certificate is for the target's host all the same.
    pub dialled: Option<(String, u16)>,
    /// Which certificates will do.
    pub certificate: Certificate,
}

impl Route {
    /// As the operator goes.
    const DIRECT: Route = Route {
        dialled: None,
        certificate: Certificate::Verified,
    };
}

/// What a server says after a login. Its words: to be made presentable before they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// Whom it takes the login for.
    pub user: String,
    /// Its version.
    pub version: String,
    /// Protocol and cipher of the connection, as it sees them; none if a proxy speaks TLS in its place.
    pub tls: Option<String>,
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
    let logging_in = async {
        let (client, moving) = open(target, settings, &Route::DIRECT).await?;
        leave(client, moving).await;
        Ok(())
    };
    let result = match in_time(settings, logging_in).await {
        Ok(()) => LoginResult::Accepted,
        Err(result) => result,
    };
    tracing::debug!(?result, "verification login");
    result
}

/// Logs in once, and asks the server whom it has before it.
///
/// # Errors
/// What became of the login, if it did not work.
pub async fn introduce(
    target: &LoginTarget,
    settings: &LoginSettings,
    route: &Route,
) -> Result<Introduction, LoginResult> {
    let asking = async {
        let (client, moving) = open(target, settings, route).await?;
        tokio::pin!(moving);
        let answer = tokio::select! {
            answer = client.simple_query(WHO) => answer.map_err(|error| meaning(&error))?,
            () = &mut moving => {
                return Err(LoginResult::unverifiable("the server closed the connection after the login"));
            }
        };
        leave(client, moving).await;
        introduction(&answer)
    };
    in_time(settings, asking).await
}

/// Without a client, the connection says goodbye and ends. Whether the server listens does not matter.
async fn leave(client: Client, moving: impl Future<Output = ()>) {
    drop(client);
    let _ = tokio::time::timeout(Duration::from_secs(1), moving).await;
}

const WHO: &str = "SELECT current_user, pg_catalog.current_setting('server_version'), \
    (SELECT version || ', ' || cipher FROM pg_catalog.pg_stat_ssl WHERE ssl AND pid = pg_catalog.pg_backend_pid())";

fn introduction(answer: &[SimpleQueryMessage]) -> Result<Introduction, LoginResult> {
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |column: usize| row.and_then(|row| row.try_get(column).ok().flatten().map(str::to_string));
    match (text(0), text(1)) {
        (Some(user), Some(version)) => Ok(Introduction {
            user,
            version,
            tls: text(2),
        }),
        _ => Err(LoginResult::unverifiable(
            "the server does not say who it takes the login for",
        )),
    }
}

async fn in_time<T>(
    settings: &LoginSettings,
    login: impl Future<Output = Result<T, LoginResult>>,
) -> Result<T, LoginResult> {
    let late = |_| LoginResult::unverifiable("the database did not answer in time");
    tokio::time::timeout(settings.timeout, login)
        .await
        .map_err(late)?
}

/// A client that is logged in, and what moves its bytes.
async fn open(
    target: &LoginTarget,
    settings: &LoginSettings,
    route: &Route,
) -> Result<(Client, impl Future<Output = ()> + use<>), LoginResult> {
    let parsed = |host: &str| {
        Host::parse(host)
            .ok_or_else(|| LoginResult::unverifiable("the host is neither an address nor a DNS name"))
    };
    let host = parsed(&target.host)?;
    let (dialled, port) = match &route.dialled {
        Some((host, port)) => (parsed(host)?, *port),
        None => (host.clone(), target.port),
    };
    let asked = match route.certificate {
        Certificate::Verified => Asked::Name,
        Certificate::AnyHost => Asked::Authority,
        Certificate::Any => Asked::Nothing,
    };
    let tls = settings.trust.for_postgres(asked);
    let tls = tls.map_err(|error| LoginResult::unverifiable(error.to_string()))?;
    let stream = dial(&settings.allow, &dialled, port, settings.timeout)
        .await
        .map_err(|error| LoginResult::unverifiable(error.to_string()))?;
    let (read, write) = stream.into_split();
    let stream = tokio::io::join(read.take(MOST_READ), write);
    let secured = tls::secure(Arc::new(tls), &host, stream)
        .await
        .map_err(|reason| LoginResult::unverifiable(reason.to_string()))?;
    let (binding, guard): (_, fn(_, _) -> _) = match (secured.is_bindable(), asked) {
        (true, _) => (ChannelBinding::Require, AuthGuard::counting),
        (false, Asked::Name) => (ChannelBinding::Disable, AuthGuard::insisting),
        (false, _) => return Err(LoginResult::unverifiable(tls::UNBINDABLE)),
    };
    let mut config = config(target);
    let as_is = tls::as_is(&mut config);
    let (client, connection) = config
        .channel_binding(binding)
        .connect_raw(
            secured.through(|stream| guard(stream, Budget::new(&Memory::new(usize::MAX)))),
            as_is,
        )
        .await
        .map_err(|error| meaning(&error))?;
    Ok((client, async move { drop(connection.await) }))
}

fn config(target: &LoginTarget) -> Config {
    let mut config = Config::new();
    config
        .user(&target.username)
        .password(target.password.reveal())
        .dbname(&target.database)
        .application_name("pguser-operator");
    config
}

/// What a failed login says.
fn meaning(error: &tokio_postgres::Error) -> LoginResult {
    match error.code() {
        Some(&SqlState::INVALID_PASSWORD) => LoginResult::Refused,
        Some(&SqlState::TOO_MANY_CONNECTIONS) if is_own_limit(error) => LoginResult::Accepted,
        Some(code) => LoginResult::unverifiable(said(code)),
        None => LoginResult::unverifiable(unsaid(error)),
    }
}

/// Whether the login has used up what it may have itself (CONNECTION LIMIT): PostgreSQL finds that out once the password was
/// right, and says where in its source it did, in every language.
fn is_own_limit(error: &tokio_postgres::Error) -> bool {
    let routine = error.as_db_error().and_then(|error| error.routine());
    routine == Some("InitializeSessionUserId")
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
fn unsaid(error: &tokio_postgres::Error) -> Cow<'static, str> {
    if let Some(reason) = tls::describe(error) {
        return reason;
    }
    if tls::find::<AsksForPassword>(error).is_some() {
        return "the server does not ask for the password by SCRAM-SHA-256".into();
    }
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let what = match cause.as_str() {
        "server did not use channel binding" | "unsupported authentication method" => {
            "the server does not ask for the password by SCRAM-SHA-256 with channel binding"
        }
        _ if error.is_closed() => "the server closed the connection",
        _ => "the conversation with the server broke off",
    };
    what.into()
}
