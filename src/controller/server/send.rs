//! The sending of a journal entry: the gate, the call, and what came of it.

use std::time::Duration;

use super::actor::{backoff, failed, poll};
use super::{Server, UserRef};
use crate::clock;
use crate::domain::attempts::{Login, Outcome};
use crate::domain::journal::{Entry, EntryId, Kind, protocol};
use crate::domain::remote::{ClusterState, Creator, RemoteUser};
use crate::domain::time::Mono;
use crate::failpoint::{self, Side};
use crate::provider::{Answer, AnyProvider, ErrorClass, Order, Provider, RemoteError};

/// Sends an entry, if it may be sent, and tells its owner what came of it.
pub async fn send(server: &Server, provider: &AnyProvider, id: EntryId) {
    let Some(entry) = server
        .journal
        .view(|journal, _| journal.and_then(|journal| journal.entries.get(&id).cloned()))
    else {
        server.state().replaced(id, None);
        return;
    };
    let owner = UserRef::new(&entry.owner.name).within(&entry.owner.namespace);
    match admitted(server, &entry).await {
        Ok(()) => attempt(server, provider, &entry).await,
        Err(why) => {
            tracing::warn!(server = %server.key, why, "an entry could not be sent now");
            put_off(server, id, server.pace.retry_base);
        }
    }
    server.state().attempts_mut(id).in_flight = false;
    server.triggers.user(owner);
}

/// R3, R4: the journal was written by this process a moment ago, and has this entry under its stamp.
async fn admitted(server: &Server, entry: &Entry) -> Result<(), &'static str> {
    server.turn().await;
    let enough = (server.settings.write_window / 2).min(Duration::from_secs(5));
    server
        .journal
        .open_gate(enough)
        .await
        .map_err(|_| "the journal could not be written")?;
    let may = server.journal.view(|_, tenure| {
        tenure.is_some_and(|tenure| protocol::may_send(entry, tenure, clock::now(), &server.settings))
    });
    may.then_some(()).ok_or("the window for sending had closed")
}

async fn attempt(server: &Server, provider: &AnyProvider, entry: &Entry) {
    let started = clock::now();
    let result = server.call(operation(entry.kind), call(provider, entry)).await;
    let ended = clock::now();
    match result {
        Ok(mut answer) => {
            answer.value.iter_mut().for_each(|user| server.seal(user));
            accepted(server, entry, answer, started, ended);
        }
        Err(error) => match &error.class {
            ErrorClass::GateClosed | ErrorClass::EndpointNotAllowed | ErrorClass::Unreachable { .. } => {
                not_sent(server, entry, &error)
            }
            ErrorClass::Unauthorised | ErrorClass::RateLimited { .. } => not_sent(server, entry, &error),
            ErrorClass::Unknown { .. } => unknown(server, entry, &error, ended),
            ErrorClass::NotFound | ErrorClass::Conflict | ErrorClass::Invalid | ErrorClass::Busy => {
                refused(server, provider, entry, &error, ended).await
            }
        },
    }
}

fn operation(kind: Kind) -> &'static str {
    match kind {
        Kind::Create => "create",
        Kind::SetPassword | Kind::Adopt => "patch",
        Kind::Configure => "configure",
        Kind::Delete => "delete",
    }
}

fn failpoint_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Create => "remote-create",
        Kind::SetPassword | Kind::Adopt => "remote-patch",
        Kind::Configure => "remote-configure",
        Kind::Delete => "remote-delete",
    }
}

async fn call(provider: &AnyProvider, entry: &Entry) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
    failpoint::hit(failpoint_of(entry.kind), Side::Before);
    let order = Order {
        username: &entry.username,
        owner: &entry.owner.uid,
        settings: &entry.settings,
        adopt: entry.kind == Kind::Adopt,
        former: entry.seen.mark.as_ref(),
    };
    let result = match (entry.kind, &entry.password) {
        (Kind::Create, Some(password)) => provider.create(&order, password).await,
        (Kind::SetPassword | Kind::Adopt, Some(password)) => provider.set_password(&order, password).await,
        (Kind::Configure, _) => provider.configure(&order).await,
        (Kind::Delete, _) => provider.delete(&order).await.map(|answer| Answer {
            value: None,
            date: answer.date,
        }),
        (_, None) => Err(RemoteError {
            operation: operation(entry.kind),
            class: ErrorClass::Invalid,
            detail: " (the journal's entry has no password)".to_string(),
        }),
    };
    failpoint::hit(failpoint_of(entry.kind), Side::After);
    result
}

fn accepted(server: &Server, entry: &Entry, answer: Answer<Option<RemoteUser>>, started: Mono, ended: Mono) {
    tracing::info!(server = %server.key, username = ?entry.username, operation = operation(entry.kind), "accepted");
    let mut state = server.state();
    state.worked = true;
    state.circuit.on_success();
    state.must_poll = server.capabilities.turns_busy;
    if state.must_poll {
        state.last_poll = Some(ended);
    }
    state.tries.remove(&entry.id);
    state.wrote(&entry.username, ended);
    if entry.kind == Kind::Create
        && let Some(RemoteUser {
            creator: Creator::Account(id),
            ..
        }) = &answer.value
    {
        state.creator_id = Some(id.clone());
    }
    if entry.kind == Kind::Delete || answer.value.is_some() {
        state.patched(&entry.username, answer.value.clone(), answer.date, started);
    }
    let by_remote = state.remote_time(ended);
    let attempts = state.attempts_mut(entry.id);
    attempts.last = Some(ended);
    attempts.last_by_remote = answer.date.or(by_remote);
    attempts.login = Login::NotTried;
    attempts.outcome = Some(Outcome::Accepted {
        at: ended,
        user: answer.value,
    });
}

/// Nothing was sent, or nothing was done by it: the entry is as unsent as before.
fn not_sent(server: &Server, entry: &Entry, error: &RemoteError) {
    put_off_longer(server, entry.id);
    if error.class != ErrorClass::GateClosed {
        failed(server, error);
    }
}

/// No answer: it may have been done, or be done later.
fn unknown(server: &Server, entry: &Entry, error: &RemoteError, ended: Mono) {
    {
        let mut state = server.state();
        state.wrote(&entry.username, ended);
        state.must_poll = server.capabilities.turns_busy;
        let by_remote = state.remote_time(ended);
        let attempts = state.attempts_mut(entry.id);
        attempts.unknown = true;
        attempts.outcome = None;
        attempts.last = Some(ended);
        attempts.last_by_remote = by_remote;
    }
    put_off_longer(server, entry.id);
    failed(server, error);
}

/// Refused. What a busy cluster refuses, or one that is gone, is not the fault of the request; and a refusal is
/// believed only the second time, since a short busy spell may have ended before it could be seen.
async fn refused(server: &Server, provider: &AnyProvider, entry: &Entry, error: &RemoteError, ended: Mono) {
    let there = poll(server, provider).await;
    let available = there
        && server
            .state()
            .cluster
            .is_some_and(|(state, _)| state == ClusterState::Available);
    let absent = error.class == ErrorClass::NotFound && entry.kind != Kind::Create;
    let again =
        !available || error.class == ErrorClass::Busy || (!absent && server.state().tries_of(entry.id) == 0);
    if !there || again {
        return put_off_longer(server, entry.id);
    }
    let mut state = server.state();
    let by_remote = state.remote_time(ended);
    let attempts = state.attempts_mut(entry.id);
    attempts.last = Some(ended);
    attempts.last_by_remote = by_remote;
    attempts.outcome = Some(match (&error.class, entry.kind) {
        (ErrorClass::NotFound, _) => Outcome::NotFound,
        (_, Kind::Create) => Outcome::Exists(error.to_string()),
        _ => Outcome::Refused(error.to_string()),
    });
    if absent {
        state.wrote(&entry.username, ended);
        drop(state);
        // A read may still show the user: it is not sent again and again meanwhile.
        return put_off_longer(server, entry.id);
    }
    // Should it be sent again one day, it again takes two refusals.
    state.tries.remove(&entry.id);
}

/// Puts an entry off for longer each time.
fn put_off_longer(server: &Server, id: EntryId) {
    let tries = server.state().tries_of(id);
    put_off(server, id, backoff(server, tries));
}

fn put_off(server: &Server, id: EntryId, pause: Duration) {
    server.state().put_off(id, pause);
}
