//! Which server objects have to do with a PostgresUser, by what it says itself.

use kube::ResourceExt;

use super::key::ServerKey;
use crate::api::PostgresUser;
use crate::domain::identity::Claim;

/// Whether a server object has to do with a PostgresUser: it is named, or something was begun there.
pub fn concerns(user: &PostgresUser, server: &ServerKey) -> bool {
    concerned(user).iter().flatten().any(|key| key == server)
}

/// The server objects that have to do with a PostgresUser: the one that its spec names, and where something was begun.
pub fn concerned(user: &PostgresUser) -> [Option<ServerKey>; 3] {
    [Some(ServerKey::named_by(user)), recorded(user), claimed(user)]
}

/// The server object that the record of ownership names.
pub fn recorded(user: &PostgresUser) -> Option<ServerKey> {
    Some(ServerKey::of(
        user.record()?.server_ref.as_ref()?,
        &user.namespace()?,
    ))
}

/// The server object that the claim names.
pub fn claimed(user: &PostgresUser) -> Option<ServerKey> {
    Some(ServerKey::of(&claim(user)?.server?, &user.namespace()?))
}

/// The claim that a PostgresUser carries.
pub fn claim(user: &PostgresUser) -> Option<Claim> {
    Claim::from_annotation(user.claim()?)
}
