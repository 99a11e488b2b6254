//! Which server object a PostgresUser is worked on by: the one that its spec names, unless another one has to finish or
//! undo first what was begun there.

use std::sync::PoisonError;

use kube::ResourceExt;

use crate::api::PostgresUser;
use crate::controller::context::Context;
use crate::objects::{ServerKey, placement};

/// By whom a PostgresUser is worked on.
#[derive(Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// By this operator.
    Here(Placement),
    /// Everything that was begun here is finished, and the server object that it was pointed to is another operator's:
    /// the claim is to name that one.
    HandOver(ServerKey),
    /// By another operator.
    Elsewhere,
}

/// Where a PostgresUser is worked on.
#[derive(Debug, PartialEq, Eq)]
pub enum Placement {
    /// By this server object.
    At(ServerKey),
    /// It was pointed to another server object, and whether the former one has anything staged for it is not known yet.
    Unknown(ServerKey),
}

/// Finds out where a PostgresUser is worked on.
///
/// Between operators that share the work, the claim says whose turn it is: whoever has finished lets it name the other
/// one's server object. Nobody works on a user that is not handed over yet.
pub fn of(context: &Context, user: &PostgresUser) -> Whereabouts {
    use Whereabouts::{Elsewhere, HandOver, Here};
    let wanted = ServerKey::named_by(user);
    let (recorded, claimed) = (placement::recorded(user), placement::claimed(user));
    let handed_over = claimed.as_ref() == Some(&wanted);
    let deleted = user.metadata.deletion_timestamp.is_some();
    let mut left = false;
    let selected = |key: &ServerKey| {
        let object = context.server_object(key)?;
        Some(context.options.selector.selects(&object))
    };
    for former in recorded
        .iter()
        .chain(&claimed)
        .filter(|former| **former != wanted)
    {
        let to_delete = deleted && recorded.as_ref() == Some(former);
        match selected(former) {
            None => {}
            Some(false) if handed_over && !to_delete => {}
            Some(false) => return Elsewhere,
            Some(true) if context.server(former).is_none() => {
                return Here(Placement::Unknown(former.clone()));
            }
            Some(true) if to_delete || has_entry(context, former, user) => {
                return Here(Placement::At(former.clone()));
            }
            Some(true) => left = true,
        }
    }
    match selected(&wanted) {
        // That there is none is said by everybody, and once.
        None | Some(true) => Here(Placement::At(wanted)),
        Some(false) if left && !handed_over => HandOver(wanted),
        Some(false) => Elsewhere,
    }
}

fn has_entry(context: &Context, key: &ServerKey, user: &PostgresUser) -> bool {
    let servers = context.servers.lock().unwrap_or_else(PoisonError::into_inner);
    let uid = user.uid().unwrap_or_default();
    servers.get(key).is_some_and(|server| {
        server
            .journal
            .view(|journal, _| journal.is_some_and(|journal| journal.entries.of(&uid).is_some()))
    })
}
