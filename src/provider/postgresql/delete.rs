//! Deleting a role, with what hangs on it.
//!
//! A role that owns anything is not deleted, and keeps LOGIN, unless the order says who gets what it owns. Else, each
//! step is a transaction of its own, and all of them can be repeated. Where something hangs on the role, all of it is tried
//! first, in transactions that are rolled back: what is refused then has cost the role nothing, neither LOGIN nor a session.
//! Then LOGIN is taken away and the role's sessions are ended; in each database where something hangs on it, what it owns is
//! handed over and what it was given is taken back; then it is dropped. Where one of these is refused all the same, the role
//! gets LOGIN again, for it may yet be kept on purpose. The mark is looked at in each of these behind the lock of an ALTER
//! ROLE.
//!
//! A login that is no superuser can do this with roles that it made itself: it makes itself a member of the role
//! for the purpose, and only within the transaction. A membership that others could see would give the operator's login what
//! the role has, and a `pg_hba.conf` that refuses the members of some group would lock it out. Sessions are ended as the role
//! itself. Where the operator's login does not have the privileges of its memberships (before PostgreSQL 16: NOINHERIT), a
//! role that something hangs on is not deleted.
//!
//! What others have given to the role on things of theirs, only they and superusers can take back: then the deletion
//! fails, and says on what, in all databases, and how it is taken back.
//!
//! What cannot be excluded: whoever may `SET ROLE` to the role can make a table with it in the moment between the
//! look that finds that it owns nothing and DROP OWNED, which would take that table along. PostgreSQL has no lock
//! against that.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};

use super::blockers::{self, Which};
use super::call::{Call, begun};
use super::errors::SqlStep;
use super::owned::{Holding, holdings, keeps, owns};
use super::roles::{self, Role};
use super::target::Target;
use super::task::{Denied, Task};
use super::text::{ident, shown};
use super::write::{ALTER, change_known, change_meant, meant, unadministered};
use crate::domain::remote::DeletionBlocker;
use crate::provider::gate::Gate;
use crate::provider::{ErrorClass, RemoteError};

const JOIN: SqlStep = SqlStep {
    needs: "the operator's login needs ADMIN OPTION on the role",
    other: None,
};

const HAND_OVER: SqlStep = SqlStep {
    needs: "the operator's login needs the privileges of the role and of the one that gets what it owns, SET on \
            that one, and CREATE on the database",
    other: Some("the role that is to get what it owns does not exist"),
};

const TAKE_BACK: SqlStep = SqlStep {
    needs: "it has privileges that only who gave them or a superuser can take back; or the operator's login does \
            not have the privileges of the role, by membership with INHERIT",
    other: None,
};

/// How long it may take to give LOGIN back on a connection of its own.
const LET_IN: Duration = Duration::from_secs(10);

/// What a deletion works with.
pub(super) struct Deletion<'a> {
    pub(super) task: Task<'a>,
    pub(super) gate: &'a Gate,
    pub(super) target: &'a Target,
    /// The operator's own database.
    pub(super) database: &'a str,
}

impl Deletion<'_> {
    /// All of it, on a connection to the operator's own database: when the role was gone, by the server's clock.
    pub(super) async fn run(&self, call: &mut Call<'_>) -> Result<Option<Timestamp>, RemoteError> {
        call.ask(self.gate)?;
        let role = meant(call, self.task).await?.value;
        if let Some(error) = unadministered(call, self.task, &role) {
            return Err(error);
        }
        let dependents = holdings(call, role.oid).await?;
        self.refuse(call, &role, &dependents).await?;
        self.rehearse(call, &role, &dependents).await?;
        self.lock_out(call, &role).await?;
        let result = self.remove(call, &role, &dependents).await;
        if result.is_err() {
            // Whatever stopped it half-way, the role may yet be kept on purpose.
            self.let_in(call).await;
        }
        result
    }

    /// What comes with a change of the role that stays: its sessions end, if the order says so; and if nobody is to log in with
    /// it any more, what it owns goes to the role of `reassign_owned_to`, in every database.
    pub(super) async fn clear_out(&self, call: &mut Call<'_>) -> Result<(), RemoteError> {
        call.ask(self.gate)?;
        let settings = self.task.mutation.settings;
        let role = meant(call, self.task).await?.value;
        if settings.end_sessions {
            self.end_sessions(call, &role).await?;
        }
        let reassign_to = settings.reassign_owned_to.as_ref();
        let Some(reassign_to) = reassign_to.filter(|_| !settings.logs_in()) else {
            return Ok(());
        };
        let mut owned = holdings(call, role.oid).await?;
        owned.retain(|holding| holding.owned);
        if owned.is_empty() {
            return Ok(());
        }
        self.refuse_reassign_to(call, reassign_to).await?;
        for database in elsewhere(&owned) {
            self.in_another(call, &role, database, Work::HandOver, Ending::Committed)
                .await?;
        }
        if owned.iter().any(Holding::is_here) {
            let result = begun!(call, self.gate => self.handed_over(call));
            call.end(self.gate, result).await?;
        }
        Ok(())
    }

    /// Tries what may be refused, and leaves everything as it is. What is in the way is looked for everywhere, so that a
    /// person sees to it once.
    async fn rehearse(
        &self,
        call: &mut Call<'_>,
        role: &Role,
        dependents: &[Holding],
    ) -> Result<(), RemoteError> {
        let mut blocked: Option<RemoteError> = None;
        for database in elsewhere(dependents) {
            if blocked
                .as_ref()
                .is_some_and(|it| it.blockers.len() >= blockers::MOST)
            {
                break;
            }
            if let Err(failure) = self
                .in_another(call, role, database, Work::Clear, Ending::Undone)
                .await
            {
                blocked = Some(blockers::also(blocked, failure)?);
            }
        }
        if dependents.iter().any(Holding::is_here) {
            let result = begun!(call, self.gate => self.clear(call, role));
            if let Err(failure) = call.undo(result).await {
                blocked = Some(blockers::also(blocked, failure)?);
            }
        }
        blocked.map_or(Ok(()), Err)
    }

    /// All that comes after nobody can log in any more.
    async fn remove(
        &self,
        call: &mut Call<'_>,
        role: &Role,
        dependents: &[Holding],
    ) -> Result<Option<Timestamp>, RemoteError> {
        self.end_sessions(call, role).await?;
        let mut cleared = Vec::new();
        for database in elsewhere(dependents) {
            let result = self
                .in_another(call, role, database, Work::Clear, Ending::Committed)
                .await;
            result.map_err(|error| after(error, &cleared))?;
            cleared.push(database);
        }
        let result = self.drop_role(call, role).await;
        result.map_err(|error| after(error, &cleared))
    }

    /// Gives LOGIN back, if it can: the role stays, and somebody may keep it on purpose.
    ///
    /// The gate may have closed meanwhile, and is not asked: every role with this mark is to have LOGIN, unless it is
    /// being deleted, and another leader's deletion would only have to take it away once more.
    async fn let_in(&self, call: &mut Call<'_>) {
        if self.try_let_in(call).await.is_ok() {
            return;
        }
        // The connection may have been lost, or its time may be up.
        let deadline = Instant::now() + LET_IN;
        let connected = self.target.connect(call.operation, self.database, deadline).await;
        let result = match connected {
            Ok(session) => {
                let mut anew = Call::new(call.operation, deadline, session, None);
                self.try_let_in(&mut anew).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::warn!(username = shown(self.task.name()), %error, "a login whose deletion failed stays without LOGIN");
        }
    }

    async fn try_let_in(&self, call: &mut Call<'_>) -> Result<(), RemoteError> {
        let gate = Gate::open();
        let sql = format!("ALTER ROLE {} LOGIN", self.task.ident());
        let result = begun!(call, &gate => change_meant(call, self.task, ALTER, &sql)).map(drop);
        call.end(&gate, result).await
    }

    /// Refuses what can be seen to fail, before anything is done.
    async fn refuse(&self, call: &Call<'_>, role: &Role, dependents: &[Holding]) -> Result<(), RemoteError> {
        let invalid = |what: &str| Err(RemoteError::new(call.operation, ErrorClass::Invalid, what));
        if let Some(what) = owns(dependents) {
            match &self.task.mutation.settings.reassign_owned_to {
                None => return Err(self.refused_as_owner(call, role, dependents, &what).await),
                Some(reassign_to) => self.refuse_reassign_to(call, reassign_to).await?,
            }
        }
        match dependents.iter().find(|holding| !holding.connectable) {
            Some(Holding {
                database: Some(name), ..
            }) => invalid(&format!(
                "something hangs on it in database {}, which takes no connections",
                shown(name)
            )),
            _ => Ok(()),
        }
    }

    /// It owns something: what, as far as that can be seen.
    async fn refused_as_owner(
        &self,
        call: &Call<'_>,
        role: &Role,
        dependents: &[Holding],
        what: &str,
    ) -> RemoteError {
        let mut found = blockers::find(call, role.oid, self.task.name(), Which::Owned).await;
        let owned = dependents.iter().filter(|it| it.owned && it.connectable);
        for database in elsewhere(owned) {
            if found.len() >= blockers::MOST {
                break;
            }
            let deadline = call.deadline();
            if let Ok(session) = self.target.connect(call.operation, database, deadline).await {
                let there = Call::new(call.operation, deadline, session, None);
                let more = blockers::find(&there, role.oid, self.task.name(), Which::Owned).await;
                blockers::add(&mut found, more);
            }
        }
        blocked(call, what, found)
    }

    /// Refuses a new owner that there is not, or that the server object does not allow.
    async fn refuse_reassign_to(&self, call: &Call<'_>, reassign_to: &str) -> Result<(), RemoteError> {
        let invalid = |what| Err(RemoteError::new(call.operation, ErrorClass::Invalid, what));
        if reassign_to == self.task.name() {
            return invalid("what it owns is to go to itself");
        }
        if roles::one(call, reassign_to).await?.value.is_none() {
            return invalid("the role that is to get what it owns does not exist");
        }
        // Functions may run with their owner's rights, and triggers do what their maker thought of.
        let given = roles::given(call, reassign_to).await?;
        match self
            .task
            .denied(&given, self.task.mutation.settings.reassign_is_named)
        {
            None => Ok(()),
            Some(Denied::Foreign) => invalid(
                "the role that is to get what it owns is the login of a PostgresUser that is not of this namespace, or a member \
                 of one: patterns do not cover it, the server object has to name it in full \
                 (spec.postgresql.allowed.reassignOwnedTo)",
            ),
            Some(Denied::Over) => invalid(
                "the role that is to get what it owns has CREATEROLE or BYPASSRLS, which its functions would have: patterns \
                 do not cover it, the server object has to name it in full (spec.postgresql.allowed.reassignOwnedTo)",
            ),
            Some(Denied::All) => invalid(
                "the role that is to get what it owns is a superuser, for replication, or the operator's own login, whose \
                 rights its functions would have",
            ),
        }
    }

    /// Takes LOGIN away.
    async fn lock_out(&self, call: &mut Call<'_>, role: &Role) -> Result<(), RemoteError> {
        let result = begun!(call, self.gate => self.guard(call, role)).map(drop);
        call.end(self.gate, result).await
    }

    /// Holds the role, if it still is the one that was found, until the transaction ends: what the server's clock shows.
    async fn guard(&self, call: &Call<'_>, role: &Role) -> Result<Option<Timestamp>, RemoteError> {
        let sql = format!("ALTER ROLE {} NOLOGIN", self.task.ident());
        let seen = change_known(call, self.task, ALTER, &sql, role.oid).await?;
        Ok(seen.date)
    }

    /// Makes the operator's login a member of a role, if it has to be and may, until [`Deletion::leave`] or the end of the
    /// transaction. Says whether it did.
    async fn join(&self, call: &Call<'_>, role: &str) -> Result<bool, RemoteError> {
        if has_privileges(call, role).await? || has_own_membership(call, role).await? {
            return Ok(false);
        }
        let sql = format!("GRANT {} TO CURRENT_USER{}", ident(role), options(call));
        call.try_change(JOIN, &sql).await
    }

    async fn leave(&self, call: &Call<'_>, role: &str, joined: bool) -> Result<(), RemoteError> {
        match joined {
            true => {
                call.change(JOIN, &format!("REVOKE {} FROM CURRENT_USER", ident(role)))
                    .await
            }
            false => Ok(()),
        }
    }

    /// Ends the role's sessions, if that is allowed, and waits a little until they are gone.
    async fn end_sessions(&self, call: &mut Call<'_>, role: &Role) -> Result<(), RemoteError> {
        if !has_sessions(call, role).await? {
            return Ok(());
        }
        let result = begun!(call, self.gate => self.ended(call, role));
        // What was told to end does; that the operator's login was a member of the role is undone.
        match call.undo(result).await {
            Err(error) if matches!(error.class, ErrorClass::Unauthorized) => return Ok(()),
            result => result?,
        }
        for _ in 0..20 {
            if !has_sessions(call, role).await? {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// A role may end its own sessions.
    async fn ended(&self, call: &Call<'_>, role: &Role) -> Result<(), RemoteError> {
        const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
            WHERE usesysid = $1 AND pid <> pg_backend_pid()";
        self.join(call, self.task.name()).await?;
        let as_the_role = format!("SET LOCAL ROLE {}", self.task.ident());
        call.try_change(JOIN, &as_the_role).await?;
        call.query(END, &[(&role.oid, Type::OID)]).await.map(drop)
    }

    /// Does its work in another database, or tries to.
    async fn in_another(
        &self,
        call: &Call<'_>,
        role: &Role,
        database: &str,
        work: Work,
        ending: Ending,
    ) -> Result<(), RemoteError> {
        // Where the deletion began, even if the primary is at another address by now.
        let session = self
            .target
            .connect_to(call.operation, call.address(), database, call.deadline())
            .await
            .map_err(|error| unconnected(error, database))?;
        let mut there = Call::new(call.operation, call.deadline(), session, None);
        let result = match work {
            Work::Clear => begun!(there, self.gate => self.clear(&there, role)),
            Work::HandOver => begun!(there, self.gate => self.handed_over(&there)),
        };
        let result = match ending {
            Ending::Committed => there.end(self.gate, result).await,
            Ending::Undone => there.undo(result).await,
        };
        result.map_err(|error| RemoteError {
            detail: within(&error.detail, database),
            ..error
        })
    }

    /// Clears the database that is connected to, and what belongs to none.
    async fn clear(&self, call: &Call<'_>, role: &Role) -> Result<(), RemoteError> {
        self.guard(call, role).await?;
        self.cleared(call, role).await
    }

    async fn cleared(&self, call: &Call<'_>, role: &Role) -> Result<(), RemoteError> {
        let mut dependents = here(holdings(call, role.oid).await?);
        if dependents.is_empty() {
            return Ok(());
        }
        let joined = self.join(call, self.task.name()).await?;
        if let Some(reassign_to) = &self.task.mutation.settings.reassign_owned_to
            && dependents.iter().any(|holding| holding.owned)
        {
            self.hand_over(call, reassign_to).await?;
            dependents = here(holdings(call, role.oid).await?);
        }
        if let Some(what) = owns(&dependents) {
            let found = blockers::find(call, role.oid, self.task.name(), Which::Owned).await;
            return Err(blocked(call, &what, found));
        }
        let sql = format!("DROP OWNED BY {}", self.task.ident());
        if let Err(failure) = call.tried(TAKE_BACK, call.change(TAKE_BACK, &sql)).await? {
            return Err(self.refused_to_take_back(call, role, failure).await);
        }
        self.leave(call, self.task.name(), joined).await?;
        // What others gave it passes over in silence.
        let Some(what) = keeps(&here(holdings(call, role.oid).await?)) else {
            return Ok(());
        };
        let found = blockers::find(call, role.oid, self.task.name(), Which::All).await;
        Err(blocked(call, &what, found))
    }

    /// Nothing is taken back: then all that hangs on the role is in the way. One thing is enough that others gave and that
    /// allows nothing with a table's columns: on these, DROP OWNED looks for a privilege, and fails where there is none.
    async fn refused_to_take_back(&self, call: &Call<'_>, role: &Role, failure: RemoteError) -> RemoteError {
        if failure.class != ErrorClass::Invalid {
            return failure;
        }
        let found = blockers::find(call, role.oid, self.task.name(), Which::All).await;
        let what = failure
            .detail
            .strip_prefix(" (")
            .and_then(|what| what.strip_suffix(')'));
        blocked(call, what.unwrap_or_default(), found)
    }

    /// Hands over what the role owns in the database that is connected to.
    async fn handed_over(&self, call: &Call<'_>) -> Result<(), RemoteError> {
        let joined = self.join(call, self.task.name()).await?;
        if let Some(reassign_to) = &self.task.mutation.settings.reassign_owned_to {
            self.hand_over(call, reassign_to).await?;
        }
        self.leave(call, self.task.name(), joined).await
    }

    /// Hands over what the role owns. Whoever does that has to have the privileges of the new owner, too: if need be,
    /// for the length of this transaction.
    async fn hand_over(&self, call: &Call<'_>, reassign_to: &str) -> Result<(), RemoteError> {
        let joined = self.join(call, reassign_to).await?;
        let sql = format!(
            "REASSIGN OWNED BY {} TO {}",
            self.task.ident(),
            ident(reassign_to)
        );
        call.change(HAND_OVER, &sql).await?;
        self.leave(call, reassign_to, joined).await
    }

    /// Clears the operator's own database, and drops the role.
    async fn drop_role(&self, call: &mut Call<'_>, role: &Role) -> Result<Option<Timestamp>, RemoteError> {
        let result = begun!(call, self.gate => self.dropped(call, role));
        call.end(self.gate, result).await
    }

    async fn dropped(&self, call: &Call<'_>, role: &Role) -> Result<Option<Timestamp>, RemoteError> {
        let date = self.guard(call, role).await?;
        self.cleared(call, role).await?;
        let sql = format!("DROP ROLE {}", self.task.ident());
        call.change(ALTER, &sql).await.map(|()| date)
    }
}

/// What is done in a database.
#[derive(Clone, Copy)]
enum Work {
    Clear,
    HandOver,
}

/// How that ends.
#[derive(Clone, Copy)]
enum Ending {
    Committed,
    Undone,
}

async fn has_sessions(call: &Call<'_>, role: &Role) -> Result<bool, RemoteError> {
    const SESSIONS: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity \
        WHERE usesysid = $1 AND pid <> pg_backend_pid())";
    ask(call, SESSIONS, (&role.oid, Type::OID)).await
}

/// How a membership is made that lets one act as the role.
fn options(call: &Call<'_>) -> &'static str {
    match call.facts().has_grant_options() {
        true => " WITH INHERIT TRUE, SET TRUE",
        false => "",
    }
}

/// Whether the operator's login may do whatever this role may.
async fn has_privileges(call: &Call<'_>, role: &str) -> Result<bool, RemoteError> {
    // Without SET, it could not make the role the owner of anything.
    let set = match call.facts().has_grant_options() {
        true => " AND pg_has_role($1, 'SET')",
        false => "",
    };
    ask(
        call,
        &format!("SELECT pg_has_role($1, 'USAGE'){set}"),
        (&role, Type::NAME),
    )
    .await
}

/// Whether the operator's login has a membership that a GRANT and REVOKE of its own would take away.
async fn has_own_membership(call: &Call<'_>, role: &str) -> Result<bool, RemoteError> {
    let by_me = match call.facts().has_grant_options() {
        true => " AND m.grantor = me.oid",
        false => "",
    };
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_auth_members m \
           JOIN pg_catalog.pg_roles me ON me.oid = m.member AND me.rolname = current_user \
           JOIN pg_catalog.pg_roles r ON r.oid = m.roleid AND r.rolname = $1{by_me})"
    );
    ask(call, &sql, (&role, Type::NAME)).await
}

async fn ask(call: &Call<'_>, sql: &str, role: (&(dyn ToSql + Sync), Type)) -> Result<bool, RemoteError> {
    let rows = call.query(sql, &[role]).await?;
    let answer = rows.first().ok_or_else(|| call.odd())?;
    answer.try_get(0).map_err(|_| call.odd())
}

/// Refused, since these are in the way.
fn blocked(call: &Call<'_>, what: &str, found: Vec<DeletionBlocker>) -> RemoteError {
    let refusal = RemoteError::new(call.operation, ErrorClass::Invalid, &blockers::told(what, &found));
    RemoteError {
        blockers: found,
        ..refusal
    }
}

/// The other databases where something hangs on the role.
fn elsewhere<'a>(dependents: impl IntoIterator<Item = &'a Holding>) -> impl Iterator<Item = &'a str> {
    let databases: BTreeMap<u32, &str> = dependents
        .into_iter()
        .filter(|holding| !holding.here)
        .filter_map(|holding| Some((holding.database_oid, holding.database.as_deref()?)))
        .collect();
    databases.into_values()
}

fn here(mut holdings: Vec<Holding>) -> Vec<Holding> {
    holdings.retain(Holding::is_here);
    holdings
}

/// What had been done before it failed: that was taken from the role, and is not given back.
fn after(error: RemoteError, cleared: &[&str]) -> RemoteError {
    if cleared.is_empty() {
        return error;
    }
    let databases: Vec<_> = cleared.iter().map(|name| shown(name)).collect();
    let what = error
        .detail
        .strip_prefix(" (")
        .and_then(|what| what.strip_suffix(')'));
    let before = what.map(|what| format!("{what}; ")).unwrap_or_default();
    RemoteError {
        detail: format!(
            " ({before}what it owned was handed over, and what it was given was taken back, in {})",
            databases.join(", ")
        ),
        ..error
    }
}

/// A failure to connect to a database that is not the operator's own says nothing of its credentials.
fn unconnected(error: RemoteError, database: &str) -> RemoteError {
    RemoteError {
        class: match error.class {
            ErrorClass::Unauthorized => ErrorClass::Invalid,
            class => class,
        },
        detail: within(&error.detail, database),
        ..error
    }
}

/// A detail with the database that it is about.
fn within(detail: &str, database: &str) -> String {
    let what = detail.strip_prefix(" (").and_then(|what| what.strip_suffix(')'));
    match what {
        Some(what) => format!(" (in database {}: {what})", shown(database)),
        None => detail.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_before_it_failed_is_told() {
        let failed = || RemoteError::new("delete user", ErrorClass::Busy, "somebody else holds a lock");
        assert_eq!(after(failed(), &[]).detail, " (somebody else holds a lock)");
        assert_eq!(
            after(failed(), &["app", "a\"b"]).detail,
            " (somebody else holds a lock; what it owned was handed over, and what it was given was taken back, in \"app\", \"a\\\"b\")"
        );
    }
}
