//! What is known of a remote cluster, and what is wanted of it. No IO: the task that makes the calls tells it
//! what came of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::listed::{find, power_of};
use super::logins::Logins;
use super::looks::Looks;
use super::lost::Lost;
use super::reads::{Difficulties, Reads};
use super::recount::Recount;
use super::turns::Turns;
use super::window::Window;
use crate::clock;
use crate::domain::attempts::{Attempts, Login};
use crate::domain::identity::Mark;
use crate::domain::journal::EntryId;
use crate::domain::pause::{Growing, Growth};
use crate::domain::plan::{Look, Observation, Trouble};
use crate::domain::remote::{Address, Cluster, ClusterState, RemoteUser};
use crate::domain::role::Power;
use crate::domain::schedule::{Circuit, CircuitSettings, Class, Queue};
use crate::domain::time::Mono;
use crate::domain::timings::ProtocolTimings;
use crate::objects::UserRef;
use crate::provider::{Answer, Listing};

/// A login with a published password.
#[derive(Debug)]
pub struct TriedLogin {
    /// The MAC of the password.
    pub mac: String,
    /// Where, as `host:port/database`.
    pub address: String,
    /// What came of it.
    pub login: Login,
}

/// What somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// All users to be read.
    List,
    /// One user to be read.
    Read(String),
    /// The server's trouble to end.
    Trouble,
}

/// All users, as last read.
#[derive(Debug)]
pub struct Snapshot {
    /// By name, each once: a table would take three times as much.
    users: Box<[RemoteUser]>,
    started: Mono,
    date: Option<Timestamp>,
    pages: u32,
}

/// How many looks that showed the cluster AVAILABLE are remembered.
const LOOKS_KEPT: usize = 256;
/// How far apart they are at least, but for the last one.
const LOOKS_APART: Duration = Duration::from_millis(500);

/// Between two tries of attributes or memberships that were refused.
const REFUSED_SETTINGS: Growth = Growth {
    first: Duration::from_secs(60),
    longest: Duration::from_secs(30 * 60),
};

/// A server object's generation and annotations, and the address that its provider gives.
pub type SpecSeen = (Option<i64>, Option<BTreeMap<String, String>>, Address);

/// What is known, and what is wanted.
#[derive(Debug)]
pub struct ServerState {
    /// When this process began to look after the server.
    pub began: Mono,
    snapshot: Option<Snapshot>,
    /// The list before the last one, when it was started and whom it showed, by hashes of their names: two lists make an
    /// absence. Two names with one hash make an absence doubtful, never certain.
    earlier_list: Option<(Mono, HashSet<u64>)>,
    hashes: RandomState,
    reads: HashMap<String, Observation>,
    /// The cluster's state, and when the read that told it was started.
    pub cluster: Option<(ClusterState, Mono)>,
    /// Where clients connect to, as the provider says.
    pub address: Address,
    /// The looks that showed the cluster AVAILABLE, the oldest first; the last few.
    pub available: Arc<[Look]>,
    /// When the cluster was last seen not AVAILABLE.
    pub last_not_available: Option<Mono>,
    /// The credentials have worked.
    pub worked: bool,
    /// The cluster was seen before with these credentials.
    pub seen_before: bool,
    /// The last other credentials with which it was seen, by their MAC.
    pub(super) seen_with: Option<String>,
    /// The cluster counts as gone.
    pub gone: bool,
    /// The first of a row of answers that there is no such cluster, and how many there were.
    pub not_found: Option<(Mono, u32)>,
    /// What is wrong now.
    pub trouble: Option<Trouble>,
    /// The Kubernetes API does not take the journal.
    pub journal_refused: bool,
    /// Whether the remote may be called at all.
    pub circuit: Circuit,
    /// The account under which users are made.
    pub creator_id: Option<String>,
    /// What became of logins with published passwords: the password's MAC, the outcome, when.
    tried: HashMap<String, (TriedLogin, Mono)>,
    /// Attributes and memberships that were refused: how often, and when last.
    settings_refused: HashMap<String, (u32, Mono)>,
    /// From when on those may be asked for again that were refused before this process began, or before a person asked for a
    /// refresh.
    settings_from: Mono,
    /// Whether logins are tried now.
    pub logins: Logins,
    /// A login could not be tried lately: why, and when.
    pub unverifiable: Option<(String, Mono)>,
    /// When the next refresh is due; none: now.
    pub refresh_due: Option<Mono>,
    /// The value of the annotation that asks for a refresh, as last seen.
    pub refresh_asked: Option<String>,
    /// What PostgresUsers were last told of.
    pub spec: Option<SpecSeen>,
    /// When all users were last read, by the clock on the wall.
    pub refreshed: Option<Timestamp>,
    /// How many journal entries there are whose PostgresUser is gone.
    pub orphans: usize,
    /// The UIDs of PostgresUsers that are known to be gone, of which the journal has an entry still.
    pub gone_owners: HashSet<String>,
    /// Logins whose deletion was accepted, and does not take effect.
    pub never_deleted: Vec<String>,
    /// The parameters of logins that somebody has dropped.
    pub lost: Lost,
    /// When the users are counted anew.
    pub(super) recount: Recount,
    /// Who may work on users now (R11).
    pub turns: Turns,
    /// What goes wrong with single logins.
    pub difficulties: Difficulties,
    /// The logins about which requests have failed since one about a login has worked.
    pub(super) failed_names: HashSet<String>,
    pub(super) looks: Looks,
    pub(super) window: Window,
    pub(super) reads_wanted: Reads,
    pub(super) list_wanted: bool,
    /// How long lists wait that fail though other calls go through.
    pub(super) list_pauses: Growing,
    pub(super) list_not_before: Mono,
    pub(super) queue: Queue<EntryId>,
    /// Sendings that have to wait before they may be repeated.
    pub(super) delayed: Vec<(Mono, EntryId, Class, String)>,
    /// How often each entry was sent without success, and when it may be sent again.
    pub(super) tries: HashMap<EntryId, (u32, Mono)>,
    /// How often each entry was refused while nothing else could explain it.
    refusals: HashMap<EntryId, u32>,
    attempts: HashMap<EntryId, Attempts>,
    last_writes: HashMap<String, Mono>,
    waiting: HashMap<Topic, HashSet<UserRef>>,
    remote_clock: Option<(Timestamp, Mono)>,
}

impl ServerState {
    /// Nothing known yet.
    pub fn new(seen_before: bool, circuit: CircuitSettings, fresh_for: Duration, lag: Duration) -> Self {
        let began = clock::now();
        Self {
            began,
            snapshot: None,
            earlier_list: None,
            hashes: RandomState::new(),
            reads: HashMap::new(),
            cluster: None,
            address: Address::default(),
            available: Arc::new([]),
            last_not_available: None,
            worked: false,
            seen_before,
            seen_with: None,
            gone: false,
            not_found: None,
            trouble: None,
            journal_refused: false,
            circuit: Circuit::new(circuit),
            creator_id: None,
            tried: HashMap::new(),
            settings_refused: HashMap::new(),
            settings_from: began + REFUSED_SETTINGS.first,
            logins: Logins::default(),
            unverifiable: None,
            refresh_due: None,
            refresh_asked: None,
            spec: None,
            refreshed: None,
            orphans: 0,
            gone_owners: HashSet::new(),
            never_deleted: Vec::new(),
            lost: Lost::default(),
            recount: Recount::default(),
            turns: Turns::new(fresh_for, lag),
            difficulties: Difficulties::default(),
            failed_names: HashSet::new(),
            looks: Looks::default(),
            window: Window::default(),
            reads_wanted: Reads::default(),
            list_wanted: false,
            list_pauses: Growing::new(Growth {
                first: circuit.first,
                longest: circuit.longest,
            }),
            list_not_before: Mono::default(),
            queue: Queue::default(),
            delayed: Vec::new(),
            tries: HashMap::new(),
            refusals: HashMap::new(),
            attempts: HashMap::new(),
            last_writes: HashMap::new(),
            waiting: HashMap::new(),
            remote_clock: None,
        }
    }

    /// The newest that was read of a user.
    pub fn observation(
        &self,
        username: &str,
        direct_read: bool,
        timings: &ProtocolTimings,
    ) -> Option<Observation> {
        if let Some(read) = self.read_since_list(username) {
            return Some(read.clone());
        }
        let snapshot = self.snapshot.as_ref()?;
        let apart = self.earlier_list.as_ref().is_some_and(|(earlier, names)| {
            snapshot.started - *earlier >= timings.read_lag
                && !names.contains(&self.hashes.hash_one(username))
        });
        Some(Observation {
            user: find(&snapshot.users, username).cloned(),
            started: snapshot.started,
            date: snapshot.date,
            proves_absence: apart || (direct_read && snapshot.pages <= 1),
        })
    }

    /// What was read of a user by itself, if no list is newer.
    fn read_since_list(&self, username: &str) -> Option<&Observation> {
        let read = self.reads.get(username)?;
        let listed = self.snapshot.as_ref();
        listed
            .is_none_or(|listed| read.started >= listed.started)
            .then_some(read)
    }

    /// All users that are not the provider's own, and how many are: those of the last list, with what was made, deleted or
    /// read since.
    pub fn usernames(&self) -> Option<(HashSet<&str>, usize)> {
        let users = &self.snapshot.as_ref()?.users;
        let mut own: HashSet<&str> = users
            .iter()
            .filter(|user| !user.protected)
            .map(|user| user.username.as_str())
            .collect();
        for (name, observation) in &self.reads {
            match &observation.user {
                Some(user) if user.protected => {}
                Some(_) => {
                    own.insert(name);
                }
                None => {
                    own.remove(name.as_str());
                }
            }
        }
        Some((own, users.iter().filter(|user| user.protected).count()))
    }

    /// Whose mark a user carried when it was last seen.
    pub fn mark_of(&self, username: &str) -> Option<Mark> {
        self.last_seen(username)?.mark().cloned()
    }

    /// A user, as far as it was there when it was last looked for.
    fn last_seen(&self, username: &str) -> Option<&RemoteUser> {
        match self.read_since_list(username) {
            Some(read) => read.user.as_ref(),
            None => find(&self.snapshot.as_ref()?.users, username),
        }
    }

    /// Notes what is lost with a user that is not there any more.
    fn note_lost(&mut self, username: &str, at: Mono) {
        if let Some(user) = self.last_seen(username).cloned() {
            self.lost.note(&user, at);
        }
    }

    /// Whether all users have been seen.
    pub fn has_list(&self) -> bool {
        self.snapshot.is_some()
    }

    /// How much a role gives to whoever is a member of it, by the last list; none before there was one.
    pub fn power_of(&self, role: &str) -> Option<Power> {
        let snapshot = self.snapshot.as_ref()?;
        Some(power_of(&snapshot.users, role))
    }

    /// The user that carries the mark of this UID, if there is none of this name, and it is not one of the owner's `own`.
    pub fn marked_with(&self, uid: &str, username: &str, own: &[String]) -> Option<String> {
        let users = &self.snapshot.as_ref()?.users;
        if find(users, username).is_some() {
            return None;
        }
        let marked = users
            .iter()
            .find(|user| user.mark().is_some_and(|mark| mark.uid == uid) && !own.contains(&user.username))?;
        Some(marked.username.clone())
    }

    /// When this process last changed a user; before its first change, when it began (R6).
    pub fn last_write(&self, username: &str) -> Mono {
        self.last_writes.get(username).copied().unwrap_or(self.began)
    }

    /// Notes that a user was changed, or may have been. What a login has shown before says nothing any more.
    pub fn wrote(&mut self, username: &str, at: Mono) {
        self.last_writes.insert(username.to_string(), at);
        self.tried.remove(username);
    }

    /// Notes that a user's attributes or memberships were refused.
    pub fn note_settings_refused(&mut self, username: &str, at: Mono) {
        let refused = self.settings_refused.entry(username.to_string()).or_default();
        *refused = (refused.0.saturating_add(1), at);
    }

    /// Notes that a user's attributes and memberships were taken.
    pub fn settings_taken(&mut self, username: &str) {
        self.settings_refused.remove(username);
    }

    /// When attributes and memberships that were refused may be asked for again: what was in their way, a privilege of the
    /// operator's login as a rule, may have been mended.
    pub fn settings_due(&self, username: &str) -> Mono {
        match self.settings_refused.get(username) {
            Some((refusals, last)) => *last + REFUSED_SETTINGS.after(*refusals, 0.0),
            None => self.settings_from,
        }
    }

    /// Has all that was refused asked for again. Gives the users whose it is.
    pub(super) fn retry_settings(&mut self) -> Vec<String> {
        self.settings_from = Mono::default();
        self.settings_refused
            .drain()
            .map(|(username, _)| username)
            .collect()
    }

    /// Has the logins that were refused tried again. Gives the users whose they are.
    pub(super) fn retry_logins(&mut self) -> Vec<String> {
        self.logins.worked();
        let is_refused =
            |_: &String, (tried, _): &mut (TriedLogin, Mono)| matches!(tried.login, Login::Refused(_));
        self.tried
            .extract_if(is_refused)
            .map(|(username, _)| username)
            .collect()
    }

    /// What became of the last login with a published password at this address, and when.
    pub fn tried(&self, username: &str, mac: &str, address: &str) -> Option<(Login, Mono)> {
        let (tried, at) = self.tried.get(username)?;
        (tried.mac == mac && tried.address == address).then(|| (tried.login.clone(), *at))
    }

    /// Notes what became of a login with a published password.
    pub fn note_tried(&mut self, username: &str, tried: TriedLogin) {
        self.tried.insert(username.to_string(), (tried, clock::now()));
    }

    /// Notes what a list showed, where reads may trail by `lag`. Gives the users about whom it says something new.
    pub fn listed(&mut self, answer: Answer<Listing>, started: Mono, lag: Duration) -> HashSet<String> {
        self.note_date(answer.date);
        let mut users = answer.value.users;
        users.sort_by(|one, other| one.username.cmp(&other.username));
        users.dedup_by(|one, other| one.username == other.username);
        let users = users.into_boxed_slice();
        let news = self.news(&users, started);
        for name in news.iter().filter(|name| find(&users, name).is_none()) {
            self.note_lost(name, started);
        }
        self.keep_earlier(lag);
        self.reads.retain(|_, observation| observation.started >= started);
        self.tried.retain(|username, _| find(&users, username).is_some());
        self.settings_refused
            .retain(|username, _| find(&users, username).is_some());
        // A list that was started this late shows what was written before (R6).
        self.last_writes.retain(|_, write| *write + lag > started);
        // What a burst took is not kept for the next.
        self.reads.shrink_to_fit();
        self.tried.shrink_to_fit();
        self.last_writes.shrink_to_fit();
        self.snapshot = Some(Snapshot {
            users,
            started,
            date: answer.date,
            pages: answer.value.pages,
        });
        news
    }

    /// There is no room for what is known of all users: nothing is known of them any more, least of all an absence.
    pub fn forget_list(&mut self) {
        self.snapshot = None;
        self.earlier_list = None;
    }

    /// Keeps the list that a new one takes the place of, unless one is kept that is not yet Lag older: with lists in quick
    /// succession, no two would ever be Lag apart.
    fn keep_earlier(&mut self, lag: Duration) {
        let Some(last) = self.snapshot.take() else { return };
        let is_apart = |earlier: &(Mono, HashSet<u64>)| last.started - earlier.0 >= lag;
        if self.earlier_list.as_ref().is_none_or(is_apart) {
            let names = last.users.iter().map(|user| self.hashes.hash_one(&user.username));
            self.earlier_list = Some((last.started, names.collect()));
        }
    }

    /// The names about which a list says something else than was known before.
    fn news(&self, users: &[RemoteUser], started: Mono) -> HashSet<String> {
        let read_before = |name: &str| {
            self.reads
                .get(name)
                .is_some_and(|observation| observation.started < started)
        };
        let mut news: HashSet<&str> = HashSet::new();
        for (name, observation) in self
            .reads
            .iter()
            .filter(|(_, observation)| observation.started < started)
        {
            if observation.user.as_ref() != find(users, name) {
                news.insert(name);
            }
        }
        if let Some(before) = &self.snapshot {
            let names = before
                .users
                .iter()
                .chain(users)
                .map(|user| user.username.as_str());
            let is_new = |name: &str| find(&before.users, name) != find(users, name);
            news.extend(names.filter(|name| !read_before(name) && is_new(name)));
        }
        news.into_iter().map(str::to_string).collect()
    }

    /// Notes what a read showed.
    pub fn read(&mut self, username: &str, answer: Answer<Option<RemoteUser>>, started: Mono) {
        self.note_date(answer.date);
        if answer.value.is_none() {
            self.note_lost(username, started);
        }
        let observation = Observation {
            user: answer.value,
            started,
            date: answer.date,
            proves_absence: true,
        };
        self.reads.insert(username.to_string(), observation);
    }

    /// Notes what our own change made of a user. It is worth no more than a read that started before it.
    pub fn patched(
        &mut self,
        username: &str,
        user: Option<RemoteUser>,
        date: Option<Timestamp>,
        started: Mono,
    ) {
        let observation = Observation {
            user,
            started,
            date,
            proves_absence: false,
        };
        self.reads.insert(username.to_string(), observation);
    }

    /// Notes what a poll showed.
    pub fn polled(
        &mut self,
        answer: Answer<Cluster>,
        started: Mono,
        longest_pause: Duration,
        state_lag: Duration,
    ) {
        self.note_date(answer.date);
        let cluster = answer.value;
        self.cluster = Some((cluster.state, started));
        let said = Address {
            host: cluster.host,
            port: cluster.port,
            database: cluster.database,
            sslmode: cluster.sslmode,
        };
        self.address = said.or(std::mem::take(&mut self.address));
        self.not_found = None;
        match cluster.state {
            ClusterState::Available => {
                self.window.available(started, state_lag);
                self.note_available(Look {
                    started,
                    date: answer.date,
                });
            }
            _ => self.note_busy(started, longest_pause),
        }
        self.gone = cluster.state == ClusterState::Destroying && (self.worked || self.seen_before);
        self.worked = true;
        self.seen_before = true;
    }

    /// Not every look is kept, or those that are remembered would soon all be of the last few seconds.
    fn note_available(&mut self, look: Look) {
        let mut looks = self.available.to_vec();
        if let [.., before, last] = looks.as_slice()
            && last.started - before.started < LOOKS_APART
        {
            looks.pop();
        }
        looks.push(look);
        let surplus = looks.len().saturating_sub(LOOKS_KEPT);
        self.available = looks.into_iter().skip(surplus).collect();
    }

    /// What counts is when the look was started: it may have been answered after a change that it does not speak of.
    fn note_busy(&mut self, started: Mono, longest_pause: Duration) {
        self.last_not_available = Some(started);
        self.looks.busy(started, longest_pause);
        self.turns.slow_down();
        for entry in self.window.busy() {
            if let Some(attempts) = self.attempts.get_mut(&entry) {
                attempts.doubtful = true;
            }
        }
    }

    /// How many calls a list takes.
    pub(super) fn pages(&self) -> usize {
        let pages = self.snapshot.as_ref().map_or(1, |snapshot| snapshot.pages);
        usize::try_from(pages).unwrap_or(usize::MAX).max(1)
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
        self.refusals.remove(&id);
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

    /// A creation takes the place of a deletion that was accepted: for a while, "exists" may be the user on its way out.
    pub fn succeeded(&mut self, deletion: EntryId, by: EntryId) {
        let answered = self.attempts.remove(&deletion).and_then(|known| known.last);
        self.attempts_mut(by).after_deletion = answered.or(Some(clock::now()));
    }

    /// Forgets what was known of entries that the journal does not have any more.
    pub fn keep_attempts(&mut self, is_kept: impl Fn(EntryId) -> bool) {
        self.attempts.retain(|id, _| is_kept(*id));
        self.tries.retain(|id, _| is_kept(*id));
        self.refusals.retain(|id, _| is_kept(*id));
    }

    pub(super) fn want_list(&mut self, user: UserRef) {
        self.list_wanted = true;
        self.wait_for(Topic::List, user);
    }

    pub(super) fn want_read(&mut self, username: &str, user: UserRef) {
        self.reads_wanted
            .want(username, self.difficulties.until(username));
        self.wait_for(Topic::Read(username.to_string()), user);
    }

    pub(super) fn want_send(&mut self, id: EntryId, class: Class, namespace: &str) {
        let waits = self.delayed.iter().any(|(_, delayed, ..)| *delayed == id);
        if waits || self.attempts(id).is_some_and(|attempts| attempts.in_flight) {
            return;
        }
        match self.tries.get(&id) {
            Some((_, not_before)) if *not_before > clock::now() => {
                self.delayed.push((*not_before, id, class, namespace.to_string()));
            }
            _ => self.queue.push(class, namespace, id),
        }
    }

    /// Takes what is to be sent now, up to so many. From here on it counts as on its way.
    pub(super) fn take_sends(&mut self, most: usize) -> Vec<EntryId> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some((_, id)) = self.queue.pop() else { break };
            self.attempts_mut(id).in_flight = true;
            taken.push(id);
        }
        taken
    }

    /// Makes sure that an entry that is to be taken out of the journal is not sent meanwhile. False if it is on its way.
    pub fn withdraw(&mut self, id: EntryId) -> bool {
        if self.attempts(id).is_some_and(|attempts| attempts.in_flight) {
            return false;
        }
        self.queue.remove(&id);
        self.delayed.retain(|(_, delayed, ..)| *delayed != id);
        true
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

    /// A sending has ended, whatever came of it.
    pub(super) fn landed(&mut self, id: EntryId) {
        if let Some(attempts) = self.attempts.get_mut(&id) {
            attempts.in_flight = false;
        }
    }

    /// How often an entry was refused while nothing else could explain it.
    pub(super) fn refusals(&self, id: EntryId) -> u32 {
        self.refusals.get(&id).copied().unwrap_or_default()
    }

    pub(super) fn note_refusal(&mut self, id: EntryId) {
        *self.refusals.entry(id).or_default() += 1;
    }

    pub(super) fn forget_refusals(&mut self, id: EntryId) {
        self.refusals.remove(&id);
    }

    pub(super) fn wait_for(&mut self, topic: Topic, user: UserRef) {
        self.waiting.entry(topic).or_default().insert(user);
    }

    pub(super) fn take_waiting(&mut self, topic: &Topic) -> HashSet<UserRef> {
        self.waiting.remove(topic).unwrap_or_default()
    }

    /// Says whether nobody waits for this any more, as somebody did.
    pub(super) fn wait_no_more(&mut self, topic: &Topic, user: &UserRef) -> bool {
        let Some(waiting) = self.waiting.get_mut(topic) else {
            return false;
        };
        waiting.remove(user);
        let over = waiting.is_empty();
        if over {
            self.waiting.remove(topic);
        }
        over
    }

    /// A PostgresUser is gone: what it waited for is not wanted any more, unless somebody else waits for it too.
    pub(super) fn forget_waiting(&mut self, username: &str, user: &UserRef) {
        self.wait_no_more(&Topic::Trouble, user);
        if self.wait_no_more(&Topic::Read(username.to_string()), user) {
            self.reads_wanted.forget(username);
            self.difficulties.over(username);
        }
    }

    /// Other credentials are used from now on: what was seen with the ones before says nothing of them, as a
    /// cluster of somebody else's "is not found" either.
    pub(super) fn use_credentials(&mut self, before: Option<String>, now: Option<String>) {
        if before == now {
            return;
        }
        if self.seen_before {
            self.seen_with = before;
        }
        self.seen_before = now.is_some() && self.seen_with == now;
        self.gone = false;
    }

    /// Lists that failed are tried again without a pause.
    pub(super) fn list_soon(&mut self) {
        self.list_pauses.reset();
        self.list_not_before = Mono::default();
    }

    /// Starts anew, with nothing held against the server.
    pub(super) fn forget_failures(&mut self) {
        self.circuit.reset();
        self.list_soon();
        self.difficulties = Difficulties::default();
        self.logins = Logins::default();
        self.not_found = None;
        self.refresh_due = None;
        self.worked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::remote::Creator;
    use crate::domain::role::{FoundRole, Traits};

    const LAG: Duration = Duration::from_secs(5);

    fn state() -> ServerState {
        ServerState::new(
            false,
            CircuitSettings::default(),
            Duration::from_secs(15),
            Duration::ZERO,
        )
    }

    fn user(name: &str, modified: Option<&str>) -> RemoteUser {
        RemoteUser {
            username: name.to_string(),
            protected: false,
            creator: Creator::Unknown,
            created: None,
            modified: modified.map(|time| time.parse().unwrap()),
            traits: Default::default(),
        }
    }

    fn list(users: &[RemoteUser]) -> Answer<Listing> {
        Answer {
            value: Listing {
                users: users.to_vec(),
                pages: 1,
            },
            date: None,
        }
    }

    fn names(news: HashSet<String>) -> Vec<String> {
        let mut names: Vec<_> = news.into_iter().collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_seen_with_other_credentials_says_nothing_of_these() {
        let mut state = state();
        let (one, other) = (Some("one".to_string()), Some("other".to_string()));
        state.use_credentials(None, one.clone());
        assert!(!state.seen_before);
        state.seen_before = true;
        state.gone = true;
        state.use_credentials(one.clone(), other.clone());
        assert!(!state.seen_before && !state.gone);
        state.use_credentials(other, None);
        state.use_credentials(None, one);
        assert!(state.seen_before);
    }

    #[test]
    fn a_list_that_shows_what_was_known_is_no_news() {
        let mut state = state();
        let users = [user("a", None), user("b", Some("2026-01-01T00:00:00Z"))];
        state.listed(list(&users), Mono(1), LAG);
        assert_eq!(names(state.listed(list(&users), Mono(2), LAG)), [""; 0]);
    }

    #[test]
    fn whoever_came_went_or_changed_is_news() {
        let mut state = state();
        state.listed(list(&[user("went", None), user("changed", None)]), Mono(1), LAG);
        let now = [user("came", None), user("changed", Some("2026-01-01T00:00:00Z"))];
        assert_eq!(
            names(state.listed(list(&now), Mono(2), LAG)),
            ["came", "changed", "went"]
        );
    }

    #[test]
    fn a_user_of_ours_that_went_between_two_lists_is_news() {
        let mut state = state();
        state.listed(list(&[]), Mono(1), LAG);
        state.patched("ours", Some(user("ours", None)), None, Mono(2));
        assert_eq!(names(state.listed(list(&[]), Mono(3), LAG)), ["ours"]);
    }

    #[test]
    fn what_is_lost_with_a_user_is_noted_however_its_end_shows() {
        let with_parameters = |name: &str| RemoteUser {
            creator: Creator::Marked(Mark {
                installation: "i".to_string(),
                uid: "u".to_string(),
            }),
            traits: Traits {
                role: Some(Arc::new(FoundRole {
                    config: [("work_mem".to_string(), "1MB".to_string())].into(),
                    ..FoundRole::as_created()
                })),
                ..Traits::default()
            },
            ..user(name, None)
        };
        let nobody = || Answer {
            value: None,
            date: None,
        };
        let mut state = state();
        let all = ["listed", "read", "deleted", "stays"].map(with_parameters);
        state.listed(list(&all), Mono(1), LAG);
        state.patched("made", Some(with_parameters("made")), None, Mono(2));
        state.patched("deleted", None, None, Mono(2));
        state.read("read", nobody(), Mono(3));
        assert!(state.lost.take("read").is_some());
        state.listed(list(&all[3..]), Mono(4), LAG);
        assert!(state.lost.take("listed").is_some() && state.lost.take("made").is_some());
        // By the operator itself; told already; there.
        for name in ["deleted", "read", "stays"] {
            assert!(state.lost.take(name).is_none(), "{name}");
        }
    }

    #[test]
    fn an_absence_is_believed_however_quickly_lists_follow_each_other() {
        let mut state = state();
        let at = |seconds: u64| Mono::default() + Duration::from_secs(seconds);
        let timings = ProtocolTimings {
            read_lag: LAG,
            ..ProtocolTimings::default()
        };
        let proves_absence: Vec<u64> = (0..13)
            .filter(|seconds| {
                state.listed(list(&[]), at(*seconds), LAG);
                state.observation("a", false, &timings).unwrap().proves_absence
            })
            .collect();
        assert_eq!(proves_absence, [5, 10]);
    }

    #[test]
    fn an_older_list_does_not_hide_a_newer_read() {
        let mut state = state();
        let read = Answer {
            value: Some(user("a", None)),
            date: None,
        };
        state.read("a", read, Mono(5));
        state.listed(list(&[]), Mono(4), LAG);
        let observation = state.observation("a", true, &ProtocolTimings::default()).unwrap();
        assert!(observation.user.is_some() && observation.proves_absence);
    }

    #[test]
    fn logins_that_come_and_go_between_two_lists_are_counted() {
        let mut state = state();
        assert!(state.usernames().is_none());
        state.listed(list(&[user("stays", None), user("went", None)]), Mono(1), LAG);
        state.patched("came", Some(user("came", None)), None, Mono(2));
        state.patched("went", None, None, Mono(2));
        let (own, _) = state.usernames().unwrap();
        assert_eq!(own, HashSet::from(["stays", "came"]));
    }

    #[test]
    fn the_remotes_clock_is_reckoned_forwards_and_backwards() {
        let mut state = state();
        let date: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let noted = Mono(100_000);
        state.remote_clock = Some((date, noted));
        assert_eq!(
            state.remote_time(Mono(101_000)).unwrap().to_string(),
            "2026-01-01T00:00:01Z"
        );
        assert_eq!(
            state.remote_time(Mono(99_000)).unwrap().to_string(),
            "2025-12-31T23:59:59Z"
        );
    }

    #[test]
    fn what_may_still_arrive_is_handed_on_to_the_entry_that_takes_its_place() {
        let mut state = state();
        let attempts = state.attempts_mut(EntryId(1));
        attempts.unknown = true;
        attempts.last = Some(Mono(7));
        state.replaced(EntryId(1), Some(EntryId(2)));
        let carried = state.attempts(EntryId(2)).unwrap();
        assert!(carried.unknown && carried.last == Some(Mono(7)) && carried.outcome.is_none());
        assert!(state.attempts(EntryId(1)).is_none());
    }
}
