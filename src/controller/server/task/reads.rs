//! Which users are to be read, and what is known of names that cannot be. Reads are bought wholesale: what many want is one
//! list. No IO.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::plan::Trouble;
use crate::domain::time::Mono;

/// Users that are to be read.
#[derive(Debug, Default)]
pub struct Reads {
    wanted: HashMap<String, Mono>,
    next: u64,
    order: std::collections::BTreeMap<u64, String>,
    number: HashMap<String, u64>,
}

impl Reads {
    /// Asks for a user to be read, no sooner than this.
    pub fn want(&mut self, username: &str, from: Mono) {
        if self.wanted.contains_key(username) {
            return;
        }
        self.wanted.insert(username.to_string(), from);
        self.number.insert(username.to_string(), self.next);
        self.order.insert(self.next, username.to_string());
        self.next += 1;
    }

    /// How many are due.
    pub fn due(&self, now: Mono) -> usize {
        self.wanted.values().filter(|from| **from <= now).count()
    }

    /// When the next is due.
    pub fn next_due(&self) -> Option<Mono> {
        self.wanted.values().min().copied()
    }

    /// Takes the one that has waited longest of those that are due.
    pub fn take(&mut self, now: Mono) -> Option<String> {
        let due = |name: &&String| self.wanted.get(*name).is_some_and(|from| *from <= now);
        let name = self.order.values().find(due)?.clone();
        self.forget(&name);
        Some(name)
    }

    /// Nobody wants this one any more.
    pub fn forget(&mut self, username: &str) {
        self.wanted.remove(username);
        if let Some(number) = self.number.remove(username) {
            self.order.remove(&number);
        }
    }

    /// A list was made: it has answered all. Gives the names.
    pub fn take_all(&mut self) -> Vec<String> {
        self.order.clear();
        self.number.clear();
        self.wanted.drain().map(|(name, _)| name).collect()
    }
}

/// What goes wrong with requests about one login while the server itself is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difficulty {
    /// What is said of it.
    pub trouble: Trouble,
    /// How many times in a row.
    pub failures: u32,
    /// No request about the login before this.
    pub until: Mono,
}

/// Names with which something goes wrong, each for itself.
#[derive(Debug, Default)]
pub struct Difficulties(HashMap<String, Difficulty>);

impl Difficulties {
    /// What goes wrong with this name.
    pub fn of(&self, username: &str) -> Option<&Difficulty> {
        self.0.get(username)
    }

    /// Something went wrong once more; `pause` gives how long to leave it alone after that many times.
    pub fn note(&mut self, username: &str, trouble: Trouble, now: Mono, pause: impl FnOnce(u32) -> Duration) {
        let failures = self.of(username).map_or(0, |before| before.failures) + 1;
        let until = now + pause(failures - 1);
        self.0.insert(
            username.to_string(),
            Difficulty {
                trouble,
                failures,
                until,
            },
        );
    }

    /// It works, or nobody asks any more.
    pub fn over(&mut self, username: &str) -> bool {
        self.0.remove(username).is_some()
    }

    /// When this name may be asked about again.
    pub fn until(&self, username: &str) -> Mono {
        self.of(username).map_or(Mono::default(), |it| it.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reason;

    #[test]
    fn who_asked_first_is_read_first_and_once() {
        let mut reads = Reads::default();
        for name in ["b", "a", "b"] {
            reads.want(name, Mono(0));
        }
        reads.want("later", Mono(10));
        assert_eq!(reads.due(Mono(5)), 2);
        assert_eq!(reads.take(Mono(5)).as_deref(), Some("b"));
        assert_eq!(reads.take(Mono(5)).as_deref(), Some("a"));
        assert_eq!(reads.take(Mono(5)), None);
        assert_eq!(reads.next_due(), Some(Mono(10)));
    }

    #[test]
    fn pauses_are_counted_for_each_name_alone() {
        let mut difficulties = Difficulties::default();
        let trouble = Trouble {
            reason: Reason::RequestFailed,
            message: String::new(),
            stalled: false,
        };
        for _ in 0..3 {
            difficulties.note("a", trouble.clone(), Mono(0), |failures| {
                Duration::from_secs(1 << failures)
            });
        }
        assert_eq!(difficulties.until("a"), Mono(4000));
        assert_eq!(difficulties.until("b"), Mono(0));
        assert!(difficulties.over("a") && !difficulties.over("a"));
    }
}
