//! What is not yet settled, found by whose it is, and measured as it is written down.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use super::{Entry, EntryId, codec};

/// The entries of a journal by their ids. A copy shares them, so that the next state of a large journal costs little.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    by_id: BTreeMap<EntryId, Arc<Entry>>,
    // By hashes, which need no copies of the texts: what is found is looked at.
    by_owner: BTreeSet<(u64, EntryId)>,
    by_username: BTreeSet<(u64, EntryId)>,
    bytes: usize,
    bytes_by_namespace: BTreeMap<String, usize>,
}

/// Entries are looked at like a map, and changed by `add` and `take` alone.
impl Deref for Entries {
    type Target = BTreeMap<EntryId, Arc<Entry>>;

    fn deref(&self) -> &Self::Target {
        &self.by_id
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.by_id == other.by_id
    }
}

impl Eq for Entries {}

impl FromIterator<(EntryId, Entry)> for Entries {
    fn from_iter<T: IntoIterator<Item = (EntryId, Entry)>>(entries: T) -> Self {
        let mut all = Entries::default();
        for (_, entry) in entries {
            all.add(entry);
        }
        all
    }
}

impl<const N: usize> From<[(EntryId, Entry); N]> for Entries {
    fn from(entries: [(EntryId, Entry); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl Entries {
    /// Adds an entry, in place of one with the same id.
    pub fn add(&mut self, entry: Entry) {
        self.put(Arc::new(entry));
    }

    /// Puts one back that was taken.
    pub fn put(&mut self, entry: Arc<Entry>) {
        self.take(entry.id);
        let size = codec::size(&entry);
        self.bytes += size;
        *self
            .bytes_by_namespace
            .entry(entry.owner.namespace.clone())
            .or_default() += size;
        self.by_owner.insert((hash(&entry.owner.uid), entry.id));
        self.by_username.insert((hash(&entry.username), entry.id));
        self.by_id.insert(entry.id, entry);
    }

    /// Takes an entry out.
    pub fn take(&mut self, id: EntryId) -> Option<Arc<Entry>> {
        let entry = self.by_id.remove(&id)?;
        let size = codec::size(&entry);
        self.bytes -= size;
        if let Some(bytes) = self.bytes_by_namespace.get_mut(&entry.owner.namespace) {
            *bytes -= size;
            if *bytes == 0 {
                self.bytes_by_namespace.remove(&entry.owner.namespace);
            }
        }
        self.by_owner.remove(&(hash(&entry.owner.uid), id));
        self.by_username.remove(&(hash(&entry.username), id));
        Some(entry)
    }

    /// The entry of the PostgresUser with this UID.
    pub fn of(&self, uid: &str) -> Option<&Arc<Entry>> {
        self.found(&self.by_owner, uid)
            .find(|entry| entry.owner.uid == uid)
    }

    /// The entries for the login of this name, whosesoever.
    pub fn for_username<'a>(&'a self, username: &'a str) -> impl Iterator<Item = &'a Arc<Entry>> {
        self.found(&self.by_username, username)
            .filter(move |entry| entry.username == username)
    }

    fn found<'a>(
        &'a self,
        index: &'a BTreeSet<(u64, EntryId)>,
        text: &str,
    ) -> impl Iterator<Item = &'a Arc<Entry>> {
        let hash = hash(text);
        let ids = index.range((hash, EntryId(0))..=(hash, EntryId(u64::MAX)));
        ids.filter_map(|(_, id)| self.by_id.get(id))
    }

    /// How many bytes they take, written down.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes those of a namespace take.
    pub fn bytes_of(&self, namespace: &str) -> usize {
        self.bytes_by_namespace
            .get(namespace)
            .copied()
            .unwrap_or_default()
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
