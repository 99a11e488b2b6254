//! What lets the operator's login change the logins of a server object again, after an upgrade to PostgreSQL 16.

use kube::ResourceExt;

use super::Remedy;
use crate::api::PostgresUser;
use crate::domain::sql;

/// The commands for all logins of a server object, if the operator says of one of these users that it may not change its login.
///
/// Whether it may change the others nobody has tried: they were made by the same login, and what is granted twice does no harm.
pub fn way(users: &[&PostgresUser]) -> Option<Remedy> {
    let refused: Vec<_> = users.iter().filter(|user| operator_of(user).is_some()).collect();
    let operator = refused.iter().find_map(|user| operator_of(user))?;
    let logins = users.iter().filter_map(|user| user.record());
    let commands: Vec<_> = logins
        .map(|login| format!("{};", sql::admin_grant_to(&login.username, operator)))
        .collect();
    let names: Vec<_> = refused.iter().map(|user| user.name_any()).collect();
    Some(Remedy {
        what: format!(
            "in psql, any database, as a superuser: let the operator's login {operator} change the logins of this server object, which \
             it may not since an upgrade to PostgreSQL 16 (refused so far: {})",
            names.join(", ")
        ),
        command: commands.join("\n"),
    })
}

/// The operator's login, if a condition of the user says that it may not change the user's login.
fn operator_of<'a>(user: &&'a PostgresUser) -> Option<&'a str> {
    let conditions = user.status.as_ref()?.conditions.iter();
    let mut messages = conditions.map(|condition| condition.message.as_str());
    messages.find_map(|message| sql::admin_grant_in(message, user.username()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(username: &str, is_recorded: bool, message: &str) -> PostgresUser {
        let records = match is_recorded {
            true => {
                json!([{"username": username, "provider": "postgresql", "cluster": "c", "ownership": "Owned"}])
            }
            false => json!([]),
        };
        serde_json::from_value(json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser",
            "metadata": {"name": "checkout", "namespace": "shop"},
            "spec": {"serverRef": {"name": "orders"}, "username": username},
            "status": {
                "remoteUsers": records,
                "conditions": [
                    {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                    {"type": "Stalled", "status": "True", "reason": "Rejected", "message": message,
                        "lastTransitionTime": "2026-01-01T00:00:00Z"},
                ],
            },
        }))
        .unwrap()
    }

    #[test]
    fn the_grants_of_all_logins_are_said_once_one_is_refused() {
        let refusal = format!(
            "refused (it is so: {}): …",
            sql::admin_grant("a\u{202e}", "The \"boss\"")
        );
        let users = [
            user("a\u{202e}", true, &refusal),
            user("other", true, ""),
            user("unmade", false, ""),
        ];
        let all: Vec<_> = users.iter().collect();
        let way = way(&all).unwrap();
        assert_eq!(
            way.command,
            "GRANT U&\"a\\202e\" TO \"The \"\"boss\"\"\" WITH ADMIN OPTION;\nGRANT \"other\" TO \"The \"\"boss\"\"\" WITH ADMIN OPTION;"
        );
        assert!(
            way.what.contains("as a superuser") && way.what.contains("checkout"),
            "{}",
            way.what
        );
        assert!(super::way(&all[1..]).is_none());
        // It is about another login: a server that says so is not believed.
        assert!(super::way(&[&user("other", true, &refusal)]).is_none());
    }
}
