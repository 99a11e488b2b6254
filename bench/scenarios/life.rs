//! The life of many users: made, left alone, given new passwords, found again by a restarted operator, deleted.

use std::time::{Duration, Instant};

use crate::{
    scenarios::{Bench, LONG, Rates, limit, seconds},
    stand::{Costs, Stand, spell},
    support::{Outcome, Provider, eventually},
    table::Target::{self, AtLeast, AtMost, Below},
    users::{Reached, names},
};

/// What belongs to a burst but comes after its end: a late look, the journal's last write.
const SETTLING: Duration = Duration::from_secs(6);

/// How long a restarted operator is watched once it has caught up.
const WATCHING: Duration = Duration::from_secs(8);

/// How long few users are left alone.
const SHORT_IDLE: Duration = Duration::from_secs(8);

/// How often a single deletion is tried; the one in the middle counts.
const TRIES: usize = 3;

/// What may be different by the number of users.
struct Bounds {
    made: f64,
    deleted: f64,
    ready: f64,
    peak: f64,
}

impl Bounds {
    fn of(users: usize) -> Bounds {
        match users {
            ..=1000 => Bounds {
                made: 4.3,
                deleted: 3.3,
                ready: 24.0,
                peak: 32.0,
            },
            // Who waits long is told so, which is one status more.
            _ => Bounds {
                made: 5.3,
                deleted: 4.3,
                ready: 64.0,
                peak: 96.0,
            },
        }
    }
}

/// A life that is being played.
struct Life<'a, 'b> {
    bench: &'a mut Bench<'b>,
    provider: Provider,
    stand: Stand,
    /// How many there are to be; those that are tried on single ones are among them.
    users: usize,
    names: Vec<String>,
    floor: Option<Rates>,
    bounds: Bounds,
}

impl Bench<'_> {
    /// Plays it, as far as it is wanted.
    pub async fn life(&mut self, provider: Provider, users: usize, floor: Option<Rates>) -> Outcome {
        let parts = ["create", "idle", "burst", "one", "young", "restart", "delete"];
        if !parts.into_iter().any(|part| self.config.wants(part)) {
            return Ok(());
        }
        let mut stand = Stand::new(self.environment, provider, "life", false).await?;
        stand.open().await?;
        let mut life = Life {
            bench: self,
            provider,
            stand,
            users,
            names: names("user", users),
            floor,
            bounds: Bounds::of(users),
        };
        if life.create().await? {
            life.rest().await?;
        }
        life.stand.close().await
    }
}

impl Life<'_, '_> {
    async fn rest(&mut self) -> Outcome {
        if self.wants("idle") {
            self.idle().await?;
        }
        if self.wants("burst") {
            self.burst().await?;
        }
        if self.wants("restart") {
            self.restart().await?;
        }
        if self.wants("one") {
            self.one().await?;
        }
        if self.wants("young") {
            self.young().await?;
        }
        if self.wants("delete") {
            self.delete().await?;
        }
        Ok(())
    }

    fn wants(&self, part: &str) -> bool {
        self.bench.config.wants(part)
    }

    fn count(&self) -> usize {
        self.names.len()
    }

    fn rows(&mut self, scenario: &'static str) -> crate::table::Rows<'_> {
        self.bench.table.rows(self.provider, self.users, scenario)
    }

    /// Makes all users. Whether all of them are Ready.
    async fn create(&mut self) -> Outcome<bool> {
        let count = self.count();
        let meter = self.stand.meter().await?;
        let started = Instant::now();
        self.stand
            .users
            .make(&self.names, &self.stand.server_ref())
            .await?;
        let ready = self
            .stand
            .users
            .until(&self.names, limit(count), |seen| seen.ready)
            .await;
        let took = ready.last.duration_since(started);
        tokio::time::sleep(SETTLING).await;
        let costs = self.stand.read(&meter).await?;
        if !self.wants("create") && ready.all() {
            return Ok(true);
        }
        let rate = ready.count as f64 / took.as_secs_f64();
        let (floor, bounds, provider) = (self.floor, Bounds::of(count), self.provider);
        self.bench.table.disturbed(costs.others);
        let smaller = self.bench.table.value(provider, LONG, "create", "made a second");
        let mut rows = self.rows("create");
        reached(&mut rows, "Ready", ready, took);
        if let Some(floor) = floor {
            rows.check("made a second", rate, "/s", AtLeast(floor.create / 1.3))
                .note("floor / 1.3");
        } else {
            rows.show("made a second", rate, "/s");
        }
        if let Some(smaller) = smaller.filter(|_| count > LONG) {
            rows.check("rate as against 1,000", rate / smaller, "", AtLeast(0.8));
        }
        expenses(&mut rows, &costs, count, bounds.made);
        memory(&mut rows, &costs, &bounds);
        rows.show("CPU", costs.usage.cpu.as_secs_f64(), "s")
            .note(format!("others had {:.0} % of the machine", costs.others));
        Ok(ready.all())
    }

    /// Leaves all alone.
    async fn idle(&mut self) -> Outcome {
        let count = self.count();
        let time = match count < LONG {
            true => self.bench.config.idle.min(SHORT_IDLE),
            false => self.bench.config.idle,
        };
        let meter = self.stand.meter().await?;
        tokio::time::sleep(time).await;
        let costs = self.stand.read(&meter).await?;
        let lists = count.div_ceil(1000) as u64 * (time.as_secs() / 30 + 1);
        let mut rows = self.rows("idle");
        rows.check("writes", costs.all_writes() as f64, "", AtMost(0.0))
            .note(format!("in {} s {}", time.as_secs(), spell(&costs.writes)));
        // A list each 30 s, as the server object asks for, with a look at the cluster.
        rows.check(
            "remote calls",
            costs.all_calls() as f64,
            "",
            AtMost(2.0 * lists as f64),
        )
        .note(spell(&costs.calls));
        rows.show("CPU", costs.usage.cpu.as_secs_f64(), "s");
        rows.show("RSS", costs.usage.rss, "MiB");
        Ok(())
    }

    /// Asks for a new password of everybody.
    async fn burst(&mut self) -> Outcome {
        let count = self.count();
        let meter = self.stand.meter().await?;
        let started = Instant::now();
        self.stand.users.rotate(&self.names, "1").await?;
        let is = |seen: &crate::users::Seen| seen.rotation.as_ref().map(|(_, when)| *when);
        let rotated = self.stand.users.until(&self.names, limit(count), is).await;
        let took = rotated.last.duration_since(started);
        tokio::time::sleep(SETTLING).await;
        let costs = self.stand.read(&meter).await?;
        let mut rows = self.rows("burst");
        reached(&mut rows, "rotated", rotated, took);
        rows.show(
            "rotated a second",
            rotated.count as f64 / took.as_secs_f64(),
            "/s",
        );
        rows.show("remote calls", costs.all_calls() as f64, "")
            .note(spell(&costs.calls));
        rows.show("kube writes a user", costs.all_writes() as f64 / count as f64, "")
            .note(spell(&costs.writes));
        rows.show("peak RSS", costs.usage.peak, "MiB");
        Ok(())
    }

    /// Deletes single users that have long been Ready.
    async fn one(&mut self) -> Outcome {
        let mut times = Vec::new();
        for _ in 0..TRIES.min(self.names.len().saturating_sub(1)) {
            let name = self.names.pop().into_iter().collect::<Vec<_>>();
            times.push(self.one_deleted(&name).await?);
        }
        single(&mut self.rows("one"), "deleted after", times);
        Ok(())
    }

    /// Deletes single users at once when they are Ready.
    async fn young(&mut self) -> Outcome {
        let mut times = Vec::new();
        let mut ready = Vec::new();
        for name in names("young", TRIES) {
            let (name, started) = ([name], Instant::now());
            self.stand.users.make(&name, &self.stand.server_ref()).await?;
            let reached = self.stand.users.until(&name, limit(1), |seen| seen.ready).await;
            ready.push(reached.all().then(|| reached.last.duration_since(started)));
            times.push(self.one_deleted(&name).await?);
        }
        let mut rows = self.rows("young");
        single(&mut rows, "deleted after", times);
        if let Some(middle) = middle(ready) {
            rows.show("was Ready after", middle.as_secs_f64(), "s");
        }
        Ok(())
    }

    async fn one_deleted(&self, name: &[String]) -> Outcome<Option<Duration>> {
        let started = Instant::now();
        self.stand.users.delete(name).await?;
        let gone = self.stand.users.until(name, limit(1), |seen| seen.gone).await;
        Ok(gone.all().then(|| gone.last.duration_since(started)))
    }

    /// Ends the operator, and starts it again.
    async fn restart(&mut self) -> Outcome {
        let count = self.count() as u64;
        self.stand.operator.terminate().await?;
        let meter = self.stand.meter().await?;
        let meter = Stand::of_new_process(meter);
        let started = Instant::now();
        self.stand.operator.start()?;
        self.stand.operator.ready().await?;
        let stand = &self.stand;
        let caught_up = eventually(
            "the operator to have caught up",
            limit(self.count()),
            async || match (stand.looks().await?, stand.operator.get("metrics").await?) {
                (looks, metrics) if looks >= count && has_listed(&metrics) => Ok(started.elapsed()),
                (looks, _) => Err(format!("it has looked {looks} times").into()),
            },
        )
        .await;
        tokio::time::sleep(WATCHING).await;
        let costs = self.stand.read(&meter).await?;
        let (bounds, pages) = (Bounds::of(self.count()), self.count().div_ceil(1000) as f64);
        let mut rows = self.rows("restart");
        rows.check(
            "writes to users and Secrets",
            costs.writes_at_users as f64,
            "",
            AtMost(0.0),
        )
        .note(spell(&costs.writes));
        rows.check(
            "remote calls",
            costs.all_calls() as f64,
            "",
            AtMost(4.0 * pages + 4.0),
        )
        .note(spell(&costs.calls));
        match caught_up {
            Ok(time) => rows.show("caught up after", time.as_secs_f64(), "s"),
            Err(_) => rows.missing("caught up after", AtMost(limit(count as usize).as_secs_f64())),
        };
        rows.check("peak RSS", costs.usage.peak, "MiB", Below(bounds.peak));
        rows.show("RSS", costs.usage.rss, "MiB");
        rows.show("CPU", costs.usage.cpu.as_secs_f64(), "s");
        Ok(())
    }

    /// Deletes all that are left.
    async fn delete(&mut self) -> Outcome {
        let count = self.count();
        let meter = self.stand.meter().await?;
        let started = Instant::now();
        self.stand.users.delete(&self.names).await?;
        let gone = self
            .stand
            .users
            .until(&self.names, limit(count), |seen| seen.gone)
            .await;
        let took = gone.last.duration_since(started);
        tokio::time::sleep(SETTLING).await;
        let costs = self.stand.read(&meter).await?;
        self.bench.table.disturbed(costs.others);
        let (floor, deleted) = (self.floor, self.bounds.deleted);
        let mut rows = self.rows("delete");
        reached(&mut rows, "gone", gone, took);
        if let Some(floor) = floor {
            let most = 1.5 * seconds(count, floor.delete);
            rows.check("seconds", took.as_secs_f64(), "s", AtMost(most))
                .note("1.5 × floor");
        }
        rows.show("deleted a second", gone.count as f64 / took.as_secs_f64(), "/s");
        expenses(&mut rows, &costs, count, deleted);
        rows.show("peak RSS", costs.usage.peak, "MiB")
            .note("since its last start");
        rows.show("CPU", costs.usage.cpu.as_secs_f64(), "s")
            .note(format!("others had {:.0} % of the machine", costs.others));
        Ok(())
    }
}

/// Whether all got there.
pub fn reached(rows: &mut crate::table::Rows<'_>, what: &'static str, reached: Reached, took: Duration) {
    rows.check(what, reached.count as f64, "", AtLeast(reached.wanted as f64))
        .note(format!("after {:.1} s", took.as_secs_f64()));
}

/// Calls and writes of a burst.
fn expenses(rows: &mut crate::table::Rows<'_>, costs: &Costs, users: usize, writes: f64) {
    let users = users as f64;
    rows.check(
        "remote calls",
        costs.all_calls() as f64,
        "",
        AtMost(1.1 * users + 30.0),
    )
    .note(spell(&costs.calls));
    rows.check(
        "kube writes a user",
        costs.all_writes() as f64 / users,
        "",
        AtMost(writes),
    )
    .note(spell(&costs.writes));
}

fn memory(rows: &mut crate::table::Rows<'_>, costs: &Costs, bounds: &Bounds) {
    rows.check("RSS when Ready", costs.usage.rss, "MiB", Below(bounds.ready));
    rows.check("peak RSS", costs.usage.peak, "MiB", Below(bounds.peak));
}

fn single(rows: &mut crate::table::Rows<'_>, what: &'static str, times: Vec<Option<Duration>>) {
    let all: Vec<String> = times
        .iter()
        .map(|time| time.map_or("never".to_owned(), |time| format!("{time:.2?}")))
        .collect();
    let target: Target = Below(0.5);
    match middle(times) {
        Some(time) => rows.check(what, time.as_secs_f64(), "s", target),
        None => rows.missing(what, target),
    }
    .note(all.join(", "));
}

/// The one in the middle; none, if that one took for ever.
fn middle(mut times: Vec<Option<Duration>>) -> Option<Duration> {
    times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
    times.get(times.len() / 2).copied().flatten()
}

fn has_listed(metrics: &str) -> bool {
    let is_list = |line: &str| line.contains("operation=\"list\"") && line.contains("class=\"ok\"");
    metrics.lines().any(is_list)
}
