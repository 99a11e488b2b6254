//! Which call is made next: what somebody waits for before what is periodic.

use std::time::Duration;

use super::server_task::RetryPolicy;
use super::state::ServerState;
use crate::domain::journal::EntryId;
use crate::domain::remote::ClusterState;
use crate::domain::time::Mono;
use crate::domain::timings::ProtocolTimings;

/// What the task does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextCall {
    /// Look at the cluster.
    Poll,
    /// Read all users.
    List,
    /// Read one user.
    Read(String),
    /// Send entries, at once.
    Send(Vec<EntryId>),
    /// Nothing until then, unless something is asked for.
    Sleep(Mono),
}

/// What a server is like, as far as it matters for what is done next.
#[derive(Debug, Clone, Copy)]
pub struct Nature {
    /// A change may turn it BUSY.
    pub turns_busy: bool,
    /// How many changes are sent at once.
    pub at_once: usize,
}

/// The cluster's address may change: it is looked at now and then even if nothing is sent.
const POLL_AT_LEAST: Duration = Duration::from_secs(3600);
/// How much less often a cluster that is BUSY is looked at while nobody wants anything of it.
const UNWANTED: u32 = 10;
/// How far apart lists are at least that somebody waits for.
const LISTS_APART: Duration = Duration::from_secs(1);
/// How many deletions have to be waiting to be seen for each page of a list that is made for them.
const DELETIONS_A_PAGE: u32 = 16;

/// Longer than anything waits.
const LONG: Duration = Duration::from_secs(3600);

/// Decides what is done next, and takes it off the list of what is wanted.
pub fn next(
    state: &mut ServerState,
    nature: Nature,
    timings: &ProtocolTimings,
    policy: &RetryPolicy,
    now: Mono,
) -> NextCall {
    if !state.circuit.may_call(now) {
        return NextCall::Sleep(state.circuit.next_probe().unwrap_or(now + LONG));
    }
    if !state.circuit.is_closed() || state.trouble.is_some() || state.cluster.is_none() {
        // One call finds out whether things are in order again, whoever else waits.
        return NextCall::Poll;
    }
    requeue_delayed(state, now);
    let poll_due = poll_due(state, nature, timings, policy, now);
    if poll_due.is_some_and(|due| due <= now) {
        return NextCall::Poll;
    }
    let list_due = list_due(state, timings);
    if list_due.is_some_and(|due| due <= now) {
        return NextCall::List;
    }
    if let Some(username) = read_due(state, now) {
        return NextCall::Read(username);
    }
    if !is_busy(state, nature) {
        let room = match nature.turns_busy {
            true => state.window.room(),
            false => usize::MAX,
        };
        let entries = state.take_sends(room.min(nature.at_once));
        if !entries.is_empty() {
            return NextCall::Send(entries);
        }
    }
    let delayed = state.delayed.iter().map(|(due, ..)| *due).min();
    let dues = [
        self::list_due(state, timings),
        poll_due,
        delayed,
        state.reads_wanted.next_due().filter(|due| *due > now),
        state.turns.next_reclaim(),
    ];
    NextCall::Sleep(dues.into_iter().flatten().min().unwrap_or(now + LONG))
}

/// Whether the cluster was seen not to take changes, and not otherwise since.
fn is_busy(state: &ServerState, nature: Nature) -> bool {
    let busy = |(state, _)| state != ClusterState::Available;
    nature.turns_busy && state.cluster.is_some_and(busy)
}

/// When the cluster is to be looked at: while it is BUSY, for those who wait for it, before more is sent than it has
/// earned, and now and then.
fn poll_due(
    state: &ServerState,
    nature: Nature,
    timings: &ProtocolTimings,
    policy: &RetryPolicy,
    now: Mono,
) -> Option<Mono> {
    let last = state.looks.last();
    let at_least = last.map(|last| last + POLL_AT_LEAST);
    let sending = !state.queue.is_empty();
    if is_busy(state, nature) {
        let due = state.looks.due_while_busy();
        let wanted = sending || state.looks.is_wanted();
        let unwanted = last.unwrap_or_default() + policy.busy_poll * UNWANTED;
        return Some(if wanted { due } else { due.max(unwanted) });
    }
    let exhausted = sending && nature.turns_busy && state.window.room() == 0;
    let ends_batch = state.window.look_due(timings.state_lag).filter(|_| exhausted);
    // Others may have made the cluster busy since it was last looked at.
    let stale = sending && nature.turns_busy && last.is_none_or(|last| now - last > timings.fresh_for);
    let stale = stale.then_some(now);
    [state.looks.due(), ends_batch, stale, at_least.or(Some(now))]
        .into_iter()
        .flatten()
        .min()
}

/// One user is read by itself where fewer are wanted than a list has pages; otherwise one list answers all.
fn read_due(state: &mut ServerState, now: Mono) -> Option<String> {
    let due = state.reads_wanted.due(now);
    if due > 1 && due >= state.pages() {
        state.list_wanted = true;
        return None;
    }
    state.reads_wanted.take(now)
}

/// When the next list is made: when the refresh is due, or, if somebody waits, so long after the last one that many who wait
/// share it.
fn list_due(state: &ServerState, timings: &ProtocolTimings) -> Option<Mono> {
    wanted_list_due(state, timings).map(|due| due.max(state.list_not_before))
}

fn wanted_list_due(state: &ServerState, timings: &ProtocolTimings) -> Option<Mono> {
    let Some(refresh) = state.refresh_due else {
        return Some(Mono::default());
    };
    if !state.list_wanted {
        return Some(refresh);
    }
    let apart = lists_apart(state, timings);
    let spaced = state.last_list().map_or(Mono::default(), |last| last + apart);
    Some(refresh.min(spaced))
}

/// How far apart lists are that somebody waits for: as long as reads may lag, or less where so many deletions wait to be seen
/// that they would fill the journal.
fn lists_apart(state: &ServerState, timings: &ProtocolTimings) -> Duration {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let worth = DELETIONS_A_PAGE.saturating_mul(count(state.pages()));
    let apart = timings.read_lag.saturating_mul(worth) / count(state.orphans).max(1);
    apart.min(timings.read_lag).max(LISTS_APART)
}

fn requeue_delayed(state: &mut ServerState, now: Mono) {
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
    use crate::objects::UserRef;
    use crate::provider::{Answer, Listing};

    const POLICY: RetryPolicy = RetryPolicy {
        retry_base: Duration::from_secs(1),
        retry_cap: Duration::from_secs(60),
        busy_poll: Duration::from_secs(1),
    };
    const IONOS: Nature = Nature {
        turns_busy: true,
        at_once: 1,
    };

    fn decide(state: &mut ServerState, now: Mono) -> NextCall {
        next(state, IONOS, &ProtocolTimings::default(), &POLICY, now)
    }

    fn look(state: &mut ServerState, cluster: ClusterState, now: Mono) {
        let answer = Answer {
            value: Cluster {
                state: cluster,
                host: None,
                port: None,
                database: None,
                sslmode: None,
            },
            date: None,
        };
        state.polled(
            answer,
            now,
            POLICY.busy_poll,
            ProtocolTimings::default().state_lag,
        );
        state.looks.made(now);
    }

    /// A server that was looked at and listed at this moment.
    fn in_order(now: Mono, cluster: ClusterState) -> ServerState {
        let circuit = CircuitSettings {
            failures: 1,
            ..CircuitSettings::default()
        };
        let mut state = ServerState::new(
            false,
            circuit,
            ProtocolTimings::default().fresh_for,
            Duration::ZERO,
        );
        look(&mut state, cluster, now);
        state.listed(
            Answer {
                value: Listing::default(),
                date: None,
            },
            now,
            Duration::ZERO,
        );
        state.refresh_due = Some(now + LONG * 2);
        state
    }

    fn now() -> Mono {
        crate::clock::now()
    }

    fn send(number: u64) -> NextCall {
        NextCall::Send(vec![EntryId(number)])
    }

    fn user() -> UserRef {
        UserRef::new("a").within("shop")
    }

    /// Sends what comes next, as the task does.
    fn sent(state: &mut ServerState, number: u64, now: Mono) {
        assert_eq!(decide(state, now), send(number));
        state.window.sent(EntryId(number));
        state.window.answered(EntryId(number), now);
    }

    #[test]
    fn a_server_that_nobody_has_seen_is_looked_at_first() {
        let mut state = ServerState::new(
            false,
            CircuitSettings::default(),
            Duration::from_secs(15),
            Duration::ZERO,
        );
        assert_eq!(decide(&mut state, now()), NextCall::Poll);
    }

    #[test]
    fn nothing_is_sent_while_the_cluster_is_busy() {
        let start = now();
        let mut state = in_order(start, ClusterState::Busy);
        state.want_send(EntryId(1), Class::New, "shop");
        let first = Duration::from_millis(5);
        assert_eq!(decide(&mut state, start), NextCall::Sleep(start + first));
        assert_eq!(decide(&mut state, start + first), NextCall::Poll);
    }

    #[test]
    fn an_available_cluster_gets_what_is_queued() {
        let start = now();
        let mut state = in_order(start, ClusterState::Available);
        state.want_send(EntryId(1), Class::New, "shop");
        assert_eq!(decide(&mut state, start), send(1));
        assert_eq!(decide(&mut state, start), NextCall::Sleep(start + LONG));
    }

    #[test]
    fn a_quiet_cluster_is_looked_at_once_for_more_and_more_changes() {
        let start = now();
        let mut state = in_order(start, ClusterState::Available);
        for number in 0..40 {
            state.want_send(EntryId(number), Class::New, "shop");
        }
        let mut sent = Vec::new();
        let mut at = start;
        for _ in 0..5 {
            let mut batch = 0;
            while let NextCall::Send(entries) = decide(&mut state, at) {
                state.window.sent(entries[0]);
                state.window.answered(entries[0], at);
                batch += 1;
            }
            sent.push(batch);
            at = at + Duration::from_millis(1);
            look(&mut state, ClusterState::Available, at);
        }
        assert_eq!(sent, [1, 2, 4, 8, 16]);
    }

    #[test]
    fn a_look_is_made_when_the_state_can_no_longer_trail_what_somebody_waits_for() {
        let start = now();
        let mut state = in_order(start, ClusterState::Available);
        state.want_send(EntryId(1), Class::New, "shop");
        sent(&mut state, 1, start);
        let certain = start + Duration::from_secs(1);
        state.looks.want(user(), certain);
        assert_eq!(decide(&mut state, start), NextCall::Sleep(certain));
        assert_eq!(decide(&mut state, certain), NextCall::Poll);
    }

    #[test]
    fn what_was_seen_long_ago_is_looked_at_again_before_anything_is_sent() {
        let start = now();
        let mut state = in_order(start, ClusterState::Available);
        state.want_send(EntryId(1), Class::New, "shop");
        assert_eq!(
            decide(&mut state, start + Duration::from_secs(60)),
            NextCall::Poll
        );
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
            NextCall::Sleep(start + Duration::from_secs(30))
        );
        assert_eq!(
            decide(&mut state, start + Duration::from_secs(30)),
            NextCall::Poll
        );
    }

    #[test]
    fn many_who_want_a_list_soon_after_the_last_one_share_the_next() {
        let start = now();
        let mut state = in_order(start, ClusterState::Available);
        state.list_wanted = true;
        let lag = ProtocolTimings::default().read_lag;
        assert_eq!(decide(&mut state, start), NextCall::Sleep(start + lag));
        assert_eq!(decide(&mut state, start + lag), NextCall::List);
    }

    #[test]
    fn one_user_is_read_by_itself_and_many_by_one_list() {
        let start = now();
        let mut state = in_order(start, ClusterState::Available);
        state.want_read("a", user());
        assert_eq!(decide(&mut state, start), NextCall::Read("a".to_string()));
        for name in ["a", "b"] {
            state.want_read(name, user());
        }
        let lag = ProtocolTimings::default().read_lag;
        assert_eq!(decide(&mut state, start), NextCall::Sleep(start + lag));
        assert_eq!(decide(&mut state, start + lag), NextCall::List);
    }
}
