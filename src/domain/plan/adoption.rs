//! A login that exists before anything was made for the PostgresUser.

use super::ownership::another_installations;
use super::stage::{cannot_stage, claim_then_stage, draft};
use super::types::*;
use crate::api::Reason;
use crate::domain::journal::{Cause, Kind};
use crate::domain::remote::RemoteUser;
use crate::domain::role::FoundRole;

/// Never made by us, but there.
pub(super) fn exists(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    user: &RemoteUser,
    observation: &Observation,
) -> Plan {
    if user.protected {
        return Plan::not_ready(Stalled {
            reason: Reason::AlreadyExists,
            message: format!(
                "{:?} is a system user of the server, which is never changed or adopted: choose another spec.username",
                user.username
            ),
        });
    }
    if let Some(stalled) = another_installations(observed, server, user) {
        return Plan::not_ready(stalled);
    }
    let marked_ours = user.mark().is_some_and(|mark| mark.uid == observed.uid);
    if !marked_ours && (!desired.adopt || !server.allow_adoption) {
        return Plan::not_ready(already_exists(desired, user, server));
    }
    if !marked_ours && is_too_powerful(desired, user) {
        return Plan::not_ready(too_powerful(user));
    }
    if let Some(held) = cannot_stage(desired, observed, server) {
        return held;
    }
    claim_then_stage(
        observed,
        draft(
            Kind::Adopt,
            Cause::Adoption,
            DraftPassword::New,
            observation.as_seen(),
            marked_ours,
        ),
        Reason::Adopting,
    )
}

/// Whether a user has power over others, and is not named as one that may be taken over all the same.
pub(super) fn is_too_powerful(desired: &Desired, user: &RemoteUser) -> bool {
    let role = user.traits.role.as_deref();
    !desired.settings.adopts_power && role.is_some_and(FoundRole::is_powerful)
}

fn too_powerful(user: &RemoteUser) -> Stalled {
    Stalled {
        reason: Reason::AlreadyExists,
        message: format!(
            "a login {:?} exists already, is not this object's, and has CREATEROLE or BYPASSRLS: it is taken over only if the \
             server object names it (spec.postgresql.allowed.adoption)",
            user.username
        ),
    }
}

fn already_exists(desired: &Desired, user: &RemoteUser, server: &Server) -> Stalled {
    let way_out = match (server.allow_adoption, desired.adopt) {
        (true, _) => "to take it over and give it a new password, set spec.adoptionPolicy: Adopt",
        (false, _) => "this server object does not allow adoption (spec.allowAdoption)",
    };
    Stalled {
        reason: Reason::AlreadyExists,
        message: format!(
            "a login {:?} exists already and is not this object's: {way_out}",
            user.username
        ),
    }
}
