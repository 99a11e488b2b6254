//! What a read is worth: R6, R7, and the waiting of R10.

use std::time::Duration;

use super::types::{Look, Observation, Observed, Server, StagedEntry};
use crate::domain::attempts::{Attempts, Login, Outcome};
use crate::domain::journal::Kind;
use crate::domain::remote::ClusterState;
use crate::domain::time::Mono;
use crate::domain::timings::{ProtocolTimings, Rule};

/// How old the look may be at least that a deletion is decided on: no reaction to it is faster everywhere.
const JUST_NOW: Duration = Duration::from_secs(1);

/// When no request of this entry that was sent and not answered can still take effect; `None` if all were
/// answered. A cluster that is busy may hold a request back, so the time counts from when it was last seen so.
pub fn unknown_until(staged: &StagedEntry, server: &Server, timings: &ProtocolTimings) -> Option<Mono> {
    if !staged.attempts.unknown {
        return None;
    }
    let held_back = server
        .last_not_available
        .filter(|_| server.capabilities.turns_busy);
    let own = staged
        .attempts
        .last
        .max(held_back)
        .map(|last| last + timings.t_live);
    own.max(staged.inherited_until)
}

/// What makes a read one that things may be settled on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// It has to start at this moment or later (R6).
    From(Mono),
    /// The cluster has to be seen AVAILABLE first: what it accepted may not be in effect yet (R7).
    AfterPoll,
}

/// What makes a read one that things may be settled on.
pub fn quiet(observed: &Observed, server: &Server, now: Mono, timings: &ProtocolTimings) -> Quiet {
    let from = quiet_by_time(observed, server, timings);
    let effects_take_time = server.capabilities.turns_busy && timings.rules.hold(Rule::R7);
    if !effects_take_time || from == Mono::default() || now < from {
        return Quiet::From(from);
    }
    // The first look that counts is enough: a cluster that is much used is looked at again and again.
    match server.available.iter().find(|look| look.started >= from) {
        Some(look) => Quiet::From(look.started + timings.read_lag),
        None => Quiet::AfterPoll,
    }
}

/// When nothing that was sent can be accepted any more, and reads show what was accepted in the meantime.
pub fn quiet_by_time(observed: &Observed, server: &Server, timings: &ProtocolTimings) -> Mono {
    let lag = observed.last_write.map(|write| write + timings.read_lag);
    let unknown = observed
        .entry
        .as_ref()
        .and_then(|staged| unknown_until(staged, server, timings));
    lag.max(unknown).unwrap_or_default()
}

/// The last read, if things may be settled on it.
pub fn settled_observation<'a>(
    observed: &'a Observed,
    server: &Server,
    now: Mono,
    timings: &ProtocolTimings,
) -> Option<&'a Observation> {
    let observation = observed.observation.as_ref()?;
    let late = match quiet(observed, server, now, timings) {
        Quiet::From(from) => observation.started >= from,
        Quiet::AfterPoll => false,
    };
    let late_enough = match timings.rules.hold(Rule::R10) {
        true => late,
        false => late_by_remote(observed, observation, timings).unwrap_or(late),
    };
    (late_enough || !timings.rules.hold(Rule::R6)).then_some(observation)
}

/// What R10 forbids: waiting by somebody else's clock, which may jump.
fn late_by_remote(observed: &Observed, observation: &Observation, timings: &ProtocolTimings) -> Option<bool> {
    let attempts = &observed.entry.as_ref()?.attempts;
    let (read, sent) = (observation.date?, attempts.last_by_remote?);
    let wait = jiff::SignedDuration::try_from(timings.t_live).ok()?;
    Some(read >= sent.checked_add(wait).ok()?)
}

/// Whether the last read shows, beyond doubt, that the user is not there.
pub fn surely_absent(observed: &Observed, server: &Server, now: Mono, timings: &ProtocolTimings) -> bool {
    settled_observation(observed, server, now, timings)
        .is_some_and(|observation| observation.user.is_none() && observation.proves_absence)
}

/// The last read, if it was started after the entry's last attempt had ended.
pub fn observation_after_attempt<'a>(
    observed: &'a Observed,
    staged: &StagedEntry,
) -> Option<&'a Observation> {
    let observation = observed.observation.as_ref()?;
    (staged
        .attempts
        .last
        .is_none_or(|last| observation.started >= last))
    .then_some(observation)
}

/// The last read, if it is late and fresh enough to change what it shows: after the entry's last attempt, and no older
/// than absence may be.
pub fn observation_to_send_on<'a>(
    observed: &'a Observed,
    staged: &StagedEntry,
    now: Mono,
    timings: &ProtocolTimings,
) -> Option<&'a Observation> {
    observation_after_attempt(observed, staged)
        .filter(|observation| now - observation.started <= timings.fresh_for)
}

/// How old a look may be that a deletion is decided on, and sent on: somebody may have made the user anew since. Where the
/// deletion itself looks whose the user is, that look need not be repeated.
pub fn just_now(timings: &ProtocolTimings) -> Duration {
    match timings.guarded {
        true => timings.fresh_for,
        false => timings.read_lag.max(JUST_NOW),
    }
}

/// Whether what is known of a user is young enough, at this moment, to send a request on (R11): what was planned may have
/// waited since. Only a creation that is sent again needs no look: whatever it meets is weighed.
pub fn is_good_to_send_on(
    kind: Kind,
    attempts: &Attempts,
    observation: Option<&Observation>,
    now: Mono,
    timings: &ProtocolTimings,
) -> bool {
    let is_weighed = kind == Kind::Create && attempts.last.is_some();
    let oldest = look_serves_for(kind, timings);
    is_weighed || observation.is_some_and(|observation| now - observation.started <= oldest)
}

/// How old a look may be at the moment at which a request of this kind is sent.
fn look_serves_for(kind: Kind, timings: &ProtocolTimings) -> Duration {
    match kind {
        Kind::Delete => just_now(timings),
        _ => timings.fresh_for,
    }
}

/// R7: whether an accepted change is in effect: nothing turns busy here, a login worked, or the cluster was
/// read AVAILABLE after the answer.
pub fn in_effect(staged: &StagedEntry, server: &Server, timings: &ProtocolTimings) -> bool {
    if !server.capabilities.turns_busy || !timings.rules.hold(Rule::R7) {
        return true;
    }
    if staged.attempts.login == Login::Accepted {
        return true;
    }
    match &staged.attempts.outcome {
        Some(Outcome::Accepted { at, .. }) => look_after(server, *at, timings).is_some(),
        _ => false,
    }
}

/// Whether a login with the staged password would show anything: what was sent may not be in effect yet (R7).
pub fn login_would_tell(staged: &StagedEntry, server: &Server, timings: &ProtocolTimings) -> bool {
    let effects_take_time = server.capabilities.turns_busy && timings.rules.hold(Rule::R7);
    !effects_take_time
        || staged
            .attempts
            .last
            .is_none_or(|last| look_after(server, last, timings).is_some())
}

/// The first look that shows what was answered at this moment to be in effect: AVAILABLE, and begun when the state could
/// not trail any more, or after a BUSY that was seen since.
pub fn look_after<'a>(server: &'a Server, answered: Mono, timings: &ProtocolTimings) -> Option<&'a Look> {
    let certain = answered + timings.state_lag;
    let busy = server.last_not_available.filter(|busy| *busy >= answered);
    let proves = |look: &&Look| look.started >= certain || busy.is_some_and(|busy| look.started >= busy);
    server.available.iter().find(proves)
}

/// Whether a login with the staged password was tried since the last attempt, and how it went.
pub fn login(staged: &StagedEntry) -> Login {
    match (&staged.attempts.login, staged.attempts.last) {
        (Login::Refused(at), Some(last)) if *at < last => Login::NotTried,
        (login, _) => login.clone(),
    }
}

/// Whether the cluster was read BUSY (or worse) and not AVAILABLE since.
pub fn is_busy(server: &Server, timings: &ProtocolTimings) -> bool {
    let busy = server
        .state
        .is_some_and(|(state, _)| state != ClusterState::Available);
    server.capabilities.turns_busy && busy && timings.rules.hold(Rule::R7)
}
