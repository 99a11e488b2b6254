//! Keeps a journal in a Secret of the operator's namespace, and is the only one to write it (R0 to R2).
//!
//! Changes that wait are written together. Every write is conditional on the resourceVersion that was read; an
//! unanswered one is followed by a quorum read that tells what became of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::api::names;
use crate::clock;
use crate::domain::journal::protocol::{self, Fate, Tenure};
use crate::domain::journal::{Entry, EntryId, Header, Journal, codec};
use crate::domain::mac::hex;
use crate::domain::settings::Settings;
use crate::domain::time::Mono;
use crate::failpoint::{self, Side};
use crate::fatal::Fatal;
use crate::provider::gate::Gate;

/// How long to gather changes before they are written together.
const GATHER: Duration = Duration::from_millis(15);
/// How long one request to the API server may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often an unanswered write is looked into before the caller is told.
const TRIES: u32 = 5;

/// Why a change was not stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JournalError {
    /// It does not fit now; entries that settle make room.
    #[error("the journal is full; what waits is stored when room is made")]
    Full,
    /// The API server did not take it; it may be tried again.
    #[error("the journal could not be written: {0}")]
    Unwritten(String),
    /// The stored journal cannot be read: nothing may be written over it.
    #[error("the journal Secret {0} cannot be read: {1}")]
    Unreadable(String, codec::CodecError),
    /// Another process leads.
    #[error("another process has taken over the journal")]
    Replaced,
    /// The store was closed.
    #[error("the journal is closed")]
    Closed,
}

/// A change to a journal.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new entry, in place of another or not. Its id and epoch are given by the store.
    Stage {
        /// The entry.
        entry: Box<Entry>,
        /// The entry that it takes the place of.
        replaces: Option<EntryId>,
    },
    /// An entry is done with.
    Settle(EntryId),
    /// Only shows that this process still leads, which opens the gate of R3.
    Touch,
}

/// Where a journal is kept.
#[derive(Debug, Clone)]
pub struct Place {
    /// The operator's namespace, through a client that does not retry.
    pub secrets: Api<Secret>,
    /// The Secret's name.
    pub name: String,
    /// What it says of whose it is.
    pub annotations: BTreeMap<String, String>,
    /// This process.
    pub holder: String,
}

/// A change, and who waits for it.
type Waiting = (Change, oneshot::Sender<Result<Option<EntryId>, JournalError>>);

/// What is known of the stored journal.
#[derive(Debug, Default)]
struct State {
    journal: Option<Journal>,
    resource_version: Option<String>,
    tenure: Option<Tenure>,
}

/// One journal. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JournalStore {
    state: Arc<Mutex<State>>,
    changes: mpsc::UnboundedSender<Waiting>,
    gate: Gate,
}

impl JournalStore {
    /// Reads the journal, if there is one, and starts the task that writes it.
    ///
    /// # Errors
    /// If it cannot be read: then nothing may be done to this server's users.
    pub async fn open(
        place: Place,
        settings: Settings,
        gate: Gate,
        fatal: Fatal,
    ) -> Result<Self, JournalError> {
        let stored = read(&place).await?;
        let state = match stored {
            Some((journal, version)) => State {
                journal: Some(journal),
                resource_version: Some(version),
                tenure: None,
            },
            None => State::default(),
        };
        let state = Arc::new(Mutex::new(state));
        let (changes, waiting) = mpsc::unbounded_channel();
        let writer = Writer {
            place,
            settings,
            gate: gate.clone(),
            state: state.clone(),
            fatal,
        };
        tokio::spawn(writer.run(waiting));
        let store = Self { state, changes, gate };
        if !store.view(|journal, _| journal.is_none_or(|journal| journal.entries.is_empty())) {
            store.commit(Change::Touch).await?;
        }
        Ok(store)
    }

    /// Stores a change. Returns the new entry's id, if there is one.
    ///
    /// # Errors
    /// If it was not stored.
    pub async fn commit(&self, change: Change) -> Result<Option<EntryId>, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.changes
            .send((change, reply))
            .map_err(|_| JournalError::Closed)?;
        answer.await.map_err(|_| JournalError::Closed)?
    }

    /// Looks at the journal and at this process's hold on it.
    pub fn view<T>(&self, look: impl FnOnce(Option<&Journal>, Option<&Tenure>) -> T) -> T {
        let state = lock(&self.state);
        look(state.journal.as_ref(), state.tenure.as_ref())
    }

    /// Opens the gate for as long as a mutation may take to get going, by a journal write if need be (R3).
    ///
    /// # Errors
    /// If the write fails.
    pub async fn open_gate(&self, needed: Duration) -> Result<(), JournalError> {
        if self.gate.until() > clock::now() + needed {
            return Ok(());
        }
        self.commit(Change::Touch).await.map(drop)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(place: &Place) -> Result<Option<(Journal, String)>, JournalError> {
    let get = tokio::time::timeout(TIMEOUT, place.secrets.get_opt(&place.name)).await;
    let got = get.map_err(|_| JournalError::Unwritten("no answer in time".to_string()))?;
    let secret = got.map_err(|error| JournalError::Unwritten(describe(&error)))?;
    let Some(secret) = secret else { return Ok(None) };
    let version = secret.metadata.resource_version.clone().unwrap_or_default();
    let journal = parse(&secret).map_err(|error| JournalError::Unreadable(place.name.clone(), error))?;
    Ok(Some((journal, version)))
}

/// The journal that a Secret holds.
///
/// # Errors
/// If it holds none, or one that was damaged.
pub fn parse(secret: &Secret) -> Result<Journal, codec::CodecError> {
    let text = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key));
        bytes
            .and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
            .unwrap_or_default()
    };
    codec::read(text("header"), text("entries"))
}

/// Removes a journal whose server is gone.
///
/// # Errors
/// If the API server refuses.
pub async fn remove(place: &Place) -> Result<(), kube::Error> {
    match place.secrets.delete(&place.name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

/// The task that writes a journal.
struct Writer {
    place: Place,
    settings: Settings,
    gate: Gate,
    state: Arc<Mutex<State>>,
    fatal: Fatal,
}

impl Writer {
    async fn run(self, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
        while let Some(first) = waiting.recv().await {
            tokio::time::sleep(GATHER).await;
            let mut batch = vec![first];
            while let Ok(next) = waiting.try_recv() {
                batch.push(next);
            }
            self.write_batch(batch).await;
        }
    }

    async fn write_batch(&self, batch: Vec<Waiting>) {
        let changes: Vec<&Change> = batch.iter().map(|(change, _)| change).collect();
        let result = self.write(&changes).await;
        if result == Err(JournalError::Replaced) {
            self.gate.close();
            self.fatal.raise("another process has taken over the journal");
        }
        let results = match result {
            Ok(results) => results,
            Err(error) => vec![Err(error); batch.len()],
        };
        for ((_, reply), result) in batch.into_iter().zip(results) {
            let _ = reply.send(result);
        }
    }

    /// Writes changes in one go, again on what is found as long as nobody else leads.
    async fn write(&self, changes: &[&Change]) -> Result<Vec<Outcome>, JournalError> {
        for _ in 0..TRIES {
            let next = self.next(changes);
            let started = clock::now();
            failpoint::hit("journal-write", Side::Before);
            let stored = match self.put(&next.journal).await {
                Ok(version) => Some(version),
                Err(error) => {
                    tracing::warn!(journal = self.place.name, %error, "a journal write was not acknowledged");
                    self.look_into(&next).await?
                }
            };
            if let Some(version) = stored {
                failpoint::hit("journal-write", Side::After);
                return Ok(self.accept(next, version, started));
            }
        }
        Err(JournalError::Unwritten("no write was acknowledged".to_string()))
    }

    /// The journal with the changes made, under this process's own epoch.
    fn next(&self, changes: &[&Change]) -> Next {
        let state = lock(&self.state);
        let base = state.journal.clone();
        let mut journal = match (&base, &state.tenure) {
            (None, _) => new_journal(&self.place.holder),
            (Some(journal), None) => protocol::taken_over(journal, &self.place.holder),
            (Some(journal), Some(_)) => {
                let mut journal = journal.clone();
                journal.header.sequence += 1;
                journal
            }
        };
        let inherited = journal.entries.keys().copied().collect();
        let results = changes.iter().map(|change| apply(&mut journal, change)).collect();
        Next {
            base: base.map(|journal| journal.header),
            journal,
            inherited,
            results,
        }
    }

    async fn put(&self, journal: &Journal) -> Result<String, String> {
        let written = codec::write(journal).map_err(|error| error.to_string())?;
        let version = lock(&self.state).resource_version.clone();
        let texts = [
            ("header", written.header.as_bytes()),
            ("entries", written.entries.as_bytes()),
        ];
        let data = texts.map(|(key, bytes)| (key.to_string(), ByteString(bytes.to_vec())));
        let labels = [
            (names::MANAGED_BY.to_string(), names::OPERATOR.to_string()),
            (names::COMPONENT.to_string(), "journal".to_string()),
        ];
        // How much is unsettled can be seen without a look at the passwords.
        let unsettled = journal.entries.len() + journal.unknown.len();
        let mut annotations = self.place.annotations.clone();
        annotations.insert(names::JOURNAL_ENTRIES.to_string(), unsettled.to_string());
        let metadata = ObjectMeta {
            name: Some(self.place.name.clone()),
            labels: Some(labels.into()),
            annotations: Some(annotations),
            resource_version: version.clone(),
            ..ObjectMeta::default()
        };
        let secret = Secret {
            metadata,
            data: Some(data.into()),
            ..Secret::default()
        };
        let params = PostParams::default();
        let written = match version {
            None => tokio::time::timeout(TIMEOUT, self.place.secrets.create(&params, &secret)).await,
            Some(_) => {
                tokio::time::timeout(
                    TIMEOUT,
                    self.place.secrets.replace(&self.place.name, &params, &secret),
                )
                .await
            }
        };
        let stored = written
            .map_err(|_| "no answer in time".to_string())?
            .map_err(|error| describe(&error))?;
        Ok(stored.metadata.resource_version.unwrap_or_default())
    }

    /// R1: what became of a write that was not acknowledged. Gives the version it was stored as, if it was.
    async fn look_into(&self, next: &Next) -> Result<Option<String>, JournalError> {
        let Some((found, version)) = read(&self.place).await? else {
            // Somebody deleted it. What is in memory is the newest there was, and is written again.
            lock(&self.state).resource_version = None;
            return Ok(None);
        };
        let fate = match &next.base {
            Some(base) => protocol::fate(&next.journal.header, base, &found.header, self.settings.rules),
            None if found.header == next.journal.header => Fate::Stored,
            // Another process made the journal first: it is taken over like any other.
            None => Fate::Rebase,
        };
        match fate {
            Fate::Stored => Ok(Some(version)),
            Fate::Replaced => Err(JournalError::Replaced),
            Fate::Rebase => {
                let mut state = lock(&self.state);
                state.journal = Some(found);
                state.resource_version = Some(version);
                Ok(None)
            }
        }
    }

    /// Takes note of a journal that was stored: the gate opens from when the write was *started*.
    fn accept(&self, next: Next, version: String, started: Mono) -> Vec<Outcome> {
        let mut state = lock(&self.state);
        let epoch = next.journal.header.epoch;
        match &mut state.tenure {
            Some(tenure) => tenure.last_write_started = started,
            None => {
                let began = clock::now();
                state.tenure = Some(Tenure {
                    epoch,
                    began,
                    last_write_started: started,
                    inherited: next.inherited,
                });
            }
        }
        state.journal = Some(next.journal);
        state.resource_version = Some(version);
        self.gate.open_until(started + self.settings.write_window);
        next.results
    }
}

type Outcome = Result<Option<EntryId>, JournalError>;

/// A journal about to be written.
struct Next {
    base: Option<Header>,
    journal: Journal,
    inherited: std::collections::BTreeSet<EntryId>,
    results: Vec<Outcome>,
}

fn new_journal(holder: &str) -> Journal {
    let mut random = [0; 16];
    // Without randomness there are no passwords either: the process would have ended before.
    let _ = getrandom::fill(&mut random);
    let header = Header {
        holder: holder.to_string(),
        epoch: 1,
        lineage: hex(&random),
        sequence: 1,
        next_id: 1,
    };
    Journal {
        header,
        entries: BTreeMap::new(),
        unknown: Vec::new(),
    }
}

fn apply(journal: &mut Journal, change: &Change) -> Outcome {
    match change {
        Change::Touch => Ok(None),
        Change::Settle(id) => {
            journal.entries.remove(id);
            Ok(None)
        }
        Change::Stage { entry, replaces } => {
            let replaced = replaces.and_then(|id| journal.entries.remove(&id));
            if !protocol::has_room(
                journal,
                &entry.owner.namespace,
                entry.kind,
                protocol::size_of(entry),
            ) {
                journal.entries.extend(replaced.map(|entry| (entry.id, entry)));
                return Err(JournalError::Full);
            }
            let id = EntryId(journal.header.next_id);
            journal.header.next_id += 1;
            let entry = Entry {
                id,
                epoch: journal.header.epoch,
                ..(**entry).clone()
            };
            journal.entries.insert(id, entry);
            Ok(Some(id))
        }
    }
}

/// What may be logged of an error from the API server: never an object that it sent back.
fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
        _ => "no usable answer".to_string(),
    }
}
