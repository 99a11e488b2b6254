//! PostgresUsers as the bench makes them and watches them: a client that is nobody's but its own.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
    runtime::watcher::{self, Event},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};

use crate::support::Outcome;

/// How many requests the bench has under way when it applies or deletes.
const AT_ONCE: usize = 16;

/// A PostgresUser, as far as it is looked at.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    /// As every object has it.
    #[serde(default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default)]
    last_handled_rotation: Option<String>,
    #[serde(default)]
    password: Option<Password>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Password {
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Resource for User {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "PostgresUser".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "pguser.dev".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1alpha1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "postgresusers".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl User {
    fn is_ready(&self) -> bool {
        let mut conditions = self.status.iter().flat_map(|status| &status.conditions);
        conditions.any(|condition| condition.kind == "Ready" && condition.status == "True")
    }

    fn rotation(&self) -> Option<&str> {
        self.status.as_ref()?.last_handled_rotation.as_deref()
    }

    fn was_changed_by_age(&self) -> bool {
        let password = self.status.as_ref().and_then(|status| status.password.as_ref());
        password.and_then(|password| password.reason.as_deref()) == Some("Scheduled")
    }
}

/// When a user first was what it is waited for.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// When it was Ready.
    pub ready: Option<Instant>,
    /// Which rotation was done last, and when.
    pub rotation: Option<(String, Instant)>,
    /// When its password was first changed by its age.
    pub aged: Option<Instant>,
    /// When the object was gone.
    pub gone: Option<Instant>,
}

/// How far a wait has come.
#[derive(Debug, Clone, Copy)]
pub struct Reached {
    /// How many got there.
    pub count: usize,
    /// How many were to.
    pub wanted: usize,
    /// When the last of them got there; without any, when it was given up.
    pub last: Instant,
}

impl Reached {
    /// Whether all got there.
    pub fn all(&self) -> bool {
        self.count == self.wanted
    }
}

/// The users of a namespace, watched.
pub struct Users {
    api: Api<User>,
    seen: Arc<Mutex<HashMap<String, Seen>>>,
    changed: watch::Receiver<()>,
    watching: JoinHandle<()>,
}

impl Users {
    /// Begins to watch.
    pub fn watch(client: &Client, namespace: &str) -> Users {
        let api: Api<User> = Api::namespaced(client.clone(), namespace);
        let seen: Arc<Mutex<HashMap<String, Seen>>> = Arc::default();
        let (change, changed) = watch::channel(());
        let (all, events) = (
            seen.clone(),
            watcher::watcher(api.clone(), watcher::Config::default()),
        );
        let watching = tokio::spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                if let Ok(event) = event {
                    note(&mut all.lock().unwrap(), &event);
                    change.send_replace(());
                }
            }
        });
        Users {
            api,
            seen,
            changed,
            watching,
        }
    }

    /// Makes users that refer to a server object.
    pub async fn make(&self, names: &[String], server_ref: &serde_json::Value) -> Outcome {
        self.make_with(names, &json!({"serverRef": server_ref})).await
    }

    /// Makes users of one spec.
    pub async fn make_with(&self, names: &[String], spec: &serde_json::Value) -> Outcome {
        let of = |name: &String| User {
            api_version: "pguser.dev/v1alpha1".to_owned(),
            kind: "PostgresUser".to_owned(),
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            spec: spec.clone(),
            status: None,
        };
        self.each(names, async |name| {
            self.api.create(&PostParams::default(), &of(name)).await.map(drop)
        })
        .await
    }

    /// Orders the deletion of users.
    pub async fn delete(&self, names: &[String]) -> Outcome {
        self.each(names, async |name| {
            self.api.delete(name, &DeleteParams::default()).await.map(drop)
        })
        .await
    }

    /// Asks for new passwords.
    pub async fn rotate(&self, names: &[String], value: &str) -> Outcome {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"pguser.dev/rotate": value}}}));
        self.each(names, async |name| {
            self.api
                .patch(name, &PatchParams::default(), &patch)
                .await
                .map(drop)
        })
        .await
    }

    async fn each(&self, names: &[String], act: impl AsyncFn(&String) -> kube::Result<()>) -> Outcome {
        let requests = futures::stream::iter(names.iter().map(Ok::<_, kube::Error>));
        requests
            .try_for_each_concurrent(AT_ONCE, |name| act(name))
            .await?;
        Ok(())
    }

    /// Waits until all of these users are something, or until it has taken too long.
    pub async fn until(
        &self,
        names: &[String],
        limit: Duration,
        is: impl Fn(&Seen) -> Option<Instant>,
    ) -> Reached {
        let deadline = Instant::now() + limit;
        // Looking at all of them costs the more, the more there are; their times are exact all the same.
        let pause =
            Duration::from_millis(5) + Duration::from_micros(10) * u32::try_from(names.len()).unwrap_or(0);
        let mut changed = self.changed.clone();
        loop {
            changed.mark_unchanged();
            let reached = self.reached(names, &is);
            if reached.all() || Instant::now() >= deadline {
                return reached;
            }
            tokio::time::sleep(pause).await;
            let _ = tokio::time::timeout_at(deadline.into(), changed.changed()).await;
        }
    }

    /// How many of these users are something by now.
    pub fn reached(&self, names: &[String], is: impl Fn(&Seen) -> Option<Instant>) -> Reached {
        let times = self.times(names, is);
        Reached {
            count: times.len(),
            wanted: names.len(),
            last: times.into_iter().max().unwrap_or_else(Instant::now),
        }
    }

    /// When each of these users was something, of those that were by now.
    pub fn times(&self, names: &[String], is: impl Fn(&Seen) -> Option<Instant>) -> Vec<Instant> {
        let seen = self.seen.lock().unwrap();
        names.iter().filter_map(|name| is(seen.get(name)?)).collect()
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn note(seen: &mut HashMap<String, Seen>, event: &Event<User>) {
    let (user, gone) = match event {
        Event::Apply(user) | Event::InitApply(user) => (user, false),
        Event::Delete(user) => (user, true),
        Event::Init | Event::InitDone => return,
    };
    let now = Instant::now();
    let entry = seen
        .entry(user.metadata.name.clone().unwrap_or_default())
        .or_default();
    if gone {
        entry.gone.get_or_insert(now);
    }
    match user.is_ready() {
        true => _ = entry.ready.get_or_insert(now),
        false => entry.ready = None,
    }
    let before = entry.rotation.as_ref().map(|(value, _)| value.as_str());
    if let Some(value) = user.rotation().filter(|value| Some(*value) != before) {
        entry.rotation = Some((value.to_owned(), now));
    }
    if user.was_changed_by_age() {
        entry.aged.get_or_insert(now);
    }
}

/// Names of users: `user-00000`, `user-00001`, …
pub fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number:05}")).collect()
}
