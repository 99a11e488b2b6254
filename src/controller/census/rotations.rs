//! Who waits for a rotation, and since when. The annotation that asks for one has no date, so time is taken from when it
//! was first seen: after a restart anew.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;

use crate::api::{PostgresUser, names};
use crate::domain::time::Mono;
use crate::domain::wish;

/// How long a rotation may take before it is overdue: longer than any of the waits that the rules ask for.
const OVERDUE: Duration = Duration::from_secs(15 * 60);

/// What was asked for, by the UID of who asks, and when that was first seen.
#[derive(Debug, Default)]
pub struct Rotations {
    due: HashMap<String, (String, Mono)>,
    next: HashMap<String, (String, Mono)>,
}

impl Rotations {
    /// Notes what a PostgresUser asks for, if it does.
    pub fn note(&mut self, user: &PostgresUser, now: Mono) {
        let (Some(uid), Some(asked)) = (user.uid(), due(user, Timestamp::now())) else {
            return;
        };
        let before = self.due.get(&uid).filter(|(value, _)| *value == asked);
        let since = before.map_or(now, |(_, since)| *since);
        self.next.insert(uid, (asked, since));
    }

    /// All were noted: whoever was not asks for nothing any more.
    pub fn noted(&mut self) {
        self.due = std::mem::take(&mut self.next);
    }

    /// How many rotations are due, and how many of these are overdue.
    pub fn count(&self, now: Mono) -> (i64, i64) {
        let overdue = self.due.values().filter(|(_, since)| now - *since >= OVERDUE);
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        (count(self.due.len()), count(overdue.count()))
    }
}

/// The rotation that a PostgresUser asks for, or its spec does, and has not got. A password that nobody has yet is not rotated,
/// and one that is suspended or being deleted is not meant to be.
fn due(user: &PostgresUser, now: Timestamp) -> Option<String> {
    let status = user.status.as_ref().filter(|status| status.secret.is_some())?;
    let wanted = !user.spec.suspend && user.metadata.deletion_timestamp.is_none();
    let handled = status.last_handled_rotation.as_ref();
    let asked = user.annotations().get(names::ROTATE);
    let asked = asked.filter(|asked| !handled.is_some_and(|handled| wish::same(handled, asked)));
    let next = status
        .password
        .as_ref()
        .and_then(|password| password.next_rotation.as_ref());
    let scheduled = next.filter(|next| next.0 <= now).map(|next| next.0.to_string());
    asked.cloned().or(scheduled).filter(|_| wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn user(asked: &str, handled: Option<&str>, more: serde_json::Value) -> PostgresUser {
        let mut object = json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser",
            "metadata": {"uid": "u", "annotations": {names::ROTATE: asked}},
            "spec": {"serverRef": {"name": "orders"}},
            "status": {"lastHandledRotation": handled, "secret":
                {"name": "s", "resourceVersion": "1", "passwordMac": "m", "contentDigest": "d"}},
        });
        for (pointer, value) in more.as_object().into_iter().flatten() {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    fn count(rotations: &mut Rotations, user: &PostgresUser, minutes: u64) -> (i64, i64) {
        let now = Mono::default() + Duration::from_secs(60 * minutes);
        rotations.note(user, now);
        rotations.noted();
        rotations.count(now)
    }

    #[test]
    fn a_rotation_is_due_until_it_is_done_and_overdue_after_a_while() {
        let mut rotations = Rotations::default();
        assert_eq!(count(&mut rotations, &user("1", Some("1"), json!({})), 0), (0, 0));
        assert_eq!(count(&mut rotations, &user("2", Some("1"), json!({})), 1), (1, 0));
        assert_eq!(
            count(&mut rotations, &user("2", Some("1"), json!({})), 15),
            (1, 0)
        );
        assert_eq!(
            count(&mut rotations, &user("2", Some("1"), json!({})), 16),
            (1, 1)
        );
        assert_eq!(
            count(&mut rotations, &user("2", Some("2"), json!({})), 17),
            (0, 0)
        );
    }

    #[test]
    fn another_wish_is_waited_for_anew() {
        let mut rotations = Rotations::default();
        assert_eq!(count(&mut rotations, &user("1", None, json!({})), 0), (1, 0));
        assert_eq!(count(&mut rotations, &user("2", None, json!({})), 14), (1, 0));
        assert_eq!(count(&mut rotations, &user("2", None, json!({})), 20), (1, 0));
        assert_eq!(count(&mut rotations, &user("2", None, json!({})), 29), (1, 1));
    }

    #[test]
    fn nothing_is_due_where_nothing_is_published_or_meant_to_be_done() {
        for unwanted in [
            json!({"/status/secret": null}),
            json!({"/spec/suspend": true}),
            json!({"/metadata/deletionTimestamp": "1970-01-01T00:00:02Z"}),
        ] {
            let mut rotations = Rotations::default();
            assert_eq!(count(&mut rotations, &user("2", Some("1"), unwanted), 0), (0, 0));
        }
    }

    #[test]
    fn a_rotation_that_the_spec_asks_for_is_due_from_its_time_on() {
        for (next, expected) in [("1970-01-01T00:00:00Z", (1, 0)), ("9000-01-01T00:00:00Z", (0, 0))] {
            let mut rotations = Rotations::default();
            let scheduled = json!({"/status/password": {"nextRotation": next}});
            assert_eq!(
                count(&mut rotations, &user("1", Some("1"), scheduled), 0),
                expected
            );
        }
    }
}
