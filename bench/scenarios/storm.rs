//! An API that refuses a third of all calls, and then everything for a minute.

use std::time::{Duration, Instant};

use crate::{
    api::{Api, Behaviour, Call},
    scenarios::{Bench, life, limit},
    stand::Stand,
    support::{Outcome, Provider},
    table::Target::AtMost,
    users::names,
};

const USERS: usize = 40;

const RETRY_AFTER: u64 = 1;

const DOWN: Duration = Duration::from_secs(60);

/// One caller that asks after 1, 2, 4, … seconds, with room for its jitter.
const PROBES: f64 = 12.0;

impl Bench<'_> {
    /// All come through it, and the API is left alone meanwhile.
    pub async fn storm(&mut self) -> Outcome {
        if !self.wants_long("storm") {
            return Ok(());
        }
        let mut stand = Stand::new(self.environment, Provider::Ionos, "storm", false).await?;
        stand.open().await?;
        if let Some(api) = stand.api() {
            self.a_third(&stand, api).await?;
            self.outage(&stand, api).await?;
        }
        stand.close().await
    }

    async fn a_third(&mut self, stand: &Stand, api: &Api) -> Outcome {
        api.behave(Behaviour {
            refuse_a_third: Some(RETRY_AFTER),
            ..Behaviour::default()
        });
        let (names, mark, started) = (names("user", USERS), api.mark(), Instant::now());
        stand.users.make(&names, &stand.server_ref()).await?;
        let ready = stand.users.until(&names, limit(USERS), |seen| seen.ready).await;
        let calls = api.since(mark);
        let mut rows = self.table.rows(Provider::Ionos, USERS, "storm");
        life::reached(
            &mut rows,
            "Ready, with a third 429",
            ready,
            ready.last.duration_since(started),
        );
        rows.check(
            "calls before Retry-After was over",
            early(&calls) as f64,
            "",
            AtMost(0.0),
        );
        rows.show("calls, with a third 429", calls.len() as f64, "");
        Ok(())
    }

    async fn outage(&mut self, stand: &Stand, api: &Api) -> Outcome {
        let end = Instant::now() + DOWN;
        api.behave(Behaviour {
            down_until: Some(end),
            ..Behaviour::default()
        });
        let (names, mark) = (names("later", USERS), api.mark());
        stand.users.make(&names, &stand.server_ref()).await?;
        tokio::time::sleep_until(end.into()).await;
        let during = api.since(mark).len();
        let ready = stand.users.until(&names, limit(USERS), |seen| seen.ready).await;
        let mut rows = self.table.rows(Provider::Ionos, USERS, "storm");
        rows.check("calls in a minute of 503", during as f64, "", AtMost(PROBES));
        life::reached(
            &mut rows,
            "Ready, after the minute of 503",
            ready,
            ready.last.saturating_duration_since(end),
        );
        Ok(())
    }
}

/// Calls that came sooner after a 429 than it asks for.
fn early(calls: &[Call]) -> usize {
    let mut until = None;
    let mut early = 0;
    for call in calls {
        early += usize::from(until.is_some_and(|until| call.arrived < until));
        if call.status == 429 {
            until = Some(call.ended + Duration::from_secs(RETRY_AFTER));
        }
    }
    early
}
