//! The ConfigMaps in which server objects have authorities, as far as `ca_watch` has told of them. Nothing is kept of what nobody
//! refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::secrets::is_older;

/// A ConfigMap's namespace and name.
pub type ConfigMapKey = (String, String);

/// The ConfigMaps that server objects refer to.
#[derive(Debug, Default)]
pub struct ConfigMaps {
    /// The resourceVersion of each, as far as it is known and there.
    known: Mutex<BTreeMap<ConfigMapKey, Option<Box<str>>>>,
    pub(super) more: Notify,
}

impl ConfigMaps {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConfigMapKey, Option<Box<str>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server object refers to this one, which is about to be read: from now on it is told when it changes.
    pub fn refer_to(&self, place: &ConfigMapKey) {
        let mut known = self.lock();
        if !known.contains_key(place) {
            known.insert(place.clone(), None);
            self.more.notify_one();
        }
    }

    /// Notes what was read, or what a watch has told; none: it is not there. Says whether that was news. Of what nobody refers to
    /// nothing is noted.
    pub fn note(&self, place: &ConfigMapKey, version: Option<&str>) -> bool {
        match self.lock().get_mut(place) {
            None => false,
            Some(known) if known.as_deref() == version => false,
            Some(known) if is_stale(version, known.as_deref()) => false,
            Some(known) => {
                *known = version.map(Box::from);
                true
            }
        }
    }

    /// What is referred to.
    pub(super) fn places(&self) -> Vec<ConfigMapKey> {
        self.lock().keys().cloned().collect()
    }

    pub(super) fn keep_only(&self, places: &BTreeSet<ConfigMapKey>) {
        self.lock().retain(|place, _| places.contains(place));
    }
}

fn is_stale(version: Option<&str>, known: Option<&str>) -> bool {
    matches!((version, known), (Some(version), Some(known)) if is_older(version, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(namespace: &str, name: &str) -> ConfigMapKey {
        (namespace.to_string(), name.to_string())
    }

    #[test]
    fn only_news_of_what_is_referred_to_are_told() {
        let maps = ConfigMaps::default();
        let bundle = at("a", "bundle");
        assert!(!maps.note(&bundle, Some("7")), "nobody refers to it");
        maps.refer_to(&bundle);
        assert!(maps.note(&bundle, Some("7")));
        assert!(!maps.note(&bundle, Some("7")));
        assert!(maps.note(&bundle, Some("9")));
        assert!(!maps.note(&bundle, Some("8")), "it is older");
        maps.refer_to(&bundle);
        assert!(!maps.note(&bundle, Some("9")));
        assert!(maps.note(&bundle, None));
        maps.keep_only(&BTreeSet::new());
        assert!(!maps.note(&bundle, Some("10")));
    }
}
