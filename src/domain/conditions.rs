//! Conditions: what is found, turned into `status.conditions` without moving what has not changed.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::plan::{Report, Verified};
use super::time::whole_seconds;
use crate::api::Reason;

/// The condition that says whether what the spec asks for is there.
pub const READY: &str = "Ready";
/// The condition, present only while true, that something goes on which will end by itself.
pub const RECONCILING: &str = "Reconciling";
/// The condition, present only while true, that a person must act.
pub const STALLED: &str = "Stalled";
/// The condition that says whether the Secret's content was seen to log in.
pub const CREDENTIALS_VERIFIED: &str = "CredentialsVerified";

/// The most characters that a message has.
const LONGEST_MESSAGE: usize = 1024;

/// A condition's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Status {
    True,
    False,
    Unknown,
}

impl Status {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::True => "True",
            Status::False => "False",
            Status::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Status {
    fn from(value: bool) -> Self {
        if value { Status::True } else { Status::False }
    }
}

/// What was found about one condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// The condition's type.
    pub type_: &'static str,
    /// Its status.
    pub status: Status,
    /// Its reason, in CamelCase and not empty.
    pub reason: Reason,
    /// Its message; cut and escaped when it becomes a condition.
    pub message: String,
}

/// What becomes of a condition type of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ConditionChange {
    /// It is this.
    Set(Finding),
    /// It stays as it is, if it is there.
    Keep(&'static str),
    /// It goes, if it is there.
    Remove(&'static str),
}

impl ConditionChange {
    fn type_(&self) -> &'static str {
        match self {
            ConditionChange::Set(finding) => finding.type_,
            ConditionChange::Keep(type_) | ConditionChange::Remove(type_) => type_,
        }
    }

    /// A condition that is there only while it is true.
    pub fn while_true(type_: &'static str, found: Option<(Reason, String)>) -> Self {
        match found {
            None => ConditionChange::Remove(type_),
            Some((reason, message)) => ConditionChange::Set(Finding {
                type_,
                status: Status::True,
                reason,
                message,
            }),
        }
    }
}

/// The conditions of a PostgresUser after a plan's report. Equal to `old` if nothing has changed.
pub fn apply(old: &[Condition], report: &Report, generation: i64, now: Timestamp) -> Vec<Condition> {
    let stalled = report.stalled.as_ref();
    let changes = [
        ConditionChange::Set(Finding {
            type_: READY,
            status: report.ready.ready.into(),
            reason: report.ready.reason,
            message: report.ready.message.clone(),
        }),
        verified(&report.verified),
        ConditionChange::while_true(RECONCILING, report.reconciling.then(|| reconciling(report))),
        ConditionChange::while_true(STALLED, stalled.map(|it| (it.reason, it.message.clone()))),
    ];
    merge(old, &changes, generation, now)
}

fn reconciling(report: &Report) -> (Reason, String) {
    match report.ready.ready {
        true => {
            let obstacle = report.obstacle.clone();
            (
                Reason::Progressing,
                obstacle.unwrap_or_else(|| "a change is under way".to_string()),
            )
        }
        false => (report.ready.reason, report.ready.message.clone()),
    }
}

fn verified(verified: &Verified) -> ConditionChange {
    let (status, reason, message) = match verified {
        Verified::Unchanged => return ConditionChange::Keep(CREDENTIALS_VERIFIED),
        Verified::Yes => (
            Status::True,
            Reason::LoginSucceeded,
            "a login with the Secret's content has worked".to_string(),
        ),
        Verified::Unknown(why) => (Status::Unknown, Reason::Unverifiable, why.clone()),
        Verified::No(why) => (Status::False, Reason::LoginRefused, why.clone()),
    };
    ConditionChange::Set(Finding {
        type_: CREDENTIALS_VERIFIED,
        status,
        reason,
        message,
    })
}

/// The conditions after some changes, in the order of the changes; conditions of types that the changes do not
/// name are somebody else's and stay, after ours.
///
/// `lastTransitionTime` moves only when the status does. A condition that is kept keeps its
/// `observedGeneration` too, for it was found then.
pub fn merge(
    old: &[Condition],
    changes: &[ConditionChange],
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let before = |type_: &str| old.iter().find(|condition| condition.type_ == type_);
    let ours = changes.iter().filter_map(|change| match change {
        ConditionChange::Set(finding) => Some(condition(before(finding.type_), finding, generation, now)),
        ConditionChange::Keep(type_) => before(type_).cloned(),
        ConditionChange::Remove(_) => None,
    });
    let named = |condition: &&Condition| changes.iter().any(|change| change.type_() == condition.type_);
    let others = old.iter().filter(|condition| !named(condition)).cloned();
    ours.chain(others).collect()
}

fn condition(before: Option<&Condition>, finding: &Finding, generation: i64, now: Timestamp) -> Condition {
    let status = finding.status.as_str();
    let since = before
        .filter(|before| before.status == status)
        .map(|before| before.last_transition_time.clone());
    Condition {
        type_: finding.type_.to_string(),
        status: status.to_string(),
        reason: finding.reason.to_string(),
        message: presentable(&finding.message),
        observed_generation: Some(generation),
        last_transition_time: since.unwrap_or_else(|| Time(whole_seconds(now))),
    }
}

/// A text fit for a terminal: control characters, and those that turn the direction of what follows, are
/// escaped; what is too long is cut and ends in an ellipsis.
pub fn presentable(message: &str) -> String {
    let escaped: String = message
        .chars()
        .flat_map(|c| {
            let escape = is_unfit(c).then(|| c.escape_default());
            let plain = (!is_unfit(c)).then_some(c);
            escape.into_iter().flatten().chain(plain)
        })
        .collect();
    if escaped.chars().count() <= LONGEST_MESSAGE {
        return escaped;
    }
    let mut cut: String = escaped.chars().take(LONGEST_MESSAGE - 1).collect();
    cut.push('…');
    cut
}

fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::{Readiness, Stalled};
    use proptest::prelude::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready() -> Report {
        Report {
            ready: Readiness {
                ready: true,
                reason: Reason::Published,
                message: "it is".to_string(),
            },
            verified: Verified::Yes,
            ..Report::default()
        }
    }

    fn waiting() -> Report {
        Report {
            ready: Readiness {
                ready: false,
                reason: Reason::Creating,
                message: String::new(),
            },
            reconciling: true,
            ..Report::default()
        }
    }

    fn stalled() -> Report {
        Report {
            stalled: Some(Stalled {
                reason: Reason::AlreadyExists,
                message: "there is one".to_string(),
            }),
            ..Report::default()
        }
    }

    fn types<'a>(conditions: &'a [Condition]) -> Vec<(&'a str, &'a str, &'a str)> {
        let shown = |c: &'a Condition| (c.type_.as_str(), c.status.as_str(), c.reason.as_str());
        conditions.iter().map(shown).collect()
    }

    #[test]
    fn reconciling_and_stalled_are_there_only_while_true() {
        let first = apply(&[], &waiting(), 1, second(1));
        assert_eq!(
            types(&first),
            [
                ("Ready", "False", "Creating"),
                ("Reconciling", "True", "Creating")
            ]
        );
        let then = apply(&first, &ready(), 1, second(2));
        assert_eq!(
            types(&then),
            [
                ("Ready", "True", "Published"),
                ("CredentialsVerified", "True", "LoginSucceeded")
            ]
        );
        let last = apply(&then, &stalled(), 1, second(3));
        assert_eq!(
            types(&last),
            [
                ("Ready", "False", "Pending"),
                ("CredentialsVerified", "True", "LoginSucceeded"),
                ("Stalled", "True", "AlreadyExists")
            ]
        );
    }

    #[test]
    fn a_ready_object_that_changes_is_progressing() {
        let report = Report {
            reconciling: true,
            ..ready()
        };
        assert!(types(&apply(&[], &report, 1, second(1))).contains(&("Reconciling", "True", "Progressing")));
    }

    #[test]
    fn the_time_of_transition_moves_only_with_the_status() {
        let first = apply(&[], &waiting(), 1, second(1));
        let mut later = waiting();
        later.ready.reason = Reason::SettingPassword;
        let second_time = apply(&first, &later, 2, second(9));
        assert_eq!(second_time[0].last_transition_time.0, second(1));
        assert_eq!(second_time[0].reason, "SettingPassword");
        assert_eq!(second_time[0].observed_generation, Some(2));
        let third = apply(&second_time, &ready(), 2, second(10));
        assert_eq!(third[0].last_transition_time.0, second(10));
    }

    #[test]
    fn times_are_in_whole_seconds_as_kubernetes_keeps_them() {
        let now = Timestamp::from_millisecond(1_999).unwrap();
        assert_eq!(apply(&[], &ready(), 1, now)[0].last_transition_time.0, second(1));
    }

    #[test]
    fn what_is_not_said_of_the_credentials_stays_as_it_was() {
        let first = apply(&[], &ready(), 1, second(1));
        let then = apply(&first, &waiting(), 2, second(2));
        assert_eq!(then[1], first[1]);
        assert!(
            !types(&apply(&[], &waiting(), 1, second(1)))
                .iter()
                .any(|it| it.0 == CREDENTIALS_VERIFIED)
        );
    }

    #[test]
    fn what_is_found_of_the_credentials_is_said() {
        let of = |verified| {
            let report = Report { verified, ..ready() };
            let found = apply(&[], &report, 1, second(1)).swap_remove(1);
            assert_eq!(found.type_, CREDENTIALS_VERIFIED);
            format!("{} {} {}", found.status, found.reason, found.message)
        };
        assert!(of(Verified::Yes).starts_with("True LoginSucceeded"));
        assert_eq!(
            of(Verified::Unknown("no way".into())),
            "Unknown Unverifiable no way"
        );
        assert_eq!(of(Verified::No("no".into())), "False LoginRefused no");
    }

    #[test]
    fn other_peoples_conditions_stay() {
        let theirs = Condition {
            type_: "example.com/Approved".to_string(),
            ..apply(&[], &ready(), 1, second(1))[0].clone()
        };
        let after = apply(std::slice::from_ref(&theirs), &waiting(), 5, second(2));
        assert_eq!(after.last(), Some(&theirs));
    }

    #[test]
    fn a_message_is_fit_for_a_terminal() {
        assert_eq!(
            presentable("a\nb\u{1b}[2J\u{202e}c ü🦀"),
            "a\\nb\\u{1b}[2J\\u{202e}c ü🦀"
        );
        let long = presentable(&"🦀".repeat(2000));
        assert_eq!(long.chars().count(), 1024);
        assert!(long.ends_with("🦀…"));
    }

    fn reports() -> impl Strategy<Value = Report> {
        let verified = prop_oneof![
            Just(Verified::Unchanged),
            Just(Verified::Yes),
            any::<String>().prop_map(Verified::Unknown),
            any::<String>().prop_map(Verified::No),
        ];
        (
            any::<bool>(),
            any::<bool>(),
            any::<Option<String>>(),
            any::<String>(),
            verified,
        )
            .prop_map(|(ready, reconciling, stalled, message, verified)| Report {
                ready: Readiness {
                    ready,
                    reason: Reason::Creating,
                    message,
                },
                reconciling,
                stalled: stalled.map(|message| Stalled {
                    reason: Reason::Conflict,
                    message,
                }),
                verified,
                ..Report::default()
            })
    }

    proptest! {
        #[test]
        fn the_same_report_again_changes_nothing(first in reports(), report in reports(), later in 0..1000_i64) {
            let old = apply(&[], &first, 1, second(0));
            let once = apply(&old, &report, 3, second(1));
            prop_assert_eq!(&apply(&once, &report, 3, second(1 + later)), &once);
            prop_assert_eq!(&once[0].type_, READY);
        }

        #[test]
        fn presentable_text_is_presentable(text: String) {
            let shown = presentable(&text);
            prop_assert_eq!(&presentable(&shown), &shown);
            prop_assert!(!shown.chars().any(is_unfit) && shown.chars().count() <= 1024);
        }
    }
}
