//! What the fuzz targets (`fuzz/`) reach of what is private here: answers and tokens, as they are read.

use std::time::Duration;

use jiff::Timestamp;

use super::tokens;
use super::wire::{ErrorResponse, User, UserList, database_in, user_in};
use crate::domain::password::Password;
use crate::provider::http::Reply;
use crate::provider::{Cluster, RemoteUser};

/// A user, under its root or bare.
pub fn user(body: &[u8]) -> Option<RemoteUser> {
    user_in::<User>(&Reply::of_body(body)).map(RemoteUser::from)
}

/// All users, if there are no more than so many.
pub fn list(body: &[u8], most: usize) -> Option<Vec<RemoteUser>> {
    let reply = Reply::of_body(body);
    let list: UserList = match reply.has_more_than(most, &["database-users", "database_users"]) {
        true => None,
        false => reply.json(),
    }?;
    Some(list.users.into_iter().map(RemoteUser::from).collect())
}

/// The database, under its root or bare.
pub fn database(body: &[u8]) -> Option<Cluster> {
    database_in(&Reply::of_body(body)).map(Cluster::from)
}

/// What is shown of a refusal, where this secret was sent.
pub fn refusal(body: &[u8], secret: &Password) -> String {
    let reply = Reply::of_body(body);
    let codes = reply
        .json::<ErrorResponse>()
        .into_iter()
        .flat_map(ErrorResponse::codes);
    reply.detail(codes, &[Some(secret)])
}

/// How long a token is good by its own word, if it was given at this time.
pub fn token_life(token: &Password, date: Option<Timestamp>) -> Option<Duration> {
    tokens::said(&tokens::claims(token)?, date)
}
