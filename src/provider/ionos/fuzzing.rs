//! What the fuzz targets (`fuzz/`) reach of what is private here: answers, as they are read.

use super::pages::{NextPage, Pages};
use super::request::codes;
use super::wire::{ClusterResource, User, UserList};
use crate::domain::password::Password;
use crate::provider::http::Reply;
use crate::provider::{Cluster, Listing, RemoteUser};

/// A user.
pub fn user(body: &[u8]) -> Option<RemoteUser> {
    Reply::of_body(body).json::<User>().map(RemoteUser::from)
}

/// A page of users, if it has no more than so many.
pub fn page(body: &[u8], most: usize) -> Option<Vec<RemoteUser>> {
    let page = read_page(body, most)?;
    Some(page.items.into_iter().map(RemoteUser::from).collect())
}

/// The list that these pages make, each asked for with this limit; none if they make none.
pub fn list<'a>(bodies: impl IntoIterator<Item = &'a [u8]>, limit: u64, most: usize) -> Option<Listing> {
    let mut pages = Pages::new(limit);
    for body in bodies {
        let room = most.saturating_sub(pages.users());
        if pages.add(read_page(body, room)?).ok()? == NextPage::Done {
            return Some(pages.finish());
        }
    }
    None
}

fn read_page(body: &[u8], most: usize) -> Option<UserList> {
    let reply = Reply::of_body(body);
    match reply.has_more_than(most, &["items"]) {
        true => None,
        false => reply.json(),
    }
}

/// The cluster.
pub fn cluster(body: &[u8]) -> Option<Cluster> {
    Reply::of_body(body).json::<ClusterResource>().map(Cluster::from)
}

/// What is shown of a refusal, where this secret was sent.
pub fn refusal(body: &[u8], secret: &Password) -> String {
    let reply = Reply::of_body(body);
    reply.detail(codes(&reply), &[Some(secret)])
}
