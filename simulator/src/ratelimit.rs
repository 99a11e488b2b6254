//! The rate limits: so many requests in a sliding window, for each budget.

use std::collections::{HashMap, VecDeque};

use crate::{clock, switches::Switches};

/// What a request draws on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Whose it is: requests with the same word share it.
    pub of: String,
    /// How many requests it has for each window.
    pub requests: usize,
}

/// The header with which a 429 says when to come back: in `seconds`, as a `date`, or not at all.
pub fn retry_after(switches: &Switches, way: &str, wait_ms: i64) -> Option<(&'static str, String)> {
    let seconds = wait_ms.max(0).unsigned_abs().div_ceil(1000).max(1);
    let wait = i64::try_from(seconds * 1000).unwrap_or_default();
    let value = match way {
        "seconds" => seconds.to_string(),
        "date" => clock::http_date(clock::api_ms(switches) + wait),
        _ => return None,
    };
    Some(("retry-after", value))
}

/// The budgets that were drawn on.
#[derive(Debug, Default)]
pub struct RateLimits(HashMap<String, RateLimit>);

impl RateLimits {
    /// Admits a request, or says in how many milliseconds the next one will be. Refused requests do not count.
    pub fn admit(&mut self, budget: &Budget, now_ms: i64, window_ms: i64) -> Result<(), i64> {
        let limit = self.0.entry(budget.of.clone()).or_default();
        limit.admit(now_ms, budget.requests, window_ms)
    }

    /// Forgets all requests.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// When the requests of the window arrived, in milliseconds.
#[derive(Debug, Default)]
struct RateLimit(VecDeque<i64>);

impl RateLimit {
    fn admit(&mut self, now_ms: i64, limit: usize, window_ms: i64) -> Result<(), i64> {
        while self
            .0
            .front()
            .is_some_and(|arrived| arrived + window_ms <= now_ms)
        {
            self.0.pop_front();
        }
        if self.0.len() < limit {
            self.0.push_back(now_ms);
            return Ok(());
        }
        Err(self
            .0
            .front()
            .map_or(window_ms, |arrived| arrived + window_ms - now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides() {
        let mut rate = RateLimit::default();
        assert_eq!(rate.admit(0, 2, 100), Ok(()));
        assert_eq!(rate.admit(60, 2, 100), Ok(()));
        assert_eq!(rate.admit(70, 2, 100), Err(30));
        assert_eq!(rate.admit(100, 2, 100), Ok(()));
        assert_eq!(rate.admit(101, 2, 100), Err(59));
    }

    #[test]
    fn budgets_are_drawn_on_one_by_one() {
        let mut rate = RateLimits::default();
        let budget = |of: &str| Budget {
            of: of.to_owned(),
            requests: 1,
        };
        assert_eq!(rate.admit(&budget("a"), 0, 100), Ok(()));
        assert_eq!(rate.admit(&budget("a"), 0, 100), Err(100));
        assert_eq!(rate.admit(&budget("b"), 0, 100), Ok(()));
    }
}
