//! When an object is looked at again after a reconciliation that did not get through.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::core::ObjectMeta;
use kube::runtime::controller::Action;

use super::error::Error;
use crate::clock;
use crate::domain::pause::{CONFLICT, Growing, Growth};

/// After a failure.
const FAILURE: Growth = Growth {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(120),
};

/// The rows of failures of one object. Two writers that meet are no failure, and have pauses of their own.
#[derive(Debug)]
struct Rows {
    failures: Growing,
    conflicts: Growing,
}

/// Growing pauses for each object that fails again and again, by UID.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<String, Rows>>);

impl Backoff {
    /// One more failure of an object: when to look again.
    pub fn after(&self, object: &ObjectMeta, error: &Error) -> Action {
        let name = object.name.as_deref().unwrap_or_default();
        let uid = object.uid.clone().unwrap_or_default();
        Action::requeue(self.pause(uid, name, error))
    }

    fn pause(&self, uid: String, name: &str, error: &Error) -> Duration {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = all.entry(uid).or_insert_with(|| Rows {
            failures: Growing::new(FAILURE),
            conflicts: Growing::new(CONFLICT),
        });
        if error.is_conflict() {
            let pause = rows.conflicts.next(clock::jitter());
            tracing::debug!(name, %error, conflicts = rows.conflicts.failures(), "somebody else was faster");
            return pause;
        }
        let pause = rows.failures.next(clock::jitter());
        tracing::warn!(name, %error, failures = rows.failures.failures(), "a reconciliation failed");
        pause
    }

    /// It went well, or the object is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn conflict() -> Error {
        let status = Status {
            code: 409,
            ..Status::default()
        };
        Error::WriteStatus(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn conflicts_that_go_on_are_tried_again_less_and_less_often() {
        let backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..20)
            .map(|_| backoff.pause("u".into(), "u", &conflict()))
            .collect();
        assert!(pauses[0] <= Duration::from_millis(100), "{pauses:?}");
        assert!(
            pauses[19] >= Duration::from_secs(15) && pauses[19] <= Duration::from_secs(30),
            "{pauses:?}"
        );
    }

    #[test]
    fn a_success_begins_the_row_anew_and_objects_have_rows_of_their_own() {
        let backoff = Backoff::default();
        for _ in 0..10 {
            backoff.pause("u".into(), "u", &Error::Timeout);
        }
        assert!(backoff.pause("v".into(), "v", &Error::Timeout) <= Duration::from_secs(1));
        backoff.forget("u");
        assert!(backoff.pause("u".into(), "u", &Error::Timeout) <= Duration::from_secs(1));
    }
}
