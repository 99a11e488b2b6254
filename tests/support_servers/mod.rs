//! What tests start besides the operator: a PostgreSQL, a simulator, and processes in general.

#![allow(dead_code)]

mod folder;
mod postgres;
mod process;
mod simulator;
mod wait;

use std::time::Duration;

#[allow(unused_imports)]
pub use self::{
    folder::{end_on_signals, new_folder},
    postgres::{Postgres, SUPERUSER},
    process::{Process, tail, wait_if_ending},
    simulator::{ADDON_ID, APP, CLUSTER_ID, Simulator, TOKEN},
    wait::eventually,
};

/// The repository's root.
pub const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// Why a test cannot go on.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a test, or a step of it, comes to.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Long enough for anything that happens at all, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
