//! What hangs on a role, in all databases: what it owns and what it was given, counted. [`super::blockers`] has the names.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::call::Call;
use super::text::{Bytes, shown};
use crate::provider::RemoteError;

/// Things of one kind in one place that hang on a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holding {
    /// The database's oid; 0 for what belongs to none.
    pub(super) database_oid: u32,
    /// The database; none for what belongs to none.
    pub(super) database: Option<String>,
    /// Whether the database can be connected to at all.
    pub(super) connectable: bool,
    /// Whether it is the database that was connected to when asking.
    pub(super) here: bool,
    /// The system catalog that has them.
    class: String,
    /// Whether they are the role's own, so that somebody might miss them. Settings of its own that mean nothing
    /// without it (default privileges, user mappings) are not.
    pub(super) owned: bool,
    count: i64,
    /// The names of databases among them.
    names: Vec<String>,
}

impl Holding {
    /// Whether the database that was connected to is the place to deal with it.
    pub(super) fn is_here(&self) -> bool {
        self.here || self.database_oid == 0
    }
}

const HOLDINGS: &str = "SELECT s.dbid, d.datname::text AS database, coalesce(d.datallowconn, true) AS connectable, \
      coalesce(d.datname = current_database(), false) AS here, s.classid::regclass::text AS class, \
      s.deptype = 'o' AND s.classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass) AS owned, \
      count(*) AS count, array_agg(o.datname::text ORDER BY o.datname) FILTER (WHERE o.oid IS NOT NULL) AS names \
    FROM pg_catalog.pg_shdepend s \
    LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid \
    LEFT JOIN pg_catalog.pg_database o ON s.classid = 'pg_database'::regclass AND o.oid = s.objid \
    WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1 \
    GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 5, 6";

/// What hangs on the role with this oid.
pub(super) async fn holdings(call: &Call<'_>, oid: u32) -> Result<Vec<Holding>, RemoteError> {
    let rows = call.query(HOLDINGS, &[(&oid, Type::OID)]).await?;
    let holdings: Result<_, _> = rows.iter().map(holding).collect();
    holdings.map_err(|_| call.odd())
}

fn holding(row: &Row) -> Result<Holding, tokio_postgres::Error> {
    Ok(Holding {
        database_oid: row.try_get("dbid")?,
        database: row
            .try_get::<_, Option<Bytes>>("database")?
            .map(Bytes::into_shown),
        connectable: row.try_get("connectable")?,
        here: row.try_get("here")?,
        class: row.try_get("class")?,
        owned: row.try_get("owned")?,
        count: row.try_get("count")?,
        names: row
            .try_get::<_, Option<Vec<Bytes>>>("names")?
            .into_iter()
            .flatten()
            .map(Bytes::into_shown)
            .collect(),
    })
}

/// The most things that are named.
const MOST_NAMED: usize = 5;

/// What a role owns, in words: `it owns 2 tables, views or sequences and 1 schema in database "app"`. None: nothing.
pub(super) fn owns(holdings: &[Holding]) -> Option<String> {
    let things = in_words(holdings.iter().filter(|holding| holding.owned))?;
    Some(format!("it owns {things}"))
}

/// What a role was given and has not lost, in words. None: nothing.
pub(super) fn keeps(holdings: &[Holding]) -> Option<String> {
    let things = in_words(holdings.iter())?;
    Some(format!(
        "it has privileges on {things}, which only who gave them or a superuser can take back"
    ))
}

fn in_words<'a>(holdings: impl Iterator<Item = &'a Holding>) -> Option<String> {
    let mut places: Vec<(Option<&str>, Vec<String>)> = Vec::new();
    for holding in holdings {
        let place = holding.database.as_deref();
        if places.last().is_none_or(|(last, _)| *last != place) {
            places.push((place, Vec::new()));
        }
        if let Some((_, things)) = places.last_mut() {
            things.extend(things_of(holding));
        }
    }
    let mut left = MOST_NAMED;
    let mut parts = Vec::new();
    for (place, mut things) in places {
        if left == 0 {
            parts.push("more".to_string());
            break;
        }
        things.truncate(left);
        left -= things.len();
        let things = things.join(" and ");
        parts.push(match place {
            Some(database) => format!("{things} in database {}", shown(database)),
            None => things,
        });
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn things_of(holding: &Holding) -> Vec<String> {
    if !holding.names.is_empty() {
        let names = holding.names.iter();
        return names
            .map(|name| format!("the database {}", shown(name)))
            .collect();
    }
    let (one, many) = match holding.class.as_str() {
        "pg_class" => ("table, view or sequence", "tables, views or sequences"),
        "pg_namespace" => ("schema", "schemas"),
        "pg_proc" => ("function", "functions"),
        "pg_type" => ("type", "types"),
        "pg_auth_members" => ("membership", "memberships"),
        "pg_parameter_acl" => ("setting", "settings"),
        "pg_tablespace" => ("tablespace", "tablespaces"),
        "pg_largeobject" => ("large object", "large objects"),
        "pg_extension" => ("extension", "extensions"),
        "pg_publication" => ("publication", "publications"),
        "pg_subscription" => ("subscription", "subscriptions"),
        "pg_foreign_server" => ("foreign server", "foreign servers"),
        _ => ("object", "objects"),
    };
    vec![match holding.count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(database: Option<&str>, class: &str, count: i64) -> Holding {
        Holding {
            database_oid: database.map_or(0, |_| 5),
            database: database.map(str::to_string),
            connectable: true,
            here: false,
            class: class.to_string(),
            owned: true,
            count,
            names: Vec::new(),
        }
    }

    #[test]
    fn what_is_owned_is_told_in_a_few_words() {
        let privileges = Holding {
            owned: false,
            ..holding(Some("app"), "pg_class", 7)
        };
        assert_eq!(owns(std::slice::from_ref(&privileges)), None);
        let databases = Holding {
            names: vec!["x\"\n".to_string()],
            ..holding(None, "pg_database", 1)
        };
        let text = owns(&[
            databases,
            holding(Some("app"), "pg_class", 3),
            privileges,
            holding(Some("app"), "pg_namespace", 1),
        ]);
        assert_eq!(
            text.as_deref(),
            Some(
                "it owns the database \"x\\\"\\u{a}\", 3 tables, views or sequences and 1 schema in database \"app\""
            )
        );
    }

    #[test]
    fn of_much_only_some_is_told() {
        let many: Vec<_> = (0..50)
            .map(|n| holding(Some(&format!("{n}{}", "x".repeat(60))), "pg_class", 1))
            .collect();
        let text = owns(&many).unwrap();
        assert!(text.ends_with(", more") && text.len() < 700, "{text}");
    }
}
