//! A PostgresUser of which something could not be read.
//!
//! Nothing is changed for it until it can be read. What of it can be read counts: it has its login, it uses its server
//! object, it may be let go by annotation; and it may be deleted, if all that a deletion goes by is known.

use std::time::Duration;

use kube::ResourceExt;

use crate::api::{PostgresUser, Reason, Unread, names};
use crate::controller::context::Context;
use crate::controller::events;
use crate::domain::plan::{Invalid, Unusable};

/// The condition's reason.
const REASON: Reason = Reason::Undecodable;

/// How soon to look again: a status that is mended is no change that anybody is told of.
pub const AGAIN: Duration = Duration::from_secs(30);

/// What a deletion goes by.
const FOR_DELETION: &[&[&str]] = &[
    &["spec", "serverRef"],
    &["spec", "username"],
    &["spec", "deletionPolicy"],
    &["spec", "secret", "name"],
    &["spec", "postgresql", "reassignOwnedTo"],
    &["status", "remoteUsers"],
    &["status", "secret"],
];

/// What tells which login it has.
const OF_THE_LOGIN: &[&[&str]] = &[&["metadata"], &["spec", "username"], &["status", "remoteUsers"]];

/// Tells of it where people look, once.
pub async fn tell(context: &Context, user: &PostgresUser) {
    if let Some(unread) = context.unread.untold(&user.metadata) {
        events::publish(context, user, true, REASON, message(&unread)).await;
    }
}

/// Why nothing is changed for it.
pub fn invalid(context: &Context, user: &PostgresUser) -> Option<Invalid> {
    let unread = context.unread.of(&user.metadata)?;
    Some(Invalid {
        reason: REASON,
        message: message(&unread),
    })
}

/// Why it is not deleted either.
pub fn for_deletion(context: &Context, user: &PostgresUser) -> Option<Unusable> {
    let unread = context.unread.of(&user.metadata)?;
    unread.touches(FOR_DELETION).then(|| Unusable {
        reason: REASON,
        message: message(&unread),
    })
}

/// Whether nobody can say which login it has, or whether it has one: it then stays as it is, unless it is let go by an
/// annotation that names the login.
pub fn hides_the_login(context: &Context, user: &PostgresUser) -> bool {
    let Some(unread) = context.unread.of(&user.metadata) else {
        return false;
    };
    let let_go = user.metadata.deletion_timestamp.is_some()
        && !unread.touches(&[&["spec", "username"]])
        && user.annotations().get(names::FORCE_FINALIZE).map(String::as_str) == Some(user.username());
    unread.touches(OF_THE_LOGIN) && !let_go
}

fn message(unread: &Unread) -> String {
    format!(
        "this operator cannot read {unread}: nothing is changed until that is mended, or a version is installed that can"
    )
}
