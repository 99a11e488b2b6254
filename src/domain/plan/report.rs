//! How plans are reported: `Ready` as docs/postgresuser.md defines it, and what goes on beside it.

use std::time::Duration;

use super::blocked::Blocked;
use super::read_age::{self, Quiet};
use super::types::*;
use crate::api::Reason;
use crate::domain::alternation::Part;
use crate::domain::journal::Cause;
use crate::domain::remote::ClusterState;
use crate::domain::schedule::Class;
use crate::domain::time::Mono;
use crate::domain::timings::ProtocolTimings;

/// How soon to look again at something that ought to end by itself and announces its end: a safety net.
const SAFETY_NET: Duration = Duration::from_secs(30);

impl Plan {
    /// Has the resource looked at again after this long at the latest.
    pub(super) fn again_by(&mut self, pause: Duration) {
        self.again = Some(self.again.map_or(pause, |again| again.min(pause)));
    }

    /// Whether the password that is published is given up for a new one, since the Secret has lost it, where another login could
    /// be published instead.
    pub fn loses_what_is_published(&self, desired: &Desired) -> bool {
        let damaged = |draft: &Draft| draft.cause == Cause::SecretDamaged;
        desired.part == Part::Published && matches!(&self.step, Some(Step::Stage(draft)) if damaged(draft))
    }

    /// Whether there is something to be done for a login now, so that the others of its resource wait.
    pub fn comes_first(&self) -> bool {
        self.step.is_some() || self.report.record.is_some()
    }

    /// Adds what is to be said of another login of the same resource, which has nothing to do now.
    pub fn add(&mut self, other: Option<Plan>) {
        let Some(other) = other else { return };
        if let Some(again) = other.again {
            self.again_by(again);
        }
        if self.report.stalled.is_none() && self.report.ready.ready {
            self.report.stalled = other.report.stalled;
        }
        if self.report.blockers.is_empty() {
            self.report.blockers = other.report.blockers;
        }
    }

    /// All is as it should be.
    pub(super) fn ready() -> Self {
        let ready = published();
        Self {
            report: Report {
                ready,
                ..Report::default()
            },
            ..Self::default()
        }
    }

    /// A step to take now.
    pub(super) fn doing(observed: &Observed, step: Step, reason: Reason) -> Self {
        let mut plan = Self::waiting(observed, reason, String::new());
        plan.step = Some(step);
        plan
    }

    /// What goes on is held up by requests about this one login that fail: it says so.
    pub(super) fn with_difficulty(mut self, difficulty: &Trouble, desired: &Desired) -> Self {
        let report = &mut self.report;
        if !report.reconciling || report.stalled.is_some() || report.lasting == Lasting::Queues {
            return self;
        }
        report.obstacle = Some(difficulty.message.clone());
        if desired.deleting {
            report.block_deletion(difficulty, &desired.principal);
        } else if !report.ready.ready {
            report.ready.reason = difficulty.reason;
            report.ready.message = difficulty.message.clone();
        }
        self
    }

    /// A write to the Kubernetes API was refused: nothing goes on before that ends. A published password that the server
    /// takes goes on working.
    pub(super) fn with_refusal(mut self, refusal: &Trouble, desired: &Desired, observed: &Observed) -> Self {
        if self.step.is_none() && !self.report.reconciling {
            return self;
        }
        let report = &mut self.report;
        report.lasting = Lasting::Rests;
        if desired.deleting {
            report.block_deletion(refusal, &desired.principal);
            return self;
        }
        report.ready = match works(observed) {
            true => published(),
            false => Readiness {
                ready: false,
                reason: refusal.reason,
                message: refusal.message.clone(),
            },
        };
        report.reconciling = false;
        report.handled_rotation = None;
        report.verified = Verified::Unchanged;
        report.stalled = Some(refusal.as_stalled());
        self
    }

    /// The output Secret is written now: what is reported is what holds once it is.
    pub(super) fn publishing(publication: Publication) -> Self {
        Self {
            step: Some(Step::Publish(publication)),
            ..Self::ready()
        }
    }

    /// Nothing to do but to wait for something that ends by itself.
    pub(super) fn waiting(observed: &Observed, reason: Reason, message: String) -> Self {
        let ready = match is_published(observed) {
            true => published(),
            false => Readiness {
                ready: false,
                reason,
                message: match message.is_empty() {
                    true => what_goes_on(observed, reason).to_string(),
                    false => message,
                },
            },
        };
        let report = Report {
            ready,
            reconciling: true,
            lasting: Lasting::Passes,
            ..Report::default()
        };
        Self {
            report,
            again: Some(SAFETY_NET),
            ..Self::default()
        }
    }

    /// A login of before is not retired yet, which takes nothing from the one that is published.
    pub(super) fn retiring(observed: &Observed) -> Self {
        match is_published(observed) {
            true => Self::ready(),
            false => Self::waiting(observed, Reason::Retiring, String::new()),
        }
    }

    /// The resource waits for its turn among others (R11).
    pub(super) fn ask_turn(observed: &Observed, class: Class, deleting: bool) -> Self {
        let mut plan = match deleting {
            true => under_way(Reason::Deleting, QUEUED.to_string(), SAFETY_NET),
            false => Self::waiting(observed, Reason::Queued, QUEUED.to_string()),
        };
        plan.step = Some(Step::AskTurn(class));
        plan.report.lasting = match class {
            // It has been under way for a while, with others between.
            Class::Unfinished => Lasting::Passes,
            _ => Lasting::Queues,
        };
        plan
    }

    /// The server is in trouble: published users stay Ready through it, others say what they wait for.
    pub(super) fn troubled(observed: &Observed, trouble: &Trouble) -> Self {
        let mut plan = Self::waiting(observed, trouble.reason, trouble.message.clone());
        if is_published(observed) {
            plan.report.reconciling = false;
        } else if trouble.stalled {
            plan.report.reconciling = false;
            plan.report.stalled = Some(trouble.as_stalled());
        }
        plan
    }

    /// A read to be made, unless the server is in trouble.
    pub(super) fn look(observed: &Observed, server: &Server, step: Step) -> Self {
        match &server.trouble {
            Some(trouble) => Self::troubled(observed, trouble),
            None => Self::doing(observed, step, Reason::Observing),
        }
    }

    /// A read to be made as soon as it is worth something (R6).
    pub(super) fn confirm(
        observed: &Observed,
        server: &Server,
        now: Mono,
        timings: &ProtocolTimings,
    ) -> Self {
        match read_age::quiet(observed, server, now, timings) {
            Quiet::From(from) if now < from => Self::until(observed, Reason::Confirming, from - now),
            Quiet::From(_) => Self::look(observed, server, Step::Read),
            Quiet::AfterPoll => Self::look(observed, server, Step::PollCluster),
        }
    }

    /// A read that shows what became of the last attempt, as soon as it can.
    pub(super) fn look_after_attempt(
        observed: &Observed,
        server: &Server,
        staged: &StagedEntry,
        now: Mono,
        step: Step,
    ) -> Self {
        match staged.attempts.last {
            Some(last) if now < last => Self::until(observed, Reason::Confirming, last - now),
            _ => Self::look(observed, server, step),
        }
    }

    /// Nothing to do before a moment has come.
    pub(super) fn until(observed: &Observed, reason: Reason, wait: Duration) -> Self {
        let mut plan = Self::waiting(observed, reason, String::new());
        plan.again = Some(wait);
        plan
    }

    /// Only a person can end this, and there is no working Secret, or it is not to be trusted.
    pub(super) fn not_ready(stalled: Stalled) -> Self {
        let ready = Readiness {
            ready: false,
            reason: stalled.reason,
            message: stalled.message.clone(),
        };
        let report = Report {
            ready,
            stalled: Some(stalled),
            ..Report::default()
        };
        Self {
            report,
            ..Self::default()
        }
    }

    /// Only a person can end this; a published Secret goes on working.
    pub(super) fn stalled(observed: &Observed, stalled: Stalled) -> Self {
        if !is_published(observed) {
            return Self::not_ready(stalled);
        }
        let ready = published();
        Self {
            report: Report {
                ready,
                stalled: Some(stalled),
                ..Report::default()
            },
            ..Self::default()
        }
    }

    /// The spec says to do nothing.
    pub(super) fn suspended(observed: &Observed) -> Self {
        let ready = Readiness {
            ready: is_published(observed),
            reason: Reason::Suspended,
            message: "spec.suspend is true: nothing is changed, deletion excepted".to_string(),
        };
        Self {
            report: Report {
                ready,
                ..Report::default()
            },
            ..Self::default()
        }
    }
}

impl Report {
    /// What holds the deletion up, and the ways out.
    fn block_deletion(&mut self, why: &Trouble, username: &str) {
        self.ready.reason = Reason::DeletionBlocked;
        self.ready.message = Blocked::from(why).with_remediation(username);
        self.blockers.clear();
    }
}

const QUEUED: &str =
    "the server's users are changed a few at a time, deletions first: this one waits for its turn";

/// What a reason says of itself, where there is nothing more to say.
fn what_goes_on(observed: &Observed, reason: Reason) -> &'static str {
    match reason {
        _ if is_impaired(observed) => IMPAIRED,
        Reason::Observing => "the server is asked what is there",
        Reason::Checking => "the output Secret is read",
        Reason::Creating => "the login is being made",
        Reason::Adopting => "the login that is there is being taken over",
        Reason::Retiring => "the login in whose place another one was published is being retired",
        Reason::SettingPassword => "the login gets another password",
        Reason::Configuring => "attributes and memberships are being set",
        Reason::Recreating => "the login was deleted on the server, and is being made again",
        Reason::Moving => "the login is being taken over by the other server object",
        Reason::Confirming => "the server is asked again once its answer is late enough to be believed",
        Reason::ClusterBusy => "the server takes no changes now: it goes on when it does",
        Reason::ServerNotReady => "the server object cannot be used yet",
        Reason::Deleting => "the login is being deleted on the server",
        _ => "a change is under way",
    }
}

const IMPAIRED: &str = "the server is not in order, by its provider's word: it goes on when it is";

fn is_impaired(observed: &Observed) -> bool {
    match &observed.server {
        ServerView::Usable(server) => server
            .state
            .is_some_and(|(state, _)| state == ClusterState::Impaired),
        ServerView::Unusable(_) => false,
    }
}

/// Whether a Secret is published whose password the remote accepted, and is still what was published.
pub(super) fn is_published(observed: &Observed) -> bool {
    let Some(published) = &observed.published else {
        return false;
    };
    match &observed.secret {
        SecretView::Absent | SecretView::Foreign(_) => false,
        SecretView::Leaving(_) => true,
        SecretView::Ours {
            content: Some(content),
            ..
        } => content.mac.as_ref() == Some(&published.mac),
        SecretView::Ours { .. } => true,
    }
}

/// Whether what is published still logs in: the server has accepted no other password since.
fn works(observed: &Observed) -> bool {
    let accepted_another = observed.entry.as_ref().is_some_and(|staged| {
        let published = observed.published.as_ref().map(|published| &published.mac);
        staged.attempts.is_accepted() && staged.mac.is_some() && staged.mac.as_ref() != published
    });
    is_published(observed) && !accepted_another
}

pub(super) fn published() -> Readiness {
    Readiness {
        ready: true,
        reason: Reason::Published,
        message: "the Secret is published and the server has accepted its password".to_string(),
    }
}

const UNSETTLED: &str = "a request of an earlier PostgresUser for this login may still take effect: this ends by itself, \
                         a few minutes after the server can be reached";

/// An earlier resource has left something on its way.
pub(super) fn unsettled(observed: &Observed) -> Plan {
    Plan::waiting(observed, Reason::Waiting, UNSETTLED.to_string())
}

/// A deletion that goes on, or waits to.
pub(super) fn under_way(reason: Reason, message: String, again: Duration) -> Plan {
    let ready = Readiness {
        ready: false,
        reason,
        message,
    };
    Plan {
        report: Report {
            ready,
            reconciling: true,
            lasting: Lasting::Passes,
            ..Report::default()
        },
        again: Some(again),
        ..Plan::default()
    }
}
