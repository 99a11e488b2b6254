//! Any PostgreSQL server from version 14 on: users are its roles, and all is said in SQL.
//!
//! What the operator's own login needs: LOGIN and CREATEROLE; to give CREATEDB it has to have that, too. That is
//! enough for all that is done to roles which it has made. More is needed for these:
//!
//! - to adopt a role that somebody else has made, since PostgreSQL 16: ADMIN OPTION on it;
//! - to make users members of a role, since PostgreSQL 16: ADMIN OPTION on that role;
//! - to notice that somebody else has changed a password: to be a superuser, or SELECT on `pg_authid`;
//! - to hand over what a user owned when it is deleted: see [`delete`].
//!
//! A server may be found at several addresses, of which one leads to the primary: see [`hosts`]. A connection that leads to a
//! standby, or takes no changes for another reason, is never kept: the next one may lead elsewhere, by the same name even.
//!
//! A mutation is one transaction (a deletion several, each of which may be repeated). The gate of R3 is asked before
//! its first statement and again before COMMIT, so that a process which was stopped in between changes nothing; and
//! since nothing is done before COMMIT, only an answer to that leaves an outcome unknown when it is lost. Whom a
//! mutation means is looked at inside the transaction, behind the lock that the change itself takes: unlike an API
//! that only takes names, this never changes a user that somebody has put in the place of ours.

mod attempt;
pub(super) mod auth_guard;
mod blockers;
mod call;
mod connection;
mod delete;
mod errors;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod giving;
mod hosts;
mod mark;
mod owned;
mod roles;
mod target;
mod task;
mod text;
mod verifier;
mod ways;
mod write;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use call::{Call, begun};
use connection::{STATE, Session};
use delete::Deletion;
use errors::{Doing, late};
use hosts::{Address, Hosts};
use target::{Security, Target};
use task::Task;

use super::gate::Gate;
use super::memory::Memory;
use super::tls::{Asked, Trust};
use super::{
    Answer, Capabilities, Cluster, ClusterState, ErrorClass, LIST_MEMORY, Listing, MOST_USERS, Mutation,
    Provider, RemoteError, RemoteUser,
};
use crate::domain::endpoint::{AllowList, Host};
use crate::domain::identity::Mark;
use crate::domain::password::Password;
use crate::domain::remote::SslMode;

/// What the provider can do and asks for.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "postgresql",
    reads_trail: false,
    marks: true,
    ..Capabilities::PLAIN
};

/// A deletion visits databases one after another: it may take so many times as long as any other call.
const DELETION: u32 = 3;

/// What all PostgreSQL clients of this process share.
#[derive(Debug, Clone)]
pub struct SqlSettings {
    /// Which hosts and addresses may be dialled.
    pub allow: Arc<AllowList>,
    /// Whose certificates are trusted, where a server object does not say.
    pub trust: Trust,
    /// How long connecting may take, from name resolution to the first query's answer.
    pub connect_timeout: Duration,
    /// How long a whole call may take, connecting included; a deletion, three times as long.
    pub request_timeout: Duration,
    /// The most roles of one server that are kept. More than that are no list.
    pub most_users: usize,
    /// What lists take while they are read, those of all servers together.
    pub reading: Memory,
}

impl SqlSettings {
    /// Settings with the usual bounds.
    pub fn new(allow: Arc<AllowList>, trust: Trust) -> Self {
        Self {
            allow,
            trust,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            most_users: MOST_USERS,
            reading: Memory::new(LIST_MEMORY),
        }
    }
}

/// One PostgreSQL server.
#[derive(Debug, Clone)]
pub struct PostgresqlConfig {
    /// A DNS name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Hosts and ports at which the same server may be found besides: replicas that may become the primary.
    pub hosts: Vec<(String, u16)>,
    /// The database to connect to.
    pub database: String,
    /// How the connection is secured.
    ///
    /// `VerifyFull` verifies certificate and name, and lets the server have the password in whichever way it asks.
    /// `VerifyCa` verifies the certificate only, `Require` not even that; both ask for SCRAM with channel binding,
    /// by which somebody in between is found out. `Prefer` is `Require` where the server speaks TLS. Without TLS
    /// the password is given by SCRAM only, and whoever is in between can read and change the rest. `Allow` is
    /// refused.
    pub sslmode: SslMode,
    /// A bundle of PEM certificates: if given, only these authorities are trusted, and TLS is never less than
    /// `VerifyCa`, as with libpq's `sslrootcert`.
    pub ca: Option<Vec<u8>>,
    /// The operator's own login.
    pub username: String,
    /// Its password.
    pub password: Password,
    /// The installation, for marks.
    pub installation: String,
    /// Whether `Disable` and `Prefer` may be used.
    pub allow_insecure: bool,
    /// Whether logins' passwords are sent as they are, for servers that want to see them: with `VerifyFull` and `VerifyCa` only.
    pub send_plaintext_passwords: bool,
}

/// The client of one server.
#[derive(Debug)]
pub struct Postgresql {
    target: Box<Target>,
    database: String,
    installation: String,
    request_timeout: Duration,
    most_users: usize,
    gate: Gate,
    /// The connection, while no call uses it.
    kept: Mutex<Option<Box<Session>>>,
}

impl Postgresql {
    /// A client. Nothing is sent; a host that may not be dialled and settings that can never work are refused here.
    pub fn new(config: PostgresqlConfig, settings: &SqlSettings, gate: Gate) -> Result<Self, RemoteError> {
        let invalid = |what: &str| RemoteError::new(SET_UP, ErrorClass::Invalid, what);
        let security = security(&config, settings)?;
        let hosts = hosts(&config, &settings.allow)?;
        if !text::is_name(&config.username) || !text::is_name(&config.database) {
            return Err(invalid("the login or the database has no possible name"));
        }
        if config.password.reveal().contains('\0') {
            return Err(invalid("the login's password holds a NUL"));
        }
        if !mark::is_id(&config.installation) {
            return Err(invalid("the installation's id cannot be part of a mark"));
        }
        Ok(Self {
            target: Box::new(Target {
                allow: Arc::clone(&settings.allow),
                hosts,
                username: config.username,
                password: config.password,
                security,
                sends_plaintext: config.send_plaintext_passwords,
                connect_timeout: settings.connect_timeout,
                request_timeout: settings.request_timeout,
                reading: settings.reading.clone(),
            }),
            database: config.database,
            installation: config.installation,
            request_timeout: settings.request_timeout,
            most_users: settings.most_users,
            gate,
            kept: Mutex::new(None),
        })
    }

    /// Has the connection for one call.
    async fn call(&self, operation: &'static str, time: Duration) -> Result<Call<'_>, RemoteError> {
        let deadline = Instant::now() + time;
        let place = tokio::time::timeout_at(deadline, self.kept.lock()).await;
        let mut place = place.map_err(|_| late(operation, Doing::Connecting))?;
        let kept = match place.take() {
            Some(session) => session.again(deadline).await,
            None => None,
        };
        let session = match kept {
            Some(session) => session,
            None => self.target.connect(operation, &self.database, deadline).await?,
        };
        Ok(Call::new(operation, deadline, session, Some(place)))
    }

    fn deletion<'a>(&'a self, task: Task<'a>) -> Deletion<'a> {
        Deletion {
            task,
            gate: &self.gate,
            target: &self.target,
            database: &self.database,
        }
    }

    /// Ends sessions and hands over what is owned, as the order says, of a login that stays.
    async fn clear_out(&self, operation: &'static str, task: Task<'_>) -> Result<(), RemoteError> {
        let mut call = self.call(operation, self.request_timeout * DELETION).await?;
        let result = self.deletion(task).clear_out(&mut call).await;
        call.keep();
        result
    }

    /// The mark that this order's user carries.
    fn mark(&self, operation: &'static str, mutation: &Mutation<'_>) -> Result<Mark, RemoteError> {
        let invalid = |what| Err(RemoteError::new(operation, ErrorClass::Invalid, what));
        if !text::is_name(mutation.username) {
            return invalid("a username has 1 to 63 bytes and no NUL");
        }
        if !mark::is_id(mutation.owner) {
            return invalid("the owner's UID cannot be part of a mark");
        }
        Ok(Mark {
            installation: self.installation.clone(),
            uid: mutation.owner.to_string(),
        })
    }
}

const SET_UP: &str = "set up the client";

/// Where the server may be found, if all of that may be dialled.
fn hosts(config: &PostgresqlConfig, allow: &AllowList) -> Result<Hosts, RemoteError> {
    let others = config.hosts.iter().map(|(host, port)| (host.as_str(), *port));
    let all = std::iter::once((config.host.as_str(), config.port)).chain(others);
    let addresses: Result<Vec<_>, _> = all.map(|(host, port)| address(host, port, allow)).collect();
    addresses.map(Hosts::new)
}

fn address(host: &str, port: u16, allow: &AllowList) -> Result<Address, RemoteError> {
    let Some(host) = Host::parse(host) else {
        let what = format!("the host {host:?} is neither an address nor a DNS name");
        return Err(RemoteError::new(SET_UP, ErrorClass::Invalid, &what));
    };
    let granted = allow.host(&host, port);
    granted
        .map_err(|reason| RemoteError::new(SET_UP, ErrorClass::EndpointNotAllowed, &reason.to_string()))?;
    Ok(Address { host, port })
}

/// How to secure connections, or why not so.
fn security(config: &PostgresqlConfig, settings: &SqlSettings) -> Result<Security, RemoteError> {
    let invalid = |what: &str| RemoteError::new(SET_UP, ErrorClass::Invalid, what);
    if matches!(config.sslmode, SslMode::Disable | SslMode::Prefer) && !config.allow_insecure {
        return Err(invalid(
            "sslmode disable and prefer are not allowed; an administrator can allow them with \
             --allow-insecure-postgresql",
        ));
    }
    let is_verified = matches!(config.sslmode, SslMode::VerifyFull | SslMode::VerifyCa);
    if config.send_plaintext_passwords && !is_verified {
        return Err(invalid(
            "spec.postgresql.sendPlaintextPasswords needs spec.postgresql.sslmode verify-full or verify-ca: no password is sent to who \
             has not proved to be the server",
        ));
    }
    let own = config.ca.as_deref().map(Trust::only).transpose();
    let own = own.map_err(|error| invalid(&error.to_string()))?;
    let trust = own.as_ref().unwrap_or(&settings.trust);
    let asked = match config.sslmode {
        SslMode::Disable => return Ok(Security::Clear),
        SslMode::Allow => {
            return Err(invalid(
                "sslmode allow tries an unencrypted connection first, which is never better",
            ));
        }
        SslMode::Prefer | SslMode::Require if own.is_none() => Asked::Nothing,
        SslMode::Prefer | SslMode::Require | SslMode::VerifyCa => Asked::Authority,
        SslMode::VerifyFull => Asked::Name,
    };
    let configuration = trust.for_postgres(asked);
    let configuration = Arc::new(configuration.map_err(|reason| invalid(&reason.to_string()))?);
    Ok(match config.sslmode {
        SslMode::Prefer => Security::Either(configuration),
        SslMode::VerifyFull => Security::Verified(configuration),
        _ => Security::Bound(configuration),
    })
}

fn answer<T>(seen: roles::ReadAt<T>) -> Answer<T> {
    Answer {
        value: seen.value,
        date: seen.date,
    }
}

/// Whether a login acts as another role from its beginning, as those do that take turns.
fn acts_as_another(user: &RemoteUser) -> bool {
    let role = user.traits.role.as_ref();
    role.is_some_and(|role| role.config.contains_key("role"))
}

/// One transaction: what is done in it, on a connection that is given back afterwards.
macro_rules! transaction {
    ($self:expr, $operation:expr, $call:ident => $inside:expr) => {{
        let mut $call = $self.call($operation, $self.request_timeout).await?;
        let result = begun!($call, &$self.gate => $inside);
        let result = $call.end(&$self.gate, result).await;
        $call.keep();
        result.map(answer)
    }};
}

impl Provider for Postgresql {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    async fn cluster(&self) -> Result<Answer<Cluster>, RemoteError> {
        let call = self.call("read the cluster", self.request_timeout).await?;
        let rows = call.query(STATE, &[]).await?;
        let row = rows.first().ok_or_else(|| call.odd())?;
        let takes_changes: bool = row.try_get(0).map_err(|_| call.odd())?;
        let now: i64 = row.try_get(1).map_err(|_| call.odd())?;
        if !takes_changes {
            call.note_read_only();
        }
        call.keep();
        Ok(Answer {
            value: Cluster {
                state: match takes_changes {
                    true => ClusterState::Available,
                    false => ClusterState::Impaired,
                },
                host: None,
                port: None,
                database: None,
                sslmode: None,
            },
            date: roles::date(now),
        })
    }

    async fn list(&self) -> Result<Answer<Listing>, RemoteError> {
        let call = self.call("list users", self.request_timeout).await?;
        let seen = roles::all(&call, self.most_users).await?;
        call.keep();
        Ok(Answer {
            value: Listing {
                users: seen.value.into_iter().map(|role| role.user).collect(),
                pages: 1,
            },
            date: seen.date,
        })
    }

    async fn get(&self, username: &str) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        const OPERATION: &str = "read user";
        if !text::is_name(username) {
            let what = "a username has 1 to 63 bytes and no NUL";
            return Err(RemoteError::new(OPERATION, ErrorClass::Invalid, what));
        }
        let call = self.call(OPERATION, self.request_timeout).await?;
        let seen = roles::one(&call, username).await?;
        let mut user = seen.value.map(|role| role.user);
        // Nobody asks for the sessions of a login that never was one of two.
        if let Some(user) = user.as_mut().filter(|user| acts_as_another(user)) {
            user.traits.sessions = roles::sessions(&call, username).await?;
        }
        call.keep();
        Ok(Answer {
            value: user,
            date: seen.date,
        })
    }

    async fn create(
        &self,
        mutation: &Mutation<'_>,
        password: &Password,
    ) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        const OPERATION: &str = "create user";
        let mark = &self.mark(OPERATION, mutation)?;
        transaction!(self, OPERATION, call => write::create(&call, Task { mutation, mark }, password))
    }

    async fn set_password(
        &self,
        mutation: &Mutation<'_>,
        password: &Password,
    ) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        const OPERATION: &str = "set password";
        let mark = &self.mark(OPERATION, mutation)?;
        let task = Task { mutation, mark };
        let changed = transaction!(self, OPERATION, call => write::set_password(&call, task, password))?;
        // Nobody has the new password yet, so all sessions are of before. The change is made, whatever comes of them.
        if mutation.settings.end_sessions
            && let Err(error) = self.clear_out(OPERATION, task).await
        {
            let username = text::shown(mutation.username);
            tracing::warn!(username, %error, "sessions of before a change of password could not be ended");
        }
        Ok(changed)
    }

    async fn configure(&self, mutation: &Mutation<'_>) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        const OPERATION: &str = "configure user";
        let mark = &self.mark(OPERATION, mutation)?;
        let task = Task { mutation, mark };
        let changed = transaction!(self, OPERATION, call => write::configure(&call, task))?;
        if mutation.settings.options.as_ref().is_some_and(|it| !it.login) {
            self.clear_out(OPERATION, task).await?;
        }
        Ok(changed)
    }

    async fn delete(&self, mutation: &Mutation<'_>) -> Result<Answer<()>, RemoteError> {
        const OPERATION: &str = "delete user";
        let mark = &self.mark(OPERATION, mutation)?;
        let mut call = self.call(OPERATION, self.request_timeout * DELETION).await?;
        let result = self.deletion(Task { mutation, mark }).run(&mut call).await;
        call.keep();
        result.map(|date| Answer { value: (), date })
    }
}
