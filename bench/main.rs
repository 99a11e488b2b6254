//! The operator under load, as a black box: its release binary on default flags, a real API server, a bare IONOS API in
//! memory or a real PostgreSQL, all on loopback. `bench/README.md` says what each figure means.
//!
//! `make bench` builds and runs it. It prints a table with targets beside the figures, writes `bench/results.json`, and
//! exits with 1 if a target is missed.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, unused_imports, unused_macros)]

mod api;
mod config;
mod floor;
mod machine;
mod others;
mod process;
mod scenarios;
mod stand;
#[path = "../tests/e2e/support/mod.rs"]
mod support;
mod table;
mod users;

use std::{process::ExitCode, time::Instant};

use config::Config;
use support::{Environment, Handle, Outcome};
use table::Table;

/// From which share of the machine on, in percent, others disturb.
const DISTURBED: f64 = 10.0;

fn main() -> ExitCode {
    let handle = Handle::default();
    match run(&handle) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(missed) => {
            println!("{missed} targets were missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error}");
            handle.stop(true);
            ExitCode::FAILURE
        }
    }
}

fn run(handle: &Handle) -> Outcome<usize> {
    let config = Config::read()?;
    let started = Instant::now();
    Environment::start(handle)?;
    let environment = handle.get();
    let mut table = Table::default();
    let played = environment
        .runtime()
        .block_on(scenarios::play(&environment, &config, &mut table));
    let machine = machine::describe(started.elapsed(), table.others());
    // What was measured before something went wrong is worth having.
    table.write(&config.results, &machine)?;
    println!("{table}");
    println!("{machine}");
    if table.others() > DISTURBED {
        println!(
            "others had up to {:.0} % of this machine meanwhile: times may be better without",
            table.others()
        );
    }
    played?;
    drop(environment);
    handle.stop(false);
    Ok(table.missed())
}
