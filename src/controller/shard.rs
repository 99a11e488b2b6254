//! Several operators share the work by the labels of server objects: each looks after those that its selector matches,
//! and after the PostgresUsers of these.
//!
//! All of them watch all objects, so that each knows what exists, who has which login, and what is another one's.

use crate::objects;
use crate::objects::{ServerKey, ServerObject, contender, wanted};

use kube::ResourceExt;

use super::context::Context;
use super::user::family;
use super::user::placement::{self, Whereabouts};
use crate::api::PostgresUser;
use crate::domain::claims::Right;
use crate::domain::identity::{ExclusionKey, RemoteIdentity};

/// Whether a PostgresUser is worked on here. One whose server object does not exist is told so by everybody.
pub fn works_on(context: &Context, user: &PostgresUser) -> bool {
    !matches!(placement::of(context, user), Whereabouts::Elsewhere)
}

/// What has to be known of every PostgresUser, by whomever it is worked on: which remote user it has, or wants.
pub fn note_owner(context: &Context, user: &PostgresUser) {
    if context.unread.of(&user.metadata).is_some() {
        return note_owner_as_read(context, user);
    }
    let object = context.server_object(&ServerKey::named_by(user));
    let recorded = user.record().map(RemoteIdentity::of_record);
    let right = match &object {
        _ if recorded.is_some() => Right::Record,
        Some(object) if claims_elsewhere(context, user, object) => Right::Claim,
        _ => Right::Wish,
    };
    let named = || object.as_ref().and_then(ServerObject::identity);
    if let Some(identity) = recorded.or_else(named) {
        let all = family::contended_by(user, identity, |name| match user.record_of(name) {
            _ if name == user.username() => right,
            None if right == Right::Record => Right::Claim,
            None => right,
            Some(_) => Right::Record,
        });
        context.contend_for(&all, contender(user, right), None);
    }
}

/// Whether a claim of a PostgresUser that another operator works on counts, as far as can be seen from here: its server
/// object admits it, and has been reached.
fn claims_elsewhere(context: &Context, user: &PostgresUser, object: &ServerObject) -> bool {
    let (Some(identity), Some(provider)) = (object.identity(), object.provider()) else {
        return false;
    };
    let has_worked = object
        .status()
        .is_some_and(|status| status.credentials_mac.is_some());
    has_worked
        && context.admits(object, &user.namespace().unwrap_or_default())
        && wanted::invalid_username(user, Some(object), provider.capabilities()).is_none()
        && objects::placement::claim(user)
            .is_some_and(|claim| claim.is_of(&context.installation, &identity, user.username()))
}

/// Of one that could not be read as a whole, what has been begun for it: whatever its spec asks for, that stays its own.
/// A claim of which no journal knows has begun nothing.
fn note_owner_as_read(context: &Context, user: &PostgresUser) {
    let record = user
        .status
        .as_ref()
        .and_then(|status| status.remote_users.first());
    let recorded = record.map(|record| ExclusionKey {
        identity: RemoteIdentity::of_record(record),
        username: record.username.clone(),
    });
    if let Some(key) = recorded.or_else(|| context.staged_for(&user.uid().unwrap_or_default())) {
        context.contend(key, contender(user, Right::Record));
    }
}
