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
    creators: false,
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
    println!("{}: {} states, {} steps deep", scenario.name, found.states, found.depth);
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
    assert!(found.violation.is_none(), "{}: a promise is broken", scenario.name);
}

fn creation() -> Scenario {
    let budget = Budget {
        lost_answers: 1,
        crashes: 1,
        ..Budget::default()
    };
    scenario("creation", IONOS, Start::Created, budget)
}

#[test]
fn a_creation_keeps_every_promise() {
    holds(&creation());
}
