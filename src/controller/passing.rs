//! How long PostgresUsers have been in states that pass by themselves: what does not last is not told (I7).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::plan::Lasting;
use crate::domain::time::Mono;

/// How long a state lasts that is told although it passes.
const LASTS: Duration = Duration::from_secs(2);
/// How long a PostgresUser waits for its turn before it says so.
const QUEUES: Duration = Duration::from_secs(30);
/// How far apart two PostgresUsers say so: a thousand who wait must not keep the API server from those who have a turn.
const APART: Duration = Duration::from_millis(50);

/// Since when PostgresUsers are in states that pass, by UID.
#[derive(Debug, Default)]
pub struct Passing(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    since: HashMap<String, ReportedState>,
    /// When the next who waits for a turn may say so.
    next_to_say: Mono,
}

#[derive(Debug, Clone, Copy)]
struct ReportedState {
    lasting: Lasting,
    since: Mono,
    /// When it may be told.
    told_from: Option<Mono>,
}

impl Passing {
    /// How much longer this state has to last before it is told; nothing once it may be.
    pub fn wait(&self, uid: &str, lasting: Lasting, now: Mono) -> Option<Duration> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = ReportedState {
            lasting,
            since: now,
            told_from: None,
        };
        let state = *inner
            .since
            .entry(uid.to_string())
            .and_modify(|state| {
                if state.lasting != lasting {
                    *state = new;
                }
            })
            .or_insert(new);
        let due = match lasting {
            Lasting::Rests => return None,
            Lasting::Passes => state.since + LASTS,
            Lasting::Queues => state.since + QUEUES,
        };
        if now < due {
            return Some(due - now);
        }
        if lasting == Lasting::Passes {
            return None;
        }
        let from = state.told_from.unwrap_or_else(|| {
            let from = inner.next_to_say.max(now);
            inner.next_to_say = from + APART;
            from
        });
        inner.since.insert(
            uid.to_string(),
            ReportedState {
                told_from: Some(from),
                ..state
            },
        );
        (now < from).then(|| from - now)
    }

    /// It rests, or is gone.
    pub fn over(&self, uid: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.since.remove(uid);
        if inner.since.is_empty() {
            // What a burst took is not kept for the next.
            inner.since.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_after_two_seconds() {
        let passing = Passing::default();
        assert_eq!(passing.wait("a", Lasting::Passes, Mono(0)), Some(LASTS));
        assert_eq!(
            passing.wait("a", Lasting::Passes, Mono(1500)),
            Some(Duration::from_millis(500))
        );
        assert_eq!(passing.wait("a", Lasting::Passes, Mono(2000)), None);
        passing.over("a");
        assert_eq!(passing.wait("a", Lasting::Passes, Mono(2000)), Some(LASTS));
    }

    #[test]
    fn who_waits_for_a_turn_says_so_after_half_a_minute_one_after_another() {
        let passing = Passing::default();
        for uid in ["a", "b"] {
            assert_eq!(passing.wait(uid, Lasting::Queues, Mono(0)), Some(QUEUES));
        }
        assert_eq!(passing.wait("a", Lasting::Queues, Mono(30_000)), None);
        assert_eq!(passing.wait("b", Lasting::Queues, Mono(30_000)), Some(APART));
        assert_eq!(passing.wait("b", Lasting::Queues, Mono(30_050)), None);
    }

    #[test]
    fn who_gets_its_turn_begins_anew() {
        let passing = Passing::default();
        passing.wait("a", Lasting::Queues, Mono(0));
        assert_eq!(passing.wait("a", Lasting::Passes, Mono(29_000)), Some(LASTS));
    }
}
