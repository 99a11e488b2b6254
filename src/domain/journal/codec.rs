//! How a journal is written down.

use std::io;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Entry, Header, Journal, Unknown};
use crate::domain::mac::hex;

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

#[derive(Deserialize)]
struct StoredEntry {
    #[serde(flatten)]
    entry: Entry,
}

/// What is known of every entry, whatever its format.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// An entry as it is written.
#[derive(Serialize)]
struct Line<'a> {
    format: u64,
    #[serde(flatten)]
    entry: &'a Entry,
}

impl<'a> Line<'a> {
    fn new(entry: &'a Entry) -> Self {
        Line {
            format: FORMAT,
            entry,
        }
    }
}

/// How many bytes an entry takes, written down, with what parts it from the next.
pub fn size(entry: &Entry) -> usize {
    size_of(&Line::new(entry))
}

/// How many bytes a part of an entry takes, written down.
pub(super) fn size_of(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(1);
    // Counting cannot fail, and what is counted here is text, numbers and lists.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// Writes a journal down.
///
/// # Errors
/// If it cannot be written as JSON, which would be a fault of the types.
pub fn write(journal: &Journal) -> Result<Written, serde_json::Error> {
    // Large enough from the start: a text that grows leaves copies of passwords behind.
    let mut text = Zeroizing::new(Vec::with_capacity(journal.bytes()));
    text.push(b'[');
    for entry in journal.entries.values() {
        serde_json::to_writer(&mut *text, &Line::new(entry))?;
        text.push(b',');
    }
    for entry in &journal.unknown {
        text.extend_from_slice(entry.text().as_bytes());
        text.push(b',');
    }
    if text.last() == Some(&b',') {
        text.pop();
    }
    text.push(b']');
    let entries = String::from_utf8(std::mem::take(&mut *text)).map_err(serde::ser::Error::custom)?;
    let entries = Zeroizing::new(entries);
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
    let all: Vec<&RawValue> = serde_json::from_str(entries).map_err(|_| CodecError::Entries)?;
    let mut journal = Journal {
        header: stored.header,
        entries: Default::default(),
        unknown: Vec::new(),
    };
    for value in all {
        match known_entry(value.get()) {
            Some(entry) => journal.entries.add(entry),
            None => journal.unknown.push(Unknown::new(value.get())),
        }
    }
    Ok(journal)
}

fn known_entry(text: &str) -> Option<Entry> {
    let Format { format } = serde_json::from_str(text).ok()?;
    if format != FORMAT {
        return None;
    }
    serde_json::from_str::<StoredEntry>(text)
        .ok()
        .map(|stored| stored.entry)
}

/// Of all but the token, which earlier versions do not know: a journal stays good when going back to one.
fn checksum(header: &Header, entries: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    let header = Header {
        token: String::new(),
        ..header.clone()
    };
    // A struct of plain fields can always be written.
    context.update(serde_json::to_string(&header).unwrap_or_default().as_bytes());
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
            token: "t".into(),
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
    fn dates_that_an_earlier_version_kept_with_fractions_are_read_in_whole_seconds() {
        let mut earlier = journal();
        let mut entry = Entry::clone(&earlier.entries[&EntryId(7)]);
        entry.seen.at = Some("2026-01-01T00:00:00.25Z".parse().unwrap());
        entry.seen.created = Some("2025-01-01T00:00:00.123456789Z".parse().unwrap());
        earlier.entries.add(entry);
        let written = write(&earlier).unwrap();
        let back = read(&written.header, &written.entries).unwrap();
        let seen = &back.entries[&EntryId(7)].seen;
        assert_eq!(seen.at, "2026-01-01T00:00:00Z".parse().ok());
        assert_eq!(seen.created, "2025-01-01T00:00:00Z".parse().ok());
    }

    #[test]
    fn a_journal_is_as_long_as_was_reckoned() {
        let mut journal = journal();
        let length = |journal: &Journal| write(journal).unwrap().entries.len();
        assert_eq!(length(&journal), journal.bytes());
        journal
            .unknown
            .push(Unknown::new(r#"{"format": 99, "what": "ever"}"#));
        assert_eq!(length(&journal), journal.bytes());
        journal.entries.take(EntryId(7));
        assert_eq!(length(&journal), journal.bytes());
        assert_eq!(journal.entries.bytes(), 0);
    }

    #[test]
    fn what_is_as_usual_is_not_written() {
        let mut deletion = Entry::clone(&journal().entries[&EntryId(7)]);
        (deletion.password, deletion.kind, deletion.cause) = (None, Kind::Delete, Cause::Deletion);
        let written = serde_json::to_string(&Line::new(&deletion)).unwrap();
        for usual in ["settings", "retain", "proven_ours", "password", "null"] {
            assert!(!written.contains(usual), "{written}");
        }
        assert!(written.len() < 260, "{} bytes: {written}", written.len());
    }

    /// An earlier version knows no tokens: it must find the checksum right all the same.
    #[test]
    fn the_token_is_no_part_of_the_checksum() {
        let written = write(&journal()).unwrap();
        let without = written.header.replace(r#","token":"t""#, "");
        assert_ne!(without, written.header);
        let back = read(&without, &written.entries).unwrap();
        assert_eq!(
            (back.header.token.as_str(), back.entries),
            ("", journal().entries)
        );
    }

    /// Read into numbers and written again, each of these would be another text.
    #[test]
    fn entries_of_an_unknown_format_are_kept_byte_for_byte() {
        let odd = [
            r#"{"what":"ever","id":1,"format":99}"#,
            r#"{ "format" : 99, "at": 1.0000000000000000001, "large": 123456789012345678901234567890 }"#,
            r#"{"format":99,"tiny":1e-400,"exact":0.1000,"plus":1E+2,"minus":-0.0,"twice":1,"twice":2}"#,
            r#"{"format":1.0,"escaped":"\u0041\/","ordered":{"z":1,"a":2}}"#,
            r#"{"format":1,"kind":"Conjure"}"#,
            "7.10",
        ];
        let mut with_unknown = journal();
        with_unknown.unknown = odd.map(Unknown::new).into();
        let written = write(&with_unknown).unwrap();
        assert_eq!(written.entries.len(), with_unknown.bytes());
        let back = read(&written.header, &written.entries).unwrap();
        assert_eq!(back, with_unknown);
        let again = write(&back).unwrap();
        assert_eq!(*again.entries, *written.entries);
        for text in odd {
            assert!(again.entries.contains(text), "{text}");
        }
    }
}
