//! `diff`: what the operator would do now, or what a manifest would change, without anything being done.
//!
//! `findings` compares what is asked for with what the operator has recorded, by the functions that the operator itself
//! decides with; `documents` reads manifests, and `manifest` asks the API server what they would come to. What is on the database server is known to
//! the operator alone.

mod documents;
mod findings;
mod manifest;

use clap::Args;
use kube::ResourceExt;
use serde::Serialize;

use self::findings::{Facts, Finding, Known};
use super::CommandOutcome;
use super::cluster::{Cluster, Selection};
use super::failure::Failure;
use super::output::{Output, note};
use crate::api::PostgresUser;
use crate::objects::{ServerKey, wanted};

/// The command. Exit code 1: there is something to do, or to change.
#[derive(Debug, Args)]
pub struct Diff {
    #[command(flatten)]
    selection: Selection,
    /// A file of manifests, a folder of them, or - for standard input: what applying its PostgresUsers would change. May be
    /// given more than once.
    #[arg(short, long, conflicts_with_all = ["names", "selector"])]
    filename: Vec<String>,
    /// As whom the manifests would be applied, for server-side apply.
    #[arg(long, default_value = "kubectl", requires = "filename")]
    field_manager: String,
    #[command(flatten)]
    output: Output,
}

/// What was found of one user: the schema of `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Compared {
    namespace: String,
    name: String,
    /// What applying the manifest would change in the object's spec.
    changes: Vec<manifest::FieldChange>,
    /// What the operator would do.
    differences: Vec<Finding>,
    /// What could not be told from here.
    unknown: Vec<String>,
}

#[derive(Serialize)]
struct Differences {
    users: Vec<Compared>,
}

impl Diff {
    /// Runs it.
    pub async fn run(self, cluster: &Cluster) -> Result<CommandOutcome, Failure> {
        let mut users = Vec::new();
        if self.filename.is_empty() {
            for user in cluster.selected(&self.selection, false).await? {
                users.push(compared(cluster, &user, Vec::new()).await?);
            }
        } else {
            for applied in manifest::applied(cluster, &self.filename, &self.field_manager).await? {
                users.push(compared(cluster, &applied.user, applied.changes).await?);
            }
        }
        let same = users
            .iter()
            .all(|it| it.changes.is_empty() && it.differences.is_empty());
        let differences = Differences { users };
        self.output
            .output
            .print(&differences, || described(&differences))?;
        if same && self.output.output == super::output::Format::Table {
            note("No differences.");
        }
        Ok(same.into())
    }
}

async fn compared(
    cluster: &Cluster,
    user: &PostgresUser,
    changes: Vec<manifest::FieldChange>,
) -> Result<Compared, Failure> {
    let facts = facts(cluster, user).await?;
    let (differences, unknown) = findings::of(&facts);
    Ok(Compared {
        namespace: cluster.namespace_of(user),
        name: user.name_any(),
        changes,
        differences,
        unknown,
    })
}

/// Gathers what can be read from here. A missing right is no failure: it is told what is not known for want of it.
async fn facts<'a>(cluster: &Cluster, user: &'a PostgresUser) -> Result<Facts<'a>, Failure> {
    let namespace = cluster.namespace_of(user);
    let key = ServerKey::of(&user.spec.server_ref, &namespace);
    let source = match wanted::source_ref(user) {
        None => Known::Is(None),
        Some(reference) => {
            let secret = Known::from(cluster.secret(&namespace, &reference.name).await)?;
            secret.map(|secret| secret.and_then(|secret| wanted::password_in(&secret, &reference.key)))
        }
    };
    Ok(Facts {
        user,
        server: Known::from(cluster.server(&key).await)?,
        secret: Known::from(cluster.secret(&namespace, &user.secret_name()).await)?,
        source,
    })
}

fn described(differences: &Differences) -> String {
    let users = differences.users.iter().map(|it| {
        let changes = it.changes.iter().map(ToString::to_string);
        let findings = it.differences.iter().map(ToString::to_string);
        let unknown = it.unknown.iter().map(|what| format!("  ? {what}\n"));
        let lines: String = changes.chain(findings).chain(unknown).collect();
        match lines.is_empty() {
            true => String::new(),
            false => format!("postgresuser.pguser.dev/{}\n{lines}", it.name),
        }
    });
    users.collect()
}
