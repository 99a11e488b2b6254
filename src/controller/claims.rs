//! Who wants or has which remote user, across all servers and namespaces of this operator.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::server::UserRef;
use crate::domain::claims::{self, Contender};
use crate::domain::identity::{ExclusionKey, RemoteIdentity};
use crate::domain::plan::Rival;

/// All PostgresUsers by the remote user that they want or have.
#[derive(Debug, Default)]
pub struct Claims(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// As a rule there is one for each.
    by_key: HashMap<ExclusionKey, Vec<Contender>>,
    key_of: HashMap<String, ExclusionKey>,
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a PostgresUser wants or has, and tells who has a better right to it.
    pub fn contend(&self, key: ExclusionKey, me: Contender) -> Option<Rival> {
        let mut inner = self.lock();
        let uid = me.uid.clone();
        if inner.key_of.get(&uid).is_some_and(|before| *before != key) {
            inner.remove(&uid);
        }
        inner.key_of.insert(uid.clone(), key.clone());
        let contenders = inner.by_key.entry(key).or_default();
        contenders.retain(|other| other.uid != uid);
        contenders.push(me);
        contenders.shrink_to_fit();
        claims::rival(&uid, contenders)
    }

    /// A PostgresUser is gone. Gives those who wanted the same remote user.
    pub fn leave(&self, uid: &str) -> Vec<UserRef> {
        self.lock().remove(uid)
    }

    /// All PostgresUsers but these are gone. Gives those who wanted what they have wanted.
    pub fn leave_all_but(&self, living: &HashSet<String>) -> Vec<UserRef> {
        let mut inner = self.lock();
        let gone: Vec<String> = inner
            .key_of
            .keys()
            .filter(|uid| !living.contains(*uid))
            .cloned()
            .collect();
        gone.iter().flat_map(|uid| inner.remove(uid)).collect()
    }

    /// Everybody who wants or has a remote user.
    pub fn of(&self, identity: &RemoteIdentity, username: &str) -> Vec<UserRef> {
        let key = ExclusionKey {
            identity: identity.clone(),
            username: username.to_string(),
        };
        self.lock()
            .by_key
            .get(&key)
            .into_iter()
            .flatten()
            .map(user_ref)
            .collect()
    }

    /// Those among some remote users of a cluster that belong to no PostgresUser.
    pub fn unowned<'a>(
        &self,
        identity: &RemoteIdentity,
        usernames: impl Iterator<Item = &'a str>,
    ) -> Vec<&'a str> {
        let inner = self.lock();
        let is_owned = |username: &str| {
            let key = ExclusionKey {
                identity: identity.clone(),
                username: username.to_string(),
            };
            let all = inner.by_key.get(&key);
            all.is_some_and(|all| all.iter().any(|contender| contender.recorded))
        };
        usernames.filter(|username| !is_owned(username)).collect()
    }

    /// Whether a PostgresUser other than this one has a record of this remote user.
    pub fn someone_has(&self, key: &ExclusionKey, but: &str) -> bool {
        let inner = self.lock();
        inner
            .by_key
            .get(key)
            .is_some_and(|all| all.iter().any(|one| one.recorded && one.uid != but))
    }
}

impl Inner {
    fn remove(&mut self, uid: &str) -> Vec<UserRef> {
        let Some(key) = self.key_of.remove(uid) else {
            return Vec::new();
        };
        let Some(contenders) = self.by_key.get_mut(&key) else {
            return Vec::new();
        };
        contenders.retain(|other| other.uid != uid);
        let left: Vec<UserRef> = contenders.iter().map(user_ref).collect();
        if left.is_empty() {
            self.by_key.remove(&key);
        }
        left
    }
}

fn user_ref(contender: &Contender) -> UserRef {
    UserRef::new(&contender.name).within(&contender.namespace)
}
