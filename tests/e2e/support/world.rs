//! One test's world.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::{Event, Namespace, Secret};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, GetParams, ListParams, Patch, PatchParams, PostParams},
    core::Request,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{
    Environment, Operator, Options, Outcome, PATIENCE, Postgres, Provider, Vendor,
    audit::{AuditEvent, AuditLog, Mark},
    eventually, manifests, raw,
    rbac::Rights,
    servers::tail,
};

/// How much of each log a failed test shows.
const TAIL: usize = 30;

/// Our kinds, users first, as they are to be cleaned up.
const KINDS: [&str; 2] = ["PostgresUser", "PostgresServer"];

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Namespaces and a PostgreSQL of one test's own, and what the test starts besides.
pub struct World {
    environment: Arc<Environment>,
    dir: PathBuf,
    namespace: String,
    operator_namespace: String,
    provider: Provider,
    postgres: Arc<Postgres>,
    rights: Mutex<BTreeMap<String, Arc<Rights>>>,
    operators: AtomicUsize,
}

/// A condition of an object's status.
#[derive(Debug, Clone)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

impl World {
    /// Makes a world, with its namespaces and its PostgreSQL running.
    pub async fn new(environment: &Arc<Environment>, test: &str, provider: Provider) -> Outcome<World> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("t{number}-{}-{}", std::process::id(), short(test));
        let dir = environment.dir().join(format!("t{number}-{}", short(test)));
        std::fs::create_dir(&dir)?;
        std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        let world = World {
            provider,
            postgres: Arc::new(Postgres::start(&dir.join("pg")).await?),
            environment: environment.clone(),
            operator_namespace: format!("{namespace}-operator"),
            namespace,
            dir,
            rights: Mutex::default(),
            operators: AtomicUsize::new(0),
        };
        world.create_namespace(&world.namespace).await?;
        world.create_namespace(&world.operator_namespace).await?;
        Ok(world)
    }

    // -------------------------------------------------------------------------------------------- what there is

    /// The cluster's administrator.
    pub fn client(&self) -> &Client {
        self.environment.control_plane().client()
    }

    /// What it has in common with other tests' worlds.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// A kubeconfig of the cluster's administrator.
    pub fn kubeconfig(&self) -> &Path {
        self.environment.control_plane().kubeconfig()
    }

    /// The namespace of the test's objects.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The namespace of the operator: its ServiceAccount and its journals.
    pub fn operator_namespace(&self) -> &str {
        &self.operator_namespace
    }

    /// The folder of the test's files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the test is run on.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The database.
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// The database, for who does not borrow the world.
    pub fn shared_postgres(&self) -> Arc<Postgres> {
        self.postgres.clone()
    }

    // ------------------------------------------------------------------------------------------ what is started

    /// Starts the remote side of the world's provider on its PostgreSQL, with switches of the simulator.
    pub async fn start_vendor(&self, switches: &[&str]) -> Outcome<Vendor> {
        self.start_vendor_of(self.provider, switches).await
    }

    /// The same of any provider.
    pub async fn start_vendor_of(&self, provider: Provider, switches: &[&str]) -> Outcome<Vendor> {
        Vendor::start(provider, &self.dir, &self.postgres, switches).await
    }

    /// Starts an operator for the world's namespace and waits until it is ready.
    pub async fn start_operator(&self, options: Options) -> Outcome<Operator> {
        let mut operator = self.operator(options).await?;
        operator.start()?;
        operator.ready().await?;
        Ok(operator)
    }

    /// An operator for the world's namespace, not started. Those of one world are replicas of one Deployment.
    pub async fn operator(&self, options: Options) -> Outcome<Operator> {
        self.operator_in(&self.operator_namespace, options).await
    }

    /// The same in another namespace than the world's operator has.
    pub async fn operator_in(&self, namespace: &str, options: Options) -> Outcome<Operator> {
        let rights = self.rights_in(namespace).await?;
        let name = format!("operator-{}", self.operators.fetch_add(1, Ordering::Relaxed));
        let kubeconfig = self.dir.join(format!("{name}.kubeconfig"));
        let admin = self.environment.control_plane().kubeconfig();
        std::fs::write(&kubeconfig, rights.kubeconfig(self.client(), admin).await?)?;
        let defaults = [
            ("--watch-namespaces", self.namespace.as_str()),
            ("--journal-namespace", namespace),
            ("--extra-ca", &self.postgres.ca_file().to_string_lossy()),
        ];
        let options = defaults
            .into_iter()
            .fold(options, |options, (flag, value)| options.unless_set(flag, value))
            .env("POD_NAMESPACE", namespace)
            .env("POD_NAME", &name);
        Operator::new(&self.dir, &name, kubeconfig, rights.user(), options)
    }

    async fn rights_in(&self, namespace: &str) -> Outcome<Arc<Rights>> {
        let mut all = self.rights.lock().await;
        if let Some(rights) = all.get(namespace) {
            return Ok(rights.clone());
        }
        let rights = Arc::new(Rights::shipped(namespace)?);
        rights.grant(self.client()).await?;
        all.insert(namespace.to_owned(), rights.clone());
        Ok(rights)
    }

    /// Lets the world's operator restart workloads, as an administrator may.
    pub async fn grant_restarts(&self) -> Outcome {
        let rights = Rights::to_restart(&self.operator_namespace)?;
        rights.grant(self.client()).await?;
        let name = format!("{} restarts", self.operator_namespace);
        self.rights.lock().await.insert(name, Arc::new(rights));
        Ok(())
    }

    // -------------------------------------------------------------------------------------------------- objects

    /// Makes another namespace; it is removed with the world if its name starts with [`World::namespace`].
    pub async fn create_namespace(&self, name: &str) -> Outcome {
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        let namespaces: Api<Namespace> = Api::all(self.client().clone());
        namespaces.create(&PostParams::default(), &namespace).await?;
        Ok(())
    }

    /// Applies YAML documents, in the world's namespace where they name none.
    pub async fn apply(&self, yaml: &str) -> Outcome {
        self.apply_in(&self.namespace, yaml).await
    }

    /// The same in another namespace.
    pub async fn apply_in(&self, namespace: &str, yaml: &str) -> Outcome {
        for object in manifests::parse(yaml)? {
            manifests::apply(self.client(), namespace, object).await?;
        }
        Ok(())
    }

    /// The objects of a kind in the world's namespace: `PostgresUser`, or with its version, `v1/Secret`.
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        manifests::kind_api(self.client(), &self.namespace, kind)
    }

    /// The objects of a kind in another namespace.
    pub fn api_in(&self, namespace: &str, kind: &str) -> Api<DynamicObject> {
        manifests::kind_api(self.client(), namespace, kind)
    }

    /// An object, if it is there.
    pub async fn get(&self, kind: &str, name: &str) -> Outcome<Option<DynamicObject>> {
        let request = Request::new(self.api(kind).resource_url()).get(name, &GetParams::default())?;
        match raw::object(self.client(), request).await {
            Ok(object) => Ok(Some(serde_json::from_value(object)?)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Merges a change into an object: `{"metadata": {"annotations": …}}`.
    pub async fn merge(&self, kind: &str, name: &str, change: Value) -> Outcome {
        let (params, patch) = (PatchParams::default(), Patch::Merge(change));
        let request = Request::new(self.api(kind).resource_url()).patch(name, &params, &patch)?;
        raw::object(self.client(), request).await?;
        Ok(())
    }

    /// Merges a change into an object's status, as somebody with that right.
    pub async fn merge_status(&self, kind: &str, name: &str, change: Value) -> Outcome {
        let (params, patch) = (PatchParams::default(), Patch::Merge(change));
        let url = self.api(kind).resource_url().to_owned();
        let request = Request::new(url).patch_subresource("status", name, &params, &patch)?;
        raw::object(self.client(), request).await?;
        Ok(())
    }

    /// Orders an object's deletion, and does not wait for it.
    pub async fn delete(&self, kind: &str, name: &str) -> Outcome {
        let request = Request::new(self.api(kind).resource_url()).delete(name, &DeleteParams::default())?;
        raw::object(self.client(), request).await?;
        Ok(())
    }

    /// Waits until an object is no more.
    pub async fn gone(&self, kind: &str, name: &str, timeout: Duration) -> Outcome {
        eventually(
            &format!("the end of {kind} {name}"),
            timeout,
            async || match self.get(kind, name).await? {
                None => Ok(()),
                Some(object) => Err(format!("it is there, with {}", conditions_text(&object)).into()),
            },
        )
        .await
    }

    /// A condition of an object, if it has it for the generation that it has now.
    pub async fn condition(&self, kind: &str, name: &str, condition: &str) -> Outcome<Option<Condition>> {
        let object = self
            .get(kind, name)
            .await?
            .ok_or(format!("there is no {kind} {name}"))?;
        let observed = object.data["status"]["observedGeneration"].as_i64();
        if observed < object.metadata.generation {
            return Ok(None);
        }
        Ok(condition_of(&object, condition))
    }

    /// Waits until a user in another namespace is Ready or not, for a reason; gives the message.
    pub async fn user_in(&self, namespace: &str, name: &str, status: &str, reason: &str) -> Outcome<String> {
        let users = self.api_in(namespace, "PostgresUser");
        eventually(
            &format!("user {namespace}/{name} to be Ready={status} {reason}"),
            PATIENCE,
            async || match condition_of(&users.get(name).await?, "Ready") {
                Some(found) if found.status == status && found.reason == reason => Ok(found.message),
                found => Err(format!("{found:?}").into()),
            },
        )
        .await
    }

    /// Waits until a condition of an object has a status (`True`, `False`, `Unknown`), and returns it.
    pub async fn wait_for(
        &self,
        kind: &str,
        name: &str,
        condition: &str,
        status: &str,
    ) -> Outcome<Condition> {
        eventually(
            &format!("{kind} {name} to be {condition}={status}"),
            PATIENCE,
            async || match self.condition(kind, name, condition).await? {
                Some(found) if found.status == status => Ok(found),
                found => Err(format!("{found:?}").into()),
            },
        )
        .await
    }

    /// Waits until a user is Ready.
    pub async fn user_ready(&self, name: &str) -> Outcome<Condition> {
        self.wait_for("PostgresUser", name, "Ready", "True").await
    }

    /// Waits until a user has a reason not to be Ready.
    pub async fn user_not_ready(&self, name: &str, reason: &str) -> Outcome<Condition> {
        eventually(
            &format!("user {name} not to be ready: {reason}"),
            PATIENCE,
            async || match self.condition("PostgresUser", name, "Ready").await? {
                Some(found) if found.status == "False" && found.reason == reason => Ok(found),
                found => Err(format!("{found:?}").into()),
            },
        )
        .await
    }

    /// The content of a Secret, if it is there.
    pub async fn secret(&self, name: &str) -> Outcome<Option<BTreeMap<String, String>>> {
        self.secret_in(&self.namespace, name).await
    }

    /// The content of a Secret in a namespace, if it is there.
    pub async fn secret_in(&self, namespace: &str, name: &str) -> Outcome<Option<BTreeMap<String, String>>> {
        let secrets: Api<Secret> = Api::namespaced(self.client().clone(), namespace);
        let request = Request::new(secrets.resource_url()).get(name, &GetParams::default())?;
        let secret: Secret = match raw::object(self.client(), request).await {
            Ok(secret) => serde_json::from_value(secret)?,
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let data = secret.data.unwrap_or_default();
        let texts = data
            .into_iter()
            .map(|(key, value)| Ok((key, String::from_utf8(value.0)?)));
        texts.collect::<Outcome<_>>().map(Some)
    }

    /// Logs in with what a Secret says, every part of it, and returns who that is.
    pub async fn login_with_secret(&self, name: &str) -> Outcome<String> {
        let secret = self
            .secret(name)
            .await?
            .ok_or(format!("there is no Secret {name}"))?;
        let key = |key: &str| secret.get(key).ok_or(format!("Secret {name} has no key {key}"));
        let (user, password) = (key("username")?, key("password")?);
        self.postgres
            .login(
                key("host")?,
                key("port")?.parse()?,
                user,
                password,
                key("database")?,
            )
            .await
    }

    /// Runs kubectl in the world's namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> Outcome<String> {
        let arguments = [&["--namespace", &self.namespace], arguments].concat();
        self.environment.control_plane().kubectl(&arguments).await
    }

    /// Runs a script as a person at a terminal would.
    pub async fn shell(&self, script: &str) -> Outcome<String> {
        self.environment.control_plane().shell(script).await
    }

    /// The Events in the world's namespace, as `TYPE REASON KIND/NAME: MESSAGE`.
    pub async fn events(&self) -> Outcome<Vec<String>> {
        let events: Api<Event> = Api::namespaced(self.client().clone(), &self.namespace);
        let events = events.list(&ListParams::default()).await?;
        Ok(events.items.into_iter().map(|event| event_text(&event)).collect())
    }

    // ------------------------------------------------------------------------------------------- what was done

    /// Who did what.
    pub fn audit(&self) -> Outcome<&AuditLog> {
        let audit = self.environment.control_plane().audit();
        audit.ok_or_else(|| "no audit log: set PGUSER_TEST_AUDIT_LOG".into())
    }

    /// The end of the audit log, to count from.
    pub fn mark(&self) -> Outcome<Mark> {
        self.audit()?.mark()
    }

    /// What an operator has written to Kubernetes since, leases and events left out.
    pub fn writes_since(&self, mark: Mark, operator: &Operator) -> Outcome<Vec<AuditEvent>> {
        self.audit()?.writes_since(mark, operator.user())
    }

    /// Where any of these secrets shows, though it must not: in a log, an Event, or an object's status.
    pub async fn leaks(&self, secrets: &[&str]) -> Outcome<Vec<String>> {
        let mut places = self.logs("operator-")?;
        places.push(("the events".to_owned(), self.events().await?.join("\n")));
        for kind in KINDS {
            let objects = self.api(kind).list(&ListParams::default()).await?;
            places.push((format!("a {kind}"), serde_json::to_string(&objects.items)?));
        }
        let leaks = places.iter().flat_map(|(place, text)| {
            let found = secrets.iter().filter(|secret| text.contains(**secret));
            found.map(move |secret| format!("{place} shows {}…", secret.chars().take(4).collect::<String>()))
        });
        Ok(leaks.collect())
    }

    fn logs(&self, prefix: &str) -> Outcome<Vec<(String, String)>> {
        let mut logs = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with(prefix) && name.ends_with(".log") {
                logs.push((name, String::from_utf8_lossy(&std::fs::read(&path)?).into_owned()));
            }
        }
        logs.sort();
        Ok(logs)
    }

    // ------------------------------------------------------------------------------------------------- the end

    /// Removes what the test has made, without waiting for it.
    pub async fn clean_up(&mut self) {
        self.postgres.stop().await;
        for rights in self.rights.lock().await.values() {
            rights.revoke(self.client()).await;
        }
        self.release(&self.namespace, "ClusterPostgresServer").await;
        let servers = self.api("ClusterPostgresServer");
        let _ = servers.delete(&self.namespace, &DeleteParams::default()).await;
        let namespaces: Api<Namespace> = Api::all(self.client().clone());
        let all = namespaces
            .list_metadata(&ListParams::default())
            .await
            .map(|list| list.items);
        for namespace in all.unwrap_or_default().iter().map(kube::ResourceExt::name_any) {
            if namespace.starts_with(&self.namespace) {
                for kind in KINDS.into_iter().chain(["v1/Secret"]) {
                    self.release(&namespace, kind).await;
                }
                let _ = namespaces.delete(&namespace, &DeleteParams::default()).await;
            }
        }
        if std::env::var_os("PGUSER_TEST_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }

    /// Takes the finalizers off our objects: the operator that would do so is gone by now.
    async fn release(&self, namespace: &str, kind: &str) {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let api = manifests::kind_api(self.client(), namespace, kind);
        let objects = api.list(&ListParams::default()).await.map(|list| list.items);
        for object in objects.unwrap_or_default() {
            let is_ours = object.metadata.namespace.is_some() || object.name_any() == self.namespace;
            if is_ours && !object.finalizers().is_empty() {
                let _ = api
                    .patch(&object.name_any(), &PatchParams::default(), &patch)
                    .await;
            }
        }
    }

    /// Says what a failed test leaves to look at.
    pub async fn report(&self) {
        let mut text = format!("---- {}: files are in {}\n", self.namespace, self.dir.display());
        for kind in KINDS {
            let objects = self
                .api(kind)
                .list(&ListParams::default())
                .await
                .map(|list| list.items);
            for object in objects.unwrap_or_default() {
                text += &format!("{kind} {}: {}\n", object.name_any(), conditions_text(&object));
            }
        }
        for event in self.events().await.unwrap_or_default() {
            text += &format!("Event {event}\n");
        }
        for prefix in ["operator-", "simulator"] {
            for (name, log) in self.logs(prefix).unwrap_or_default() {
                text += &format!("---- {name} closes with:\n{}\n", tail(&log, TAIL));
            }
        }
        eprintln!("{text}----");
    }
}

/// A test's name, as far as it fits into that of a namespace.
fn short(test: &str) -> String {
    let name: String = test.replace('_', "-").chars().take(32).collect();
    name.trim_end_matches('-').to_owned()
}

fn condition_of(object: &DynamicObject, name: &str) -> Option<Condition> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == name)?;
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    Some(Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
    })
}

fn conditions_text(object: &DynamicObject) -> String {
    let conditions = object.data["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let texts = conditions.iter().map(|condition| {
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        format!(
            "{}={} {}: {}",
            text("type"),
            text("status"),
            text("reason"),
            text("message")
        )
    });
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() {
        "no conditions".to_owned()
    } else {
        texts.join("; ")
    }
}

fn event_text(event: &Event) -> String {
    let about = &event.involved_object;
    format!(
        "{} {} {}/{}: {}",
        event.type_.as_deref().unwrap_or_default(),
        event.reason.as_deref().unwrap_or_default(),
        about.kind.as_deref().unwrap_or_default(),
        about.name.as_deref().unwrap_or_default(),
        event.message.as_deref().unwrap_or_default(),
    )
}
