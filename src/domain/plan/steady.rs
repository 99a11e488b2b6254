//! A user that should exist and has no entry in the journal.

use std::time::Duration;

use super::adoption::exists;
use super::ownership::{conflict, elsewhere, is_another_incarnation, is_to_be_taken_over, renamed};
use super::password::{
    self, NewPassword, PublishedPassword, published_mac, published_password, reason_for_password,
};
use super::rejection::{rejection, settings_rejection};
use super::report::unsettled;
use super::stage::{cannot_stage, claim_then_stage, creation, draft, secret_conflict, secret_leaving};
use super::types::*;
use super::{moved, read_age};
use crate::api::Reason;
use crate::domain::alternation::Part;
use crate::domain::attempts::Login;
use crate::domain::journal::{Cause, EntryId, Kind, Seen};
use crate::domain::remote::RemoteUser;
use crate::domain::schedule::Class;
use crate::domain::time::Mono;
use crate::domain::timings::{ProtocolTimings, Rule};

/// What stops everything but deletion, if anything does.
pub fn held(desired: &Desired, observed: &Observed, now: Mono) -> Option<Plan> {
    if desired.suspended {
        let mut plan = Plan::suspended(observed);
        plan.report.stalled = is_overdue(desired, now).then(overdue);
        return Some(plan);
    }
    let server = match &observed.server {
        // What cannot be read is wrong whatever the server is like.
        ServerView::Unusable(_) if desired.invalid.is_some() => return invalid(desired, observed),
        ServerView::Unusable(why) => {
            // As while an operator starts: what is published stays as it is, and nothing is written of it (I7).
            return Some(Plan::troubled(observed, &why.as_trouble()));
        }
        ServerView::Usable(server) => server,
    };
    if let Some(stalled) = stranger(observed, server) {
        return Some(Plan::not_ready(stalled));
    }
    if let Some(why) = &server.closed {
        return Some(Plan::troubled(observed, &why.as_trouble()));
    }
    invalid(desired, observed).or_else(|| beyond(desired, observed))
}

/// The server object does not allow what the spec asks for, and there is no login yet. One that there is goes on working,
/// with what is allowed.
fn beyond(desired: &Desired, observed: &Observed) -> Option<Plan> {
    let beyond = desired
        .beyond
        .as_ref()
        .filter(|_| observed.record.is_none() && !desired.has_others)?;
    Some(Plan::stalled(observed, stalled(beyond)))
}

fn stalled(invalid: &Invalid) -> Stalled {
    Stalled {
        reason: invalid.reason,
        message: invalid.message.clone(),
    }
}

/// The spec is one that cannot be fulfilled, or not even read.
fn invalid(desired: &Desired, observed: &Observed) -> Option<Plan> {
    let invalid = desired.invalid.as_ref()?;
    Some(Plan::stalled(observed, stalled(invalid)))
}

/// A resource whose claim or record speaks of another installation or another remote cluster.
fn stranger(observed: &Observed, server: &Server) -> Option<Stalled> {
    if let (Some(claim), Some(own)) = (&observed.claim, &observed.own_claim) {
        let may_take_over = server.take_over_from.as_ref() == Some(&claim.installation);
        if claim.installation != own.installation && !may_take_over {
            return Some(Stalled {
                reason: Reason::Restored,
                message: format!(
                    "this object was made by installation {} and restored or copied into installation {}: nothing is \
                     changed on the server until an administrator sets the annotation {}={} on the server object",
                    claim.installation,
                    own.installation,
                    crate::api::names::TAKE_OVER_FROM,
                    claim.installation
                ),
            });
        }
    }
    let recorded = observed.record.as_ref().map(|record| &record.identity);
    let claimed = observed.claim.as_ref().map(|claim| &claim.identity);
    let other = recorded
        .or(claimed)
        .filter(|identity| **identity != server.identity && !moves(observed, server))?;
    Some(Stalled {
        reason: Reason::RemoteChanged,
        message: format!(
            "this user lives on {other}, but the server object now names {}: point the server object back, or \
             delete this object (deletionPolicy: Retain keeps the login) and make it again",
            server.identity
        ),
    })
}

/// Whether the resource was pointed to another server object since it claimed or recorded its user.
fn moves(observed: &Observed, server: &Server) -> bool {
    match (&observed.record, &observed.claim, &observed.own_claim) {
        (Some(record), ..) => record.server.as_ref().is_some_and(|it| *it != server.reference),
        (None, Some(claim), Some(own)) => claim.server.is_some() && claim.server != own.server,
        _ => false,
    }
}

/// The next step for a user that should exist, with nothing staged.
pub fn plan(desired: &Desired, observed: &Observed, now: Mono, timings: &ProtocolTimings) -> Plan {
    let ServerView::Usable(server) = &observed.server else {
        return Plan::waiting(observed, Reason::ServerNotReady, String::new());
    };
    if let Some(rival) = &observed.rival {
        return Plan::not_ready(conflict(rival, &desired.username));
    }
    if let Predecessor::Blocks = observed.predecessor {
        return unsettled(observed);
    }
    let Some(observation) = &observed.observation else {
        return Plan::look(observed, server, Step::List);
    };
    if let Predecessor::Deleted { entry, answered } = observed.predecessor {
        return succeed(
            desired,
            observed,
            server,
            observation,
            entry,
            answered,
            now,
            timings,
        );
    }
    match (&observed.record, &observation.user) {
        (Some(record), _) if record.identity != server.identity && desired.part != Part::Sole => {
            Plan::stalled(observed, elsewhere(record, server))
        }
        (Some(record), _) if record.identity != server.identity => {
            moved::plan(desired, observed, server, record, observation, now)
        }
        (None, None) => missing(desired, observed, server, observation, now, timings),
        (None, Some(user)) => exists(desired, observed, server, user, observation),
        (Some(_), None) => vanished(desired, observed, server, now, timings),
        (Some(record), Some(user)) => {
            there(desired, observed, server, record, user, observation, now, timings)
        }
    }
}

/// Never made, and not there. The absence is that of a list, which serves everybody while it is fresh.
pub fn missing(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    observation: &Observation,
    now: Mono,
    timings: &ProtocolTimings,
) -> Plan {
    if let Some(held) = cannot_stage(desired, observed, server) {
        return held;
    }
    if !observed.turn && timings.rules.hold(Rule::R11) {
        return Plan::ask_turn(observed, Class::New, false);
    }
    if now - observation.started > timings.fresh_for || !observation.proves_absence {
        return Plan::look(observed, server, Step::List);
    }
    claim_then_stage(observed, creation(desired, observation), Reason::Creating)
}

/// A resource that is made while the deletion of its predecessor's user is on its way: once a list of after the answer
/// does not show the user, a creation takes the deletion's place, so that the deletion can never be sent again.
#[expect(clippy::too_many_arguments, reason = "a decision rests on all of them")]
fn succeed(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    observation: &Observation,
    entry: EntryId,
    answered: Mono,
    now: Mono,
    timings: &ProtocolTimings,
) -> Plan {
    let since = observation.started >= answered;
    if observed.record.is_some() || (since && observation.user.is_some()) {
        // It may be on its way out still, or be somebody else's: the deletion's own entry finds out.
        let mut plan = unsettled(observed);
        plan.again = Some(timings.read_lag);
        return plan;
    }
    if !since {
        return Plan::look(observed, server, Step::List);
    }
    let mut plan = missing(desired, observed, server, observation, now, timings);
    if let Some(Step::Stage(draft)) = &mut plan.step {
        draft.replaces = Some(entry);
    }
    plan
}

/// Ours by the record, but not there: made again, with the password that the applications have.
fn vanished(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    now: Mono,
    timings: &ProtocolTimings,
) -> Plan {
    if let Part::Next(_) = desired.part {
        return recreate(desired, observed, server, now, timings);
    }
    if let Some(to) = &observed.renamed {
        return Plan::not_ready(renamed(to, &desired.username));
    }
    if let Some(held) = cannot_recreate(desired, observed, server, now, timings) {
        return held;
    }
    let password = match published_password(observed) {
        PublishedPassword::Intact => DraftPassword::Published,
        PublishedPassword::Lost => DraftPassword::New,
        PublishedPassword::Unread => return Plan::doing(observed, Step::ReadSecret, Reason::Recreating),
    };
    let own_changed =
        matches!(&desired.password, WantedPassword::Own { mac } if Some(mac) != published_mac(observed));
    let password = if own_changed { DraftPassword::New } else { password };
    recreation(desired, observed, password)
}

/// A login that nobody has the password of is made again with a new one.
pub(super) fn recreate(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    now: Mono,
    timings: &ProtocolTimings,
) -> Plan {
    if let Some(to) = &observed.renamed {
        return Plan::stalled(observed, renamed(to, &desired.username));
    }
    cannot_recreate(desired, observed, server, now, timings)
        .unwrap_or_else(|| recreation(desired, observed, DraftPassword::New))
}

/// What has to be true before a login that is not there is made again.
fn cannot_recreate(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    now: Mono,
    timings: &ProtocolTimings,
) -> Option<Plan> {
    if !read_age::surely_absent(observed, server, now, timings) {
        return Some(Plan::confirm(observed, server, now, timings));
    }
    cannot_stage(desired, observed, server)
}

fn recreation(desired: &Desired, observed: &Observed, password: DraftPassword) -> Plan {
    let seen = observed
        .observation
        .as_ref()
        .map(Observation::as_seen)
        .unwrap_or_default();
    let cause = desired.part.cause_or(Cause::Vanished);
    claim_then_stage(
        observed,
        draft(Kind::Create, cause, password, seen, false),
        Reason::Recreating,
    )
}

/// Ours and there: is everything as it should be?
#[expect(clippy::too_many_arguments, reason = "a decision rests on all of them")]
fn there(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    record: &Record,
    user: &RemoteUser,
    observation: &Observation,
    now: Mono,
    timings: &ProtocolTimings,
) -> Plan {
    if user.protected || is_another_incarnation(observed, server, record, user) {
        return match is_to_be_taken_over(server, user) {
            true => moved::take_over(desired, observed, server, observation),
            false => another_incarnation(desired, observed, server, user, observation),
        };
    }
    match &observed.secret {
        SecretView::Foreign(whose) => return Plan::not_ready(secret_conflict(whose)),
        SecretView::Leaving(finalizers) => return Plan::stalled(observed, secret_leaving(finalizers)),
        SecretView::Absent | SecretView::Ours { .. } => {}
    }
    let seen = observation.as_seen();
    let reason = reason_for_password(desired, observed, record, user, now, timings);
    // First a Secret that works; a login that is to be published yet has none, and without LOGIN no password works.
    let is_no_hurry = published_password(observed).is_intact()
        || matches!(desired.part, Part::Next(_))
        || user.lacks_login();
    if is_no_hurry && let Some(plan) = configure(desired, observed, server, user, &seen, now) {
        return plan;
    }
    match reason {
        NewPassword::ReadSecretFirst => Plan::doing(observed, Step::ReadSecret, Reason::Checking),
        NewPassword::Contested => {
            let mut plan = Plan::not_ready(contested());
            // Noted once, so that it stands until a person has acted.
            plan.report.reverted = observed.reverts < timings.reverts_in_an_hour;
            plan
        }
        NewPassword::Needed(cause, password) => {
            if let Some(held) = cannot_stage(desired, observed, server) {
                return held;
            }
            if read_age::is_busy(server, timings) {
                return Plan::doing(observed, Step::PollCluster, Reason::ClusterBusy);
            }
            let reverted = cause == Cause::SetBack;
            let mut plan = claim_then_stage(
                observed,
                draft(Kind::SetPassword, cause, password, seen, true),
                Reason::SettingPassword,
            );
            plan.report.reverted = reverted && matches!(plan.step, Some(Step::Stage(_)));
            plan
        }
        NewPassword::NotNeeded => {
            let mut plan = in_order(desired, observed, server, record, user, now);
            if observed.refused_settings(desired).is_some() && now < observed.settings_due {
                plan.again_by(observed.settings_due - now);
            }
            password::rotate_when_due(desired, now, &mut plan);
            if let Some(ends) = desired.overlap_ends.filter(|ends| *ends > now) {
                plan.again_by(ends - now);
            }
            plan
        }
    }
}

/// Whether attributes and memberships are not as they should be, where the server has such.
pub(super) fn differs(desired: &Desired, user: &RemoteUser) -> bool {
    let both = desired.settings.options.as_ref().zip(user.traits.role.as_ref());
    both.is_some_and(|(wanted, found)| !wanted.differences(found).is_empty())
}

/// Attributes and memberships that are not as they should be are put right, unless that was refused.
pub(super) fn configure(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    user: &RemoteUser,
    seen: &Seen,
    now: Mono,
) -> Option<Plan> {
    let put_off = observed.refused_settings(desired).is_some() && now < observed.settings_due;
    if put_off || !differs(desired, user) {
        return None;
    }
    if let Some(trouble) = &server.trouble {
        return Some(Plan::troubled(observed, trouble));
    }
    Some(claim_then_stage(
        observed,
        draft(
            Kind::Configure,
            Cause::Settings,
            DraftPassword::None,
            seen.clone(),
            true,
        ),
        Reason::Configuring,
    ))
}

fn contested() -> Stalled {
    Stalled {
        reason: Reason::Conflict,
        message: format!(
            "the password was changed from outside three times within an hour: something else manages this login. Find \
             and stop it, then set the annotation {} to a new value",
            crate::api::names::ROTATE
        ),
    }
}

/// The remote side is right: are the Secret's other keys, and what is recorded?
fn in_order(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    record: &Record,
    user: &RemoteUser,
    now: Mono,
) -> Plan {
    let (Some(published), SecretView::Ours { resource_version, .. }) =
        (&observed.published, &observed.secret)
    else {
        return Plan::doing(observed, Step::ReadSecret, Reason::Checking);
    };
    let moved = *resource_version != published.resource_version;
    let is_outdated = published.renewed_at.is_some_and(|at| at <= now);
    if moved || is_outdated || published.content_digest != desired.content_digest {
        if let Some(plan) = try_address(desired, observed, server, now) {
            return plan;
        }
        let precondition = Precondition::At(resource_version.clone());
        return Plan::publishing(Publication {
            entry: None,
            precondition,
        });
    }
    let mut plan = match complaint(desired, observed, user, now) {
        Some(stalled) => Plan::stalled(observed, stalled),
        None => Plan::ready(),
    };
    plan.report.verified = password::verified(&observed.tried);
    plan.report.record = news_of_record(server, record, user);
    plan.report.record_can_wait = plan.report.record.as_ref().is_some_and(|new| {
        let dated = Record {
            last_set: record.last_set,
            ..new.clone()
        };
        dated == *record
    });
    plan.again = published.renewed_at.map(|at| at - now);
    password::try_when_due(observed, server, user, now, &mut plan);
    plan
}

/// How long after a refusal another address is tried again.
const ADDRESS_AGAIN: Duration = Duration::from_secs(60);

/// Another address is published once a login with the published password works there, or cannot be tried: where another server
/// answers, it is refused, and what is published goes on working.
fn try_address(desired: &Desired, observed: &Observed, server: &Server, now: Mono) -> Option<Plan> {
    if !server.verifiable || !password::has_moved(desired, observed) {
        return None;
    }
    let refused = match observed.tried.login {
        Login::Accepted | Login::Unverifiable(_) => return None,
        Login::NotTried => return Some(Plan::doing(observed, Step::TryPublished, Reason::Checking)),
        Login::Refused(at) => at,
    };
    let mut plan = Plan::stalled(observed, refused_there(desired, observed));
    let again = refused + ADDRESS_AGAIN;
    match now < again {
        true => plan.again_by(again - now),
        false => plan.step = Some(Step::TryPublished),
    }
    Some(plan)
}

fn refused_there(desired: &Desired, observed: &Observed) -> Stalled {
    let published = observed.published.as_ref();
    let published = published.and_then(|published| published.address.as_deref());
    Stalled {
        reason: Reason::AddressRefused,
        message: format!(
            "the published password is refused at {}, where clients are to connect now: the Secret goes on naming {}. Correct the \
             server object's spec.connection if another server answers there; it is tried again each minute, and at once when \
             the annotation {} of the server object gets a new value",
            desired.address.as_deref().unwrap_or_default(),
            published.unwrap_or_default(),
            crate::api::names::REFRESH,
        ),
    }
}

/// Whether the password is older than it may get.
fn is_overdue(desired: &Desired, now: Mono) -> bool {
    desired.rotation_due.is_some_and(|due| due <= now)
}

fn overdue() -> Stalled {
    Stalled {
        reason: Reason::PasswordOverdue,
        message: "the password is older than the server object lets one get (spec.passwords.maxAge), and is not changed without you: \
                  write another one into the Secret that spec.password.secretRef names, or set spec.suspend: false"
            .to_string(),
    }
}

/// What a person has to mend although the login works.
fn complaint(desired: &Desired, observed: &Observed, user: &RemoteUser, now: Mono) -> Option<Stalled> {
    if let WantedPassword::Missing(why) = &desired.password {
        return Some(Stalled {
            reason: Reason::PasswordNotFound,
            message: format!("{why}; the last good password stands"),
        });
    }
    if let Some(rejected) = observed.refused_password(desired) {
        return Some(rejection(&rejected.message));
    }
    if let Some(rejected) = observed.refused_settings(desired) {
        return Some(settings_rejection(&rejected.message));
    }
    if let Some(beyond) = &desired.beyond {
        return Some(stalled(beyond));
    }
    if desired.password != WantedPassword::Generated && is_overdue(desired, now) {
        return Some(overdue());
    }
    let cannot_be = user
        .traits
        .read_only
        .is_some_and(|found| found != desired.settings.read_only);
    cannot_be.then(|| Stalled {
        reason: Reason::InvalidSettings,
        message: format!(
            "spec.scalingo.readOnly is {}, but the login was made with {}, which cannot be changed: make another \
             PostgresUser, or write what is",
            desired.settings.read_only, !desired.settings.read_only
        ),
    })
}

/// What the record should say instead, if the remote has since said more: dates of our own late requests, and what
/// it did not say before.
fn news_of_record(server: &Server, record: &Record, user: &RemoteUser) -> Option<Record> {
    let later = user
        .modified
        .filter(|found| record.last_set.is_none_or(|ours| *found > ours));
    let new = Record {
        server: Some(server.reference.clone()),
        last_set: later.or(record.last_set),
        created: record.created.or(user.created),
        password_stamp: match (&record.password_stamp, &user.traits.password_stamp) {
            (Some(ours), Some(found)) if password::comparable(ours, found) => Some(ours.clone()),
            (ours, found) => found.clone().or_else(|| ours.clone()),
        },
        ..record.clone()
    };
    (new != *record).then_some(new)
}

fn another_incarnation(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    user: &RemoteUser,
    observation: &Observation,
) -> Plan {
    if desired.adopt && server.allow_adoption && !user.protected {
        return exists(desired, observed, server, user, observation);
    }
    Plan::not_ready(Stalled {
        reason: Reason::Conflict,
        message: format!(
            "the login {:?} was deleted and made again by somebody else: it is not changed. Delete it on the server, \
             or take it over with spec.adoptionPolicy: Adopt, where the server object allows it",
            user.username
        ),
    })
}
