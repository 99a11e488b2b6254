//! What keeps a role from being dropped, thing by thing, each once.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::call::Call;
use super::text::Bytes;
use super::ways::{Dependent, Hold};
use crate::domain::remote::DeletionBlocker;
use crate::provider::RemoteError;

/// The most that are told, of all databases together.
pub(super) const MOST: usize = 20;

/// Which of what hangs on a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Owned,
    All,
}

/// What of it hangs on the role with this oid in the database that is connected to, and in none.
///
/// This is for the sake of who reads it: where it cannot be had, it is told in fewer words.
pub(super) async fn find(call: &Call<'_>, oid: u32, login: &str, which: Which) -> Vec<DeletionBlocker> {
    let sql = query(which, call.facts().version);
    let rows = call.query(&sql, &[(&oid, Type::OID)]).await.unwrap_or_default();
    let dependents = rows.iter().filter_map(|row| dependents(row).ok());
    let mut blockers = Vec::new();
    add(&mut blockers, dependents.map(|it| it.blocker(login)).collect());
    blockers
}

/// Adds what is not there yet. Says whether anything was.
pub(super) fn add(all: &mut Vec<DeletionBlocker>, more: Vec<DeletionBlocker>) -> bool {
    let before = all.len();
    for it in more {
        if all.len() < MOST && !all.contains(&it) {
            all.push(it);
        }
    }
    all.len() > before
}

/// The most that are named in a message, and the most characters of it.
const MOST_IN_WORDS: (usize, usize) = (3, 600);

/// A few words, and the first names behind them.
pub(super) fn told(what: &str, blockers: &[DeletionBlocker]) -> String {
    let (most, longest) = MOST_IN_WORDS;
    let names: Vec<_> = blockers.iter().take(most).map(in_words).collect();
    let more = if blockers.len() > most { ", more" } else { "" };
    let text = format!(
        "{what}: {}{more}; status.deletionBlockers has the commands",
        names.join(", ")
    );
    match !names.is_empty() && text.chars().count() <= longest {
        true => text,
        false => what.to_string(),
    }
}

fn in_words(it: &DeletionBlocker) -> String {
    let privileges = it
        .privileges
        .as_ref()
        .map(|privileges| format!("{privileges} on "));
    let by = it.grantor.as_ref().map(|grantor| format!(" by {grantor:?}"));
    format!(
        "{}{} {}{}",
        privileges.unwrap_or_default(),
        it.kind,
        it.object,
        by.unwrap_or_default()
    )
}

/// The lists of privileges, as far as a login can be in one.
const ACL: &str = "acl (deptype, classid, objid, acl) AS ( \
      SELECT 'a'::\"char\", 'pg_class'::regclass::oid, oid, relacl FROM pg_catalog.pg_class \
      UNION ALL SELECT 'a', 'pg_class'::regclass, attrelid, attacl FROM pg_catalog.pg_attribute \
      UNION ALL SELECT 'a', 'pg_namespace'::regclass, oid, nspacl FROM pg_catalog.pg_namespace \
      UNION ALL SELECT 'a', 'pg_database'::regclass, oid, datacl FROM pg_catalog.pg_database \
      UNION ALL SELECT 'a', 'pg_proc'::regclass, oid, proacl FROM pg_catalog.pg_proc \
      UNION ALL SELECT 'a', 'pg_type'::regclass, oid, typacl FROM pg_catalog.pg_type \
      UNION ALL SELECT 'a', 'pg_language'::regclass, oid, lanacl FROM pg_catalog.pg_language \
      UNION ALL SELECT 'a', 'pg_largeobject'::regclass, oid, lomacl FROM pg_catalog.pg_largeobject_metadata \
      UNION ALL SELECT 'a', 'pg_tablespace'::regclass, oid, spcacl FROM pg_catalog.pg_tablespace \
      UNION ALL SELECT 'a', 'pg_foreign_data_wrapper'::regclass, oid, fdwacl FROM pg_catalog.pg_foreign_data_wrapper \
      UNION ALL SELECT 'a', 'pg_foreign_server'::regclass, oid, srvacl FROM pg_catalog.pg_foreign_server \
      UNION ALL SELECT 'a', 'pg_default_acl'::regclass, oid, defaclacl FROM pg_catalog.pg_default_acl \
      UNION ALL SELECT 'i', classoid, objoid, initprivs FROM pg_catalog.pg_init_privs";

/// There since PostgreSQL 15.
const PARAMETERS: &str =
    " UNION ALL SELECT 'a', 'pg_parameter_acl'::regclass, oid, paracl FROM pg_catalog.pg_parameter_acl";

/// Names in parts, none of them quoted: of types and of arguments, the function that gives names has texts. A subscription is
/// in a database, and counts as being in none.
const NAMES: &str = "SELECT h.deptype::text, \
      CASE WHEN h.dbid = 0 THEN d.datname ELSE current_database()::text END AS database, \
      i.type AS kind, \
      coalesce((SELECT ARRAY[n.nspname::text, t.typname::text] FROM pg_catalog.pg_type t \
          JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
          WHERE h.classid = 'pg_type'::regclass AND t.oid = h.objid), i.object_names) AS names, \
      CASE WHEN def.oid IS NOT NULL THEN ARRAY[def.defaclobjtype::text] ELSE ARRAY(SELECT part.name FROM pg_catalog.pg_proc f \
          CROSS JOIN LATERAL unnest(f.proargtypes) WITH ORDINALITY arg (oid, place) \
          JOIN pg_catalog.pg_type t ON t.oid = arg.oid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
          CROSS JOIN LATERAL (VALUES (1, n.nspname::text), (2, t.typname::text)) part (place, name) \
          WHERE h.classid = 'pg_proc'::regclass AND f.oid = h.objid ORDER BY arg.place, part.place) END AS arguments, \
      g.rolname::text AS grantor, a.privileges, coalesce(a.passes_on, false) AS passes_on, \
      ARRAY(SELECT r.rolname::text FROM unnest(p.polroles) other (oid) JOIN pg_catalog.pg_roles r ON r.oid = other.oid \
          WHERE other.oid <> $1 ORDER BY 1) AS others, \
      (SELECT e.extname::text FROM pg_catalog.pg_depend m JOIN pg_catalog.pg_extension e ON e.oid = m.refobjid \
          WHERE m.classid = h.classid AND m.objid = h.objid AND m.objsubid = 0 AND m.deptype = 'e' \
          AND m.refclassid = 'pg_extension'::regclass) AS extension \
    FROM dependents h \
    CROSS JOIN LATERAL pg_identify_object_as_address(h.classid, h.objid, 0) i \
    LEFT JOIN LATERAL ( \
      SELECT x.grantor, bool_or(x.is_grantable) AS passes_on, \
        string_agg(DISTINCT x.privilege_type, ', ' ORDER BY x.privilege_type) AS privileges \
      FROM acl CROSS JOIN LATERAL aclexplode(acl.acl) x \
      WHERE acl.deptype = h.deptype AND acl.classid = h.classid AND acl.objid = h.objid AND x.grantee = $1 \
      GROUP BY x.grantor) a ON true \
    LEFT JOIN pg_catalog.pg_policy p ON h.classid = 'pg_policy'::regclass AND p.oid = h.objid \
    LEFT JOIN pg_catalog.pg_class c ON c.oid = p.polrelid \
    LEFT JOIN pg_catalog.pg_default_acl def ON h.classid = 'pg_default_acl'::regclass AND def.oid = h.objid \
    LEFT JOIN pg_catalog.pg_roles g ON g.oid = coalesce(a.grantor, c.relowner) \
    LEFT JOIN LATERAL (SELECT min(in_one.datname::text) AS datname FROM pg_catalog.pg_subscription s \
        JOIN pg_catalog.pg_database in_one ON in_one.oid = s.subdbid \
        WHERE h.classid = 'pg_subscription'::regclass AND s.subname = i.object_names[1] AND s.subowner = $1) d ON true \
    WHERE i.type IS NOT NULL \
    ORDER BY h.dbid, h.deptype, i.type, i.object_names, g.rolname";

/// A thing is there once, however many of its columns hang on the role.
fn query(which: Which, version: i32) -> String {
    let owned = match which {
        Which::Owned => {
            " AND s.deptype = 'o' AND s.classid NOT IN ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)"
        }
        Which::All => "",
    };
    let parameters = if version >= 150_000 { PARAMETERS } else { "" };
    format!(
        "WITH dependents AS (SELECT DISTINCT s.dbid, s.classid, s.objid, s.deptype FROM pg_catalog.pg_shdepend s \
           WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1{owned} AND (s.dbid = 0 \
             OR s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))), \
         {ACL}{parameters}) {NAMES} LIMIT {MOST}"
    )
}

fn dependents(row: &Row) -> Result<Dependent, tokio_postgres::Error> {
    let mut escaped = false;
    let mut text = |bytes: Bytes| {
        bytes.text().unwrap_or_else(|shown| {
            escaped = true;
            shown
        })
    };
    let one = |column: &str| row.try_get::<_, Option<Bytes>>(column);
    let many = |column: &str| row.try_get::<_, Vec<Bytes>>(column);
    let dependents = Dependent {
        database: one("database")?.map(&mut text),
        hold: Hold::of(&row.try_get::<_, String>("deptype")?),
        kind: row.try_get("kind")?,
        names: many("names")?.into_iter().map(&mut text).collect(),
        arguments: many("arguments")?.into_iter().map(&mut text).collect(),
        grantor: one("grantor")?.map(&mut text),
        privileges: one("privileges")?.map(&mut text),
        passes_on: row.try_get("passes_on")?,
        others: many("others")?.into_iter().map(&mut text).collect(),
        extension: one("extension")?.map(&mut text),
        escaped: false,
    };
    Ok(Dependent {
        escaped,
        ..dependents
    })
}

/// What is in the way, and more of it that another database has: one failure that names all. A failure that names nothing ends
/// the search, and is what is told if nothing was found before.
pub(super) fn also(before: Option<RemoteError>, failure: RemoteError) -> Result<RemoteError, RemoteError> {
    match (before, failure) {
        (None, failure) if failure.blockers.is_empty() => Err(failure),
        (None, failure) => Ok(failure),
        (Some(before), failure) if failure.blockers.is_empty() => Err(before),
        (Some(mut before), failure) => {
            if add(&mut before.blockers, failure.blockers)
                && let Some(what) = before.detail.strip_suffix(')')
                && !what.ends_with(ELSEWHERE)
            {
                before.detail = format!("{what}{ELSEWHERE})");
            }
            Ok(before)
        }
    }
}

const ELSEWHERE: &str = "; more is elsewhere";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::ErrorClass;

    fn blocker(object: &str) -> DeletionBlocker {
        DeletionBlocker {
            kind: "table".to_string(),
            object: format!("{object:?}"),
            privileges: Some("SELECT".to_string()),
            grantor: Some("boss".to_string()),
            ..DeletionBlocker::default()
        }
    }

    fn failure(objects: &[&str]) -> RemoteError {
        RemoteError {
            blockers: objects.iter().map(|it| blocker(it)).collect(),
            ..RemoteError::new("delete user", ErrorClass::Invalid, "it has privileges")
        }
    }

    #[test]
    fn the_first_are_named_and_of_the_rest_only_that_they_are() {
        assert_eq!(told("it has privileges", &[]), "it has privileges");
        let four: Vec<_> = ["a", "b", "c", "d"].into_iter().map(blocker).collect();
        assert_eq!(
            told("it has privileges", &four),
            "it has privileges: SELECT on table \"a\" by \"boss\", SELECT on table \"b\" by \"boss\", \
             SELECT on table \"c\" by \"boss\", more; status.deletionBlockers has the commands"
        );
        let long = [
            blocker(&"x".repeat(200)),
            blocker(&"y".repeat(200)),
            blocker(&"z".repeat(200)),
        ];
        assert_eq!(told("it has privileges", &long), "it has privileges");
    }

    #[test]
    fn each_is_told_once_and_not_too_many() {
        let mut all = vec![blocker("a")];
        assert!(!add(&mut all, vec![blocker("a")]));
        assert!(add(&mut all, vec![blocker("b"), blocker("a"), blocker("b")]));
        assert_eq!(all, [blocker("a"), blocker("b")]);
        add(&mut all, (0..100).map(|n| blocker(&n.to_string())).collect());
        assert_eq!(all.len(), MOST);
    }

    #[test]
    fn what_several_databases_have_is_one_failure() {
        let unnamed = || failure(&[]);
        assert_eq!(also(None, unnamed()), Err(unnamed()));
        let first = also(None, failure(&["a"])).unwrap();
        assert_eq!(also(Some(first.clone()), unnamed()), Err(first.clone()));
        assert_eq!(also(Some(first.clone()), failure(&["a"])), Ok(first.clone()));
        let both = also(Some(first), failure(&["a", "b"])).unwrap();
        assert_eq!(both.blockers, [blocker("a"), blocker("b")]);
        assert_eq!(both.detail, " (it has privileges; more is elsewhere)");
        let all = also(Some(both), failure(&["c"])).unwrap();
        assert_eq!(all.detail, " (it has privileges; more is elsewhere)");
    }
}
