//! When overlaps of two logins end, by this process's own clock (R10): whoever sets the clock on the wall neither ends one before its
//! time nor makes it last.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::time::Mono;

/// The overlaps that are under way, by the UID of whose they are.
#[derive(Debug, Default)]
pub struct Overlaps(Mutex<HashMap<String, Overlap>>);

#[derive(Debug, Clone, Copy)]
struct Overlap {
    /// What the status says.
    until: Timestamp,
    /// The clock on the wall when that was first seen, and when that was.
    seen: (Timestamp, Mono),
}

impl Overlaps {
    /// What the clock on the wall would say had nobody set it since it was first seen that the overlap lasts until then.
    pub fn wall(&self, uid: &str, until: Option<Timestamp>, wall: Timestamp, now: Mono) -> Timestamp {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = until else {
            all.remove(uid);
            return wall;
        };
        let new = Overlap {
            until,
            seen: (wall, now),
        };
        let known = all.get(uid).copied().filter(|known| known.until == until);
        let overlap = known.unwrap_or(new);
        all.insert(uid.to_string(), overlap);
        let (then, since) = overlap.seen;
        then.checked_add(signed(now - since)).unwrap_or(wall)
    }

    /// Whose they are is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_clock_that_is_set_neither_shortens_an_overlap_nor_lengthens_it() {
        for set_to in [1_000_000, 5] {
            let overlaps = Overlaps::default();
            let until = Some(at(1060));
            assert_eq!(overlaps.wall("u", until, at(1000), Mono(7000)), at(1000));
            assert_eq!(overlaps.wall("u", until, at(set_to), Mono(66_000)), at(1059));
            assert_eq!(overlaps.wall("u", until, at(set_to + 1), Mono(67_000)), at(1060));
        }
    }

    #[test]
    fn another_overlap_and_none_go_by_the_clock_as_it_is_then() {
        let overlaps = Overlaps::default();
        overlaps.wall("u", Some(at(1060)), at(1000), Mono(0));
        assert_eq!(overlaps.wall("u", Some(at(60)), at(5), Mono(1000)), at(5));
        assert_eq!(overlaps.wall("u", Some(at(60)), at(9), Mono(2000)), at(6));
        assert_eq!(overlaps.wall("u", None, at(9), Mono(2000)), at(9));
        assert_eq!(overlaps.wall("u", Some(at(60)), at(9), Mono(3000)), at(9));
        overlaps.forget("u");
        assert_eq!(overlaps.wall("u", Some(at(60)), at(7), Mono(4000)), at(7));
    }
}
