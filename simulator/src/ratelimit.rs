//! The rate limit: so many requests in a sliding window.

use std::collections::VecDeque;

/// When the requests of the window arrived, in milliseconds.
#[derive(Debug, Default)]
pub struct RateLimit(VecDeque<i64>);

impl RateLimit {
    /// Admits a request, or says in how many milliseconds the next one will be. Refused requests do not count.
    pub fn admit(&mut self, now_ms: i64, limit: usize, window_ms: i64) -> Result<(), i64> {
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

    /// Forgets all requests.
    pub fn clear(&mut self) {
        self.0.clear();
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
}
