//! What is run: said by environment variables, since `make bench` and a shell both have those.

use std::{path::PathBuf, time::Duration};

use crate::support::{Outcome, Provider};

/// Every scenario, in the order in which they run.
pub const SCENARIOS: [&str; 14] = [
    "floor", "create", "idle", "burst", "one", "young", "restart", "delete", "dates", "newcomer", "interval",
    "storm", "serial", "busy",
];

/// The choice of the person who runs it.
pub struct Config {
    /// How many users, one run after another (`N`).
    pub sizes: Vec<usize>,
    /// Which providers (`PROVIDER`).
    pub providers: Vec<Provider>,
    /// Which scenarios (`ONLY`); all, if none is named.
    only: Vec<String>,
    /// Where results are written (`RESULTS`).
    pub results: PathBuf,
    /// How long nothing happens in `idle` (`IDLE` seconds).
    pub idle: Duration,
}

impl Config {
    /// Reads the environment.
    pub fn read() -> Outcome<Config> {
        let only: Vec<String> = words("ONLY", "").collect();
        if let Some(odd) = only.iter().find(|name| !SCENARIOS.contains(&name.as_str())) {
            return Err(format!("ONLY: there is no {odd:?}; there are {}", SCENARIOS.join(", ")).into());
        }
        let sizes: Result<Vec<usize>, _> = words("N", "100 1000").map(|word| word.parse()).collect();
        let sizes = sizes.map_err(|_| "N: numbers of users are wanted, such as \"100 1000\"")?;
        let providers = match words("PROVIDER", "both").next().as_deref() {
            Some("both") => vec![Provider::Ionos, Provider::Postgresql],
            Some("ionos") => vec![Provider::Ionos],
            Some("postgresql") => vec![Provider::Postgresql],
            _ => return Err("PROVIDER: ionos, postgresql or both".into()),
        };
        let idle = words("IDLE", "60").next().unwrap_or_default().parse()?;
        let results = std::env::var_os("RESULTS").ok_or("RESULTS: a file is wanted")?;
        Ok(Config {
            sizes,
            providers,
            only,
            results: results.into(),
            idle: Duration::from_secs(idle),
        })
    }

    /// Whether a scenario is to be run.
    pub fn wants(&self, scenario: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == scenario)
    }

    /// Whether this is all there is: what is left out of a smaller run is no failure.
    pub fn is_whole(&self) -> bool {
        self.only.is_empty()
    }
}

fn words(variable: &str, default: &str) -> impl Iterator<Item = String> {
    let text = std::env::var(variable)
        .ok()
        .filter(|text| !text.trim().is_empty());
    let text = text.unwrap_or_else(|| default.to_owned());
    let words: Vec<String> = text
        .split([',', ' '])
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    words.into_iter()
}
