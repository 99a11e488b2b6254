//! `adopt --where-allowed`: the server objects that let logins be taken over.

use serde::Serialize;

use super::CommandOutcome;
use super::cluster::Cluster;
use super::failure::Failure;
use super::output::{Output, note, table};
use crate::objects::{ServerKey, ServerObject};

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
pub async fn list(
    cluster: &Cluster,
    all_namespaces: bool,
    output: &Output,
) -> Result<CommandOutcome, Failure> {
    let namespace = (!all_namespaces).then_some(cluster.namespace.as_str());
    let mut servers = cluster.servers_in(namespace).await?;
    match cluster.cluster_servers().await {
        Ok(more) => servers.extend(more),
        Err(failure) if failure.is_no_access() => note(&format!("not looked at: {failure}")),
        Err(failure) => return Err(failure),
    }
    let allowing = servers.iter().filter(|server| server.allow_adoption());
    let found: Vec<_> = allowing.map(Adoptable::of).collect();
    output.output.print(&found, || described(&found))?;
    Ok(true.into())
}

impl Adoptable {
    fn of(server: &ServerObject) -> Self {
        let ServerKey { namespace, name, .. } = server.key();
        Self {
            kind: server.kind(),
            namespace,
            name,
            unmanaged: server
                .status()
                .and_then(|status| Some(status.users.as_ref()?.unmanaged)),
        }
    }
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
