//! What is on record of a login that was left behind.

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

use crate::api::{PostgresUser, RemoteUserRecord};
use crate::domain::identity::RemoteIdentity;
use crate::objects::{ServerKey, placement};

/// What is in a ConfigMap of records, by its label [`names::COMPONENT`].
pub(super) const COMPONENT: &str = "kept-users";

/// One remote user that was left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainedLogin {
    /// The UID of the PostgresUser that it belonged to.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The server object by which it was managed, if that is known.
    pub server: String,
    /// The remote cluster.
    pub cluster: String,
    /// The login.
    pub username: String,
    /// Why it was left.
    pub why: &'static str,
}

impl RetainedLogin {
    /// A login that a PostgresUser has on record.
    pub fn of_record(user: &PostgresUser, record: &RemoteUserRecord, why: &'static str) -> Self {
        let cluster = RemoteIdentity::of_record(record).to_string();
        Self::of(user, &record.username, cluster, why)
    }

    /// A login of a PostgresUser, on this remote cluster.
    pub fn of(user: &PostgresUser, username: &str, cluster: String, why: &'static str) -> Self {
        let server = placement::recorded(user).unwrap_or_else(|| ServerKey::named_by(user));
        let uid = user.uid().unwrap_or_default();
        // One of two in turn has a record of its own.
        let suffix = username.strip_prefix(user.username()).unwrap_or_default();
        Self {
            uid: format!("{uid}{suffix}"),
            namespace: user.namespace().unwrap_or_default(),
            name: user.name_any(),
            server: server.to_string(),
            cluster,
            username: username.to_string(),
            why,
        }
    }

    /// The PostgresUser's namespaced name.
    pub fn user(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    pub(super) fn record(&self) -> Record {
        let text = json!({
            "postgresUser": self.user(), "server": self.server, "cluster": self.cluster, "username": self.username,
            "why": self.why, "when": Timestamp::now().strftime("%FT%TZ").to_string(),
        });
        Record {
            key: self.uid.clone(),
            text: text.to_string(),
        }
    }
}

/// A line of a ConfigMap.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) key: String,
    pub(super) text: String,
}
