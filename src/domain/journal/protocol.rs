//! Who may write the journal, and when an entry may be sent: R1, R3, R4.

use std::collections::BTreeSet;

use super::{Entry, EntryId, Header, Journal};
use crate::domain::time::Mono;
use crate::domain::timings::{ProtocolTimings, Rule, Rules};

/// A process's hold on a journal, in that process's memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
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
    let stamped = journal.entries.values().map(|entry| {
        let stamped = Entry {
            epoch: next.header.epoch,
            ..Entry::clone(entry)
        };
        (entry.id, stamped)
    });
    next.entries = stamped.collect();
    next
}

/// What a read tells of a write that was refused or not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was stored.
    Stored,
    /// What it was made from is still there, which proves nothing: it may yet arrive. The very same write is repeated,
    /// and nothing else is built on it.
    Open,
    /// It was not stored and never will be, and nobody else leads: the changes are made again.
    Rebase(Onto),
    /// Another process leads: stop.
    Replaced,
}

/// What stands in the place of a write that was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onto {
    /// Nothing that this process does not know: what it has in memory is the newest, whatever a person has put in its
    /// place, and is written again.
    Known,
    /// The write of another process: what was decided without a look at it is refused, and decided anew.
    Foreign,
}

/// R1: what became of a write that was not acknowledged. `base` is what it was made from, if there was anything;
/// `moved`, whether the resourceVersion that the write depends on is there no more.
pub fn fate(attempted: &Header, base: Option<&Header>, found: &Header, moved: bool, rules: Rules) -> Fate {
    if has_token(found, attempted) {
        return Fate::Stored;
    }
    let Some(base) = base else {
        // Another process made the journal first: it is taken over like any other.
        return Fate::Rebase(Onto::Foreign);
    };
    if !moved {
        return Fate::Open;
    }
    let same_leader = found.epoch == base.epoch && found.lineage == base.lineage;
    if !same_leader && rules.hold(Rule::R1) {
        return Fate::Replaced;
    }
    // Under an epoch of its own nobody else writes: what is there was this process's some time before.
    let own_epoch = same_leader && base.epoch == attempted.epoch && found.holder == attempted.holder;
    match own_epoch || has_token(found, base) {
        true => Fate::Rebase(Onto::Known),
        false => Fate::Rebase(Onto::Foreign),
    }
}

/// Whether `found` is this very write. Of a journal without a token, from an earlier version, nothing is known.
fn has_token(found: &Header, write: &Header) -> bool {
    !write.token.is_empty() && found.token == write.token
}

/// R3 and R4, at the last moment before sending: whether this process may still send this entry.
pub fn may_send(entry: &Entry, term: &Term, now: Mono, timings: &ProtocolTimings) -> bool {
    let in_window = now < term.last_write_started + timings.write_window;
    let own_stamp = entry.epoch == term.epoch;
    (in_window || !timings.rules.hold(Rule::R3)) && (own_stamp || !timings.rules.hold(Rule::R4))
}

/// When a request that an earlier leader may have sent can no longer take effect (R3), on this process's clock.
pub fn inherited_until(term: &Term, timings: &ProtocolTimings) -> Mono {
    if timings.rules.hold(Rule::R3) {
        term.began + timings.write_window + timings.t_live
    } else {
        term.began
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(holder: &str, epoch: u64, sequence: u64, token: &str) -> Header {
        Header {
            holder: holder.into(),
            epoch,
            lineage: "l".into(),
            sequence,
            next_id: 0,
            token: token.into(),
        }
    }

    fn own(sequence: u64, token: &str) -> Header {
        header("a", 1, sequence, token)
    }

    /// The fate of the write `new` on `old`, where `found` is there under another resourceVersion than `old` had.
    fn of(found: &Header) -> Fate {
        fate(&own(6, "new"), Some(&own(5, "old")), found, true, Rules::all())
    }

    #[test]
    fn a_write_is_known_by_its_token() {
        assert_eq!(of(&own(6, "new")), Fate::Stored);
    }

    #[test]
    fn an_equal_header_with_another_token_is_another_write() {
        assert_eq!(of(&own(6, "other")), Fate::Rebase(Onto::Known));
    }

    #[test]
    fn a_read_of_what_was_there_before_proves_nothing() {
        let (base, attempted) = (own(5, "old"), own(6, "new"));
        assert_eq!(
            fate(&attempted, Some(&base), &base, false, Rules::all()),
            Fate::Open
        );
    }

    #[test]
    fn what_a_person_has_touched_or_put_back_is_written_over() {
        assert_eq!(of(&own(5, "old")), Fate::Rebase(Onto::Known));
        assert_eq!(of(&own(3, "long ago")), Fate::Rebase(Onto::Known));
    }

    #[test]
    fn another_epoch_or_another_journal_ends_the_process() {
        assert_eq!(of(&header("b", 2, 6, "other")), Fate::Replaced);
        let other_lineage = Header {
            lineage: "m".into(),
            ..own(6, "other")
        };
        assert_eq!(of(&other_lineage), Fate::Replaced);
    }

    #[test]
    fn the_epoch_that_is_being_taken_is_ones_own_only_with_ones_own_token() {
        let (base, attempted) = (header("b", 1, 5, "old"), header("a", 2, 6, "new"));
        let of = |found: &Header| fate(&attempted, Some(&base), found, true, Rules::all());
        assert_eq!(of(&header("a", 2, 6, "new")), Fate::Stored);
        assert_eq!(of(&header("c", 2, 6, "other")), Fate::Replaced);
        assert_eq!(of(&header("a", 2, 6, "other")), Fate::Replaced);
    }

    #[test]
    fn what_the_former_leader_wrote_in_the_meantime_is_looked_at_first() {
        let (base, attempted) = (header("b", 1, 5, "old"), header("a", 2, 7, "new"));
        let of = |found: &Header| fate(&attempted, Some(&base), found, true, Rules::all());
        assert_eq!(of(&header("b", 1, 6, "later")), Fate::Rebase(Onto::Foreign));
        assert_eq!(of(&header("a", 1, 6, "later")), Fate::Rebase(Onto::Foreign));
        assert_eq!(of(&base), Fate::Rebase(Onto::Known));
    }

    #[test]
    fn a_journal_that_another_process_made_first_is_looked_at_first() {
        let found = header("b", 1, 1, "other");
        let of = |found: &Header| fate(&own(1, "new"), None, found, true, Rules::all());
        assert_eq!(of(&found), Fate::Rebase(Onto::Foreign));
        assert_eq!(of(&own(1, "new")), Fate::Stored);
    }

    #[test]
    fn a_journal_without_a_token_is_never_known_again() {
        let base = header("b", 1, 5, "");
        let attempted = header("a", 2, 6, "new");
        assert_eq!(
            fate(&attempted, Some(&base), &base, true, Rules::all()),
            Fate::Rebase(Onto::Foreign)
        );
    }
}
