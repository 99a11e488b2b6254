//! Users of an API whose dates have milliseconds, which is legal.

use std::time::Instant;

use crate::{
    api::Behaviour,
    scenarios::{Bench, Rates, life, limit},
    stand::{Stand, spell},
    support::{Outcome, Provider},
    table::Target::{AtLeast, AtMost},
    users::names,
};

/// More would tell no more.
const MOST: usize = 1000;

impl Bench<'_> {
    /// As with whole seconds.
    pub async fn dates(&mut self, users: usize, floor: Option<Rates>) -> Outcome {
        if !self.config.wants("dates") || users > MOST {
            return Ok(());
        }
        let mut stand = Stand::new(self.environment, Provider::Ionos, "dates", false).await?;
        if let Some(api) = stand.api() {
            api.behave(Behaviour {
                milliseconds: true,
                ..Behaviour::default()
            });
        }
        stand.open().await?;
        let (names, meter, started) = (names("user", users), stand.meter().await?, Instant::now());
        stand.users.make(&names, &stand.server_ref()).await?;
        let ready = stand.users.until(&names, limit(users), |seen| seen.ready).await;
        let took = ready.last.duration_since(started);
        let costs = stand.read(&meter).await?;
        let mut rows = self.table.rows(Provider::Ionos, users, "dates");
        life::reached(&mut rows, "Ready", ready, took);
        let rate = ready.count as f64 / took.as_secs_f64();
        if let Some(floor) = floor {
            rows.check("made a second", rate, "/s", AtLeast(floor.create / 1.3))
                .note("floor / 1.3");
        }
        let calls = costs.all_calls() as f64;
        rows.check("remote calls", calls, "", AtMost(1.1 * users as f64 + 30.0))
            .note(spell(&costs.calls));
        stand.close().await
    }
}
