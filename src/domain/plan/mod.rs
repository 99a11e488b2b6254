//! What to do next for one PostgresUser: a pure function of what is wanted and what was observed.
//!
//! [`plan`] gives at most one step at a time. Whoever carries it out observes again and asks again, so that a
//! crash between any two steps is repaired by planning from what is found. The parts:
//!
//! | file | decides |
//! |---|---|
//! | `steady` | a user that should exist and has no entry in the journal |
//! | `aside` | a login of two in turn that is not there to be published |
//! | `moved` | a user that is reached by another server object from now on |
//! | `password` | whether such a user needs a new password |
//! | `entry` | the way of a staged password until it is accepted: send, look, weigh |
//! | `accepted` | the rest of it: take effect, verify, publish, settle |
//! | `delete` | a resource that is being deleted |
//! | `ownerless` | an entry whose resource is gone (R5) |
//! | `blocked` | what holds a deletion up, as it is told |
//! | `ownership` | whose a user that "exists" is (R9): this resource's, another's, or a stranger's |
//! | `adoption` | a login that is there before anything was made |
//! | `stage` | how a change is begun |
//! | `read_age` | what a read is worth (R6, R7) |
//! | `guard` | a finalizer or claim that somebody has taken away |
//! | `restart` | the workloads that use the Secret, and the login that they have used before |
//! | `turn` | what waits for a turn of the server's scheduler (R11) |

mod accepted;
mod adoption;
mod aside;
mod blocked;
mod delete;
mod entry;
mod guard;
mod moved;
mod ownerless;
mod ownership;
mod password;
mod read_age;
mod rejection;
mod report;
mod restart;
mod stage;
mod steady;
mod turn;
pub mod types;

pub use blocked::{Blocked, remediation};
pub use ownerless::plan_ownerless;
pub use ownership::{Verdict, weigh};
pub use read_age::is_good_to_send_on;
pub use types::*;

use super::alternation::Part;
use super::time::Mono;
use super::timings::ProtocolTimings;

/// The next step for one PostgresUser, what to report, and when to look again at the latest.
pub fn plan(desired: &Desired, observed: &Observed, now: Mono, timings: &ProtocolTimings) -> Plan {
    let timings = &for_server(&observed.server, timings);
    let plan = match (&observed.entry, steady::held(desired, observed, now)) {
        _ if desired.deleting => delete::plan(desired, observed, now, timings),
        (None, Some(held)) => held,
        (None, None) if desired.part == Part::Removed => restart::before_retirement(desired, observed, now)
            .unwrap_or_else(|| delete::plan(desired, observed, now, timings)),
        (_, None) if desired.part == Part::Removed => delete::plan(desired, observed, now, timings),
        (Some(staged), Some(held)) => entry::plan_held(desired, observed, staged, held, now, timings),
        (Some(staged), None) => entry::plan(desired, observed, staged, now, timings),
        (None, None) if !desired.part.is_published() => aside::plan(desired, observed, now, timings),
        (None, None) => steady::plan(desired, observed, now, timings),
    };
    let plan = turn::within_turn(plan, desired, observed, timings);
    let plan = aside::beside(plan, desired, observed);
    let plan = guard::guarded(plan, desired, observed);
    let plan = restart::after_publication(plan, desired, observed, now);
    match (&observed.refusal, &observed.difficulty) {
        (Some(refusal), _) => plan.with_refusal(refusal, desired, observed),
        (None, Some(difficulty)) => plan.with_difficulty(difficulty, desired),
        (None, None) => plan,
    }
}

/// The times as they are for this server.
fn for_server(server: &ServerView, timings: &ProtocolTimings) -> ProtocolTimings {
    match server {
        ServerView::Usable(server) => timings.on(&server.capabilities),
        ServerView::Unusable(_) => *timings,
    }
}
