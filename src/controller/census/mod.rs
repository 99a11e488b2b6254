//! What there is, counted now and then for `/metrics`.

mod rotations;
mod servers;
mod users;

use std::collections::BTreeMap;
use std::time::Duration;

use self::rotations::Rotations;
use super::context::Context;
use super::shard;
use crate::clock;
use crate::metrics::census::{Census, InState};

/// How often it is counted.
const EVERY: Duration = Duration::from_secs(5);

/// Counts as long as it is polled. What is counted has to have been listed before.
pub async fn keep(context: &Context) {
    let mut users = Users::default();
    loop {
        users.count(context);
        context.metrics.set_census(take(context, &users));
        context.forget_old_writes();
        tokio::time::sleep(EVERY).await;
    }
}

/// The PostgresUsers when they were last counted.
#[derive(Default)]
struct Users {
    /// After how many changes.
    at: Option<u64>,
    states: BTreeMap<InState, i64>,
    longest: BTreeMap<&'static str, i64>,
    rotations: Rotations,
}

impl Users {
    /// Counts them anew, if anything has changed since.
    fn count(&mut self, context: &Context) {
        let changes = context.changes();
        if self.at == Some(changes) {
            return;
        }
        *self = Self {
            at: Some(changes),
            rotations: std::mem::take(&mut self.rotations),
            ..Self::default()
        };
        let all = context.users_at_rest().map(|user| user.wake());
        for user in all.filter(|user| shard::works_on(context, user)) {
            let found = users::state_of(&user);
            if let Some(since) = found.since {
                let longest = self.longest.entry(found.labels.state).or_insert(since);
                *longest = since.min(*longest);
            }
            *self.states.entry(found.labels).or_default() += 1;
            self.rotations.note(&user, clock::now());
        }
        self.rotations.noted();
    }
}

fn take(context: &Context, users: &Users) -> Census {
    let (rotations_due, rotations_overdue) = users.rotations.count(clock::now());
    let mut census = Census {
        users: users.states.clone(),
        longest: users.longest.clone(),
        rotations_due,
        rotations_overdue,
        ..Census::default()
    };
    servers::count(context, &mut census);
    census
}
