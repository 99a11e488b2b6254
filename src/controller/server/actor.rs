//! The task that makes a server's remote calls, one after another.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::next::{Next, next};
use super::state::Topic;
use super::{Server, send};
use crate::clock;
use crate::domain::plan::Trouble;
use crate::domain::time::Mono;
use crate::provider::{AnyProvider, ErrorClass, Provider, RemoteError};

/// Makes calls until the server is stopped.
pub async fn run(server: Arc<Server>) {
    loop {
        if server.state().stopped {
            return;
        }
        let Some(provider) = server.link().provider else {
            server.wake.notified().await;
            continue;
        };
        let next = {
            let mut state = server.state();
            next(
                &mut state,
                server.capabilities.turns_busy,
                &server.settings,
                &server.pace,
                clock::now(),
            )
        };
        match next {
            Next::Poll => drop(poll(&server, &provider).await),
            Next::List => list(&server, &provider).await,
            Next::Read(username) => read(&server, &provider, &username).await,
            Next::Send(id) => send::send(&server, &provider, id).await,
            Next::Sleep(until) => sleep(&server, until).await,
        }
    }
}

async fn sleep(server: &Server, until: Mono) {
    let pause = (until - clock::now()).max(Duration::from_millis(1));
    let _ = tokio::time::timeout(pause, server.wake.notified()).await;
}

/// Looks at the cluster. True if it is there, in whatever state.
pub(super) async fn poll(server: &Server, provider: &AnyProvider) -> bool {
    server.turn().await;
    let started = clock::now();
    let result = server.call("cluster", provider.cluster()).await;
    match result {
        Ok(answer) => {
            let (available, changed) = {
                let mut state = server.state();
                state.last_poll = Some(clock::now());
                let before = (state.address.clone(), state.gone);
                state.polled(answer, started);
                let troubled = state.trouble.take().is_some();
                state.circuit.on_success();
                let changed = before != (state.address.clone(), state.gone);
                (!state.must_poll, troubled || changed)
            };
            // A cluster that is being destroyed will not be available again: who waits for that has to know.
            if available || changed {
                let waiting = server.state().take_waiting(&Topic::Poll);
                server.trigger(waiting);
            }
            if changed {
                recovered(server);
            }
            true
        }
        Err(error) => {
            server.state().last_poll = Some(clock::now());
            if error.class == ErrorClass::NotFound {
                cluster_not_found(server, provider, error).await;
            } else {
                failed(server, &error);
            }
            false
        }
    }
}

/// The server is in order again, or has changed: whoever waited goes on.
fn recovered(server: &Server) {
    let waiting = server.state().take_waiting(&Topic::Trouble);
    tracing::info!(server = %server.key, waiting = waiting.len(), "the server is in order, or has changed");
    server.trigger(waiting);
    server.report();
}

/// The remote says that there is no such cluster. It is believed only when its list says so too, more than once,
/// for long enough, and it was there before with these credentials.
async fn cluster_not_found(server: &Server, provider: &AnyProvider, error: RemoteError) {
    server.turn().await;
    let listed = server.call("list", provider.list()).await;
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
        let gone = state.seen_before && times >= 2 && now - first >= server.settings.gone_after;
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

async fn list(server: &Server, provider: &AnyProvider) {
    server.turn().await;
    let started = clock::now();
    let result = server.call("list", provider.list()).await;
    match result {
        Ok(mut answer) => {
            answer.value.users.iter_mut().for_each(|user| server.seal(user));
            let (news, waiting) = {
                let mut state = server.state();
                let news = state.listed(answer, started, server.settings.read_lag);
                state.list_wanted = false;
                state.refreshed = Some(Timestamp::now());
                state.refresh_due = Some(clock::now() + jittered(server.link().refresh_interval));
                succeeded(&mut state);
                (news, state.take_waiting(&Topic::List))
            };
            server.trigger(waiting);
            for username in news {
                server.triggers.remote_changed(&server.identity, &username);
            }
            server.report();
        }
        Err(error) if error.class == ErrorClass::NotFound => drop(poll(server, provider).await),
        Err(error) => failed(server, &error),
    }
}

fn succeeded(state: &mut super::state::State) {
    state.worked = true;
    state.circuit.on_success();
}

/// A tenth more or less, so that servers do not all refresh at once.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * jitter())
}

/// Anything from 0 to 1.
fn jitter() -> f64 {
    let mut random = [0; 2];
    let _ = getrandom::fill(&mut random);
    f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX)
}

async fn read(server: &Server, provider: &AnyProvider, username: &str) {
    server.turn().await;
    let started = clock::now();
    let result = server.call("get", provider.get(username)).await;
    match result {
        Ok(mut answer) => {
            answer.value.iter_mut().for_each(|user| server.seal(user));
            // "Not found" may speak of the whole cluster: it is believed only of a cluster that is there.
            if answer.value.is_none() && !poll(server, provider).await {
                server.state().reads_wanted.push_front(username.to_string());
                return;
            }
            let waiting = {
                let mut state = server.state();
                state.read(username, answer, started);
                succeeded(&mut state);
                state.take_waiting(&Topic::Read(username.to_string()))
            };
            server.trigger(waiting);
        }
        Err(error) => {
            server.state().reads_wanted.push_front(username.to_string());
            failed(server, &error);
        }
    }
}

/// Notes a failure: everybody is held back, and one call will find out when things are in order again.
pub(super) fn failed(server: &Server, error: &RemoteError) {
    let trouble = trouble_of(error);
    tracing::warn!(server = %server.key, %error, "remote call failed");
    let changed = {
        let mut state = server.state();
        let asked = error.class.retry_after();
        state.circuit.on_failure(clock::now(), asked, jitter());
        if matches!(error.class, ErrorClass::RateLimited { .. }) {
            let until = state.circuit.next_probe().unwrap_or_default();
            server.link().bucket.pause(until - clock::now());
        }
        if error.class == ErrorClass::Unauthorised {
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
            all.extend(state.take_waiting(&Topic::Poll));
            all
        };
        server.trigger(waiting);
        server.report();
    }
}

/// The pause after an entry was sent this many times in vain.
pub(super) fn backoff(server: &Server, tries: u32) -> Duration {
    let doubled = server.pace.retry_base.saturating_mul(1 << tries.min(16));
    jittered(doubled.min(server.pace.retry_cap))
}

fn trouble_of(error: &RemoteError) -> Trouble {
    let (reason, message, stalled) = match &error.class {
        ErrorClass::Unauthorised => (
            "Unauthorised",
            "the server does not accept the credentials, or they are not enough",
            false,
        ),
        ErrorClass::RateLimited { .. } => ("Throttled", "the server asks for fewer requests", false),
        ErrorClass::EndpointNotAllowed => (
            "EndpointNotAllowed",
            "the address is not on the operator's allow-list: an administrator has to add it with --allow-endpoint",
            true,
        ),
        ErrorClass::NotFound => ("ClusterNotFound", "the server knows no such cluster", false),
        ErrorClass::Busy | ErrorClass::Conflict => ("ClusterBusy", "the cluster takes no changes now", false),
        ErrorClass::Invalid => ("UnexpectedAnswer", "the server refused the request", false),
        _ => (
            "Unreachable",
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
