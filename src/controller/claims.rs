//! Who wants or has which remote user, across all servers and namespaces of this operator.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::claims::{self, Contended, Contender, Right};
use crate::domain::identity::{ExclusionKey, RemoteIdentity};
use crate::domain::plan::Rival;
use crate::objects::UserRef;

/// All PostgresUsers by the remote user that they want or have.
#[derive(Debug, Default)]
pub struct Claims(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    by_cluster: HashMap<Arc<RemoteIdentity>, Contested>,
    /// By UID: there are as many as PostgresUsers, and few clusters.
    key_of: HashMap<Arc<str>, (Arc<RemoteIdentity>, Arc<str>)>,
    /// By UID: the names of the logins that take turns, of those few that have such.
    more_of: HashMap<Arc<str>, Vec<Arc<str>>>,
}

/// Those who ask for the users of a remote cluster, by username. As a rule there is one for each.
type Contested = HashMap<Arc<str>, Vec<Contender>>;

/// What a PostgresUser's right is worth, and to whom that is news.
#[derive(Debug)]
pub struct Standing {
    /// Who has a better right.
    pub rival: Option<Rival>,
    /// Those in whose way it stood until now, and does not any more.
    pub freed: Vec<UserRef>,
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a PostgresUser wants or has, and tells who has a better right to it, or to one name of it alone.
    pub fn contend(&self, what: &Contended, me: &Contender, only: Option<&str>) -> Standing {
        let mut inner = self.lock();
        let mut standing = Standing {
            rival: None,
            freed: match inner.has_entered(&me.uid, what) {
                true => Vec::new(),
                false => inner.remove(&me.uid),
            },
        };
        for (username, right) in &what.names {
            let me = Contender {
                right: *right,
                ..me.clone()
            };
            let contenders = inner.enter(&me.uid, &what.identity, username);
            let before = contenders.iter().position(|other| other.uid == me.uid);
            let before = before.map(|before| contenders.swap_remove(before));
            if before.is_some_and(|before| before.right < me.right) {
                standing.freed.extend(contenders.iter().map(user_ref));
            }
            let uid = me.uid.clone();
            contenders.push(me);
            contenders.shrink_to_fit();
            if standing.rival.is_none() && only.is_none_or(|only| only == username) {
                standing.rival = claims::rival(&uid, contenders);
            }
        }
        standing
    }

    /// How many of a namespace's PostgresUsers have a better right to a login on a remote cluster than one that asks for
    /// its first.
    pub fn before(&self, identity: &RemoteIdentity, me: &Contender) -> usize {
        let inner = self.lock();
        let there = inner.by_cluster.get(identity).into_iter();
        let others = there.flat_map(HashMap::values).flatten();
        let others = others.filter(|other| other.namespace == me.namespace && other.uid != me.uid);
        let first = |other: &&Contender| {
            other.right.counts() && (other.right, other.created, &other.uid) < (me.right, me.created, &me.uid)
        };
        // One that has two in turn counts once.
        others
            .filter(first)
            .map(|other| &other.uid)
            .collect::<HashSet<_>>()
            .len()
    }

    /// Whether a PostgresUser has a right to what it asks for.
    pub fn counts(&self, uid: &str) -> bool {
        let inner = self.lock();
        let Some((identity, _)) = inner.key_of.get(uid) else {
            return false;
        };
        inner.names_of(uid).any(|username| {
            let mut contenders = inner.contenders(identity, username).iter();
            contenders.any(|contender| *contender.uid == *uid && contender.right.counts())
        })
    }

    /// A PostgresUser is gone. Gives those who wanted the same remote user.
    pub fn leave(&self, uid: &str) -> Vec<UserRef> {
        self.lock().remove(uid)
    }

    /// All PostgresUsers but these are gone. Gives those who wanted what they have wanted.
    pub fn leave_all_but(&self, living: &HashSet<String>) -> Vec<UserRef> {
        let mut inner = self.lock();
        let gone: Vec<Arc<str>> = inner
            .key_of
            .keys()
            .filter(|uid| !living.contains(&***uid))
            .cloned()
            .collect();
        gone.iter().flat_map(|uid| inner.remove(uid)).collect()
    }

    /// Everybody who wants or has a remote user.
    pub fn of(&self, identity: &RemoteIdentity, username: &str) -> Vec<UserRef> {
        let inner = self.lock();
        inner
            .contenders(identity, username)
            .iter()
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
            let mut all = inner.contenders(identity, username).iter();
            all.any(|contender| contender.right == Right::Record)
        };
        usernames.filter(|username| !is_owned(username)).collect()
    }

    /// Whether a PostgresUser other than this one has a record of this remote user.
    pub fn someone_has(&self, key: &ExclusionKey, but: &str) -> bool {
        let inner = self.lock();
        let mut all = inner.contenders(&key.identity, &key.username).iter();
        all.any(|one| one.right == Right::Record && *one.uid != *but)
    }
}

impl Inner {
    fn contenders(&self, identity: &RemoteIdentity, username: &str) -> &[Contender] {
        let there = self.by_cluster.get(identity);
        there
            .and_then(|there| there.get(username))
            .map_or(&[], Vec::as_slice)
    }

    /// All names that a PostgresUser contends for.
    fn names_of(&self, uid: &str) -> impl Iterator<Item = &Arc<str>> {
        let first = self.key_of.get(uid).map(|(_, username)| username);
        let more = self.more_of.get(uid).into_iter().flatten();
        first.into_iter().chain(more)
    }

    /// Whether a PostgresUser contends for just this already.
    fn has_entered(&self, uid: &str, what: &Contended) -> bool {
        let same_place = self
            .key_of
            .get(uid)
            .is_none_or(|(identity, _)| **identity == what.identity);
        let wanted = what.names.iter().map(|(name, _)| name.as_str());
        same_place && (!self.key_of.contains_key(uid) || self.names_of(uid).map(|name| &**name).eq(wanted))
    }

    /// Notes what a PostgresUser asks for, and gives all who ask for the same.
    fn enter(&mut self, uid: &Arc<str>, identity: &RemoteIdentity, username: &str) -> &mut Vec<Contender> {
        let identity = match self.by_cluster.get_key_value(identity) {
            Some((identity, _)) => identity.clone(),
            None => Arc::new(identity.clone()),
        };
        let there = self.by_cluster.entry(identity.clone()).or_default();
        let username = match there.get_key_value(username) {
            Some((username, _)) => username.clone(),
            None => username.into(),
        };
        match self.key_of.get(uid) {
            None => drop(self.key_of.insert(uid.clone(), (identity, username.clone()))),
            Some((_, first)) if *first == username => {}
            Some(_) => {
                let more = self.more_of.entry(uid.clone()).or_default();
                if !more.contains(&username) {
                    more.push(username.clone());
                }
            }
        }
        there.entry(username).or_default()
    }

    fn remove(&mut self, uid: &str) -> Vec<UserRef> {
        let Some((identity, first)) = self.key_of.remove(uid) else {
            return Vec::new();
        };
        let more = self.more_of.remove(uid).unwrap_or_default();
        let all = std::iter::once(first).chain(more);
        all.flat_map(|username| self.leave(uid, &identity, &username))
            .collect()
    }

    fn leave(&mut self, uid: &str, identity: &RemoteIdentity, username: &str) -> Vec<UserRef> {
        let Some(there) = self.by_cluster.get_mut(identity) else {
            return Vec::new();
        };
        let Some(contenders) = there.get_mut(username) else {
            return Vec::new();
        };
        contenders.retain(|other| *other.uid != *uid);
        let left: Vec<UserRef> = contenders.iter().map(user_ref).collect();
        if left.is_empty() {
            there.remove(username);
        }
        if there.is_empty() {
            self.by_cluster.remove(identity);
        }
        left
    }
}

fn user_ref(contender: &Contender) -> UserRef {
    UserRef::new(&contender.name).within(&contender.namespace)
}
