//! A resource that is being deleted: it always ends, and says what it waits for.

use std::time::Duration;

use super::blocked::Blocked;
use super::ownership::{
    Verdict, evidence_to_gather, is_another, is_another_incarnation, may_be_adopted, renamed, was_made_anew,
    weigh,
};
use super::read_age::{self, Quiet};
use super::report::{under_way, unsettled};
use super::types::*;
use crate::api::{DeletionBlocker, Reason};
use crate::domain::attempts::Outcome;
use crate::domain::journal::{Cause, Kind, Seen};
use crate::domain::remote::RemoteUser;
use crate::domain::role::RoleSettings;
use crate::domain::schedule::Class;
use crate::domain::time::Mono;
use crate::domain::timings::{ProtocolTimings, Rule};

/// How long to wait before a deletion that was refused is tried again.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);

/// Everything that one decision about a deletion rests on.
struct Case<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    now: Mono,
    timings: &'a ProtocolTimings,
}

/// Whether this is a deletion that the remote has accepted, or says to have been done.
pub(super) fn is_accepted_deletion(staged: &StagedEntry) -> bool {
    let done = matches!(
        staged.attempts.outcome,
        Some(Outcome::Accepted { .. } | Outcome::NotFound)
    );
    done && staged.entry.kind == Kind::Delete
}

/// Whether this gives back what a deletion has taken from a login that is to stay after all.
pub(super) fn gives_login_back(staged: &StagedEntry) -> bool {
    staged.entry.kind == Kind::Configure && staged.entry.cause == Cause::Deletion
}

/// The next step for a resource that is being deleted.
pub fn plan(desired: &Desired, observed: &Observed, now: Mono, timings: &ProtocolTimings) -> Plan {
    match (observed.finalizer, desired.deleting) {
        (true, _) => {}
        (false, true) => return Plan::default(),
        // It is put back first.
        (false, false) => return Plan::waiting(observed, Reason::Waiting, String::new()),
    }
    let case = Case {
        desired,
        observed,
        now,
        timings,
    };
    if desired.force_finalize && desired.deleting {
        return case.let_go(ReleaseReason::Forced);
    }
    if !desired.deleting && observed.predecessor != Predecessor::None {
        return unsettled(observed);
    }
    match &observed.server {
        // Only a login of before goes, and its resource stays.
        ServerView::Unusable(why) if !desired.deleting => Plan::troubled(observed, &why.as_trouble()),
        ServerView::Usable(server) if !desired.deleting && server.gone => {
            Plan::waiting(observed, Reason::Waiting, String::new())
        }
        ServerView::Unusable(why) => case.without_server(why),
        ServerView::Usable(server) if server.gone => case.let_go(ReleaseReason::ClusterGone),
        ServerView::Usable(server) => match &observed.entry {
            Some(staged) => case.with_entry(staged, server),
            None => case.without_entry(server),
        },
    }
}

/// What becomes of the login while the object is let go.
fn of_release(release: ReleaseReason) -> &'static str {
    match release {
        ReleaseReason::NeverOwned => "this object is being let go: no login was made for it",
        ReleaseReason::Deleted => "this object is being let go: the login is gone from the server",
        ReleaseReason::Retained => "this object is being let go: the login stays on the server",
        ReleaseReason::ClusterGone => {
            "this object is being let go: the remote cluster is gone, and the login with it"
        }
        ReleaseReason::Forced => {
            "this object is being let go without asking the server: the login may still be there"
        }
        ReleaseReason::NotOurs => {
            "this object is being let go: the login on the server is not its own any more, and stays"
        }
    }
}

impl Case<'_> {
    fn doing(&self, step: Step) -> Plan {
        let message = match self.is_kept() && !self.may_be_deleted() {
            true => of_release(ReleaseReason::Retained),
            false => "the login is being deleted on the server",
        };
        self.saying(message, step)
    }

    fn saying(&self, message: &str, step: Step) -> Plan {
        let mut plan = self.waiting(message.to_string());
        plan.step = Some(step);
        plan
    }

    fn waiting(&self, message: String) -> Plan {
        under_way(Reason::Deleting, message, Duration::from_secs(30))
    }

    fn blocked(&self, why: impl Into<Blocked>) -> Plan {
        let why = why.into();
        let message = match self.desired.deleting {
            true => why.with_remediation(&self.desired.principal),
            false => why.to_string(),
        };
        under_way(Reason::DeletionBlocked, message, REFUSED_AGAIN)
    }

    /// Takes what is staged out of the journal, makes a retained Secret independent, and lets go.
    fn let_go(&self, release: ReleaseReason) -> Plan {
        match &self.observed.entry {
            Some(staged) => self.saying(of_release(release), Step::Settle(staged.entry.id)),
            None => self.say_release(release),
        }
    }

    fn say_release(&self, release: ReleaseReason) -> Plan {
        let is_over = matches!(release, ReleaseReason::Deleted | ReleaseReason::NotOurs);
        if !self.desired.deleting || (self.desired.has_others && is_over) {
            return self.saying("one of this object's logins is gone", Step::Forget(release));
        }
        let kept = matches!(release, ReleaseReason::Retained | ReleaseReason::Forced);
        if let SecretView::Ours {
            resource_version,
            owned: true,
            ..
        } = &self.observed.secret
            && kept
            && self.may_keep()
        {
            let step = Step::ReleaseSecret {
                resource_version: resource_version.clone(),
            };
            return self.saying(of_release(release), step);
        }
        self.saying(of_release(release), Step::RemoveFinalizer(release))
    }

    /// The spec asks for login and Secret to stay when the resource goes.
    fn may_keep(&self) -> bool {
        self.desired.retain && self.desired.deleting
    }

    /// Whether the login and its Secret are to be kept: only what was published is worth keeping.
    fn retains(&self) -> bool {
        self.may_keep() && self.observed.published.is_some()
    }

    /// The server object is not there, or cannot be used at all.
    fn without_server(&self, why: &Unusable) -> Plan {
        let entry = self.observed.entry.as_ref();
        if !self.is_recorded() && entry.is_none_or(|staged| staged.attempts.never_sent()) {
            return self.let_go(ReleaseReason::NeverOwned);
        }
        if self.is_kept() {
            return self.let_go(ReleaseReason::Retained);
        }
        self.blocked(why)
    }

    /// Something was made for the resource, and is on record.
    fn is_recorded(&self) -> bool {
        self.observed.record.is_some()
    }

    /// The login may be left as it is. Of one that is not on record nobody would know any more.
    fn is_kept(&self) -> bool {
        self.may_keep() && self.is_recorded()
    }

    /// A deletion was done, or nobody knows whether it was.
    fn may_be_deleted(&self) -> bool {
        self.observed.entry.as_ref().is_some_and(|staged| {
            let unknown = staged.entry.kind == Kind::Delete && staged.attempts.unknown;
            unknown || is_accepted_deletion(staged)
        })
    }

    fn is_strangers(&self, server: &Server) -> bool {
        let (Some(claim), Some(own)) = (&self.observed.claim, &self.observed.own_claim) else {
            return false;
        };
        claim.installation != own.installation && server.take_over_from.as_ref() != Some(&claim.installation)
    }

    /// Nothing is on its way.
    fn without_entry(&self, server: &Server) -> Plan {
        let Some(record) = &self.observed.record else {
            return self.let_go(ReleaseReason::NeverOwned);
        };
        if self.may_keep() {
            return self.let_go(ReleaseReason::Retained);
        }
        if self.is_strangers(server) || self.observed.rival.is_some() {
            return self.let_go(ReleaseReason::NotOurs);
        }
        if record.identity != server.identity {
            return self.blocked(Blocked {
                reason: Reason::RemoteChanged,
                detail: format!(
                    "the login is on {}, which the server object does not name any more",
                    record.identity
                ),
            });
        }
        if let Some(to) = &self.observed.renamed {
            // It would go on logging in, and nobody would know whose it is.
            let gone_as = renamed(to, &self.desired.username);
            return self.blocked(&gone_as);
        }
        if read_age::surely_absent(self.observed, server, self.now, self.timings) {
            return self.let_go(ReleaseReason::Deleted);
        }
        if let Some(trouble) = &server.trouble {
            return self.blocked(trouble);
        }
        // Whatever the look shows leads to a request or to a wait: it is made once there is a turn for it.
        let nothing_to_do_yet = self
            .look_just_now()
            .is_some_and(|observation| observation.user.is_none())
            && matches!(read_age::quiet(self.observed, server, self.now, self.timings),
                Quiet::From(from) if self.now < from);
        if !self.observed.turn && !nothing_to_do_yet && self.timings.rules.hold(Rule::R11) {
            let class = match self.desired.deleting {
                true => Class::Deletion,
                false => Class::Periodic,
            };
            return Plan::ask_turn(self.observed, class, self.desired.deleting);
        }
        match self.look_just_now() {
            None => self.look(server),
            Some(Observation { user: None, .. }) => self.confirm(server),
            Some(observation @ Observation { user: Some(user), .. }) => {
                self.stage_deletion(server, record, user, observation)
            }
        }
    }

    /// A look at the login from just before: somebody may have made it again since the last list.
    fn look_just_now(&self) -> Option<&Observation> {
        let observation = self.observed.observation.as_ref()?;
        (self.now - observation.started <= read_age::just_now(self.timings)).then_some(observation)
    }

    fn look(&self, server: &Server) -> Plan {
        match &server.trouble {
            Some(trouble) => self.blocked(trouble),
            None if server.capabilities.direct_read => self.doing(Step::Read),
            None => self.doing(Step::List),
        }
    }

    fn stage_deletion(
        &self,
        server: &Server,
        record: &Record,
        user: &RemoteUser,
        observation: &Observation,
    ) -> Plan {
        if user.protected || is_another_incarnation(self.observed, server, record, user) {
            return self.let_go(ReleaseReason::NotOurs);
        }
        self.doing(Step::Stage(Draft::deletion(None, observation.as_seen())))
    }

    /// A read, as soon as it is worth something (R6).
    fn confirm(&self, server: &Server) -> Plan {
        let quiet = read_age::quiet(self.observed, server, self.now, self.timings);
        if let Quiet::From(from) = quiet
            && self.now < from
        {
            let mut plan = self.waiting("waiting until the deletion can be confirmed".to_string());
            plan.again = Some(from - self.now);
            return plan;
        }
        match (&server.trouble, quiet) {
            (Some(trouble), _) => self.blocked(trouble),
            (None, Quiet::From(_)) => self.doing(Step::Read),
            (None, Quiet::AfterPoll) => self.poll(),
        }
    }

    /// The cluster is to be seen AVAILABLE first; where that takes long, the ways out are named.
    fn poll(&self) -> Plan {
        let mut plan = self.blocked(Blocked {
            reason: Reason::ClusterBusy,
            detail: "the server has not been seen to be available since the last change, which may not be in effect yet"
                .to_string(),
        });
        plan.step = Some(Step::PollCluster);
        plan
    }

    fn with_entry(&self, staged: &StagedEntry, server: &Server) -> Plan {
        if staged.attempts.in_flight {
            return self.waiting("a request is under way".to_string());
        }
        match staged.entry.kind {
            Kind::Delete => self.deletion(staged, server),
            _ if self.is_kept() && gives_login_back(staged) => self.give_login_back(staged, server),
            _ => self.unfinished(staged, server),
        }
    }

    /// A deletion is staged.
    fn deletion(&self, staged: &StagedEntry, server: &Server) -> Plan {
        let done = is_accepted_deletion(staged);
        if done && server.capabilities.marks && staged.attempts.outcome == Some(Outcome::NotFound) {
            // There is none, or one that is somebody else's by now: that is another reason.
            match read_age::observation_after_attempt(self.observed, staged)
                .map(|observation| &observation.user)
            {
                None => return self.doing(Step::Read),
                Some(Some(user)) if self.is_another(user, staged, server) => {
                    return self.drop_when_quiet(staged, server);
                }
                Some(_) => {}
            }
        }
        if done && staged.attempts.is_definite() && !self.desired.has_others {
            // Nothing of it can still arrive. Its entry stays until a list, shared by all, shows the absence (`gone`).
            return self.say_release(ReleaseReason::Deleted);
        }
        if self.is_kept() && !done && (server.capabilities.marks || !staged.attempts.unknown) {
            return self.keep(staged, server);
        }
        if read_age::surely_absent(self.observed, server, self.now, self.timings) {
            return self.doing(Step::Settle(staged.entry.id));
        }
        if let Some(trouble) = &server.trouble {
            if self.is_kept() {
                return self.doing(Step::Settle(staged.entry.id));
            }
            return self.blocked(trouble);
        }
        match &staged.attempts.outcome {
            Some(Outcome::Accepted { .. } | Outcome::NotFound) => self.confirm_deletion(staged, server),
            Some(Outcome::Refused { message, blockers }) => self.refused(staged, server, message, blockers),
            Some(Outcome::Exists(message)) => self.refused(staged, server, message, &[]),
            None => self.send_to_the_same(staged, server),
        }
    }

    /// The login stays after all. By SQL a deletion has several steps, of which the first takes LOGIN away: where it was sent,
    /// it is found out whether the login has that still.
    fn keep(&self, staged: &StagedEntry, server: &Server) -> Plan {
        let settle = Step::Settle(staged.entry.id);
        if staged.attempts.never_sent() || server.trouble.is_some() || !server.capabilities.marks {
            return self.doing(settle);
        }
        let observation = match staged.attempts.unknown {
            true => read_age::settled_observation(self.observed, server, self.now, self.timings),
            false => read_age::observation_after_attempt(self.observed, staged),
        };
        let Some(observation) = observation else {
            return self.confirm(server);
        };
        match &observation.user {
            None if !observation.proves_absence => self.confirm(server),
            Some(user) if user.lacks_login() && !self.is_another(user, staged, server) => {
                self.doing(Step::Stage(Draft {
                    replaces: Some(staged.entry.id),
                    kind: Kind::Configure,
                    cause: Cause::Deletion,
                    password: DraftPassword::None,
                    seen: observation.as_seen(),
                    proven_ours: true,
                }))
            }
            _ => self.doing(settle),
        }
    }

    /// What a deletion that did not come to its end has taken is given back before the object is let go.
    fn give_login_back(&self, staged: &StagedEntry, server: &Server) -> Plan {
        let is_answered = staged.attempts.outcome.is_some();
        let is_gone = || read_age::surely_absent(self.observed, server, self.now, self.timings);
        match is_answered || server.trouble.is_some() || is_gone() {
            true => self.doing(Step::Settle(staged.entry.id)),
            false => self.send_to_the_same(staged, server),
        }
    }

    /// A deletion is sent only to the user that it was meant for: the last look is fresh, and later than the last
    /// attempt, which may have done it (I3).
    fn send_to_the_same(&self, staged: &StagedEntry, server: &Server) -> Plan {
        if let Some(wait) = staged.attempts.last.filter(|last| self.now < *last) {
            let mut plan = self.waiting("a request of an earlier process may be under way".to_string());
            plan.again = Some(wait - self.now);
            return plan;
        }
        let observation = read_age::observation_to_send_on(self.observed, staged, self.now, self.timings);
        let observation = observation.filter(|_| self.look_just_now().is_some());
        match observation.map(|observation| &observation.user) {
            None => self.doing(Step::Read),
            Some(None) => self.confirm(server),
            Some(Some(user)) if self.is_another(user, staged, server) => self.drop_when_quiet(staged, server),
            Some(Some(_)) => self.doing(Step::Send(staged.entry.id)),
        }
    }

    /// Whether this is not the user that the entry is for.
    fn is_another(&self, user: &RemoteUser, staged: &StagedEntry, server: &Server) -> bool {
        is_another(
            user,
            staged,
            server,
            may_be_adopted(staged, self.observed, server),
        )
    }

    /// Drops the entry, once nothing of it can take effect any more.
    fn drop_when_quiet(&self, staged: &StagedEntry, server: &Server) -> Plan {
        match read_age::settled_observation(self.observed, server, self.now, self.timings) {
            Some(_) => self.doing(Step::Settle(staged.entry.id)),
            None => self.confirm(server),
        }
    }

    fn refused(
        &self,
        staged: &StagedEntry,
        server: &Server,
        message: &str,
        blockers: &[DeletionBlocker],
    ) -> Plan {
        let reassign_to = |settings: &RoleSettings| settings.reassign_owned_to.clone();
        if reassign_to(&staged.entry.settings) != reassign_to(&self.desired.settings)
            && !staged.attempts.unknown
        {
            return self.replace_by_deletion(staged);
        }
        if staged
            .attempts
            .last
            .is_none_or(|last| self.now - last >= REFUSED_AGAIN)
        {
            return self.send_to_the_same(staged, server);
        }
        let mut plan = self.blocked(Blocked {
            reason: Reason::Rejected,
            detail: format!("the server refused the deletion ({message})"),
        });
        plan.report.blockers = blockers.to_vec();
        plan
    }

    /// Deleted, by the remote's word; some show the user for a while longer.
    fn confirm_deletion(&self, staged: &StagedEntry, server: &Server) -> Plan {
        let settled = read_age::settled_observation(self.observed, server, self.now, self.timings);
        let Some(Observation { user: Some(user), .. }) = settled else {
            return self.confirm(server);
        };
        if self.is_another(user, staged, server) {
            return self.doing(Step::Settle(staged.entry.id));
        }
        let sent_again = staged
            .attempts
            .last
            .is_none_or(|last| self.now - last > self.timings.t_live);
        if sent_again {
            return self.send_to_the_same(staged, server);
        }
        let mut plan = self.waiting("the server still shows the login".to_string());
        plan.again = Some(self.timings.read_lag);
        let recent = self
            .observed
            .observation
            .as_ref()
            .is_some_and(|observation| self.now - observation.started < self.timings.read_lag);
        plan.step = (!recent).then_some(Step::Read);
        plan
    }

    /// A creation, adoption or password change is under way.
    fn unfinished(&self, staged: &StagedEntry, server: &Server) -> Plan {
        let settle = Step::Settle(staged.entry.id);
        if staged.attempts.never_sent() {
            return self.doing(settle);
        }
        if self.retains() {
            return self.finish_first(staged, server);
        }
        let accepted = matches!(staged.attempts.outcome, Some(Outcome::Accepted { .. }));
        // A creation that was sent twice could arrive once more after the deletion: first none may be left.
        if accepted && !staged.attempts.unknown {
            return match read_age::in_effect(staged, server, self.timings) {
                true => self.replace_by_deletion(staged),
                false => self.confirm_by_poll(server),
            };
        }
        if !staged.attempts.unknown {
            return self.doing(settle);
        }
        let settled = read_age::settled_observation(self.observed, server, self.now, self.timings);
        let Some(observation) = settled else {
            return self.confirm(server);
        };
        match &observation.user {
            None if observation.proves_absence => self.doing(settle),
            None => self.confirm(server),
            Some(user) if accepted && !was_made_anew(user, staged) => self.replace_by_deletion(staged),
            Some(_) if staged.entry.kind == Kind::Adopt => self.doing(settle),
            Some(user) if staged.entry.kind == Kind::Create => {
                self.weighed(user, observation, staged, server)
            }
            Some(user) if self.is_another(user, staged, server) => self.doing(settle),
            Some(_) => self.replace_by_deletion(staged),
        }
    }

    /// A user is there that a creation without an answer may have made.
    fn weighed(
        &self,
        user: &RemoteUser,
        observation: &Observation,
        staged: &StagedEntry,
        server: &Server,
    ) -> Plan {
        match evidence_to_gather(observation, staged, server, self.timings) {
            Some(step) => self.doing(step),
            None => match weigh(
                user,
                observation,
                staged,
                self.observed.record.as_ref(),
                server,
                self.timings,
            ) {
                Verdict::Ours => self.replace_by_deletion(staged),
                Verdict::Foreign => self.doing(Step::Settle(staged.entry.id)),
                Verdict::Unclaimed if self.is_kept() => self.doing(Step::Settle(staged.entry.id)),
                Verdict::Unclaimed => self.blocked(Blocked {
                    reason: Reason::Unclaimed,
                    detail: "a creation had no answer, a login of that name exists, and nothing tells whether it is this \
                             object's"
                        .to_string(),
                }),
            },
        }
    }

    fn confirm_by_poll(&self, server: &Server) -> Plan {
        match &server.trouble {
            Some(trouble) => self.blocked(trouble),
            None => self.poll(),
        }
    }

    /// A retained login keeps a Secret that works: what is under way is finished, where that can be done.
    fn finish_first(&self, staged: &StagedEntry, server: &Server) -> Plan {
        if server.trouble.is_some() {
            return self.doing(Step::Settle(staged.entry.id));
        }
        if staged.entry.kind == Kind::Create {
            // What may still arrive would make the user anew, should it be deleted after all.
            return match staged.attempts.unknown {
                true => self.drop_when_quiet(staged, server),
                false => self.doing(Step::Settle(staged.entry.id)),
            };
        }
        super::entry::plan(self.desired, self.observed, staged, self.now, self.timings)
    }

    fn replace_by_deletion(&self, staged: &StagedEntry) -> Plan {
        let observation = self.observed.observation.as_ref();
        let made = match &staged.attempts.outcome {
            Some(Outcome::Accepted { user, .. }) => user.as_ref(),
            _ => None,
        };
        // What the answer said is later than any list; a read of before it may show another user, or none.
        let user = made.or(observation.and_then(|observation| observation.user.as_ref()));
        let seen = Seen {
            at: observation.and_then(|observation| observation.date),
            created: user.and_then(|user| user.created),
            present: true,
            mark: None,
        };
        self.doing(Step::Stage(Draft::deletion(Some(staged.entry.id), seen)))
    }
}
