//! In which state a PostgresUser is, in the one word that metrics have for it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::{PostgresUser, Reason};
use crate::domain::conditions::{READY, RECONCILING, STALLED};
use crate::metrics::census::InState;

/// The state of a PostgresUser.
#[derive(Debug, PartialEq, Eq)]
pub struct UserCounts {
    /// State and reason.
    pub labels: InState,
    /// Since when, in seconds since 1970; none for the states that nobody waits to end.
    pub since: Option<i64>,
}

/// The state of a PostgresUser. What needs a person comes first, then what was asked for, then what goes on.
pub fn state_of(user: &PostgresUser) -> UserCounts {
    let conditions = user.status.iter().flat_map(|status| &status.conditions);
    let find = |type_: &str| conditions.clone().find(|condition| condition.type_ == type_);
    let is_true = |condition: &&Condition| condition.status == "True";
    let ready = find(READY);
    let made = || user.metadata.creation_timestamp.as_ref();
    let (state, since) = match (find(STALLED).filter(is_true), &user.metadata.deletion_timestamp) {
        (Some(stalled), _) => return found("stalled", Some(stalled), Some(&stalled.last_transition_time)),
        (None, Some(ordered)) => ("deleting", Some(ordered)),
        (None, None) if user.spec.suspend => ("suspended", None),
        (None, None) => match (ready.filter(is_true), find(RECONCILING).filter(is_true)) {
            (Some(_), Some(changing)) => ("changing", Some(&changing.last_transition_time)),
            (Some(_), None) => ("ready", None),
            (None, _) => {
                let since = ready.map(|ready| &ready.last_transition_time);
                ("reconciling", since.or_else(made))
            }
        },
    };
    found(state, ready, since)
}

fn found(state: &'static str, tells: Option<&Condition>, since: Option<&Time>) -> UserCounts {
    let reason = tells.map_or(Reason::Pending.as_str(), |condition| &condition.reason);
    UserCounts {
        labels: InState {
            state,
            reason: reason.to_string(),
        },
        since: since.map(|time| time.0.as_second()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn user(metadata: Value, suspend: bool, conditions: &[(&str, &str, &str, i64)]) -> PostgresUser {
        let condition = |(type_, status, reason, since): &(&str, &str, &str, i64)| {
            let since = jiff::Timestamp::from_second(*since).unwrap().to_string();
            json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": since})
        };
        let conditions: Vec<Value> = conditions.iter().map(condition).collect();
        let object = json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser", "metadata": metadata,
            "spec": {"serverRef": {"name": "orders"}, "suspend": suspend},
            "status": {"conditions": conditions},
        });
        serde_json::from_value(object).unwrap()
    }

    fn told(user: &PostgresUser) -> (&'static str, String, Option<i64>) {
        let found = state_of(user);
        (found.labels.state, found.labels.reason, found.since)
    }

    #[test]
    fn one_that_nobody_has_looked_at_waits_since_it_was_made() {
        let new = user(json!({"creationTimestamp": "1970-01-01T00:00:07Z"}), false, &[]);
        assert_eq!(told(&new), ("reconciling", "Pending".to_string(), Some(7)));
    }

    #[test]
    fn one_that_is_not_ready_waits_since_it_is_not() {
        let waits = user(
            json!({}),
            false,
            &[
                ("Ready", "False", "Unreachable", 9),
                ("Reconciling", "True", "X", 1),
            ],
        );
        assert_eq!(told(&waits), ("reconciling", "Unreachable".to_string(), Some(9)));
    }

    #[test]
    fn one_that_is_published_is_ready_or_changing() {
        let ready = ("Ready", "True", "Published", 1);
        assert_eq!(
            told(&user(json!({}), false, &[ready])),
            ("ready", "Published".to_string(), None)
        );
        let changing = user(
            json!({}),
            false,
            &[ready, ("Reconciling", "True", "Progressing", 5)],
        );
        assert_eq!(told(&changing), ("changing", "Published".to_string(), Some(5)));
    }

    #[test]
    fn one_that_needs_a_person_is_stalled_whatever_else_it_is() {
        let stalled = ("Stalled", "True", "DeletionBlocked", 3);
        let deleted = json!({"deletionTimestamp": "1970-01-01T00:00:02Z"});
        let blocked = user(deleted, true, &[("Ready", "True", "Published", 1), stalled]);
        assert_eq!(
            told(&blocked),
            ("stalled", "DeletionBlocked".to_string(), Some(3))
        );
    }

    #[test]
    fn one_that_is_deleted_is_that_even_while_suspended() {
        let deleted = json!({"deletionTimestamp": "1970-01-01T00:00:02Z"});
        let deleting = user(deleted, true, &[("Ready", "False", "Deleting", 4)]);
        assert_eq!(told(&deleting), ("deleting", "Deleting".to_string(), Some(2)));
        let suspended = user(json!({}), true, &[("Ready", "False", "Suspended", 4)]);
        assert_eq!(told(&suspended), ("suspended", "Suspended".to_string(), None));
    }
}
