//! The rate limit of a set of credentials, shared by all servers that use them.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::clock;
use crate::domain::time::Mono;

/// A token bucket, and a pause that a remote asked for. Cheap to clone.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

struct Inner {
    limiter: DefaultDirectRateLimiter,
    per_minute: u32,
    paused_until: Mutex<Mono>,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bucket({}/min)", self.0.per_minute)
    }
}

impl Bucket {
    fn new(per_minute: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        let limiter = RateLimiter::direct(quota);
        Self(Arc::new(Inner {
            limiter,
            per_minute,
            paused_until: Mutex::default(),
        }))
    }

    /// Waits for permission to make one request.
    pub async fn acquire(&self) {
        loop {
            let until = *self.0.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
            let pause = until - clock::now();
            if pause.is_zero() {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        self.0.limiter.until_ready().await;
    }

    /// Permission to make one request now, or when to ask again.
    pub fn try_acquire(&self, now: Mono) -> Result<(), Mono> {
        let until = *self.0.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        if until > now {
            return Err(until);
        }
        self.0
            .limiter
            .check()
            .map_err(|_| now + Duration::from_millis(10))
    }

    /// Ends the pause.
    pub fn resume(&self) {
        *self.0.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Mono::default();
    }

    /// Holds everybody back: the remote said so to one.
    pub fn pause(&self, pause: Duration) {
        let mut until = self.0.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(clock::now() + pause);
    }
}

/// The buckets of all credentials in use.
#[derive(Default)]
pub struct Buckets(Mutex<HashMap<String, Shared>>);

struct Shared {
    bucket: Bucket,
    limits: HashMap<String, u32>,
}

impl Buckets {
    /// The bucket of these credentials, for this server with this limit. Among servers that share credentials
    /// the strictest limit holds for all: whoever is not the first has to be given the new bucket by asking
    /// again, which its next reconciliation does.
    pub fn of(&self, credentials: &str, server_uid: &str, per_minute: u32) -> Bucket {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, shared) in all.iter_mut() {
            if name != credentials {
                shared.limits.remove(server_uid);
            }
        }
        all.retain(|name, shared| name == credentials || !shared.limits.is_empty());
        let shared = all.entry(credentials.to_string()).or_insert_with(|| Shared {
            bucket: Bucket::new(per_minute),
            limits: HashMap::new(),
        });
        shared.limits.insert(server_uid.to_string(), per_minute);
        let strictest = shared.limits.values().copied().min().unwrap_or(per_minute);
        if shared.bucket.0.per_minute != strictest {
            shared.bucket = Bucket::new(strictest);
        }
        shared.bucket.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_limit_of_those_that_share_credentials_holds() {
        let buckets = Buckets::default();
        assert_eq!(buckets.of("c", "a", 100).0.per_minute, 100);
        assert_eq!(buckets.of("c", "b", 60).0.per_minute, 60);
        assert_eq!(buckets.of("c", "a", 100).0.per_minute, 60);
        assert_eq!(buckets.of("other", "b", 60).0.per_minute, 60);
        assert_eq!(buckets.of("c", "a", 100).0.per_minute, 100);
    }
}
