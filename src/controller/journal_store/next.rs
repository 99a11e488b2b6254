//! The next state of a journal, as the changes that wait make it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{JournalChange, JournalError, KnownJournal};
use crate::domain::journal::bounds::{self, NoRoom};
use crate::domain::journal::{Entry, EntryId, Header, Journal, protocol};
use crate::domain::mac::hex;

/// A journal about to be written.
pub struct NextWrite {
    /// What it is made from; none if there is no journal yet.
    pub base: Option<Header>,
    /// The resourceVersion of that.
    pub version: Option<String>,
    /// The journal.
    pub journal: Journal,
    /// What an earlier leader has left in it, if this write takes it over.
    pub inherited: BTreeSet<EntryId>,
}

impl NextWrite {
    /// The journal that there is, or a new one, under this process's own epoch, before any change.
    pub fn after(state: &KnownJournal, holder: &str) -> Self {
        let mut journal = match (&state.journal, &state.term) {
            (None, _) => new_journal(holder),
            (Some(journal), None) => protocol::taken_over(journal, holder),
            (Some(journal), Some(_)) => {
                let mut journal = journal.clone();
                journal.header.sequence += 1;
                journal
            }
        };
        journal.header.token = random();
        Self {
            base: state.journal.as_ref().map(|journal| journal.header.clone()),
            version: state.resource_version.clone(),
            inherited: journal.entries.keys().copied().collect(),
            journal,
        }
    }

    /// Makes a change: the new entry's id, if there is one.
    pub fn apply(&mut self, change: &JournalChange) -> Result<Option<EntryId>, JournalError> {
        match change {
            JournalChange::Touch => Ok(None),
            JournalChange::Settle(id) => {
                self.journal.entries.take(*id);
                Ok(None)
            }
            JournalChange::Stage { entry, replaces } => self.stage(entry, *replaces).map(Some),
        }
    }

    /// Of each PostgresUser there is one entry at most, and nobody replaces one that is not there any more: whoever asks
    /// for that has decided on what he saw before.
    fn stage(&mut self, entry: &Entry, replaces: Option<EntryId>) -> Result<EntryId, JournalError> {
        let replaced = replaces.map(|id| self.journal.entries.take(id).ok_or(JournalError::Outdated));
        let replaced = replaced.transpose()?;
        let added = self.add(entry);
        if added.is_err() {
            replaced
                .into_iter()
                .for_each(|entry: Arc<Entry>| self.journal.entries.put(entry));
        }
        added
    }

    fn add(&mut self, entry: &Entry) -> Result<EntryId, JournalError> {
        if self.journal.entries.of(&entry.owner.uid).is_some() {
            return Err(JournalError::Outdated);
        }
        let id = EntryId(self.journal.header.next_id);
        let entry = Entry {
            id,
            epoch: self.journal.header.epoch,
            ..entry.clone()
        };
        bounds::room_for(&self.journal, &entry).map_err(|why| match why {
            NoRoom::Now => JournalError::Full,
            never @ NoRoom::Never { .. } => JournalError::TooLarge(never),
        })?;
        self.journal.header.next_id += 1;
        self.journal.entries.add(entry);
        Ok(id)
    }
}

fn new_journal(holder: &str) -> Journal {
    Journal {
        header: Header {
            holder: holder.to_string(),
            epoch: 1,
            lineage: random(),
            sequence: 1,
            next_id: 1,
            token: String::new(),
        },
        entries: Default::default(),
        unknown: Vec::new(),
    }
}

fn random() -> String {
    let mut random = [0; 16];
    // Without randomness there are no passwords either: the process would have ended before.
    let _ = getrandom::fill(&mut random);
    hex(&random)
}
