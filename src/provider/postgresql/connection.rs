//! One connection: how it is made, what is set on it, how it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};

use super::attempt::Attempt;
use super::auth_guard::Budget;
use super::errors::{Doing, another_server, failed, late, standing_by};
use super::hosts::{Address, is_of_all, no_primary};
use super::target::Target;
use crate::provider::{ErrorClass, RemoteError};

/// How long an idle connection is used again.
const REUSED_FOR: Duration = Duration::from_secs(4 * 60);
/// How long an idle connection is kept; so much longer that none ends that has just been taken.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);
/// How long an idle connection is believed to be alive without asking.
const BELIEVED_FOR: Duration = Duration::from_secs(10);
/// How long a connection that nobody wants has, to take its leave.
const GRACE: Duration = Duration::from_secs(1);

/// The oldest server that is spoken to, as `server_version_num`.
const OLDEST: i32 = 140_000;

/// A connection that is ready for a query.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) facts: SessionFacts,
    /// Where it leads.
    pub(super) address: Address,
    budget: Arc<Budget>,
    used: watch::Sender<()>,
    last: Instant,
    asked: Mutex<HashMap<Box<str>, Option<Statement>>>,
}

/// What holds for as long as a connection does.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionFacts {
    /// `server_version_num`.
    pub(super) version: i32,
    /// Whether what the server keeps of passwords may be read.
    pub(super) sees_passwords: bool,
    /// `scram_iterations`; before PostgreSQL 16 there is no such setting.
    pub(super) iterations: Option<i32>,
    /// Whether passwords are sent as they are.
    pub(super) sends_plaintext: bool,
    /// Whether changes are taken, unless that is said otherwise later on.
    pub(super) takes_changes: bool,
}

impl SessionFacts {
    /// Whether memberships have options of their own, and administering a role is a matter of ADMIN OPTION.
    pub(super) fn has_grant_options(self) -> bool {
        self.version >= 160_000
    }
}

impl Target {
    /// Connects to a database of the primary, wherever that is. Only where no server takes changes, to one that is set to be
    /// read only.
    pub(super) async fn connect(
        &self,
        operation: &'static str,
        database: &str,
        deadline: Instant,
    ) -> Result<Box<Session>, RemoteError> {
        let deadline = deadline.min(Instant::now() + self.connect_timeout);
        let addresses = self.hosts.in_order();
        let (mut tried, mut read_only) = (Vec::new(), None);
        for (number, address) in addresses.iter().enumerate() {
            // One that swallows packets must not use up the time of all.
            let until = share(deadline, addresses.len() - number);
            match self.connect_to(operation, address, database, until).await {
                Ok(session) if session.facts.takes_changes => {
                    self.hosts.found_primary(address);
                    return Ok(session);
                }
                Ok(session) => read_only = read_only.or(Some(session)),
                Err(error) if is_of_all(&error) => return Err(error),
                Err(error) => tried.push((address.clone(), error)),
            }
        }
        read_only.ok_or_else(|| no_primary(operation, tried))
    }

    /// Connects to a database of the server at one address, unless that is a standby.
    pub(super) async fn connect_to(
        &self,
        operation: &'static str,
        address: &Address,
        database: &str,
        deadline: Instant,
    ) -> Result<Box<Session>, RemoteError> {
        let deadline = deadline.min(Instant::now() + self.connect_timeout);
        let connecting = async {
            let budget = Budget::new(&self.reading);
            let attempt = Attempt {
                target: self,
                operation,
                address,
                database,
                time: deadline.saturating_duration_since(Instant::now()),
                budget: &budget,
            };
            let (client, moving) = attempt.open().await?;
            let (used, uses) = watch::channel(());
            tokio::spawn(drive(moving, uses));
            let facts = self.prepare(operation, address, &client).await?;
            Ok(Box::new(Session {
                client,
                facts,
                address: address.clone(),
                budget,
                used,
                last: Instant::now(),
                asked: Mutex::default(),
            }))
        };
        match tokio::time::timeout_at(deadline, connecting).await {
            Ok(result) => result,
            Err(_) => Err(late(operation, Doing::Connecting)),
        }
    }

    /// Sets what every statement relies on, and asks what there is to know. Settings of a session, so a pooler in
    /// between has to give each client a session of its own.
    async fn prepare(
        &self,
        operation: &'static str,
        address: &Address,
        client: &Client,
    ) -> Result<SessionFacts, RemoteError> {
        let failed = |failure| failed(operation, Doing::Connecting, &failure);
        client.batch_execute(&self.settings()).await.map_err(failed)?;
        let row = client.query_typed_one(FACTS, &[]).await.map_err(failed)?;
        let (mut facts, standby, tells_which) = facts(&row).map_err(failed)?;
        facts.sends_plaintext = self.sends_plaintext;
        if facts.version < OLDEST {
            return Err(RemoteError::new(
                operation,
                ErrorClass::Invalid,
                "the server is older than PostgreSQL 14, the oldest that is supported",
            ));
        }
        if tells_which && self.hosts.are_several() {
            self.recognise(operation, address, client).await?;
        }
        match standby {
            true => Err(standing_by(operation)),
            false => Ok(facts),
        }
    }

    /// Refuses a server that is another one than the one that answered before, as far as it says so.
    async fn recognise(
        &self,
        operation: &'static str,
        address: &Address,
        client: &Client,
    ) -> Result<(), RemoteError> {
        let row = client.query_typed_one(IDENTIFIER, &[]).await;
        let identifier = row.and_then(|row| row.try_get::<_, i64>(0));
        let Some(before) = identifier
            .ok()
            .and_then(|identifier| self.hosts.contradicted(address, identifier))
        else {
            return Ok(());
        };
        tracing::warn!(%address, %before, "another server answers than before, and is not used");
        Err(another_server(operation, &before))
    }

    /// Names are bytes: a login has the name that its client sends, whatever encoding a database has. So nothing is converted on
    /// the way.
    ///
    /// No statement lives for longer than a call, on either side. What is committed is on disk, whatever the
    /// server's own taste: an application's password must not be forgotten in a crash.
    fn settings(&self) -> String {
        let whole = self.request_timeout.as_millis().max(1000);
        format!(
            "SET client_encoding = 'SQL_ASCII'; SET search_path = pg_catalog; \
             SET statement_timeout = {statement}; SET lock_timeout = {lock}; \
             SET idle_in_transaction_session_timeout = {statement}; SET client_min_messages = error; \
             SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off'",
            statement = whole * 2 / 3,
            lock = whole / 6,
        )
    }
}

/// Whether changes are taken, and what the server's clock shows.
pub(super) const STATE: &str = "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off', \
    (extract(epoch FROM clock_timestamp()) * 1000000)::int8";

const FACTS: &str = "SELECT current_setting('server_version_num')::int4, \
    has_table_privilege('pg_catalog.pg_authid', 'SELECT'), \
    nullif(current_setting('scram_iterations', true), '')::int4, \
    current_setting('transaction_read_only') = 'off', \
    pg_is_in_recovery(), \
    coalesce(has_function_privilege(to_regprocedure('pg_catalog.pg_control_system()')::oid, 'EXECUTE'), false)";

/// Which server it is, the same for a primary and its standbys. Everybody may ask, unless somebody has said otherwise.
const IDENTIFIER: &str = "SELECT system_identifier FROM pg_catalog.pg_control_system()";

/// What holds for the connection; whether the server is a standby; whether it tells which server it is.
fn facts(row: &Row) -> Result<(SessionFacts, bool, bool), tokio_postgres::Error> {
    let facts = SessionFacts {
        version: row.try_get(0)?,
        sees_passwords: row.try_get(1)?,
        iterations: row.try_get(2)?,
        sends_plaintext: false,
        takes_changes: row.try_get(3)?,
    };
    Ok((facts, row.try_get(4)?, row.try_get(5)?))
}

/// The end of the time for one of so many attempts, all of which have to be over by then.
fn share(deadline: Instant, attempts: usize) -> Instant {
    let now = Instant::now();
    let left = deadline.saturating_duration_since(now);
    now + left / u32::try_from(attempts).unwrap_or(u32::MAX).max(1)
}

/// Moves the bytes of a connection that is in use, and ends it when it has been idle for long or is let go.
async fn drive(moving: BoxFuture<'static, ()>, mut uses: watch::Receiver<()>) {
    let unused = async {
        while let Ok(Ok(())) = tokio::time::timeout(KEPT_FOR, uses.changed()).await {}
        // Without a client, the connection says goodbye and ends, unless an answer is still awaited.
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = moving => {}
        () = unused => {}
    }
}

impl Session {
    /// Asks a question. What is asked more than once is parsed once: that takes longer than most answers.
    pub(super) async fn query(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let before = self.asked().get(sql).cloned();
        let statement = match before {
            None => {
                self.asked().insert(sql.into(), None);
                return self.client.query_typed(sql, parameters).await;
            }
            Some(Some(statement)) => statement,
            Some(None) => {
                let types: Vec<Type> = parameters.iter().map(|(_, of)| of.clone()).collect();
                let statement = self.client.prepare_typed(sql, &types).await?;
                self.asked().insert(sql.into(), Some(statement.clone()));
                statement
            }
        };
        let values: Vec<_> = parameters.iter().map(|(value, _)| *value).collect();
        self.client.query(&statement, &values).await
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<Box<str>, Option<Statement>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing of what was read is kept.
    pub(super) fn rest(&self) {
        self.budget.renew();
    }

    /// Makes it ready for a new call; none if it has ended, takes no changes any more, or is not to be relied upon.
    pub(super) async fn again(mut self: Box<Self>, deadline: Instant) -> Option<Box<Self>> {
        if self.client.is_closed() || self.last.elapsed() > REUSED_FOR {
            return None;
        }
        self.budget.renew();
        let _ = self.used.send(());
        if self.last.elapsed() > BELIEVED_FOR {
            let soon = deadline.min(Instant::now() + Duration::from_secs(2));
            let alive = tokio::time::timeout_at(soon, self.query(STATE, &[])).await;
            let rows = alive.ok()?.ok()?;
            if !rows.first()?.try_get::<_, bool>(0).ok()? {
                return None;
            }
        }
        self.last = Instant::now();
        Some(self)
    }
}
