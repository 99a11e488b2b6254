//! Whether a user that is there needs a new password.

use std::time::Duration;

use super::types::*;
use crate::domain::alternation::Part;
use crate::domain::attempts::Login;
use crate::domain::journal::Cause;
use crate::domain::remote::RemoteUser;
use crate::domain::time::Mono;
use crate::domain::timings::ProtocolTimings;

pub fn published_mac(observed: &Observed) -> Option<&String> {
    observed.published.as_ref().map(|published| &published.mac)
}

/// What became of the published password.
pub enum PublishedPassword {
    Intact,
    Lost,
    Unread,
}

impl PublishedPassword {
    pub fn is_intact(&self) -> bool {
        matches!(self, PublishedPassword::Intact)
    }
}

pub fn published_password(observed: &Observed) -> PublishedPassword {
    let Some(published) = &observed.published else {
        return PublishedPassword::Lost;
    };
    match &observed.secret {
        SecretView::Absent | SecretView::Foreign(_) => PublishedPassword::Lost,
        // It still has what was published, and nothing is decided before it is gone.
        SecretView::Leaving(_) => PublishedPassword::Intact,
        SecretView::Ours { resource_version, .. } if *resource_version == published.resource_version => {
            PublishedPassword::Intact
        }
        SecretView::Ours { content: None, .. } => PublishedPassword::Unread,
        SecretView::Ours {
            content: Some(content),
            ..
        } if content.mac.as_ref() == Some(&published.mac) => PublishedPassword::Intact,
        SecretView::Ours { .. } => PublishedPassword::Lost,
    }
}

pub enum NewPassword {
    NotNeeded,
    ReadSecretFirst,
    Needed(Cause, DraftPassword),
    Contested,
}

pub fn reason_for_password(
    desired: &Desired,
    observed: &Observed,
    record: &Record,
    user: &RemoteUser,
    now: Mono,
    timings: &ProtocolTimings,
) -> NewPassword {
    if let Part::Next(cause) = &desired.part {
        // It has none that anybody knows.
        return NewPassword::Needed(cause.clone(), DraftPassword::New);
    }
    // Of two in turn, the other one is published when a change is due.
    let in_place = desired.part == Part::Sole;
    let already_refused = observed.refused_password(desired).is_some();
    let is_asked = desired.rotate != observed.handled_rotation && !already_refused && in_place;
    let rotation = desired.rotate.clone().filter(|_| is_asked).map(Cause::Rotation);
    match published_password(observed) {
        PublishedPassword::Unread => return NewPassword::ReadSecretFirst,
        // One new password is enough, if another one is asked for anyhow.
        PublishedPassword::Lost => {
            let cause = rotation.unwrap_or(Cause::SecretDamaged);
            return NewPassword::Needed(cause, DraftPassword::New);
        }
        PublishedPassword::Intact => {}
    }
    if let Some(cause) = rotation {
        return NewPassword::Needed(cause, DraftPassword::New);
    }
    if let WantedPassword::Own { mac } = &desired.password
        && Some(mac) != published_mac(observed)
        && !already_refused
    {
        return NewPassword::Needed(Cause::OwnPassword, DraftPassword::New);
    }
    let is_generated = desired.password == WantedPassword::Generated && in_place;
    if is_generated && !already_refused && desired.rotation_due.is_some_and(|due| due <= now) {
        return NewPassword::Needed(Cause::Scheduled, DraftPassword::New);
    }
    if !changed_from_outside(desired, observed, record, user, timings) {
        return NewPassword::NotNeeded;
    }
    if observed.reverts + 1 >= timings.reverts_in_an_hour {
        return NewPassword::Contested;
    }
    NewPassword::Needed(Cause::SetBack, DraftPassword::Published)
}

/// Whether somebody else has changed the password: by what the remote shows of it, by the date of last change, or by a
/// login that was refused, whichever there is.
fn changed_from_outside(
    desired: &Desired,
    observed: &Observed,
    record: &Record,
    user: &RemoteUser,
    timings: &ProtocolTimings,
) -> bool {
    match (&record.password_stamp, &user.traits.password_stamp) {
        (Some(ours), Some(found)) if comparable(ours, found) => ours != found,
        _ => changed_by_date(record, user, timings) || is_refused(desired, observed),
    }
}

/// Whether the published password is refused where it is published for. What another address says of it tells nothing: another
/// server may answer there.
fn is_refused(desired: &Desired, observed: &Observed) -> bool {
    matches!(observed.tried.login, Login::Refused(_)) && !has_moved(desired, observed)
}

/// Whether the address that should be published is not the one that is.
pub fn has_moved(desired: &Desired, observed: &Observed) -> bool {
    let published = observed.published.as_ref();
    let published = published.and_then(|published| published.address.as_ref());
    published.is_some() && desired.address.is_some() && published != desired.address.as_ref()
}

/// Whether two stamps were made under the same key; if not, nothing can be said of the password.
pub fn comparable(one: &str, other: &str) -> bool {
    let key = |stamp: &str| stamp.split_once(':').map(|(key, _)| key.to_string());
    key(one) == key(other)
}

/// Drift by date: the remote's date of last change is later than what our own last change left, by more than a
/// late request of ours could explain. Absent dates are no evidence.
fn changed_by_date(record: &Record, user: &RemoteUser, timings: &ProtocolTimings) -> bool {
    let (Some(ours), Some(found)) = (record.last_set, user.modified) else {
        return false;
    };
    let explained = jiff::SignedDuration::try_from(timings.t_live)
        .ok()
        .and_then(|late| ours.checked_add(late).ok());
    explained.is_some_and(|explained| found > explained)
}

/// What the last login with the published password says of it.
pub fn verified(tried: &Tried) -> Verified {
    match &tried.login {
        Login::Accepted => Verified::Yes,
        // A login that cannot be tried now and then says nothing new.
        Login::NotTried | Login::Refused(_) | Login::Unverifiable(_) => Verified::Unchanged,
    }
}

/// The longest that nobody looks whether a password is due: the clock on the wall may be set meanwhile.
const LOOKS_APART: Duration = Duration::from_secs(6 * 3600);

/// Has the resource looked at again when its password is due to be changed.
pub fn rotate_when_due(desired: &Desired, now: Mono, plan: &mut Plan) {
    if let Some(due) = desired.rotation_due.filter(|due| *due > now) {
        plan.again_by((due - now).min(LOOKS_APART));
    }
}

/// Where the remote does not show that a password was changed, it is tried now and then.
pub fn try_when_due(observed: &Observed, server: &Server, user: &RemoteUser, now: Mono, plan: &mut Plan) {
    let shown = user.modified.is_some() || user.traits.password_stamp.is_some();
    if shown || !server.verifiable || server.trouble.is_some() {
        return;
    }
    match observed.tried.due > now {
        true => plan.again_by(observed.tried.due - now),
        false => plan.step = Some(Step::TryPublished),
    }
}
