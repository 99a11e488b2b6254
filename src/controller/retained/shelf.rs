//! What one namespace has left on one server object: ConfigMaps of some records each, used in turn.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::record::{COMPONENT, Record, RetainedLogin};
use crate::api::names;
use crate::controller::objects::Objects;
use crate::domain::mac::short_digest;

/// How many records a ConfigMap has at most. One is of about three hundred bytes, and of a thousand at most.
const RECORDS: usize = 200;

/// How many ConfigMaps a shelf has at most. With all of them full, ten thousand records are kept.
const PIECES: u64 = 50;

/// Whose records stand together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShelfKey {
    server: String,
    namespace: String,
}

impl ShelfKey {
    /// Where the record of a login belongs.
    pub fn of(kept: &RetainedLogin) -> Self {
        Self::new(&kept.server, &kept.cluster, &kept.namespace)
    }

    /// Where a record belongs that was written by an earlier version, which named no server object.
    pub fn of_record(text: &str) -> Self {
        let record: Value = serde_json::from_str(text).unwrap_or_default();
        let field = |name: &str| record[name].as_str().unwrap_or_default();
        let (namespace, _) = field("postgresUser").split_once('/').unwrap_or_default();
        Self::new(field("server"), field("cluster"), namespace)
    }

    fn new(server: &str, cluster: &str, namespace: &str) -> Self {
        let server = if server.is_empty() { cluster } else { server };
        Self {
            server: server.to_string(),
            namespace: namespace.to_string(),
        }
    }

    /// As part of an object's name: neither of the two would be one.
    fn hash(&self) -> String {
        short_digest(format!("{}\0{}", self.server, self.namespace).as_bytes())
    }
}

/// The ConfigMaps of one place, as far as the next record needs to know.
#[derive(Debug)]
pub struct Shelf {
    place: ShelfKey,
    newest: Option<Piece>,
}

/// A ConfigMap that takes records.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Counted up; the name is this modulo [`PIECES`].
    number: u64,
    records: usize,
    /// How many records of this shelf had to make room so far.
    dropped: u64,
}

impl Piece {
    fn of(map: &ConfigMap) -> Self {
        let number = |name: &str| {
            let text = map.annotations().get(name);
            text.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        Self {
            number: number(names::KEPT_PIECE),
            records: map.data.as_ref().map_or(0, BTreeMap::len),
            dropped: number(names::KEPT_DROPPED),
        }
    }
}

/// How many records had to make room, on all shelves that these belong to.
pub fn dropped(maps: &[ConfigMap]) -> u64 {
    let mut most: BTreeMap<&str, u64> = BTreeMap::new();
    for map in maps {
        if let Some(shelf) = map.labels().get(names::KEPT_SHELF) {
            let dropped = most.entry(shelf).or_default();
            *dropped = Piece::of(map).dropped.max(*dropped);
        }
    }
    most.values().sum()
}

impl Shelf {
    /// Finds what there is of it.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn find(config_maps: &Objects<ConfigMap>, place: &ShelfKey) -> Result<Self, kube::Error> {
        let selector = format!("{}={}", names::KEPT_SHELF, place.hash());
        let maps = config_maps.list(&ListParams::default().labels(&selector)).await?;
        Ok(Self {
            place: place.clone(),
            newest: maps.iter().map(Piece::of).max_by_key(|piece| piece.number),
        })
    }

    /// Adds records.
    ///
    /// # Errors
    /// If the API server refuses; 404 and 409 mean that the shelf is not as it was remembered.
    pub async fn add(
        &mut self,
        config_maps: &Objects<ConfigMap>,
        mut records: &[Record],
    ) -> Result<(), kube::Error> {
        while !records.is_empty() {
            let room = self
                .newest
                .map_or(0, |piece| RECORDS.saturating_sub(piece.records));
            let now = records.len().min(if room == 0 { RECORDS } else { room });
            let (batch, rest) = records.split_at(now);
            let data: BTreeMap<_, _> = batch
                .iter()
                .map(|record| (record.key.clone(), record.text.clone()))
                .collect();
            let piece = match self.newest.filter(|_| room > 0) {
                Some(piece) => self.extend(config_maps, piece, data).await?,
                None => self.begin(config_maps, data).await?,
            };
            self.newest = Some(piece);
            records = rest;
        }
        Ok(())
    }

    fn name(&self, number: u64) -> String {
        format!("pguser-kept-{}-{}", self.place.hash(), number % PIECES)
    }

    async fn extend(
        &self,
        config_maps: &Objects<ConfigMap>,
        piece: Piece,
        data: BTreeMap<String, String>,
    ) -> Result<Piece, kube::Error> {
        let patch = Patch::Merge(json!({"data": data}));
        let params = PatchParams::default();
        let map = config_maps
            .patch(&self.name(piece.number), &params, &patch)
            .await?;
        Ok(Piece::of(&map))
    }

    /// Begins another piece: a new ConfigMap, or, once there are as many as there may be, in place of the oldest one.
    async fn begin(
        &self,
        config_maps: &Objects<ConfigMap>,
        data: BTreeMap<String, String>,
    ) -> Result<Piece, kube::Error> {
        let number = self.newest.map_or(0, |piece| piece.number + 1);
        let before = self.newest.map_or(0, |piece| piece.dropped);
        let params = PostParams::default();
        let oldest = match number < PIECES {
            true => None,
            false => config_maps.get_opt(&self.name(number)).await?,
        };
        let map = match &oldest {
            None => {
                let map = self.piece(number, before, data);
                config_maps.create(&params, &map).await?
            }
            Some(oldest) => {
                let dropped = Piece::of(oldest).records;
                let mut map = self.piece(number, before + dropped as u64, data);
                map.metadata.resource_version = oldest.resource_version();
                let map = config_maps.replace(&self.name(number), &params, &map).await?;
                tracing::warn!(
                    namespace = self.place.namespace,
                    server = self.place.server,
                    dropped,
                    "the oldest records of kept logins made room for new ones"
                );
                map
            }
        };
        Ok(Piece::of(&map))
    }

    fn piece(&self, number: u64, dropped: u64, data: BTreeMap<String, String>) -> ConfigMap {
        let text = |name: &str, value: &str| (name.to_string(), value.to_string());
        let labels = [
            text(names::MANAGED_BY, names::OPERATOR),
            text(names::COMPONENT, COMPONENT),
            text(names::KEPT_SHELF, &self.place.hash()),
        ];
        let annotations = [
            text(names::KEPT_PIECE, &number.to_string()),
            text(names::KEPT_DROPPED, &dropped.to_string()),
            text(names::KEPT_NAMESPACE, &self.place.namespace),
            text(names::JOURNAL_SERVER, &self.place.server),
        ];
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(self.name(number)),
                labels: Some(labels.into()),
                annotations: Some(annotations.into()),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..ConfigMap::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(server: &str, namespace: &str) -> ShelfKey {
        ShelfKey::new(server, "", namespace)
    }

    #[test]
    fn every_namespace_and_server_object_has_a_place_of_its_own() {
        let one = place("PostgresServer shop/orders", "shop");
        assert_ne!(one.hash(), place("PostgresServer shop/orders", "bank").hash());
        assert_ne!(one.hash(), place("PostgresServer shop/stock", "shop").hash());
        assert_eq!(one.hash(), place("PostgresServer shop/orders", "shop").hash());
    }

    #[test]
    fn a_record_of_an_earlier_version_stands_by_its_remote_cluster() {
        let record = r#"{"postgresUser": "shop/checkout", "cluster": "ionos/c", "username": "checkout"}"#;
        let place = ShelfKey::of_record(record);
        assert_eq!(
            (place.server.as_str(), place.namespace.as_str()),
            ("ionos/c", "shop")
        );
    }

    #[test]
    fn what_made_room_is_counted_once_for_each_shelf() {
        let piece = |namespace: &str, number, dropped| {
            let shelf = Shelf {
                place: place("s", namespace),
                newest: None,
            };
            shelf.piece(number, dropped, BTreeMap::new())
        };
        let maps = [
            piece("shop", 50, 200),
            piece("shop", 51, 400),
            piece("bank", 50, 100),
        ];
        assert_eq!(dropped(&maps), 500);
    }
}
