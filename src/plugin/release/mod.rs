//! `release`: PostgresUsers go, their logins and Secrets stay.
//!
//! Nothing is deleted before the operator has said that it has seen `deletionPolicy: Retain`: a deletion cannot be taken
//! back, and where no operator answers it would wait for ever. `orphaned` is for when there is no operator any more.

mod orphaned;

use clap::Args;
use kube::ResourceExt;
use kube::api::{DeleteParams, Preconditions};
use serde::Serialize;
use serde_json::json;

use super::CommandOutcome;
use super::cluster::{Cluster, Selection};
use super::failure::Failure;
use super::orphans::OperatorNamespace;
use super::output::{Output, note, or_none, table};
use super::prompt::confirm;
use super::status::{observed, trouble};
use super::wait::Timeout;
use crate::api::{DeletionPolicy, PostgresUser, names};

/// The command. Exit code 1: some are not gone yet, and it was told what they wait for.
#[derive(Debug, Args)]
pub struct Release {
    #[command(flatten)]
    selection: Selection,
    /// All PostgresUsers of the namespace.
    #[arg(long, conflicts_with_all = ["names", "selector"])]
    all: bool,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// Let them go without asking their servers anything, where something is in the way.
    #[arg(long)]
    force: bool,
    /// For administrators, when the operator is gone for good: do what it would do, once its journals show that nothing
    /// is under way.
    #[arg(long, conflicts_with = "force")]
    orphan: bool,
    #[command(flatten)]
    operator: OperatorNamespace,
    #[command(flatten)]
    timeout: Timeout,
    #[command(flatten)]
    output: Output,
}

/// What became of one: the schema of `-o json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Released {
    namespace: String,
    name: String,
    /// The object is gone.
    gone: bool,
    /// The login that is left on the server; null if there was none.
    username: Option<String>,
    /// The remote cluster that it is on.
    cluster: Option<String>,
    /// The Secret that is left; null if there is none.
    secret: Option<String>,
}

#[derive(Serialize)]
struct All {
    released: Vec<Released>,
}

impl Release {
    /// Runs it.
    pub async fn run(self, cluster: &Cluster) -> Result<CommandOutcome, Failure> {
        self.selection.or_all(self.all, "release whom")?;
        let users = cluster.selected(&self.selection, false).await?;
        users.iter().for_each(announce);
        let question = format!(
            "delete {} PostgresUsers, and leave their logins on the server",
            users.len()
        );
        confirm(&question, self.yes)?;
        let mut released = Vec::new();
        for user in &users {
            let gone = match self.orphan {
                true => {
                    orphaned::release(cluster, user, &self.operator.operator_namespace, &self.timeout).await?
                }
                false => self.release(cluster, user).await?,
            };
            released.push(result(cluster, user, gone).await?);
        }
        let verdict = released.iter().all(|it| it.gone).into();
        let all = All { released };
        self.output.output.print(&all, || described(&all.released))?;
        Ok(verdict)
    }

    /// Lets the operator do it. Tells whether the object is gone.
    async fn release(&self, cluster: &Cluster, user: &PostgresUser) -> Result<bool, Failure> {
        let name = user.name_any();
        let retained = retain(cluster, user).await?;
        if !self.is_seen(cluster, &retained).await? {
            note(&format!(
                "{name}: the operator has not looked at it in time, so nothing was deleted; deletionPolicy is Retain by \
                 now. Does it run, and look after this namespace? If it is gone for good, see --orphan"
            ));
            return Ok(false);
        }
        delete(cluster, &retained).await?;
        if self.force {
            let change = json!({"metadata": {"annotations": {names::FORCE_FINALIZE: user.username()}}});
            match cluster.change(&retained, change).await {
                // It went meanwhile.
                Ok(_) | Err(Failure::NotFound { .. }) => {}
                Err(failure) => return Err(failure),
            }
        }
        let gone = self
            .timeout
            .until(async || Ok(current(cluster, user).await?.is_none().then_some(())));
        if gone.await?.is_some() {
            return Ok(true);
        }
        if let Some(user) = current(cluster, user).await? {
            note(&format!(
                "{name}: it is being deleted and not gone yet. {}",
                trouble(&user)
            ));
        }
        Ok(false)
    }

    /// Whether the operator has seen the policy, or the object is gone by now.
    async fn is_seen(&self, cluster: &Cluster, retained: &PostgresUser) -> Result<bool, Failure> {
        let seen = self.timeout.until(async || {
            let user = current(cluster, retained).await?;
            Ok(user
                .is_none_or(|user| observed(&user) >= retained.metadata.generation)
                .then_some(()))
        });
        Ok(seen.await?.is_some())
    }
}

/// Says beforehand what will be left.
fn announce(user: &PostgresUser) {
    let name = user.name_any();
    let status = user.status.as_ref();
    if status.is_none_or(|status| status.secret.is_none()) {
        note(&format!(
            "{name}: no Secret was published, and a login that is just being made is not kept"
        ));
    } else {
        let secret = user.secret_name();
        note(&format!(
            "{name}: the login {:?} and the Secret {secret} stay",
            user.username()
        ));
    }
}

/// Asks for the login to be kept.
async fn retain(cluster: &Cluster, user: &PostgresUser) -> Result<PostgresUser, Failure> {
    match user.spec.deletion_policy {
        Some(DeletionPolicy::Retain) => Ok(user.clone()),
        Some(DeletionPolicy::Delete) | None => {
            cluster
                .change(user, json!({"spec": {"deletionPolicy": "Retain"}}))
                .await
        }
    }
}

/// The object, unless it is gone, or another one has its name.
async fn current(cluster: &Cluster, user: &PostgresUser) -> Result<Option<PostgresUser>, Failure> {
    let found = cluster.user_if_any(&user.name_any()).await?;
    Ok(found.filter(|found| found.uid() == user.uid()))
}

/// Orders the deletion of this object, and of no successor.
async fn delete(cluster: &Cluster, user: &PostgresUser) -> Result<(), Failure> {
    let name = user.name_any();
    let params = DeleteParams::background().preconditions(Preconditions {
        uid: user.uid(),
        resource_version: None,
    });
    match cluster
        .users(&cluster.namespace_of(user))
        .delete(&name, &params)
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(cluster
            .asked("delete", "postgresusers", Some(&name))
            .failed(&error)),
    }
}

async fn result(cluster: &Cluster, user: &PostgresUser, gone: bool) -> Result<Released, Failure> {
    let namespace = cluster.namespace_of(user);
    let secret = match cluster.secret(&namespace, &user.secret_name()).await {
        Ok(secret) => secret,
        // Who may delete a PostgresUser need not be one to read Secrets.
        Err(failure) if failure.is_no_access() => None,
        Err(failure) => return Err(failure),
    };
    let is_left = |uid: &str| {
        secret.as_ref().is_some_and(|it| {
            it.annotations()
                .get(names::SECRET_USER_UID)
                .is_some_and(|it| it == uid)
        })
    };
    let record = user.record();
    Ok(Released {
        gone,
        username: record.map(|record| record.username.clone()),
        cluster: record.map(|record| format!("{}/{}", record.provider, record.cluster)),
        secret: is_left(&user.uid().unwrap_or_default()).then(|| user.secret_name()),
        name: user.name_any(),
        namespace,
    })
}

fn described(released: &[Released]) -> String {
    let row = |it: &Released| {
        vec![
            it.name.clone(),
            if it.gone { "gone" } else { "waiting" }.to_string(),
            or_none(it.username.as_deref()),
            or_none(it.cluster.as_deref()),
            or_none(it.secret.as_deref()),
        ]
    };
    let rows: Vec<_> = released.iter().map(row).collect();
    table(&["NAME", "OBJECT", "LOGIN KEPT", "ON", "SECRET KEPT"], &rows)
}
