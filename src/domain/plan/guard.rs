//! A finalizer or claim that somebody has taken away from what is ours (`kubectl replace` does): without it a deletion would
//! not be noticed, and the login would stay.

use super::types::*;

/// A plan that first puts finalizer and claim back, where something of the resource is recorded or under way. That begins
/// nothing, so it needs no turn (R11).
pub fn guarded(plan: Plan, desired: &Desired, observed: &Observed) -> Plan {
    match !desired.deleting && is_unguarded(observed) {
        true => Plan {
            step: Some(Step::Guard),
            ..plan
        },
        false => plan,
    }
}

fn is_unguarded(observed: &Observed) -> bool {
    let complete = observed.finalizer && observed.claim.is_some();
    let ServerView::Usable(server) = &observed.server else {
        return false;
    };
    // A claim speaks of where the login is, which is not where a server object that was changed leads to.
    let here = match &observed.record {
        Some(record) => record.identity == server.identity,
        None => observed.entry.is_some(),
    };
    !complete && here && observed.own_claim.is_some()
}
