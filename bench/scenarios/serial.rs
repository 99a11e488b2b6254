//! A remote side that serves one call after another, each in 20 ms: it is to be kept busy.

use std::time::{Duration, Instant};

use crate::{
    api::{Behaviour, Call},
    floor::Remote,
    scenarios::{Bench, life, limit},
    stand::Stand,
    support::{Outcome, Provider},
    table::Target::Above,
    users::names,
};

/// Twenty seconds of its work.
const USERS: usize = 1000;

/// What a bare client makes afterwards, one after another.
const BY_THE_FLOOR: usize = 100;

const CALL: Duration = Duration::from_millis(20);

impl Bench<'_> {
    /// It never waits for the operator.
    pub async fn serial(&mut self) -> Outcome {
        if !self.config.wants("serial") {
            return Ok(());
        }
        let mut stand = Stand::new(self.environment, Provider::Ionos, "serial", false).await?;
        stand.open().await?;
        let Some(api) = stand.api() else { return Ok(()) };
        api.behave(Behaviour {
            delay: CALL,
            one_by_one: true,
            ..Behaviour::default()
        });
        let (names, mark, started) = (names("user", USERS), api.mark(), Instant::now());
        stand.users.make(&names, &stand.server_ref()).await?;
        let ready = stand.users.until(&names, limit(USERS), |seen| seen.ready).await;
        let calls = api.since(mark);
        let mark = api.mark();
        let bare = Remote::of(&stand, 1).await?;
        for name in crate::users::names("bare", BY_THE_FLOOR) {
            bare.create(&name).await?;
        }
        let by_the_floor = api.since(mark);
        let mut rows = self.table.rows(Provider::Ionos, USERS, "serial");
        life::reached(&mut rows, "Ready", ready, ready.last.duration_since(started));
        rows.check(
            "share of time that it is busy",
            100.0 * busy_share(&calls),
            "%",
            Above(95.0),
        )
        .note("from the first change to the last");
        rows.show(
            "share by a bare client that does nothing else",
            100.0 * busy_share(&by_the_floor),
            "%",
        );
        rows.show("remote calls", calls.len() as f64, "");
        stand.close().await
    }
}

/// How much of the time from the first change to the last calls were being served.
fn busy_share(calls: &[Call]) -> f64 {
    let mut changes = calls.iter().filter(|call| call.route.changes());
    let (Some(first), Some(last)) = (changes.next(), changes.next_back()) else {
        return 0.0;
    };
    let within = calls
        .iter()
        .filter(|call| call.begun >= first.begun && call.ended <= last.ended);
    let served: Duration = within.map(|call| call.ended.duration_since(call.begun)).sum();
    served.as_secs_f64() / last.ended.duration_since(first.begun).as_secs_f64()
}
