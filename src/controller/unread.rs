//! Which objects could not be read as a whole, as the watches and answers have shown them.
//!
//! Such an object is in the stores as far as it could be read, so that it exists for everybody: its login keeps its owner
//! and its server object its user. What is done about it itself is decided by whoever asks here first.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::api::ObjectMeta;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use super::secrets::is_older;
use crate::api::{Lean, Unread};
use crate::metrics::Metrics;

/// The objects that could not be read as a whole.
#[derive(Debug, Clone)]
pub struct UnreadObjects {
    known: Arc<Mutex<BTreeMap<String, Known>>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Known {
    kind: String,
    resource_version: String,
    unread: Unread,
    told: bool,
}

impl UnreadObjects {
    /// None is known yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            known: Arc::default(),
            metrics,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What of an object could not be read, if anything.
    pub fn of(&self, meta: &ObjectMeta) -> Option<Unread> {
        let known = self.lock();
        Some(known.get(meta.uid.as_ref()?)?.unread.clone())
    }

    /// The same, once: for whoever tells of it where people look.
    pub fn untold(&self, meta: &ObjectMeta) -> Option<Unread> {
        let mut known = self.lock();
        let known = known.get_mut(meta.uid.as_ref()?).filter(|known| !known.told)?;
        known.told = true;
        Some(known.unread.clone())
    }

    /// Notes how an object could be read, and gives it as far as that goes.
    pub fn note<K: Resource<DynamicType = ()>>(&self, lean: Lean<K>) -> K {
        let kind = K::kind(&());
        let meta = lean.object.meta();
        let uid = meta.uid.clone().unwrap_or_default();
        let resource_version = meta.resource_version.clone().unwrap_or_default();
        let mut known = self.lock();
        let before = known.get(&uid);
        if before.is_some_and(|before| is_older(&resource_version, &before.resource_version)) {
            return lean.object;
        }
        let Some(unread) = lean.unread else {
            if known.remove(&uid).is_some() {
                tracing::info!(%kind, namespace = meta.namespace, name = meta.name, "it can be read again");
                self.count(&known, &kind);
            }
            return lean.object;
        };
        // Its status is written, and it may be annotated: neither is news.
        if before.is_none_or(|before| before.unread != unread) {
            tracing::warn!(
                %kind, namespace = meta.namespace, name = meta.name, fields = %unread,
                "it cannot be read as a whole, and is left as it is"
            );
        }
        let kind = kind.into_owned();
        let noted = Known {
            kind: kind.clone(),
            resource_version,
            told: before.is_some_and(|before| before.told && before.unread == unread),
            unread,
        };
        known.insert(uid, noted);
        self.count(&known, &kind);
        lean.object
    }

    /// An object is gone.
    pub fn forget(&self, uid: &str) {
        let mut known = self.lock();
        if let Some(gone) = known.remove(uid) {
            self.count(&known, &gone.kind);
        }
    }

    fn count(&self, known: &BTreeMap<String, Known>, kind: &str) {
        let count = known.values().filter(|it| it.kind == kind).count();
        self.metrics.set_undecodable(kind, count);
    }
}

/// One watch, of which every object is taken as far as it could be read.
pub struct Reading {
    objects: UnreadObjects,
    /// What this watch has shown and could not be read as a whole.
    shown: HashSet<String>,
    /// The same, of the list that is under way.
    listed: HashSet<String>,
}

impl Reading {
    /// A watch that begins.
    pub fn new(objects: UnreadObjects) -> Self {
        Self {
            objects,
            shown: HashSet::new(),
            listed: HashSet::new(),
        }
    }

    /// What the watch shows, in plain objects.
    pub fn plain<K>(&mut self, event: Event<Lean<K>>) -> Event<K>
    where
        K: Resource<DynamicType = ()> + Debug,
    {
        match event {
            Event::Init => {
                self.listed.clear();
                Event::Init
            }
            Event::InitApply(lean) => {
                if lean.unread.is_some() {
                    self.listed.insert(lean.uid().unwrap_or_default());
                }
                Event::InitApply(self.note(lean))
            }
            Event::InitDone => {
                let gone: Vec<_> = self.shown.difference(&self.listed).cloned().collect();
                gone.iter().for_each(|uid| self.forget(uid));
                Event::InitDone
            }
            Event::Apply(lean) => Event::Apply(self.note(lean)),
            Event::Delete(lean) => {
                self.forget(&lean.uid().unwrap_or_default());
                Event::Delete(lean.object)
            }
        }
    }

    fn note<K: Resource<DynamicType = ()>>(&mut self, lean: Lean<K>) -> K {
        let uid = lean.uid().unwrap_or_default();
        match lean.unread {
            Some(_) => self.shown.insert(uid),
            None => self.shown.remove(&uid),
        };
        self.objects.note(lean)
    }

    fn forget(&mut self, uid: &str) {
        self.shown.remove(uid);
        self.objects.forget(uid);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::PostgresUser;

    fn user(uid: &str, version: u32, policy: &str) -> Lean<PostgresUser> {
        let user = json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser",
            "metadata": {"name": uid, "namespace": "shop", "uid": uid, "resourceVersion": version.to_string()},
            "spec": {"serverRef": {"name": "orders"}, "deletionPolicy": policy},
        });
        serde_json::from_value(user).unwrap()
    }

    fn is_unread(objects: &UnreadObjects, uid: &str) -> bool {
        let meta = ObjectMeta {
            uid: Some(uid.to_string()),
            ..ObjectMeta::default()
        };
        objects.of(&meta).is_some()
    }

    fn objects() -> UnreadObjects {
        UnreadObjects::new(Arc::new(Metrics::new()))
    }

    #[test]
    fn an_object_is_unread_until_it_can_be_read_or_is_gone() {
        let objects = objects();
        let mut watch = Reading::new(objects.clone());
        watch.plain(Event::Apply(user("a", 1, "Burn")));
        watch.plain(Event::Apply(user("b", 2, "Burn")));
        assert!(is_unread(&objects, "a") && is_unread(&objects, "b"));
        watch.plain(Event::Apply(user("a", 3, "Retain")));
        watch.plain(Event::Delete(user("b", 4, "Burn")));
        assert!(!is_unread(&objects, "a") && !is_unread(&objects, "b"));
    }

    #[test]
    fn what_a_new_list_does_not_show_is_gone_but_not_what_another_watch_has_shown() {
        let objects = objects();
        let (mut one, mut other) = (Reading::new(objects.clone()), Reading::new(objects.clone()));
        one.plain(Event::Apply(user("a", 1, "Burn")));
        one.plain(Event::Apply(user("b", 2, "Burn")));
        other.plain(Event::Apply(user("c", 3, "Burn")));
        one.plain::<PostgresUser>(Event::Init);
        one.plain(Event::InitApply(user("b", 2, "Burn")));
        one.plain::<PostgresUser>(Event::InitDone);
        assert!(!is_unread(&objects, "a") && is_unread(&objects, "b") && is_unread(&objects, "c"));
    }

    #[test]
    fn an_answer_of_before_says_nothing_of_what_the_watch_has_shown_since() {
        let objects = objects();
        objects.note(user("a", 9, "Burn"));
        objects.note(user("a", 8, "Delete"));
        assert!(is_unread(&objects, "a"));
    }

    #[test]
    fn a_field_is_told_of_once_until_it_is_another_one() {
        let objects = objects();
        let meta = user("a", 1, "Burn").object.metadata;
        objects.note(user("a", 1, "Burn"));
        assert!(objects.untold(&meta).is_some() && objects.untold(&meta).is_none());
        objects.note(user("a", 2, "Burn"));
        assert!(objects.untold(&meta).is_none());
        objects.note(user("a", 3, "Delete"));
        objects.note(user("a", 4, "Burn"));
        assert!(objects.untold(&meta).is_some());
    }
}
