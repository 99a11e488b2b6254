//! The task that writes a journal.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::next::NextWrite;
use super::secret::{self, Sent};
use super::{Answer, JournalChange, JournalError, JournalLocation, KnownJournal, OnLoss, Waiting, lock};
use crate::clock;
use crate::domain::journal::EntryId;
use crate::domain::journal::protocol::{self, Fate, Onto, Term};
use crate::domain::pause::{Growing, Growth};
use crate::domain::time::Mono;
use crate::domain::timings::ProtocolTimings;
use crate::failpoint::{self, Side};
use crate::fatal::Fatal;
use crate::provider::gate::Gate;

/// From the start of one write to that of the next, while there is one after another: what comes in between is written
/// together.
const APART: Duration = Duration::from_millis(150);

/// The same after the first write for a while: there is little yet to be written together, and whoever comes alone is not to
/// wait for others. It doubles with each write.
const FIRST_APART: Duration = Duration::from_millis(10);

/// How long nothing has to be written for the next write to be the first.
const QUIET: Duration = Duration::from_secs(1);

/// Between two tries to store one and the same write.
const AGAIN: Growth = Growth {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(10),
};

pub struct Writer {
    pub place: JournalLocation,
    pub timings: ProtocolTimings,
    pub gate: Gate,
    pub state: Arc<Mutex<KnownJournal>>,
    pub fatal: Fatal,
    pub on_loss: OnLoss,
}

/// A change that can be made: who waits for it, and what he will be told.
type Pending = (JournalChange, Answer, Option<EntryId>);

/// What became of a write.
enum End {
    /// It is stored, as this version, by a sending that was started then.
    Stored(String, Mono),
    /// It never will be: its changes are to be made again on what is there now.
    Rebased(Onto),
    /// It was not stored, and cannot be for now.
    Failed(JournalError),
    /// Nobody is there any more to whom this journal is anything.
    Abandoned,
}

impl Writer {
    /// Runs until the store is dropped. If it ends in any other way, so does the process.
    pub async fn guarded(self, waiting: UnboundedReceiver<Waiting>) {
        let guard = self
            .fatal
            .guard("the task that writes a journal has ended unexpectedly");
        self.run(waiting).await;
        guard.disarm();
    }

    async fn run(self, mut waiting: UnboundedReceiver<Waiting>) {
        let (mut next_start, mut apart) = (Instant::now(), Duration::ZERO);
        while let Some(first) = waiting.recv().await {
            apart = match next_start.elapsed() >= QUIET {
                true => FIRST_APART,
                false => (apart * 2).clamp(FIRST_APART, APART),
            };
            tokio::time::sleep_until(next_start).await;
            // Those who were woken together ask together.
            tokio::task::yield_now().await;
            let mut batch = vec![first];
            while let Ok(next) = waiting.try_recv() {
                batch.push(next);
            }
            next_start = Instant::now() + apart;
            self.write(batch).await;
        }
    }

    /// Writes changes in one go, and tells everybody what came of his.
    async fn write(&self, mut batch: Vec<Waiting>) {
        loop {
            let (next, pending) = self.prepare(batch);
            // What was refused is not written.
            if pending.is_empty() {
                return;
            }
            match self.store(&next).await {
                End::Stored(version, started) => {
                    failpoint::hit("journal-write", Side::After);
                    self.accept(next, version, started);
                    return answer(pending, &Ok(()));
                }
                End::Failed(error) => {
                    self.note(&error);
                    return answer(pending, &Err(error));
                }
                End::Rebased(onto) => batch = again(pending, onto),
                End::Abandoned => return,
            }
        }
    }

    fn note(&self, error: &JournalError) {
        match error {
            JournalError::Replaced => {
                self.gate.close();
                (self.on_loss)();
            }
            JournalError::Refused(words) => lock(&self.state).refused = Some(words.clone()),
            _ => {}
        }
    }

    /// The next state of the journal, and the changes that are in it; those that cannot be made are refused at once.
    fn prepare(&self, batch: Vec<Waiting>) -> (NextWrite, Vec<Pending>) {
        let mut next = NextWrite::after(&lock(&self.state), &self.place.holder);
        let mut pending = Vec::with_capacity(batch.len());
        for (change, reply) in batch {
            match next.apply(&change) {
                Ok(id) => pending.push((change, reply, id)),
                Err(error) => drop(reply.send(Err(error))),
            }
        }
        (next, pending)
    }

    /// Stores a write, however often it takes to know what became of it (R1).
    async fn store(&self, next: &NextWrite) -> End {
        let mut secret = match secret::compose(&self.place, &next.journal) {
            Ok(secret) => secret,
            Err(error) => return End::Failed(JournalError::Unwritten(error.to_string())),
        };
        secret.metadata.resource_version = next.version.clone();
        let mut pauses = Growing::new(AGAIN);
        let first_started = clock::now();
        let mut may_arrive = false;
        loop {
            let started = clock::now();
            failpoint::hit("journal-write", Side::Before);
            let why = match secret::send(&self.place, &secret).await {
                Sent::Stored(version) => return End::Stored(version, started),
                Sent::Refused(why) if !may_arrive => return End::Failed(JournalError::Refused(why)),
                Sent::Refused(why) => why,
                Sent::Conflict => "something else is there".to_string(),
                Sent::Unknown(why) => {
                    may_arrive = true;
                    why
                }
            };
            tracing::warn!(
                journal = self.place.name,
                why,
                "a journal write was not acknowledged"
            );
            if let Some(end) = self.look_into(next, &mut secret, first_started).await {
                return end;
            }
            if self.is_abandoned() {
                return End::Abandoned;
            }
            tokio::time::sleep(pauses.next(clock::jitter())).await;
        }
    }

    /// Whether the store was dropped: nobody will ever ask what became of this write.
    fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.state) == 1
    }

    /// What a read tells of a write that was not acknowledged; nothing, if it may still arrive.
    async fn look_into(&self, next: &NextWrite, secret: &mut Secret, first_started: Mono) -> Option<End> {
        let (found, version) = match secret::read(&self.place).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                // Somebody deleted it. What is in memory is the newest there was, and is written again.
                secret.metadata.resource_version = None;
                lock(&self.state).resource_version = None;
                return None;
            }
            Err(unreadable @ JournalError::Unreadable(..)) => return Some(End::Failed(unreadable)),
            Err(_) => return None,
        };
        let moved = secret.metadata.resource_version.as_ref() != Some(&version);
        let (attempted, base) = (&next.journal.header, next.base.as_ref());
        match protocol::fate(attempted, base, &found.header, moved, self.timings.rules) {
            Fate::Stored => Some(End::Stored(version, first_started)),
            Fate::Open => None,
            Fate::Replaced => match self.is_abandoned() {
                true => Some(End::Abandoned),
                false => Some(End::Failed(JournalError::Replaced)),
            },
            Fate::Rebase(onto) => {
                let mut state = lock(&self.state);
                state.resource_version = Some(version);
                if onto == Onto::Foreign {
                    state.journal = Some(found);
                }
                Some(End::Rebased(onto))
            }
        }
    }

    /// Takes note of a journal that was stored: the gate opens from when the write was *started*.
    fn accept(&self, next: NextWrite, version: String, started: Mono) {
        let mut state = lock(&self.state);
        let epoch = next.journal.header.epoch;
        match &mut state.term {
            Some(term) => term.last_write_started = started,
            None => {
                state.term = Some(Term {
                    epoch,
                    began: clock::now(),
                    last_write_started: started,
                    inherited: next.inherited,
                });
            }
        }
        state.journal = Some(next.journal);
        state.resource_version = Some(version);
        state.refused = None;
        self.gate.open_until(started + self.timings.write_window);
    }
}

fn answer(pending: Vec<Pending>, stored: &Result<(), JournalError>) {
    for (_, reply, id) in pending {
        // Whoever has gone away finds what was stored when he looks again.
        let _ = reply.send(stored.clone().map(|()| id));
    }
}

/// The changes that are made again; of those that were decided without a look at another process's write only the ones
/// that decide nothing.
fn again(pending: Vec<Pending>, onto: Onto) -> Vec<Waiting> {
    let mut batch = Vec::with_capacity(pending.len());
    for (change, reply, _) in pending {
        match (onto, &change) {
            (Onto::Known, _) | (Onto::Foreign, JournalChange::Touch) => batch.push((change, reply)),
            (Onto::Foreign, _) => drop(reply.send(Err(JournalError::Outdated))),
        }
    }
    batch
}
