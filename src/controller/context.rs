//! What all controllers share.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use tokio::sync::mpsc::UnboundedSender;

use super::at_rest::{self, UserAtRest};
use super::claims::Claims;
use super::config_maps::ConfigMaps;
use super::listing::Listing;
use super::objects::Objects;
use super::overlaps::Overlaps;
use super::passing::Passing;
use super::refusals::Refusals;
use super::restarts::Restarts;
use super::retained::RetainedLogins;
use super::secrets::{SecretIndex, is_older};
use super::server::task::bucket::Buckets;
use super::server::task::{RetryPolicy, ServerTask, Triggers};
use super::uids::Uids;
use super::unread::UnreadObjects;
use crate::api::{ClusterPostgresServer, PostgresServer, PostgresUser};
use crate::domain::claims::{Contended, Contender};
use crate::domain::identity::{ExclusionKey, RemoteIdentity};
use crate::domain::mac::{MacKey, Subject};
use crate::domain::password::Password;
use crate::domain::plan::Rival;
use crate::domain::timings::ProtocolTimings;
use crate::fatal::Fatal;
use crate::metrics::Metrics;
use crate::objects::{Selector, ServerKey, ServerObject, UserRef, placement};
use crate::provider::http::HttpSettings;
use crate::provider::login::LoginSettings;
use crate::provider::memory::Memory;
use crate::provider::postgresql::SqlSettings;

/// How long one request to the Kubernetes API may take.
pub const API_TIMEOUT: Duration = Duration::from_secs(30);

/// What the administrator has set.
#[derive(Debug, Clone)]
pub struct Options {
    /// The namespaces whose objects are looked after; empty: all.
    pub namespaces: Vec<String>,
    /// Whether ClusterPostgresServers are looked after.
    pub cluster_servers: bool,
    /// Which server objects are looked after.
    pub selector: Selector,
    /// Where journals and the operator's other objects are.
    pub journal_namespace: String,
    /// Where the credentials of ClusterPostgresServers are.
    pub cluster_resource_namespace: String,
    /// The floor of `spec.refreshInterval`.
    pub min_refresh_interval: Duration,
    /// The floor of `spec.rotation.interval`.
    pub min_rotation_interval: Duration,
    /// Whether published credentials are tried by a login.
    pub verify_logins: bool,
    /// How many bytes the users of all servers may take in memory.
    pub list_memory: usize,
    /// The most requests in a minute with the same credentials, whatever server objects say.
    pub requests_per_minute_per_credentials: Option<u32>,
    /// Servers of the provider postgresql may be spoken to without TLS.
    pub allow_insecure_postgresql: bool,
    /// This process.
    pub holder: String,
}

/// Who is told to look at something again.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// By namespace, or, where all namespaces are watched, under the empty name.
    pub users: HashMap<String, UnboundedSender<ObjectRef<PostgresUser>>>,
    /// Likewise.
    pub servers: HashMap<String, UnboundedSender<ObjectRef<PostgresServer>>>,
    /// For ClusterPostgresServers, if they are looked after.
    pub cluster_servers: Option<UnboundedSender<ObjectRef<ClusterPostgresServer>>>,
}

fn of_namespace<'a, T>(all: &'a HashMap<String, T>, namespace: &str) -> Option<&'a T> {
    all.get(namespace).or_else(|| all.get(""))
}

/// What is watched, as last seen.
#[derive(Clone, Default)]
pub struct Stores {
    /// One store for each watched namespace, or one for all.
    pub users: Vec<Store<UserAtRest>>,
    /// Likewise.
    pub servers: Vec<Store<PostgresServer>>,
    /// If they are looked after.
    pub cluster_servers: Option<Store<ClusterPostgresServer>>,
    /// Of the namespaces only metadata is kept; none where they may not be watched.
    pub namespaces: Option<Store<PartialObjectMeta<Namespace>>>,
}

/// What all controllers share.
pub struct Context {
    /// The Kubernetes API.
    pub client: Client,
    /// The same without retries, for the journal (R1).
    pub journal_client: Client,
    /// What the administrator has set.
    pub options: Options,
    /// The times of the rules.
    pub timings: ProtocolTimings,
    /// How servers are paced.
    pub retries: RetryPolicy,
    /// How HTTP is spoken.
    pub http: HttpSettings,
    /// How SQL is spoken.
    pub sql: SqlSettings,
    /// How logins are tried.
    pub login: LoginSettings,
    /// Which installation this is.
    pub installation: String,
    /// The key of the MACs in status.
    pub mac_key: MacKey,
    /// What is watched.
    pub stores: Stores,
    /// What has been listed of it.
    pub listing: Arc<Listing>,
    /// How often the watches have told of an object of ours.
    pub changes: AtomicU64,
    /// What of all this could not be read as a whole.
    pub unread: UnreadObjects,
    /// Which PostgresUser has which UID.
    pub uids: Uids,
    /// Secrets, by metadata.
    pub secrets: SecretIndex,
    /// The ConfigMaps in which server objects have authorities.
    pub config_maps: ConfigMaps,
    /// Who has which remote user.
    pub claims: Claims,
    /// Remote users that were left behind.
    pub retained: RetainedLogins,
    /// The rate limits.
    pub buckets: Buckets,
    /// What is kept in memory of the users of all servers.
    pub lists: Memory,
    /// The servers at work.
    pub servers: Mutex<HashMap<ServerKey, Arc<ServerTask>>>,
    /// The newest of our own writes of each PostgresUser, until the watch has caught up.
    pub written: Mutex<HashMap<String, PostgresUser>>,
    /// The PostgresUsers and server objects that were let go, by UID, until the watch has told of their end.
    pub let_go: Mutex<HashSet<String>>,
    /// The server objects that turned out to be another operator's before the watch has told, by UID, and in which version; none
    /// if they are no more.
    pub left: Mutex<HashMap<String, Option<String>>>,
    /// How long PostgresUsers have been in states that pass.
    pub passing: Passing,
    /// When overlaps of two logins end.
    pub overlaps: Overlaps,
    /// What was refused of PostgresUsers' last steps.
    pub refusals: Refusals,
    /// What is known of restarts of workloads.
    pub restarts: Restarts,
    /// Who is told to look again.
    pub dispatch: Dispatch,
    /// Events.
    pub recorder: Recorder,
    /// Who publishes them.
    pub reporter: Reporter,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Ends the process.
    pub fatal: Fatal,
}

impl Context {
    /// The PostgresUsers of a namespace.
    pub fn users(&self, namespace: &str) -> Objects<PostgresUser> {
        Objects::of(self.client.clone(), namespace).noting(&self.unread)
    }

    /// The same, by metadata.
    pub fn users_by_metadata(&self, namespace: &str) -> Objects<PartialObjectMeta<PostgresUser>> {
        Objects::of(self.client.clone(), namespace)
    }

    /// The Secrets of a namespace.
    pub fn secrets_of(&self, namespace: &str) -> Objects<Secret> {
        Objects::of(self.client.clone(), namespace)
    }

    /// The MAC of a password of this PostgresUser: in the form in which its status has it, if it has.
    pub fn password_mac(&self, user: &PostgresUser, password: &Password) -> String {
        let status = user.status.as_ref();
        let published = status.and_then(|status| status.secret.as_ref());
        let rejected = status.and_then(|status| status.rejected_password.as_ref());
        let known = published.map(|it| it.password_mac.as_str());
        let known = known.into_iter().chain(rejected.map(|it| it.wish.as_str()));
        let uid = user.metadata.uid.as_deref().unwrap_or_default();
        self.mac_key.mac_like(known, Subject::password_of(uid), password)
    }

    /// Whether a MAC is of this password of this PostgresUser; none if nothing can be said.
    pub fn is_password(&self, user: &PostgresUser, mac: &str, password: &Password) -> Option<bool> {
        let uid = user.metadata.uid.as_deref().unwrap_or_default();
        self.mac_key.verify(mac, Subject::password_of(uid), password)
    }

    /// A recorder of Events that remembers nothing of those before.
    pub fn recorder_for_once(&self) -> Recorder {
        Recorder::new(self.client.clone(), self.reporter.clone())
    }

    /// The UIDs of what was let go.
    pub fn let_go(&self) -> MutexGuard<'_, HashSet<String>> {
        self.let_go.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server objects that turned out to be another operator's.
    pub fn left(&self) -> MutexGuard<'_, HashMap<String, Option<String>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server at work.
    pub fn server(&self, key: &ServerKey) -> Option<Arc<ServerTask>> {
        self.servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Stops working on all servers, and waits for the calls that are under way.
    pub async fn stop_servers(&self) {
        let servers: Vec<_> = {
            let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            servers.values().cloned().collect()
        };
        for server in &servers {
            server.stop();
        }
        futures::future::join_all(servers.iter().map(|server| server.ended())).await;
    }

    /// Notes that a watch has told of an object of ours.
    pub fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was noted.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// All PostgresUsers, as last seen.
    pub fn users_at_rest(&self) -> impl Iterator<Item = Arc<UserAtRest>> {
        self.stores.users.iter().flat_map(Store::state)
    }

    /// A PostgresUser, as last seen.
    pub fn user_at_rest(&self, reference: &UserRef) -> Option<Arc<UserAtRest>> {
        let reference = at_rest::named(reference);
        self.stores.users.iter().find_map(|store| store.get(&reference))
    }

    /// Forgets what was written of PostgresUsers that the watch has since caught up with, or that are gone.
    pub fn forget_old_writes(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|_, ours| {
            let seen = self.user_at_rest(&UserRef::from_obj(ours));
            let ours = ours.resource_version().unwrap_or_default();
            seen.is_some_and(|seen| is_older(&seen.resource_version().unwrap_or_default(), &ours))
        });
        // What a burst took is not kept for the next.
        written.shrink_to_fit();
    }

    /// All PostgresUsers that refer to a server, or whose login was made by it and has not moved yet.
    pub fn users_of(&self, key: &ServerKey) -> impl Iterator<Item = PostgresUser> {
        let near = self.users_at_rest().filter(|user| user.may_concern(key));
        near.map(|user| user.wake())
            .filter(|user| placement::concerns(user, key))
    }

    /// A living PostgresUser by its UID.
    pub fn user_of_uid(&self, uid: &str) -> Option<Arc<UserAtRest>> {
        let user = self.user_at_rest(&self.uids.of(uid)?)?;
        (user.uid() == Some(uid)).then_some(user)
    }

    /// All PostgresUsers that a server object has to stay for: they have a login there, or a right to one. Naming it is
    /// not enough, since anybody can.
    pub fn users_that_need(&self, key: &ServerKey) -> impl Iterator<Item = PostgresUser> {
        let needs = |user: &PostgresUser| {
            user.record().is_some() || self.claims.counts(&user.uid().unwrap_or_default())
        };
        self.users_of(key).filter(needs)
    }

    /// What the journal of a server at work holds an entry of for this PostgresUser.
    pub fn staged_for(&self, uid: &str) -> Option<ExclusionKey> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.values().find_map(|server| {
            let (entry, _) = server.journal.entry_of(uid)?;
            Some(ExclusionKey {
                identity: server.identity.clone(),
                username: entry.username.clone(),
            })
        })
    }

    /// Notes what a PostgresUser wants or has, has those looked at in whose way it does not stand any more, and tells who has
    /// a better right.
    pub fn contend(&self, key: ExclusionKey, me: Contender) -> Option<Rival> {
        self.contend_for(&Contended::one(key, me.right), me, None)
    }

    /// The same of all logins that a PostgresUser has or wants; who has a better right to `only` one of them, or to any.
    pub fn contend_for(&self, what: &Contended, me: Contender, only: Option<&str>) -> Option<Rival> {
        let standing = self.claims.contend(what, &me, only);
        for freed in standing.freed {
            self.dispatch.user(freed);
        }
        standing.rival
    }

    /// The UIDs of all living PostgresUsers.
    pub fn uids_of_users(&self) -> HashSet<String> {
        let all = self.users_at_rest();
        all.filter_map(|user| user.uid().map(str::to_string)).collect()
    }

    /// All server objects, as last seen.
    pub fn server_objects(&self) -> Vec<ServerObject> {
        let namespaced = self.stores.servers.iter().flat_map(Store::state);
        let cluster = self.stores.cluster_servers.iter().flat_map(Store::state);
        let namespaced = namespaced.map(ServerObject::Namespaced);
        namespaced.chain(cluster.map(ServerObject::Cluster)).collect()
    }

    /// A server object, as last seen.
    pub fn server_object(&self, key: &ServerKey) -> Option<ServerObject> {
        match &key.namespace {
            Some(namespace) => {
                let reference = ObjectRef::new(&key.name).within(namespace);
                let mut stores = self.stores.servers.iter();
                stores
                    .find_map(|store| store.get(&reference))
                    .map(ServerObject::Namespaced)
            }
            None => {
                let store = self.stores.cluster_servers.as_ref()?;
                store.get(&ObjectRef::new(&key.name)).map(ServerObject::Cluster)
            }
        }
    }

    /// Whether PostgresUsers of a namespace may use a server object.
    pub fn admits(&self, object: &ServerObject, namespace: &str) -> bool {
        let known = self.namespace(namespace);
        object.admits(namespace, known.as_ref().map(|known| known.labels()))
    }

    /// The namespace that a server object's Secrets are read from.
    pub fn secrets_namespace(&self, object: &ServerObject) -> String {
        object.secrets_namespace(&self.options.cluster_resource_namespace)
    }

    /// The namespace and name of a server object's credentials Secret.
    pub fn credentials(&self, object: &ServerObject) -> Option<(String, String)> {
        let name = object.provider()?.credentials().name.clone();
        Some((self.secrets_namespace(object), name))
    }

    /// The labels of a namespace, if it is known and not being deleted.
    pub fn namespace(&self, name: &str) -> Option<Arc<PartialObjectMeta<Namespace>>> {
        self.stores.namespaces.as_ref()?.get(&ObjectRef::new(name))
    }
}

/// Tells controllers to look again, without keeping the context alive.
pub struct Notifier {
    /// Who is told.
    pub dispatch: Dispatch,
    /// Who has which remote user.
    pub claims: std::sync::Weak<Context>,
}

impl Dispatch {
    /// Look at this PostgresUser again.
    pub fn user(&self, user: UserRef) {
        let namespace = user.namespace.clone().unwrap_or_default();
        if let Some(sender) = of_namespace(&self.users, &namespace) {
            let _ = sender.send(user);
        }
    }

    /// Look at this server again.
    pub fn server(&self, key: &ServerKey) {
        match &key.namespace {
            Some(namespace) => {
                if let Some(sender) = of_namespace(&self.servers, namespace) {
                    let _ = sender.send(ObjectRef::new(&key.name).within(namespace));
                }
            }
            None => {
                if let Some(sender) = &self.cluster_servers {
                    let _ = sender.send(ObjectRef::new(&key.name));
                }
            }
        }
    }
}

impl Triggers for Notifier {
    fn user(&self, user: UserRef) {
        self.dispatch.user(user);
    }

    fn remote_changed(&self, identity: &RemoteIdentity, username: &str) {
        let Some(context) = self.claims.upgrade() else {
            return;
        };
        for user in context.claims.of(identity, username) {
            self.dispatch.user(user);
        }
    }

    fn server(&self, key: &ServerKey) {
        self.dispatch.server(key);
    }
}
