//! How a change is begun: what is staged, after the claim, and what keeps it from that.

use super::rejection::rejection;
use super::types::*;
use crate::api::Reason;
use crate::domain::journal::{Cause, Kind, Seen};

pub(super) fn draft(
    kind: Kind,
    cause: Cause,
    password: DraftPassword,
    seen: Seen,
    proven_ours: bool,
) -> Draft {
    Draft {
        replaces: None,
        kind,
        cause,
        password,
        seen,
        proven_ours,
    }
}

pub(super) fn creation(desired: &Desired, observation: &Observation) -> Draft {
    let cause = desired.part.cause_or(Cause::Missing);
    draft(
        Kind::Create,
        cause,
        DraftPassword::New,
        observation.as_seen(),
        false,
    )
}

pub(super) fn claim_then_stage(observed: &Observed, draft: Draft, reason: Reason) -> Plan {
    let claimed = observed.finalizer && observed.claim == observed.own_claim;
    let step = if claimed { Step::Stage(draft) } else { Step::Claim };
    Plan::doing(observed, step, reason)
}

/// What has to be true before anything may be staged.
pub(super) fn cannot_stage(desired: &Desired, observed: &Observed, server: &Server) -> Option<Plan> {
    match &observed.secret {
        SecretView::Foreign(whose) => return Some(Plan::not_ready(secret_conflict(whose))),
        SecretView::Leaving(finalizers) => return Some(Plan::stalled(observed, secret_leaving(finalizers))),
        SecretView::Absent | SecretView::Ours { .. } => {}
    }
    if let Some(rejected) = observed.refused_password(desired) {
        return Some(Plan::stalled(observed, rejection(&rejected.message)));
    }
    if let WantedPassword::Missing(why) = &desired.password {
        return Some(Plan::waiting(observed, Reason::PasswordNotFound, why.clone()));
    }
    if let Some(trouble) = &server.trouble {
        return Some(Plan::troubled(observed, trouble));
    }
    if !server.credentials_worked {
        return Some(Plan::look(observed, server, Step::List));
    }
    None
}

pub(super) fn secret_conflict(whose: &str) -> Stalled {
    Stalled {
        reason: Reason::SecretConflict,
        message: format!(
            "the output Secret's name is taken: {whose}. It is left as it is: delete or rename that Secret, or make \
             another PostgresUser with another spec.secret.name"
        ),
    }
}

/// The password is changed once its Secret can be written again, not before: until then the old one works.
pub(super) fn secret_leaving(finalizers: &str) -> Stalled {
    Stalled {
        reason: Reason::SecretTerminating,
        message: format!(
            "the output Secret is being deleted and waits for finalizers of others ({finalizers}): once it is gone, it is \
             made again with a new password. See to what holds it"
        ),
    }
}
