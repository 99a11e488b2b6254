//! How much memory the users of all servers may take together.
//!
//! What one remote says is bounded, but there may be many, and whoever may make server objects makes more. So what is read, and
//! what is kept of it, is counted. Where there is no room left, it is whoever takes more than an equal part that gets no more of
//! it: a small list has room beside the large ones of others, which lets the sum go beyond the bound, to twice of it at most, until
//! those are read again and go without.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is said of a list for which there is no room.
pub(crate) const NO_ROOM: &str = "there is no room for its users in memory beside those of other servers: an administrator can \
                                  raise the limit with --max-list-memory";

/// A number of bytes that many share.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: usize,
    /// By how many that have any.
    shares: usize,
}

impl Memory {
    /// So many bytes.
    pub fn new(most: usize) -> Self {
        let taken = Mutex::default();
        Self(Arc::new(Pool { most, taken }))
    }

    /// A part of it, which has nothing yet.
    pub fn share(&self) -> Share {
        Share {
            of: self.clone(),
            bytes: 0,
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that somebody has, until this is dropped.
#[derive(Debug)]
pub struct Share {
    of: Memory,
    bytes: usize,
}

impl Share {
    /// Has so many bytes from now on, instead of what it had. False if there is no room; then it has what it had.
    pub fn set(&mut self, bytes: usize) -> bool {
        let most = self.of.0.most;
        let mut taken = self.of.taken();
        let others = taken.bytes - self.bytes;
        let shares = taken.shares - usize::from(self.bytes > 0) + usize::from(bytes > 0);
        let all = others.saturating_add(bytes);
        let is_small = bytes <= most / shares.max(1) && all <= most.saturating_mul(2);
        let fits = all <= most || is_small;
        if bytes > self.bytes && !fits {
            return false;
        }
        *taken = Taken {
            bytes: others + bytes,
            shares,
        };
        drop(taken);
        self.bytes = bytes;
        true
    }

    /// Has so many bytes more. False if there is no room.
    pub fn grow(&mut self, bytes: usize) -> bool {
        self.set(self.bytes.saturating_add(bytes))
    }

    /// Whether there is room for as much as it has: others may have come since.
    pub fn fits(&self) -> bool {
        let most = self.of.0.most;
        let taken = self.of.taken();
        taken.bytes <= most || self.bytes <= most / taken.shares.max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_there_for_others() {
        let memory = Memory::new(100);
        let (mut one, mut other) = (memory.share(), memory.share());
        assert!(one.grow(60) && one.grow(40));
        assert!(!one.grow(1), "beyond the bound");
        assert!(!other.grow(51), "beyond its part");
        drop(one);
        assert!(other.grow(100));
        assert!(other.set(10) && other.grow(90));
    }

    #[test]
    fn a_small_list_has_room_whatever_a_large_one_takes_and_the_large_one_gets_no_more() {
        let memory = Memory::new(100);
        let mut greedy = memory.share();
        assert!(greedy.set(100) && greedy.fits());
        let mut small: Vec<Share> = (0..9).map(|_| memory.share()).collect();
        assert!(small.iter_mut().all(|share| share.set(10)));
        assert!(!greedy.fits(), "it has to go");
        assert!(!greedy.grow(1));
        assert!(small.iter().all(Share::fits));
        assert!(greedy.set(1), "to take less is always possible");
        drop(small);
        // However many there are, they take no more than twice the bound together.
        let mut many: Vec<Share> = (0..1000).map(|_| memory.share()).collect();
        for share in &mut many {
            while share.grow(1) {}
        }
        assert!(memory.taken().bytes <= 200, "{:?}", memory.taken());
    }
}
