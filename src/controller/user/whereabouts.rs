//! Which server object a PostgresUser is worked on by: the one that its spec names, unless another one has to finish or
//! undo first what was begun there.

use kube::ResourceExt;
use std::sync::PoisonError;

use crate::api::{PostgresUser, names};
use crate::controller::context::{Context, server_key};
use crate::controller::server::ServerKey;
use crate::controller::server_spec::ServerObject;
use crate::domain::identity::Claim;

/// Where a PostgresUser is worked on.
#[derive(Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// By this server object.
    At(ServerKey),
    /// It was pointed to another server object, and whether the former one has anything staged for it is not known yet.
    Unknown(ServerKey),
}

/// Finds out where a PostgresUser is worked on.
pub fn of(context: &Context, user: &PostgresUser) -> Whereabouts {
    let wanted = server_key(user);
    let Some(former) = former(user).filter(|former| *former != wanted) else {
        return Whereabouts::At(wanted);
    };
    if ServerObject::find(context, &former).is_none() {
        return Whereabouts::At(wanted);
    }
    if context.server(&former).is_none() {
        return Whereabouts::Unknown(former);
    }
    let owned = user.metadata.deletion_timestamp.is_some() && recorded(user).as_ref() == Some(&former);
    match owned || has_entry(context, &former, user) {
        true => Whereabouts::At(former),
        false => Whereabouts::At(wanted),
    }
}

/// The server object that the user was made by, or is claimed by.
pub fn former(user: &PostgresUser) -> Option<ServerKey> {
    recorded(user).or_else(|| claimed(user))
}

/// The server object that the record of ownership names.
pub fn recorded(user: &PostgresUser) -> Option<ServerKey> {
    let records = user.status.iter().flat_map(|status| &status.remote_users);
    let record = records
        .into_iter()
        .find(|record| record.username == user.username())?;
    Some(ServerKey::of(record.server_ref.as_ref()?, &user.namespace()?))
}

fn claimed(user: &PostgresUser) -> Option<ServerKey> {
    let claim = Claim::from_annotation(user.annotations().get(names::CLAIM)?)?;
    Some(ServerKey::of(&claim.server?, &user.namespace()?))
}

fn has_entry(context: &Context, key: &ServerKey, user: &PostgresUser) -> bool {
    let servers = context.servers.lock().unwrap_or_else(PoisonError::into_inner);
    let uid = user.uid().unwrap_or_default();
    servers.get(key).is_some_and(|server| {
        server.journal.view(|journal, _| {
            let mut entries = journal.iter().flat_map(|journal| journal.entries.values());
            entries.any(|entry| entry.owner.uid == uid)
        })
    })
}
