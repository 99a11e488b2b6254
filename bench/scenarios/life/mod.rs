//! The life of many users: made, left alone, given new passwords, found again by a restarted operator, deleted.

mod quiet;
mod single;

use std::time::{Duration, Instant};

use crate::{
    scenarios::{Bench, LONG, Rates, limit, seconds},
    stand::{Costs, Stand, spell},
    support::{Outcome, Provider},
    table::{
        Rows,
        Target::{AtLeast, AtMost, Below},
    },
    users::{Reached, Seen, names},
};

/// What belongs to a burst but comes after its end: a late look, the journal's last write.
pub const SETTLING: Duration = Duration::from_secs(6);

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

    fn rows(&mut self, scenario: &'static str) -> Rows<'_> {
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
        match (floor, smaller.filter(|_| count > LONG)) {
            (_, Some(smaller)) => {
                rows.show("made a second", rate, "/s");
                rows.check("rate as against 1,000", rate / smaller, "", AtLeast(0.8));
            }
            (Some(floor), None) => {
                rows.check("made a second", rate, "/s", AtLeast(floor.create / 1.3))
                    .note("floor / 1.3");
            }
            (None, None) => _ = rows.show("made a second", rate, "/s"),
        }
        expenses(&mut rows, &costs, ready.count, bounds.made);
        memory(&mut rows, &costs, &bounds);
        rows.show("CPU", costs.usage.cpu.as_secs_f64(), "s")
            .note(format!("others had {:.0} % of the machine", costs.others));
        Ok(ready.all())
    }

    /// Asks for a new password of everybody.
    async fn burst(&mut self) -> Outcome {
        let count = self.count();
        let meter = self.stand.meter().await?;
        let started = Instant::now();
        self.stand.users.rotate(&self.names, "1").await?;
        let is = |seen: &Seen| seen.rotation.as_ref().map(|(_, when)| *when);
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
        expenses(&mut rows, &costs, gone.count, deleted);
        rows.show("peak RSS", costs.usage.peak, "MiB")
            .note("since its last start");
        rows.show("CPU", costs.usage.cpu.as_secs_f64(), "s")
            .note(format!("others had {:.0} % of the machine", costs.others));
        Ok(())
    }
}

/// Whether all got there.
pub fn reached(rows: &mut Rows<'_>, what: &'static str, reached: Reached, took: Duration) {
    rows.check(what, reached.count as f64, "", AtLeast(reached.wanted as f64))
        .note(format!("after {:.1} s", took.as_secs_f64()));
}

/// Calls and writes of a burst, for those that got where they should.
fn expenses(rows: &mut Rows<'_>, costs: &Costs, users: usize, writes: f64) {
    let users = users.max(1) as f64;
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

fn memory(rows: &mut Rows<'_>, costs: &Costs, bounds: &Bounds) {
    rows.check("RSS when Ready", costs.usage.rss, "MiB", Below(bounds.ready));
    rows.check("peak RSS", costs.usage.peak, "MiB", Below(bounds.peak));
}
