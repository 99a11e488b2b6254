//! A model check of the journal's protocol: every interleaving of two operator processes, a remote system that
//! loses answers and commits late, and people, with the production planner deciding. `world` is what there is,
//! `actions` what can happen, `properties` and `calm` what is promised.

#![allow(clippy::unwrap_used, clippy::panic)]
#![allow(dead_code)]

mod actions;
mod calm;
mod explore;
mod numbers;
mod operator;
mod properties;
mod scenario;
mod tidy;
mod translate;
mod world;

use pguser_operator::domain::settings::Rules;

use explore::{Found, explore};
use scenario::{Provider, Scenario, Start};
use world::Budget;

const IONOS: Provider = Provider {
    turns_busy: true,
    direct_read: true,
    verifiable: false,
    creators: true,
    dates: false,
};

const SCALINGO: Provider = Provider {
    turns_busy: false,
    direct_read: false,
    verifiable: false,
    creators: false,
    dates: true,
};

const SQL: Provider = Provider {
    turns_busy: false,
    direct_read: true,
    verifiable: true,
    creators: true,
    dates: false,
};

fn scenario(name: &'static str, provider: Provider, start: Start, budget: Budget) -> Scenario {
    Scenario {
        name,
        provider,
        budget,
        adopt: false,
        retain: false,
        start,
        rules: Rules::all(),
    }
}

fn report(scenario: &Scenario, found: &Found) {
    println!(
        "{}: {} states, {} steps deep",
        scenario.name, found.states, found.depth
    );
    if let Some(violation) = &found.violation {
        println!("  {} after {} steps:", violation.promise, violation.path.len());
        for action in &violation.path {
            println!("    {action:?}");
        }
    }
}

fn holds(scenario: &Scenario) {
    let found = explore(scenario);
    report(scenario, &found);
    assert!(
        found.violation.is_none(),
        "{}: a promise is broken",
        scenario.name
    );
}

const DATED: Provider = Provider { dates: true, ..SQL };

const REACH: Provider = Provider {
    verifiable: true,
    creators: false,
    ..IONOS
};

fn all() -> Vec<Scenario> {
    let b = Budget::default();
    vec![
        scenario(
            "creation",
            IONOS,
            Start::Created,
            Budget {
                lost_answers: 2,
                crashes: 1,
                ..b
            },
        ),
        scenario(
            "creation 2",
            IONOS,
            Start::Created,
            Budget {
                lost_answers: 1,
                takeovers: 1,
                pauses: 1,
                ..b
            },
        ),
        scenario(
            "creation lists",
            SCALINGO,
            Start::Created,
            Budget {
                lost_answers: 1,
                stale_reads: 1,
                crashes: 1,
                ..b
            },
        ),
        scenario(
            "creation sql",
            SQL,
            Start::Created,
            Budget {
                lost_answers: 1,
                crashes: 1,
                outsider_creates: 1,
                outsider_deletes: 1,
                ..b
            },
        ),
        scenario(
            "creation ionos outsider",
            IONOS,
            Start::Created,
            Budget {
                lost_answers: 1,
                crashes: 1,
                outsider_creates: 1,
                ..b
            },
        ),
        scenario(
            "creation reach",
            REACH,
            Start::Created,
            Budget {
                lost_answers: 1,
                crashes: 1,
                ..b
            },
        ),
        scenario(
            "rotation",
            IONOS,
            Start::Ready,
            Budget {
                lost_answers: 1,
                crashes: 1,
                rotations: 2,
                ..b
            },
        ),
        scenario(
            "rotation 2",
            SQL,
            Start::Ready,
            Budget {
                lost_answers: 1,
                takeovers: 1,
                pauses: 1,
                rotations: 2,
                ..b
            },
        ),
        scenario(
            "drift",
            SCALINGO,
            Start::Ready,
            Budget {
                lost_answers: 1,
                outsider_passwords: 1,
                rotations: 1,
                ..b
            },
        ),
        scenario(
            "deletion early",
            IONOS,
            Start::Created,
            Budget {
                lost_answers: 1,
                crashes: 1,
                deletions: 1,
                forced: 1,
                ..b
            },
        ),
        scenario(
            "deletion",
            DATED,
            Start::Ready,
            Budget {
                lost_answers: 1,
                crashes: 1,
                deletions: 1,
                outsider_deletes: 1,
                outsider_creates: 1,
                ..b
            },
        ),
        scenario(
            "deletion 2",
            IONOS,
            Start::Ready,
            Budget {
                lost_answers: 1,
                takeovers: 1,
                pauses: 1,
                deletions: 1,
                rotations: 1,
                ..b
            },
        ),
        scenario(
            "clock",
            SQL,
            Start::Created,
            Budget {
                lost_answers: 1,
                clock_jumps: 1,
                deletions: 1,
                forced: 1,
                ..b
            },
        ),
        Scenario {
            adopt: true,
            ..scenario(
                "adoption",
                IONOS,
                Start::Taken,
                Budget {
                    lost_answers: 1,
                    crashes: 1,
                    deletions: 1,
                    ..b
                },
            )
        },
        scenario(
            "recreation",
            SQL,
            Start::Created,
            Budget {
                lost_answers: 1,
                deletions: 1,
                forced: 1,
                recreations: 1,
                ..b
            },
        ),
    ]
}

#[test]
fn scan() {
    for scenario in all() {
        if std::env::var("ONLY").is_ok_and(|only| only != scenario.name) {
            continue;
        }
        let at = std::time::Instant::now();
        let found = explore(&scenario);
        report(&scenario, &found);
        println!("   {:?}", at.elapsed());
    }
}
