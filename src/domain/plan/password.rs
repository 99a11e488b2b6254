//! Whether a user that is there needs a new password.

use super::types::*;
use crate::domain::journal::Cause;
use crate::domain::remote::RemoteUser;
use crate::domain::settings::Settings;

pub fn published_mac(observed: &Observed) -> Option<&String> {
    observed.published.as_ref().map(|published| &published.mac)
}

/// What became of the published password.
pub enum Held {
    Intact,
    Lost,
    Unread,
}

pub fn published_password(observed: &Observed) -> Held {
    let Some(published) = &observed.published else {
        return Held::Lost;
    };
    match &observed.secret {
        SecretView::Absent | SecretView::Foreign(_) => Held::Lost,
        SecretView::Ours { resource_version, .. } if *resource_version == published.resource_version => {
            Held::Intact
        }
        SecretView::Ours { content: None, .. } => Held::Unread,
        SecretView::Ours {
            content: Some(content),
            ..
        } if content.mac.as_ref() == Some(&published.mac) => Held::Intact,
        SecretView::Ours { .. } => Held::Lost,
    }
}

pub enum NewPassword {
    NotNeeded,
    ReadSecretFirst,
    Needed(Cause, DraftPassword),
    Fight,
}

pub fn reason_for_password(
    desired: &Desired,
    observed: &Observed,
    record: &Record,
    user: &RemoteUser,
    settings: &Settings,
) -> NewPassword {
    match published_password(observed) {
        Held::Unread => return NewPassword::ReadSecretFirst,
        Held::Lost => return NewPassword::Needed(Cause::SecretDamaged, DraftPassword::New),
        Held::Intact => {}
    }
    let already_refused = observed
        .rejected
        .as_ref()
        .is_some_and(|rejected| rejected.wish == desired.wish);
    if let Some(rotate) = desired
        .rotate
        .as_ref()
        .filter(|_| desired.rotate != observed.handled_rotation)
        && !already_refused
    {
        return NewPassword::Needed(Cause::Rotation(rotate.clone()), DraftPassword::New);
    }
    if let WantedPassword::Own { mac } = &desired.password
        && Some(mac) != published_mac(observed)
        && !already_refused
    {
        return NewPassword::Needed(Cause::OwnPassword, DraftPassword::New);
    }
    if !changed_from_outside(record, user, settings) {
        return NewPassword::NotNeeded;
    }
    if observed.set_backs + 1 >= settings.set_backs_in_an_hour {
        return NewPassword::Fight;
    }
    NewPassword::Needed(Cause::SetBack, DraftPassword::Published)
}

/// Drift by date: the remote's date of last change is later than what our own last change left, by more than a
/// late request of ours could explain. Absent dates are no evidence.
fn changed_from_outside(record: &Record, user: &RemoteUser, settings: &Settings) -> bool {
    let (Some(ours), Some(found)) = (record.last_set, user.modified) else {
        return false;
    };
    let explained = jiff::SignedDuration::try_from(settings.t_live)
        .ok()
        .and_then(|late| ours.checked_add(late).ok());
    explained.is_some_and(|explained| found > explained)
}
