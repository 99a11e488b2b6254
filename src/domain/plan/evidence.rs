//! R9: whose a remote user is that "exists" although we meant to make it.

use jiff::{SignedDuration, Timestamp};

use super::read_age;
use super::types::{Observation, Record, Server, StagedEntry, Step};
use crate::domain::attempts::Login;
use crate::domain::journal::{Cause, Kind};
use crate::domain::remote::{Creator, RemoteUser};
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
