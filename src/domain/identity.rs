//! Who a remote cluster and a remote user are, across server objects and across Kubernetes clusters.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::api::{RemoteUserRecord, ServerRef};

/// Which remote cluster: provider, endpoint in canonical form, and the cluster's id there.
///
/// Two server objects with the same identity reach the same users. They share nothing but the exclusion that
/// one user has one owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RemoteIdentity {
    /// The provider's name.
    pub provider: String,
    /// Endpoint (without scheme, as `https` and `http` to one host are one system) and cluster id.
    pub cluster: String,
}

impl RemoteIdentity {
    /// The identity of a cluster behind an HTTP API. `endpoint` is canonical: see `endpoint::canonical`.
    pub fn of_api(provider: &str, endpoint: &str, cluster_id: &str) -> Self {
        let address = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
        let cluster = format!(
            "{}/{}",
            address.trim_end_matches('/'),
            cluster_id.to_ascii_lowercase()
        );
        Self {
            provider: provider.to_string(),
            cluster,
        }
    }

    /// The identity that a PostgresUser's record names.
    pub fn of_record(record: &RemoteUserRecord) -> Self {
        Self {
            provider: record.provider.clone(),
            cluster: record.cluster.clone(),
        }
    }
}

impl fmt::Display for RemoteIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.cluster)
    }
}

/// What may have one owner only: a username on a remote cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExclusionKey {
    /// The cluster.
    pub identity: RemoteIdentity,
    /// The username.
    pub username: String,
}

/// Whose a role is, as written on the role itself where that can be done (PostgreSQL by SQL: in its comment), so
/// that operators of different Kubernetes clusters see each other. Names nobody: everyone who may connect to the
/// database can read it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// The installation: see [`Claim::installation`].
    pub installation: String,
    /// The UID of the PostgresUser.
    pub uid: String,
}

/// What a PostgresUser says it claims, in its annotation `pguser.dev/claim`, from before anything was sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// The installation that made the claim: the UID of kube-system, or of the journal's namespace.
    pub installation: String,
    /// The remote cluster.
    #[serde(flatten)]
    pub identity: RemoteIdentity,
    /// The username.
    pub username: String,
    /// The server object; none in claims of before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerRef>,
    /// The logins that take turns are claimed as well: see `alternation::members`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alternating: bool,
}

impl Claim {
    /// Whether an installation claims this login on this remote cluster by it.
    pub fn is_of(&self, installation: &str, identity: &RemoteIdentity, username: &str) -> bool {
        self.installation == installation && self.identity == *identity && self.username == username
    }

    /// As the annotation has it.
    pub fn to_annotation(&self) -> String {
        // A struct of strings can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an annotation; `None` if it is not one of ours.
    pub fn from_annotation(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_differ_in_scheme_or_trailing_slash_are_one_system() {
        let one = RemoteIdentity::of_api("ionos", "https://api.ionos.com/databases/postgresql", "AB-1");
        let two = RemoteIdentity::of_api("ionos", "http://api.ionos.com/databases/postgresql/", "ab-1");
        assert_eq!(one, two);
    }

    #[test]
    fn a_claim_survives_being_written() {
        let claim = Claim {
            installation: "i".into(),
            identity: RemoteIdentity::of_api("ionos", "https://h/p", "c"),
            username: "we \"ird/na%me 🦀".into(),
            server: Some(ServerRef {
                kind: crate::api::ServerKind::PostgresServer,
                name: "main".into(),
            }),
            alternating: true,
        };
        assert_eq!(Claim::from_annotation(&claim.to_annotation()), Some(claim));
        assert_eq!(Claim::from_annotation("yes"), None);
    }
}
