//! A cluster that is BUSY for 20 seconds after each change, as real ones are.

use std::time::{Duration, Instant};

use crate::{
    api::{Behaviour, Call, Route},
    scenarios::{Bench, life, limit},
    stand::Stand,
    support::{Outcome, Provider},
    table::Target::{AtMost, Below},
    users::names,
};

const USERS: usize = 5;

const BUSY: Duration = Duration::from_secs(20);

impl Bench<'_> {
    /// Nothing is sent while it is BUSY, it is not asked all the time, and it does not wait long afterwards.
    pub async fn busy(&mut self) -> Outcome {
        if !self.wants_long("busy") {
            return Ok(());
        }
        let mut stand = Stand::new(self.environment, Provider::Ionos, "busy", false).await?;
        stand.open().await?;
        let Some(api) = stand.api() else { return Ok(()) };
        api.behave(Behaviour {
            busy: BUSY,
            ..Behaviour::default()
        });
        let (names, mark, started) = (names("user", USERS), api.mark(), Instant::now());
        stand.users.make(&names, &stand.server_ref()).await?;
        let ready = stand.users.until(&names, limit(USERS), |seen| seen.ready).await;
        let calls = api.since(mark);
        let mut rows = self.table.rows(Provider::Ionos, USERS, "busy");
        life::reached(&mut rows, "Ready", ready, ready.last.duration_since(started));
        let sent = calls
            .iter()
            .filter(|call| call.busy && call.route.changes())
            .count();
        rows.check("changes sent while it was BUSY", sent as f64, "", AtMost(0.0));
        let (looks, idle) = (looks_a_second(&calls), idle_share(&calls));
        rows.check("looks a second while it was BUSY", looks, "/s", AtMost(1.0));
        rows.check(
            "share of time that it was idle and not BUSY",
            100.0 * idle,
            "%",
            Below(10.0),
        )
        .note("from the first change to the last");
        stand.close().await
    }
}

fn changes(calls: &[Call]) -> Vec<Instant> {
    let done = calls
        .iter()
        .filter(|call| call.route.changes() && call.status < 300);
    done.map(|call| call.ended).collect()
}

/// Looks at a cluster that was BUSY, for each second that it was.
fn looks_a_second(calls: &[Call]) -> f64 {
    let looks = calls
        .iter()
        .filter(|call| call.route == Route::Cluster && call.busy)
        .count();
    let Some(last) = calls.last() else { return 0.0 };
    let changes = changes(calls);
    let ends = changes.iter().skip(1).copied().chain([last.ended]);
    let busy: Duration = changes
        .iter()
        .zip(ends)
        .map(|(begin, end)| end.duration_since(*begin).min(BUSY))
        .sum();
    looks as f64 / busy.as_secs_f64().max(1.0)
}

/// How much of the time from the first change to the last it was not BUSY.
fn idle_share(calls: &[Call]) -> f64 {
    let changes = changes(calls);
    let gaps = changes
        .iter()
        .zip(changes.iter().skip(1))
        .map(|(one, next)| next.duration_since(*one));
    let (all, idle) = gaps.fold((Duration::ZERO, Duration::ZERO), |(all, idle), gap| {
        (all + gap, idle + gap.saturating_sub(BUSY))
    });
    if all.is_zero() {
        1.0
    } else {
        idle.as_secs_f64() / all.as_secs_f64()
    }
}
