//! `adopt`: takes over a login that exists on the server.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use kube::ResourceExt;
use serde::Serialize;
use serde_json::json;

use super::cluster::{Cluster, user_name};
use super::failure::Failure;
use super::output::{Output, note};
use super::prompt::confirm;
use super::status::{condition, is_ready, is_seen, observed, trouble};
use super::wait::Timeout;
use super::{CommandOutcome, adoptable, completion};
use crate::api::{PostgresUser, Reason};
use crate::domain::conditions::{STALLED, presentable};
use crate::objects::ServerKey;

/// The command. Exit code 1: with --wait, the login was not taken over.
#[derive(Debug, Args)]
pub struct Adopt {
    /// The PostgresUser.
    #[arg(value_parser = user_name, add = ArgValueCompleter::new(completion::users), required_unless_present = "where_allowed")]
    name: Option<String>,
    /// Lists the server objects that allow adoption instead: whoever edits a namespace that they serve may take over logins.
    #[arg(long, conflicts_with_all = ["name", "yes", "wait"])]
    where_allowed: bool,
    /// With --where-allowed: in all namespaces.
    #[arg(short = 'A', long, requires = "where_allowed")]
    all_namespaces: bool,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// Wait until the login is taken over.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    timeout: Timeout,
    #[command(flatten)]
    output: Output,
}

/// What became of it: the schema of `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Adopted {
    namespace: String,
    name: String,
    username: String,
    /// Whether the login is this object's by now; null if that was not waited for.
    adopted: Option<bool>,
}

impl Adopt {
    /// Runs it.
    pub async fn run(self, cluster: &Cluster) -> Result<CommandOutcome, Failure> {
        if self.where_allowed {
            return adoptable::list(cluster, self.all_namespaces, &self.output).await;
        }
        let user = cluster.user(self.name()).await?;
        let adopted = match user.record().is_some() {
            true => Some(true),
            false => self.take_over(cluster, &user).await?,
        };
        let result = Adopted {
            namespace: cluster.namespace_of(&user),
            name: user.name_any(),
            username: user.username().to_string(),
            adopted,
        };
        self.output.output.print(&result, || {
            let what = match result.adopted {
                Some(true) => "has its login",
                Some(false) => "does not have its login",
                None => "will take its login over",
            };
            format!("postgresuser.pguser.dev/{} {what}", result.name)
        })?;
        Ok((adopted != Some(false)).into())
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    async fn take_over(&self, cluster: &Cluster, user: &PostgresUser) -> Result<Option<bool>, Failure> {
        self.may_adopt(cluster, user).await?;
        let question = format!(
            "take over the login {:?} on {:?} {}, and give it a new password, so that whoever uses it now is turned away",
            user.username(),
            user.spec.server_ref.kind,
            user.spec.server_ref.name
        );
        confirm(&question, self.yes)?;
        let changed = cluster
            .change(user, json!({"spec": {"adoptionPolicy": "Adopt"}}))
            .await?;
        match self.wait {
            true => self.wait_for(cluster, &changed).await.map(Some),
            false => Ok(None),
        }
    }

    /// Shows what exists, and stops where adoption cannot help.
    async fn may_adopt(&self, cluster: &Cluster, user: &PostgresUser) -> Result<(), Failure> {
        let stopped = |why: String| Err(Failure::Other(format!("{}: {why}", self.name())));
        if user.metadata.deletion_timestamp.is_some() {
            return stopped("it is being deleted".to_string());
        }
        let stalled = condition(user, STALLED)
            .filter(|it| it.reason == Reason::AlreadyExists.as_str() && is_seen(user));
        let Some(stalled) = stalled else {
            return stopped(format!(
                "there is nothing to adopt: the operator does not say that its login exists (AlreadyExists). {}",
                trouble(user)
            ));
        };
        note(&presentable(&stalled.message));
        let key = ServerKey::of(&user.spec.server_ref, &cluster.namespace_of(user));
        match cluster.server(&key).await {
            Ok(Some(server)) if !server.allow_adoption() => stopped(format!(
                "{key} does not allow adoption: whoever keeps it has to set spec.allowAdoption: true"
            )),
            Ok(Some(_)) => Ok(()),
            Ok(None) => stopped(format!("there is no {key}")),
            Err(failure) if failure.is_no_access() => {
                note(&format!(
                    "whether adoption is allowed there cannot be seen from here ({failure})"
                ));
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    async fn wait_for(&self, cluster: &Cluster, changed: &PostgresUser) -> Result<bool, Failure> {
        let seen = |user: &PostgresUser| observed(user) >= changed.metadata.generation;
        let ended = self.timeout.until(async || {
            let user = cluster.user(self.name()).await?;
            let ended = (user.record().is_some() && is_ready(&user))
                || (seen(&user) && condition(&user, STALLED).is_some());
            Ok(ended.then_some(user))
        });
        let user = match ended.await? {
            Some(user) => user,
            None => cluster.user(self.name()).await?,
        };
        if !is_ready(&user) {
            note(&format!("{}: {}", self.name(), trouble(&user)));
        }
        Ok(is_ready(&user))
    }
}
