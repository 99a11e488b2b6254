//! Who may write the journal, and when an entry may be sent: R1, R3, R4, and the journal's bounds.

use std::collections::BTreeSet;

use super::codec::MAX_BYTES;
use super::{Cause, Entry, EntryId, Header, Journal, Kind};
use crate::domain::settings::{Rule, Rules, Settings};
use crate::domain::time::Mono;

/// A process's hold on a journal, in that process's memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tenure {
    /// The epoch that this process writes under.
    pub epoch: u64,
    /// When the write that began it was done, on this process's clock.
    pub began: Mono,
    /// When this process's last successful journal write was *started*.
    pub last_write_started: Mono,
    /// The entries that another process (or an earlier life of this one) left.
    pub inherited: BTreeSet<EntryId>,
}

/// What a journal looks like once `holder` has taken it over: a new epoch, and every entry stamped with it,
/// so that from this write on only the new leader may send them (R1, R4).
#[must_use]
pub fn taken_over(journal: &Journal, holder: &str) -> Journal {
    let mut next = journal.clone();
    next.header.holder = holder.to_string();
    next.header.epoch += 1;
    next.header.sequence += 1;
    for entry in next.entries.values_mut() {
        entry.epoch = next.header.epoch;
    }
    next
}

/// What a failed or unanswered journal write turned out to be, after a quorum read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was stored after all.
    Stored,
    /// It was not, and nobody else leads: do it again on what was read.
    Rebase,
    /// Another process leads: stop.
    Replaced,
}

/// R1: reads what became of a write that was not acknowledged. `base` is what the write was made from.
pub fn fate(attempted: &Header, base: &Header, found: &Header, rules: Rules) -> Fate {
    let same_leader = found.epoch == base.epoch && found.lineage == base.lineage;
    if found == attempted {
        Fate::Stored
    } else if same_leader || !rules.hold(Rule::R1) {
        Fate::Rebase
    } else {
        Fate::Replaced
    }
}

/// R3 and R4, at the last moment before sending: whether this process may still send this entry.
pub fn may_send(entry: &Entry, tenure: &Tenure, now: Mono, settings: &Settings) -> bool {
    let in_window = now < tenure.last_write_started + settings.write_window;
    let own_stamp = entry.epoch == tenure.epoch;
    (in_window || !settings.rules.hold(Rule::R3)) && (own_stamp || !settings.rules.hold(Rule::R4))
}

/// When a request that an earlier leader may have sent can no longer take effect (R3), on this process's clock.
pub fn inherited_until(tenure: &Tenure, settings: &Settings) -> Mono {
    if settings.rules.hold(Rule::R3) {
        tenure.began + settings.write_window + settings.t_live
    } else {
        tenure.began
    }
}

/// Room that is kept for deletions, in bytes: creations may not fill the journal so that nothing can go.
const KEPT_FOR_DELETIONS: usize = 16 * 1024;

/// Whether there is room for one more entry of `size` bytes: deletions have room kept for them, and no namespace
/// takes more than half.
pub fn has_room(journal: &Journal, namespace: &str, kind: Kind, size: usize) -> bool {
    let all: usize = journal.entries.values().map(size_of).sum();
    let of_namespace: usize = journal
        .entries
        .values()
        .filter(|entry| entry.owner.namespace == namespace)
        .map(size_of)
        .sum();
    if kind == Kind::Delete {
        return all + size <= MAX_BYTES;
    }
    all + size <= MAX_BYTES - KEPT_FOR_DELETIONS && of_namespace + size <= MAX_BYTES / 2
}

/// About how many bytes an entry takes, written down; never fewer.
pub fn size_of(entry: &Entry) -> usize {
    let owner = &entry.owner;
    let password = entry.password.as_ref().map_or("", |password| password.reveal());
    let cause = match &entry.cause {
        Cause::Rotation(value) => value.as_str(),
        _ => "",
    };
    let texts = [
        owner.namespace.as_str(),
        &owner.name,
        &owner.uid,
        &entry.username,
        password,
        cause,
    ];
    // Field names, kinds, numbers, dates and punctuation.
    const REST: usize = 420;
    REST + texts.into_iter().map(json_len).sum::<usize>()
}

/// How many bytes a text takes in JSON.
fn json_len(text: &str) -> usize {
    text.chars()
        .map(|character| match character {
            '"' | '\\' => 2,
            control if control < ' ' => 6,
            other => other.len_utf8(),
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::super::{Owner, Seen};
    use super::*;
    use crate::domain::password::Password;

    fn header(holder: &str, epoch: u64, sequence: u64) -> Header {
        Header {
            holder: holder.into(),
            epoch,
            lineage: "l".into(),
            sequence,
            next_id: 0,
        }
    }

    #[test]
    fn an_entry_takes_no_more_room_than_is_reckoned() {
        let entry = Entry {
            id: EntryId(u64::MAX),
            owner: Owner {
                namespace: "n".repeat(63),
                name: "m".repeat(253),
                uid: "u".repeat(36),
            },
            username: "\"\\\u{1}🦀".repeat(9),
            kind: Kind::SetPassword,
            cause: Cause::Rotation("\u{1}".repeat(100)),
            password: Some(Password::new("\"".repeat(128))),
            settings: Default::default(),
            retain: false,
            seen: Seen {
                mark: None,
                at: Some("2026-01-01T00:00:00.123456789Z".parse().unwrap()),
                created: Some("2026-01-01T00:00:00.123456789Z".parse().unwrap()),
                present: true,
            },
            proven_ours: false,
            epoch: u64::MAX,
        };
        let written = serde_json::to_string(&entry).unwrap().len() + r#"{"format":1,},"#.len();
        assert!(written <= size_of(&entry), "{written} > {}", size_of(&entry));
        assert!(
            size_of(&entry) < written + 250,
            "{written} << {}",
            size_of(&entry)
        );
    }

    #[test]
    fn an_unanswered_write_that_is_found_was_stored() {
        let (base, attempted) = (header("a", 1, 5), header("a", 1, 6));
        assert_eq!(fate(&attempted, &base, &attempted, Rules::all()), Fate::Stored);
    }

    #[test]
    fn an_unanswered_write_that_is_not_found_is_made_again() {
        let (base, attempted) = (header("a", 1, 5), header("a", 1, 6));
        assert_eq!(fate(&attempted, &base, &base, Rules::all()), Fate::Rebase);
    }

    #[test]
    fn a_write_that_meets_another_epoch_ends_the_process() {
        let (base, attempted) = (header("a", 1, 5), header("a", 1, 6));
        let other = header("b", 2, 6);
        assert_eq!(fate(&attempted, &base, &other, Rules::all()), Fate::Replaced);
        let other_lineage = Header {
            lineage: "m".into(),
            ..base.clone()
        };
        assert_eq!(
            fate(&attempted, &base, &other_lineage, Rules::all()),
            Fate::Replaced
        );
    }
}
