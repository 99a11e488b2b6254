//! The task that makes a server's remote calls, one after another.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::next::{Nature, NextCall, next};
use super::state::Topic;
use super::{ServerTask, send};
use crate::api::Reason;
use crate::clock;
use crate::domain::pause::Growth;
use crate::domain::plan::Trouble;
use crate::domain::remote::{Cluster, ClusterState};
use crate::domain::time::Mono;
use crate::objects::UserRef;
use crate::provider::memory::NO_ROOM;
use crate::provider::{Answer, AnyProvider, ErrorClass, Listing, Provider, RemoteError};

/// Makes calls until the server is stopped.
pub async fn run(server: Arc<ServerTask>) {
    while !server.stopping.is_cancelled() {
        let link = server.link();
        let Some(provider) = link.provider else {
            server.wake.notified().await;
            continue;
        };
        server.give_turns();
        let nature = Nature {
            turns_busy: server.capabilities.turns_busy,
            at_once: link.at_once,
        };
        let next = {
            let mut state = server.state();
            next(&mut state, nature, &server.timings, &server.retries, clock::now())
        };
        match next {
            NextCall::Poll => drop(poll(&server, &provider).await),
            NextCall::List => list(&server, &provider).await,
            NextCall::Read(username) => read(&server, &provider, &username).await,
            NextCall::Send(ids) => {
                let sendings = ids.into_iter().map(|id| send::send(&server, &provider, id));
                futures::future::join_all(sendings).await;
            }
            NextCall::Sleep(until) => sleep(&server, until).await,
        }
    }
}

async fn sleep(server: &ServerTask, until: Mono) {
    let pause = (until - clock::now()).max(Duration::from_millis(1));
    let _ = tokio::time::timeout(pause, server.wake.notified()).await;
}

/// Looks at the cluster. True if it is there, in whatever state.
pub(super) async fn poll(server: &ServerTask, provider: &AnyProvider) -> bool {
    if !server.permit().await {
        return false;
    }
    let started = clock::now();
    let result = server.call("cluster", provider.cluster()).await;
    server.state().looks.made(clock::now());
    match result {
        Ok(answer) => {
            let (told, changed) = polled(server, answer, started);
            server.trigger(told);
            if changed {
                recovered(server);
            }
            true
        }
        Err(error) => {
            if error.class == ErrorClass::NotFound {
                cluster_not_found(server, provider, error).await;
            } else {
                failed(server, &error);
            }
            false
        }
    }
}

/// Notes what a look showed. Gives whom it tells something, and whether the server was in trouble or is another than
/// before.
fn polled(server: &ServerTask, answer: Answer<Cluster>, started: Mono) -> (Vec<UserRef>, bool) {
    let available = answer.value.state == ClusterState::Available;
    let mut state = server.state();
    let before = (state.address.clone(), state.gone);
    // Up to a quarter more, so that those who look after the same cluster do not look in step.
    let longest_pause = server.retries.busy_poll.mul_f64(1.0 + clock::jitter() / 4.0);
    state.polled(answer, started, longest_pause, server.timings.state_lag);
    let troubled = state.trouble.take().is_some();
    state.circuit.on_success();
    let changed = troubled || before != (state.address.clone(), state.gone);
    let told = match (available, changed) {
        // A cluster that is being destroyed will not be available again: who waits for that has to know.
        (false, true) => state.looks.take_all(),
        (false, false) => Vec::new(),
        (true, _) => state.looks.available(started),
    };
    (told, changed)
}

/// The server is in order again, or has changed: whoever waited goes on.
fn recovered(server: &ServerTask) {
    let waiting = server.state().take_waiting(&Topic::Trouble);
    tracing::info!(server = %server.key, waiting = waiting.len(), "the server is in order, or has changed");
    server.trigger(waiting);
    server.report();
}

/// The remote says that there is no such cluster. It is believed only when its list says so too, more than once,
/// for long enough, and it was there before with these credentials.
async fn cluster_not_found(server: &ServerTask, provider: &AnyProvider, error: RemoteError) {
    let Some(listed) = all_pages(server, provider).await else {
        return;
    };
    if !matches!(&listed, Err(error) if error.class == ErrorClass::NotFound) {
        server.state().not_found = None;
        let inconsistent = RemoteError {
            class: ErrorClass::Unreachable { after: None },
            ..error
        };
        return failed(server, &inconsistent);
    }
    let now = clock::now();
    let became_gone = {
        let mut state = server.state();
        let (first, times) = state
            .not_found
            .map_or((now, 1), |(first, times)| (first, times + 1));
        state.not_found = Some((first, times));
        let gone = state.seen_before && times >= 2 && now - first >= server.timings.gone_after;
        let became = gone && !state.gone;
        state.gone = gone;
        became
    };
    failed(server, &error);
    if became_gone {
        tracing::warn!(server = %server.key, "the remote cluster counts as gone");
        recovered(server);
    }
}

async fn list(server: &ServerTask, provider: &AnyProvider) {
    let Some(result) = all_pages(server, provider).await else {
        return;
    };
    match result {
        Ok((answer, _)) if !server.has_room(&answer.value.users) => {
            list_failed(server);
            let class = ErrorClass::Unreachable { after: None };
            failed(server, &RemoteError::new("list users", class, NO_ROOM));
        }
        Ok((mut answer, started)) => {
            answer.value.users.iter_mut().for_each(|user| server.seal(user));
            let (news, waiting) = listed(server, answer, started);
            server.trigger(waiting);
            for username in news {
                server.triggers.remote_changed(&server.identity, &username);
            }
            server.report();
        }
        Err(error) if error.class == ErrorClass::NotFound => drop(poll(server, provider).await),
        Err(error) => {
            list_failed(server);
            failed(server, &error);
        }
    }
}

/// A list that fails where other calls go through fails again soon: its pauses grow by themselves.
fn list_failed(server: &ServerTask) {
    let mut state = server.state();
    let pause = state.list_pauses.next(clock::jitter());
    state.list_not_before = clock::now() + pause;
}

/// Lists all users, and tells when that was begun. Each page is a call: leave is asked for as many as the last list had. None
/// if the server is to stop meanwhile, or is talked to in another way.
async fn all_pages(
    server: &ServerTask,
    provider: &AnyProvider,
) -> Option<Result<(Answer<Listing>, Mono), RemoteError>> {
    let expected = server.state().pages();
    let permitted = server
        .permit_many(u32::try_from(expected).unwrap_or(u32::MAX))
        .await?;
    let started = clock::now();
    let result = server.call("list", provider.list()).await;
    if let Ok(answer) = &result {
        let beyond = answer.value.pages.saturating_sub(permitted);
        server.link().bucket.charge(clock::now(), beyond);
    }
    Some(result.map(|answer| (answer, started)))
}

/// Notes what a list showed: it answers all who wanted a read, too. Gives the names of which it tells something new, and
/// who waited.
fn listed(
    server: &ServerTask,
    answer: Answer<Listing>,
    started: Mono,
) -> (HashSet<String>, HashSet<UserRef>) {
    let is_kept = |id| {
        server
            .journal
            .view(|journal, _| journal.is_some_and(|journal| journal.entries.contains_key(&id)))
    };
    let mut state = server.state();
    let news = state.listed(answer, started, server.timings.read_lag);
    state.keep_attempts(is_kept);
    state.list_wanted = false;
    state.list_pauses.reset();
    state.refreshed = Some(Timestamp::now());
    state.refresh_due = Some(clock::now() + jittered(server.link().refresh_interval));
    succeeded(&mut state);
    let mut waiting = state.take_waiting(&Topic::List);
    for username in state.reads_wanted.take_all() {
        waiting.extend(state.take_waiting(&Topic::Read(username)));
    }
    (news, waiting)
}

fn succeeded(state: &mut super::state::ServerState) {
    state.worked = true;
    state.circuit.on_success();
}

/// A tenth more or less, so that servers do not all refresh at once.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * clock::jitter())
}

async fn read(server: &ServerTask, provider: &AnyProvider, username: &str) {
    if !server.permit().await {
        server.state().reads_wanted.want(username, clock::now());
        return;
    }
    let started = clock::now();
    let result = server.call("get", provider.get(username)).await;
    match result {
        Ok(mut answer) => {
            answer.value.iter_mut().for_each(|user| server.seal(user));
            // "Not found" may speak of the whole cluster: it is believed only of a cluster that is there.
            if answer.value.is_none() && !poll(server, provider).await {
                server.state().reads_wanted.want(username, clock::now());
                return;
            }
            let waiting = {
                let mut state = server.state();
                state.read(username, answer, started);
                succeeded(&mut state);
                state.difficulties.over(username);
                state.failed_names.clear();
                state.take_waiting(&Topic::Read(username.to_string()))
            };
            server.trigger(waiting);
        }
        Err(error) => {
            if !is_of_one_name(server, provider, username, &error).await {
                server.state().reads_wanted.want(username, clock::now());
                return failed(server, &error);
            }
            let waiting = {
                let mut state = server.state();
                let waiting = state.take_waiting(&Topic::Read(username.to_string()));
                for user in &waiting {
                    state.want_read(username, user.clone());
                }
                waiting
            };
            // They are told what is wrong, and the read is tried again by itself after a pause.
            server.trigger(waiting);
        }
    }
}

/// How many names in a row have to fail before that speaks of the server.
const NAMES_IN_A_ROW: usize = 3;

/// Whether a request about one login has failed for that login's sake: the server itself is in order, as a look at it shows,
/// and requests about others have not failed likewise. Then it is noted, and left alone for growing pauses.
pub(super) async fn is_of_one_name(
    server: &ServerTask,
    provider: &AnyProvider,
    username: &str,
    error: &RemoteError,
) -> bool {
    let of_server = matches!(
        error.class,
        ErrorClass::RateLimited { .. } | ErrorClass::EndpointNotAllowed | ErrorClass::GateClosed
    );
    if of_server || !poll(server, provider).await {
        return false;
    }
    let mut state = server.state();
    state.failed_names.insert(username.to_string());
    if state.failed_names.len() >= NAMES_IN_A_ROW {
        state.failed_names.clear();
        return false;
    }
    tracing::warn!(server = %server.key, ?username, %error, "requests about one login fail");
    let trouble = Trouble {
        reason: Reason::RequestFailed,
        message: format!(
            "the server is in order, but a request about this login fails ({error}): it is tried again after growing pauses"
        ),
        stalled: false,
    };
    let pause = |failures| backoff(server, failures);
    state.difficulties.note(username, trouble, clock::now(), pause);
    true
}

/// Notes a failure: everybody is held back, and one call will find out when things are in order again.
pub(super) fn failed(server: &ServerTask, error: &RemoteError) {
    let trouble = trouble_of(error);
    tracing::warn!(server = %server.key, %error, "remote call failed");
    let changed = {
        let mut state = server.state();
        let asked = error.class.retry_after();
        state.circuit.on_failure(clock::now(), asked, clock::jitter());
        state.turns.slow_down();
        if matches!(error.class, ErrorClass::RateLimited { .. }) {
            let until = state.circuit.next_probe().unwrap_or_default();
            server.link().bucket.pause(until - clock::now());
        }
        if error.class == ErrorClass::Unauthorized {
            state.worked = false;
        }
        let changed = state.trouble.as_ref().map(|trouble| trouble.reason) != Some(trouble.reason);
        state.trouble = Some(trouble);
        changed
    };
    if changed {
        // Those who wait for anything are told once what they wait for now.
        let waiting = {
            let mut state = server.state();
            let mut all = state.take_waiting(&Topic::List);
            all.extend(state.looks.take_all());
            all
        };
        server.trigger(waiting);
        server.report();
    }
}

/// The pause after an entry was sent this many times in vain.
pub(super) fn backoff(server: &ServerTask, tries: u32) -> Duration {
    let growth = Growth {
        first: server.retries.retry_base,
        longest: server.retries.retry_cap,
    };
    growth.after(tries.saturating_add(1), clock::jitter())
}

fn trouble_of(error: &RemoteError) -> Trouble {
    let (reason, message, stalled) = match &error.class {
        ErrorClass::Unauthorized => (
            Reason::Unauthorized,
            "the server does not accept the credentials, or they are not enough",
            false,
        ),
        ErrorClass::RateLimited { .. } => (Reason::Throttled, "the server asks for fewer requests", false),
        ErrorClass::EndpointNotAllowed => (
            Reason::EndpointNotAllowed,
            "the address is not on the operator's allow-list: an administrator has to add it with --allow-endpoint",
            true,
        ),
        ErrorClass::NotFound => (Reason::ClusterNotFound, "the server knows no such cluster", false),
        ErrorClass::Busy | ErrorClass::Conflict => {
            (Reason::ClusterBusy, "the cluster takes no changes now", false)
        }
        ErrorClass::Invalid => (Reason::UnexpectedAnswer, "the server refused the request", false),
        _ => (
            Reason::Unreachable,
            "the server cannot be reached or does not answer",
            false,
        ),
    };
    Trouble {
        reason,
        message: format!("{message} ({error})"),
        stalled,
    }
}
