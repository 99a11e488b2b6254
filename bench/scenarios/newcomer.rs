//! One user of another namespace, made while many of the same server wait.

use std::time::{Duration, Instant};

use crate::{
    scenarios::{Bench, limit},
    stand::Stand,
    support::{Outcome, Provider},
    table::Target::AtMost,
    users::{Users, names},
};

/// More would tell no more.
const MOST: usize = 1000;

/// How many of the many are Ready when the one comes.
const BEFORE: usize = 5;

/// Those that may have had their turn before it came: no more changes can be on their way to the server.
const TURNS: f64 = 64.0;

impl Bench<'_> {
    /// It is served before them.
    pub async fn newcomer(&mut self, provider: Provider, users: usize) -> Outcome {
        if !self.config.wants("newcomer") || users > MOST {
            return Ok(());
        }
        let mut stand = Stand::new(self.environment, provider, "newcomer", true).await?;
        stand.open().await?;
        let (many, one) = (names("crowd", users), ["single".to_owned()]);
        let crowd = Users::watch(stand.world.client(), &stand.other());
        crowd.make(&many, &stand.server_ref()).await?;
        let count = || crowd.reached(&many, |seen| seen.ready).count;
        let begun = Instant::now();
        while count() < BEFORE.min(users) && begun.elapsed() < limit(users) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (before, started) = (count(), Instant::now());
        let made_before = stand.made().await?.len();
        stand.users.make(&one, &stand.server_ref()).await?;
        let ready = stand.users.until(&one, limit(users), |seen| seen.ready).await;
        let made = stand.made().await?;
        let place = made.iter().position(|name| *name == one[0]);
        let mut rows = self.table.rows(provider, users, "newcomer");
        if let Some(place) = place.filter(|_| ready.all()) {
            rows.show(
                "Ready after",
                ready.last.duration_since(started).as_secs_f64(),
                "s",
            )
            .note(format!("{before} of {users} were Ready when it came"));
            let served = place.saturating_sub(made_before) as f64;
            rows.check("others that were served before it", served, "", AtMost(TURNS));
        } else {
            rows.missing("others that were served before it", AtMost(TURNS));
        }
        drop(crowd);
        stand.close().await
    }
}
