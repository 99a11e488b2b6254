//! The operator against a real control plane and a real PostgreSQL.
//!
//! `cargo test --test e2e` builds the control plane where needed (`hack/controlplane`), starts one for all tests,
//! and takes it down again. Every test has namespaces, a PostgreSQL, a simulator and operators of its own: see
//! [`support::World`]. Flags are those of libtest. What does not depend on the provider runs on each: `drift::…` is on
//! IONOS, `drift::… [scalingo]` and `drift::… [postgresql]` are on the others.
//!
//! - `PGUSER_TEST_KUBECONFIG` names a kubeconfig of an existing cluster to use instead (as its administrator);
//!   tests that count writes also need `PGUSER_TEST_AUDIT_LOG`, the file of its audit log.
//! - `PGUSER_TEST_KEEP=1` keeps the folder with everybody's logs, as failing tests always do.
#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

mod admission;
mod adoption;
mod alternating;
mod alternating_crashes;
mod bench;
#[path = "../upgrade/beyond.rs"]
mod beyond;
mod bounds;
mod clocks;
mod crash;
mod creation;
mod deletion;
mod drift;
mod faults;
mod formats;
mod frugality;
mod generated;
mod gitops;
mod lifecycle;
mod load;
mod metrics;
mod moves;
mod neighbours;
mod plugin;
mod refused;
mod replicas;
mod restarts;
mod rights;
mod rotation;
mod scalingo;
mod shards;
mod silence;
mod sql;
mod support;
#[path = "../support_manifests/mod.rs"]
mod support_manifests;
#[path = "../support_schema/mod.rs"]
mod support_schema;
mod tenants;
#[cfg(feature = "otlp")]
mod traces;
mod undecodable;
mod upgrade;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use support::{Environment, Handle};

/// Of a test's time most is spent waiting, so more of them run at once than there are cores.
const THREADS: usize = 6;

/// What counts how much many users cost: beside others, where each waits for its turn, that is more.
const ALONE: [&str; 1] =
    ["frugality::three_hundred_users_cost_as_little_as_the_flags_that_are_shipped_promise"];

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(THREADS);

    let environment = Handle::default();
    let trials = trials(&environment);
    if args.list || trials.iter().all(|trial| args.is_filtered_out(trial)) {
        return libtest_mimic::run(&args, trials).exit_code();
    }
    if let Err(error) = Environment::start(&environment) {
        eprintln!("the environment of the tests did not start: {error}");
        return ExitCode::FAILURE;
    }
    let (alone, together): (Vec<_>, Vec<_>) = trials
        .into_iter()
        .partition(|trial| ALONE.contains(&trial.name()));
    let mut failed = libtest_mimic::run(&args, together).has_failed();
    args.test_threads = Some(1);
    failed |= libtest_mimic::run(&args, alone).has_failed();
    environment.stop(failed);
    match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// Every test. A module's tests are listed in its own `trials`.
fn trials(environment: &Handle) -> Vec<Trial> {
    [
        bench::trials(environment),
        bounds::trials(environment),
        clocks::trials(environment),
        creation::trials(environment),
        admission::trials(environment),
        adoption::trials(environment),
        alternating::trials(environment),
        alternating_crashes::trials(environment),
        drift::trials(environment),
        faults::trials(environment),
        formats::trials(environment),
        metrics::trials(environment),
        moves::trials(environment),
        neighbours::trials(environment),
        plugin::trials(environment),
        crash::trials(environment),
        deletion::trials(environment),
        frugality::trials(environment),
        generated::trials(environment),
        gitops::trials(environment),
        lifecycle::trials(environment),
        load::trials(environment),
        refused::trials(environment),
        tenants::trials(environment),
        replicas::trials(environment),
        restarts::trials(environment),
        rights::trials(environment),
        rotation::trials(environment),
        scalingo::trials(environment),
        shards::trials(environment),
        silence::trials(environment),
        sql::trials(environment),
        undecodable::trials(environment),
        upgrade::trials(environment),
        #[cfg(feature = "otlp")]
        traces::trials(environment),
    ]
    .into_iter()
    .flatten()
    .collect()
}
