//! What is played, in which order.

mod busy;
mod dates;
mod ground;
mod interval;
mod life;
mod newcomer;
mod serial;
mod storm;

use std::{sync::Arc, time::Duration};

use crate::{
    config::Config,
    support::{Environment, Outcome, Provider},
    table::Table,
};

use self::ground::Rates;

/// From so many users on a run is a long one, which has room for what takes minutes at any number.
const LONG: usize = 1000;

/// The most that there are targets for.
const MANY: usize = 10_000;

/// How long a scenario may take before it is given up: what was reached by then is what is told.
fn limit(users: usize) -> Duration {
    Duration::from_secs(120) + Duration::from_millis(100) * u32::try_from(users).unwrap_or(u32::MAX)
}

/// What all scenarios are given.
pub struct Bench<'a> {
    /// Control plane and folder.
    pub environment: &'a Arc<Environment>,
    /// What is wanted.
    pub config: &'a Config,
    /// Where figures go.
    pub table: &'a mut Table,
}

/// Plays all that is wanted.
pub async fn play(environment: &Arc<Environment>, config: &Config, table: &mut Table) -> Outcome {
    let mut bench = Bench {
        environment,
        config,
        table,
    };
    for provider in config.providers.iter().copied() {
        let mut floor = None;
        if config.is_whole() && !config.sizes.contains(&MANY) {
            bench.table.rows(provider, MANY, "create").not_run("all");
        }
        for users in config.sizes.iter().copied() {
            say(provider, users);
            floor = bench.floor(provider, users, floor).await?.or(floor);
            bench.life(provider, users, floor).await?;
            bench.newcomer(provider, users).await?;
            bench.interval(provider, users).await?;
            if provider == Provider::Ionos {
                bench.dates(users, floor).await?;
            }
        }
    }
    if config.providers.contains(&Provider::Ionos) {
        bench.serial().await?;
        bench.storm().await?;
        bench.busy().await?;
    }
    Ok(())
}

impl Bench<'_> {
    /// Whether one is wanted that takes minutes: if it was asked for, or in a run that takes minutes anyhow.
    fn wants_long(&self, scenario: &str) -> bool {
        let long = self.config.sizes.iter().any(|users| *users >= LONG);
        self.config.wants(scenario) && (long || !self.config.is_whole())
    }
}

/// The floor's time, in seconds, for so many users.
fn seconds(users: usize, rate: f64) -> f64 {
    users as f64 / rate
}

fn say(provider: Provider, users: usize) {
    eprintln!("{}, {users} users", provider.name());
}
