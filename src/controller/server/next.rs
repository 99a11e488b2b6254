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

/// The cluster's address may change: it is looked at now and then even if nothing is sent.
const POLL_AT_LEAST: Duration = Duration::from_secs(3600);
/// Longer than anything waits.
const LONG: Duration = Duration::from_secs(3600);

/// Decides what is done next, and takes it off the list of what is wanted.
pub fn next(state: &mut State, turns_busy: bool, settings: &Settings, pace: &Pace, now: Mono) -> Next {
    if !state.circuit.may_call(now) {
        return Next::Sleep(state.circuit.next_probe().unwrap_or(now + LONG));
    }
    if !state.circuit.is_closed() || state.trouble.is_some() || state.cluster.is_none() {
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
    if state.last_poll.is_none_or(|last| now - last > POLL_AT_LEAST) {
        return Next::Poll;
    }
    let list_due = list_due(state, settings);
    if list_due.is_some_and(|due| due <= now) {
        return Next::List;
    }
    if let Some(username) = state.reads_wanted.pop_front() {
        return Next::Read(username);
    }
    if !busy && !state.queue.is_empty() {
        // Others may have made the cluster busy since it was last looked at.
        if turns_busy && state.last_poll.is_none_or(|last| now - last > settings.fresh_for) {
            return Next::Poll;
        }
        if let Some((_, id)) = state.queue.pop() {
            return Next::Send(id);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::remote::Cluster;
    use crate::domain::schedule::{CircuitSettings, Class};
    use crate::provider::{Answer, Listing};

    const PACE: Pace = Pace {
        retry_base: Duration::from_secs(1),
        retry_cap: Duration::from_secs(60),
        busy_poll: Duration::from_secs(1),
    };

    fn decide(state: &mut State, now: Mono) -> Next {
        next(state, true, &Settings::default(), &PACE, now)
    }

    /// A server that was looked at and listed at this moment.
    fn in_order(now: Mono, cluster: ClusterState) -> State {
        let mut state = State::new(
            false,
            CircuitSettings {
                failures: 1,
                ..CircuitSettings::default()
            },
        );
        state.polled(
            Answer {
                value: Cluster {
                    state: cluster,
                    host: None,
                    port: None,
                    database: None,
                    sslmode: None,
                },
                date: None,
            },
            now,
        );
        state.last_poll = Some(now);
        state.listed(
            Answer {
                value: Listing::default(),
                date: None,
            },
            now,
            Duration::ZERO,
        );
        state.refresh_due = Some(now + LONG);
        state
    }

    fn now() -> Mono {
        crate::clock::now()
    }

    #[test]
    fn a_server_that_nobody_has_seen_is_looked_at_first() {
        let mut state = State::new(false, CircuitSettings::default());
        assert_eq!(decide(&mut state, now()), Next::Poll);
    }

    #[test]
    fn nothing_is_sent_while_the_cluster_is_busy() {
        let start = now();
        let mut state = in_order(start, ClusterState::Busy);
        state.want_send(EntryId(1), Class::New, "shop");
        assert_eq!(decide(&mut state, start), Next::Sleep(start + PACE.busy_poll));
        assert_eq!(decide(&mut state, start + PACE.busy_poll), Next::Poll);
    }

    #[test]
    fn an_available_cluster_gets_what_is_queued() {
        let start = now();
        let mut state = in_order(start, ClusterState::Available);
        state.want_send(EntryId(1), Class::New, "shop");
        assert_eq!(decide(&mut state, start), Next::Send(EntryId(1)));
        assert_eq!(decide(&mut state, start), Next::Sleep(start + LONG));
    }

    #[test]
    fn what_was_seen_long_ago_is_looked_at_again_before_anything_is_sent() {
        let start = now();
        let mut state = in_order(start, ClusterState::Available);
        state.want_send(EntryId(1), Class::New, "shop");
        assert_eq!(decide(&mut state, start + Duration::from_secs(60)), Next::Poll);
    }

    #[test]
    fn a_server_that_fails_is_left_alone_and_then_probed_once() {
        let start = now();
        let mut state = in_order(start, ClusterState::Available);
        state.want_send(EntryId(1), Class::New, "shop");
        state.list_wanted = true;
        state
            .circuit
            .on_failure(start, Some(Duration::from_secs(30)), 0.0);
        assert_eq!(
            decide(&mut state, start),
            Next::Sleep(start + Duration::from_secs(30))
        );
        assert_eq!(decide(&mut state, start + Duration::from_secs(30)), Next::Poll);
    }

    #[test]
    fn many_who_want_a_list_soon_after_the_last_one_share_the_next() {
        let start = now();
        let mut state = in_order(start, ClusterState::Available);
        state.list_wanted = true;
        let lag = Settings::default().read_lag;
        assert_eq!(decide(&mut state, start), Next::Sleep(start + lag));
        assert_eq!(decide(&mut state, start + lag), Next::List);
    }
}
