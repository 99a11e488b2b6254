//! Looks at the cluster's state.

use super::pages::all_pages;
use super::server_task::ServerTask;
use super::state::Topic;
use super::trouble::failed;
use crate::clock;
use crate::domain::remote::{Cluster, ClusterState};
use crate::domain::time::Mono;
use crate::objects::UserRef;
use crate::provider::{Answer, AnyProvider, ErrorClass, Provider, RemoteError};

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

pub(super) fn succeeded(state: &mut super::state::ServerState) {
    state.worked = true;
    state.circuit.on_success();
}
