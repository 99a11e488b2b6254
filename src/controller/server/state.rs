//! What is known of a remote cluster, and what is wanted of it. No IO: the task that makes the calls tells it
//! what came of them.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::UserRef;
use crate::clock;
use crate::domain::attempts::Attempts;
use crate::domain::journal::EntryId;
use crate::domain::plan::{Sight, Trouble};
use crate::domain::remote::{Cluster, ClusterState, RemoteUser};
use crate::domain::schedule::{Circuit, CircuitSettings, Class, Queue};
use crate::domain::settings::Settings;
use crate::domain::time::Mono;
use crate::provider::{Answer, Listing};

/// What somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// All users to be read.
    List,
    /// One user to be read.
    Read(String),
    /// The cluster to be AVAILABLE.
    Poll,
    /// The server's trouble to end.
    Trouble,
}

/// All users, as last read.
#[derive(Debug)]
pub struct Snapshot {
    users: HashMap<String, RemoteUser>,
    started: Mono,
    date: Option<Timestamp>,
    pages: u32,
}

/// A server object's generation and annotations.
pub type SpecSeen = (Option<i64>, Option<BTreeMap<String, String>>);

/// What is known, and what is wanted.
#[derive(Debug)]
pub struct State {
    /// When this process began to look after the server.
    pub began: Mono,
    snapshot: Option<Snapshot>,
    /// When the list before the last one was started: two lists make an absence where there is no direct read.
    earlier_list: Option<Mono>,
    reads: HashMap<String, Sight>,
    /// The cluster's state, and when the read that told it was started.
    pub cluster: Option<(ClusterState, Mono)>,
    /// Where clients connect to, as the provider says.
    pub host: Option<String>,
    /// The port, as the provider says.
    pub port: Option<u16>,
    /// When the cluster was last seen not AVAILABLE.
    pub last_not_available: Option<Mono>,
    /// The credentials have worked.
    pub worked: bool,
    /// The cluster was seen before with these credentials.
    pub seen_before: bool,
    /// The cluster counts as gone.
    pub gone: bool,
    /// The first of a row of answers that there is no such cluster, and how many there were.
    pub not_found: Option<(Mono, u32)>,
    /// What is wrong now.
    pub trouble: Option<Trouble>,
    /// Whether the remote may be called at all.
    pub circuit: Circuit,
    /// The account under which users are made.
    pub creator_id: Option<String>,
    /// The task is to end.
    pub stopped: bool,
    /// When the next refresh is due; none: now.
    pub refresh_due: Option<Mono>,
    /// The value of the annotation that asks for a refresh, as last seen.
    pub refresh_asked: Option<String>,
    /// The spec's generation and the annotations, as last seen.
    pub spec: Option<SpecSeen>,
    /// A mutation was accepted, and no AVAILABLE was read since.
    pub must_poll: bool,
    /// When the last poll was made.
    pub last_poll: Option<Mono>,
    pub(super) list_wanted: bool,
    pub(super) poll_wanted: bool,
    pub(super) reads_wanted: VecDeque<String>,
    pub(super) queue: Queue<EntryId>,
    /// Sendings that have to wait before they may be repeated.
    pub(super) delayed: Vec<(Mono, EntryId, Class, String)>,
    /// How often each entry was sent without success, and when it may be sent again.
    pub(super) tries: HashMap<EntryId, (u32, Mono)>,
    attempts: HashMap<EntryId, Attempts>,
    last_writes: HashMap<String, Mono>,
    waiting: HashMap<Topic, HashSet<UserRef>>,
    remote_clock: Option<(Timestamp, Mono)>,
}

impl State {
    /// Nothing known yet.
    pub fn new(seen_before: bool, circuit: CircuitSettings) -> Self {
        Self {
            began: clock::now(),
            snapshot: None,
            earlier_list: None,
            reads: HashMap::new(),
            cluster: None,
            host: None,
            port: None,
            last_not_available: None,
            worked: false,
            seen_before,
            gone: false,
            not_found: None,
            trouble: None,
            circuit: Circuit::new(circuit),
            creator_id: None,
            stopped: false,
            refresh_due: None,
            refresh_asked: None,
            spec: None,
            must_poll: false,
            last_poll: None,
            list_wanted: false,
            poll_wanted: false,
            reads_wanted: VecDeque::new(),
            queue: Queue::default(),
            delayed: Vec::new(),
            tries: HashMap::new(),
            attempts: HashMap::new(),
            last_writes: HashMap::new(),
            waiting: HashMap::new(),
            remote_clock: None,
        }
    }

    /// The newest that was read of a user.
    pub fn sight(&self, username: &str, direct_read: bool, settings: &Settings) -> Option<Sight> {
        let listed = self.snapshot.as_ref().map(|snapshot| {
            let user = snapshot.users.get(username).cloned();
            let apart = self
                .earlier_list
                .is_some_and(|earlier| snapshot.started - earlier >= settings.read_lag);
            let conclusive = if direct_read { snapshot.pages <= 1 } else { apart };
            Sight {
                user,
                started: snapshot.started,
                date: snapshot.date,
                conclusive,
            }
        });
        let read = self.reads.get(username).cloned();
        match (listed, read) {
            (Some(listed), Some(read)) => Some(if read.started >= listed.started {
                read
            } else {
                listed
            }),
            (listed, read) => listed.or(read),
        }
    }

    /// All users of the last list that are not the provider's own, and how many are.
    pub fn usernames(&self) -> Option<(HashSet<&str>, usize)> {
        let users = &self.snapshot.as_ref()?.users;
        let own = users
            .values()
            .filter(|user| !user.protected)
            .map(|user| user.username.as_str())
            .collect();
        Some((own, users.values().filter(|user| user.protected).count()))
    }

    /// When this process last changed a user; before its first change, when it began (R6).
    pub fn last_write(&self, username: &str) -> Mono {
        self.last_writes.get(username).copied().unwrap_or(self.began)
    }

    /// Notes that a user was changed, or may have been.
    pub fn wrote(&mut self, username: &str, at: Mono) {
        self.last_writes.insert(username.to_string(), at);
    }

    /// Notes what a list showed. Gives the users about whom it says something new.
    pub fn listed(&mut self, answer: Answer<Listing>, started: Mono) -> HashSet<String> {
        self.note_date(answer.date);
        let users: HashMap<_, _> = answer
            .value
            .users
            .into_iter()
            .map(|user| (user.username.clone(), user))
            .collect();
        let mut news = HashSet::new();
        if let Some(before) = &self.snapshot {
            let names = before.users.keys().chain(users.keys());
            news.extend(
                names
                    .filter(|name| before.users.get(*name) != users.get(*name))
                    .cloned(),
            );
        }
        self.earlier_list = self.snapshot.as_ref().map(|snapshot| snapshot.started);
        self.reads.retain(|_, sight| sight.started >= started);
        self.snapshot = Some(Snapshot {
            users,
            started,
            date: answer.date,
            pages: answer.value.pages,
        });
        news
    }

    /// Notes what a read showed.
    pub fn read(&mut self, username: &str, answer: Answer<Option<RemoteUser>>, started: Mono) {
        self.note_date(answer.date);
        let sight = Sight {
            user: answer.value,
            started,
            date: answer.date,
            conclusive: true,
        };
        self.reads.insert(username.to_string(), sight);
    }

    /// Notes what our own change made of a user. It is worth no more than a read that started before it.
    pub fn patched(
        &mut self,
        username: &str,
        user: Option<RemoteUser>,
        date: Option<Timestamp>,
        started: Mono,
    ) {
        let sight = Sight {
            user,
            started,
            date,
            conclusive: false,
        };
        self.reads.insert(username.to_string(), sight);
    }

    /// Notes what a poll showed. Gives whether the cluster has just become available.
    pub fn polled(&mut self, answer: Answer<Cluster>, started: Mono) -> bool {
        self.note_date(answer.date);
        let cluster = answer.value;
        let was = self.cluster.map(|(state, _)| state);
        self.cluster = Some((cluster.state, started));
        self.host = cluster.host.or(self.host.take());
        self.port = cluster.port.or(self.port);
        self.not_found = None;
        self.must_poll = cluster.state != ClusterState::Available;
        if self.must_poll {
            self.last_not_available = Some(clock::now());
        }
        if cluster.state == ClusterState::Destroying && (self.worked || self.seen_before) {
            self.gone = true;
        }
        self.worked = true;
        self.seen_before = true;
        was != Some(ClusterState::Available) && cluster.state == ClusterState::Available
    }

    /// When the last list was started.
    pub(super) fn last_list(&self) -> Option<Mono> {
        self.snapshot.as_ref().map(|snapshot| snapshot.started)
    }

    fn note_date(&mut self, date: Option<Timestamp>) {
        if let Some(date) = date {
            self.remote_clock = Some((date, clock::now()));
        }
    }

    /// What the remote's clock shows at a moment of ours, before or after it was last heard of.
    pub fn remote_time(&self, at: Mono) -> Option<Timestamp> {
        let (date, noted) = self.remote_clock?;
        let ahead = SignedDuration::try_from(at - noted).ok()?;
        let behind = SignedDuration::try_from(noted - at).ok()?;
        date.checked_add(ahead).ok()?.checked_sub(behind).ok()
    }

    /// What is known of an entry's sendings.
    pub fn attempts(&self, id: EntryId) -> Option<&Attempts> {
        self.attempts.get(&id)
    }

    /// What is known of an entry's sendings, to be changed.
    pub fn attempts_mut(&mut self, id: EntryId) -> &mut Attempts {
        self.attempts.entry(id).or_default()
    }

    /// Forgets an entry that is settled, or hands what is known of it to the one that takes its place.
    pub fn replaced(&mut self, id: EntryId, by: Option<EntryId>) {
        self.tries.remove(&id);
        let known = self.attempts.remove(&id);
        if let (Some(known), Some(by)) = (known, by)
            && known.unknown
        {
            let carried = Attempts {
                in_flight: false,
                outcome: None,
                ..known
            };
            self.attempts.insert(by, carried);
        }
    }

    /// Whether an entry is waiting to be sent, or on its way.
    pub fn is_queued(&self, id: EntryId) -> bool {
        self.attempts.get(&id).is_some_and(|attempts| attempts.in_flight)
    }

    pub(super) fn want_list(&mut self, user: UserRef) {
        self.list_wanted = true;
        self.wait_for(Topic::List, user);
    }

    pub(super) fn want_poll(&mut self, user: UserRef) {
        self.poll_wanted = true;
        self.wait_for(Topic::Poll, user);
    }

    pub(super) fn want_read(&mut self, username: &str, user: UserRef) {
        if !self.reads_wanted.iter().any(|wanted| wanted == username) {
            self.reads_wanted.push_back(username.to_string());
        }
        self.wait_for(Topic::Read(username.to_string()), user);
    }

    pub(super) fn want_send(&mut self, id: EntryId, class: Class, namespace: &str) {
        let attempts = self.attempts_mut(id);
        if attempts.in_flight {
            return;
        }
        attempts.in_flight = true;
        match self.tries.get(&id) {
            Some((_, not_before)) if *not_before > clock::now() => {
                self.delayed.push((*not_before, id, class, namespace.to_string()));
            }
            _ => self.queue.push(class, namespace, id),
        }
    }

    /// Puts an entry off: it was not sent, or has to be sent again.
    pub(super) fn put_off(&mut self, id: EntryId, pause: Duration) {
        let tries = self.tries.get(&id).map_or(0, |(tries, _)| *tries) + 1;
        self.tries.insert(id, (tries, clock::now() + pause));
    }

    /// How often an entry was sent without success.
    pub(super) fn tries_of(&self, id: EntryId) -> u32 {
        self.tries.get(&id).map_or(0, |(tries, _)| *tries)
    }

    pub(super) fn wait_for(&mut self, topic: Topic, user: UserRef) {
        self.waiting.entry(topic).or_default().insert(user);
    }

    pub(super) fn take_waiting(&mut self, topic: &Topic) -> HashSet<UserRef> {
        self.waiting.remove(topic).unwrap_or_default()
    }

    /// Starts anew, with nothing held against the server.
    pub(super) fn forget_failures(&mut self) {
        self.circuit.reset();
        self.not_found = None;
        self.refresh_due = None;
        self.worked = false;
    }
}
