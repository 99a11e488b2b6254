//! What there is, counted now and then for `/metrics`.

mod rotations;
mod servers;
mod users;

use std::time::Duration;

use kube::runtime::reflector::Store;

use self::rotations::Rotations;
use super::context::Context;
use super::shard;
use crate::clock;
use crate::metrics::census::Census;

/// How often it is counted.
const EVERY: Duration = Duration::from_secs(5);

/// Counts as long as it is polled. What is counted has to have been listed before.
pub async fn keep(context: &Context) {
    let mut rotations = Rotations::default();
    loop {
        context.metrics.set_census(take(context, &mut rotations));
        context.forget_old_writes();
        tokio::time::sleep(EVERY).await;
    }
}

fn take(context: &Context, rotations: &mut Rotations) -> Census {
    let mut census = Census::default();
    let all = context.stores.users.iter().flat_map(Store::state);
    let ours: Vec<_> = all.filter(|user| shard::works_on(context, user)).collect();
    for user in &ours {
        let found = users::state_of(user);
        if let Some(since) = found.since {
            let longest = census.longest.entry(found.labels.state).or_insert(since);
            *longest = since.min(*longest);
        }
        *census.users.entry(found.labels).or_default() += 1;
    }
    (census.rotations_due, census.rotations_overdue) =
        rotations.count(ours.iter().map(AsRef::as_ref), clock::now());
    servers::count(context, &mut census);
    census
}
