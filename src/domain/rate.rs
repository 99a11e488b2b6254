//! How many requests may be made in a minute, exactly: no sixty seconds, wherever they begin, have more.

use std::collections::VecDeque;
use std::time::Duration;

use super::time::Mono;

/// The time that a limit speaks of.
const MINUTE: Duration = Duration::from_secs(60);
/// Requests that lie closer together are remembered as one moment, the later one.
const GRAIN: u64 = 10;

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// The most requests in any minute.
    pub per_minute: u32,
    /// The most of them at once. All others keep a distance, as if spread evenly over the minute.
    pub burst: u32,
}

impl Rate {
    /// A limit; without a burst, a tenth of it may be made at once.
    #[must_use]
    pub fn new(per_minute: u32, burst: Option<u32>) -> Self {
        let per_minute = per_minute.max(1);
        Self {
            per_minute,
            burst: burst.unwrap_or(per_minute / 10).clamp(1, per_minute),
        }
    }

    /// What allows whatever one of the two does.
    #[must_use]
    pub fn or(self, other: Rate) -> Rate {
        Rate::new(
            self.per_minute.max(other.per_minute),
            Some(self.burst.max(other.burst)),
        )
    }

    /// From one request to the next, in microseconds.
    fn distance(self) -> u64 {
        60_000_000_u64.div_ceil(u64::from(self.per_minute))
    }
}

/// What was requested under a limit.
///
/// A bucket that is refilled evenly keeps requests apart, but lets a whole burst more than the limit through in a minute
/// that begins with a full one; so those of the last minute are counted as well.
#[derive(Debug, Clone)]
pub struct Meter {
    rate: Rate,
    /// When the bucket is full again, in microseconds.
    full_at: u64,
    /// The moments of the last minute, and how many requests each had.
    last_minute: VecDeque<(Mono, u32)>,
    in_last_minute: u32,
}

impl Meter {
    /// Nothing was requested yet.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            full_at: 0,
            last_minute: VecDeque::new(),
            in_last_minute: 0,
        }
    }

    /// The limit.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Another limit from now on: what was requested before counts.
    pub fn limit(&mut self, rate: Rate) {
        self.rate = rate;
    }

    /// The moment from which so many more requests may be made in a row; not later than now, if they may be made now. More
    /// than a burst is never waited for.
    pub fn free_at(&self, now: Mono, requests: u32) -> Mono {
        let requests = requests.clamp(1, self.rate.burst);
        let room = u64::from(self.rate.burst - requests) * self.rate.distance();
        let bucket = Mono(self.full_at.saturating_sub(room).div_ceil(1000));
        bucket.max(self.minute_free_at(now, requests))
    }

    /// When the last minute has room for so many.
    fn minute_free_at(&self, now: Mono, requests: u32) -> Mono {
        let most_before = self.rate.per_minute - requests;
        let mut left = self.in_last_minute;
        for (moment, requests) in &self.last_minute {
            let gone = *moment + MINUTE;
            if left <= most_before {
                break;
            }
            left -= requests;
            if left <= most_before && gone > now {
                return gone;
            }
        }
        Mono::default()
    }

    /// Notes requests.
    pub fn note(&mut self, now: Mono, requests: u32) {
        while let Some((moment, requests)) = self.last_minute.front() {
            if *moment + MINUTE > now {
                break;
            }
            self.in_last_minute -= requests;
            self.last_minute.pop_front();
        }
        let moment = Mono(now.0.div_ceil(GRAIN) * GRAIN);
        match self.last_minute.back_mut() {
            Some((last, before)) if *last >= moment => *before += requests,
            _ => self.last_minute.push_back((moment, requests)),
        }
        self.in_last_minute += requests;
        let now = now.0.saturating_mul(1000);
        let taken = u64::from(requests).saturating_mul(self.rate.distance());
        self.full_at = self.full_at.max(now).saturating_add(taken);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The moments at which requests are made by callers that come at these distances and wait as long as they must.
    fn requests(rate: Rate, distances: &[u64]) -> Vec<u64> {
        let mut meter = Meter::new(rate);
        let mut now = Mono(1);
        let mut moments = Vec::new();
        for distance in distances {
            now = now.max(meter.free_at(now, 1)) + Duration::from_millis(*distance);
            let free = meter.free_at(now, 1);
            now = now.max(free);
            assert!(
                meter.free_at(now, 1) <= now,
                "what was free at {free:?} is free then"
            );
            meter.note(now, 1);
            moments.push(now.0);
        }
        moments
    }

    fn most_in(moments: &[u64], window: u64) -> usize {
        let within = |from: u64| {
            moments
                .iter()
                .filter(|at| (from..from + window).contains(at))
                .count()
        };
        moments.iter().map(|from| within(*from)).max().unwrap_or(0)
    }

    #[test]
    fn a_tenth_may_be_made_at_once_unless_said_otherwise() {
        assert_eq!(Rate::new(300, None).burst, 30);
        assert_eq!(Rate::new(50, None).burst, 5);
        assert_eq!(Rate::new(1, None).burst, 1);
        assert_eq!(Rate::new(5, Some(9)).burst, 5);
    }

    #[test]
    fn one_a_minute_is_one_each_minute() {
        assert_eq!(
            requests(Rate::new(1, None), &[0; 4]),
            [1, 60_010, 120_010, 180_010]
        );
    }

    #[test]
    fn the_whole_limit_is_used_where_there_is_enough_to_do() {
        let moments = requests(Rate::new(300, None), &[0; 1501]);
        let minutes = (moments[1500] - moments[0]) as f64 / 60_000.0;
        assert!((4.99..5.05).contains(&minutes), "{minutes}");
    }

    #[test]
    fn a_row_of_requests_waits_until_there_is_room_for_all_of_them() {
        let mut meter = Meter::new(Rate::new(600, Some(10)));
        let start = Mono(100_000);
        assert!(meter.free_at(start, 10) <= start);
        meter.note(start, 10);
        // Each tenth of a second has one.
        assert_eq!(meter.free_at(start, 1), start + Duration::from_millis(100));
        assert_eq!(meter.free_at(start, 10), start + Duration::from_secs(1));
        assert_eq!(
            meter.free_at(start, 1000),
            meter.free_at(start, 10),
            "a burst at most"
        );
    }

    #[test]
    fn what_was_requested_beyond_the_limit_is_waited_for_afterwards() {
        let mut meter = Meter::new(Rate::new(5, None));
        let start = Mono(100_000);
        meter.note(start, 11);
        assert!(meter.free_at(start, 1) >= start + MINUTE);
    }

    #[test]
    fn a_lower_limit_counts_what_was_requested_before() {
        let mut meter = Meter::new(Rate::new(600, None));
        for _ in 0..60 {
            meter.note(Mono(1000), 1);
        }
        meter.limit(Rate::new(10, None));
        assert!(meter.free_at(Mono(1000), 1) >= Mono(61_000));
        meter.limit(Rate::new(6000, None));
        assert!(meter.free_at(Mono(7000), 1) <= Mono(7000));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn no_minute_has_more_requests_than_the_limit(
            per_minute in 1_u32..200,
            burst in prop::option::of(1_u32..200),
            distances in prop::collection::vec(prop_oneof![4 => Just(0_u64), 2 => 0_u64..50, 1 => 0_u64..90_000], 1..500),
        ) {
            let rate = Rate::new(per_minute, burst);
            let moments = requests(rate, &distances);
            prop_assert!(most_in(&moments, 60_000) <= per_minute as usize);
            prop_assert!(most_in(&moments, 1) <= rate.burst as usize);
        }

        #[test]
        fn a_limit_of_thousands_holds_as_well(burst in 1_u32..6000, pause in 0_u64..70_000) {
            let rate = Rate::new(6000, Some(burst));
            let mut distances = vec![0; 4000];
            distances.push(pause);
            distances.extend([0; 4000]);
            let moments = requests(rate, &distances);
            // Sorted: the window that begins with one request ends before the 6000th after it.
            prop_assert!(moments.windows(6001).all(|of| of[6000] - of[0] >= 60_000));
        }
    }
}
