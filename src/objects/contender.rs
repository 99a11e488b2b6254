//! PostgresUsers that want the same login.

use jiff::Timestamp;
use kube::ResourceExt;

use crate::api::PostgresUser;
use crate::domain::claims::{Contender, Right};

/// A PostgresUser as somebody who wants or has a remote user.
pub fn contender(user: &PostgresUser, right: Right) -> Contender {
    Contender {
        uid: user.uid().unwrap_or_default().into(),
        namespace: user.namespace().unwrap_or_default().into(),
        name: user.name_any().into(),
        created: user
            .creation_timestamp()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        right,
    }
}
