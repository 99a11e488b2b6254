//! One server object at work: what it has, and what others ask of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::state::{ServerState, Topic};
use super::turns::Holder;
use crate::clock;
use crate::controller::journal_store::{JournalChange, JournalError, JournalStore};
use crate::domain::attempts::Login;
use crate::domain::identity::RemoteIdentity;
use crate::domain::journal::EntryId;
use crate::domain::mac::MacKey;
use crate::domain::password::Password;
use crate::domain::remote::{Capabilities, RemoteUser};
use crate::domain::schedule::{CircuitSettings, Class};
use crate::domain::time::Mono;
use crate::domain::timings::ProtocolTimings;
use crate::fatal::Fatal;
use crate::metrics::Metrics;
use crate::objects::{ServerKey, UserRef};
use crate::provider::RemoteError;
use crate::provider::gate::Gate;
use crate::provider::memory::{Memory, Share};

use super::link::Link;
use super::listed;

/// Who is told when something changed.
pub trait Triggers: Send + Sync {
    /// Look at this PostgresUser again.
    fn user(&self, user: UserRef);
    /// Look again at whoever has this remote user.
    fn remote_changed(&self, identity: &RemoteIdentity, username: &str);
    /// Report this server again.
    fn server(&self, key: &ServerKey);
}

/// How the task paces itself.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// The first pause after a failure; it doubles up to `retry_cap`.
    pub retry_base: std::time::Duration,
    /// The longest pause after failures.
    pub retry_cap: std::time::Duration,
    /// The pause between two looks at a cluster that is busy.
    pub busy_poll: std::time::Duration,
}

impl RetryPolicy {
    /// One failure is enough to hold everybody back: a call made in vain by each would be many.
    pub(super) fn circuit(&self) -> CircuitSettings {
        CircuitSettings {
            failures: 1,
            first: self.retry_base,
            longest: self.retry_cap,
            ..CircuitSettings::default()
        }
    }
}

/// How long a permit is waited for at least and at most before it is asked for again.
const PERMIT_SLICE: (std::time::Duration, std::time::Duration) = (
    std::time::Duration::from_millis(1),
    std::time::Duration::from_secs(5),
);

/// One server object at work.
pub struct ServerTask {
    /// Which.
    pub key: ServerKey,
    /// Its UID.
    pub uid: String,
    /// The remote cluster.
    pub identity: RemoteIdentity,
    /// What its provider can do.
    pub capabilities: Capabilities,
    /// Its journal.
    pub journal: JournalStore,
    /// The gate of R3.
    pub gate: Gate,
    /// The times of the rules, as they are on this server.
    pub timings: ProtocolTimings,
    pub(super) retries: RetryPolicy,
    link: Mutex<Link>,
    state: Mutex<ServerState>,
    pub(super) wake: Notify,
    /// The link has changed, or what the remote asked for counts no more: who waits for it looks again.
    pub(super) relinked: Notify,
    pub(super) stopping: CancellationToken,
    pub(super) ended: CancellationToken,
    pub(super) triggers: Arc<dyn Triggers>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) mac_key: MacKey,
    /// What the last list takes of the memory that there is for all.
    pub(super) room: Mutex<Share>,
}

/// What is needed to start working on a server.
pub struct Setup {
    /// Which.
    pub key: ServerKey,
    /// Its UID.
    pub uid: String,
    /// The remote cluster.
    pub identity: RemoteIdentity,
    /// What its provider can do.
    pub capabilities: Capabilities,
    /// Its journal.
    pub journal: JournalStore,
    /// The gate of R3.
    pub gate: Gate,
    /// How it is talked to.
    pub link: Link,
    /// The credentials with which the cluster has been seen before, by their MAC in status.
    pub seen_with: Option<String>,
    /// The times of the rules.
    pub timings: ProtocolTimings,
    /// The task's pace.
    pub retries: RetryPolicy,
    /// Who is told of changes.
    pub triggers: Arc<dyn Triggers>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The key under which password stamps are kept.
    pub mac_key: MacKey,
    /// What is kept in memory of the users of all servers.
    pub lists: Memory,
    /// Ends the process, should the task end by itself.
    pub fatal: Fatal,
}

impl ServerTask {
    /// A server that nothing is done for yet.
    pub(super) fn new(setup: Setup) -> Self {
        let (fresh_for, lag) = (setup.timings.fresh_for, setup.timings.state_lag);
        let mut state = ServerState::new(false, setup.retries.circuit(), fresh_for, lag);
        state.seen_with = setup.seen_with;
        state.use_credentials(None, setup.link.credentials_mac.clone());
        Self {
            key: setup.key,
            uid: setup.uid,
            identity: setup.identity,
            capabilities: setup.capabilities,
            journal: setup.journal,
            gate: setup.gate,
            timings: setup.timings,
            retries: setup.retries,
            link: Mutex::new(setup.link),
            state: Mutex::new(state),
            wake: Notify::new(),
            relinked: Notify::new(),
            stopping: CancellationToken::new(),
            ended: CancellationToken::new(),
            triggers: setup.triggers,
            metrics: setup.metrics,
            mac_key: setup.mac_key,
            room: Mutex::new(setup.lists.share()),
        }
    }

    /// Looks at or changes what is known. Not to be held across an await.
    pub fn state(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the server is talked to now.
    pub fn link(&self) -> Link {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes how the server is talked to. New credentials are tried at once.
    pub fn relink(&self, link: Link) {
        let in_trouble = self.state().trouble.is_some();
        let changed = {
            let mut current = self.link.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = (in_trouble && current.generation != link.generation)
                || current.credentials_mac != link.credentials_mac
                || current.unusable != link.unusable
                || current.deletions_only != link.deletions_only;
            let now = link.credentials_mac.clone();
            let before = std::mem::replace(&mut *current, link).credentials_mac;
            changed.then_some((before, now))
        };
        if let Some((before, now)) = changed {
            let waiting = {
                let mut state = self.state();
                state.use_credentials(before, now);
                state.forget_failures();
                state.take_waiting(&Topic::Trouble)
            };
            self.trigger(waiting);
            self.relinked.notify_waiters();
        }
        self.wake.notify_one();
    }

    /// Asks for all users to be read.
    pub fn want_list(&self, user: UserRef) {
        self.state().want_list(user);
        self.wake.notify_one();
    }

    /// Asks for one user to be read.
    ///
    /// Where the provider cannot do that, all are, no sooner after the last time than reads may trail.
    pub fn want_read(&self, username: &str, user: UserRef) {
        match self.capabilities.direct_read {
            true => self.state().want_read(username, user),
            false => self.state().want_list(user),
        }
        self.wake.notify_one();
    }

    /// Asks for the cluster's state to be read, at this moment or later: one look serves all who wait.
    pub fn want_poll(&self, user: UserRef, from: Mono) {
        self.state().looks.want(user, from);
        self.wake.notify_one();
    }

    /// Notes what came of a login that was tried.
    pub fn note_login(&self, username: &str, login: &Login) {
        let mut state = self.state();
        match login {
            Login::Refused(at) => state.logins.refused(username, *at, clock::jitter()),
            Login::NotTried | Login::Accepted | Login::Unverifiable(_) => state.logins.worked(),
        }
    }

    /// Asks for a turn (R11), for something that has been due since a moment, in seconds, where that matters. Whoever it is given
    /// to is told.
    pub fn ask_turn(&self, uid: &str, holder: Holder, class: Class, namespace: &str, due: u64) {
        self.state()
            .turns
            .ask(uid, holder, class, namespace, due, clock::now());
        self.give_turns();
    }

    /// Takes back a turn, or a wish for one.
    pub fn give_turn_back(&self, uid: &str) {
        let given = self.state().turns.give_back(uid, clock::now());
        if given {
            self.give_turns();
        }
    }

    /// Gives as many turns as there may be.
    pub(super) fn give_turns(&self) {
        let told = self.state().turns.give(clock::now());
        let mut entries = false;
        for holder in told {
            match holder {
                Holder::User(user) => self.triggers.user(user),
                Holder::Entry => entries = true,
            }
        }
        if entries {
            self.report();
        }
    }

    /// A login of a PostgresUser has come or gone: the object's status counts anew, soon, and once for a crowd.
    pub fn count_users(self: &Arc<Self>) {
        let pause = self.state().recount.want(clock::now());
        let Some(pause) = pause else { return };
        let server = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = server.stopping.cancelled() => return,
            }
            server.state().recount.begun(clock::now());
            server.report();
        });
    }

    /// A PostgresUser is gone: nobody waits for anything about its login on its behalf.
    pub fn forget_user(&self, uid: &str, username: &str, user: &UserRef) {
        let given = {
            let mut state = self.state();
            state.forget_waiting(username, user);
            state.turns.give_back(uid, clock::now())
        };
        if given {
            self.give_turns();
        }
    }

    /// Asks for an entry to be sent.
    pub fn want_send(&self, id: EntryId, class: Class, namespace: &str) {
        self.state().want_send(id, class, namespace);
        self.wake.notify_one();
    }

    /// Asks for a refresh now.
    pub fn refresh_now(&self) {
        let refused = {
            let mut state = self.state();
            state.refresh_due = None;
            state.list_soon();
            state.circuit.probe_from(clock::now());
            let settings = state.retry_settings();
            settings
                .into_iter()
                .chain(state.retry_logins())
                .collect::<Vec<_>>()
        };
        for username in refused {
            self.triggers.remote_changed(&self.identity, &username);
        }
        self.link().bucket.resume();
        self.relinked.notify_waiters();
        self.wake.notify_one();
    }

    /// Asks for a refresh, if this value of the annotation has not been seen yet.
    pub fn refresh_if_new(&self, asked: &str) {
        let new = {
            let mut state = self.state();
            let new = state.refresh_asked.as_deref() != Some(asked);
            state.refresh_asked = Some(asked.to_string());
            new
        };
        if new {
            self.refresh_now();
        }
    }

    /// Notes the spec's generation, the annotations and the address; true if users have to look at them anew.
    pub fn note_spec(&self, generation: Option<i64>, annotations: Option<&BTreeMap<String, String>>) -> bool {
        let mut state = self.state();
        let spec = Some((generation, annotations.cloned(), state.address.clone()));
        let new = state.spec != spec;
        state.spec = spec;
        new
    }

    /// Waits until the rate limit lets one more call be made. False if meanwhile the server is to stop, or is talked to in
    /// another way: then the call is decided on anew.
    pub(super) async fn permit(&self) -> bool {
        self.permit_many(1).await.is_some()
    }

    /// The same for so many calls in a row: for how many there is leave.
    pub(super) async fn permit_many(&self, calls: u32) -> Option<u32> {
        let asked = clock::now();
        let mut changed = false;
        let mut given = None;
        while !changed {
            let until = match self.link().bucket.try_acquire(clock::now(), calls) {
                Err(until) => until,
                Ok(calls) => {
                    given = Some(calls);
                    break;
                }
            };
            // In slices, should a notice be missed.
            let pause = (until - clock::now()).clamp(PERMIT_SLICE.0, PERMIT_SLICE.1);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.relinked.notified() => changed = true,
                () = self.stopping.cancelled() => changed = true,
            }
        }
        self.metrics.waited(self.capabilities.name, clock::now() - asked);
        given
    }

    /// Makes a remote call, counts it, and has it in the traces.
    pub(super) async fn call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        let provider = self.capabilities.name;
        let span =
            tracing::debug_span!("remote call", server = %self.key, provider, operation, class = Empty);
        let result = call.instrument(span.clone()).await;
        let class = match &result {
            Ok(_) => "ok",
            Err(error) => error.class.label(),
        };
        span.record("class", class);
        self.metrics.remote_call(provider, operation, class);
        result
    }

    /// Tells this user when the server's trouble ends or changes.
    pub fn await_change(&self, user: UserRef) {
        self.state().wait_for(Topic::Trouble, user);
    }

    /// This user need not be told any more.
    pub fn await_nothing(&self, user: &UserRef) {
        self.state().wait_no_more(&Topic::Trouble, user);
    }

    /// Stores a change in the journal.
    ///
    /// # Errors
    /// If it was not stored.
    pub async fn commit(&self, change: JournalChange) -> Result<Option<EntryId>, JournalError> {
        let stored = self.journal.commit(change).await;
        self.note_journal();
        stored
    }

    /// Whether the Kubernetes API takes the journal is news of the server object.
    pub(super) fn note_journal(&self) {
        let refused = self.journal.refusal().is_some();
        let before = std::mem::replace(&mut self.state().journal_refused, refused);
        if before != refused {
            self.report();
        }
    }

    /// Takes an entry that is done with out of the journal.
    ///
    /// # Errors
    /// If the journal does not take it.
    pub async fn settle(&self, id: EntryId) -> Result<(), JournalError> {
        self.commit(JournalChange::Settle(id)).await?;
        self.state().replaced(id, None);
        Ok(())
    }

    /// Ends the task, after the call that is under way.
    pub fn stop(&self) {
        self.stopping.cancel();
        self.wake.notify_one();
    }

    /// Waits until the task has ended.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether there is room for a list beside those of other servers. If there is none, the last one is not kept either.
    pub(super) fn has_room(&self, users: &[RemoteUser]) -> bool {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = room.set(listed::bytes(users)) && room.fits();
        if !taken {
            room.set(0);
            self.state().forget_list();
        }
        taken
    }

    /// A password's stamp is a digest of what the server keeps of it, by which weak passwords could be guessed: from
    /// here on it is known by its MAC alone.
    pub(super) fn seal(&self, user: &mut RemoteUser) {
        if let Some(stamp) = &mut user.traits.password_stamp {
            *stamp = self.mac_key.mac(&Password::new(stamp.as_str()));
        }
    }

    pub(super) fn trigger(&self, users: impl IntoIterator<Item = UserRef>) {
        for user in users {
            self.triggers.user(user);
        }
    }

    pub(super) fn report(&self) {
        self.triggers.server(&self.key);
    }
}
