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
        for change in self.0.iter().rev() {
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
