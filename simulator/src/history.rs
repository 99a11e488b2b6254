//! The recent changes, so that reads can be answered as of a while ago.

use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

use crate::roles::User;

/// No lag is longer than this: older changes are forgotten.
const KEPT: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Change {
    at: Instant,
    name: String,
    before: Option<User>,
    created: bool,
}

/// How far reads trail.
#[derive(Debug, Clone, Copy)]
pub struct Lag {
    /// Behind the creation of a user.
    pub create: Duration,
    /// Behind any other change.
    pub other: Duration,
}

/// Changes, oldest first.
#[derive(Debug, Default)]
pub struct History(VecDeque<Change>);

impl History {
    /// Records a change that is about to be made: what the user was before, and whether it is created.
    pub fn record(&mut self, name: &str, before: Option<User>, created: bool) {
        let now = Instant::now();
        while self
            .0
            .front()
            .is_some_and(|change| now.duration_since(change.at) > KEPT)
        {
            self.0.pop_front();
        }
        self.0.push_back(Change {
            at: now,
            name: name.to_owned(),
            before,
            created,
        });
    }

    /// Takes back the last record of a user, whose change was not made after all.
    pub fn take_back(&mut self, name: &str) {
        if let Some(index) = self.0.iter().rposition(|change| change.name == name) {
            self.0.remove(index);
        }
    }

    /// The users as they were so long ago.
    pub fn rewind(&self, now: Instant, users: Vec<User>, lag: Lag) -> Vec<User> {
        let mut users = users;
        let mut settled = HashSet::new();
        let longest = lag.create.max(lag.other);
        for change in self.0.iter().rev() {
            if now.saturating_duration_since(change.at) >= longest {
                break;
            }
            let trail = if change.created { lag.create } else { lag.other };
            if settled.contains(&change.name) {
                continue;
            }
            if now.saturating_duration_since(change.at) >= trail {
                settled.insert(&change.name);
                continue;
            }
            users.retain(|user| user.name != change.name);
            users.extend(change.before.clone());
        }
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::Origin;

    fn user(name: &str, modified_ms: i64) -> User {
        User {
            name: name.to_owned(),
            origin: Origin::Api,
            created_ms: 0,
            created_by: None,
            modified_ms,
            modified_by: None,
            visible: true,
            pending: None,
            password_print: None,
            role_exists: true,
            read_only: false,
            encryption: None,
        }
    }

    fn rewound(history: &History, users: Vec<User>, create: u64, other: u64) -> Vec<User> {
        let lag = Lag {
            create: Duration::from_secs(create),
            other: Duration::from_secs(other),
        };
        history.rewind(Instant::now(), users, lag)
    }

    #[test]
    fn each_kind_of_change_is_hidden_for_its_own_lag() {
        let mut history = History::default();
        history.record("new", None, true);
        history.record("changed", Some(user("changed", 1)), false);
        history.record("deleted", Some(user("deleted", 1)), false);
        let now = vec![user("changed", 2), user("new", 2)];
        assert_eq!(rewound(&history, now.clone(), 0, 0), now);
        assert_eq!(rewound(&history, now.clone(), 9, 0), [user("changed", 2)]);
        let before = [user("changed", 1), user("deleted", 1)];
        assert_eq!(rewound(&history, now.clone(), 9, 9), before);
        history.take_back("deleted");
        assert_eq!(rewound(&history, now, 9, 9), [user("changed", 1)]);
    }

    #[test]
    fn several_changes_of_one_user_are_undone_one_by_one() {
        let mut history = History::default();
        history.record("a", Some(user("a", 1)), false);
        history.record("a", None, true);
        history.record("a", Some(user("a", 2)), false);
        assert_eq!(rewound(&history, vec![user("a", 3)], 9, 9), [user("a", 1)]);
        assert_eq!(rewound(&history, vec![user("a", 3)], 0, 9), [user("a", 2)]);
    }
}
