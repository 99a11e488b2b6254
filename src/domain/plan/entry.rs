//! The way of a staged password: send, weigh, take effect, verify, publish, settle.

use super::evidence::{Verdict, evidence_to_gather, speaks_against, weigh};
use super::fresh::{self, Quiet};
use super::types::*;
use crate::domain::attempts::{Login, Outcome};
use crate::domain::journal::{Cause, Kind, Seen};
use crate::domain::remote::RemoteUser;
use crate::domain::settings::{Rule, Settings};
use crate::domain::time::Mono;

/// Everything that one decision about an entry rests on.
struct Case<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    server: &'a Server,
    staged: &'a StagedEntry,
    now: Mono,
    settings: &'a Settings,
}

/// The next step for a resource that is to stay and has an entry in the journal.
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    staged: &StagedEntry,
    now: Mono,
    settings: &Settings,
) -> Plan {
    let ServerView::Usable(server) = &observed.server else {
        return Plan::waiting(observed, "ServerNotReady", String::new());
    };
    let case = Case {
        desired,
        observed,
        server,
        staged,
        now,
        settings,
    };
    if staged.entry.kind == Kind::Delete {
        // Only a resource that is being deleted stages a deletion, and deletion cannot be taken back.
        return Plan::waiting(observed, "Deleting", String::new());
    }
    if staged.attempts.in_flight {
        return Plan::waiting(observed, case.doing(), String::new());
    }
    if !settings.rules.hold(Rule::R0)
        && let Some(plan) = case.overtaken()
    {
        return plan;
    }
    match &staged.attempts.outcome {
        Some(Outcome::Accepted { user, .. }) => case.accepted(user.as_ref()),
        Some(Outcome::Refused(message)) => case.refused(message),
        Some(Outcome::Exists(message)) => case.exists(message),
        Some(Outcome::NotFound) => case.not_found(),
        None if staged.attempts.unknown => case.unknown(),
        None => case.first(),
    }
}

/// What is said of a password, or a name, that the server does not take.
pub fn rejection(message: &str) -> Stalled {
    Stalled {
        reason: "Rejected",
        message: format!(
            "the server refused the request ({message}): change spec.password, the Secret it names, or the annotation \
             {}, and it is tried again; what worked before goes on working",
            crate::api::names::ROTATE
        ),
    }
}

impl Case<'_> {
    fn doing(&self) -> &'static str {
        match self.staged.entry.kind {
            Kind::Create => "Creating",
            Kind::Adopt => "Adopting",
            Kind::SetPassword => "SettingPassword",
            Kind::Delete => "Deleting",
        }
    }

    fn step(&self, step: Step) -> Plan {
        Plan::doing(self.observed, step, self.doing())
    }

    fn settle(&self) -> Plan {
        self.step(Step::Settle(self.staged.entry.id))
    }

    /// Sends, unless the server is known not to take anything now.
    fn send(&self) -> Plan {
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
        let seen = match &self.observed.sight {
            Some(sight) => Seen {
                at: sight.date,
                created: sight.user.as_ref().and_then(|user| user.created),
                present: sight.user.is_some(),
            },
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

    /// Stored, never sent.
    fn first(&self) -> Plan {
        if self.observed.rival.is_some() {
            return self.settle();
        }
        match self.staged.entry.kind {
            Kind::Create => self.send(),
            _ => self.send_to_the_same(),
        }
    }

    /// Sent, with no answer, by this process or by an earlier leader.
    fn unknown(&self) -> Plan {
        if self.gives_a_new_password() && self.is_published() && self.is_recorded(None) {
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
            Cause::Rotation(_) | Cause::OwnPassword | Cause::SecretDamaged | Cause::Adoption
        )
    }

    /// A request that would change whatever has the name is sent only to the user that it was meant for (I3).
    fn send_to_the_same(&self) -> Plan {
        let sight = fresh::sight_to_send_on(self.observed, self.staged, self.now, self.settings);
        let Some(sight) = sight else {
            return self.look_again(Step::List);
        };
        match &sight.user {
            Some(user) if is_another(user, self.staged) => self.drop_when_quiet(),
            _ => self.send(),
        }
    }

    /// A read that shows what became of the last attempt.
    fn look_again(&self, step: Step) -> Plan {
        Plan::look_after_attempt(self.observed, self.server, self.staged, self.now, step)
    }

    fn unknown_creation(&self) -> Plan {
        let Some(sight) = fresh::sight_after_attempt(self.observed, self.staged) else {
            return self.look_again(Step::Read);
        };
        match &sight.user {
            Some(user) => self.weighed(user, sight),
            None if sight.conclusive => self.send(),
            None => self.look_again(Step::Read),
        }
    }

    /// A user is there that our request may have made.
    fn weighed(&self, user: &RemoteUser, sight: &Sight) -> Plan {
        if let Some(step) = evidence_to_gather(self.staged, self.server, self.settings) {
            return Plan::look(self.observed, self.server, step);
        }
        match weigh(user, sight, self.staged, self.server, self.settings) {
            Verdict::Ours => self.take_on(),
            Verdict::Foreign => self.drop_when_quiet(),
            Verdict::Unclaimed => Plan::not_ready(unclaimed(&user.username)),
        }
    }

    /// The user is ours: from now on it is given its password, not made.
    fn take_on(&self) -> Plan {
        let cause = self.staged.entry.cause.clone();
        self.replace(Kind::SetPassword, DraftPassword::Same, cause, true)
    }

    /// Drops the entry, once nothing of it can take effect any more.
    fn drop_when_quiet(&self) -> Plan {
        let no_unknown = fresh::unknown_until(self.staged, self.server, self.settings).is_none();
        let settled = fresh::settled_sight(self.observed, self.server, self.now, self.settings);
        if no_unknown || settled.is_some() {
            return self.settle();
        }
        Plan::confirm(self.observed, self.server, self.now, self.settings)
    }

    /// A creation was refused in words that may mean that the name is taken.
    fn exists(&self, message: &str) -> Plan {
        let Some(sight) = fresh::sight_after_attempt(self.observed, self.staged) else {
            return self.look_again(Step::Read);
        };
        match &sight.user {
            Some(_) if !self.staged.attempts.unknown => self.drop_when_quiet(),
            Some(user) => self.weighed(user, sight),
            None if sight.conclusive => self.refused(message),
            None => self.look_again(Step::Read),
        }
    }

    /// Refused for good.
    fn refused(&self, message: &str) -> Plan {
        let noted = self
            .observed
            .rejected
            .as_ref()
            .is_some_and(|rejected| rejected.wish == self.desired.wish);
        let mut plan = match noted {
            true => self.drop_when_quiet(),
            false => Plan::stalled(self.observed, rejection(message)),
        };
        if !noted {
            let rejected = Rejected {
                wish: self.desired.wish.clone(),
                message: message.to_string(),
            };
            plan.report.rejected = Some(rejected);
        }
        plan
    }

    /// The user whose password was to be set is not there.
    fn not_found(&self) -> Plan {
        let Some(sight) = fresh::sight_after_attempt(self.observed, self.staged) else {
            return self.look_again(Step::Read);
        };
        match &sight.user {
            Some(_) => self.send_to_the_same(),
            None if !sight.conclusive => self.look_again(Step::Read),
            None if self.staged.entry.kind == Kind::Adopt => self.drop_when_quiet(),
            None => self.replace(
                Kind::Create,
                DraftPassword::Same,
                self.staged.entry.cause.clone(),
                false,
            ),
        }
    }

    /// Accepted: in effect? working? published? recorded? Then settled (R7, I2, R8).
    fn accepted(&self, user: Option<&RemoteUser>) -> Plan {
        if !fresh::in_effect(self.staged, self.server, self.settings) {
            return match &self.server.trouble {
                Some(trouble) => Plan::troubled(self.observed, trouble),
                None => self.step(Step::PollCluster),
            };
        }
        let recorded = self.is_recorded(user);
        let mut plan = match (self.is_published(), recorded) {
            (true, true) => self.settle_when_quiet(),
            (true, false) => self.step_none(),
            (false, _) => self.publish(),
        };
        let verifying = matches!(plan.step, Some(Step::Verify(_)));
        if plan.report.record.is_none() && !recorded && !verifying {
            plan.report.record = Some(self.record(user));
        }
        plan
    }

    fn step_none(&self) -> Plan {
        Plan::waiting(self.observed, self.doing(), String::new())
    }

    fn is_published(&self) -> bool {
        let secret = match &self.observed.secret {
            SecretView::Ours { resource_version, .. } => resource_version,
            SecretView::Absent | SecretView::Foreign(_) => return false,
        };
        if !self.settings.rules.hold(Rule::R8) {
            return true;
        }
        self.observed.published.as_ref().is_some_and(|published| {
            Some(&published.mac) == self.staged.mac.as_ref() && published.resource_version == *secret
        })
    }

    fn is_recorded(&self, user: Option<&RemoteUser>) -> bool {
        let handled = match &self.staged.entry.cause {
            Cause::Rotation(value) => self.observed.handled_rotation.as_ref() == Some(value),
            _ => true,
        };
        let owned = self.observed.record.as_ref().is_some_and(|record| {
            record.identity == self.server.identity && !self.is_of_an_earlier(record, user)
        });
        (handled && owned) || !self.settings.rules.hold(Rule::R8)
    }

    /// Whether the record speaks of a user that is gone, in whose place this entry made or took another one.
    fn is_of_an_earlier(&self, record: &Record, user: Option<&RemoteUser>) -> bool {
        let entry = &self.staged.entry;
        user.and_then(|user| user.created).is_some_and(|created| {
            let meant = entry.kind == Kind::Create || entry.seen.created == Some(created);
            meant && record.created != Some(created)
        })
    }

    fn record(&self, user: Option<&RemoteUser>) -> Record {
        let earlier = self.observed.record.as_ref();
        Record {
            identity: self.server.identity.clone(),
            adopted: match self.staged.entry.kind {
                Kind::Adopt => true,
                Kind::Create => false,
                _ => earlier.is_some_and(|record| record.adopted),
            },
            created: user
                .and_then(|user| user.created)
                .or_else(|| earlier.and_then(|record| record.created)),
            last_set: user
                .and_then(|user| user.modified)
                .or_else(|| earlier.and_then(|record| record.last_set)),
        }
    }

    /// I2: logged in with it, where that can be done, then written in one go.
    fn publish(&self) -> Plan {
        if self.server.verifiable
            && let Some(plan) = self.verify()
        {
            return plan;
        }
        let precondition = match &self.observed.secret {
            SecretView::Foreign(whose) => return Plan::not_ready(super::present::secret_conflict(whose)),
            _ if !self.settings.rules.hold(Rule::R2) => Precondition::Nothing,
            SecretView::Absent => Precondition::Absent,
            SecretView::Ours { resource_version, .. } => Precondition::At(resource_version.clone()),
        };
        let mut plan = self.step(Step::Publish(Publication {
            entry: Some(self.staged.entry.id),
            precondition,
        }));
        plan.report.verified = self.verified();
        if let Cause::Rotation(value) = &self.staged.entry.cause {
            plan.report.handled_rotation = Some(value.clone());
        }
        plan
    }

    fn verify(&self) -> Option<Plan> {
        match fresh::login(self.staged) {
            Login::NotTried => Some(self.step(Step::Verify(self.staged.entry.id))),
            Login::Accepted | Login::Unverifiable(_) => None,
            Login::Refused(at) => Some(self.not_in_effect(at)),
        }
    }

    /// Accepted, but a login is refused: soon tried again, and sent again once a late effect is ruled out.
    fn not_in_effect(&self, tried: Mono) -> Plan {
        let again = tried + self.settings.read_lag;
        let late = self.staged.attempts.last.map(|last| last + self.settings.t_live);
        let mut plan = if self.now < again {
            let mut plan = Plan::waiting(self.observed, "NotInEffect", NOT_IN_EFFECT.to_string());
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

    /// What was made is not made again, but given its password again: a creation would find that it exists.
    fn send_again(&self) -> Plan {
        if self.staged.entry.kind != Kind::Create {
            return self.send_to_the_same();
        }
        let sight = fresh::sight_to_send_on(self.observed, self.staged, self.now, self.settings);
        match sight.map(|sight| (&sight.user, sight.conclusive)) {
            Some((Some(user), _)) if self.is_not_what_was_made(user) => self.drop_when_quiet(),
            Some((Some(_), _)) => self.take_on(),
            Some((None, true)) => self.send(),
            Some((None, false)) | None => self.look_again(Step::Read),
        }
    }

    fn is_not_what_was_made(&self, user: &RemoteUser) -> bool {
        let made = match &self.staged.attempts.outcome {
            Some(Outcome::Accepted { user: Some(made), .. }) => made.created,
            _ => None,
        };
        let other_date = matches!((made, user.created), (Some(made), Some(found)) if made != found);
        other_date || user.protected || speaks_against(user, self.server)
    }

    fn verified(&self) -> Verified {
        match fresh::login(self.staged) {
            Login::Accepted => Verified::Yes,
            Login::Unverifiable(why) => Verified::Unknown(why),
            Login::NotTried | Login::Refused(_) => {
                Verified::Unknown("the server cannot be reached for a login from here".to_string())
            }
        }
    }

    /// R8: settled only once it is published and recorded, and (R6) a late enough read has been made.
    fn settle_when_quiet(&self) -> Plan {
        let Some(sight) = fresh::settled_sight(self.observed, self.server, self.now, self.settings) else {
            return self.wait_for_list();
        };
        if let (Some(user), Some(record)) = (&sight.user, &self.observed.record)
            && (user.created, user.modified) != (record.created, record.last_set)
            && !super::present::is_another_incarnation(record, user)
            && user.modified.is_some()
        {
            let mut plan = self.published_and_waiting();
            plan.report.record = Some(Record {
                created: user.created,
                last_set: user.modified,
                ..record.clone()
            });
            return plan;
        }
        let mut plan = self.published_and_waiting();
        plan.step = Some(Step::Settle(self.staged.entry.id));
        plan
    }

    /// What is published needs no hurry: the reads that settle many entries are shared.
    fn wait_for_list(&self) -> Plan {
        let mut plan = self.published_and_waiting();
        match fresh::quiet(self.observed, self.server, self.now, self.settings) {
            Quiet::From(from) if self.now < from => plan.again = Some(from - self.now),
            _ if self.server.trouble.is_some() => {}
            Quiet::From(_) => plan.step = Some(Step::List),
            Quiet::AfterPoll => plan.step = Some(Step::PollCluster),
        }
        plan
    }

    fn published_and_waiting(&self) -> Plan {
        let mut plan = Plan::ready();
        plan.again = Some(self.settings.read_lag);
        plan
    }
}

/// Whether the remote says that this is not the user that the entry was decided for.
pub fn is_another(user: &RemoteUser, staged: &StagedEntry) -> bool {
    let other_date = matches!(
        (staged.entry.seen.created, user.created),
        (Some(then), Some(now)) if then != now
    );
    other_date || user.protected
}

const NOT_IN_EFFECT: &str = "the server accepted the password, but a login with it is refused: it is sent again until it takes effect";

fn unclaimed(username: &str) -> Stalled {
    Stalled {
        reason: "Unclaimed",
        message: format!(
            "a creation of the login {username:?} had no answer, and a login of that name exists: nothing tells whether \
             it is this object's. If it is somebody else's, delete this object with deletionPolicy: Retain; if it is \
             not, delete the login on the server and it is made again"
        ),
    }
}
