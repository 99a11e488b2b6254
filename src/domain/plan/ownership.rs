//! R9: whose a remote user is that "exists" although we meant to make it.

use jiff::{SignedDuration, Timestamp};

use super::read_age;
use super::types::*;
use crate::api::Reason;
use crate::domain::attempts::{Login, Outcome};
use crate::domain::journal::{Cause, Kind};
use crate::domain::remote::{Creator, RemoteUser};
use crate::domain::sql;
use crate::domain::timings::{ProtocolTimings, Rule};

/// Whose a remote user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Made by a request of this entry.
    Ours,
    /// Made by somebody else.
    Foreign,
    /// Nothing tells.
    Unclaimed,
}

/// Weighs the evidence: anything that speaks against it makes the user foreign; then one thing that speaks for
/// it is enough. `observation` is the read that showed the user, `record` what the resource has on record.
pub fn weigh(
    user: &RemoteUser,
    observation: &Observation,
    staged: &StagedEntry,
    record: Option<&Record>,
    server: &Server,
    timings: &ProtocolTimings,
) -> Verdict {
    if !timings.rules.hold(Rule::R9) {
        return Verdict::Ours;
    }
    if user.protected {
        return Verdict::Foreign;
    }
    if staged.entry.proven_ours {
        return Verdict::Ours;
    }
    let evidence = [
        by_date(user, observation, staged, timings),
        by_creator(user, staged, server),
        by_login(staged),
        by_record(staged, record, server),
    ];
    if evidence.contains(&Some(false)) {
        Verdict::Foreign
    } else if evidence.contains(&Some(true)) {
        Verdict::Ours
    } else {
        Verdict::Unclaimed
    }
}

/// What has to be done before the evidence can be weighed, if anything: a login tells more than any date, but
/// only once what was sent is in effect. A refusal of before the read says nothing: a request may have come late.
pub fn evidence_to_gather(
    observation: &Observation,
    staged: &StagedEntry,
    server: &Server,
    timings: &ProtocolTimings,
) -> Option<Step> {
    let tried = match read_age::login(staged) {
        Login::NotTried => false,
        Login::Refused(at) => at >= observation.started,
        Login::Accepted | Login::Unverifiable(_) => true,
    };
    if tried
        || !staged.entry.settings.logs_in()
        || !server.verifiable
        || staged.entry.proven_ours
        || staged.entry.password.is_none()
    {
        return None;
    }
    match read_age::login_would_tell(staged, server, timings) {
        true => Some(Step::Verify(staged.entry.id)),
        false => Some(Step::PollCluster),
    }
}

/// Whether the remote says that somebody else has made this user.
pub fn speaks_against(user: &RemoteUser, staged: &StagedEntry, server: &Server) -> bool {
    by_creator(user, staged, server) == Some(false)
}

/// Made between the absence seen and the last moment at which a request of ours could have made it, both by the
/// remote's clock. Dates are whole seconds, so the absence is rounded down.
fn by_date(
    user: &RemoteUser,
    observation: &Observation,
    staged: &StagedEntry,
    timings: &ProtocolTimings,
) -> Option<bool> {
    let (created, absent_at) = (user.created?, staged.entry.seen.at?);
    if staged.entry.seen.present {
        return None;
    }
    let earliest = Timestamp::from_second(absent_at.as_second()).ok()?;
    let latest = last_by_remote(observation, staged).and_then(|last| {
        // A second more, since the end of the last attempt may be kept without its fraction.
        let late = SignedDuration::try_from(timings.t_live).ok()?;
        last.checked_add(late.checked_add(SignedDuration::from_secs(1))?)
            .ok()
    });
    // Without an upper bound a date can speak against, but not for.
    match latest {
        _ if created < earliest => Some(false),
        Some(latest) => Some(created <= latest),
        None => None,
    }
}

/// The end of the last attempt by the remote's clock. Of an inherited entry nobody remembers it, but a read that
/// came later tells: by its own date, less the time that has passed since.
fn last_by_remote(observation: &Observation, staged: &StagedEntry) -> Option<Timestamp> {
    let reckoned = || {
        let (date, last) = (observation.date?, staged.attempts.last?);
        let since = SignedDuration::try_from(observation.started - last).ok()?;
        (observation.started >= last).then(|| date.checked_sub(since).ok())?
    };
    staged.attempts.last_by_remote.or_else(reckoned)
}

fn by_creator(user: &RemoteUser, staged: &StagedEntry, server: &Server) -> Option<bool> {
    match (&user.creator, &server.creator_id) {
        (Creator::Marked(mark), _) => Some(mark.uid == staged.entry.owner.uid),
        (Creator::Unmanaged | Creator::System, _) => Some(false),
        (Creator::Account(id), Some(ours)) => Some(id == ours),
        (Creator::Account(_), None) | (Creator::Unknown, _) => None,
    }
}

/// A record is written once a creation was accepted (R8), and when this one was decided there was none.
fn by_record(staged: &StagedEntry, record: Option<&Record>, server: &Server) -> Option<bool> {
    let is_of_this = staged.entry.kind == Kind::Create && staged.entry.cause == Cause::Missing;
    (is_of_this && record?.identity == server.identity).then_some(true)
}

fn by_login(staged: &StagedEntry) -> Option<bool> {
    match read_age::login(staged) {
        Login::Accepted => Some(true),
        Login::Refused(_) => Some(false),
        Login::NotTried | Login::Unverifiable(_) => None,
    }
}

/// A user that carries the mark of another installation is that one's, unless an administrator says otherwise; one whose
/// mark cannot be read is somebody's.
pub(super) fn another_installations(
    observed: &Observed,
    server: &Server,
    user: &RemoteUser,
) -> Option<Stalled> {
    if server.capabilities.marks && user.creator == Creator::Unknown {
        return Some(Stalled {
            reason: Reason::Conflict,
            message: format!(
                "the comment of the login {:?} begins like pguser-operator's mark and cannot be read: it is not changed. \
                 Find out whose it is, and remove or correct the comment",
                user.username
            ),
        });
    }
    let mark = user.mark()?;
    let own = observed.own_claim.as_ref().map(|claim| &claim.installation);
    if own == Some(&mark.installation) || server.take_over_from.as_ref() == Some(&mark.installation) {
        return None;
    }
    Some(Stalled {
        reason: Reason::Conflict,
        message: format!(
            "the login {:?} is managed by pguser-operator installation {} (it says so in its comment): it is not \
             changed. If that installation is gone, an administrator may set the annotation {}={} on the server object, \
             or remove the comment",
            user.username,
            mark.installation,
            crate::api::names::TAKE_OVER_FROM,
            mark.installation
        ),
    })
}

/// Whether the remote says that this is not the user that the record speaks of: made at another time, carrying another
/// mark, or made outside the API, where the record speaks of one that was made through it.
pub(super) fn is_another_incarnation(
    observed: &Observed,
    server: &Server,
    record: &Record,
    user: &RemoteUser,
) -> bool {
    let other_date =
        matches!((record.created, user.created), (Some(recorded), Some(found)) if recorded != found);
    let other_maker = match &user.creator {
        Creator::Marked(mark) => mark.uid != observed.uid,
        Creator::Unmanaged | Creator::System => server.capabilities.marks || !record.adopted,
        Creator::Account(_) => false,
        Creator::Unknown => server.capabilities.marks,
    };
    other_date || other_maker
}

/// Whether the user carries the mark of an installation whose users this one is to take over.
pub(super) fn is_to_be_taken_over(server: &Server, user: &RemoteUser) -> bool {
    let by_mark = user.mark().map(|mark| &mark.installation);
    by_mark.is_some() && by_mark == server.take_over_from.as_ref() && !user.protected
}

/// Somebody has renamed the login: it has our mark, works as before, and whoever has its password goes on logging in.
pub(super) fn renamed(to: &str, username: &str) -> Stalled {
    let (from, ours) = (sql::identifier(to), sql::identifier(username));
    Stalled {
        reason: Reason::Conflict,
        message: format!(
            "the login {username:?} was renamed to {to:?} on the server, where it goes on working: nothing is made or changed until \
             there is one of the two. To have it back: ALTER ROLE {from} RENAME TO {ours}; to give it up, so that it is made \
             anew: DROP ROLE {from}"
        ),
    }
}

pub(super) fn conflict(rival: &Rival, username: &str) -> Stalled {
    let who = match &rival.named {
        Some(name) => format!("PostgresUser {name}"),
        None => "a PostgresUser of another namespace".to_string(),
    };
    Stalled {
        reason: Reason::Conflict,
        message: format!(
            "the login {username:?} on this server belongs to {who}: choose another spec.username in a new object; \
             deleting this one deletes nothing on the server"
        ),
    }
}

/// Logins in turn do not move from one way to the database to another.
pub(super) fn elsewhere(record: &Record, server: &Server) -> Stalled {
    Stalled {
        reason: Reason::RemoteChanged,
        message: format!(
            "this object has logins on {}, and spec.serverRef now names {}: point spec.serverRef back, and set \
             spec.rotation.strategy: InPlace before you change it",
            record.identity, server.identity
        ),
    }
}

/// Whether a user that was made outside the API may be the one that an entry is for: one that was taken over, where
/// nothing marks it since.
pub(super) fn may_be_adopted(staged: &StagedEntry, observed: &Observed, server: &Server) -> bool {
    let adopted = observed.record.as_ref().is_some_and(|record| record.adopted);
    staged.entry.kind == Kind::Adopt || (adopted && !server.capabilities.marks)
}

/// Whether the remote says that this is not the user that the entry was decided for: made at another time, or
/// made outside the API, though it is not one that was (or may have been) taken over.
pub(super) fn is_another(
    user: &RemoteUser,
    staged: &StagedEntry,
    server: &Server,
    may_be_adopted: bool,
) -> bool {
    let other_date = matches!(
        (staged.entry.seen.created, user.created),
        (Some(then), Some(now)) if then != now
    );
    let other_maker = match &user.creator {
        Creator::Marked(mark) => {
            let former = staged.entry.kind == Kind::Adopt && staged.entry.seen.mark.as_ref() == Some(mark);
            mark.uid != staged.entry.owner.uid && !former
        }
        Creator::Unmanaged | Creator::System => !may_be_adopted,
        Creator::Account(_) => false,
        // A mark that cannot be read is somebody's.
        Creator::Unknown => server.capabilities.marks,
    };
    other_date || user.protected || other_maker
}

/// Whether the remote says that this is not the user that the accepted request made or changed.
pub(super) fn was_made_anew(user: &RemoteUser, staged: &StagedEntry) -> bool {
    let made = match &staged.attempts.outcome {
        Some(Outcome::Accepted { user: Some(made), .. }) => made.created,
        _ => None,
    };
    matches!((made, user.created), (Some(made), Some(found)) if made != found)
}
