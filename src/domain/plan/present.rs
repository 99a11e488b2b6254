//! A user that should exist and has no entry in the journal.

use super::fresh;
use super::password::{Held, NewPassword, published_mac, published_password, reason_for_password};
use super::types::*;
use crate::domain::journal::{Cause, Kind, Seen};
use crate::domain::remote::{Creator, RemoteUser};
use crate::domain::settings::Settings;
use crate::domain::time::Mono;

/// What stops everything but deletion, if anything does.
pub fn held(desired: &Desired, observed: &Observed) -> Option<Plan> {
    if desired.suspended {
        return Some(Plan::suspended(observed));
    }
    let server = match &observed.server {
        ServerView::Unusable(why) => {
            // As while an operator starts: what is published stays as it is, and nothing is written of it (I7).
            let trouble = Trouble {
                reason: why.reason,
                message: why.message.clone(),
                stalled: false,
            };
            return Some(Plan::troubled(observed, &trouble));
        }
        ServerView::Usable(server) => server,
    };
    if let Some(stalled) = stranger(observed, server) {
        return Some(Plan::not_ready(stalled));
    }
    let invalid = desired.invalid.as_ref()?;
    let stalled = Stalled {
        reason: invalid.reason,
        message: invalid.message.clone(),
    };
    Some(Plan::stalled(observed, stalled))
}

/// A resource whose claim or record speaks of another installation or another remote cluster.
fn stranger(observed: &Observed, server: &Server) -> Option<Stalled> {
    if let (Some(claim), Some(own)) = (&observed.claim, &observed.own_claim) {
        let may_take_over = server.take_over_from.as_ref() == Some(&claim.installation);
        if claim.installation != own.installation && !may_take_over {
            return Some(Stalled {
                reason: "Restored",
                message: format!(
                    "this object was made by installation {} and restored or copied into installation {}: nothing is \
                     changed on the server until an administrator sets the annotation {}={} on the server object",
                    claim.installation,
                    own.installation,
                    crate::api::names::TAKE_OVER_FROM,
                    claim.installation
                ),
            });
        }
    }
    let recorded = observed.record.as_ref().map(|record| &record.identity);
    let claimed = observed.claim.as_ref().map(|claim| &claim.identity);
    let other = recorded
        .or(claimed)
        .filter(|identity| **identity != server.identity)?;
    Some(Stalled {
        reason: "RemoteChanged",
        message: format!(
            "this user lives on {other}, but the server object now names {}: point the server object back, or \
             delete this object (deletionPolicy: Retain keeps the login) and make it again",
            server.identity
        ),
    })
}

/// The next step for a user that should exist, with nothing staged.
pub fn plan(desired: &Desired, observed: &Observed, now: Mono, settings: &Settings) -> Plan {
    let ServerView::Usable(server) = &observed.server else {
        return Plan::waiting(observed, "ServerNotReady", String::new());
    };
    if let Some(rival) = &observed.rival {
        return Plan::not_ready(conflict(rival, &desired.username));
    }
    if observed.unsettled {
        return Plan::waiting(observed, "Waiting", UNSETTLED.to_string());
    }
    let Some(sight) = &observed.sight else {
        return Plan::look(observed, server, Step::List);
    };
    match (&observed.record, &sight.user) {
        (None, None) => missing(desired, observed, server, sight, now, settings),
        (None, Some(user)) => exists(desired, observed, server, user, sight),
        (Some(_), None) => vanished(desired, observed, server, now, settings),
        (Some(record), Some(user)) => there(desired, observed, server, record, user, sight, settings),
    }
}

const UNSETTLED: &str = "a request of an earlier PostgresUser for this login may still take effect: this ends by itself, \
                         a few minutes after the server can be reached";

fn conflict(rival: &Rival, username: &str) -> Stalled {
    let who = match &rival.named {
        Some(name) => format!("PostgresUser {name}"),
        None => "a PostgresUser of another namespace".to_string(),
    };
    Stalled {
        reason: "Conflict",
        message: format!(
            "the login {username:?} on this server belongs to {who}: choose another spec.username in a new object; \
             deleting this one deletes nothing on the server"
        ),
    }
}

/// Never made, and not there.
fn missing(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    sight: &Sight,
    now: Mono,
    settings: &Settings,
) -> Plan {
    if now - sight.started > settings.fresh_for {
        return Plan::look(observed, server, Step::List);
    }
    if !sight.conclusive {
        return Plan::look(observed, server, Step::Read);
    }
    if let Some(held) = cannot_stage(desired, observed, server) {
        return held;
    }
    claim_then_stage(
        observed,
        draft(
            Kind::Create,
            Cause::Missing,
            DraftPassword::New,
            sight.as_seen(),
            false,
        ),
        "Creating",
    )
}

/// What has to be true before anything may be staged.
fn cannot_stage(desired: &Desired, observed: &Observed, server: &Server) -> Option<Plan> {
    if let SecretView::Foreign(whose) = &observed.secret {
        return Some(Plan::not_ready(secret_conflict(whose)));
    }
    if let Some(rejected) = observed
        .rejected
        .as_ref()
        .filter(|rejected| rejected.wish == desired.wish)
    {
        return Some(Plan::stalled(
            observed,
            super::entry::rejection(&rejected.message),
        ));
    }
    if let WantedPassword::Missing(why) = &desired.password {
        return Some(Plan::waiting(observed, "PasswordNotFound", why.clone()));
    }
    if let Some(trouble) = &server.trouble {
        return Some(Plan::troubled(observed, trouble));
    }
    if !server.credentials_worked {
        return Some(Plan::look(observed, server, Step::List));
    }
    None
}

pub fn secret_conflict(whose: &str) -> Stalled {
    Stalled {
        reason: "SecretConflict",
        message: format!(
            "the output Secret's name is taken: {whose}. It is left as it is: delete or rename that Secret, or make \
             another PostgresUser with another spec.secret.name"
        ),
    }
}

fn draft(kind: Kind, cause: Cause, password: DraftPassword, seen: Seen, proven_ours: bool) -> Draft {
    Draft {
        replaces: None,
        kind,
        cause,
        password,
        seen,
        proven_ours,
    }
}

fn claim_then_stage(observed: &Observed, draft: Draft, reason: &'static str) -> Plan {
    let claimed = observed.finalizer && observed.claim == observed.own_claim;
    let step = if claimed { Step::Stage(draft) } else { Step::Claim };
    Plan::doing(observed, step, reason)
}

/// Never made by us, but there.
fn exists(desired: &Desired, observed: &Observed, server: &Server, user: &RemoteUser, sight: &Sight) -> Plan {
    if user.protected {
        return Plan::not_ready(Stalled {
            reason: "AlreadyExists",
            message: format!(
                "{:?} is a system user of the server, which is never changed or adopted: choose another spec.username",
                user.username
            ),
        });
    }
    if !desired.adopt || !server.allow_adoption {
        return Plan::not_ready(already_exists(desired, user, server));
    }
    if let Some(held) = cannot_stage(desired, observed, server) {
        return held;
    }
    let seen = sight.as_seen();
    claim_then_stage(
        observed,
        draft(Kind::Adopt, Cause::Adoption, DraftPassword::New, seen, false),
        "Adopting",
    )
}

fn already_exists(desired: &Desired, user: &RemoteUser, server: &Server) -> Stalled {
    let way_out = match (server.allow_adoption, desired.adopt) {
        (true, _) => "to take it over and give it a new password, set spec.adoptionPolicy: Adopt",
        (false, _) => "this server object does not allow adoption (spec.allowAdoption)",
    };
    Stalled {
        reason: "AlreadyExists",
        message: format!(
            "a login {:?} exists already and is not this object's: {way_out}",
            user.username
        ),
    }
}

/// Ours by the record, but not there: made again, with the password that the applications have.
fn vanished(desired: &Desired, observed: &Observed, server: &Server, now: Mono, settings: &Settings) -> Plan {
    if !fresh::surely_absent(observed, server, now, settings) {
        return Plan::confirm(observed, server, now, settings);
    }
    if let Some(held) = cannot_stage(desired, observed, server) {
        return held;
    }
    let password = match published_password(observed) {
        Held::Intact => DraftPassword::Published,
        Held::Lost => DraftPassword::New,
        Held::Unread => return Plan::doing(observed, Step::ReadSecret, "Recreating"),
    };
    let own_changed =
        matches!(&desired.password, WantedPassword::Own { mac } if Some(mac) != published_mac(observed));
    let password = if own_changed { DraftPassword::New } else { password };
    let seen = observed.sight.as_ref().map(Sight::as_seen).unwrap_or_default();
    claim_then_stage(
        observed,
        draft(Kind::Create, Cause::Missing, password, seen, false),
        "Recreating",
    )
}

/// Ours and there: is everything as it should be?
fn there(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    record: &Record,
    user: &RemoteUser,
    sight: &Sight,
    settings: &Settings,
) -> Plan {
    if user.protected || is_another_incarnation(record, user) {
        return another_incarnation(desired, observed, server, user, sight);
    }
    if let SecretView::Foreign(whose) = &observed.secret {
        return Plan::not_ready(secret_conflict(whose));
    }
    let seen = sight.as_seen();
    match reason_for_password(desired, observed, record, user, settings) {
        NewPassword::ReadSecretFirst => Plan::doing(observed, Step::ReadSecret, "Checking"),
        NewPassword::Fight => {
            let mut plan = Plan::not_ready(fight());
            // Noted once, so that it stands until a person has acted.
            plan.report.set_back = observed.set_backs < settings.set_backs_in_an_hour;
            plan
        }
        NewPassword::Needed(cause, password) => {
            if let Some(held) = cannot_stage(desired, observed, server) {
                return held;
            }
            if fresh::is_busy(server, settings) {
                return Plan::doing(observed, Step::PollCluster, "ClusterBusy");
            }
            let set_back = cause == Cause::SetBack;
            let mut plan = claim_then_stage(
                observed,
                draft(Kind::SetPassword, cause, password, seen, true),
                "SettingPassword",
            );
            plan.report.set_back = set_back && matches!(plan.step, Some(Step::Stage(_)));
            plan
        }
        NewPassword::NotNeeded => in_order(desired, observed, record, user, settings),
    }
}

/// Whether the remote says that this is not the user that the record speaks of: made at another time, or made
/// outside the API, where the record speaks of one that was made through it.
pub fn is_another_incarnation(record: &Record, user: &RemoteUser) -> bool {
    let other_date =
        matches!((record.created, user.created), (Some(recorded), Some(found)) if recorded != found);
    let not_made_by_us = matches!(user.creator, Creator::Unmanaged | Creator::System);
    other_date || (not_made_by_us && !record.adopted)
}

fn another_incarnation(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    user: &RemoteUser,
    sight: &Sight,
) -> Plan {
    if desired.adopt && server.allow_adoption && !user.protected {
        return exists(desired, observed, server, user, sight);
    }
    Plan::not_ready(Stalled {
        reason: "Conflict",
        message: format!(
            "the login {:?} was deleted and made again by somebody else: it is not changed. Delete it on the server, \
             or take it over with spec.adoptionPolicy: Adopt, where the server object allows it",
            user.username
        ),
    })
}

fn fight() -> Stalled {
    Stalled {
        reason: "Conflict",
        message: format!(
            "the password was changed from outside three times within an hour: something else manages this login. Find \
             and stop it, then set the annotation {} to a new value",
            crate::api::names::ROTATE
        ),
    }
}

/// The remote side is right: are the Secret's other keys, and what is recorded?
fn in_order(
    desired: &Desired,
    observed: &Observed,
    record: &Record,
    user: &RemoteUser,
    _settings: &Settings,
) -> Plan {
    let (Some(published), SecretView::Ours { resource_version, .. }) =
        (&observed.published, &observed.secret)
    else {
        return Plan::doing(observed, Step::ReadSecret, "Checking");
    };
    let moved = *resource_version != published.resource_version;
    if moved || published.content_digest != desired.content_digest {
        let precondition = Precondition::At(resource_version.clone());
        return Plan::doing(
            observed,
            Step::Publish(Publication {
                entry: None,
                precondition,
            }),
            "Publishing",
        );
    }
    let mut plan = match &desired.password {
        WantedPassword::Missing(why) => Plan::stalled(
            observed,
            Stalled {
                reason: "PasswordNotFound",
                message: format!("{why}; the last good password stands"),
            },
        ),
        _ => match observed
            .rejected
            .as_ref()
            .filter(|rejected| rejected.wish == desired.wish)
        {
            Some(rejected) => Plan::stalled(observed, super::entry::rejection(&rejected.message)),
            None => Plan::ready(),
        },
    };
    let later = user
        .modified
        .filter(|found| record.last_set.is_none_or(|ours| *found > ours));
    if later.is_some() || (record.created.is_none() && user.created.is_some()) {
        let created = record.created.or(user.created);
        plan.report.record = Some(Record {
            last_set: later.or(record.last_set),
            created,
            ..record.clone()
        });
    }
    plan
}
