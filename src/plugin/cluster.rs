//! The way to Kubernetes, and the objects that commands ask for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt};
use serde_json::Value;

use super::completion;
use super::failure::{Asked, Failure};
use super::kubeconfig;
use super::output::note;
use crate::api::{ClusterPostgresServer, Lean, PostgresServer, PostgresUser};
use crate::controller::objects::Objects;
use crate::objects::{ServerKey, ServerObject};

/// How long the API server may take to be reached, and to answer.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);

/// Which cluster, and as whom.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub struct Flags {
    /// The kubeconfig file. Default: as kubectl.
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// The context in it.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The cluster in it. Default: the context's.
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// The user in it. Default: the context's.
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// Whom to act as: a user, or system:serviceaccount:NAMESPACE:NAME.
    #[arg(long = "as", global = true, value_name = "USERNAME")]
    pub as_user: Option<String>,
    /// A group to act as a member of; may be given more than once.
    #[arg(long, global = true, value_name = "GROUP")]
    pub as_group: Vec<String>,
    /// How long the API server may take to answer a request: 30s, 2m; a number alone is seconds, 0 is for ever. Default: 60s.
    #[arg(long, global = true, value_name = "DURATION", value_parser = request_timeout)]
    pub request_timeout: Option<Duration>,
    /// The namespace. Default: the context's.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
}

/// Which PostgresUsers: by name, by label, or all.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    /// Names of PostgresUsers, with or without `pguser/` before them.
    #[arg(value_name = "NAME", value_parser = user_name, add = ArgValueCompleter::new(completion::users))]
    pub names: Vec<String>,
    /// Those with these labels, as in kubectl.
    #[arg(short = 'l', long, conflicts_with = "names")]
    pub selector: Option<String>,
}

impl Selection {
    /// Refuses to take everybody for want of a name, unless that was said; `what` is the question that is open.
    pub fn or_all(&self, all: bool, what: &str) -> Result<(), Failure> {
        match self.names.is_empty() && self.selector.is_none() && !all {
            true => Err(Failure::Usage(format!(
                "{what}? Name PostgresUsers, or say --selector or --all"
            ))),
            false => Ok(()),
        }
    }
}

/// A connection to a cluster, and the namespace that is meant.
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// The namespace of the flag, or of the context.
    pub namespace: String,
}

/// Reads the name of a PostgresUser: `checkout`, `pguser/checkout`.
pub fn user_name(text: &str) -> Result<String, String> {
    let (kind, name) = text.rsplit_once('/').unwrap_or(("pguser", text));
    let kind = kind.strip_suffix(".pguser.dev").unwrap_or(kind);
    match kind {
        "pguser" | "postgresuser" | "postgresusers" => object_name(name),
        _ => Err(format!("{text:?} is no PostgresUser: write NAME or pguser/NAME")),
    }
}

/// A name that an object can have; another one would end up in another path of the API.
pub fn object_name(name: &str) -> Result<String, String> {
    let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    match !name.is_empty() && name.len() <= 253 && name.chars().all(sound) {
        true => Ok(name.to_string()),
        false => Err(format!(
            "{name:?} is no name of an object: those have lower-case letters, digits, '-' and '.'"
        )),
    }
}

impl Flags {
    /// Reads the kubeconfig, and makes a client.
    pub async fn connect(&self) -> Result<Cluster, Failure> {
        let mut config = kubeconfig::config(self)?;
        (config.connect_timeout, config.read_timeout) = self.timeouts();
        let user = config.auth_info.clone();
        let namespace = self.namespace.clone().unwrap_or(config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| kubeconfig::unusable(&error, &user))?;
        Ok(Cluster { client, namespace })
    }

    /// How long the API server may take to be reached, and to answer.
    fn timeouts(&self) -> (Option<Duration>, Option<Duration>) {
        match self.request_timeout {
            None => (Some(CONNECT), Some(ANSWER)),
            Some(timeout) if timeout.is_zero() => (Some(CONNECT), None),
            Some(timeout) => (Some(timeout.min(CONNECT)), Some(timeout)),
        }
    }
}

/// How long a request may take, in kubectl's words: a number alone is seconds, and 0 is for ever.
fn request_timeout(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => crate::cli::duration(text),
    }
}

impl Cluster {
    /// The PostgresUsers of a namespace.
    pub fn users(&self, namespace: &str) -> Objects<PostgresUser> {
        Objects::of(self.client.clone(), namespace)
    }

    /// The same, by metadata.
    pub fn users_by_metadata(&self, namespace: &str) -> Objects<PartialObjectMeta<PostgresUser>> {
        Objects::of(self.client.clone(), namespace)
    }

    /// The Secrets of a namespace.
    pub fn secrets(&self, namespace: &str) -> Objects<Secret> {
        Objects::of(self.client.clone(), namespace)
    }

    /// The same, by metadata.
    pub fn secrets_by_metadata(&self, namespace: &str) -> Objects<PartialObjectMeta<Secret>> {
        Objects::of(self.client.clone(), namespace)
    }

    /// One PostgresUser of the namespace.
    pub async fn user(&self, name: &str) -> Result<PostgresUser, Failure> {
        self.user_if_any(name).await?.ok_or_else(|| Failure::NotFound {
            doing: format!("get postgresusers/{name} in namespace {}", self.namespace),
        })
    }

    /// One PostgresUser of the namespace, if it is there.
    pub async fn user_if_any(&self, name: &str) -> Result<Option<PostgresUser>, Failure> {
        let found = self.users(&self.namespace).get_lean(name).await;
        let found = found.map_err(|error| self.asked("get", "postgresusers", Some(name)).failed(&error))?;
        Ok(found.map(as_far_as_read))
    }

    /// The PostgresUsers that are meant: those named, or all with these labels.
    pub async fn selected(
        &self,
        selection: &Selection,
        everywhere: bool,
    ) -> Result<Vec<PostgresUser>, Failure> {
        if selection.names.is_empty() {
            return self.all_users(selection.selector.as_deref(), everywhere).await;
        }
        if everywhere {
            let message = "a PostgresUser cannot be named across all namespaces: leave out --all-namespaces";
            return Err(Failure::Usage(message.to_string()));
        }
        let mut users = Vec::new();
        for name in &selection.names {
            users.push(self.user(name).await?);
        }
        Ok(users)
    }

    async fn all_users(
        &self,
        selector: Option<&str>,
        everywhere: bool,
    ) -> Result<Vec<PostgresUser>, Failure> {
        let mut params = ListParams::default();
        if let Some(selector) = selector {
            params = params.labels(selector);
        }
        self.users_in((!everywhere).then_some(&self.namespace), &params)
            .await
    }

    /// The PostgresUsers of a namespace, or of all.
    pub async fn users_in(
        &self,
        namespace: Option<&str>,
        params: &ListParams,
    ) -> Result<Vec<PostgresUser>, Failure> {
        let api = match namespace {
            Some(namespace) => self.users(namespace),
            None => Objects::all(self.client.clone()),
        };
        let asked = Asked {
            verb: "list",
            resource: "postgresusers",
            namespace,
            name: None,
        };
        let list = api.list_lean(params).await;
        let list = list.map_err(|error| asked.failed(&error))?;
        Ok(list.into_iter().map(as_far_as_read).collect())
    }

    /// A server object, if it is there.
    pub async fn server(&self, key: &ServerKey) -> Result<Option<ServerObject>, Failure> {
        let asked = Asked {
            verb: "get",
            resource: match key.namespace {
                Some(_) => "postgresservers",
                None => "clusterpostgresservers",
            },
            namespace: key.namespace.as_deref(),
            name: Some(&key.name),
        };
        let found = match &key.namespace {
            Some(namespace) => {
                let api: Objects<PostgresServer> = Objects::of(self.client.clone(), namespace);
                let found = api.get_opt(&key.name).await;
                found.map(|it| it.map(|it| ServerObject::Namespaced(Arc::new(it))))
            }
            None => {
                let api: Objects<ClusterPostgresServer> = Objects::all(self.client.clone());
                let found = api.get_opt(&key.name).await;
                found.map(|it| it.map(|it| ServerObject::Cluster(Arc::new(it))))
            }
        };
        found.map_err(|error| asked.failed(&error))
    }

    /// The PostgresServers of a namespace, or of all.
    pub async fn servers_in(&self, namespace: Option<&str>) -> Result<Vec<ServerObject>, Failure> {
        let api: Objects<PostgresServer> = match namespace {
            Some(namespace) => Objects::of(self.client.clone(), namespace),
            None => Objects::all(self.client.clone()),
        };
        let asked = Asked {
            verb: "list",
            resource: "postgresservers",
            namespace,
            name: None,
        };
        let list = api.list(&ListParams::default()).await;
        let list = list.map_err(|error| asked.failed(&error))?.into_iter();
        Ok(list.map(|it| ServerObject::Namespaced(Arc::new(it))).collect())
    }

    /// The ClusterPostgresServers.
    pub async fn cluster_servers(&self) -> Result<Vec<ServerObject>, Failure> {
        let api: Objects<ClusterPostgresServer> = Objects::all(self.client.clone());
        let asked = Asked {
            verb: "list",
            resource: "clusterpostgresservers",
            namespace: None,
            name: None,
        };
        let list = api.list(&ListParams::default()).await;
        let list = list.map_err(|error| asked.failed(&error))?.into_iter();
        Ok(list.map(|it| ServerObject::Cluster(Arc::new(it))).collect())
    }

    /// A Secret of a namespace, if it is there.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, Failure> {
        let asked = Asked {
            verb: "get",
            resource: "secrets",
            namespace: Some(namespace),
            name: Some(name),
        };
        let found = self.secrets(namespace).get_opt(name).await;
        found.map_err(|error| asked.failed(&error))
    }

    /// Merges a change into a PostgresUser that must be the one that was seen.
    pub async fn change(&self, user: &PostgresUser, mut change: Value) -> Result<PostgresUser, Failure> {
        let name = user.name_any();
        change["metadata"]["uid"] = Value::from(user.uid());
        let api = self.users(&self.namespace_of(user));
        let changed = api
            .patch(&name, &PatchParams::default(), &Patch::Merge(change))
            .await;
        changed.map_err(|error| self.asked("patch", "postgresusers", Some(&name)).failed(&error))
    }

    /// The namespace that an object is in.
    pub fn namespace_of(&self, object: &impl kube::Resource) -> String {
        object
            .meta()
            .namespace
            .clone()
            .unwrap_or_else(|| self.namespace.clone())
    }

    /// What is asked of this namespace.
    pub fn asked<'a>(&'a self, verb: &'a str, resource: &'a str, name: Option<&'a str>) -> Asked<'a> {
        Asked {
            verb,
            resource,
            namespace: Some(&self.namespace),
            name,
        }
    }
}

/// What could not be read is not shown, and that is said.
fn as_far_as_read(lean: Lean<PostgresUser>) -> PostgresUser {
    if let Some(unread) = &lean.unread {
        note(&format!(
            "PostgresUser {} is shown without what cannot be read: {unread}",
            lean.object.name_any()
        ));
    }
    lean.object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_duration_or_seconds() {
        assert_eq!(request_timeout("5"), Ok(Duration::from_secs(5)));
        assert_eq!(request_timeout("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(request_timeout("0"), Ok(Duration::ZERO));
        assert!(request_timeout("soon").is_err());
    }

    #[test]
    fn a_user_is_named_with_or_without_its_kind() {
        for text in ["checkout", "pguser/checkout", "postgresusers.pguser.dev/checkout"] {
            assert_eq!(user_name(text), Ok("checkout".to_string()), "{text}");
        }
        for text in ["secret/checkout", "pguser/", "a/../b", "Checkout"] {
            assert!(user_name(text).is_err(), "{text}");
        }
    }
}
