//! Which of a PostgresUser's logins is seen to, and what is wanted of it, where two take turns.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;

use crate::api::{PostgresUser, names};
use crate::clock;
use crate::controller::context::Context;
use crate::controller::server::task::ServerTask;
use crate::domain::alternation::{self, Family, Part, Underway};
use crate::domain::claims::{Contended, Right};
use crate::domain::identity::RemoteIdentity;
use crate::domain::journal::Cause;
use crate::domain::plan::Observed;
use crate::domain::role::RoleSettings;
use crate::domain::time::Mono;
use crate::domain::wish;
use crate::objects::{ServerObject, wanted};

pub use crate::domain::alternation::Login;

/// The logins to be looked at, in this order, until one has something to do.
pub fn logins(
    context: &Context,
    user: &PostgresUser,
    object: Option<&ServerObject>,
    server: Option<&ServerTask>,
) -> Vec<Login> {
    let entry = server.and_then(|server| server.journal.entry_of(&user.uid()?));
    let underway = entry.as_ref().map(|(entry, _)| Underway::of(entry));
    if !is_large(user) && underway.is_none() {
        return vec![alone(user)];
    }
    let wanted = wanted_change(context, user, object);
    let family = Family {
        wanted: wanted.as_ref(),
        ..of(context, user, object)
    };
    alternation::parts(&family, underway)
}

/// A login that is the only one.
pub fn alone(user: &PostgresUser) -> Login {
    Login {
        username: user.username().to_string(),
        part: Part::Sole,
    }
}

/// Whether a PostgresUser has, or is to have, more than one login.
pub fn is_large(user: &PostgresUser) -> bool {
    let own = user.username();
    user.alternates()
        || user.published_username() != own
        || user.records().iter().any(|it| it.username != own)
}

/// All names that a PostgresUser's logins have, or may have.
pub fn names(user: &PostgresUser) -> Vec<String> {
    let mut all = vec![user.username().to_string()];
    if is_large(user) {
        all.extend(alternation::members(user.username()));
    }
    all
}

/// What says which login is seen to, but for a change of password that is wanted. To be asked several questions: the clock is looked
/// at once.
pub fn of<'a>(context: &Context, user: &'a PostgresUser, object: Option<&ServerObject>) -> Family<'a> {
    Family {
        username: user.username(),
        alternates: user.alternates(),
        has_owner: has_owner(user, object),
        published: user.published().map(|_| user.published_username()),
        records: user.records(),
        deleting: user.metadata.deletion_timestamp.is_some(),
        wanted: None,
        kept: user.published_before(),
        now: wall(context, user),
    }
}

/// The clock on the wall, as overlaps go by it.
fn wall(context: &Context, user: &PostgresUser) -> Timestamp {
    let works = user.records().iter().filter(|record| record.retired.is_none());
    let until = works
        .filter_map(|record| Some(record.retire_after.as_ref()?.0))
        .max();
    let uid = user.metadata.uid.as_deref().unwrap_or_default();
    context.overlaps.wall(uid, until, Timestamp::now(), clock::now())
}

/// Whether the members are members of a role that owns what they make.
fn has_owner(user: &PostgresUser, object: Option<&ServerObject>) -> bool {
    let provider = object.and_then(ServerObject::provider);
    match provider {
        Some(provider) => provider.capabilities().marks,
        None => user.records().iter().any(|it| it.provider == "postgresql"),
    }
}

/// Why the password is to be changed now, if it is.
fn wanted_change(context: &Context, user: &PostgresUser, object: Option<&ServerObject>) -> Option<Cause> {
    let asked = user
        .annotations()
        .get(names::ROTATE)
        .filter(|value| !value.is_empty());
    let status = user.status.as_ref()?;
    let handled = status.last_handled_rotation.as_deref();
    if let Some(asked) = asked.filter(|asked| !handled.is_some_and(|handled| wish::same(handled, asked))) {
        return Some(Cause::Rotation(wish::short(asked)));
    }
    let now = Timestamp::now();
    let due = wanted::next_rotation(user, status, object, context.options.min_rotation_interval, now)?;
    (due <= now).then_some(Cause::Scheduled)
}

/// The login of before that the Secret is to have, too, with this one.
pub fn previous(user: &PostgresUser, family: &Family<'_>, login: &Login) -> Option<String> {
    let asked = user.spec.secret.as_ref().and_then(|secret| secret.keep_previous);
    if asked != Some(true) {
        return None;
    }
    match &login.part {
        Part::Next(_) => Some(user.published_username().to_string()),
        _ => {
            let before = user.published_before()?;
            let until = user.record_of(before)?.retire_after.as_ref()?;
            (family.now < until.0).then(|| before.to_string())
        }
    }
}

/// Until when it is waited for the end of a login's sessions.
pub fn unused_by(user: &PostgresUser, family: &Family<'_>, login: &Login) -> Option<Mono> {
    let wait = alternation::wait_for_unused(user.spec.rotation.as_ref());
    let wait = wait.filter(|_| family.is_retiring(login))?;
    let until = user.record_of(&login.username)?.retire_after.as_ref()?;
    after(family, until.0, wait)
}

/// From when on it is told that a login of before is kept by workloads that are not all restarted yet.
pub fn rollout_by(user: &PostgresUser, family: &Family<'_>, login: &Login) -> Option<Mono> {
    let goes = family.is_retiring(login) || login.part == Part::Removed;
    let until = user.record_of(&login.username)?.retire_after.as_ref()?;
    let wait = alternation::most_wait(user.spec.rotation.as_ref());
    after(family, until.0, wait).filter(|_| goes)
}

/// When the login of before may be retired.
pub fn overlap_ends(family: &Family<'_>) -> Option<Mono> {
    after(family, family.overlap_ends()?, Duration::ZERO)
}

/// So long after a time of the clock on the wall, however long ago that was. None if that is never.
fn after(family: &Family<'_>, time: Timestamp, wait: Duration) -> Option<Mono> {
    let time = time.checked_add(wait).ok()?;
    Some(clock::ahead_of(family.now, time))
}

/// Whether what has been begun for a login would not be begun any more.
pub fn is_withdrawn(
    context: &Context,
    user: &PostgresUser,
    object: Option<&ServerObject>,
    family: &Family<'_>,
    login: &Login,
) -> bool {
    let wanted = wanted_change(context, user, object);
    let family = Family {
        wanted: wanted.as_ref(),
        ..*family
    };
    family.is_withdrawn(login)
}

/// What is wanted of a login besides its name and its password.
pub fn settings(
    mut settings: RoleSettings,
    user: &PostgresUser,
    family: &Family<'_>,
    login: &Login,
) -> RoleSettings {
    if !family.has_owner {
        return settings;
    }
    let rotation = user.spec.rotation.as_ref();
    settings.end_sessions = rotation
        .and_then(|rotation| rotation.end_sessions)
        .unwrap_or_default();
    family.settings(settings, login)
}

/// What a PostgresUser contends for: each of its names by the right that it has to it. None while nobody knows where.
pub fn contended(
    user: &PostgresUser,
    observed: &Observed,
    may_have: bool,
    installation: &str,
    identity: Option<&RemoteIdentity>,
) -> Option<Contended> {
    let recorded = user.records().first().map(RemoteIdentity::of_record);
    let identity = recorded.as_ref().or(identity)?;
    let large = is_large(user);
    let claims = observed.claim.as_ref().is_some_and(|claim| {
        claim.is_of(installation, identity, user.username()) && (claim.alternating || !large)
    });
    let staged = observed
        .entry
        .as_ref()
        .map(|staged| staged.entry.username.as_str());
    let right = |name: &str| match () {
        () if user.record_of(name).is_some() || staged == Some(name) => Right::Record,
        () if may_have && claims => Right::Claim,
        () => Right::Wish,
    };
    Some(contended_by(user, identity.clone(), right))
}

/// All names of a PostgresUser, each with its right to it.
pub fn contended_by(
    user: &PostgresUser,
    identity: RemoteIdentity,
    right: impl Fn(&str) -> Right,
) -> Contended {
    let names = names(user).into_iter().map(|name| {
        let right = right(&name);
        (name, right)
    });
    Contended {
        identity,
        names: names.collect(),
    }
}
