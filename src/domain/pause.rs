//! Pauses that grow: whatever is tried again, on the remote or on the Kubernetes API, waits for longer each time, never
//! in step with others, and never for longer than is bearable.

use std::time::Duration;

/// How pauses grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Growth {
    /// The first pause.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

/// Two writers met at the Kubernetes API: to look again is all that it takes, once the watch has caught up.
pub const CONFLICT: Growth = Growth {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(30),
};

impl Growth {
    /// The pause after so many failures (from 1 on): it doubles up to the longest, and `jitter`, from 0 to 1, takes up to
    /// half off, so that those who failed together do not come back together.
    #[must_use]
    pub fn after(&self, failures: u32, jitter: f64) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let jitter = if jitter.is_finite() {
            jitter.clamp(0.0, 1.0)
        } else {
            0.0
        };
        let pause = self.first.saturating_mul(doubled).min(self.longest);
        pause.mul_f64(1.0 - jitter / 2.0)
    }
}

/// A row of failures, each with a longer pause than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Growing {
    growth: Growth,
    failures: u32,
}

impl Growing {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new(growth: Growth) -> Self {
        Self { growth, failures: 0 }
    }

    /// One more failure: how long to wait.
    pub fn next(&mut self, jitter: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.growth.after(self.failures, jitter)
    }

    /// How many failures there were in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// It went well: the next pause is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GROWTH: Growth = Growth {
        first: Duration::from_millis(100),
        longest: Duration::from_secs(2),
    };

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut growing = Growing::new(GROWTH);
        let pauses: Vec<u128> = (0..7).map(|_| growing.next(0.0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 2000, 2000]);
        growing.reset();
        assert_eq!(growing.next(0.0).as_millis(), 100);
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_the_longest_or_shorter_than_half_the_first(failures in any::<u32>(), jitter in any::<f64>()) {
            let pause = GROWTH.after(failures, jitter);
            prop_assert!(pause >= GROWTH.first / 2 && pause <= GROWTH.longest, "{pause:?}");
        }
    }
}
