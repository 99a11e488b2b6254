//! I5: from any world, with no more faults, the system comes to rest where the spec wants it.

use std::collections::HashSet;

use crate::actions::{Action, after, may_commit, queued, waiting_for_turns};
use crate::explore::name;
use crate::numbers::EntryNo;
use crate::operator;
use crate::properties::unfinished;
use crate::scenario::Scenario;
use crate::world::*;

/// More steps than any calm run takes; a run that takes more goes on for ever.
const MANY: usize = 400;

/// How much of a calm run is shown.
const SHOWN: usize = 40;

/// Longer than any wait, in ticks.
const QUIET: usize = 12;

/// What is wrong with where this world goes by itself, if anything. `calm` remembers worlds that go well.
pub fn never_well(world: &World, scenario: &Scenario, calm: &mut HashSet<u64>) -> Option<String> {
    let mut world = world.clone();
    let mut path = Vec::new();
    let mut ticks = 0;
    for _ in 0..MANY {
        let known = name(&world);
        if calm.contains(&known) {
            calm.extend(path);
            return None;
        }
        path.push(known);
        let action = next(&world, scenario);
        ticks = match action {
            Action::Tick | Action::Look(..) => ticks + 1,
            _ => 0,
        };
        if ticks > 3 * QUIET {
            let verdict = unfinished(&world, stalled(&world, scenario).as_deref(), scenario);
            if verdict.is_none() {
                calm.extend(path);
            }
            return verdict;
        }
        world = after(&world, action, scenario);
        if let Some(promise) = crate::properties::violated(&world, scenario) {
            return Some(promise.to_string());
        }
    }
    Some("I5: it never comes to rest".to_string())
}

/// What happens from here on by itself, for a counterexample that ends in a world which never goes well.
pub fn course(world: &World, scenario: &Scenario) -> Vec<Action> {
    let mut world = world.clone();
    let mut course = Vec::new();
    for _ in 0..SHOWN {
        let action = next(&world, scenario);
        world = after(&world, action, scenario);
        course.push(action);
        if crate::properties::violated(&world, scenario).is_some() {
            break;
        }
    }
    course
}

/// What happens next when nothing goes wrong: what is under way ends, then processes act, then time passes.
fn next(world: &World, scenario: &Scenario) -> Action {
    if world.remote.busy_since().is_some() {
        return Action::TakeEffect;
    }
    if !world.remote.late.is_empty() {
        return Action::DeleteLate(0);
    }
    if let Some(at) = world.wire.iter().position(|request| request.awaited_by.is_some()) {
        return match world.wire[at].answer {
            Some(_) => Action::Answer(at),
            None if may_commit(world, scenario) => Action::Commit(at),
            None => Action::Tick,
        };
    }
    let leading = |who: &usize| world.operators[*who].term.is_some();
    // Who was replaced and does not know it yet is ended by its lease.
    let current = |who: &usize| {
        let term = world.operators[*who].term.as_ref();
        term.is_some_and(|term| term.epoch == world.journal.epoch)
    };
    if !(0..2).any(|who| current(&who)) {
        return Action::TakeOver(0);
    }
    (0..2)
        .filter(leading)
        .find_map(|who| of_operator(world, who, scenario))
        .unwrap_or(Action::Tick)
}

fn of_operator(world: &World, who: usize, scenario: &Scenario) -> Option<Action> {
    let operator = &world.operators[who];
    if operator.pending.is_some() {
        return Some(Action::Resume(who));
    }
    if operator.watched.is_some() {
        return Some(Action::WatchCatchesUp(who));
    }
    if let Some(entry) = queued(operator).next() {
        return Some(Action::Dispatch(who, entry));
    }
    for about in operator::work(world, who) {
        let decision = operator::decide(world, who, about, scenario);
        let observation = operator.observations[decision.status.name].as_ref();
        let fresh = observation.is_some_and(|observation| observation.started == world.now);
        match decision.step {
            _ if decision.is_idle() => {}
            Todo::Look if fresh => {}
            Todo::Look => return Some(Action::Look(who, false)),
            // A poll of this very moment is paced.
            Todo::Poll
                if operator
                    .poll
                    .as_ref()
                    .is_some_and(|poll| poll.started == world.now) => {}
            // So is what was refused a moment ago.
            Todo::Send(ref entry) if was_refused_now(world, operator, entry.id) => {}
            _ => return Some(Action::Act(who, about)),
        }
    }
    if let Some(uid) = waiting_for_turns(operator).next() {
        return Some(Action::GiveTurn(who, uid));
    }
    // The periodic refresh.
    let is_old = |observation: &Observation| observation.started.0 + 2 < world.now.0;
    let mut observations = scenario.names().iter().map(|name| &operator.observations[*name]);
    let old = observations.any(|observation| observation.as_ref().is_none_or(is_old));
    old.then_some(Action::Look(who, false))
}

fn was_refused_now(world: &World, operator: &Operator, entry: EntryNo) -> bool {
    operator.attempts.iter().any(|sendings| {
        sendings.entry == entry && sendings.outcome.is_some() && sendings.last == Some(world.now)
    })
}

fn stalled(world: &World, scenario: &Scenario) -> Option<String> {
    let who = (0..2).find(|who| world.operators[*who].term.is_some())?;
    let said = operator::ask(world, who, operator::About::Resource, scenario);
    said.plan.report.stalled.map(|stalled| stalled.reason.to_string())
}
