//! One call: it has the connection to itself, a deadline, and, if it changes anything, a transaction.
//!
//! The connection is taken out of its place for as long as the call lasts. A call that is abandoned, at whatever
//! point, takes it along: no later call finds it in a state that nobody knows.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::MutexGuard;
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::connection::{Session, SessionFacts};
use super::errors::{Doing, SqlStep, failed, late};
use super::hosts::Address;
use crate::provider::gate::Gate;
use crate::provider::{ErrorClass, RemoteError};

/// How every transaction begins.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The place where a connection is kept between calls.
pub(super) type SessionSlot<'a> = MutexGuard<'a, Option<Box<Session>>>;

/// A connection in the hands of one call.
pub(super) struct Call<'a> {
    pub(super) operation: &'static str,
    deadline: Instant,
    session: Box<Session>,
    /// Where the connection is put back; none: it is for this call only.
    place: Option<SessionSlot<'a>>,
    /// Whether it is known that no transaction is open.
    sound: bool,
    /// The server takes no changes from this connection: another one may lead to one that does.
    read_only: AtomicBool,
}

impl<'a> Call<'a> {
    pub(super) fn new(
        operation: &'static str,
        deadline: Instant,
        session: Box<Session>,
        place: Option<SessionSlot<'a>>,
    ) -> Self {
        let read_only = AtomicBool::new(!session.facts.takes_changes);
        Self {
            operation,
            deadline,
            session,
            place,
            sound: true,
            read_only,
        }
    }

    /// Notes that no changes are taken here. After a failover the connection leads to what is a standby now; and what is
    /// set for the login holds for a connection as it was when that began.
    pub(super) fn note_read_only(&self) {
        self.read_only.store(true, Ordering::Relaxed);
    }

    pub(super) fn facts(&self) -> SessionFacts {
        self.session.facts
    }

    /// Where the connection leads.
    pub(super) fn address(&self) -> &Address {
        &self.session.address
    }

    /// Begins a transaction, if the gate is open: the first statement of everything that changes anything.
    pub(super) async fn begin(&mut self, gate: &Gate) -> Result<(), RemoteError> {
        self.ask(gate)?;
        self.sound = false;
        self.run(Doing::Reading, BEGIN).await
    }

    /// Until when the call may last.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Asks the gate.
    pub(super) fn ask(&self, gate: &Gate) -> Result<(), RemoteError> {
        match gate.is_open() {
            true => Ok(()),
            false => Err(RemoteError {
                operation: self.operation,
                class: ErrorClass::GateClosed,
                detail: String::new(),
                blockers: Vec::new(),
            }),
        }
    }

    /// A statement of a transaction.
    pub(super) async fn change(&self, step: SqlStep, sql: &str) -> Result<(), RemoteError> {
        self.run(Doing::Changing(step), sql).await
    }

    /// A statement that may fail without the transaction failing with it. Says whether it worked.
    pub(super) async fn try_change(&self, step: SqlStep, sql: &str) -> Result<bool, RemoteError> {
        let tried = self.tried(step, self.change(step, sql)).await?;
        Ok(tried.is_ok())
    }

    /// Statements that may fail without the transaction failing with them: what came of them.
    pub(super) async fn tried(
        &self,
        step: SqlStep,
        statements: impl Future<Output = Result<(), RemoteError>>,
    ) -> Result<Result<(), RemoteError>, RemoteError> {
        self.change(step, "SAVEPOINT before").await?;
        match statements.await {
            Ok(()) => self.change(step, "RELEASE before").await.map(Ok),
            // The connection is gone, or time is up: there is nothing to go on with.
            Err(error) if matches!(error.class, ErrorClass::Unreachable { .. }) => Err(error),
            Err(error) => {
                self.change(step, "ROLLBACK TO before").await?;
                Ok(Err(error))
            }
        }
    }

    async fn run(&self, doing: Doing, sql: &str) -> Result<(), RemoteError> {
        let running = self.session.client.batch_execute(sql);
        match tokio::time::timeout_at(self.deadline, running).await {
            Ok(result) => result.map_err(|failure| {
                if failure.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) {
                    self.note_read_only();
                }
                failed(self.operation, doing, &failure)
            }),
            Err(_) => Err(late(self.operation, doing)),
        }
    }

    /// A query that changes nothing, in or out of a transaction.
    pub(super) async fn query(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, RemoteError> {
        let asking = self.session.query(sql, parameters);
        match tokio::time::timeout_at(self.deadline, asking).await {
            Ok(result) => result.map_err(|failure| failed(self.operation, Doing::Reading, &failure)),
            Err(_) => Err(late(self.operation, Doing::Reading)),
        }
    }

    /// Ends what began with [`Call::begin`]. If all went well it is committed, provided that the gate is open at
    /// that very moment; else it is rolled back.
    pub(super) async fn end<T>(
        &mut self,
        gate: &Gate,
        result: Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let result = result.and_then(|value| self.ask(gate).map(|()| value));
        self.sound = false;
        match result {
            Ok(value) => {
                self.run(Doing::Committing, "COMMIT").await?;
                self.sound = true;
                Ok(value)
            }
            Err(error) => {
                self.sound = self.run(Doing::Reading, "ROLLBACK").await.is_ok();
                Err(error)
            }
        }
    }

    /// Ends what began with [`Call::begin`] as if it had never been, however it went.
    pub(super) async fn undo<T>(&mut self, result: Result<T, RemoteError>) -> Result<T, RemoteError> {
        let undone = self.run(Doing::Reading, "ROLLBACK").await;
        self.sound = undone.is_ok();
        result.and_then(|value| undone.map(|()| value))
    }

    /// Gives the connection back, unless something is wrong with it.
    pub(super) fn keep(self) {
        if let Some(mut place) = self.place
            && self.sound
            && !self.read_only.load(Ordering::Relaxed)
        {
            self.session.rest();
            *place = Some(self.session);
        }
    }

    /// An answer that makes no sense.
    pub(super) fn odd(&self) -> RemoteError {
        RemoteError::new(
            self.operation,
            ErrorClass::UNREACHABLE,
            "the answer cannot be read",
        )
    }
}

/// The inside of a transaction that begins here, if the gate is open. [`Call::end`] or [`Call::undo`] ends it.
macro_rules! begun {
    ($call:expr, $gate:expr => $inside:expr) => {
        match $call.begin($gate).await {
            Ok(()) => $inside.await,
            Err(error) => Err(error),
        }
    };
}
pub(super) use begun;
