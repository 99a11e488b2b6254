//! The workloads that use the Secret: restarted once after what is published has changed, and waited for before the login that
//! they have used until then is retired.

use std::time::Duration;

use super::report::is_published;
use super::types::*;
use crate::api::Reason;
use crate::domain::alternation::Part;
use crate::domain::time::Mono;

/// How often it is looked whether workloads are through with their restart.
const ROLLOUT_AGAIN: Duration = Duration::from_secs(15);

/// Has the workloads restarted, once nothing else is to be done now: they wait for nothing but the Secret, and nothing waits for
/// them but a retirement.
pub(super) fn after_publication(mut plan: Plan, desired: &Desired, observed: &Observed, now: Mono) -> Plan {
    let Some(restart) = &observed.restart else {
        return plan;
    };
    let is_last = matches!(desired.part, Part::Sole | Part::Published);
    if restart.done || !is_last || desired.deleting || desired.suspended || !is_published(observed) {
        return plan;
    }
    let failure = restart.failure.as_ref();
    if let Some(trouble) = failure.and_then(|failure| failure.trouble.as_ref())
        && plan.report.stalled.is_none()
        && plan.report.ready.ready
    {
        plan.report.stalled = Some(trouble.as_stalled());
    }
    match failure.filter(|failure| now < failure.again) {
        Some(failure) => plan.again_by(failure.again - now),
        None if plan.step.is_none() => plan.step = Some(Step::Restart),
        None => {}
    }
    plan
}

/// What holds a retirement up: workloads that may use the login of before still. None if there are none.
///
/// However long that takes, the login is not retired: whoever uses it would be refused. A person is told once it has taken too
/// long, and can end it.
pub(super) fn before_retirement(desired: &Desired, observed: &Observed, now: Mono) -> Option<Plan> {
    let restart = observed.restart.as_ref()?;
    let is_retired = observed.record.as_ref().is_none_or(|record| record.retired);
    let by = desired.rollout_by.filter(|_| !is_retired && !desired.deleting)?;
    let mut plan = Plan::retiring(observed);
    let failure = restart.failure.as_ref();
    let said = failure.and_then(|failure| failure.trouble.as_ref());
    let known = restart
        .rollout
        .as_ref()
        .filter(|rollout| restart.done && now < rollout.seen + ROLLOUT_AGAIN);
    let why = match (known, failure) {
        (Some(rollout), _) => {
            plan.again = Some(rollout.seen + ROLLOUT_AGAIN - now);
            rollout.unfinished.clone()?
        }
        (None, failure) => {
            match failure.filter(|failure| now < failure.again) {
                Some(failure) => plan.again = Some(failure.again - now),
                None if restart.done => plan.step = Some(Step::LookAtRollouts),
                None => {}
            }
            let last = restart
                .rollout
                .as_ref()
                .and_then(|rollout| rollout.unfinished.clone());
            let last = last.filter(|_| restart.done);
            let said = said.map(|trouble| trouble.message.clone());
            said.or(last).unwrap_or_else(|| NOT_YET.to_string())
        }
    };
    if now < by {
        plan.again_by(by - now);
    } else if plan.report.ready.ready {
        plan.report.stalled = Some(blocked(&desired.username, &why));
    }
    Some(plan)
}

const NOT_YET: &str = "it is not known yet whether all workloads that use the Secret are restarted";

/// Workloads are not through with their restart, long after the overlap.
fn blocked(username: &str, why: &str) -> Stalled {
    Stalled {
        reason: Reason::RetirementBlocked,
        message: format!(
            "the login {username:?}, in whose place another one was published, still works, since workloads may use it: {why}. Finish \
             their rollout, by spec.paused: false or by deleting the Pods of before; or set spec.restart.mode: None, and it is \
             retired all the same. The next rotation waits for it"
        ),
    }
}
