//! `rotate`: asks for new passwords.

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use serde_json::json;

use super::CommandOutcome;
use super::cluster::{Cluster, Selection};
use super::failure::Failure;
use super::output::{Output, note};
use super::prompt::confirm;
use super::status::{is_ready, trouble};
use super::wait::Timeout;
use crate::api::{PostgresUser, names};
use crate::domain::mac::hex;

/// The command. Exit code 1: with --wait, some passwords were not changed in time.
#[derive(Debug, Args)]
pub struct Rotate {
    #[command(flatten)]
    selection: Selection,
    /// All PostgresUsers of the namespace.
    #[arg(long, conflicts_with_all = ["names", "selector"])]
    all: bool,
    /// Do not ask, where several are meant without being named.
    #[arg(short, long)]
    yes: bool,
    /// Wait until the new passwords are published.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    timeout: Timeout,
    #[command(flatten)]
    output: Output,
}

/// What became of one request: the schema of `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    namespace: String,
    name: String,
    rotation: String,
    /// Whether the password was changed; null if that was not waited for.
    done: Option<bool>,
}

#[derive(Serialize)]
struct Rotations {
    rotations: Vec<Asked>,
}

impl Rotate {
    /// Runs it.
    pub async fn run(self, cluster: &Cluster) -> Result<CommandOutcome, Failure> {
        self.selection.or_all(self.all, "whose password")?;
        let users = cluster.selected(&self.selection, false).await?;
        if self.selection.names.is_empty() {
            let question = format!(
                "ask for {} new passwords in namespace {}",
                users.len(),
                cluster.namespace
            );
            confirm(&question, self.yes)?;
        }
        let mut rotations = Vec::new();
        for user in &users {
            rotations.push(ask(cluster, user).await?);
        }
        if self.wait {
            for asked in &mut rotations {
                asked.done = Some(self.is_done(cluster, asked).await?);
            }
        }
        let verdict = rotations.iter().all(|asked| asked.done != Some(false)).into();
        let rotations = Rotations { rotations };
        self.output.output.print(&rotations, || described(&rotations))?;
        Ok(verdict)
    }

    async fn is_done(&self, cluster: &Cluster, asked: &Asked) -> Result<bool, Failure> {
        let done = self.timeout.until(async || {
            let user = cluster.user(&asked.name).await?;
            let handled = user
                .status
                .as_ref()
                .and_then(|status| status.last_handled_rotation.as_ref());
            Ok((handled == Some(&asked.rotation) && is_ready(&user)).then_some(()))
        });
        let done = done.await?.is_some();
        if !done {
            let user = cluster.user(&asked.name).await?;
            note(&format!(
                "{}: no new password yet. {}",
                asked.name,
                trouble(&user)
            ));
        }
        Ok(done)
    }
}

async fn ask(cluster: &Cluster, user: &PostgresUser) -> Result<Asked, Failure> {
    let name = user.name_any();
    if user.metadata.deletion_timestamp.is_some() {
        return Err(Failure::Other(format!(
            "{name} is being deleted: it gets no new password"
        )));
    }
    if user.spec.suspend {
        note(&format!(
            "{name} is suspended: it gets a new password when spec.suspend is false again"
        ));
    }
    let rotation = new_rotation()?;
    let change = json!({"metadata": {"annotations": {names::ROTATE: rotation}}});
    cluster.change(user, change).await?;
    Ok(Asked {
        namespace: cluster.namespace_of(user),
        name,
        rotation,
        done: None,
    })
}

/// A value that nobody has used before.
fn new_rotation() -> Result<String, Failure> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| Failure::Other(format!("no randomness: {error}")))?;
    Ok(format!(
        "{}-{}",
        Timestamp::now().strftime("%FT%TZ"),
        hex(&random)
    ))
}

fn described(rotations: &Rotations) -> String {
    let lines = rotations.rotations.iter().map(|asked| {
        let what = match asked.done {
            Some(true) => "has a new password",
            Some(false) => "has no new password yet",
            None => "will have a new password",
        };
        format!("postgresuser.pguser.dev/{} {what}\n", asked.name)
    });
    lines.collect()
}
