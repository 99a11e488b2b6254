//! The rate limits: what a set of credentials may be used for by all servers that share it, and beneath that each server
//! object's own share.
//!
//! The limit of the credentials is what the provider, or the most generous of their objects, allows: a lower one of some
//! object is its own, and holds back nobody else. Whoever raises it by an object of theirs has the credentials, and could
//! spend the vendor's patience without any operator; an administrator can set it for all by a flag.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::clock;
use crate::domain::rate::{Meter, Rate};
use crate::domain::time::Mono;

/// The longest pause that a remote may ask for: after it one call finds out.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What is counted together, and a pause that a remote asked for.
#[derive(Debug)]
struct Shared {
    meter: Meter,
    paused_until: Mono,
}

type Lock<T> = Arc<Mutex<T>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right of one server object to make requests. Cheap to clone; nobody ever sleeps in it.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Of the credentials.
    shared: Lock<Shared>,
    /// Of the object.
    own: Lock<Meter>,
}

impl Bucket {
    /// Takes permission for so many requests in a row: for how many it was given, a burst at most.
    ///
    /// # Errors
    /// The moment at which to ask again, if there is none now.
    pub fn try_acquire(&self, now: Mono, requests: u32) -> Result<u32, Mono> {
        let (mut shared, mut own) = (lock(&self.shared), lock(&self.own));
        let most = shared.meter.rate().burst.min(own.rate().burst);
        let requests = requests.clamp(1, most);
        let free = shared
            .meter
            .free_at(now, requests)
            .max(own.free_at(now, requests));
        let free = free.max(shared.paused_until);
        if free > now {
            return Err(free);
        }
        shared.meter.note(now, requests);
        own.note(now, requests);
        Ok(requests)
    }

    /// Notes requests that were made without permission, since nobody knew of them before: those that come wait for them.
    pub fn charge(&self, now: Mono, requests: u32) {
        lock(&self.shared).meter.note(now, requests);
        lock(&self.own).note(now, requests);
    }

    /// Holds back everybody who uses the credentials: the remote said so to one.
    pub fn pause(&self, pause: Duration) {
        self.pause_until(clock::now() + pause);
    }

    /// Holds back everybody who uses the credentials until then, but not for longer than an hour.
    pub fn pause_until(&self, until: Mono) {
        let until = until.min(clock::now() + LONGEST_PAUSE);
        let mut shared = lock(&self.shared);
        shared.paused_until = shared.paused_until.max(until);
    }

    /// Ends the pause: somebody wants to know now.
    pub fn resume(&self) {
        lock(&self.shared).paused_until = Mono::default();
    }
}

/// The buckets of all credentials in use.
#[derive(Debug, Default)]
pub struct Buckets {
    /// What holds for each set of credentials, if the administrator has said so.
    per_credentials: Option<u32>,
    all: Mutex<HashMap<String, Users>>,
}

/// Who uses a set of credentials.
#[derive(Debug)]
struct Users {
    shared: Lock<Shared>,
    /// By UID of the server object; gone when its last handle is.
    own: HashMap<String, Weak<Mutex<Meter>>>,
}

impl Users {
    fn new(usual: Rate) -> Self {
        let shared = Shared {
            meter: Meter::new(usual),
            paused_until: Mono::default(),
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            own: HashMap::new(),
        }
    }

    fn forget_the_gone(&mut self) {
        self.own.retain(|_, meter| meter.strong_count() > 0);
    }

    /// The most generous of what the provider and the objects allow.
    fn most_generous(&self, usual: Rate) -> Rate {
        let meters = self.own.values().filter_map(Weak::upgrade);
        meters.map(|meter| lock(&meter).rate()).fold(usual, Rate::or)
    }
}

impl Buckets {
    /// With what holds for each set of credentials, whatever server objects say; none: see [`Buckets::of`].
    pub fn new(per_credentials: Option<u32>) -> Self {
        Self {
            per_credentials,
            all: Mutex::default(),
        }
    }

    /// The bucket of this server with this limit, beneath that of its credentials: what the administrator has said, else
    /// the most generous of `usual`, the provider's, and the limits of the objects that use them. What was requested before
    /// counts on; handles that are out go by the limits of today.
    pub fn of(&self, credentials: &str, server_uid: &str, usual: u32, own: Rate) -> Bucket {
        let mut all = lock(&self.all);
        let before = all
            .get(credentials)
            .and_then(|users| users.own.get(server_uid)?.upgrade());
        let meter = before.unwrap_or_else(|| Arc::new(Mutex::new(Meter::new(own))));
        lock(&meter).limit(own);
        for (name, users) in all.iter_mut() {
            if name != credentials {
                users.own.remove(server_uid);
            }
            users.forget_the_gone();
        }
        all.retain(|name, users| name == credentials || !users.own.is_empty());
        let usual = Rate::new(usual, None);
        let users = all
            .entry(credentials.to_string())
            .or_insert_with(|| Users::new(usual));
        users.own.insert(server_uid.to_string(), Arc::downgrade(&meter));
        let rate = match self.per_credentials {
            Some(limit) => Rate::new(limit, None),
            None => users.most_generous(usual),
        };
        lock(&users.shared).meter.limit(rate);
        Bucket {
            shared: users.shared.clone(),
            own: meter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: u32 = 300;

    fn rate(per_minute: u32) -> Rate {
        Rate::new(per_minute, None)
    }

    /// How many requests a bucket lets through within a minute.
    fn in_a_minute(bucket: &Bucket, start: Mono) -> usize {
        let mut now = start;
        let mut made = 0;
        while now < start + Duration::from_secs(60) {
            match bucket.try_acquire(now, 1) {
                Ok(_) => made += 1,
                Err(free) => now = free,
            }
        }
        made
    }

    fn start() -> Mono {
        clock::now()
    }

    #[test]
    fn a_tenant_that_may_do_little_holds_back_nobody_else() {
        let buckets = Buckets::default();
        let slow = buckets.of("c", "slow", USUAL, rate(1));
        let other = buckets.of("c", "other", USUAL, rate(USUAL));
        assert_eq!(in_a_minute(&slow, start()), 1);
        assert_eq!(
            in_a_minute(&other, start()),
            299,
            "the vendor's limit holds for both together"
        );
    }

    #[test]
    fn whoever_asks_for_more_than_is_usual_reaches_it() {
        let buckets = Buckets::default();
        let bucket = buckets.of("c", "a", USUAL, rate(6000));
        assert_eq!(in_a_minute(&bucket, start()), 6000);
        // And the others stay at what is theirs.
        let other = buckets.of("c", "b", USUAL, rate(USUAL));
        assert_eq!(in_a_minute(&other, start() + Duration::from_secs(120)), 300);
    }

    #[test]
    fn what_the_administrator_says_holds_for_all_together() {
        let buckets = Buckets::new(Some(60));
        let one = buckets.of("c", "a", USUAL, rate(6000));
        let other = buckets.of("c", "b", USUAL, rate(6000));
        let start = start();
        assert_eq!(in_a_minute(&one, start), 60);
        assert!(other.try_acquire(start + Duration::from_secs(59), 1).is_err());
        let elsewhere = buckets.of("d", "c", USUAL, rate(6000));
        assert!(elsewhere.try_acquire(start, 1).is_ok());
    }

    #[test]
    fn a_change_of_the_limit_counts_what_was_requested_and_reaches_handles_that_are_out() {
        let buckets = Buckets::default();
        let bucket = buckets.of("c", "a", USUAL, rate(6000));
        let start = start();
        assert_eq!(in_a_minute(&bucket, start), 6000);
        let end = start + Duration::from_secs(60);
        buckets.of("c", "a", USUAL, rate(10));
        assert!(bucket.try_acquire(end, 1).is_err());
    }

    #[test]
    fn a_limit_goes_with_the_last_handle_of_its_server() {
        let buckets = Buckets::default();
        drop(buckets.of("c", "generous", USUAL, rate(6000)));
        let bucket = buckets.of("c", "a", USUAL, rate(USUAL));
        assert_eq!(lock(&bucket.shared).meter.rate(), rate(USUAL));
    }

    #[test]
    fn a_pause_holds_back_all_who_share_the_credentials_for_an_hour_at_most() {
        let buckets = Buckets::default();
        let one = buckets.of("c", "a", USUAL, rate(USUAL));
        let other = buckets.of("c", "b", USUAL, rate(USUAL));
        one.pause(Duration::from_secs(100 * 24 * 3600));
        let free = other.try_acquire(clock::now(), 1).unwrap_err();
        assert!(free - clock::now() <= LONGEST_PAUSE && free - clock::now() > Duration::from_secs(3590));
        other.resume();
        assert!(one.try_acquire(clock::now(), 1).is_ok());
    }

    /// What a new set of credentials means to who waits: the bucket is another one, at which there is no pause.
    #[test]
    fn other_credentials_are_another_bucket() {
        let buckets = Buckets::default();
        let before = buckets.of("old", "a", USUAL, rate(USUAL));
        before.pause(Duration::from_secs(600));
        let after = buckets.of("new", "a", USUAL, rate(USUAL));
        assert!(before.try_acquire(clock::now(), 1).is_err());
        assert!(after.try_acquire(clock::now(), 1).is_ok());
    }
}
