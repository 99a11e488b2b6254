//! `explain-delete`: what a deletion waits for, or would do, and the ways out.
//!
//! `user` and `server` explain one object each, from what is written on it; `blockers` and `grants` have what is to be said in SQL;
//! this gathers them.

mod blockers;
mod grants;
mod server;
mod user;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{ListParams, ObjectMeta};
use serde::Serialize;

use super::cluster::{Cluster, object_name, user_name};
use super::failure::Failure;
use super::output::{Output, age};
use super::{CommandOutcome, completion};
use crate::api::{PostgresUser, ServerKind, names};
use crate::domain::conditions::presentable;
use crate::objects::ServerKey;

/// The command. Exit code 1: a deletion is blocked until somebody does something.
#[derive(Debug, Args)]
pub struct ExplainDelete {
    /// A PostgresUser; server/NAME for a PostgresServer, clusterserver/NAME for a ClusterPostgresServer. None: all
    /// PostgresUsers and PostgresServers of the namespace.
    #[arg(value_name = "NAME", value_parser = subject, add = ArgValueCompleter::new(completion::users))]
    subjects: Vec<Subject>,
    #[command(flatten)]
    output: Output,
}

/// PostgresUsers as printed commands name them: in full, since other resources may have the short name, kind or plural.
const USERS: &str = "postgresusers.pguser.dev";

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    User(String),
    Server(ServerKind, String),
}

fn subject(text: &str) -> Result<Subject, String> {
    let (kind, name) = text.split_once('/').unwrap_or(("pguser", text));
    match kind.strip_suffix(".pguser.dev").unwrap_or(kind) {
        "server" | "pgserver" | "postgresserver" | "postgresservers" => {
            Ok(Subject::Server(ServerKind::PostgresServer, object_name(name)?))
        }
        "clusterserver" | "cpgserver" | "clusterpostgresserver" | "clusterpostgresservers" => Ok(
            Subject::Server(ServerKind::ClusterPostgresServer, object_name(name)?),
        ),
        _ => user_name(text).map(Subject::User),
    }
}

/// What is said of one object: the schema of `-o json`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    kind: &'static str,
    namespace: Option<String>,
    name: String,
    deleting: bool,
    since: Option<Timestamp>,
    finalizers: Vec<FinalizerState>,
    /// What its deletion does, or would do.
    effects: Vec<String>,
    /// Somebody has to do something, or it never ends.
    blocked: bool,
    ways_out: Vec<Remedy>,
}

/// A finalizer, and what it waits for.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct FinalizerState {
    finalizer: String,
    /// It is the operator's.
    ours: bool,
    waits_for: String,
}

/// A way to end a deletion that is blocked.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Remedy {
    what: String,
    command: String,
}

#[derive(Serialize)]
struct Explanations {
    objects: Vec<Explained>,
}

impl ExplainDelete {
    /// Runs it.
    pub async fn run(self, cluster: &Cluster) -> Result<CommandOutcome, Failure> {
        let objects = match self.subjects.is_empty() {
            true => everything(cluster).await?,
            false => {
                let mut objects = Vec::new();
                for subject in &self.subjects {
                    objects.push(explain(cluster, subject).await?);
                }
                objects
            }
        };
        let blocked = objects.iter().any(|it| it.blocked);
        let explanations = Explanations { objects };
        self.output
            .output
            .print(&explanations, || described(&explanations.objects))?;
        Ok((!blocked).into())
    }
}

async fn explain(cluster: &Cluster, subject: &Subject) -> Result<Explained, Failure> {
    match subject {
        Subject::User(name) => {
            let user = cluster.user(name).await?;
            let key = ServerKey::of(&user.spec.server_ref, &cluster.namespace_of(&user));
            // A server object that may not be read only means that less can be said.
            let server = cluster.server(&key).await.ok().flatten();
            Ok(user::explain(&user, server.as_ref()))
        }
        Subject::Server(kind, name) => {
            let key = ServerKey {
                kind: *kind,
                namespace: (*kind == ServerKind::PostgresServer).then(|| cluster.namespace.clone()),
                name: name.clone(),
            };
            let found = cluster.server(&key).await?;
            let object = found.ok_or_else(|| Failure::NotFound {
                doing: format!("get {key}"),
            })?;
            let users = users_near(cluster, key.namespace.as_deref()).await?;
            Ok(server::explain(&object, &users))
        }
    }
}

/// The PostgresUsers that may refer to a server object.
async fn users_near(cluster: &Cluster, namespace: Option<&str>) -> Result<Vec<PostgresUser>, Failure> {
    cluster.users_in(namespace, &ListParams::default()).await
}

/// All of ours in the namespace, as it matters when the namespace is deleted.
async fn everything(cluster: &Cluster) -> Result<Vec<Explained>, Failure> {
    let servers = cluster.servers_in(Some(&cluster.namespace)).await?;
    let users = users_near(cluster, Some(&cluster.namespace)).await?;
    let mut objects: Vec<_> = users
        .iter()
        .map(|it| {
            let key = ServerKey::of(&it.spec.server_ref, &cluster.namespace_of(it));
            user::explain(it, servers.iter().find(|server| server.key() == key))
        })
        .collect();
    objects.extend(servers.iter().map(|it| server::explain(it, &users)));
    objects.extend(held_credentials(cluster).await?);
    Ok(objects)
}

/// Credentials Secrets that are being deleted while a server object needs them.
async fn held_credentials(cluster: &Cluster) -> Result<Vec<Explained>, Failure> {
    let secrets = cluster.secrets_by_metadata(&cluster.namespace);
    let list = match secrets.list(&ListParams::default()).await {
        Ok(list) => list,
        // Who may not list Secrets is not concerned with credentials either.
        Err(kube::Error::Api(status)) if status.code == 403 => Vec::new(),
        Err(error) => return Err(cluster.asked("list", "secrets", None).failed(&error)),
    };
    let held = list.iter().filter(|it| {
        let ours = it
            .finalizers()
            .iter()
            .any(|it| it == names::CREDENTIALS_FINALIZER);
        ours && it.metadata.deletion_timestamp.is_some()
    });
    let explained = held.map(|it| {
        let waits = "a server object needs these credentials until they are copied, or its last user is gone";
        Explained {
            effects: vec![
                "the operator keeps a copy for deletions alone, and lets the Secret go".to_string(),
            ],
            ..Explained::of("Secret", &it.metadata, names::CREDENTIALS_FINALIZER, waits)
        }
    });
    Ok(explained.collect())
}

impl Explained {
    /// An object with a finalizer of ours, and nothing in the way.
    fn of(kind: &'static str, meta: &ObjectMeta, finalizer: &str, waits_for: &str) -> Self {
        let finalizers = meta.finalizers.iter().flatten().map(|it| FinalizerState {
            ours: it == finalizer,
            waits_for: match it == finalizer {
                true => waits_for.to_string(),
                false => "whoever put it there: it is not pguser-operator's".to_string(),
            },
            finalizer: it.clone(),
        });
        Self {
            kind,
            namespace: meta.namespace.clone(),
            name: meta.name.clone().unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            since: meta.deletion_timestamp.as_ref().map(|since| since.0),
            finalizers: finalizers.collect(),
            effects: Vec::new(),
            blocked: false,
            ways_out: Vec::new(),
        }
    }
}

fn described(objects: &[Explained]) -> String {
    if objects.is_empty() {
        return "Nothing of pguser-operator's is here.\n".to_string();
    }
    objects.iter().map(described_one).collect::<Vec<_>>().join("\n")
}

fn described_one(it: &Explained) -> String {
    let place = it
        .namespace
        .as_ref()
        .map(|namespace| format!("{namespace}/"))
        .unwrap_or_default();
    let state = match (it.deleting, it.blocked) {
        (false, _) => "not being deleted".to_string(),
        (true, false) => format!("being deleted for {}", age(it.since, Timestamp::now())),
        (true, true) => format!(
            "being deleted for {}, and blocked",
            age(it.since, Timestamp::now())
        ),
    };
    let mut text = format!("{} {place}{}: {state}\n", it.kind, it.name);
    for effect in &it.effects {
        text += &format!("  - {}\n", presentable(effect));
    }
    for held in it.finalizers.iter().filter(|held| it.deleting || !held.ours) {
        text += &format!(
            "  finalizer {} waits for: {}\n",
            held.finalizer,
            presentable(&held.waits_for)
        );
    }
    for way in &it.ways_out {
        let command = way.command.replace('\n', "\n    ");
        text += &format!("  way out: {}\n    {command}\n", presentable(&way.what));
    }
    text
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;

    use super::*;

    #[test]
    fn printed_commands_name_the_resource_in_full() {
        assert_eq!(USERS, PostgresUser::crd_name());
    }

    #[test]
    fn what_is_to_be_explained_is_named_by_kind() {
        assert_eq!(subject("checkout"), Ok(Subject::User("checkout".to_string())));
        assert_eq!(
            subject("pguser/checkout"),
            Ok(Subject::User("checkout".to_string()))
        );
        let server = |kind| Ok(Subject::Server(kind, "orders".to_string()));
        assert_eq!(subject("server/orders"), server(ServerKind::PostgresServer));
        assert_eq!(
            subject("cpgserver/orders"),
            server(ServerKind::ClusterPostgresServer)
        );
        assert!(subject("secret/orders").is_err());
    }
}
