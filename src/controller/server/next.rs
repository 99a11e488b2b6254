//! Which call is made next: one at a time, what somebody waits for before what is periodic.

use std::time::Duration;

use super::Pace;
use super::state::State;
use crate::domain::journal::EntryId;
use crate::domain::remote::ClusterState;
use crate::domain::settings::Settings;
use crate::domain::time::Mono;

/// What the task does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Look at the cluster.
    Poll,
    /// Read all users.
    List,
    /// Read one user.
    Read(String),
    /// Send an entry.
    Send(EntryId),
    /// Nothing until then, unless something is asked for.
    Sleep(Mono),
}

/// Longer than anything waits.
const LONG: Duration = Duration::from_secs(3600);

/// Decides what is done next, and takes it off the list of what is wanted.
pub fn next(state: &mut State, turns_busy: bool, settings: &Settings, pace: &Pace, now: Mono) -> Next {
    if !state.circuit.may_call(now) {
        return Next::Sleep(state.circuit.next_probe().unwrap_or(now + LONG));
    }
    if !state.circuit.is_closed() || state.cluster.is_none() {
        // One call finds out whether things are in order again, whoever else waits.
        return Next::Poll;
    }
    requeue_delayed(state, now);
    let busy = turns_busy
        && (state.must_poll
            || state
                .cluster
                .is_some_and(|(state, _)| state != ClusterState::Available));
    let poll_due = state.last_poll.map_or(now, |last| last + pace.busy_poll);
    if (busy || state.poll_wanted) && poll_due <= now {
        state.poll_wanted = false;
        return Next::Poll;
    }
    let list_due = list_due(state, settings);
    if list_due.is_some_and(|due| due <= now) {
        return Next::List;
    }
    if let Some(username) = state.reads_wanted.pop_front() {
        return Next::Read(username);
    }
    if !busy && let Some((_, id)) = state.queue.pop() {
        return Next::Send(id);
    }
    let poll = (busy || state.poll_wanted).then_some(poll_due);
    let delayed = state.delayed.iter().map(|(due, ..)| *due).min();
    Next::Sleep(
        [list_due, poll, delayed]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now + LONG),
    )
}

/// When the next list is made: when the refresh is due, or, if somebody waits, no sooner after the last one
/// than reads may lag, so that many who wait share one.
fn list_due(state: &State, settings: &Settings) -> Option<Mono> {
    let Some(refresh) = state.refresh_due else {
        return Some(Mono::default());
    };
    if !state.list_wanted {
        return Some(refresh);
    }
    let spaced = state
        .last_list()
        .map_or(Mono::default(), |last| last + settings.read_lag);
    Some(refresh.min(spaced))
}

fn requeue_delayed(state: &mut State, now: Mono) {
    let (due, later) = std::mem::take(&mut state.delayed)
        .into_iter()
        .partition(|(at, ..)| *at <= now);
    state.delayed = later;
    let due: Vec<_> = due;
    for (_, id, class, namespace) in due {
        state.queue.push(class, &namespace, id);
    }
}
