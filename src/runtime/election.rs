//! Who holds a Lease, as one process can tell.
//!
//! A Lease says when it was renewed, by its holder's clock. That is compared with nothing here: two machines whose clocks differ
//! by more than a Lease lasts would depose each other for ever. A Lease has run out once this process has seen it unchanged, on
//! its own clock, for as long as it lasts (R10).

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;

use crate::domain::time::Mono;

/// What is to be done about a Lease that was just read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Nobody holds it, or not any more: take it.
    Take,
    /// It is held by this process: renew it.
    Renew,
    /// Somebody else holds it: look again after this long.
    Wait(Duration),
}

/// The view of one process.
#[derive(Debug)]
pub struct Election {
    identity: String,
    lasts: Duration,
    /// The Lease as last read, and since when it has been like that at most.
    seen: Option<(LeaseSpec, Mono)>,
}

impl Election {
    /// Of a process that knows nothing yet, with how long its own Lease lasts.
    pub fn new(identity: &str, lasts: Duration) -> Self {
        Self {
            identity: identity.to_string(),
            lasts,
            seen: None,
        }
    }

    /// How often the holder renews it.
    pub fn renewal(&self) -> Duration {
        self.lasts / 3
    }

    /// How often others look at it, and how soon the holder tries a renewal again that has failed.
    pub fn look(&self) -> Duration {
        self.lasts / 6
    }

    /// Until when a process that last began a renewal at this moment, which went through, may take itself for the holder: nobody
    /// else has seen that renewal earlier, so nobody counts it as run out before.
    pub fn holds_until(&self, renewed: Mono) -> Mono {
        renewed + self.lasts.saturating_sub(self.look())
    }

    /// Notes what was just read.
    pub fn found(&mut self, lease: &LeaseSpec, now: Mono) -> Move {
        let holder = lease.holder_identity.as_deref().unwrap_or_default();
        if holder == self.identity {
            return Move::Renew;
        }
        if holder.is_empty() {
            return Move::Take;
        }
        let since = match &self.seen {
            Some((seen, since)) if seen == lease => *since,
            _ => {
                self.seen = Some((lease.clone(), now));
                now
            }
        };
        let seconds = lease.lease_duration_seconds.unwrap_or_default();
        // It lasts as long as its holder thinks, or longer.
        let lasts = Duration::from_secs(u64::try_from(seconds).unwrap_or_default()).max(self.lasts);
        match (since + lasts) - now {
            Duration::ZERO => Move::Take,
            left => Move::Wait(left.min(self.look())),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    const LASTS: Duration = Duration::from_secs(15);

    fn lease(holder: &str, renewed: Timestamp) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_string()),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(renewed)),
            ..LeaseSpec::default()
        }
    }

    fn seconds(seconds: u64) -> Mono {
        Mono(seconds * 1000)
    }

    /// Two processes take turns in looking at one Lease, as often as they mean to, each with its own clock on the wall.
    fn changes_of_holder(ahead: SignedDuration) -> usize {
        let mut stored = LeaseSpec::default();
        let mut all = [("a", SignedDuration::ZERO), ("b", ahead)].map(|(name, ahead)| {
            let next = Mono::default();
            (name, ahead, Election::new(name, LASTS), next)
        });
        let mut changes = 0;
        for now in (0..3_600_000).step_by(100).map(Mono) {
            let on_the_wall = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(now.0 as i64);
            for (name, ahead, election, next) in &mut all {
                if now < *next {
                    continue;
                }
                let act = election.found(&stored, now);
                changes += usize::from(act == Move::Take);
                *next = now
                    + match act {
                        Move::Wait(pause) => pause,
                        Move::Take | Move::Renew => {
                            stored = lease(name, on_the_wall + *ahead);
                            election.renewal()
                        }
                    };
            }
        }
        changes
    }

    #[test]
    fn clocks_that_differ_depose_nobody() {
        for minutes in [0, 1, -1, 600, -600] {
            let ahead = SignedDuration::from_mins(minutes);
            assert_eq!(changes_of_holder(ahead), 1, "{minutes} minutes ahead");
        }
    }

    #[test]
    fn what_is_not_renewed_runs_out_whatever_date_it_has() {
        for renewed in ["1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
            let held = lease("other", renewed.parse().unwrap());
            let mut election = Election::new("me", LASTS);
            assert!(matches!(election.found(&held, seconds(100)), Move::Wait(_)));
            assert!(matches!(election.found(&held, seconds(114)), Move::Wait(_)));
            assert_eq!(election.found(&held, seconds(115)), Move::Take, "{renewed}");
        }
    }

    #[test]
    fn a_lease_lasts_as_long_as_its_holder_thinks() {
        let mut held = lease("other", Timestamp::UNIX_EPOCH);
        held.lease_duration_seconds = Some(60);
        let mut election = Election::new("me", LASTS);
        assert!(matches!(election.found(&held, seconds(0)), Move::Wait(_)));
        assert!(matches!(election.found(&held, seconds(59)), Move::Wait(_)));
        assert_eq!(election.found(&held, seconds(60)), Move::Take);
    }

    #[test]
    fn what_was_given_back_is_had_at_once_and_ones_own_is_renewed() {
        let mut election = Election::new("me", LASTS);
        assert_eq!(election.found(&LeaseSpec::default(), seconds(0)), Move::Take);
        let mine = lease("me", Timestamp::UNIX_EPOCH);
        assert_eq!(election.found(&mine, seconds(9999)), Move::Renew);
        assert!(election.holds_until(seconds(0)) < seconds(15));
        assert!(election.renewal() + election.look() < LASTS / 2 + Duration::from_secs(1));
    }
}
