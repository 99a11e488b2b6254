//! The way of a password that was accepted: take effect, verify, publish, settle.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::entry::Case;
use super::ownership::{is_another_incarnation, speaks_against, was_made_anew};
use super::read_age::{self, Quiet};
use super::report::is_published;
use super::stage::{secret_conflict, secret_leaving};
use super::types::*;
use crate::api::Reason;
use crate::domain::attempts::Login;
use crate::domain::journal::{Cause, Kind};
use crate::domain::remote::RemoteUser;
use crate::domain::role::Memberships;
use crate::domain::time::Mono;
use crate::domain::timings::Rule;

/// The longest pause between two logins of one user while they are refused.
const LONGEST_BETWEEN_LOGINS: Duration = Duration::from_secs(60);

const NOT_IN_EFFECT: &str = "the server accepted the password, but a login with it is refused: it is sent again until \
                             it takes effect";

fn not_verified(why: &str) -> Stalled {
    Stalled {
        reason: Reason::NotVerified,
        message: format!(
            "the server has accepted the password, and nothing is published that has not logged in (spec.verification: Require on \
             the server object); no login can be tried: {why}. What was published before may not work any more. See to it that the \
             operator reaches the server as clients do, or set spec.verification: Auto"
        ),
    }
}

impl Case<'_> {
    /// Accepted: in effect? working? published? recorded? Then settled (R7, I2, R8).
    pub fn accepted(&self, user: Option<&RemoteUser>) -> Plan {
        if !read_age::in_effect(self.staged, self.server, self.timings) {
            return match &self.server.trouble {
                Some(trouble) => Plan::troubled(self.observed, trouble),
                None => self.step(Step::PollCluster),
            };
        }
        if let Some(plan) = self.read_back() {
            return plan;
        }
        if !self.desired.part.is_published() {
            return self.done_aside(user);
        }
        if self.staged.entry.kind == Kind::Configure {
            return self.configured(user);
        }
        let recorded = self.is_recorded(user);
        let mut plan = match (self.is_published(), recorded) {
            (true, true) => self.settle_accepted(),
            (true, false) => self.step_none(),
            (false, _) => self.publish(),
        };
        let verifying = matches!(plan.step, Some(Step::Verify(_)));
        if plan.report.record.is_none() && !recorded && !verifying {
            let new = self.record(user);
            plan.report.record = (self.observed.record.as_ref() != Some(&new)).then_some(new);
        }
        plan
    }

    /// What is not there to be published is recorded, and settled.
    fn done_aside(&self, user: Option<&RemoteUser>) -> Plan {
        let mut new = self.record(user);
        if self.staged.entry.kind == Kind::Configure {
            (new.memberships, new.config) = (self.memberships(user), self.config());
        }
        new.retired = self.staged.entry.cause == Cause::Retirement;
        let is_recorded = self.observed.record.as_ref().is_some_and(|record| {
            let undated = Record {
                last_set: new.last_set,
                ..record.clone()
            };
            undated == new
        });
        if is_recorded {
            return self.settle_accepted();
        }
        let mut plan = self.step_none();
        plan.report.record = Some(new);
        plan
    }

    /// Settled once status has what was granted and taken back.
    fn configured(&self, user: Option<&RemoteUser>) -> Plan {
        let (memberships, config) = (self.memberships(user), self.config());
        let is_outdated = |record: &&Record| record.memberships != memberships || record.config != config;
        let Some(record) = self.observed.record.as_ref().filter(is_outdated) else {
            return self.settle_accepted();
        };
        let mut plan = self.step_none();
        plan.report.record = Some(Record {
            memberships,
            config,
            ..record.clone()
        });
        plan
    }

    /// What was granted because the spec asked, this change included, and is still asked for.
    fn memberships(&self, user: Option<&RemoteUser>) -> Memberships {
        let Some(options) = &self.staged.entry.settings.options else {
            return Memberships::new();
        };
        let role = user.and_then(|user| user.traits.role.as_ref());
        let mut all = match (self.staged.entry.kind, role) {
            (Kind::Create, Some(_)) => Memberships::new(),
            // Whoever makes a role makes its memberships.
            (Kind::Create, None) => options
                .member_of
                .iter()
                .map(|role| (role.clone(), None))
                .collect(),
            _ => options.applied.clone(),
        };
        all.extend(role.map(|role| role.just_granted.clone()).unwrap_or_default());
        all.retain(|role, _| options.member_of.contains(role));
        all
    }

    /// The parameters that were set because the spec asked: whoever makes or changes a role sets them all.
    fn config(&self) -> BTreeSet<String> {
        let options = self.staged.entry.settings.options.iter();
        options
            .flat_map(|options| options.config.keys().cloned())
            .collect()
    }

    /// R7: the cluster turned BUSY while several changes were under way. Whether it has kept this one is shown by a list of
    /// after it was AVAILABLE again, or by a login; what it has dropped is sent again.
    fn read_back(&self) -> Option<Plan> {
        let verified = self.staged.attempts.login == Login::Accepted;
        if !self.staged.attempts.doubtful || verified || self.server.verifiable {
            return None;
        }
        let last = self.staged.attempts.last;
        let look = last.and_then(|last| read_age::look_after(self.server, last, self.timings));
        let Some(look) = look else {
            return Some(self.step(Step::PollCluster));
        };
        let observation = self.observed.observation.as_ref();
        if self.staged.entry.kind != Kind::Create {
            // That the user is there says nothing of its password: it is sent again, alone this time.
            return Some(self.send_to_the_same());
        }
        match observation.filter(|observation| observation.started > look.started) {
            None => Some(Plan::look(self.observed, self.server, Step::List)),
            Some(observation) if observation.user.is_some() => None,
            Some(observation) if observation.proves_absence => Some(self.send()),
            Some(_) => Some(Plan::look(self.observed, self.server, Step::List)),
        }
    }

    /// R8: published and recorded, it is settled at once, unless something of it may still arrive.
    fn settle_accepted(&self) -> Plan {
        match self.staged.attempts.is_definite() {
            true => self.settle_now(),
            false => self.settle_when_quiet(),
        }
    }

    fn settle_now(&self) -> Plan {
        let mut plan = self.published_and_waiting();
        plan.step = Some(Step::Settle(self.staged.entry.id));
        plan
    }

    fn step_none(&self) -> Plan {
        Plan::waiting(self.observed, self.doing(), String::new())
    }

    /// Whether the entry's password is published, and what it did is recorded: all of R8 but to settle.
    pub fn is_done(&self) -> bool {
        self.is_published() && self.is_recorded(None)
    }

    fn is_published(&self) -> bool {
        let secret = match &self.observed.secret {
            SecretView::Ours { resource_version, .. } => resource_version,
            SecretView::Absent | SecretView::Foreign(_) | SecretView::Leaving(_) => return false,
        };
        if !self.timings.rules.hold(Rule::R8) {
            return true;
        }
        self.observed.published.as_ref().is_some_and(|published| {
            Some(&published.mac) == self.staged.mac.as_ref() && published.resource_version == *secret
        })
    }

    /// Whether status says what the entry did. A user that was made again is recorded again.
    fn is_recorded(&self, user: Option<&RemoteUser>) -> bool {
        let handled = match &self.staged.entry.cause {
            Cause::Rotation(value) => self.observed.handled_rotation.as_ref() == Some(value),
            _ => true,
        };
        let new = self.record(user);
        let owned = self.observed.record.as_ref().is_some_and(|record| {
            let same = record.identity == new.identity && record.created == new.created;
            same && record.retired == new.retired
        });
        (handled && owned && self.is_dated(user)) || !self.timings.rules.hold(Rule::R8)
    }

    /// Whether the record has what the answer said of the change: without it our own change would look like somebody else's.
    fn is_dated(&self, user: Option<&RemoteUser>) -> bool {
        let (Some(user), Some(record)) = (user, &self.observed.record) else {
            return true;
        };
        let stamp = &user.traits.password_stamp;
        record.last_set >= user.modified && (stamp.is_none() || record.password_stamp == *stamp)
    }

    /// Whether what is recorded so far, wherever, was made for this resource.
    fn was_made(&self) -> bool {
        let record = self.observed.record.as_ref();
        record.is_some_and(|record| !record.adopted || record.moved)
    }

    fn record(&self, user: Option<&RemoteUser>) -> Record {
        // Dates of another remote cluster say nothing of this one.
        let earlier = self.observed.record.as_ref();
        let earlier = earlier.filter(|record| record.identity == self.server.identity);
        Record {
            server: Some(self.server.reference.clone()),
            identity: self.server.identity.clone(),
            adopted: match self.staged.entry.kind {
                Kind::Adopt => true,
                Kind::Create => false,
                _ => earlier.is_some_and(|record| record.adopted),
            },
            moved: match self.staged.entry.kind {
                Kind::Adopt => self.staged.entry.cause == Cause::Moved && self.was_made(),
                Kind::Create => false,
                _ => earlier.is_some_and(|record| record.moved),
            },
            created: user
                .and_then(|user| user.created)
                .or(self.staged.entry.seen.created)
                .or_else(|| earlier.and_then(|record| record.created)),
            last_set: user
                .and_then(|user| user.modified)
                .max(self.in_effect_by_remote(user))
                .or_else(|| earlier.and_then(|record| record.last_set)),
            password_stamp: user.map_or_else(
                || earlier.and_then(|record| record.password_stamp.clone()),
                |user| user.traits.password_stamp.clone(),
            ),
            memberships: match self.staged.entry.kind {
                Kind::Create => self.memberships(user),
                _ => earlier
                    .map(|record| record.memberships.clone())
                    .unwrap_or_default(),
            },
            config: match self.staged.entry.kind {
                Kind::Create => self.config(),
                _ => earlier.map(|record| record.config.clone()).unwrap_or_default(),
            },
            retired: false,
        }
    }

    /// When the cluster was seen to have put the change in effect, by its own clock: it may date the change only then.
    fn in_effect_by_remote(&self, user: Option<&RemoteUser>) -> Option<Timestamp> {
        user?.modified?;
        let look = read_age::look_after(self.server, self.staged.attempts.last?, self.timings)?;
        look.date
            .and_then(|date| Timestamp::from_second(date.as_second()).ok())
    }

    /// I2: logged in with it, where that can be done, then written in one go.
    fn publish(&self) -> Plan {
        if self.server.verifiable
            && let Some(plan) = self.verify()
        {
            return plan;
        }
        if self.server.must_log_in
            && let Some(plan) = self.unverified()
        {
            return plan;
        }
        let precondition = match &self.observed.secret {
            SecretView::Foreign(whose) => return Plan::not_ready(secret_conflict(whose)),
            SecretView::Leaving(finalizers) => {
                return Plan::not_ready(secret_leaving(finalizers));
            }
            _ if !self.timings.rules.hold(Rule::R2) => Precondition::Nothing,
            SecretView::Absent => Precondition::Absent,
            SecretView::Ours { resource_version, .. } => Precondition::At(resource_version.clone()),
        };
        let mut plan = Plan::publishing(Publication {
            entry: Some(self.staged.entry.id),
            precondition,
        });
        plan.report.verified = self.verified();
        if let Cause::Rotation(value) = &self.staged.entry.cause {
            plan.report.handled_rotation = Some(value.clone());
        }
        plan
    }

    /// Nothing is published here that has not logged in, and no login can be tried.
    fn unverified(&self) -> Option<Plan> {
        let why = match read_age::login(self.staged) {
            Login::Accepted => return None,
            Login::Unverifiable(why) => why,
            Login::NotTried | Login::Refused(_) => self.not_tried(),
        };
        let again = self.server.log_in_again.filter(|again| self.now < *again);
        let mut plan = Plan::stalled(self.observed, not_verified(&why));
        match again {
            Some(again) => plan.again = Some(again - self.now),
            None if self.server.verifiable => plan.step = Some(Step::Verify(self.staged.entry.id)),
            None => plan.again = Some(LONGEST_BETWEEN_LOGINS),
        }
        Some(plan)
    }

    fn verify(&self) -> Option<Plan> {
        match read_age::login(self.staged) {
            Login::NotTried => Some(self.step(Step::Verify(self.staged.entry.id))),
            Login::Accepted | Login::Unverifiable(_) => None,
            Login::Refused(at) => Some(self.not_in_effect(at)),
        }
    }

    /// Accepted, but a login is refused: soon tried again, and sent again once a late effect is ruled out.
    fn not_in_effect(&self, tried: Mono) -> Plan {
        let again = tried + self.pause_after_refusals();
        let late = self.staged.attempts.last.map(|last| last + self.timings.t_live);
        let mut plan = if self.now < again {
            let mut plan = Plan::waiting(self.observed, Reason::NotInEffect, NOT_IN_EFFECT.to_string());
            plan.again = Some(again - self.now);
            plan
        } else if late.is_some_and(|late| self.now < late) {
            self.step(Step::Verify(self.staged.entry.id))
        } else {
            self.send_again()
        };
        plan.report.verified = Verified::No(NOT_IN_EFFECT.to_string());
        plan
    }

    /// A login that is refused is tried again soon, and then less and less often.
    fn pause_after_refusals(&self) -> Duration {
        let doublings = self.staged.attempts.login_refusals.saturating_sub(1).min(16);
        let pause = self.timings.read_lag.saturating_mul(1 << doublings);
        pause.min(LONGEST_BETWEEN_LOGINS.max(self.timings.read_lag))
    }

    /// What was made is not made again, but given its password again: a creation would find that it exists.
    fn send_again(&self) -> Plan {
        if self.staged.entry.kind != Kind::Create {
            return self.send_to_the_same();
        }
        let observation =
            read_age::observation_to_send_on(self.observed, self.staged, self.now, self.timings);
        match observation.map(|observation| (&observation.user, observation.proves_absence)) {
            Some((Some(user), _)) if self.is_not_what_was_made(user) => self.drop_when_quiet(),
            Some((Some(_), _)) => self.take_on(),
            Some((None, true)) => self.send(),
            Some((None, false)) | None => self.look_again(Step::Read),
        }
    }

    fn is_not_what_was_made(&self, user: &RemoteUser) -> bool {
        was_made_anew(user, self.staged) || user.protected || speaks_against(user, self.staged, self.server)
    }

    fn verified(&self) -> Verified {
        match read_age::login(self.staged) {
            Login::Accepted => Verified::Yes,
            Login::Unverifiable(why) => Verified::Unknown(why),
            Login::NotTried | Login::Refused(_) => Verified::Unknown(self.not_tried()),
        }
    }

    fn not_tried(&self) -> String {
        let why = self.server.unverifiable.clone();
        why.unwrap_or_else(|| "no login was tried".to_string())
    }

    /// R8: settled only once it is published and recorded, and (R6) a late enough read has been made.
    pub fn settle_when_quiet(&self) -> Plan {
        let Some(observation) =
            read_age::settled_observation(self.observed, self.server, self.now, self.timings)
        else {
            return self.wait_for_list();
        };
        if let (Some(user), Some(record)) = (&observation.user, &self.observed.record)
            && let Some(seen) = self.record_as_seen(user, record)
        {
            let mut plan = self.published_and_waiting();
            plan.report.record = Some(seen);
            return plan;
        }
        self.settle_now()
    }

    /// The record, if the read that settles says more than it, or something else: the last of our own requests may
    /// have been one without an answer.
    fn record_as_seen(&self, user: &RemoteUser, record: &Record) -> Option<Record> {
        if is_another_incarnation(self.observed, self.server, record, user) {
            return None;
        }
        let mut seen = record.clone();
        if user.modified.is_some() {
            (seen.created, seen.last_set) = (user.created, user.modified);
        }
        if let Some(stamp) = &user.traits.password_stamp
            && self.staged.entry.password.is_some()
        {
            seen.password_stamp = Some(stamp.clone());
        }
        (seen != *record).then_some(seen)
    }

    /// What is published needs no hurry: the reads that settle many entries are shared.
    fn wait_for_list(&self) -> Plan {
        let mut plan = self.published_and_waiting();
        match read_age::quiet(self.observed, self.server, self.now, self.timings) {
            Quiet::From(from) if self.now < from => plan.again = Some(from - self.now),
            _ if self.server.trouble.is_some() => {}
            Quiet::From(_) => plan.step = Some(Step::List),
            Quiet::AfterPoll => plan.step = Some(Step::PollCluster),
        }
        plan
    }

    fn published_and_waiting(&self) -> Plan {
        let mut plan = match is_published(self.observed) {
            true => Plan::ready(),
            false => self.step_none(),
        };
        plan.again = Some(self.timings.read_lag);
        plan
    }
}
