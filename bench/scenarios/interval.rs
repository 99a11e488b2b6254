//! Many users of one interval, made together: how their rotations are spread, and what they cost.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::json;

use crate::{
    scenarios::{
        Bench, LONG,
        life::{self, SETTLING},
        limit,
    },
    stand::{Costs, Remote, Stand, spell},
    support::{Outcome, Provider},
    table::{
        Rows,
        Target::{AtLeast, AtMost},
    },
    users::names,
};

/// More would have to be waited for too long.
const MOST: usize = 1000;

/// The part of an interval that the operator spreads rotations over, unless a spec says otherwise, is a tenth.
const SPREAD: u32 = 10;

/// Of which the fullest tenth is looked for.
const PARTS: u32 = 10;

/// How many Secrets are looked at, at once.
const AT_ONCE: usize = 8;

/// So long that the tenth of it is more than all rotations would take together: else there would be nothing to see.
fn interval(users: usize) -> Duration {
    Duration::from_secs(if users < LONG { 120 } else { 300 })
}

/// How much more than the mean may be in one part: the fewer there are, the more by chance.
fn unevenness(users: usize) -> f64 {
    if users < LONG { 2.0 } else { 1.5 }
}

impl Bench<'_> {
    /// All are rotated once.
    pub async fn interval(&mut self, provider: Provider, users: usize) -> Outcome {
        let for_few = users < LONG && self.config.is_whole();
        if !self.config.wants("interval") || for_few || users > MOST {
            return Ok(());
        }
        let mut stand = Stand::new(self.environment, provider, "interval", false).await?;
        stand
            .operator
            .reconfigure(|options| options.flag("--min-rotation-interval", "1m"));
        stand.open().await?;
        let (names, interval) = (names("user", users), interval(users));
        let rotation = json!({"interval": format!("{}s", interval.as_secs())});
        let spec = json!({"serverRef": stand.server_ref(), "rotation": rotation});
        let started = Instant::now();
        stand.users.make_with(&names, &spec).await?;
        stand.users.until(&names, limit(users), |seen| seen.ready).await;
        tokio::time::sleep(SETTLING).await;
        let meter = stand.meter().await?;
        let rotated = stand
            .users
            .until(&names, interval + limit(users), |seen| seen.aged)
            .await;
        tokio::time::sleep(SETTLING).await;
        let costs = stand.read(&meter).await?;
        let right = right(&stand, &names).await?;
        self.table.disturbed(costs.others);
        let times = stand.users.times(&names, |seen| seen.aged);
        let mut rows = self.table.rows(provider, users, "interval");
        life::reached(
            &mut rows,
            "rotated",
            rotated,
            rotated.last.duration_since(started),
        );
        spread(&mut rows, &times, interval / SPREAD, users);
        expenses(&mut rows, &costs, rotated.count, interval);
        rows.check("Secrets that are right", right as f64, "", AtLeast(users as f64));
        stand.close().await
    }
}

/// The fullest part of the time that rotations are spread over, as against one that has its share.
fn spread(rows: &mut Rows<'_>, times: &[Instant], over: Duration, users: usize) {
    let part = over / PARTS;
    let most = fullest(times, part);
    let share = users as f64 / f64::from(PARTS);
    let (first, last) = (times.iter().min(), times.iter().max());
    let all = first.zip(last).map(|(first, last)| last.duration_since(*first));
    rows.check(
        "most in a tenth of the spread, as against the mean",
        most as f64 / share,
        "",
        AtMost(unevenness(users)),
    )
    .note(format!(
        "{most} in {:.1} s, all in {:.1} s",
        part.as_secs_f64(),
        all.unwrap_or_default().as_secs_f64()
    ));
}

fn fullest(times: &[Instant], part: Duration) -> usize {
    let Some(first) = times.iter().min() else { return 0 };
    let mut parts: BTreeMap<u128, usize> = BTreeMap::new();
    for time in times {
        let number = time.duration_since(*first).as_millis() / part.as_millis().max(1);
        *parts.entry(number).or_default() += 1;
    }
    parts.into_values().max().unwrap_or(0)
}

fn expenses(rows: &mut Rows<'_>, costs: &Costs, rotations: usize, interval: Duration) {
    let rotations = rotations.max(1) as f64;
    // A list and a look at the cluster each 30 s, as the server object asks for.
    let lists = 2 * (interval.as_secs() / 30 + 1);
    rows.check(
        "remote calls",
        costs.all_calls() as f64,
        "",
        AtMost(1.1 * rotations + 30.0 + lists as f64),
    )
    .note(spell(&costs.calls));
    rows.check(
        "kube writes a rotation",
        costs.all_writes() as f64 / rotations,
        "",
        AtMost(4.3),
    )
    .note(spell(&costs.writes));
    rows.show("CPU", costs.usage.cpu.as_secs_f64(), "s")
        .note(format!("others had {:.0} % of the machine", costs.others));
}

/// How many Secrets hold the password that the remote has.
async fn right(stand: &Stand, names: &[String]) -> Outcome<usize> {
    let answers = futures::stream::iter(names).map(|name| is_right(stand, name));
    let answers: Vec<bool> = answers.buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(answers.into_iter().filter(|is_right| *is_right).count())
}

async fn is_right(stand: &Stand, name: &str) -> Outcome<bool> {
    let secret = stand.world.secret(&format!("{name}-postgres")).await?;
    let Some(password) = secret.as_ref().and_then(|secret| secret.get("password")) else {
        return Ok(false);
    };
    match &stand.remote {
        Remote::Ionos(api) => Ok(api.password(name).as_ref() == Some(password)),
        Remote::Sql => stand.world.postgres().accepts(name, password).await,
    }
}
