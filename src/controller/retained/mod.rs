//! Remote users that were left behind on purpose or by force, recorded where it lasts: Events cannot be made in a
//! namespace that is being deleted.
//!
//! What one namespace has left on one server object is a [shelf](shelf): a few ConfigMaps of bounded size. Where it is full,
//! its oldest records make room for new ones, and nobody else's ever do. Records that come together are written together.

mod record;
mod shelf;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

pub use self::record::RetainedLogin;
use self::record::{COMPONENT, Record};
use self::shelf::{Shelf, ShelfKey};
use super::objects::Objects;
use crate::api::names;

/// The ConfigMap in which earlier versions have kept all records of all namespaces.
pub const EARLIER: &str = "pguser-kept-users";

/// The record of remote users that were left behind. Clones share it.
#[derive(Debug, Clone)]
pub struct RetainedLogins {
    config_maps: Objects<ConfigMap>,
    /// Records that nobody has written yet, each with a number of its own.
    waiting: Arc<Mutex<Waiting>>,
    /// What was found or written of shelves; whoever writes has it to itself.
    shelves: Arc<tokio::sync::Mutex<HashMap<ShelfKey, Shelf>>>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    by_place: HashMap<ShelfKey, Vec<(u64, Record)>>,
}

impl RetainedLogins {
    /// Kept in ConfigMaps of the operator's namespace.
    pub fn new(config_maps: Objects<ConfigMap>) -> Self {
        Self {
            config_maps,
            waiting: Arc::default(),
            shelves: Arc::default(),
        }
    }

    /// Records one, before its PostgresUser goes.
    ///
    /// # Errors
    /// If the API server refuses: then the PostgresUser has to stay, unless its end is forced.
    pub async fn record(&self, kept: &RetainedLogin) -> Result<(), kube::Error> {
        let place = ShelfKey::of(kept);
        let number = self.waiting().put(&place, kept.record());
        let mut shelves = self.shelves.lock().await;
        let Some(batch) = self.waiting().with(&place, number) else {
            // Whoever had its turn before has written this one, too.
            return Ok(());
        };
        let records: Vec<_> = batch.iter().map(|(_, record)| record.clone()).collect();
        let written = self.write(&mut shelves, &place, &records).await;
        match &written {
            Ok(()) => self
                .waiting()
                .done(&place, |waiting| batch.iter().any(|(one, _)| *one == waiting)),
            // The others find out for themselves.
            Err(_) => self.waiting().done(&place, |waiting| waiting == number),
        }
        written
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes records to their shelf, looking at it anew if it is not as it was remembered.
    async fn write(
        &self,
        shelves: &mut HashMap<ShelfKey, Shelf>,
        place: &ShelfKey,
        records: &[Record],
    ) -> Result<(), kube::Error> {
        if let Some(shelf) = shelves.get_mut(place) {
            match shelf.add(&self.config_maps, records).await {
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => {
                    shelves.remove(place);
                    return Err(error);
                }
                Ok(()) => return Ok(()),
            }
        }
        shelves.remove(place);
        let mut shelf = Shelf::find(&self.config_maps, place).await?;
        shelf.add(&self.config_maps, records).await?;
        shelves.insert(place.clone(), shelf);
        Ok(())
    }

    /// Moves what earlier versions have recorded in one ConfigMap to where it belongs.
    ///
    /// # Errors
    /// If the API server refuses: what is not moved is where it was, and is read there.
    pub async fn migrate(&self) -> Result<(), kube::Error> {
        let Some(map) = self.config_maps.get_opt(EARLIER).await? else {
            return Ok(());
        };
        let mut by_place: HashMap<ShelfKey, Vec<Record>> = HashMap::new();
        for (key, text) in map.data.iter().flatten() {
            let (key, text) = (key.clone(), text.clone());
            by_place
                .entry(ShelfKey::of_record(&text))
                .or_default()
                .push(Record { key, text });
        }
        if by_place.is_empty() {
            return Ok(());
        }
        let mut shelves = self.shelves.lock().await;
        for (place, records) in &by_place {
            self.write(&mut shelves, place, records).await?;
        }
        let emptied = json!({
            "metadata": {
                "resourceVersion": map.resource_version(),
                "annotations": {names::KEPT_MOVED: "to ConfigMaps by namespace and server object"},
            },
            "data": null,
        });
        let params = PatchParams::default();
        self.config_maps
            .patch(EARLIER, &params, &Patch::Merge(emptied))
            .await
            .map(drop)
    }
}

impl Waiting {
    fn put(&mut self, place: &ShelfKey, record: Record) -> u64 {
        self.next += 1;
        let all = self.by_place.entry(place.clone()).or_default();
        all.push((self.next, record));
        self.next
    }

    /// Everything that waits for this place; none if this number does not any more.
    fn with(&self, place: &ShelfKey, number: u64) -> Option<Vec<(u64, Record)>> {
        let all = self.by_place.get(place)?;
        all.iter().find(|(waiting, _)| *waiting == number)?;
        Some(all.clone())
    }

    fn done(&mut self, place: &ShelfKey, is_done: impl Fn(u64) -> bool) {
        if let Some(all) = self.by_place.get_mut(place) {
            all.retain(|(number, _)| !is_done(*number));
            if all.is_empty() {
                self.by_place.remove(place);
            }
        }
    }
}

/// Every record that there is, by the UID of its PostgresUser, and how many had to make room for others.
///
/// # Errors
/// If the API server refuses.
pub async fn all(config_maps: &Objects<ConfigMap>) -> Result<(BTreeMap<String, Value>, u64), kube::Error> {
    let selector = format!("{}={COMPONENT}", names::COMPONENT);
    let maps = config_maps.list(&ListParams::default().labels(&selector)).await?;
    let dropped = shelf::dropped(&maps);
    let records = maps.into_iter().flat_map(|map| map.data.unwrap_or_default());
    let records = records.filter_map(|(uid, text)| Some((uid, serde_json::from_str(&text).ok()?)));
    Ok((records.collect(), dropped))
}
