//! What is known of Secrets without reading them: metadata only, of all Secrets in the watched namespaces.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use crate::api::names;
use crate::objects::UserRef;

/// A Secret's place.
pub type SecretKey = (String, String);

/// What is kept of a Secret's metadata. There may be ten thousand of them, so it is no more than is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMeta {
    /// Its resourceVersion.
    pub resource_version: Box<str>,
    /// The UID of the PostgresUser whose output it is, by its annotation.
    pub user_uid: Option<Box<str>>,
    /// The namespaced name of that PostgresUser.
    pub user: Option<Box<str>>,
    /// That PostgresUser is one of its owners.
    pub is_owned: bool,
    /// It says that its PostgresUser was deleted and it was retained.
    pub retained: bool,
    /// It is being deleted, and waits for these finalizers.
    pub deleting: Option<String>,
}

impl SecretMeta {
    /// What is kept of this object.
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        let annotation = |name: &str| {
            meta.annotations
                .as_ref()
                .and_then(|annotations| annotations.get(name))
                .map(|value| Box::from(value.as_str()))
        };
        let user_uid: Option<Box<str>> = annotation(names::SECRET_USER_UID);
        let mut owners = meta.owner_references.iter().flatten();
        Self {
            resource_version: meta.resource_version.as_deref().unwrap_or_default().into(),
            is_owned: owners.any(|owner| user_uid.as_deref() == Some(&owner.uid)),
            user_uid,
            user: annotation(names::SECRET_USER),
            retained: annotation(names::SECRET_RETAINED).is_some(),
            deleting: meta.deletion_timestamp.as_ref().map(|_| {
                let finalizers = meta.finalizers.as_deref().unwrap_or_default();
                finalizers.join(", ")
            }),
        }
    }
}

/// All Secrets of the watched namespaces, by metadata, and who uses them.
#[derive(Debug, Default)]
pub struct SecretIndex(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: BTreeMap<SecretKey, SecretMeta>,
    /// What each running relist has seen so far, by scope.
    listing: HashMap<usize, HashSet<SecretKey>>,
    /// The PostgresUsers that wait for a Secret to change: they take their password from it, or it is in their way.
    sources: HashMap<SecretKey, HashSet<UserRef>>,
    /// The same the other way round, to be forgotten with the PostgresUser.
    waits_for: HashMap<UserRef, HashSet<SecretKey>>,
}

/// Whether a resourceVersion is older than another. Both are the API server's own, which counts up.
pub fn is_older(one: &str, other: &str) -> bool {
    match (one.parse::<u128>(), other.parse::<u128>()) {
        (Ok(one), Ok(other)) => one < other,
        _ => false,
    }
}

impl SecretIndex {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a Secret.
    pub fn get(&self, namespace: &str, name: &str) -> Option<SecretMeta> {
        self.lock()
            .known
            .get(&(namespace.to_string(), name.to_string()))
            .cloned()
    }

    /// Notes a Secret that this process has just read or written, before the watch tells of it. A list that is under way may
    /// have been begun before.
    pub fn wrote(&self, secret: &Secret) {
        let key = (secret.namespace().unwrap_or_default(), secret.name_any());
        let mut inner = self.lock();
        for seen in inner.listing.values_mut() {
            seen.insert(key.clone());
        }
        inner.put(key, SecretMeta::of(secret));
    }

    /// Notes that a Secret turned out not to be there.
    pub fn missing(&self, namespace: &str, name: &str) {
        self.lock()
            .known
            .remove(&(namespace.to_string(), name.to_string()));
    }

    /// Notes that a PostgresUser takes its password from a Secret, or waits for it to go.
    pub fn uses(&self, namespace: &str, name: &str, user: UserRef) {
        let key = (namespace.to_string(), name.to_string());
        let mut inner = self.lock();
        inner
            .waits_for
            .entry(user.clone())
            .or_default()
            .insert(key.clone());
        inner.sources.entry(key).or_default().insert(user);
    }

    /// A PostgresUser is gone: it waits for no Secret any more.
    pub fn forget_user(&self, user: &UserRef) {
        let mut inner = self.lock();
        for key in inner.waits_for.remove(user).unwrap_or_default() {
            if let Some(users) = inner.sources.get_mut(&key) {
                users.remove(user);
                if users.is_empty() {
                    inner.sources.remove(&key);
                }
            }
        }
    }

    /// Notes an event of the watch of one scope. Gives the Secrets that changed, and the PostgresUsers to look at.
    pub fn apply(
        &self,
        scope: usize,
        in_scope: impl Fn(&str) -> bool,
        event: Event<PartialObjectMeta<Secret>>,
    ) -> Changed {
        let mut inner = self.lock();
        let mut changed = Changed::default();
        match event {
            Event::Init => drop(inner.listing.insert(scope, HashSet::new())),
            Event::InitApply(secret) => {
                let key = key_of(&secret);
                inner.listing.entry(scope).or_default().insert(key.clone());
                inner.note(key, SecretMeta::of(&secret), &mut changed);
            }
            Event::InitDone => {
                let seen = inner.listing.remove(&scope).unwrap_or_default();
                let lost = |key: &&SecretKey| in_scope(&key.0) && !seen.contains(*key);
                let lost: Vec<_> = inner.known.keys().filter(lost).cloned().collect();
                for key in lost {
                    inner.forget(key, &mut changed);
                }
            }
            Event::Apply(secret) => {
                let key = key_of(&secret);
                inner.note(key, SecretMeta::of(&secret), &mut changed);
            }
            Event::Delete(secret) => {
                let key = key_of(&secret);
                let newer = inner.known.get(&key).is_some_and(|known| {
                    is_older(
                        &secret.resource_version().unwrap_or_default(),
                        &known.resource_version,
                    )
                });
                if !newer {
                    inner.forget(key, &mut changed);
                }
            }
        }
        changed
    }
}

/// What an event of the watch changed.
#[derive(Debug, Default)]
pub struct Changed {
    /// The Secrets.
    pub secrets: Vec<SecretKey>,
    /// The PostgresUsers whose output or source they are.
    pub users: HashSet<UserRef>,
}

impl Inner {
    fn put(&mut self, key: SecretKey, meta: SecretMeta) -> bool {
        match self.known.get(&key) {
            Some(known) if is_older(&meta.resource_version, &known.resource_version) || *known == meta => {
                false
            }
            _ => {
                self.known.insert(key, meta);
                true
            }
        }
    }

    fn note(&mut self, key: SecretKey, meta: SecretMeta, changed: &mut Changed) {
        let before = self.known.get(&key).cloned();
        if self.put(key.clone(), meta.clone()) {
            self.tell(key, [before, Some(meta)], changed);
        }
    }

    fn forget(&mut self, key: SecretKey, changed: &mut Changed) {
        if let Some(before) = self.known.remove(&key) {
            self.tell(key, [Some(before), None], changed);
        }
    }

    fn tell(&self, key: SecretKey, metas: [Option<SecretMeta>; 2], changed: &mut Changed) {
        for user in metas.into_iter().flatten().filter_map(|meta| meta.user) {
            if let Some((namespace, name)) = user.split_once('/') {
                changed.users.insert(UserRef::new(name).within(namespace));
            }
        }
        changed
            .users
            .extend(self.sources.get(&key).into_iter().flatten().cloned());
        changed.secrets.push(key);
    }
}

fn key_of(secret: &PartialObjectMeta<Secret>) -> SecretKey {
    (secret.namespace().unwrap_or_default(), secret.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_made_while_all_are_listed_anew_is_not_forgotten() {
        let index = SecretIndex::default();
        let secret = |name: &str| Secret {
            metadata: kube::api::ObjectMeta {
                namespace: Some("shop".to_string()),
                name: Some(name.to_string()),
                resource_version: Some("7".to_string()),
                ..Default::default()
            },
            ..Secret::default()
        };
        let all = |_: &str| true;
        index.wrote(&secret("gone"));
        index.apply(0, all, Event::Init);
        index.wrote(&secret("made"));
        index.apply(0, all, Event::InitDone);
        assert!(index.get("shop", "made").is_some());
        assert!(index.get("shop", "gone").is_none());
    }

    #[test]
    fn nothing_is_kept_of_a_user_that_is_gone() {
        let index = SecretIndex::default();
        let user = |name: &str| UserRef::new(name).within("shop");
        index.uses("shop", "own", user("a"));
        index.uses("shop", "own", user("b"));
        index.forget_user(&user("a"));
        assert_eq!(index.lock().sources.values().flatten().count(), 1);
        index.forget_user(&user("b"));
        let inner = index.lock();
        assert!(inner.sources.is_empty() && inner.waits_for.is_empty());
    }
}
