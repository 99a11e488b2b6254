//! The task that makes a server's remote calls, one after another.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::blame::is_of_one_name;
use super::next::{Nature, NextCall, next};
use super::pages::all_pages;
use super::poll::{poll, succeeded};
use super::send;
use super::server_task::ServerTask;
use super::state::Topic;
use super::trouble::failed;
use crate::clock;
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
