//! `adopt --where-allowed`: the server objects that let logins be taken over.

use kube::ResourceExt;
use kube::api::ListParams;
use serde::Serialize;

use super::Verdict;
use super::cluster::Cluster;
use super::failure::{Asked, Failure};
use super::output::{Output, note, table};
use crate::api::{ClusterPostgresServer, PostgresServer};
use crate::controller::objects::Objects;

/// A server object that allows adoption: the schema of `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Adoptable {
    kind: &'static str,
    /// Null for a ClusterPostgresServer.
    namespace: Option<String>,
    name: String,
    /// How many logins there belong to no PostgresUser; null if that is not known.
    unmanaged: Option<i32>,
}

/// Lists them. Those that may not be read are named.
pub async fn list(cluster: &Cluster, all_namespaces: bool, output: &Output) -> Result<Verdict, Failure> {
    let mut found = namespaced(cluster, all_namespaces).await?;
    match cluster_wide(cluster).await {
        Ok(more) => found.extend(more),
        Err(failure) if failure.is_no_access() => note(&format!("not looked at: {failure}")),
        Err(failure) => return Err(failure),
    }
    output.output.print(&found, || described(&found))?;
    Ok(true.into())
}

async fn namespaced(cluster: &Cluster, all_namespaces: bool) -> Result<Vec<Adoptable>, Failure> {
    let namespace = (!all_namespaces).then_some(cluster.namespace.as_str());
    let api: Objects<PostgresServer> = match namespace {
        Some(namespace) => Objects::of(cluster.client.clone(), namespace),
        None => Objects::all(cluster.client.clone()),
    };
    let asked = Asked {
        verb: "list",
        resource: "postgresservers",
        namespace,
        name: None,
    };
    let servers = api.list(&ListParams::default()).await;
    let servers = servers.map_err(|error| asked.failed(&error))?;
    let allowing = servers.iter().filter(|server| server.spec.allow_adoption);
    Ok(allowing
        .map(|server| Adoptable {
            kind: "PostgresServer",
            namespace: server.namespace(),
            name: server.name_any(),
            unmanaged: server
                .status
                .as_ref()
                .and_then(|status| Some(status.users.as_ref()?.unmanaged)),
        })
        .collect())
}

async fn cluster_wide(cluster: &Cluster) -> Result<Vec<Adoptable>, Failure> {
    let api: Objects<ClusterPostgresServer> = Objects::all(cluster.client.clone());
    let asked = Asked {
        verb: "list",
        resource: "clusterpostgresservers",
        namespace: None,
        name: None,
    };
    let servers = api.list(&ListParams::default()).await;
    let servers = servers.map_err(|error| asked.failed(&error))?;
    let allowing = servers.iter().filter(|server| server.spec.allow_adoption);
    Ok(allowing
        .map(|server| Adoptable {
            kind: "ClusterPostgresServer",
            namespace: None,
            name: server.name_any(),
            unmanaged: server
                .status
                .as_ref()
                .and_then(|status| Some(status.users.as_ref()?.unmanaged)),
        })
        .collect())
}

fn described(found: &[Adoptable]) -> String {
    if found.is_empty() {
        return "No server object allows adoption.\n".to_string();
    }
    let rows: Vec<_> = found
        .iter()
        .map(|it| {
            vec![
                it.kind.to_string(),
                it.namespace.clone().unwrap_or_default(),
                it.name.clone(),
                it.unmanaged.map(|count| count.to_string()).unwrap_or_default(),
            ]
        })
        .collect();
    table(&["KIND", "NAMESPACE", "NAME", "UNMANAGED"], &rows)
}
