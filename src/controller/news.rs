//! What of an object's changes is worth a reconciliation.
//!
//! What kube remembers for its predicates, names and times of each object, is five times of what they need.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use kube::Resource;
use kube::runtime::reflector::Store;

use super::at_rest::AtRest;

/// What was last seen of each object, by hashes alone.
#[derive(Debug, Default)]
pub struct News {
    seen: HashMap<u64, u64>,
    hashes: RandomState,
}

/// How many more objects than there are may be remembered.
const SLACK: usize = 1024;

impl News {
    /// Whether the object's spec, finalizers, annotations or labels are others than when it was last seen. `living` has all
    /// objects that there are.
    pub fn is_new<K: AtRest>(&mut self, object: &K, living: &Store<K>) -> bool {
        if self.seen.len() > living.len() * 2 + SLACK {
            self.forget_all_but(living);
        }
        let news = object.news();
        self.seen.insert(self.key(object), news) != Some(news)
    }

    fn forget_all_but<K: AtRest>(&mut self, living: &Store<K>) {
        let living: HashSet<u64> = living.state().iter().map(|object| self.key(&**object)).collect();
        self.seen.retain(|key, _| living.contains(key));
        self.seen.shrink_to_fit();
    }

    /// Another object of the same name is another object.
    fn key<K: Resource>(&self, object: &K) -> u64 {
        let meta = object.meta();
        self.hashes.hash_one((&meta.namespace, &meta.name, &meta.uid))
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::api::PostgresServer;

    fn object(name: usize, uid: &str, finalizers: &[&str]) -> PostgresServer {
        serde_json::from_value(json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresServer",
            "metadata": {"name": name.to_string(), "namespace": "shop", "uid": uid, "resourceVersion": uid,
                "generation": 1, "finalizers": finalizers},
            "spec": {},
        }))
        .unwrap()
    }

    #[test]
    fn what_has_not_changed_is_no_news_and_an_object_made_again_is() {
        let (store, _writer) = reflector::store();
        let mut news = News::default();
        assert!(news.is_new(&object(1, "a", &[]), &store));
        assert!(!news.is_new(&object(1, "a", &[]), &store));
        assert!(news.is_new(&object(1, "a", &["ours"]), &store));
        assert!(news.is_new(&object(1, "a", &[]), &store));
        assert!(news.is_new(&object(1, "b", &[]), &store));
    }

    #[test]
    fn what_is_gone_is_forgotten_and_what_lives_is_not() {
        let (store, mut writer) = reflector::store();
        let mut news = News::default();
        writer.apply_watcher_event(&Event::Apply(object(0, "a", &[])));
        for name in 0..SLACK * 3 {
            news.is_new(&object(name, "a", &[]), &store);
        }
        assert!(news.seen.len() < SLACK * 2);
        assert!(!news.is_new(&object(0, "a", &[]), &store));
    }
}
