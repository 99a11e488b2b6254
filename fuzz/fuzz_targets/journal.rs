//! Whatever stands in a journal's Secret is read or refused; and what is read is written and read again as it was, as long as
//! was reckoned, and without losing an entry.
//!
//! The input is a header in the first line, and a list of entries.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pguser_operator::domain::journal::{Entries, Header, Journal, Unknown, codec};
use serde_json::value::RawValue;

fuzz_target!(|text: &str| {
    let (header, entries) = text.split_once('\n').unwrap_or((text, ""));
    // Hardly ever more than a wrong checksum.
    let _ = codec::read(header, entries);

    let header: Option<Header> = serde_json::from_str(header).ok();
    let all: Option<Vec<&RawValue>> = serde_json::from_str(entries).ok();
    let (Some(header), Some(all)) = (header, all) else {
        return;
    };
    // Unknown entries are written as they are, whether they are unknown or not: so the checksum is right, whatever they hold.
    let count = all.len();
    let journal = written_and_read(&Journal {
        header,
        entries: Entries::default(),
        unknown: all.iter().map(|entry| Unknown::new(entry.get())).collect(),
    });
    assert!(journal.entries.len() + journal.unknown.len() <= count);
    assert_eq!(journal.entries.is_empty(), journal.unknown.len() == count);
    assert_eq!(written_and_read(&journal), journal);
});

fn written_and_read(journal: &Journal) -> Journal {
    let written = codec::write(journal).expect("a journal can be written");
    assert_eq!(written.entries.len(), journal.bytes());
    codec::read(&written.header, &written.entries).expect("what was written can be read")
}
