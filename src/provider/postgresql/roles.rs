//! Reading roles.
//!
//! All roles are read, not only logins: a name that a group has is taken. Groups are shown as protected, as are
//! superusers, roles for replication, PostgreSQL's own and the operator's own login, so that none of them is ever
//! touched or taken for absent. A role without LOGIN that carries a mark is a login that somebody has locked.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::call::Call;
use super::connection::SessionFacts;
use super::errors::standing_by;
use super::mark::{self, Marking};
use super::text::Bytes;
use crate::domain::parameters::Parameters;
use crate::domain::role::{FoundRole, Memberships, Power, Traits};
use crate::domain::time::whole_seconds;
use crate::provider::{Creator, ErrorClass, RemoteError, RemoteUser, TOO_MANY};

/// A role as it was read.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) user: RemoteUser,
    pub(super) oid: u32,
    pub(super) marking: Marking,
    pub(super) comment: Option<String>,
    /// INHERIT.
    pub(super) inherits: bool,
    pub(super) found: Arc<FoundRole>,
    /// Memberships by our own grant whose INHERIT is not as the role's (PostgreSQL 16 and later).
    pub(super) odd_grants: BTreeSet<String>,
    /// The operator's login, if it may not administer the role for want of ADMIN OPTION (PostgreSQL 16 and later; asked of one
    /// role by itself only).
    pub(super) unadministered_by: Option<String>,
}

/// What was read, and when by the server's clock.
pub(super) struct ReadAt<T> {
    pub(super) value: T,
    pub(super) date: Option<Timestamp>,
}

/// The query for all roles, or for the one whose name is `$1`.
///
/// What PostgreSQL keeps of a password never leaves it: only a digest does. Who granted a membership: since
/// PostgreSQL 16 a grant by any superuser counts as the bootstrap superuser's, so that a superuser takes all of
/// those for its own.
fn query(facts: SessionFacts, one: bool) -> String {
    let which = match one {
        true => "r.rolname = $1",
        false => "true",
    };
    let (stamp, passwords) = match facts.sees_passwords {
        true => (
            "encode(sha256(convert_to(coalesce(a.rolpassword, ''), 'UTF8')), 'hex')",
            "LEFT JOIN pg_catalog.pg_authid a ON a.oid = r.oid",
        ),
        false => ("NULL::text", ""),
    };
    let (any_superuser, odd) = match facts.has_grant_options() {
        true => ("n.super AND m.grantor = 10", "m.inherit_option <> r.rolinherit"),
        false => ("false", "false"),
    };
    let mine = format!("(m.grantor = n.me OR ({any_superuser}))");
    let administered = match one && facts.has_grant_options() {
        true => "pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION')",
        false => "true",
    };
    format!(
        "SELECT n.standby, n.now, r.oid, r.rolname::text AS name, d.description AS comment, \
           r.rolsuper OR r.rolreplication OR r.oid < 16384 OR r.rolname ^@ 'pg_' \
             OR r.oid = n.me OR r.rolname = session_user AS special, \
           r.rolsuper OR r.rolreplication OR r.oid = n.me OR r.rolname = session_user AS unattainable, \
           r.rolcanlogin AS login, r.rolconnlimit AS connections, \
           r.rolcreatedb AS createdb, r.rolcreaterole AS createrole, r.rolinherit AS inherit, \
           r.rolbypassrls AS bypassrls, \
           CASE WHEN isfinite(r.rolvaliduntil) THEN (extract(epoch FROM r.rolvaliduntil) * 1000000)::int8 \
             WHEN r.rolvaliduntil < now() THEN {NEVER} END AS valid_until, \
           r.rolconfig AS config, CASE WHEN NOT {administered} THEN current_user::text END AS unadministered_by, g.mine, g.others, g.odd, {stamp} AS stamp \
         FROM (SELECT pg_is_in_recovery() AS standby, \
             (extract(epoch FROM clock_timestamp()) * 1000000)::int8 AS now, oid AS me, rolsuper AS super \
           FROM pg_catalog.pg_roles WHERE rolname = current_user) n \
         LEFT JOIN pg_catalog.pg_roles r ON {which} \
         LEFT JOIN pg_catalog.pg_shdescription d \
           ON d.objoid = r.oid AND d.classoid = 'pg_catalog.pg_authid'::regclass \
         {passwords} \
         LEFT JOIN LATERAL (SELECT \
             array_agg(DISTINCT t.rolname::text) FILTER (WHERE {mine}) AS mine, \
             array_agg(DISTINCT t.rolname::text) FILTER (WHERE NOT {mine}) AS others, \
             array_agg(DISTINCT t.rolname::text) FILTER (WHERE {mine} AND {odd}) AS odd \
           FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles t ON t.oid = m.roleid \
           WHERE m.member = r.oid) g ON true \
         ORDER BY r.oid"
    )
}

/// What a role gives to whoever becomes a member of it.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) power: Power,
    /// Whose logins come with it: its own mark, and those of the roles that it is a member of.
    pub(super) logins: Vec<Marking>,
}

/// What the role of this name gives; one that does not exist gives nothing.
pub(super) async fn given(call: &Call<'_>, name: &str) -> Result<Given, RemoteError> {
    const GIVEN: &str = "SELECT \
          coalesce(bool_or(r.rolsuper OR r.rolreplication OR r.rolname IN (current_user, session_user)), false) AS all, \
          coalesce(bool_or(r.rolcreaterole OR r.rolbypassrls), false) AS over, \
          array_agg(d.description) FILTER (WHERE d.description IS NOT NULL) AS comments \
        FROM pg_catalog.pg_roles g JOIN pg_catalog.pg_roles r ON pg_has_role(g.oid, r.oid, 'MEMBER') \
        LEFT JOIN pg_catalog.pg_shdescription d \
          ON d.objoid = r.oid AND d.classoid = 'pg_catalog.pg_authid'::regclass \
        WHERE g.rolname = $1";
    let rows = call.query(GIVEN, &[(&name, Type::TEXT)]).await?;
    let row = rows.first().ok_or_else(|| call.odd())?;
    read_given(row).map_err(|_| call.odd())
}

fn read_given(row: &Row) -> Result<Given, tokio_postgres::Error> {
    let comments: Option<Vec<Bytes>> = row.try_get("comments")?;
    let comments = comments.into_iter().flatten().map(Bytes::into_shown);
    let marks = comments.map(|comment| mark::read(Some(&comment)));
    Ok(Given {
        power: match (row.try_get("all")?, row.try_get("over")?) {
            (true, _) => Power::All,
            (false, true) => Power::Over,
            (false, false) => Power::Plain,
        },
        logins: marks.filter(|mark| *mark != Marking::None).collect(),
    })
}

/// Who counts as having granted a membership.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) group: String,
    pub(super) grantor: String,
    /// INHERIT of the membership itself; none before PostgreSQL 16.
    pub(super) inherits: Option<bool>,
    /// The operator's login may act as the grantor.
    pub(super) is_within_reach: bool,
}

/// The memberships of the role of this name.
pub(super) async fn grants(call: &Call<'_>, name: &str) -> Result<Vec<Grant>, RemoteError> {
    let inherits = match call.facts().has_grant_options() {
        true => "m.inherit_option",
        false => "NULL::boolean",
    };
    let sql = format!(
        "SELECT t.rolname::text, g.rolname::text, {inherits}, pg_has_role(g.oid, 'USAGE') \
         FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.member AND r.rolname = $1 \
         JOIN pg_catalog.pg_roles t ON t.oid = m.roleid JOIN pg_catalog.pg_roles g ON g.oid = m.grantor \
         ORDER BY 1, 2"
    );
    let rows = call.query(&sql, &[(&name, Type::TEXT)]).await?;
    let grants: Result<_, _> = rows.iter().map(grant).collect();
    grants.map_err(|_| call.odd())
}

fn grant(row: &Row) -> Result<Grant, tokio_postgres::Error> {
    Ok(Grant {
        group: row.try_get::<_, Bytes>(0)?.into_shown(),
        grantor: row.try_get::<_, Bytes>(1)?.into_shown(),
        inherits: row.try_get(2)?,
        is_within_reach: row.try_get(3)?,
    })
}

/// What `VALID UNTIL '-infinity'` is read as.
const NEVER: i64 = i64::MIN + 1;

/// All roles, if there are no more than this.
pub(super) async fn all(call: &Call<'_>, most: usize) -> Result<ReadAt<Vec<Role>>, RemoteError> {
    let sql = format!("{} LIMIT {}", query(call.facts(), false), most.saturating_add(1));
    let rows = call.query(&sql, &[]).await?;
    match rows.len() > most {
        true => Err(RemoteError::new(
            call.operation,
            ErrorClass::UNREACHABLE,
            TOO_MANY,
        )),
        false => read(call, &rows),
    }
}

/// The role of this name.
pub(super) async fn one(call: &Call<'_>, name: &str) -> Result<ReadAt<Option<Role>>, RemoteError> {
    let sql = query(call.facts(), true);
    let seen = read(call, &call.query(&sql, &[(&name, Type::TEXT)]).await?)?;
    Ok(ReadAt {
        value: seen.value.into_iter().next(),
        date: seen.date,
    })
}

/// How many sessions the role of this name has on this server, which any login may see.
pub(super) async fn sessions(call: &Call<'_>, name: &str) -> Result<Option<u32>, RemoteError> {
    const SESSIONS: &str =
        "SELECT count(*)::int8 AS number FROM pg_catalog.pg_stat_activity WHERE usename::text = $1";
    let rows = call.query(SESSIONS, &[(&name, Type::TEXT)]).await?;
    let number = rows.first().map(|row| row.try_get::<_, i64>("number"));
    let number = number.transpose().map_err(|_| call.odd())?;
    Ok(number.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
}

fn read(call: &Call<'_>, rows: &[Row]) -> Result<ReadAt<Vec<Role>>, RemoteError> {
    // Without its own login in the catalog, a server would answer nothing at all: that is no list.
    let first = rows.first().ok_or_else(|| call.odd())?;
    let standby: bool = first.try_get("standby").map_err(|_| call.odd())?;
    if standby {
        call.note_read_only();
        return Err(standing_by(call.operation));
    }
    let now: i64 = first.try_get("now").map_err(|_| call.odd())?;
    let roles: Result<Vec<_>, _> = rows.iter().map(role).collect();
    let roles = roles.map_err(|_| call.odd())?.into_iter().flatten();
    let mut kinds = HashSet::new();
    Ok(ReadAt {
        value: roles.map(|role| like_others(role, &mut kinds)).collect(),
        date: date(now),
    })
}

/// A role that keeps what it is together with all that are alike.
fn like_others(mut role: Role, kinds: &mut HashSet<Arc<FoundRole>>) -> Role {
    if let Some(found) = &mut role.user.traits.role {
        match kinds.get(&**found) {
            Some(kind) => *found = kind.clone(),
            None => drop(kinds.insert(found.clone())),
        }
    }
    role
}

/// A row; none if it only says that there is no role.
fn role(row: &Row) -> Result<Option<Role>, tokio_postgres::Error> {
    let Some(username) = row.try_get::<_, Option<Bytes>>("name")? else {
        return Ok(None);
    };
    let comment = row.try_get::<_, Option<Bytes>>("comment")?.map(Bytes::text);
    let marking = mark::read(
        comment
            .as_ref()
            .map(|text| text.as_ref().unwrap_or_else(|it| it).as_str()),
    );
    let found = Arc::new(found(row)?);
    // What is not UTF-8 cannot be written as it was, so it is not touched; a mark in it is read all the same.
    let unwritable = matches!(&comment, Some(Err(_))) && !matches!(marking, Marking::Mark(_));
    let comment = comment.map(|text| text.unwrap_or_else(|escaped| escaped));
    let (username, nameless) = match username.text() {
        Ok(username) => (username, false),
        Err(escaped) => (escaped, true),
    };
    let special = row.try_get::<_, bool>("special")? || nameless || unwritable;
    let is_group = !found.login && marking == Marking::None;
    let protected = special || is_group;
    let creator = match &marking {
        Marking::Mark(mark) => Creator::Marked(mark.clone()),
        Marking::Unreadable => Creator::Unknown,
        Marking::None if protected => Creator::System,
        Marking::None => Creator::Unmanaged,
    };
    let user = RemoteUser {
        username,
        protected,
        creator,
        created: None,
        modified: None,
        traits: Traits {
            read_only: None,
            role: Some(found.clone()),
            password_stamp: row.try_get("stamp")?,
            sessions: None,
        },
    };
    Ok(Some(Role {
        user,
        oid: row.try_get("oid")?,
        marking,
        comment,
        inherits: found.inherit,
        found,
        odd_grants: names(row, "odd")?,
        unadministered_by: row
            .try_get::<_, Option<Bytes>>("unadministered_by")?
            .map(Bytes::into_shown),
    }))
}

fn found(row: &Row) -> Result<FoundRole, tokio_postgres::Error> {
    Ok(FoundRole {
        login: row.try_get("login")?,
        connection_limit: row.try_get("connections")?,
        valid_until: row.try_get::<_, Option<i64>>("valid_until")?.map(moment),
        create_database: row.try_get("createdb")?,
        create_role: row.try_get("createrole")?,
        inherit: row.try_get("inherit")?,
        bypass_rls: row.try_get("bypassrls")?,
        unattainable: row
            .try_get::<_, Option<bool>>("unattainable")?
            .unwrap_or_default(),
        granted: names(row, "mine")?,
        granted_by_others: names(row, "others")?,
        just_granted: Memberships::new(),
        config: parameters(row)?,
    })
}

/// What a role sets for its sessions in every database. PostgreSQL spells some names in mixed case.
fn parameters(row: &Row) -> Result<Parameters, tokio_postgres::Error> {
    let settings: Option<Vec<Bytes>> = row.try_get("config")?;
    let settings = settings.into_iter().flatten().map(Bytes::into_shown);
    let parsed = settings.filter_map(|setting| {
        let (name, value) = setting.split_once('=')?;
        Some((name.to_ascii_lowercase(), value.to_string()))
    });
    Ok(parsed.collect())
}

fn names(row: &Row, column: &str) -> Result<BTreeSet<String>, tokio_postgres::Error> {
    let names: Option<Vec<Bytes>> = row.try_get(column)?;
    Ok(names.into_iter().flatten().map(Bytes::into_shown).collect())
}

/// What the server's clock shows, in whole seconds like every date that is compared.
pub(super) fn date(micros: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros).ok().map(whole_seconds)
}

/// A moment; PostgreSQL knows some that are further away than can be said here.
fn moment(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(match micros < 0 {
        true => Timestamp::MIN,
        false => Timestamp::MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_clock_is_read_in_whole_seconds_if_it_is_a_date_at_all() {
        let second = 1_700_000_000;
        for micros in [0, 1, 500_000, 999_999] {
            assert_eq!(
                date(second * 1_000_000 + micros),
                Timestamp::from_second(second).ok(),
                "{micros}"
            );
        }
        assert_eq!(date(i64::MAX), None);
    }
}
