//! Making and changing roles. Each function is the inside of one transaction.

use std::sync::Arc;

use jiff::Timestamp;

use super::call::Call;
use super::errors::SqlStep;
use super::giving::Giving;
use super::mark::{self, Marking};
use super::roles::{self, Grant, ReadAt, Role};
use super::task::{Denied, Task};
use super::text::{ident, identifier, is_name, literal, shown};
use crate::domain::parameters;
use crate::domain::password::Password;
use crate::domain::role::{FoundRole, RoleOptions};
use crate::domain::sql;
use crate::provider::{ErrorClass, RemoteError, RemoteUser};

pub(super) const CREATE: SqlStep = SqlStep {
    needs: "the operator's login needs CREATEROLE, and each attribute that it is to give: CREATEDB, CREATEROLE",
    other: None,
};

pub(super) const ALTER: SqlStep = SqlStep {
    needs: "the operator's login needs CREATEROLE; since PostgreSQL 16 also ADMIN OPTION on the role, and each \
            attribute that it is to give or take: CREATEDB, CREATEROLE",
    other: None,
};

const GRANT: SqlStep = SqlStep {
    needs: "the operator's login needs ADMIN OPTION on every role that it is to make others members of, or, \
            before PostgreSQL 16, CREATEROLE",
    other: Some("a role that it should be a member of does not exist"),
};

const SET: SqlStep = SqlStep {
    needs: "only a superuser may set it, or, since PostgreSQL 15, a role that was given SET on the parameter: the operator's login is \
            neither",
    other: Some("the server does not know it"),
};

/// Reads the role that an order means; not found if there is none, or if it is somebody else's.
pub(super) async fn meant(call: &Call<'_>, task: Task<'_>) -> Result<ReadAt<Role>, RemoteError> {
    let seen = roles::one(call, task.name()).await?;
    let refused = |what: &str| RemoteError::new(call.operation, ErrorClass::NotFound, what);
    match seen.value {
        None => Err(refused("there is no such role")),
        Some(role) if role.user.protected => Err(refused("the role is protected")),
        Some(role) if !task.means(&role) => Err(refused("the role is somebody else's")),
        Some(role) => Ok(ReadAt {
            value: role,
            date: seen.date,
        }),
    }
}

/// Changes the role that an order means: looked at before, so that nothing else is even tried, and again behind
/// the lock that the change takes, so that nothing can come in between.
pub(super) async fn change_meant(
    call: &Call<'_>,
    task: Task<'_>,
    step: SqlStep,
    sql: &str,
) -> Result<Role, RemoteError> {
    let before = meant(call, task).await?.value;
    let after = change_known(call, task, step, sql, before.oid).await;
    match after {
        Err(error) if error.class == ErrorClass::Invalid => {
            Err(unadministered(call, task, &before).unwrap_or(error))
        }
        after => Ok(after?.value),
    }
}

/// What is said where the operator's login may not change a role for want of ADMIN OPTION: whoever made a login before
/// PostgreSQL 16 has none on it after an upgrade.
pub(super) fn unadministered(call: &Call<'_>, task: Task<'_>, role: &Role) -> Option<RemoteError> {
    let operator = role.unadministered_by.as_ref()?;
    let grant = sql::admin_grant(task.name(), operator);
    let what = format!(
        "SQLSTATE 42501: the operator's login has no ADMIN OPTION on this one, as on each that somebody else has made, or that it has \
         made itself before an upgrade to PostgreSQL 16. A superuser gives it: {grant}"
    );
    Some(RemoteError::new(call.operation, ErrorClass::Invalid, &what))
}

/// The same with a role that was found to be the one just before.
pub(super) async fn change_known(
    call: &Call<'_>,
    task: Task<'_>,
    step: SqlStep,
    sql: &str,
    oid: u32,
) -> Result<ReadAt<Role>, RemoteError> {
    call.change(step, sql).await?;
    let after = meant(call, task).await?;
    match oid == after.value.oid {
        true => Ok(after),
        false => Err(RemoteError::new(
            call.operation,
            ErrorClass::Busy,
            "somebody else was changing the same",
        )),
    }
}

/// What the role is at the end of a transaction, and which of its memberships were granted in it.
async fn written(
    call: &Call<'_>,
    task: Task<'_>,
    granted: &[&str],
) -> Result<ReadAt<Option<RemoteUser>>, RemoteError> {
    let seen = roles::one(call, task.name()).await?;
    let mut user = seen.value.map(|role| role.user);
    if let Some(role) = user.as_mut().and_then(|user| user.traits.role.as_mut())
        && !granted.is_empty()
    {
        let grants = roles::grants(call, task.name()).await?;
        let ours = grants
            .into_iter()
            .filter(|it| granted.contains(&it.group.as_str()));
        Arc::make_mut(role).just_granted = ours.map(|it| (it.group, Some(it.grantor))).collect();
    }
    Ok(ReadAt {
        value: user,
        date: seen.date,
    })
}

/// Makes a role.
pub(super) async fn create(
    call: &Call<'_>,
    task: Task<'_>,
    password: &Password,
) -> Result<ReadAt<Option<RemoteUser>>, RemoteError> {
    let options = task.mutation.settings.options.clone().unwrap_or_default();
    let login = if options.login { "LOGIN" } else { "NOLOGIN" };
    let mut words = vec![format!("CREATE ROLE {} {login}", task.ident())];
    words.extend(attributes(&options, &FoundRole::as_created()));
    let statement = words.join(" ");
    if options.login {
        let giving = Giving::new(call, task, statement, password).await?;
        if let Err(error) = call.change(CREATE, &giving.sql).await {
            return Err(giving.explained(call, CREATE, error).await);
        }
    } else {
        call.change(CREATE, &statement).await?;
    }
    set_mark(call, task, None).await?;
    for group in &options.member_of {
        // A login that works and is no member is worth more than none: what is missing is told, and tried again, once it is there.
        let granting = grant(call, task, group, &Inherit::AsTheRole);
        match call.tried(GRANT, granting).await? {
            Err(error) if error.class != ErrorClass::Invalid => return Err(error),
            _ => {}
        }
    }
    // Most logins set none, and a savepoint is two more trips to the server.
    if !options.config.is_empty()
        && let Err(error) = call
            .tried(SET, reset(call, task, &options, &FoundRole::as_created()))
            .await?
        && error.class != ErrorClass::Invalid
    {
        return Err(error);
    }
    let all: Vec<_> = options.member_of.iter().map(String::as_str).collect();
    written(call, task, &all).await
}

/// What is said of a role that nobody is to log in with.
const LOCKED: &str = "NOLOGIN PASSWORD NULL";

/// Gives a role a password.
pub(super) async fn set_password(
    call: &Call<'_>,
    task: Task<'_>,
    password: &Password,
) -> Result<ReadAt<Option<RemoteUser>>, RemoteError> {
    let role = match task.mutation.settings.logs_in() {
        true => give_password(call, task, password).await?,
        false => {
            let sql = format!("ALTER ROLE {} {LOCKED}", task.ident());
            change_meant(call, task, ALTER, &sql).await?
        }
    };
    if role.marking != Marking::Mark(task.mark.clone()) {
        set_mark(call, task, role.comment.as_deref()).await?;
    }
    written(call, task, &[]).await
}

/// A password that nobody may log in with would be taken for one that is not in effect yet, and sent for ever: who took LOGIN
/// since the last look loses that race.
async fn give_password(call: &Call<'_>, task: Task<'_>, password: &Password) -> Result<Role, RemoteError> {
    let statement = format!("ALTER ROLE {} LOGIN", task.ident());
    let giving = Giving::new(call, task, statement, password).await?;
    match change_meant(call, task, ALTER, &giving.sql).await {
        Ok(role) => Ok(role),
        Err(error) => Err(giving.explained(call, ALTER, error).await),
    }
}

/// Gives a role its attributes and memberships.
pub(super) async fn configure(
    call: &Call<'_>,
    task: Task<'_>,
) -> Result<ReadAt<Option<RemoteUser>>, RemoteError> {
    let before = meant(call, task).await?.value;
    let logs_in = task.mutation.settings.logs_in();
    let mut words = vec![if logs_in { "LOGIN" } else { LOCKED }.to_string()];
    if let Some(options) = &task.mutation.settings.options {
        words.extend(attributes(options, &before.found));
    }
    let sql = format!("ALTER ROLE {} {}", task.ident(), words.join(" "));
    let role = change_meant(call, task, ALTER, &sql).await?;
    if role.marking != Marking::Mark(task.mark.clone()) {
        set_mark(call, task, role.comment.as_deref()).await?;
    }
    let granted = match &task.mutation.settings.options {
        Some(options) => {
            reset(call, task, options, &role.found).await?;
            regrant(call, task, options, &role).await?
        }
        None => Vec::new(),
    };
    written(call, task, &granted).await
}

/// Makes the parameters that are ours to set what they should be.
async fn reset(
    call: &Call<'_>,
    task: Task<'_>,
    options: &RoleOptions,
    found: &FoundRole,
) -> Result<(), RemoteError> {
    let login = task.ident();
    for name in options.to_reset(found) {
        call.change(SET, &format!("ALTER ROLE {login} RESET {}", parameter(name)))
            .await
            .map_err(|error| about(name, error))?;
    }
    for (name, value) in options.to_set(found) {
        let items = parameters::items(name, value);
        let items: Vec<_> = items.iter().map(|item| literal(item)).collect();
        let sql = format!(
            "ALTER ROLE {login} SET {} TO {}",
            parameter(name),
            items.join(", ")
        );
        call.change(SET, &sql).await.map_err(|error| about(name, error))?;
    }
    Ok(())
}

/// A parameter's name in SQL: one that is not PostgreSQL's own has two parts.
fn parameter(name: &str) -> String {
    let parts: Vec<_> = name.split('.').map(ident).collect();
    parts.join(".")
}

/// A refusal that says which parameter it is about.
fn about(name: &str, error: RemoteError) -> RemoteError {
    match error.class {
        ErrorClass::Invalid => RemoteError {
            detail: format!(" for the parameter {}{}", shown(name), error.detail),
            ..error
        },
        _ => error,
    }
}

/// Makes the memberships that are ours to make what they should be. Gives those that it has granted.
async fn regrant<'a>(
    call: &Call<'_>,
    task: Task<'_>,
    options: &'a RoleOptions,
    role: &Role,
) -> Result<Vec<&'a str>, RemoteError> {
    let FoundRole {
        granted,
        granted_by_others,
        ..
    } = &*role.found;
    for group in granted.difference(&options.member_of) {
        let sql = format!("REVOKE {} FROM {}", ident(group), task.ident());
        call.change(GRANT, &sql).await?;
    }
    // Before PostgreSQL 16 it does not matter who has granted a membership.
    let grants = match call.facts().has_grant_options() && !options.applied.is_empty() {
        true => roles::grants(call, task.name()).await?,
        false => Vec::new(),
    };
    for (group, grantor) in options.surplus(&role.found) {
        take_back(call, task, group, grantor, &grants).await?;
    }
    let mut new = Vec::new();
    for group in &options.member_of {
        if role.odd_grants.contains(group) {
            grant(call, task, group, &Inherit::Said(role.inherits, None)).await?;
        } else if !granted.contains(group) && !granted_by_others.contains(group) {
            grant(call, task, group, &Inherit::AsTheRole).await?;
            new.push(group.as_str());
        } else if let Some(odd) = grants
            .iter()
            .find(|it| it.group == *group && is_odd(it, options, role))
        {
            let grantor = Some(odd.grantor.clone());
            grant(call, task, group, &Inherit::Said(role.inherits, grantor)).await?;
        }
    }
    Ok(new)
}

/// Whether a membership was granted for the spec, and inherits as the role does not.
fn is_odd(grant: &Grant, options: &RoleOptions, role: &Role) -> bool {
    let is_ours = options.applied.get(&grant.group).is_some_and(|grantor| {
        let recorded = grantor.as_ref();
        recorded.is_none_or(|grantor| *grantor == grant.grantor)
    });
    is_ours && grant.is_within_reach && grant.inherits != Some(role.inherits)
}

/// Takes back a membership that was granted for the spec, and counts as granted by another role. Others' own grants stay.
async fn take_back(
    call: &Call<'_>,
    task: Task<'_>,
    group: &str,
    grantor: Option<&str>,
    grants: &[Grant],
) -> Result<(), RemoteError> {
    let sql = format!("REVOKE {} FROM {}", ident(group), task.ident());
    if !call.facts().has_grant_options() {
        return call.change(GRANT, &sql).await;
    }
    let ours = grants.iter().filter(|it| {
        let is_ours = grantor.map_or(it.is_within_reach, |grantor| grantor == it.grantor);
        it.group == group && is_ours
    });
    for it in ours {
        let by = format!("{sql} GRANTED BY {}", ident(&it.grantor));
        call.change(GRANT, &by).await.map_err(|error| match error.class {
            ErrorClass::Invalid => out_of_reach(call, task, group, &it.grantor),
            _ => error,
        })?;
    }
    Ok(())
}

fn out_of_reach(call: &Call<'_>, task: Task<'_>, group: &str, grantor: &str) -> RemoteError {
    let [role, login, by] = [group, task.name(), grantor].map(identifier);
    let sql = format!("REVOKE {role} FROM {login} GRANTED BY {by}");
    let (group, grantor) = (shown(group), shown(grantor));
    let what = format!(
        "the membership in {group} counts as granted by {grantor}, whose privileges the operator's login does not have any more: \
         {grantor} or a superuser can take it back ({sql})"
    );
    RemoteError::new(call.operation, ErrorClass::Invalid, &what)
}

/// Whether a membership inherits. Since PostgreSQL 16 each has an option of its own.
enum Inherit {
    /// As the role does when it is granted.
    AsTheRole,
    /// Said anew of one that there is, since the role has changed; by this role, if it is not the operator's login that has granted it.
    Said(bool, Option<String>),
}

impl Inherit {
    fn clauses(&self) -> String {
        match self {
            Inherit::AsTheRole => String::new(),
            Inherit::Said(inherits, grantor) => {
                let inherits = if *inherits { "TRUE" } else { "FALSE" };
                let by = grantor.as_ref().map(|it| format!(" GRANTED BY {}", ident(it)));
                format!(" WITH INHERIT {inherits}{}", by.unwrap_or_default())
            }
        }
    }
}

/// Makes the role a member of another.
async fn grant(call: &Call<'_>, task: Task<'_>, group: &str, inherit: &Inherit) -> Result<(), RemoteError> {
    if !is_name(group) {
        return Err(RemoteError::new(
            call.operation,
            ErrorClass::Invalid,
            "the name of a role that it should be a member of is no name",
        ));
    }
    if let Inherit::AsTheRole = inherit {
        let given = roles::given(call, group).await?;
        let options = task.mutation.settings.options.as_ref();
        let is_named = options.is_some_and(|options| options.named.contains(group));
        if let Some(denied) = task.denied(&given, is_named) {
            let what = format!("the role {} {}", shown(group), why(denied));
            return Err(RemoteError::new(call.operation, ErrorClass::Invalid, &what));
        }
    }
    let sql = format!("GRANT {} TO {}{}", ident(group), task.ident(), inherit.clauses());
    call.change(GRANT, &sql).await
}

/// What is said of a role that nobody is made a member of.
fn why(denied: Denied) -> &'static str {
    match denied {
        Denied::All => {
            "is a superuser, for replication, or the operator's own login, or is a member of one that is: nobody is made a member \
             of it"
        }
        Denied::Over => {
            "has CREATEROLE or BYPASSRLS, or is a member of a role that does: patterns do not cover it, the server object has to \
             name it in full (spec.postgresql.allowed.roles)"
        }
        Denied::Foreign => {
            "is the login of a PostgresUser that is not of this namespace, or a member of one: patterns do not cover it, the \
             server object has to name it in full (spec.postgresql.allowed.roles)"
        }
    }
}

/// Writes our mark into the role's comment, and leaves the rest of it.
async fn set_mark(call: &Call<'_>, task: Task<'_>, comment: Option<&str>) -> Result<(), RemoteError> {
    let comment = mark::write(comment, task.mark);
    let sql = format!("COMMENT ON ROLE {} IS {}", task.ident(), literal(&comment));
    call.change(ALTER, &sql).await
}

/// The attributes that differ, as CREATE and ALTER ROLE are told them. Those that do not are not named: since
/// PostgreSQL 16 only who has CREATEDB may as much as say NOCREATEDB.
fn attributes(wanted: &RoleOptions, found: &FoundRole) -> Vec<String> {
    let mut words = Vec::new();
    if wanted.connection_limit != found.connection_limit {
        words.push(format!("CONNECTION LIMIT {}", wanted.connection_limit));
    }
    if wanted.valid_until != found.valid_until {
        words.push(format!("VALID UNTIL '{}'", until(wanted.valid_until)));
    }
    for (wanted, found, yes, no) in [
        (
            wanted.create_database,
            found.create_database,
            "CREATEDB",
            "NOCREATEDB",
        ),
        (
            wanted.create_role,
            found.create_role,
            "CREATEROLE",
            "NOCREATEROLE",
        ),
        (wanted.inherit, found.inherit, "INHERIT", "NOINHERIT"),
    ] {
        if wanted != found {
            words.push(if wanted { yes } else { no }.to_string());
        }
    }
    words
}

fn until(moment: Option<Timestamp>) -> String {
    moment.map_or_else(|| "infinity".to_string(), |moment| moment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_said() {
        assert!(attributes(&RoleOptions::default(), &FoundRole::as_created()).is_empty());
        let wanted = RoleOptions {
            connection_limit: 5,
            valid_until: Some("2030-01-02T03:04:05Z".parse().unwrap()),
            create_database: true,
            create_role: true,
            inherit: false,
            ..RoleOptions::default()
        };
        assert_eq!(
            attributes(&wanted, &FoundRole::as_created()).join(" "),
            "CONNECTION LIMIT 5 VALID UNTIL '2030-01-02T03:04:05Z' CREATEDB CREATEROLE NOINHERIT"
        );
        let found = FoundRole {
            connection_limit: 5,
            valid_until: wanted.valid_until,
            create_database: true,
            create_role: true,
            inherit: false,
            ..FoundRole::as_created()
        };
        assert_eq!(
            attributes(&RoleOptions::default(), &found).join(" "),
            "CONNECTION LIMIT -1 VALID UNTIL 'infinity' NOCREATEDB NOCREATEROLE INHERIT"
        );
    }
}
