//! When the users are counted anew for the server object's status, between two lists. Each count is a write, so a crowd of
//! users that come or go is counted now and then. No IO.

use std::time::Duration;

use crate::domain::time::Mono;

/// How far apart counts are.
const APART: Duration = Duration::from_secs(2);

/// Counts that are wanted.
#[derive(Debug, Default)]
pub struct Recount {
    last: Option<Mono>,
    wanted: bool,
}

impl Recount {
    /// A user has come or gone. Gives how long to wait before counting; none if somebody waits already.
    pub fn want(&mut self, now: Mono) -> Option<Duration> {
        if std::mem::replace(&mut self.wanted, true) {
            return None;
        }
        let since = self.last.map(|last| now - last);
        Some(since.map_or(Duration::ZERO, |since| APART.saturating_sub(since)))
    }

    /// Whoever has waited counts.
    pub fn begun(&mut self, now: Mono) {
        self.last = Some(now);
        self.wanted = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_counted_at_once_and_a_crowd_now_and_then() {
        let mut recount = Recount::default();
        let at = |milliseconds: u64| Mono(10_000 + milliseconds);
        assert_eq!(recount.want(at(0)), Some(Duration::ZERO));
        assert_eq!(recount.want(at(1)), None);
        recount.begun(at(2));
        assert_eq!(recount.want(at(502)), Some(Duration::from_millis(1500)));
        assert_eq!(recount.want(at(600)), None);
        recount.begun(at(2002));
        assert_eq!(recount.want(at(9000)), Some(Duration::ZERO));
    }
}
