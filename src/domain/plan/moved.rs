//! A user that is the resource's already, reached by another server object, or left by an earlier installation: taken
//! over with the password that is published, so that no application notices.

use std::time::Duration;

use super::adoption::exists;
use super::ownership::another_installations;
use super::password::{PublishedPassword, published_password};
use super::stage::{cannot_stage, claim_then_stage, draft};
use super::types::*;
use crate::api::Reason;
use crate::domain::attempts::Login;
use crate::domain::journal::{Cause, Kind};
use crate::domain::time::Mono;

/// How soon to look again at a move that cannot be made.
const AGAIN: Duration = Duration::from_secs(30);

/// The next step for a resource whose record names another cluster than the server object that it was pointed to.
///
/// The two may be one database (a vendor's API and SQL). What shows it is that the published password logs in.
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    server: &Server,
    record: &Record,
    observation: &Observation,
    now: Mono,
) -> Plan {
    let Some(user) = &observation.user else {
        return match observation.proves_absence {
            false => Plan::look(observed, server, Step::Read),
            true => stays(
                observed,
                record,
                server,
                "there is no login of this name on the new one",
            ),
        };
    };
    if user.protected {
        return stays(
            observed,
            record,
            server,
            "the login is a system user of the new one",
        );
    }
    if let Some(stalled) = another_installations(observed, server, user) {
        return Plan::stalled(observed, stalled);
    }
    if user.mark().is_some_and(|mark| mark.uid == observed.uid) {
        return take_over(desired, observed, server, observation);
    }
    match (&observed.tried.login, server.verifiable) {
        (Login::Accepted, _) => take_over(desired, observed, server, observation),
        (Login::Refused(at), _) if now - *at < AGAIN => stays(
            observed,
            record,
            server,
            "the Secret's password does not log in on the new one",
        ),
        (Login::NotTried | Login::Refused(_), true) if published_password(observed).is_intact() => {
            Plan::look(observed, server, Step::TryPublished)
        }
        _ if desired.adopt && server.allow_adoption => exists(desired, observed, server, user, observation),
        _ => stays(
            observed,
            record,
            server,
            "a login of this name exists on the new one, but nothing shows that it is the same, since it cannot be \
             tried from here (spec.adoptionPolicy: Adopt takes it over all the same, where the server object allows it)",
        ),
    }
}

/// Takes the user over with the password that is published.
pub fn take_over(desired: &Desired, observed: &Observed, server: &Server, observation: &Observation) -> Plan {
    if let Some(held) = cannot_stage(desired, observed, server) {
        return held;
    }
    let password = match published_password(observed) {
        PublishedPassword::Intact => DraftPassword::Published,
        PublishedPassword::Lost => DraftPassword::New,
        PublishedPassword::Unread => return Plan::doing(observed, Step::ReadSecret, Reason::Moving),
    };
    claim_then_stage(
        observed,
        draft(Kind::Adopt, Cause::Moved, password, observation.as_seen(), true),
        Reason::Moving,
    )
}

fn stays(observed: &Observed, record: &Record, server: &Server, why: &str) -> Plan {
    let mut plan = Plan::stalled(
        observed,
        Stalled {
            reason: Reason::RemoteChanged,
            message: format!(
                "this login lives on {}, and spec.serverRef now names {}: {why}, so nothing is changed on either. Point \
                 spec.serverRef back, or delete this object (deletionPolicy: Retain keeps the login) and make it again",
                record.identity, server.identity
            ),
        },
    );
    // What the new server shows is announced to those who have a login there.
    plan.again = Some(AGAIN);
    plan
}
