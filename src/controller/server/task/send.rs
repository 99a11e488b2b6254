//! The sending of a journal entry: the gate, the call, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use super::blame::is_of_one_name;
use super::poll::poll;
use super::server_task::ServerTask;
use super::trouble::{backoff, failed};
use crate::clock;
use crate::domain::attempts::{Login, Outcome};
use crate::domain::journal::{Entry, EntryId, Kind, protocol};
use crate::domain::plan::is_good_to_send_on;
use crate::domain::remote::{ClusterState, Creator, RemoteUser};
use crate::domain::time::Mono;
use crate::failpoint::{self, Side};
use crate::objects::UserRef;
use crate::provider::{Answer, AnyProvider, ErrorClass, Mutation, Provider, RemoteError};

/// Sends an entry, if it may be sent, and tells its owner what came of it.
pub async fn send(server: &ServerTask, provider: &AnyProvider, id: EntryId) {
    let Some(entry) = server
        .journal
        .view(|journal, _| journal.and_then(|journal| journal.entries.get(&id).cloned()))
    else {
        server.state().replaced(id, None);
        return;
    };
    let owner = UserRef::new(&entry.owner.name).within(&entry.owner.namespace);
    let asked = clock::now();
    match admitted(server, &entry).await {
        Ok(()) => attempt(server, provider, &entry, asked).await,
        Err(Unsent::Look) => tracing::debug!(server = %server.key, "a look has become too old to send on"),
        Err(Unsent::Now(why)) => {
            tracing::warn!(server = %server.key, why, "an entry could not be sent now");
            put_off(server, id, server.retries.retry_base);
        }
    }
    server.state().landed(id);
    server.triggers.user(owner);
    if server.state().gone_owners.contains(&entry.owner.uid) {
        server.report();
    }
}

/// Why an entry was not sent.
enum Unsent {
    /// What it was to be sent on was seen too long ago: it is planned anew.
    Look,
    /// It cannot be sent now.
    Now(&'static str),
}

/// R3, R4, R11: the journal was written by this process a moment ago, and has this entry under its stamp; and the look on
/// which it was decided is still good.
async fn admitted(server: &ServerTask, entry: &Entry) -> Result<(), Unsent> {
    if !server.permit().await {
        return Err(Unsent::Now("the server is talked to in another way from now on"));
    }
    let enough = (server.timings.write_window / 2).min(Duration::from_secs(5));
    let opened = server.journal.open_gate(enough).await;
    server.note_journal();
    opened.map_err(|_| Unsent::Now("the journal could not be written"))?;
    let may = server.journal.view(|_, term| {
        term.is_some_and(|term| protocol::may_send(entry, term, clock::now(), &server.timings))
    });
    if !may {
        return Err(Unsent::Now("the window for sending had closed"));
    }
    match look_is_good(server, entry) {
        true => Ok(()),
        false => Err(Unsent::Look),
    }
}

/// Whether the owner has a turn still, and what is known of the user is good to send on at this moment (R11).
fn look_is_good(server: &ServerTask, entry: &Entry) -> bool {
    let state = server.state();
    if !state.turns.holds(&entry.owner.uid) {
        return false;
    }
    let attempts = state.attempts(entry.id).cloned().unwrap_or_default();
    let observation = state.observation(&entry.username, server.capabilities.direct_read, &server.timings);
    is_good_to_send_on(
        entry.kind,
        &attempts,
        observation.as_ref(),
        clock::now(),
        &server.timings,
    )
}

async fn attempt(server: &ServerTask, provider: &AnyProvider, entry: &Entry, asked: Mono) {
    let started = clock::now();
    let counts = server.capabilities.turns_busy;
    if counts {
        server.state().window.sent(entry.id);
    }
    let result = server.call(operation(entry.kind), call(provider, entry)).await;
    let ended = clock::now();
    if counts {
        server.state().window.answered(entry.id, ended);
    }
    match result {
        Ok(mut answer) => {
            answer.value.iter_mut().for_each(|user| server.seal(user));
            {
                let mut state = server.state();
                state.turns.answered(&entry.owner.uid, ended - asked);
                // What else there is to do of it needs the remote no more, or waits to be seen in effect.
                if counts && entry.kind != Kind::Delete {
                    state.turns.note_accepted(&entry.owner.uid, ended);
                }
            }
            accepted(server, entry, answer, started, ended);
        }
        Err(error) => match &error.class {
            ErrorClass::GateClosed
            | ErrorClass::EndpointNotAllowed
            | ErrorClass::Unreachable { .. }
            | ErrorClass::RateLimited { .. } => not_sent(server, entry, &error),
            ErrorClass::Unauthorized => forbidden(server, provider, entry, &error).await,
            ErrorClass::Unknown { .. } => unknown(server, provider, entry, &error, ended).await,
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
    let mutation = Mutation {
        username: &entry.username,
        owner: &entry.owner.uid,
        settings: &entry.settings,
        adopt: entry.kind == Kind::Adopt,
        former: entry.seen.mark.as_ref(),
    };
    let result = match (entry.kind, &entry.password) {
        (Kind::Create, Some(password)) => provider.create(&mutation, password).await,
        (Kind::SetPassword | Kind::Adopt, Some(password)) => provider.set_password(&mutation, password).await,
        (Kind::Configure, _) => provider.configure(&mutation).await,
        (Kind::Delete, _) => provider.delete(&mutation).await.map(|answer| Answer {
            value: None,
            date: answer.date,
        }),
        (_, None) => Err(RemoteError {
            operation: operation(entry.kind),
            class: ErrorClass::Invalid,
            detail: " (the journal's entry has no password)".to_string(),
            blockers: Vec::new(),
        }),
    };
    failpoint::hit(failpoint_of(entry.kind), Side::After);
    result
}

fn accepted(
    server: &ServerTask,
    entry: &Entry,
    answer: Answer<Option<RemoteUser>>,
    started: Mono,
    ended: Mono,
) {
    tracing::info!(server = %server.key, username = ?entry.username, operation = operation(entry.kind), "accepted");
    let mut state = server.state();
    state.worked = true;
    state.circuit.on_success();
    state.failed_names.clear();
    state.difficulties.over(&entry.username);
    if entry.kind == Kind::Configure {
        state.settings_taken(&entry.username);
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
        // What the change has granted is news of the change, not of the user: a list does not show it.
        let mut user = answer.value.clone();
        if let Some(role) = user.as_mut().and_then(|user| user.traits.role.as_mut())
            && !role.just_granted.is_empty()
        {
            Arc::make_mut(role).just_granted.clear();
        }
        state.patched(&entry.username, user, answer.date, started);
    }
    let by_remote = state.remote_time(ended);
    let attempts = state.attempts_mut(entry.id);
    attempts.last = Some(ended);
    attempts.last_by_remote = answer.date.or(by_remote);
    attempts.login = Login::NotTried;
    attempts.doubtful = false;
    attempts.outcome = Some(Outcome::Accepted {
        at: ended,
        user: answer.value,
    });
}

/// Nothing was sent, or nothing was done by it: the entry is as unsent as before.
fn not_sent(server: &ServerTask, entry: &Entry, error: &RemoteError) {
    put_off_longer(server, entry.id);
    if error.class != ErrorClass::GateClosed {
        failed(server, error);
    }
}

/// The credentials are not enough for this login, or for nothing any more.
async fn forbidden(server: &ServerTask, provider: &AnyProvider, entry: &Entry, error: &RemoteError) {
    put_off_longer(server, entry.id);
    if !is_of_one_name(server, provider, &entry.username, error).await {
        failed(server, error);
    }
}

/// No answer: it may have been done, or be done later.
async fn unknown(
    server: &ServerTask,
    provider: &AnyProvider,
    entry: &Entry,
    error: &RemoteError,
    ended: Mono,
) {
    {
        let mut state = server.state();
        state.wrote(&entry.username, ended);
        let by_remote = state.remote_time(ended);
        let attempts = state.attempts_mut(entry.id);
        attempts.unknown = true;
        attempts.outcome = None;
        attempts.last = Some(ended);
        attempts.last_by_remote = by_remote;
    }
    put_off_longer(server, entry.id);
    if !is_of_one_name(server, provider, &entry.username, error).await {
        failed(server, error);
    }
}

/// Refused. What a busy cluster refuses, or one that is gone, is not the fault of the request; and a refusal is
/// believed only of a change that was sent alone after a look that showed the cluster AVAILABLE, and the second time, since
/// a short busy spell may have ended before it could be seen.
async fn refused(
    server: &ServerTask,
    provider: &AnyProvider,
    entry: &Entry,
    error: &RemoteError,
    ended: Mono,
) {
    let alone = {
        let mut state = server.state();
        let alone = !server.capabilities.turns_busy || state.window.is_alone();
        state.window.refused();
        alone
    };
    let there = poll(server, provider).await;
    let available = there
        && server
            .state()
            .cluster
            .is_some_and(|(state, _)| state == ClusterState::Available);
    let absent = error.class == ErrorClass::NotFound && entry.kind != Kind::Create;
    if !there || !available || !alone || error.class == ErrorClass::Busy {
        return put_off_longer(server, entry.id);
    }
    if !absent && server.state().refusals(entry.id) == 0 {
        server.state().note_refusal(entry.id);
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
        _ => Outcome::Refused {
            message: error.to_string(),
            blockers: error.blockers.clone(),
        },
    });
    let succeeds = attempts.after_deletion.is_some();
    if entry.kind == Kind::Configure {
        state.note_settings_refused(&entry.username, ended);
    }
    if absent {
        state.wrote(&entry.username, ended);
    }
    if absent || succeeds {
        drop(state);
        // A read may still show the user, or a deletion take its time: it is not sent again and again meanwhile.
        return put_off_longer(server, entry.id);
    }
    // Should it be sent again one day, it again takes two refusals.
    state.tries.remove(&entry.id);
    state.forget_refusals(entry.id);
}

/// Puts an entry off for longer each time.
fn put_off_longer(server: &ServerTask, id: EntryId) {
    let tries = server.state().tries_of(id);
    put_off(server, id, backoff(server, tries));
}

fn put_off(server: &ServerTask, id: EntryId, pause: Duration) {
    server.state().put_off(id, pause);
}
