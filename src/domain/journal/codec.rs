//! How a journal is written down.

use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Entry, Header, Journal};
use crate::domain::mac::hex;

/// The most bytes that a journal's entries may take: what does not fit waits.
pub const MAX_BYTES: usize = 128 * 1024;

/// The entry format that this version writes.
const FORMAT: u64 = 1;

/// Why a journal cannot be read. Says nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The header is missing or is not one.
    #[error("the journal's header cannot be read")]
    Header,
    /// The entries are missing or are not a list.
    #[error("the journal's entries cannot be read")]
    Entries,
    /// Header and entries were not written together.
    #[error("the journal's checksum is wrong")]
    Checksum,
}

/// The two texts that a journal's Secret holds.
pub struct Written {
    /// The header with its checksum, as JSON.
    pub header: String,
    /// The entries, as JSON: holds passwords.
    pub entries: Zeroizing<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredHeader {
    #[serde(flatten)]
    header: Header,
    checksum: String,
}

#[derive(Serialize, Deserialize)]
struct StoredEntry {
    format: u64,
    #[serde(flatten)]
    entry: Entry,
}

/// Writes a journal down.
///
/// # Errors
/// If it cannot be written as JSON, which would be a fault of the types.
pub fn write(journal: &Journal) -> Result<Written, serde_json::Error> {
    let known = journal.entries.values().map(|entry| {
        serde_json::to_value(StoredEntry {
            format: FORMAT,
            entry: entry.clone(),
        })
    });
    let mut all = known.collect::<Result<Vec<Value>, _>>()?;
    all.extend(journal.unknown.iter().cloned());
    let entries = Zeroizing::new(serde_json::to_string(&all)?);
    let checksum = checksum(&journal.header, &entries);
    let header = serde_json::to_string(&StoredHeader {
        header: journal.header.clone(),
        checksum,
    })?;
    Ok(Written { header, entries })
}

/// Reads a journal.
///
/// # Errors
/// If it is not whole: then nothing may be concluded from it, and nothing may be written over it.
pub fn read(header: &str, entries: &str) -> Result<Journal, CodecError> {
    let stored: StoredHeader = serde_json::from_str(header).map_err(|_| CodecError::Header)?;
    if checksum(&stored.header, entries) != stored.checksum {
        return Err(CodecError::Checksum);
    }
    let all: Vec<Value> = serde_json::from_str(entries).map_err(|_| CodecError::Entries)?;
    let mut journal = Journal {
        header: stored.header,
        entries: Default::default(),
        unknown: Vec::new(),
    };
    for value in all {
        match known_entry(&value) {
            Some(entry) => drop(journal.entries.insert(entry.id, entry)),
            None => journal.unknown.push(value),
        }
    }
    Ok(journal)
}

fn known_entry(value: &Value) -> Option<Entry> {
    if value.get("format").and_then(Value::as_u64) != Some(FORMAT) {
        return None;
    }
    StoredEntry::deserialize(value).ok().map(|stored| stored.entry)
}

fn checksum(header: &Header, entries: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    // A struct of plain fields can always be written.
    context.update(serde_json::to_string(header).unwrap_or_default().as_bytes());
    context.update(&[0]);
    context.update(entries.as_bytes());
    hex(context.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::super::{Cause, EntryId, Kind, Owner, Seen};
    use super::*;
    use crate::domain::password::Password;

    fn journal() -> Journal {
        let owner = Owner {
            namespace: "shop".into(),
            name: "checkout".into(),
            uid: "u1".into(),
        };
        let entry = Entry {
            id: EntryId(7),
            owner,
            username: "check\"out 🦀".into(),
            kind: Kind::Create,
            cause: Cause::Missing,
            password: Some(Password::new("s3cret")),
            settings: Default::default(),
            retain: false,
            seen: Seen {
                mark: None,
                at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
                created: None,
                present: false,
            },
            proven_ours: false,
            epoch: 3,
        };
        let header = Header {
            holder: "a".into(),
            epoch: 3,
            lineage: "l".into(),
            sequence: 9,
            next_id: 8,
        };
        Journal {
            header,
            entries: [(entry.id, entry)].into(),
            unknown: Vec::new(),
        }
    }

    #[test]
    fn a_journal_reads_back_as_it_was_written() {
        let written = write(&journal()).unwrap();
        assert_eq!(read(&written.header, &written.entries).unwrap(), journal());
    }

    #[test]
    fn a_journal_whose_halves_do_not_belong_together_is_refused() {
        let written = write(&journal()).unwrap();
        assert_eq!(read(&written.header, "[]"), Err(CodecError::Checksum));
        let tampered = written.header.replace("\"sequence\":9", "\"sequence\":8");
        assert_eq!(read(&tampered, &written.entries), Err(CodecError::Checksum));
    }

    #[test]
    fn entries_of_an_unknown_format_are_kept() {
        let mut with_unknown = journal();
        with_unknown
            .unknown
            .push(serde_json::json!({"format": 99, "id": 1, "what": "ever"}));
        let written = write(&with_unknown).unwrap();
        let back = read(&written.header, &written.entries).unwrap();
        assert_eq!(back, with_unknown);
    }
}
