//! The provider for any PostgreSQL server, against a real one: the machine's, or that in the folder PGBIN.
//!
//! What the operator's own login may do differs, so most is tried with two: `boss`, a superuser, and `clerk`, who has
//! CREATEROLE and no more.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod blockers;
mod certificates;
mod connections;
mod deletion;
mod hosts;
mod outcomes;
mod ownership;
mod passwords;
#[path = "../login/postgres.rs"]
mod postgres;
#[path = "../support_sql/proxy.rs"]
mod proxy;
mod settings;
mod support;
mod users;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use support::{Handle, World};

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let world = Handle::default();
    let trials: Vec<Trial> = [
        users::trials(&world),
        ownership::trials(&world),
        settings::trials(&world),
        deletion::trials(&world),
        blockers::trials(&world),
        outcomes::trials(&world),
        passwords::trials(&world),
        connections::trials(&world),
        certificates::trials(&world),
        hosts::trials(&world),
    ]
    .into_iter()
    .flatten()
    .collect();
    if args.list || trials.iter().all(|trial| args.is_filtered_out(trial)) {
        return libtest_mimic::run(&args, trials).exit_code();
    }
    // In this thread, for the server ends with the thread that started it.
    *world.lock().unwrap() = Some(Arc::new(World::start()));
    let conclusion = libtest_mimic::run(&args, trials);
    drop(world.lock().unwrap().take());
    conclusion.exit_code()
}
