//! What every provider has to do, whichever it is: one list of tests, run for each of them.
//!
//! A test is written once, against [`case::Case`]; what differs is in [`subject::Subject`]: how a client is made, how
//! things go wrong, and which test does not apply and why (those are shown as ignored). The question behind most of
//! them is asked of a real PostgreSQL: does this password log in?
//!
//! `cargo test --test contract` starts servers and simulators as they are needed and takes them down again. After a
//! run of everything it also says whether every class of errors was met with every provider that knows it. Flags are
//! those of libtest; `PGUSER_TEST_KEEP=1` keeps the folder with everybody's logs, as failing tests always do.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod case;
mod changing;
mod classes;
mod credentials;
mod crowds;
mod deleting;
mod gates;
mod lists;
mod lost;
mod making;
mod names;
#[path = "../support_sql/proxy.rs"]
mod proxy;
mod relay;
#[path = "../support_servers/mod.rs"]
mod servers;
mod silence;
mod slow;
mod stage;
mod strangers;
mod subject;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};

use case::Case;
use stage::Theatre;
use subject::Subject;

/// Of a test's time much is spent waiting, so more of them run at once than there are cores.
const THREADS: usize = 6;

/// A part of the contract.
pub struct Test {
    pub name: &'static str,
    pub run: for<'a> fn(&'a Case) -> LocalBoxFuture<'a, ()>,
    /// Why it says nothing about a subject.
    pub unless: fn(Subject) -> Option<&'static str>,
}

/// Lists a module's tests, async functions that take the case; some `unless` a function gives a reason.
macro_rules! tests {
    ($($name:ident $(unless $reason:path)?),* $(,)?) => {
        pub const TESTS: &[crate::Test] = &[$(crate::Test {
            name: stringify!($name),
            run: |case| Box::pin($name(case)),
            unless: |_subject| { None$(.or($reason(_subject)))? },
        }),*];
    };
}
pub(crate) use tests;

const TESTS: &[&[Test]] = &[
    making::TESTS,
    changing::TESTS,
    deleting::TESTS,
    names::TESTS,
    strangers::TESTS,
    lists::TESTS,
    lost::TESTS,
    slow::TESTS,
    gates::TESTS,
    classes::TESTS,
    credentials::TESTS,
    crowds::TESTS,
    silence::TESTS,
];

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(THREADS);
    let theatre = Theatre::new();
    let trials = trials(&theatre);
    if args.list || trials.iter().all(|trial| args.is_filtered_out(trial)) {
        return libtest_mimic::run(&args, trials).exit_code();
    }
    let everything = !trials.iter().any(|trial| args.is_filtered_out(trial));
    if let Err(error) = theatre.open() {
        eprintln!("the tests cannot start: {error}");
        return ExitCode::FAILURE;
    }
    let conclusion = libtest_mimic::run(&args, trials);
    let failed = conclusion.has_failed();
    theatre.close(failed);
    if everything && !failed && !case::every_class_was_met() {
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn trials(theatre: &Arc<Theatre>) -> Vec<Trial> {
    let tests = TESTS.iter().copied().flatten();
    tests
        .flat_map(|test| Subject::ALL.map(|subject| trial(theatre, test, subject)))
        .collect()
}

fn trial(theatre: &Arc<Theatre>, test: &'static Test, subject: Subject) -> Trial {
    let name = format!("{} [{}]", test.name, subject.name());
    if let Some(reason) = (test.unless)(subject) {
        return Trial::test(name, || Ok(()))
            .with_kind(reason)
            .with_ignored_flag(true);
    }
    let theatre = Arc::clone(theatre);
    Trial::test(name, move || {
        let running = run(&theatre, test, subject);
        theatre.runtime().block_on(running)
    })
}

async fn run(theatre: &Theatre, test: &Test, subject: Subject) -> Result<(), Failed> {
    let stage = theatre.stage().await?;
    let case = Case::new(subject, stage).await?;
    let outcome = AssertUnwindSafe((test.run)(&case)).catch_unwind().await;
    // A stage that cannot be cleaned is not used again.
    if case.stage.clean().await.is_ok() {
        theatre.give_back(case.stage);
    }
    outcome.map_err(|panic| resume_unwind(panic))
}
