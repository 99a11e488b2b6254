//! What many users cost when nothing happens, and when the operator is started anew.

use std::time::{Duration, Instant};

use crate::{
    scenarios::{LONG, limit},
    stand::{SERVER, Stand, spell},
    support::{Outcome, eventually},
    table::Target::{AtMost, Below},
};

use super::{Bounds, Life};

/// How long a restarted operator is watched once it has caught up.
const WATCHING: Duration = Duration::from_secs(8);

/// Longer than it takes until users are listed again.
const REFRESH: Duration = Duration::from_secs(60);

/// How long few users are left alone.
const SHORT_IDLE: Duration = Duration::from_secs(8);

impl Life<'_, '_> {
    /// Waits until the server object says how many users there are, as it does with its next refresh: that is news, too.
    async fn settled(&self) -> Outcome {
        let count = self.count() as u64;
        let stand = &self.stand;
        eventually(
            "the server object to have counted its users",
            REFRESH,
            async || {
                let server = stand.world.get("PostgresServer", SERVER).await?;
                let server = server.ok_or("there is no server object")?;
                match server.data["status"]["users"]["managed"].as_u64() {
                    Some(managed) if managed == count => Ok(()),
                    other => Err(format!("it says {other:?}").into()),
                }
            },
        )
        .await
    }

    /// Leaves all alone.
    pub(super) async fn idle(&mut self) -> Outcome {
        self.settled().await?;
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

    /// Ends the operator, and starts it again.
    pub(super) async fn restart(&mut self) -> Outcome {
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
}

fn has_listed(metrics: &str) -> bool {
    let is_list = |line: &str| line.contains("operation=\"list\"") && line.contains("class=\"ok\"");
    metrics.lines().any(is_list)
}
