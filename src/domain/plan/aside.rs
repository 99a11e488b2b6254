//! A login that is not there to be published: the owner of what two logins in turn make, and one whose turn is over.

use std::time::Duration;

use super::adoption::exists;
use super::blocked::retirement_blocked;
use super::ownership::{another_installations, conflict, elsewhere, is_another_incarnation};
use super::read_age;
use super::report::{is_published, unsettled};
use super::stage::{cannot_stage, claim_then_stage, draft};
use super::steady::{configure, differs, missing, recreate};
use super::types::*;
use crate::api::Reason;
use crate::domain::alternation::Part;
use crate::domain::journal::{Cause, Kind};
use crate::domain::remote::RemoteUser;
use crate::domain::time::Mono;
use crate::domain::timings::ProtocolTimings;

/// How often it is looked whether a login has sessions still.
const SESSIONS_AGAIN: Duration = Duration::from_secs(15);
/// How old a look at sessions may be.
const SESSIONS_FRESH: Duration = Duration::from_secs(2);

/// The next step for such a login, with nothing staged. A plan without a step leaves it to the published one.
pub fn plan(desired: &Desired, observed: &Observed, now: Mono, timings: &ProtocolTimings) -> Plan {
    let ServerView::Usable(server) = &observed.server else {
        return Plan::waiting(observed, Reason::ServerNotReady, String::new());
    };
    if let Some(rival) = &observed.rival {
        return Plan::not_ready(conflict(rival, &desired.username));
    }
    if let Predecessor::Blocks | Predecessor::Deleted { .. } = observed.predecessor {
        return unsettled(observed);
    }
    let Some(observation) = &observed.observation else {
        return Plan::look(observed, server, Step::List);
    };
    let is_owner = desired.part == Part::Owner;
    match (&observed.record, &observation.user) {
        (Some(record), _) if record.identity != server.identity => {
            Plan::stalled(observed, elsewhere(record, server))
        }
        (None, None) if is_owner => missing(desired, observed, server, observation, now, timings),
        (None, Some(user)) if is_owner => exists(desired, observed, server, user, observation),
        (None, _) => Plan::ready(),
        (Some(_), None) if is_owner => recreate(desired, observed, server, now, timings),
        (Some(record), None) => gone(observed, server, record, now, timings),
        (Some(record), Some(user)) => there(desired, observed, server, record, user, observation, now),
    }
}

/// Somebody has deleted it: there is nothing left to retire.
fn gone(observed: &Observed, server: &Server, record: &Record, now: Mono, timings: &ProtocolTimings) -> Plan {
    if record.retired {
        return Plan::ready();
    }
    if !read_age::surely_absent(observed, server, now, timings) {
        return Plan::confirm(observed, server, now, timings);
    }
    noted(observed, record)
}

/// Has it recorded that the login is retired.
fn noted(observed: &Observed, record: &Record) -> Plan {
    let mut plan = Plan::waiting(observed, Reason::Retiring, String::new());
    plan.report.record = Some(Record {
        retired: true,
        ..record.clone()
    });
    plan
}

fn there(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    record: &Record,
    user: &RemoteUser,
    observation: &Observation,
    now: Mono,
) -> Plan {
    if let Some(stalled) = another_installations(observed, server, user) {
        return Plan::stalled(observed, stalled);
    }
    if user.protected || is_another_incarnation(observed, server, record, user) {
        return Plan::stalled(observed, made_anew(user));
    }
    let seen = observation.as_seen();
    if !desired.retiring {
        return configure(desired, observed, server, user, &seen, now).unwrap_or_else(Plan::ready);
    }
    if record.retired && !differs(desired, user) {
        return Plan::ready();
    }
    if let Some(plan) = super::restart::before_retirement(desired, observed, now) {
        return plan;
    }
    if let Some(plan) = in_use(desired, observed, server, record, observation, now) {
        return plan;
    }
    if let Some(held) = cannot_stage(desired, observed, server) {
        return held;
    }
    // By SQL it loses LOGIN and its password; elsewhere it gets one that nobody is told.
    let (kind, password) = match desired.settings.options {
        Some(_) => (Kind::Configure, DraftPassword::None),
        None => (Kind::SetPassword, DraftPassword::New),
    };
    claim_then_stage(
        observed,
        draft(kind, Cause::Retirement, password, seen, true),
        Reason::Retiring,
    )
}

fn made_anew(user: &RemoteUser) -> Stalled {
    Stalled {
        reason: Reason::Conflict,
        message: format!(
            "the login {:?} was deleted and made again by somebody else: it is not changed. Delete it on the server",
            user.username
        ),
    }
}

/// It has sessions still, or it is not known whether it has, and it is waited until there are none.
fn in_use(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    record: &Record,
    observation: &Observation,
    now: Mono,
) -> Option<Plan> {
    let until = desired
        .unused_by
        .filter(|until| now < *until && !record.retired)?;
    let sessions = observation.user.as_ref().and_then(|user| user.traits.sessions);
    if sessions == Some(0) && now - observation.started <= SESSIONS_FRESH {
        return None;
    }
    let mut plan = Plan::retiring(observed);
    let again = observation.started + SESSIONS_AGAIN;
    let is_known = sessions.is_some() && now < again;
    match (is_known, &server.trouble) {
        (false, None) => plan.step = Some(Step::Read),
        (false, Some(_)) => plan.again = Some(SESSIONS_AGAIN),
        (true, _) => plan.again = Some((again - now).min(until - now)),
    }
    Some(plan)
}

/// What is reported while another login is seen to than the published one: that one goes on working.
pub fn beside(mut plan: Plan, desired: &Desired, observed: &Observed) -> Plan {
    if matches!(desired.part, Part::Sole | Part::Published) || desired.deleting || !is_published(observed) {
        return plan;
    }
    let ready = &plan.report.ready;
    if !ready.ready && plan.report.stalled.is_none() && ready.reason == Reason::DeletionBlocked {
        plan.report.stalled = Some(retirement_blocked(&desired.username, &ready.message));
        plan.report.reconciling = false;
        plan.report.lasting = Lasting::Rests;
    }
    plan.report.ready = super::report::published();
    plan
}
