//! `orphans`: logins that belong to no PostgresUser, from all that the cluster knows.

use clap::Args;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Serialize;
use serde_json::Value;

use super::CommandOutcome;
use super::cluster::{Cluster, object_name};
use super::failure::{Asked, Failure};
use super::journals;
use super::output::{Output, note, table};
use crate::api::ServerStatus;
use crate::controller::objects::Objects;
use crate::controller::retained;
use crate::objects::ServerObject;

/// The command, for administrators. Exit code 1: there are some; 3: not everything could be looked at.
#[derive(Debug, Args)]
pub struct Orphans {
    /// Only those of the server object of this name.
    #[arg(long, value_parser = object_name)]
    server: Option<String>,
    /// In all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    #[command(flatten)]
    operator: OperatorNamespace,
    #[command(flatten)]
    output: Output,
}

/// Where the operator keeps what it knows.
#[derive(Debug, Args)]
pub struct OperatorNamespace {
    /// The operator's own namespace, where its journals and its record of kept logins are.
    #[arg(long, default_value = "pguser-system", value_parser = object_name)]
    pub operator_namespace: String,
}

/// One login, or some whose names are not known: the schema of `-o json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Orphan {
    /// `Unmanaged`, `Kept` or `Unsettled`.
    kind: &'static str,
    /// The server object, or the remote cluster.
    server: String,
    /// The login; null where only the number is known.
    username: Option<String>,
    /// How many, where only the number is known.
    count: Option<i32>,
    detail: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OrphanedLogin {
    orphans: Vec<Orphan>,
    /// What could not be looked at.
    not_read: Vec<String>,
}

impl Orphans {
    /// Runs it.
    pub async fn run(self, cluster: &Cluster) -> Result<CommandOutcome, Failure> {
        let mut found = OrphanedLogin {
            orphans: Vec::new(),
            not_read: Vec::new(),
        };
        found.take(self.unmanaged(cluster).await)?;
        found.take(self.unmanaged_of_cluster_servers(cluster).await)?;
        found.take(self.kept(cluster).await)?;
        found.take(self.unsettled(cluster).await)?;
        self.output.output.print(&found, || described(&found.orphans))?;
        for missing in &found.not_read {
            note(&format!("not looked at: {missing}"));
        }
        match found.not_read.is_empty() {
            true => Ok(found.orphans.is_empty().into()),
            false => Err(Failure::Other("not everything could be looked at".to_string())),
        }
    }

    fn is_meant(&self, server: &str) -> bool {
        self.server.as_deref().is_none_or(|name| name == server)
    }

    async fn unmanaged(&self, cluster: &Cluster) -> Result<Vec<Orphan>, Failure> {
        let namespace = (!self.all_namespaces).then_some(cluster.namespace.as_str());
        let servers = cluster.servers_in(namespace).await?;
        Ok(self.unmanaged_by_status(&servers))
    }

    async fn unmanaged_of_cluster_servers(&self, cluster: &Cluster) -> Result<Vec<Orphan>, Failure> {
        let servers = cluster.cluster_servers().await?;
        Ok(self.unmanaged_by_status(&servers))
    }

    fn unmanaged_by_status(&self, servers: &[ServerObject]) -> Vec<Orphan> {
        let keys = servers.iter().map(|server| (server.key(), server.status()));
        let meant = keys.filter(|(key, _)| self.is_meant(&key.name));
        let of_each = meant.filter_map(|(key, status)| Some(unmanaged_on(&key.to_string(), status?)));
        of_each.flatten().collect()
    }

    async fn kept(&self, cluster: &Cluster) -> Result<Vec<Orphan>, Failure> {
        let namespace = self.operator.operator_namespace.as_str();
        let asked = Asked {
            verb: "list",
            resource: "configmaps",
            namespace: Some(namespace),
            name: None,
        };
        let api: Objects<ConfigMap> = Objects::of(cluster.client.clone(), namespace);
        let kept = retained::all(&api).await;
        let (records, dropped) = kept.map_err(|error| asked.failed(&error))?;
        let meant = |record: &&Value| self.is_meant_by(record["server"].as_str().unwrap_or_default());
        let mut found: Vec<_> = records.values().filter(meant).map(kept_login).collect();
        if dropped > 0 && self.server.is_none() {
            found.push(Orphan {
                kind: "Kept",
                server: String::new(),
                username: None,
                count: i32::try_from(dropped).ok(),
                detail: "their records made room for newer ones".to_string(),
            });
        }
        Ok(found)
    }

    /// Whether what a record says of its server object is the one that was asked for; those of earlier versions named none.
    fn is_meant_by(&self, server: &str) -> bool {
        let name = server.rsplit(['/', ' ']).next().unwrap_or_default();
        self.server.is_none() || (!server.is_empty() && self.is_meant(name))
    }

    async fn unsettled(&self, cluster: &Cluster) -> Result<Vec<Orphan>, Failure> {
        let journals = journals::read(cluster, &self.operator.operator_namespace).await?;
        let mut found = Vec::new();
        for listed in journals.entries {
            let name = listed.server.rsplit(['/', ' ']).next().unwrap_or_default();
            if !self.is_meant(name) || has_owner(cluster, &listed.entry.owner).await? {
                continue;
            }
            let entry = listed.entry;
            found.push(Orphan {
                kind: "Unsettled",
                server: listed.server,
                username: Some(entry.username),
                count: None,
                detail: format!(
                    "{:?} of PostgresUser {}/{}, which is gone; the operator settles it",
                    entry.kind, entry.owner.namespace, entry.owner.name
                ),
            });
        }
        Ok(found)
    }
}

impl OrphanedLogin {
    /// Takes in what a source has; one that may not be read is noted.
    fn take(&mut self, read: Result<Vec<Orphan>, Failure>) -> Result<(), Failure> {
        match read {
            Ok(orphans) => self.orphans.extend(orphans),
            Err(failure) if failure.is_no_access() => self.not_read.push(failure.to_string()),
            Err(failure) => return Err(failure),
        }
        Ok(())
    }
}

/// What a server object's status says of logins without a PostgresUser.
fn unmanaged_on(server: &str, status: &ServerStatus) -> Vec<Orphan> {
    let unmanaged = |username: Option<String>, count: Option<i32>, detail: &str| Orphan {
        kind: "Unmanaged",
        server: server.to_string(),
        username,
        count,
        detail: detail.to_string(),
    };
    let names = status.unmanaged_usernames.iter();
    let named = names.map(|name| unmanaged(Some(name.clone()), None, "belongs to no PostgresUser"));
    let total = status.users.as_ref().map_or(0, |users| users.unmanaged);
    let left = total - i32::try_from(status.unmanaged_usernames.len()).unwrap_or(i32::MAX);
    let rest =
        (left > 0).then(|| unmanaged(None, Some(left), "their names are not published: ask the server"));
    named.chain(rest).collect()
}

fn kept_login(record: &Value) -> Orphan {
    let text = |key: &str| record[key].as_str().unwrap_or_default().to_string();
    Orphan {
        kind: "Kept",
        server: text("cluster"),
        username: Some(text("username")),
        count: None,
        detail: format!(
            "{} when PostgresUser {} went, {}",
            text("why"),
            text("postgresUser"),
            text("when")
        ),
    }
}

async fn has_owner(cluster: &Cluster, owner: &crate::domain::journal::Owner) -> Result<bool, Failure> {
    let asked = Asked {
        verb: "get",
        resource: "postgresusers",
        namespace: Some(&owner.namespace),
        name: Some(&owner.name),
    };
    let found = cluster
        .users_by_metadata(&owner.namespace)
        .get_opt(&owner.name)
        .await
        .map_err(|error| asked.failed(&error))?;
    Ok(found.is_some_and(|it| it.metadata.uid.as_deref() == Some(&owner.uid)))
}

fn described(orphans: &[Orphan]) -> String {
    if orphans.is_empty() {
        return "No orphans found.\n".to_string();
    }
    let rows: Vec<_> = orphans
        .iter()
        .map(|orphan| {
            let count = || orphan.count.map(|count| format!("({count})")).unwrap_or_default();
            vec![
                orphan.kind.to_string(),
                orphan.server.clone(),
                orphan.username.clone().unwrap_or_else(count),
                orphan.detail.clone(),
            ]
        })
        .collect();
    table(&["KIND", "SERVER", "USERNAME", "DETAIL"], &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(unmanaged: i32, names: &[&str]) -> ServerStatus {
        serde_json::from_value(json!({
            "users": {"managed": 1, "unmanaged": unmanaged, "system": 2}, "unmanagedUsernames": names,
        }))
        .unwrap()
    }

    #[test]
    fn names_are_listed_and_the_rest_is_counted() {
        let found = unmanaged_on("PostgresServer shop/orders", &status(3, &["a", "b"]));
        assert_eq!(found[0].username.as_deref(), Some("a"));
        assert_eq!((found[2].username.as_deref(), found[2].count), (None, Some(1)));
        assert_eq!(found.len(), 3);
        assert!(unmanaged_on("s", &status(0, &[])).is_empty());
    }

    #[test]
    fn a_kept_login_says_why_it_was_kept() {
        let found = kept_login(&json!({
            "postgresUser": "shop/checkout", "cluster": "ionos/c", "username": "checkout", "why": "Retained",
            "when": "2026-01-01T00:00:00Z",
        }));
        let text = described(&[found]);
        assert!(
            text.contains("Retained when PostgresUser shop/checkout went"),
            "{text}"
        );
    }
}
