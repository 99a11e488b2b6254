//! The two clocks that decisions rest on (journal R10).
//!
//! Waiting is measured on [`Mono`], the process's own clock, which cannot be set back. What a remote system
//! says about when things happened is a [`jiff::Timestamp`] from *its* `Date` header or metadata, and is only
//! ever compared with other times of that system.

use std::ops::{Add, Sub};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

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

/// A time without its fraction of a second, rounded down: as Kubernetes keeps it. Whatever is stored and compared
/// later loses its fraction where it comes in, or what is read back is never equal to what was found.
#[must_use]
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    let floor = time.as_nanosecond().div_euclid(1_000_000_000);
    i64::try_from(floor)
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .unwrap_or(time)
}

/// Reads a time that is compared with others, as [`whole_seconds`] leaves it: earlier versions wrote fractions.
///
/// # Errors
/// If it is not a time.
pub fn read_whole_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Option::<Timestamp>::deserialize(deserializer).map(|time| time.map(whole_seconds))
}

/// A duration of hours, minutes and seconds, as `kubectl` writes them; none if it is none.
pub fn duration(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut number = String::new();
    for character in text.chars() {
        if character.is_ascii_digit() {
            number.push(character);
            continue;
        }
        let unit = match character {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    (number.is_empty() && !text.is_empty()).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fractions_are_rounded_down_on_both_sides_of_1970() {
        let whole = |text: &str| whole_seconds(text.parse().unwrap()).to_string();
        assert_eq!(whole("2026-01-01T00:00:00.999999999Z"), "2026-01-01T00:00:00Z");
        assert_eq!(whole("2026-01-01T00:00:01Z"), "2026-01-01T00:00:01Z");
        assert_eq!(whole("1969-12-31T23:59:59.5Z"), "1969-12-31T23:59:59Z");
    }

    proptest! {
        #[test]
        fn a_whole_second_comes_back_from_a_status_as_it_was(second in -62_000_000_000i64..253_000_000_000, nanos in 0i32..1_000_000_000) {
            let time = whole_seconds(Timestamp::new(second, nanos).unwrap());
            let kept: Time = serde_json::from_value(serde_json::json!(Time(time))).unwrap();
            prop_assert_eq!(kept.0, time);
        }
    }

    #[test]
    fn durations_are_hours_minutes_and_seconds() {
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        for none in ["90", "", "1d", "h"] {
            assert_eq!(duration(none), None, "{none:?}");
        }
    }
}
