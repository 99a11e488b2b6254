//! What on the server keeps a login from being deleted: the commands that end it, and who can say them.

use super::Remedy;
use crate::api::DeletionBlocker;
use crate::domain::conditions::presentable;

/// A way out for each command, database by database, with all that it ends; then those that drop something.
pub fn ways(blockers: &[DeletionBlocker]) -> Vec<Remedy> {
    let in_order = in_order(blockers);
    let end = |it: &DeletionBlocker| it.command.clone();
    let drop = |it: &DeletionBlocker| it.drop_command.clone();
    let mut ways = by_command(&in_order, end, "");
    ways.extend(by_command(
        &in_order,
        drop,
        "or drop it, and all that is in it, for good: ",
    ));
    ways
}

/// As the commands are to be said: what is in no database first, then one database after another, in each what is handed over
/// before what is taken back. DROP OWNED comes last: it drops what has not been handed over before.
fn in_order(blockers: &[DeletionBlocker]) -> Vec<&DeletionBlocker> {
    let mut in_order: Vec<&DeletionBlocker> = blockers.iter().collect();
    in_order.sort_by_key(|it| (it.database.as_deref(), rank(it)));
    in_order
}

fn rank(it: &DeletionBlocker) -> u8 {
    let begins = |with: &str| {
        it.command
            .as_ref()
            .is_some_and(|command| command.starts_with(with))
    };
    if begins("REASSIGN OWNED ") {
        0
    } else if begins("DROP OWNED ") {
        2
    } else {
        1
    }
}

fn by_command(
    blockers: &[&DeletionBlocker],
    command: impl Fn(&DeletionBlocker) -> Option<String>,
    intent: &str,
) -> Vec<Remedy> {
    let mut ways: Vec<(Remedy, Vec<String>)> = Vec::new();
    for it in blockers {
        // What would not be shown as it is would be another command.
        let Some(command) = command(it).filter(|command| presentable(command) == *command) else {
            continue;
        };
        // Where it is no choice, the login keeps nothing but what means nothing without it.
        let then = match intent.is_empty() && command.starts_with("DROP OWNED ") {
            true => "once the commands above are said for this database: ",
            false => "",
        };
        let what = format!("{intent}{then}in psql, {}", place_and_person(it));
        let way = Remedy { what, command };
        match ways.iter_mut().find(|(there, _)| *there == way) {
            Some((_, things)) => things.push(thing(it)),
            None => ways.push((way, vec![thing(it)])),
        }
    }
    let with_things = |(way, things): (Remedy, Vec<String>)| Remedy {
        what: format!("{}: {}", way.what, things.join(", ")),
        ..way
    };
    ways.into_iter().map(with_things).collect()
}

fn place_and_person(it: &DeletionBlocker) -> String {
    let place = match &it.database {
        Some(database) => format!("database {database:?}"),
        None => "any database".to_string(),
    };
    let person = match &it.grantor {
        Some(grantor) if it.hold != "initial privileges" => format!("{grantor:?} or a superuser"),
        _ => "a superuser".to_string(),
    };
    format!("{place}, as {person}")
}

fn thing(it: &DeletionBlocker) -> String {
    match (it.hold.as_str(), &it.privileges) {
        ("owner", _) => format!("{} {} is the login's own", it.kind, it.object),
        ("policy", _) => format!("the {} {} names the login", it.kind, it.object),
        (hold, Some(privileges)) => format!("{hold} on {} {}: {privileges}", it.kind, it.object),
        (hold, None) => format!("{hold} on {} {}", it.kind, it.object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocker(database: Option<&str>, object: &str, command: &str) -> DeletionBlocker {
        DeletionBlocker {
            database: database.map(str::to_string),
            kind: "table".to_string(),
            object: object.to_string(),
            hold: "privileges".to_string(),
            privileges: Some("SELECT".to_string()),
            grantor: Some("boss".to_string()),
            command: Some(command.to_string()),
            drop_command: None,
        }
    }

    fn owned(database: &str, object: &str) -> DeletionBlocker {
        DeletionBlocker {
            hold: "owner".to_string(),
            privileges: None,
            grantor: None,
            drop_command: Some("DROP OWNED BY x;".to_string()),
            ..blocker(Some(database), object, "REASSIGN OWNED BY x TO CURRENT_USER;")
        }
    }

    fn said(blockers: &[DeletionBlocker]) -> Vec<(String, String)> {
        let ways = ways(blockers).into_iter();
        ways.map(|way| (way.what, way.command)).collect()
    }

    fn pair(what: &str, command: &str) -> (String, String) {
        (what.to_string(), command.to_string())
    }

    #[test]
    fn a_grant_names_place_person_and_thing() {
        assert_eq!(
            said(&[
                blocker(Some("shop"), "\"s\".\"t\"", "REVOKE 1;"),
                blocker(None, "\"shop\"", "REVOKE 2;")
            ]),
            [
                pair(
                    "in psql, any database, as \"boss\" or a superuser: privileges on table \"shop\": SELECT",
                    "REVOKE 2;"
                ),
                pair(
                    "in psql, database \"shop\", as \"boss\" or a superuser: privileges on table \"s\".\"t\": SELECT",
                    "REVOKE 1;"
                ),
            ]
        );
    }

    #[test]
    fn a_command_for_all_in_a_database_is_printed_once_for_each() {
        assert_eq!(
            said(&[owned("one", "a"), owned("one", "b"), owned("two", "c")]),
            [
                pair(
                    "in psql, database \"one\", as a superuser: table a is the login's own, table b is the login's own",
                    "REASSIGN OWNED BY x TO CURRENT_USER;"
                ),
                pair(
                    "in psql, database \"two\", as a superuser: table c is the login's own",
                    "REASSIGN OWNED BY x TO CURRENT_USER;"
                ),
                pair(
                    "or drop it, and all that is in it, for good: in psql, database \"one\", as a superuser: \
                     table a is the login's own, table b is the login's own",
                    "DROP OWNED BY x;"
                ),
                pair(
                    "or drop it, and all that is in it, for good: in psql, database \"two\", as a superuser: \
                     table c is the login's own",
                    "DROP OWNED BY x;"
                ),
            ]
        );
    }

    #[test]
    fn what_drops_all_that_is_left_comes_after_what_hands_it_over_database_by_database() {
        let mapping = |database: &str| DeletionBlocker {
            kind: "user mapping".to_string(),
            command: Some("DROP OWNED BY x;".to_string()),
            drop_command: None,
            ..owned(database, "m")
        };
        let found = [
            mapping("two"),
            blocker(Some("two"), "t", "REVOKE;"),
            mapping("one"),
            owned("one", "a"),
            blocker(None, "db", "ALTER DATABASE;"),
            owned("two", "b"),
        ];
        let said = said(&found);
        let commands: Vec<_> = said.iter().map(|(_, command)| command.as_str()).collect();
        let reassign = "REASSIGN OWNED BY x TO CURRENT_USER;";
        assert_eq!(
            commands[..6],
            [
                "ALTER DATABASE;",
                reassign,
                "DROP OWNED BY x;",
                reassign,
                "REVOKE;",
                "DROP OWNED BY x;"
            ]
        );
        assert!(
            said[2]
                .0
                .starts_with("once the commands above are said for this database: in psql, database \"one\"")
        );
        assert!(said[6..].iter().all(|(what, _)| what.starts_with("or drop it")));
    }

    #[test]
    fn a_command_that_cannot_be_shown_as_it_is_is_not_shown() {
        let long = format!("REVOKE {};", "x".repeat(2000));
        assert!(said(&[blocker(None, "t", "REVOKE\u{1b}[2J;"), blocker(None, "t", &long)]).is_empty());
        let none = DeletionBlocker {
            command: None,
            ..blocker(None, "t", "")
        };
        assert!(said(&[none]).is_empty());
    }
}
