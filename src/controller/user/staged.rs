//! What the journal has of a PostgresUser, with what is known of the requests.

use std::sync::PoisonError;

use kube::ResourceExt;

use crate::api::PostgresUser;
use crate::controller::context::Context;
use crate::controller::server::task::ServerTask;
use crate::controller::server::task::state::ServerState;
use crate::domain::attempts::{Attempts, Outcome};
use crate::domain::identity::RemoteIdentity;
use crate::domain::journal::protocol::{self, Term};
use crate::domain::journal::{Entry, EntryId, Kind};
use crate::domain::mac::Subject;
use crate::domain::plan::*;
use crate::domain::time::Mono;
use crate::domain::timings::ProtocolTimings;

pub(super) fn staged_entry(
    context: &Context,
    server: &ServerTask,
    user: &PostgresUser,
) -> Option<StagedEntry> {
    let uid = user.uid()?;
    let (entry, term) = server.journal.view(|journal, term| {
        let entry = journal?.entries.of(&uid)?;
        Some((Entry::clone(entry), term.cloned()))
    })?;
    let published = user.published();
    let known = published.map(|published| published.password_mac.as_str());
    Some(with_attempts(context, server, entry, known, term.as_ref()))
}

/// An entry with what is known of its sendings. `published` is the MAC of what is published now.
pub fn with_attempts(
    context: &Context,
    server: &ServerTask,
    entry: Entry,
    published: Option<&str>,
    term: Option<&Term>,
) -> StagedEntry {
    let inherited = term.filter(|term| term.inherited.contains(&entry.id));
    let mut state = server.state();
    let attempts = match (state.attempts(entry.id).cloned(), inherited) {
        (Some(known), _) => known,
        (None, Some(term)) => Attempts::inherited(term.began),
        (None, None) => Attempts::none(),
    };
    let attempts = dated(attempts, &state, term, &context.timings);
    if attempts.inherited {
        *state.attempts_mut(entry.id) = attempts.clone();
    }
    StagedEntry {
        mac: entry.password.as_ref().map(|password| {
            let subject = Subject::password_of(&entry.owner.uid);
            context.mac_key.mac_like(published, subject, password)
        }),
        inherited_until: term
            .filter(|_| attempts.inherited)
            .map(|term| protocol::inherited_until(term, &context.timings)),
        entry,
        attempts,
    }
}

/// The remote's clock is known only once the remote has been heard of: until then nothing dates the sendings of
/// an earlier leader.
fn dated(
    attempts: Attempts,
    state: &ServerState,
    term: Option<&Term>,
    timings: &ProtocolTimings,
) -> Attempts {
    let undated = attempts.inherited && attempts.last_by_remote.is_none();
    let Some(term) = term.filter(|_| undated) else {
        return attempts;
    };
    Attempts {
        last_by_remote: state.remote_time(term.began + timings.write_window),
        ..attempts
    }
}

/// What a PostgresUser that is gone has left on its way for the same login, on whatever server object.
pub(super) fn predecessor(
    context: &Context,
    user: &PostgresUser,
    username: &str,
    own: Option<&ServerTask>,
    identity: Option<&RemoteIdentity>,
) -> Predecessor {
    let Some(identity) = identity else {
        return Predecessor::None;
    };
    let uid = user.uid().unwrap_or_default();
    let servers: Vec<_> = {
        let servers = context.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let same = servers.values().filter(|server| server.identity == *identity);
        same.cloned().collect()
    };
    let mut found = Predecessor::None;
    for server in servers {
        let others: Vec<_> = server.journal.view(|journal, _| {
            let entries = journal
                .into_iter()
                .flat_map(|journal| journal.entries.for_username(username));
            let others = entries.filter(|entry| entry.owner.uid != uid);
            others.map(|entry| (entry.id, entry.kind)).collect()
        });
        for (id, kind) in others {
            let here = own.is_some_and(|own| own.uid == server.uid);
            let deleted = answered_deletion(&server, id, kind).filter(|_| here && found == Predecessor::None);
            found = match deleted {
                Some(answered) => Predecessor::Deleted { entry: id, answered },
                None => Predecessor::Blocks,
            };
        }
    }
    found
}

/// When a deletion was answered of which nothing can still arrive.
fn answered_deletion(server: &ServerTask, id: EntryId, kind: Kind) -> Option<Mono> {
    let state = server.state();
    let attempts = state.attempts(id)?;
    let deleted = matches!(
        attempts.outcome,
        Some(Outcome::Accepted { .. } | Outcome::NotFound)
    );
    attempts
        .last
        .filter(|_| kind == Kind::Delete && deleted && attempts.is_definite())
}
