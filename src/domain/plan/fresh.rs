//! What a read is worth: R6, R7, and the waiting of R10.

use std::time::Duration;

use super::types::{Look, Observed, Server, Sight, StagedEntry};
use crate::domain::attempts::{Attempts, Login, Outcome};
use crate::domain::journal::Kind;
use crate::domain::remote::ClusterState;
use crate::domain::settings::{Rule, Settings};
use crate::domain::time::Mono;

/// How old the look may be at least that a deletion is decided on: no reaction to it is faster everywhere.
const JUST_NOW: Duration = Duration::from_secs(1);

/// When no request of this entry that was sent and not answered can still take effect; `None` if all were
/// answered. A cluster that is busy may hold a request back, so the time counts from when it was last seen so.
pub fn unknown_until(staged: &StagedEntry, server: &Server, settings: &Settings) -> Option<Mono> {
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
        .map(|last| last + settings.t_live);
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
pub fn quiet(observed: &Observed, server: &Server, now: Mono, settings: &Settings) -> Quiet {
    let from = quiet_by_time(observed, server, settings);
    let effects_take_time = server.capabilities.turns_busy && settings.rules.hold(Rule::R7);
    if !effects_take_time || from == Mono::default() || now < from {
        return Quiet::From(from);
    }
    // The first look that counts is enough: a cluster that is much used is looked at again and again.
    match server.available.iter().find(|look| look.started >= from) {
        Some(look) => Quiet::From(look.started + settings.read_lag),
        None => Quiet::AfterPoll,
    }
}

/// When nothing that was sent can be accepted any more, and reads show what was accepted in the meantime.
pub fn quiet_by_time(observed: &Observed, server: &Server, settings: &Settings) -> Mono {
    let lag = observed.last_write.map(|write| write + settings.read_lag);
    let unknown = observed
        .entry
        .as_ref()
        .and_then(|staged| unknown_until(staged, server, settings));
    lag.max(unknown).unwrap_or_default()
}

/// The last read, if things may be settled on it.
pub fn settled_sight<'a>(
    observed: &'a Observed,
    server: &Server,
    now: Mono,
    settings: &Settings,
) -> Option<&'a Sight> {
    let sight = observed.sight.as_ref()?;
    let late = match quiet(observed, server, now, settings) {
        Quiet::From(from) => sight.started >= from,
        Quiet::AfterPoll => false,
    };
    let late_enough = match settings.rules.hold(Rule::R10) {
        true => late,
        false => late_by_remote(observed, sight, settings).unwrap_or(late),
    };
    (late_enough || !settings.rules.hold(Rule::R6)).then_some(sight)
}

/// What R10 forbids: waiting by somebody else's clock, which may jump.
fn late_by_remote(observed: &Observed, sight: &Sight, settings: &Settings) -> Option<bool> {
    let attempts = &observed.entry.as_ref()?.attempts;
    let (read, sent) = (sight.date?, attempts.last_by_remote?);
    let wait = jiff::SignedDuration::try_from(settings.t_live).ok()?;
    Some(read >= sent.checked_add(wait).ok()?)
}

/// Whether the last read shows, beyond doubt, that the user is not there.
pub fn surely_absent(observed: &Observed, server: &Server, now: Mono, settings: &Settings) -> bool {
    settled_sight(observed, server, now, settings)
        .is_some_and(|sight| sight.user.is_none() && sight.conclusive)
}

/// The last read, if it was started after the entry's last attempt had ended.
pub fn sight_after_attempt<'a>(observed: &'a Observed, staged: &StagedEntry) -> Option<&'a Sight> {
    let sight = observed.sight.as_ref()?;
    (staged.attempts.last.is_none_or(|last| sight.started >= last)).then_some(sight)
}

/// The last read, if it is late and fresh enough to change what it shows: after the entry's last attempt, and no older
/// than absence may be.
pub fn sight_to_send_on<'a>(
    observed: &'a Observed,
    staged: &StagedEntry,
    now: Mono,
    settings: &Settings,
) -> Option<&'a Sight> {
    sight_after_attempt(observed, staged).filter(|sight| now - sight.started <= settings.fresh_for)
}

/// How old a look may be that a deletion is decided on, and sent on: somebody may have made the user anew since. Where the
/// deletion itself looks whose the user is, that look need not be repeated.
pub fn just_now(settings: &Settings) -> Duration {
    match settings.guarded {
        true => settings.fresh_for,
        false => settings.read_lag.max(JUST_NOW),
    }
}

/// Whether what is known of a user is young enough, at this moment, to send a request on (R11): what was planned may have
/// waited since. Only a creation that is sent again needs no look: whatever it meets is weighed.
pub fn is_good_to_send_on(
    kind: Kind,
    attempts: &Attempts,
    sight: Option<&Sight>,
    now: Mono,
    settings: &Settings,
) -> bool {
    let is_weighed = kind == Kind::Create && attempts.last.is_some();
    let oldest = look_serves_for(kind, settings);
    is_weighed || sight.is_some_and(|sight| now - sight.started <= oldest)
}

/// How old a look may be at the moment at which a request of this kind is sent.
fn look_serves_for(kind: Kind, settings: &Settings) -> Duration {
    match kind {
        Kind::Delete => just_now(settings),
        _ => settings.fresh_for,
    }
}

/// R7: whether an accepted change is in effect: nothing turns busy here, a login worked, or the cluster was
/// read AVAILABLE after the answer.
pub fn in_effect(staged: &StagedEntry, server: &Server, settings: &Settings) -> bool {
    if !server.capabilities.turns_busy || !settings.rules.hold(Rule::R7) {
        return true;
    }
    if staged.attempts.login == Login::Accepted {
        return true;
    }
    match &staged.attempts.outcome {
        Some(Outcome::Accepted { at, .. }) => look_after(server, *at, settings).is_some(),
        _ => false,
    }
}

/// Whether a login with the staged password would show anything: what was sent may not be in effect yet (R7).
pub fn login_would_tell(staged: &StagedEntry, server: &Server, settings: &Settings) -> bool {
    let effects_take_time = server.capabilities.turns_busy && settings.rules.hold(Rule::R7);
    !effects_take_time
        || staged
            .attempts
            .last
            .is_none_or(|last| look_after(server, last, settings).is_some())
}

/// The first look that shows what was answered at this moment to be in effect: AVAILABLE, and begun when the state could
/// not trail any more, or after a BUSY that was seen since.
pub fn look_after<'a>(server: &'a Server, answered: Mono, settings: &Settings) -> Option<&'a Look> {
    let certain = answered + settings.state_lag;
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
pub fn is_busy(server: &Server, settings: &Settings) -> bool {
    let busy = server
        .state
        .is_some_and(|(state, _)| state != ClusterState::Available);
    server.capabilities.turns_busy && busy && settings.rules.hold(Rule::R7)
}
