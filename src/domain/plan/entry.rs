//! The way of a staged password until it is accepted: send, look, weigh. `accepted` has the rest of it.

use std::time::Duration;

use super::adoption::is_too_powerful;
use super::ownership::{Verdict, evidence_to_gather, is_another, may_be_adopted, weigh};
use super::read_age;
use super::rejection::{rejection, settings_rejection};
use super::types::*;
use crate::api::Reason;
use crate::domain::alternation::Part;
use crate::domain::attempts::Outcome;
use crate::domain::journal::{Cause, Kind};
use crate::domain::remote::RemoteUser;
use crate::domain::time::Mono;
use crate::domain::timings::{ProtocolTimings, Rule};

/// How long to wait before a retirement that was refused is tried again.
const RETIRED_AGAIN: Duration = Duration::from_secs(60);

/// Everything that one decision about an entry rests on.
pub struct Case<'a> {
    pub desired: &'a Desired,
    pub observed: &'a Observed,
    pub server: &'a Server,
    pub staged: &'a StagedEntry,
    pub now: Mono,
    pub timings: &'a ProtocolTimings,
}

/// The next step for a resource that is to stay and has an entry in the journal.
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    staged: &StagedEntry,
    now: Mono,
    timings: &ProtocolTimings,
) -> Plan {
    let ServerView::Usable(server) = &observed.server else {
        return Plan::waiting(observed, Reason::ServerNotReady, String::new());
    };
    let case = Case {
        desired,
        observed,
        server,
        staged,
        now,
        timings,
    };
    if staged.entry.kind == Kind::Delete {
        // Only a resource that is being deleted stages a deletion, and deletion cannot be taken back.
        return Plan::waiting(observed, Reason::Deleting, String::new());
    }
    if staged.attempts.in_flight {
        return Plan::waiting(observed, case.doing(), String::new());
    }
    if !timings.rules.hold(Rule::R0)
        && let Some(plan) = case.overtaken()
    {
        return plan;
    }
    match &staged.attempts.outcome {
        Some(Outcome::Accepted { user, .. }) => case.accepted(user.as_ref()),
        Some(Outcome::Refused { message, .. }) => case.refused(message),
        Some(Outcome::Exists(message)) => case.exists(message),
        Some(Outcome::NotFound) => case.not_found(),
        None if staged.attempts.unknown => case.unknown(),
        None => case.first(),
    }
}

/// The next step for an entry of a resource that nothing new is done for: what the remote has accepted is published,
/// recorded and settled all the same, and what nobody has sent is not sent any more.
pub fn plan_held(
    desired: &Desired,
    observed: &Observed,
    staged: &StagedEntry,
    held: Plan,
    now: Mono,
    timings: &ProtocolTimings,
) -> Plan {
    if staged.entry.kind == Kind::Delete || staged.attempts.in_flight {
        return held;
    }
    if staged.attempts.never_sent() {
        return Plan {
            step: Some(Step::Settle(staged.entry.id)),
            ..held
        };
    }
    let plan = plan(desired, observed, staged, now, timings);
    match plan.step {
        // What it would tell of itself stands: that of a publication is a fact.
        Some(Step::Publish(_)) => plan,
        None if plan.report.record.is_some() || plan.report.stalled.is_some() => plan,
        Some(Step::Stage(_) | Step::Send(_) | Step::Claim) | None => held,
        Some(step) => Plan {
            step: Some(step),
            again: plan.again.min(held.again).or(plan.again),
            ..held
        },
    }
}

impl Case<'_> {
    pub fn doing(&self) -> Reason {
        match self.staged.entry.kind {
            _ if self.staged.entry.cause == Cause::Retirement => Reason::Retiring,
            Kind::Create => Reason::Creating,
            Kind::Adopt => Reason::Adopting,
            Kind::SetPassword => Reason::SettingPassword,
            Kind::Configure => Reason::Configuring,
            Kind::Delete => Reason::Deleting,
        }
    }

    pub fn step(&self, step: Step) -> Plan {
        Plan::doing(self.observed, step, self.doing())
    }

    pub fn settle(&self) -> Plan {
        self.step(Step::Settle(self.staged.entry.id))
    }

    /// Sends, unless the server is known not to take anything now.
    pub fn send(&self) -> Plan {
        match &self.server.trouble {
            Some(trouble) => Plan::troubled(self.observed, trouble),
            None => self.step(Step::Send(self.staged.entry.id)),
        }
    }

    /// What R0 forbids: another password while the last one may still arrive.
    fn overtaken(&self) -> Option<Plan> {
        let Cause::Rotation(staged) = &self.staged.entry.cause else {
            return None;
        };
        let rotate = self.desired.rotate.as_ref().filter(|rotate| *rotate != staged)?;
        self.staged.attempts.unknown.then(|| {
            self.replace(
                Kind::SetPassword,
                DraftPassword::New,
                Cause::Rotation(rotate.clone()),
                true,
            )
        })
    }

    /// The same password by another request, in place of this entry.
    fn replace(&self, kind: Kind, password: DraftPassword, cause: Cause, proven_ours: bool) -> Plan {
        let seen = match &self.observed.observation {
            Some(observation) => observation.as_seen(),
            None => self.staged.entry.seen.clone(),
        };
        let replaces = Some(self.staged.entry.id);
        self.step(Step::Stage(Draft {
            replaces,
            kind,
            cause,
            password,
            seen,
            proven_ours,
        }))
    }

    /// Stored, never sent. Whatever counts now counts, not what counted when it was stored (R11).
    fn first(&self) -> Plan {
        if self.observed.rival.is_some()
            || self.desired.withdrawn
            || self.is_withdrawn()
            || self.is_more_than_allowed()
        {
            return self.settle();
        }
        match self.staged.entry.kind {
            Kind::Create => self.send_first_creation(),
            _ => self.send_to_the_same(),
        }
    }

    /// Whether the server object has since taken back something that this would give.
    fn is_more_than_allowed(&self) -> bool {
        self.desired.beyond.is_some() && self.staged.entry.settings != self.desired.settings
    }

    /// Whether the resource does not ask for this any more.
    fn is_withdrawn(&self) -> bool {
        // Of two in turn, the one that is published keeps its password.
        let in_place = self.desired.part == Part::Published;
        match &self.staged.entry.cause {
            Cause::Rotation(_) | Cause::Scheduled if in_place => true,
            Cause::Rotation(value) => self.desired.rotate.as_ref() != Some(value),
            Cause::OwnPassword => {
                let WantedPassword::Own { mac } = &self.desired.password else {
                    return true;
                };
                self.staged.mac.as_ref() != Some(mac)
            }
            Cause::Adoption => {
                let allowed = self.desired.adopt && self.server.allow_adoption;
                !allowed && !self.staged.entry.proven_ours
            }
            _ => false,
        }
    }

    /// It was absent when this was stored. If that was long ago, or if somebody has made it since, it is found out before
    /// anything is sent.
    fn send_first_creation(&self) -> Plan {
        let observation =
            read_age::observation_to_send_on(self.observed, self.staged, self.now, self.timings);
        match observation.map(|observation| &observation.user) {
            None => self.look_again(Step::List),
            Some(Some(_)) if self.staged.attempts.after_deletion.is_none() => self.settle(),
            Some(_) => self.send(),
        }
    }

    /// Sent, with no answer, by this process or by an earlier leader.
    fn unknown(&self) -> Plan {
        if self.gives_a_new_password() && self.is_done() {
            // Only what was accepted is published: an earlier leader had the answer.
            return self.settle_when_quiet();
        }
        match self.staged.entry.kind {
            Kind::Create => self.unknown_creation(),
            _ => self.send_to_the_same(),
        }
    }

    /// Whether the password was not published before this entry was made: a user that is made again, or set back,
    /// gets the one that is published already.
    fn gives_a_new_password(&self) -> bool {
        matches!(
            self.staged.entry.cause,
            Cause::Rotation(_)
                | Cause::Scheduled
                | Cause::StrategyChanged
                | Cause::OwnPassword
                | Cause::SecretDamaged
                | Cause::Adoption
        )
    }

    /// A request that would change whatever has the name is sent only to the user that it was meant for (I3).
    pub fn send_to_the_same(&self) -> Plan {
        let observation =
            read_age::observation_to_send_on(self.observed, self.staged, self.now, self.timings);
        let Some(observation) = observation else {
            return self.look_again(Step::List);
        };
        match &observation.user {
            Some(user) if is_another(user, self.staged, self.server, self.may_be_adopted()) => {
                self.drop_when_quiet()
            }
            Some(user) if self.takes_over_too_much(user) => self.drop_when_quiet(),
            _ => self.send(),
        }
    }

    /// Whether the user has got power over others since its adoption was decided.
    fn takes_over_too_much(&self, user: &RemoteUser) -> bool {
        let entry = &self.staged.entry;
        entry.cause == Cause::Adoption && !entry.proven_ours && is_too_powerful(self.desired, user)
    }

    fn may_be_adopted(&self) -> bool {
        may_be_adopted(self.staged, self.observed, self.server)
    }

    /// A read that shows what became of the last attempt.
    pub fn look_again(&self, step: Step) -> Plan {
        Plan::look_after_attempt(self.observed, self.server, self.staged, self.now, step)
    }

    fn unknown_creation(&self) -> Plan {
        let Some(observation) = read_age::observation_after_attempt(self.observed, self.staged) else {
            return self.look_again(Step::Read);
        };
        match &observation.user {
            Some(user) => self.weighed(user, observation),
            None if observation.proves_absence => self.send(),
            None => self.look_again(Step::Read),
        }
    }

    /// A user is there that our request may have made.
    fn weighed(&self, user: &RemoteUser, observation: &Observation) -> Plan {
        if let Some(step) = evidence_to_gather(observation, self.staged, self.server, self.timings) {
            return Plan::look(self.observed, self.server, step);
        }
        let record = self.observed.record.as_ref();
        match weigh(user, observation, self.staged, record, self.server, self.timings) {
            Verdict::Ours => self.take_on(),
            Verdict::Foreign => self.drop_when_quiet(),
            Verdict::Unclaimed => Plan::not_ready(unclaimed(&user.username)),
        }
    }

    /// The user is ours: from now on it is given its password, not made.
    pub fn take_on(&self) -> Plan {
        let cause = self.staged.entry.cause.clone();
        self.replace(Kind::SetPassword, DraftPassword::Same, cause, true)
    }

    /// Drops the entry, once nothing of it can take effect any more.
    pub fn drop_when_quiet(&self) -> Plan {
        let no_unknown = read_age::unknown_until(self.staged, self.server, self.timings).is_none();
        let settled = read_age::settled_observation(self.observed, self.server, self.now, self.timings);
        if no_unknown || settled.is_some() {
            return self.settle();
        }
        Plan::confirm(self.observed, self.server, self.now, self.timings)
    }

    /// A creation was refused in words that may mean that the name is taken.
    fn exists(&self, message: &str) -> Plan {
        if self.may_be_on_its_way_out() {
            return self.send();
        }
        let Some(observation) = read_age::observation_after_attempt(self.observed, self.staged) else {
            return self.look_again(Step::Read);
        };
        match &observation.user {
            Some(_) if !self.staged.attempts.unknown && self.staged.attempts.after_deletion.is_none() => {
                self.drop_when_quiet()
            }
            Some(user) => self.weighed(user, observation),
            None if !observation.proves_absence => self.look_again(Step::Read),
            // It may have met what an earlier attempt had made, and what is gone again: a new entry will tell.
            None if self.staged.attempts.unknown => self.drop_when_quiet(),
            None => self.refused(message),
        }
    }

    /// What "exists" may be the user whose deletion was accepted a moment ago: until a late enough read has shown its
    /// absence once, or too much time has passed, it is nobody's.
    fn may_be_on_its_way_out(&self) -> bool {
        // Only a creation meets it; what changes a user goes to nobody but its own.
        let creates = self.staged.entry.kind == Kind::Create;
        let Some(deleted) = self.staged.attempts.after_deletion.filter(|_| creates) else {
            return false;
        };
        let shown = self.observed.observation.as_ref().is_some_and(|observation| {
            observation.user.is_none()
                && observation.proves_absence
                && observation.started >= deleted + self.timings.read_lag
        });
        !shown && self.now - deleted < self.timings.t_live
    }

    /// Refused for good.
    fn refused(&self, message: &str) -> Plan {
        if self.staged.entry.cause == Cause::Retirement {
            return self.retirement_refused(message);
        }
        if self.staged.entry.kind == Kind::Configure {
            return self.settings_refused(message);
        }
        if self.observed.refused_password(self.desired).is_some() {
            return self.drop_when_quiet();
        }
        let mut plan = Plan::stalled(self.observed, rejection(message));
        plan.report.rejected = Some(Rejected {
            wish: self.desired.wish.clone(),
            message: message.to_string(),
        });
        plan
    }

    /// A login that nobody is to use any more goes on working: it is tried again now and then, while that is still asked for.
    fn retirement_refused(&self, message: &str) -> Plan {
        if !self.desired.retiring || self.staged.entry.settings != self.desired.settings {
            return self.drop_when_quiet();
        }
        let again = self.staged.attempts.last.map(|last| last + RETIRED_AGAIN);
        if again.is_none_or(|again| again <= self.now) {
            return self.send_to_the_same();
        }
        let stalled = super::blocked::retirement_blocked(&self.staged.entry.username, message);
        let mut plan = Plan::stalled(self.observed, stalled);
        plan.again = again.map(|again| again - self.now);
        plan
    }

    /// The login works as it is; what it should be besides is noted as refused.
    fn settings_refused(&self, message: &str) -> Plan {
        // What was refused may not be what is wanted any more, or allowed by now.
        let outdated = self.staged.entry.settings != self.desired.settings;
        if outdated || self.observed.refused_settings(self.desired).is_some() {
            return self.drop_when_quiet();
        }
        let mut plan = Plan::stalled(self.observed, settings_rejection(message));
        plan.report.rejected_settings = Some(Rejected {
            wish: self.desired.settings_wish.clone(),
            message: message.to_string(),
        });
        plan
    }

    /// The user whose password was to be set is not there.
    fn not_found(&self) -> Plan {
        let Some(observation) = read_age::observation_after_attempt(self.observed, self.staged) else {
            return self.look_again(Step::Read);
        };
        // Reads may trail: one of the same moment may still show what is gone.
        let from = self.staged.attempts.last.map(|last| last + self.timings.read_lag);
        if let Some(from) = from.filter(|from| observation.started < *from) {
            return match self.now < from {
                true => Plan::until(self.observed, Reason::Confirming, from - self.now),
                false => Plan::look(self.observed, self.server, Step::Read),
            };
        }
        match &observation.user {
            Some(_) => self.send_to_the_same(),
            None if !observation.proves_absence => self.look_again(Step::Read),
            None if matches!(self.staged.entry.kind, Kind::Adopt | Kind::Configure)
                || self.staged.entry.cause == Cause::Retirement =>
            {
                self.drop_when_quiet()
            }
            None => self.replace(
                Kind::Create,
                DraftPassword::Same,
                self.staged.entry.cause.clone(),
                false,
            ),
        }
    }
}

fn unclaimed(username: &str) -> Stalled {
    Stalled {
        reason: Reason::Unclaimed,
        message: format!(
            "a creation of the login {username:?} had no answer, and a login of that name exists: nothing tells whether \
             it is this object's. If it is somebody else's, delete this object with deletionPolicy: Retain; if it is \
             not, delete the login on the server and it is made again"
        ),
    }
}
