//! What is known of restarts of workloads between two looks at their PostgresUsers, which is not worth a status.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::pause::{Growing, Growth};
use crate::domain::plan::{RestartFailure, Rollout, Trouble};
use crate::domain::time::Mono;

/// After a restart, or a look at one, that did not go through.
const FAILURE: Growth = Growth {
    first: Duration::from_secs(5),
    longest: Duration::from_secs(300),
};

#[derive(Debug)]
struct Known {
    publication: String,
    failures: Growing,
    failure: Option<RestartFailure>,
    rollout: Option<Rollout>,
}

/// The last restart of each PostgresUser, by UID.
#[derive(Debug, Default)]
pub struct Restarts(Mutex<HashMap<String, Known>>);

impl Restarts {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, uid: &str, publication: &str, change: impl FnOnce(&mut Known)) {
        let mut all = self.lock();
        let new = || Known {
            publication: publication.to_string(),
            failures: Growing::new(FAILURE),
            failure: None,
            rollout: None,
        };
        let known = all.entry(uid.to_string()).or_insert_with(new);
        if known.publication != publication {
            *known = new();
        }
        change(known);
    }

    /// What went wrong with the restart for a publication, and how far it was when last seen.
    pub fn of(&self, uid: &str, publication: &str) -> (Option<RestartFailure>, Option<Rollout>) {
        let all = self.lock();
        let known = all.get(uid).filter(|known| known.publication == publication);
        known.map_or((None, None), |known| {
            (known.failure.clone(), known.rollout.clone())
        })
    }

    /// It did not go through: it is tried again after a pause that grows.
    pub fn failed(&self, uid: &str, publication: &str, trouble: Option<Trouble>, now: Mono, jitter: f64) {
        self.note(uid, publication, |known| {
            let again = now + known.failures.next(jitter);
            known.failure = Some(RestartFailure { trouble, again });
        });
    }

    /// It went through.
    pub fn went(&self, uid: &str, publication: &str) {
        self.note(uid, publication, |known| {
            known.failures.reset();
            known.failure = None;
        });
    }

    /// What was seen of the workloads.
    pub fn saw(&self, uid: &str, publication: &str, rollout: Rollout) {
        self.went(uid, publication);
        self.note(uid, publication, |known| known.rollout = Some(rollout));
    }

    /// The PostgresUser is gone.
    pub fn over(&self, uid: &str) {
        self.lock().remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_of_one_publication_and_pauses_grow_until_it_goes_through() {
        let restarts = Restarts::default();
        let pause = |restarts: &Restarts| {
            restarts.failed("u", "one", None, Mono(1000), 0.0);
            let (failure, _) = restarts.of("u", "one");
            failure.unwrap().again - Mono(1000)
        };
        let pauses: Vec<u64> = (0..8).map(|_| pause(&restarts).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(restarts.of("u", "two"), (None, None));
        restarts.went("u", "one");
        assert_eq!(restarts.of("u", "one"), (None, None));
        assert_eq!(pause(&restarts), Duration::from_secs(5));
        let rollout = Rollout {
            seen: Mono(7),
            unfinished: None,
        };
        restarts.saw("u", "one", rollout.clone());
        assert_eq!(restarts.of("u", "one"), (None, Some(rollout)));
        restarts.over("u");
        assert_eq!(restarts.of("u", "one"), (None, None));
    }
}
