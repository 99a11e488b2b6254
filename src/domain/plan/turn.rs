//! R11: nothing is staged or sent without a turn of the server's scheduler.

use super::types::*;
use crate::domain::journal::Cause;
use crate::domain::schedule::Class;
use crate::domain::timings::{ProtocolTimings, Rule};

/// A plan as it is under R11: what may not be done without a turn waits for one, and a turn that the plan has no use for
/// is given back.
pub fn within_turn(plan: Plan, desired: &Desired, observed: &Observed, timings: &ProtocolTimings) -> Plan {
    let may_not = !observed.turn && plan.step.as_ref().is_some_and(needs_turn);
    if may_not && timings.rules.hold(Rule::R11) {
        let class = class_of(plan.step.as_ref(), desired, observed);
        return Plan::ask_turn(observed, class, desired.deleting);
    }
    Plan {
        keeps_turn: keeps_turn(&plan, observed),
        ..plan
    }
}

/// What leads to a request, from the first write on.
fn needs_turn(step: &Step) -> bool {
    matches!(step, Step::Claim | Step::Stage(_) | Step::Send(_))
}

/// A turn is of use while its resource is about to stage something, or has something staged. An attempt without an answer
/// may take minutes to be resolved: its entry stays, its turn goes on to others.
fn keeps_turn(plan: &Plan, observed: &Observed) -> bool {
    let on_its_way = |step: &Step| {
        needs_turn(step)
            || matches!(
                step,
                Step::List | Step::Read | Step::PollCluster | Step::ReadSecret
            )
    };
    match &observed.entry {
        Some(staged) if staged.attempts.unknown && !staged.attempts.in_flight => {
            plan.step.as_ref().is_some_and(needs_turn)
        }
        Some(_) => !matches!(plan.step, Some(Step::RemoveFinalizer(_) | Step::Forget(_))),
        None => plan.step.as_ref().is_some_and(on_its_way),
    }
}

/// Why the resource asks, which says how soon it gets its turn.
pub fn class_of(step: Option<&Step>, desired: &Desired, observed: &Observed) -> Class {
    let nobody_waits = |draft: &Draft| {
        matches!(
            draft.cause,
            Cause::SetBack
                | Cause::Settings
                | Cause::Vanished
                | Cause::Scheduled
                | Cause::Retirement
                | Cause::Deletion
        )
    };
    match step {
        _ if observed.entry.is_some() => Class::Unfinished,
        _ if desired.deleting => Class::Deletion,
        _ if observed.published.is_none() => Class::New,
        Some(Step::Stage(draft)) if nobody_waits(draft) => Class::Periodic,
        _ => Class::Changed,
    }
}
