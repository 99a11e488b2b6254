//! Keeps a journal in a Secret of the operator's namespace, and is the only one to write it (R0 to R2).
//!
//! Changes that wait are written together. Every write carries a token and is conditional on the resourceVersion that
//! was read. One that is refused or not answered is repeated, byte for byte, until an answer or a read tells what became
//! of it; until then nothing else is built on it, and nobody who waits for it is told anything.
//!
//! | file | what it has |
//! |---|---|
//! | `secret` | the Secret: read, written, removed |
//! | `next` | the next state of the journal, as the changes make it |
//! | `writer` | the task that writes it |

mod next;
mod secret;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::objects::Objects;
use crate::clock;
use crate::domain::journal::bounds::NoRoom;
use crate::domain::journal::protocol::Term;
use crate::domain::journal::{Entry, EntryId, Journal, codec};
use crate::domain::timings::ProtocolTimings;
use crate::fatal::Fatal;
use crate::provider::gate::Gate;
pub use secret::{parse, read, remove};
use writer::Writer;

/// Why a change was not stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JournalError {
    /// It does not fit now; entries that settle make room.
    #[error("the journal is full; what waits is stored when room is made")]
    Full,
    /// It would not fit into an empty journal either.
    #[error("{0}")]
    TooLarge(NoRoom),
    /// It was decided without a look at what is in the journal by now: to be decided anew.
    #[error("the journal has changed since this was decided")]
    Outdated,
    /// The API server does not take it, in these words.
    #[error("the Kubernetes API refuses the journal: {0}")]
    Refused(String),
    /// It could not be written now; it may be tried again.
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
pub enum JournalChange {
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
pub struct JournalLocation {
    /// The operator's namespace, through a client that does not retry.
    pub secrets: Objects<Secret>,
    /// The Secret's name.
    pub name: String,
    /// What it says of whose it is.
    pub annotations: BTreeMap<String, String>,
    /// This process.
    pub holder: String,
}

/// What is done about another process that has taken over.
pub type OnLoss = Arc<dyn Fn() + Send + Sync>;

/// Who waits for a change.
type Answer = oneshot::Sender<Result<Option<EntryId>, JournalError>>;

/// A change, and who waits for it.
type Waiting = (JournalChange, Answer);

/// What is known of the stored journal. What is being written is not in here before it is known to be stored.
#[derive(Debug, Default)]
struct KnownJournal {
    journal: Option<Journal>,
    resource_version: Option<String>,
    term: Option<Term>,
    /// Why the last write was not taken, in the API server's words, if it was not.
    refused: Option<String>,
}

/// One journal. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JournalStore {
    state: Arc<Mutex<KnownJournal>>,
    changes: mpsc::UnboundedSender<Waiting>,
    gate: Gate,
}

impl JournalStore {
    /// Reads the journal, if there is one, and starts the task that writes it. Should another process take the journal over,
    /// nothing more is sent, and `on_loss` is called, by each write that finds it.
    ///
    /// # Errors
    /// If it cannot be read: then nothing may be done to this server's users.
    pub async fn open(
        place: JournalLocation,
        timings: ProtocolTimings,
        gate: Gate,
        fatal: Fatal,
        on_loss: OnLoss,
    ) -> Result<Self, JournalError> {
        let stored = secret::read(&place).await?;
        let state = match stored {
            Some((journal, version)) => KnownJournal {
                journal: Some(journal),
                resource_version: Some(version),
                ..KnownJournal::default()
            },
            None => KnownJournal::default(),
        };
        let state = Arc::new(Mutex::new(state));
        let (changes, waiting) = mpsc::unbounded_channel();
        let writer = Writer {
            place,
            timings,
            gate: gate.clone(),
            state: state.clone(),
            fatal,
            on_loss,
        };
        tokio::spawn(writer.guarded(waiting));
        let store = Self { state, changes, gate };
        if !store.view(|journal, _| journal.is_none_or(|journal| journal.entries.is_empty())) {
            store.commit(JournalChange::Touch).await?;
        }
        Ok(store)
    }

    /// Stores a change. Returns the new entry's id, if there is one. While it is not known whether a write was stored this
    /// waits, for as long as it takes: callers bound it. A change whose caller has gone away may be stored all the same.
    ///
    /// # Errors
    /// If it was not stored.
    pub async fn commit(&self, change: JournalChange) -> Result<Option<EntryId>, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.changes
            .send((change, reply))
            .map_err(|_| JournalError::Closed)?;
        answer.await.map_err(|_| JournalError::Closed)?
    }

    /// Looks at the journal and at this process's hold on it.
    pub fn view<T>(&self, look: impl FnOnce(Option<&Journal>, Option<&Term>) -> T) -> T {
        let state = lock(&self.state);
        look(state.journal.as_ref(), state.term.as_ref())
    }

    /// Why the last write was not taken, in the API server's words, if it was not.
    pub fn refusal(&self) -> Option<String> {
        lock(&self.state).refused.clone()
    }

    /// The entry of the PostgresUser with this UID, and this process's hold on the journal.
    pub fn entry_of(&self, uid: &str) -> Option<(Arc<Entry>, Option<Term>)> {
        self.view(|journal, term| Some((journal?.entries.of(uid)?.clone(), term.cloned())))
    }

    /// The entries for the login of this name, whosesoever.
    pub fn entries_for(&self, username: &str) -> Vec<Arc<Entry>> {
        self.view(|journal, _| {
            let entries = journal.map(|journal| &journal.entries);
            entries.map_or_else(Vec::new, |entries| {
                entries.for_username(username).cloned().collect()
            })
        })
    }

    /// Opens the gate for as long as a mutation may take to get going, by a journal write if need be (R3).
    ///
    /// # Errors
    /// If the write fails.
    pub async fn open_gate(&self, needed: Duration) -> Result<(), JournalError> {
        if self.gate.until() > clock::now() + needed {
            return Ok(());
        }
        self.commit(JournalChange::Touch).await.map(drop)
    }
}

fn lock(state: &Mutex<KnownJournal>) -> MutexGuard<'_, KnownJournal> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
