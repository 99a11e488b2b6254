//! Remote users that were left behind on purpose or by force, recorded where it lasts: Events cannot be made in a
//! namespace that is being deleted.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use super::objects::Objects;
use crate::api::{PostgresUser, names};

/// The ConfigMap's name.
pub const NAME: &str = "pguser-kept-users";

/// The record of remote users that were left behind.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The ConfigMaps of the operator's namespace.
    pub config_maps: Objects<ConfigMap>,
}

/// One remote user that was left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptUser {
    /// The UID of the PostgresUser that it belonged to.
    pub uid: String,
    /// Its namespaced name.
    pub user: String,
    /// The remote cluster.
    pub cluster: String,
    /// The login.
    pub username: String,
    /// Why it was left.
    pub why: &'static str,
}

impl KeptUser {
    /// The login of a PostgresUser, on this remote cluster.
    pub fn of(user: &PostgresUser, cluster: String, why: &'static str) -> Self {
        Self {
            uid: user.uid().unwrap_or_default(),
            user: format!("{}/{}", user.namespace().unwrap_or_default(), user.name_any()),
            cluster,
            username: user.username().to_string(),
            why,
        }
    }
}

impl Kept {
    /// Records one, before its PostgresUser goes.
    ///
    /// # Errors
    /// If the API server refuses: then the PostgresUser has to stay.
    pub async fn record(&self, kept: &KeptUser) -> Result<(), kube::Error> {
        let entry = json!({
            "postgresUser": kept.user, "cluster": kept.cluster, "username": kept.username, "why": kept.why,
            "when": jiff::Timestamp::now().strftime("%FT%TZ").to_string(),
        });
        let patch = Patch::Merge(json!({"data": {kept.uid.clone(): entry.to_string()}}));
        match self
            .config_maps
            .patch(NAME, &PatchParams::default(), &patch)
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.create(&kept.uid, entry.to_string()).await
            }
            other => other.map(drop),
        }
    }

    async fn create(&self, uid: &str, entry: String) -> Result<(), kube::Error> {
        let labels = BTreeMap::from([
            (names::MANAGED_BY.to_string(), names::OPERATOR.to_string()),
            (names::COMPONENT.to_string(), "kept-users".to_string()),
        ]);
        let metadata = ObjectMeta {
            name: Some(NAME.to_string()),
            labels: Some(labels),
            ..ObjectMeta::default()
        };
        let data = BTreeMap::from([(uid.to_string(), entry)]);
        let map = ConfigMap {
            metadata,
            data: Some(data),
            ..ConfigMap::default()
        };
        self.config_maps
            .create(&PostParams::default(), &map)
            .await
            .map(drop)
    }
}
