//! The two clocks that decisions rest on (journal R10).
//!
//! Waiting is measured on [`Mono`], the process's own clock, which cannot be set back. What a remote system
//! says about when things happened is a [`jiff::Timestamp`] from *its* `Date` header or metadata, and is only
//! ever compared with other times of that system.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment on this process's monotonic clock, in milliseconds since some fixed start (on Linux, boot: the
/// clock counts suspension). Means nothing to another process and is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Mono(pub u64);

impl Add<Duration> for Mono {
    type Output = Mono;

    fn add(self, delay: Duration) -> Mono {
        Mono(
            self.0
                .saturating_add(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub for Mono {
    type Output = Duration;

    /// How much later `self` is than `earlier`; zero if it is not later.
    fn sub(self, earlier: Mono) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
