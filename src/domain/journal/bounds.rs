//! What fits into a journal.

use thiserror::Error;

use super::{Cause, Entry, Journal, Kind, codec};

/// The most bytes that a journal's entries may take as written: what does not fit waits. A Secret may have twice that.
pub const MAX_BYTES: usize = 512 * 1024;

/// Room that is kept for deletions: creations may not fill the journal so that nothing can go.
const KEPT_FOR_DELETIONS: usize = 64 * 1024;

/// The most that one namespace may take, deletions included, so that it never stops the others.
const MAX_OF_NAMESPACE: usize = MAX_BYTES / 2;

/// The most that one entry may take: more than any that the bounds of the resources allow.
pub const MAX_OF_ENTRY: usize = 32 * 1024;

/// Why an entry has no room.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoRoom {
    /// It has none now.
    #[error("the journal is full; what waits is stored when room is made")]
    Now,
    /// It never will.
    #[error(
        "the change is too large to be kept: {field} takes {bytes} bytes, and a change may take {limit} in all"
    )]
    Never {
        /// What of it is the largest.
        field: &'static str,
        /// How large that is, written down.
        bytes: usize,
        /// How large the whole entry may be.
        limit: usize,
    },
}

/// Whether there is room for one more entry.
///
/// # Errors
/// If there is none.
pub fn room_for(journal: &Journal, entry: &Entry) -> Result<(), NoRoom> {
    let size = codec::size(entry);
    if size > MAX_OF_ENTRY {
        return Err(too_large(entry));
    }
    let limit = match entry.kind {
        Kind::Delete => MAX_BYTES,
        _ => MAX_BYTES - KEPT_FOR_DELETIONS,
    };
    let of_namespace = journal.entries.bytes_of(&entry.owner.namespace);
    match journal.bytes() + size <= limit && of_namespace + size <= MAX_OF_NAMESPACE {
        true => Ok(()),
        false => Err(NoRoom::Now),
    }
}

fn too_large(entry: &Entry) -> NoRoom {
    let cause = match entry.cause {
        Cause::Rotation(_) => "the annotation pguser.dev/rotate",
        _ => "its cause",
    };
    let fields = [
        (cause, codec::size_of(&entry.cause)),
        ("spec.postgresql", codec::size_of(&entry.settings)),
        ("the password", codec::size_of(&entry.password)),
        ("spec.username", codec::size_of(&entry.username)),
        ("what was seen of the login", codec::size_of(&entry.seen)),
        ("the name of the PostgresUser", codec::size_of(&entry.owner)),
    ];
    let largest = fields.into_iter().max_by_key(|(_, bytes)| *bytes);
    let (field, bytes) = largest.unwrap_or((cause, 0));
    NoRoom::Never {
        field,
        bytes,
        limit: MAX_OF_ENTRY,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EntryId, Header, Owner, Seen};
    use super::*;
    use crate::domain::password::Password;
    use crate::domain::role::{RoleOptions, RoleSettings};

    fn entry(id: u64, namespace: &str, kind: Kind) -> Entry {
        Entry {
            id: EntryId(id),
            owner: Owner {
                namespace: namespace.into(),
                name: format!("user-{id}"),
                uid: format!("{id:036}"),
            },
            username: format!("user-{id}"),
            kind,
            cause: Cause::Missing,
            password: (kind != Kind::Delete).then(|| Password::new("p".repeat(40))),
            seen: Seen {
                at: "2026-01-01T00:00:00Z".parse().ok(),
                ..Seen::default()
            },
            proven_ours: false,
            settings: RoleSettings::default(),
            retain: false,
            epoch: 1,
        }
    }

    fn empty() -> Journal {
        let header = Header {
            holder: "a".into(),
            epoch: 1,
            lineage: "l".into(),
            sequence: 1,
            next_id: 1,
            token: "t".into(),
        };
        Journal {
            header,
            entries: Default::default(),
            unknown: Vec::new(),
        }
    }

    /// Adds entries of a namespace until one has no room; how many there are then.
    fn fill(journal: &mut Journal, namespace: &str, kind: Kind) -> usize {
        loop {
            let next = entry(journal.entries.len() as u64 + 1, namespace, kind);
            if room_for(journal, &next) == Err(NoRoom::Now) {
                return journal.entries.len();
            }
            journal.entries.add(next);
        }
    }

    #[test]
    fn the_bound_holds_for_what_is_written() {
        let mut journal = empty();
        for namespace in ["a", "b", "c"] {
            fill(&mut journal, namespace, Kind::Create);
        }
        let creations = codec::write(&journal).unwrap().entries.len();
        assert!(creations <= MAX_BYTES - KEPT_FOR_DELETIONS, "{creations}");
        for namespace in ["c", "d"] {
            fill(&mut journal, namespace, Kind::Delete);
        }
        let all = codec::write(&journal).unwrap().entries.len();
        assert!((MAX_BYTES - 1024..=MAX_BYTES).contains(&all), "{all}");
    }

    #[test]
    fn no_namespace_takes_all_the_room_not_even_with_deletions() {
        let mut journal = empty();
        let of_one = fill(&mut journal, "a", Kind::Delete);
        assert!(journal.entries.bytes() <= MAX_BYTES / 2);
        assert!(fill(&mut journal, "b", Kind::Create) > of_one + 500);
    }

    #[test]
    fn settings_and_marks_are_counted() {
        let mut large = entry(1, "a", Kind::Create);
        let plain = codec::size(&large);
        large.settings.options = Some(RoleOptions {
            member_of: (0..32).map(|n| format!("{n:063}")).collect(),
            ..RoleOptions::default()
        });
        assert!(codec::size(&large) > plain + 32 * 63);
        assert_eq!(room_for(&empty(), &large), Ok(()));
    }

    #[test]
    fn an_entry_that_never_fits_is_told_from_one_that_has_to_wait() {
        let mut huge = entry(1, "a", Kind::SetPassword);
        huge.cause = Cause::Rotation("x".repeat(300_000));
        let never = room_for(&empty(), &huge).unwrap_err();
        assert_eq!(
            never.to_string(),
            "the change is too large to be kept: the annotation pguser.dev/rotate takes 300016 bytes, and a change may \
             take 32768 in all"
        );
    }
}
