//! Which PostgresUser has which UID.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::at_rest::UserAtRest;
use crate::objects::UserRef;

/// Where to look for a UID. Ten thousand are known, so they are known by a hash; whoever looks sees whether it is the one that
/// was meant.
#[derive(Debug, Default)]
pub struct Uids {
    places: Mutex<HashMap<u64, Box<str>>>,
    hashes: RandomState,
}

impl Uids {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Box<str>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watch has shown this one.
    pub fn seen(&self, user: &UserAtRest) {
        let Some(uid) = user.uid() else { return };
        let place = place_of(&user.reference());
        self.lock().insert(self.hashes.hash_one(uid), place);
    }

    /// The watch has shown its end.
    pub fn gone(&self, uid: &str) {
        self.lock().remove(&self.hashes.hash_one(uid));
    }

    /// All but those that are there by this are gone.
    pub fn keep(&self, is_there: impl Fn(&UserRef) -> bool) {
        let mut places = self.lock();
        places.retain(|_, place| is_there(&reference_to(place)));
        places.shrink_to_fit();
    }

    /// Where the PostgresUser of this UID was seen last.
    pub fn of(&self, uid: &str) -> Option<UserRef> {
        let places = self.lock();
        places
            .get(&self.hashes.hash_one(uid))
            .map(|place| reference_to(place))
    }
}

fn place_of(user: &UserRef) -> Box<str> {
    let namespace = user.namespace.as_deref().unwrap_or_default();
    format!("{namespace}/{}", user.name).into()
}

/// Neither has a slash in it.
fn reference_to(place: &str) -> UserRef {
    let (namespace, name) = place.split_once('/').unwrap_or_default();
    UserRef::new(name).within(namespace)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::PostgresUser;

    fn user(namespace: &str, name: &str, uid: &str) -> UserAtRest {
        let user: PostgresUser = serde_json::from_value(json!({
            "metadata": {"namespace": namespace, "name": name, "uid": uid}, "spec": {"serverRef": {"name": "s"}},
        }))
        .unwrap();
        UserAtRest::from(user)
    }

    #[test]
    fn a_uid_leads_to_where_it_was_seen_last_until_it_is_gone() {
        let uids = Uids::default();
        for (namespace, name, uid) in [("shop", "a", "1"), ("shop", "b", "2"), ("till", "a", "3")] {
            uids.seen(&user(namespace, name, uid));
        }
        assert_eq!(uids.of("3"), Some(UserRef::new("a").within("till")));
        assert_eq!(uids.of("4"), None);
        uids.gone("3");
        assert_eq!(uids.of("3"), None);
        // A list was begun anew, and does not show it any more.
        uids.keep(|user| user.name != "b");
        assert_eq!(uids.of("2"), None);
        assert_eq!(uids.of("1"), Some(UserRef::new("a").within("shop")));
    }
}
