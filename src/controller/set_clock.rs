//! A clock on the wall that somebody sets: what is due by it is looked at anew, since whoever waits goes by the process's own clock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock;
use crate::domain::time::Mono;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// By less it is only kept right, and nobody need look.
const SET: SignedDuration = SignedDuration::from_secs(60);

/// Watches the clock as long as it is polled, and tells whenever it was set.
pub async fn watch(told: impl Fn()) {
    let mut clock = Clock::new(Timestamp::now(), clock::now());
    loop {
        tokio::time::sleep(EVERY).await;
        if let Some(by) = clock.was_set(Timestamp::now(), clock::now()) {
            tracing::warn!(
                seconds = by.as_secs(),
                "the clock was set: what is due by it is looked at anew"
            );
            told();
        }
    }
}

/// The clock on the wall, as this process's own clock was at it last.
struct Clock {
    wall: Timestamp,
    own: Mono,
}

impl Clock {
    fn new(wall: Timestamp, own: Mono) -> Self {
        Self { wall, own }
    }

    /// By how much it was set since it was last found to be, if it was.
    fn was_set(&mut self, wall: Timestamp, own: Mono) -> Option<SignedDuration> {
        let passed = SignedDuration::try_from(own - self.own).unwrap_or(SignedDuration::MAX);
        let by = wall.duration_since(self.wall).saturating_sub(passed);
        if by.abs() < SET {
            return None;
        }
        *self = Self::new(wall, own);
        Some(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_that_a_clock_was_set_and_by_how_much() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut clock = Clock::new(at(100_000), Mono(0));
        assert_eq!(clock.was_set(at(100_005), Mono(5000)), None);
        assert_eq!(
            clock.was_set(at(103_610), Mono(10_000)),
            Some(SignedDuration::from_hours(1))
        );
        assert_eq!(clock.was_set(at(103_615), Mono(15_000)), None);
        assert_eq!(
            clock.was_set(at(100_020), Mono(20_000)),
            Some(-SignedDuration::from_hours(1))
        );
        // As it drifts away, little by little.
        let ticks = (1..=13).filter(|tick| {
            let (wall, own) = (100_020 + 10 * tick, 20_000 + 5000 * tick);
            clock.was_set(at(wall), Mono(own as u64)).is_some()
        });
        assert_eq!(ticks.collect::<Vec<_>>(), [12]);
    }
}
