//! The controllers at work: watches, stores, triggers.
//!
//! Each watched namespace has watches and controllers of its own, all sharing one context; watching all
//! namespaces is one such scope with an empty name.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store, store::Writer};
use kube::runtime::{WatchStreamExt, predicates, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::at_rest::{self, AtRest, UserAtRest};
use super::backoff::Backoff;
use super::ca_watch;
use super::census;
use super::context::{Context, Dispatch, Options, Stores};
use super::error::Error;
use super::listing::{self, Listing};
use super::news::News;
use super::server::reconcile;
use super::set_clock;
use super::shard;
use super::user;
use super::watch::{PER_PAGE, watch};
use crate::api::{ClusterPostgresServer, Lean, PostgresServer, ServerKind};
use crate::objects::ServerObject;

/// How many objects of a kind are worked on at once: the servers' own tasks pace what is remote.
const CONCURRENCY: u16 = 64;

const USERS: &str = "PostgresUser";
const SERVERS: &str = "PostgresServer";
const CLUSTER_SERVERS: &str = "ClusterPostgresServer";
const SECRETS: &str = "Secret";
const NAMESPACES: &str = "Namespace";

type Reconciliation = Pin<Box<dyn Future<Output = Result<Action, Error>> + Send>>;
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The channels and watches, before there is a context.
pub struct Watches {
    /// Who is told to look again.
    pub dispatch: Dispatch,
    /// What is watched.
    pub stores: Stores,
    /// What of that has been listed.
    pub listing: Arc<Listing>,
    users: Vec<Scope<UserAtRest>>,
    servers: Vec<Scope<PostgresServer>>,
    cluster_servers: Option<Scope<ClusterPostgresServer>>,
    namespaces: Option<Writer<PartialObjectMeta<Namespace>>>,
}

/// One watched namespace of one kind.
struct Scope<K: AtRest> {
    name: listing::Scope,
    api: Api<Lean<K::Awake>>,
    writer: Writer<K>,
    store: Store<K>,
    triggers: mpsc::UnboundedReceiver<ObjectRef<K::Awake>>,
}

type Trigger<K> = mpsc::UnboundedSender<ObjectRef<<K as AtRest>::Awake>>;

fn scope<K: AtRest>(name: listing::Scope, api: Api<Lean<K::Awake>>) -> (Scope<K>, Trigger<K>, Store<K>) {
    let (store, writer) = reflector::store();
    let (sender, triggers) = mpsc::unbounded_channel();
    (
        Scope {
            name,
            api,
            writer,
            store: store.clone(),
            triggers,
        },
        sender,
        store,
    )
}

fn expect(listing: &Listing, kind: &'static str, namespace: &str) -> listing::Scope {
    let scope = listing::Scope::new(kind, namespace);
    listing.expect(scope.clone());
    scope
}

/// The names under which scopes are kept: the watched namespaces, or one empty name for all.
fn scope_names(options: &Options) -> Vec<String> {
    match options.namespaces.is_empty() {
        true => vec![String::new()],
        false => options.namespaces.clone(),
    }
}

fn api_of<K>(client: &Client, namespace: &str) -> Api<Lean<K>>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match namespace.is_empty() {
        true => Api::all(client.clone()),
        false => Api::namespaced(client.clone(), namespace),
    }
}

impl Watches {
    /// Lays the wires for what the administrator wants watched.
    pub fn new(client: &Client, options: &Options, listing: Arc<Listing>) -> Self {
        let mut dispatch = Dispatch {
            users: HashMap::new(),
            servers: HashMap::new(),
            cluster_servers: None,
        };
        let mut stores = Stores::default();
        let (mut users, mut servers) = (Vec::new(), Vec::new());
        for name in scope_names(options) {
            let of_users = expect(&listing, USERS, &name);
            let (scope_of_users, sender, store) = scope(of_users, api_of(client, &name));
            users.push(scope_of_users);
            dispatch.users.insert(name.clone(), sender);
            stores.users.push(store);
            let of_servers = expect(&listing, SERVERS, &name);
            let (scope_of_servers, sender, store) = scope(of_servers, api_of(client, &name));
            servers.push(scope_of_servers);
            dispatch.servers.insert(name, sender);
            stores.servers.push(store);
        }
        let (mut cluster_servers, mut namespaces) = (None, None);
        if options.cluster_servers {
            let name = expect(&listing, CLUSTER_SERVERS, "");
            let (scope, sender, store) = scope(name, Api::all(client.clone()));
            cluster_servers = Some(scope);
            dispatch.cluster_servers = Some(sender);
            stores.cluster_servers = Some(store);
            let (store, writer) = reflector::store();
            stores.namespaces = Some(store);
            namespaces = Some(writer);
            expect(&listing, NAMESPACES, "");
        }
        for name in secret_scopes(options) {
            expect(&listing, SECRETS, &name);
        }
        Self {
            dispatch,
            stores,
            listing,
            users,
            servers,
            cluster_servers,
            namespaces,
        }
    }

    /// Runs the controllers until they are told to stop; then lets what is under way finish.
    pub async fn run(self, context: Arc<Context>, stop: CancellationToken) {
        let ready = Arc::new(Ready::default());
        let mut tasks: Vec<Task> = Vec::new();
        for scope in self.users {
            let reconcile = gate(&ready, |user: Arc<UserAtRest>, context| {
                user::reconcile(user.wake(), context)
            });
            tasks.push(Box::pin(controller(
                scope,
                reconcile,
                user::seen,
                context.clone(),
                stop.clone(),
            )));
        }
        for scope in self.servers {
            let reconcile = gate(&ready, |server, context| {
                reconcile::reconcile(ServerObject::Namespaced(server), context)
            });
            tasks.push(Box::pin(controller(
                scope,
                reconcile,
                reconcile::seen,
                context.clone(),
                stop.clone(),
            )));
        }
        if let Some(scope) = self.cluster_servers {
            let reconcile = gate(&ready, |server, context| {
                reconcile::reconcile(ServerObject::Cluster(server), context)
            });
            tasks.push(Box::pin(controller(
                scope,
                reconcile,
                reconcile::seen,
                context.clone(),
                stop.clone(),
            )));
        }
        if let Some(writer) = self.namespaces {
            tasks.push(Box::pin(watch_namespaces(writer, context.clone(), stop.clone())));
        }
        tasks.push(Box::pin(watch_secrets(context.clone(), stop.clone())));
        tasks.push(Box::pin(ca_watch::watch(
            context.clone(),
            secret_scopes(&context.options),
            stop.clone(),
        )));
        tasks.push(Box::pin(count(context.clone(), stop.clone(), ready.clone())));
        tasks.push(Box::pin(watch_clock(context.clone(), stop.clone())));
        tasks.push(Box::pin(become_ready(context.clone(), stop, ready)));
        futures::future::join_all(tasks).await;
    }
}

/// Opened once everything has been listed, or tried in vain: before that, nothing is known of who owns what.
#[derive(Default)]
struct Ready {
    open: tokio::sync::watch::Sender<bool>,
}

impl Ready {
    async fn wait(&self) {
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

/// Holds reconciliations back until everything has been listed that they rest on.
fn gate<K, Reconciled, Outcome>(
    ready: &Arc<Ready>,
    reconcile: Reconciled,
) -> impl FnMut(Arc<K>, Arc<Context>) -> Reconciliation + Send + use<K, Reconciled, Outcome>
where
    K: Resource + Send + Sync + 'static,
    Reconciled: Fn(Arc<K>, Arc<Context>) -> Outcome + Send + Sync + Clone + 'static,
    Outcome: Future<Output = Result<Action, Error>> + Send,
{
    let ready = ready.clone();
    move |object, context| {
        let (ready, reconcile) = (ready.clone(), reconcile.clone());
        Box::pin(async move {
            ready.wait().await;
            context.listing.knows(object.meta().namespace.as_deref()).await;
            reconcile(object, context).await
        })
    }
}

/// Waits until all is listed that can be, notes who has which remote user, and lets the reconciliations go.
async fn become_ready(context: Arc<Context>, stop: CancellationToken, ready: Arc<Ready>) {
    tokio::select! {
        () = context.listing.tried() => {}
        () = stop.cancelled() => return,
    }
    note_owners(&context);
    match context.listing.unknown() {
        missing if missing.is_empty() => tracing::info!("everything is listed; reconciling"),
        missing => tracing::warn!(?missing, "not everything can be listed; reconciling the rest"),
    }
    ready.open.send_replace(true);
}

/// Notes how a list went. What is listed later than the rest is made known before anybody is judged by it.
fn note_listing<K>(context: &Context, scope: &listing::Scope, event: &watcher::Result<watcher::Event<K>>) {
    match event {
        Ok(watcher::Event::InitDone) if context.listing.listed(scope) && scope.kind == USERS => {
            note_owners(context);
            if context.listing.is_complete() {
                look_at_all_again(context);
            }
        }
        Err(watcher::Error::InitialListFailed(error)) => {
            tracing::warn!(
                ?scope,
                error = super::api_error::api(error),
                "a list failed; it is tried again"
            );
            context.listing.failed(scope);
        }
        _ => {}
    }
}

/// What was put off until everything is known can go on.
fn look_at_all_again(context: &Context) {
    for user in context.users_at_rest() {
        context.dispatch.user(user.reference());
    }
}

/// What is due by the clock on the wall is looked at anew once that was set.
async fn watch_clock(context: Arc<Context>, stop: CancellationToken) {
    tokio::select! {
        () = set_clock::watch(|| look_at_all_again(&context)) => {}
        () = stop.cancelled() => {}
    }
}

/// Counts what there is, once all of it has been listed.
async fn count(context: Arc<Context>, stop: CancellationToken, ready: Arc<Ready>) {
    let count = async {
        ready.wait().await;
        census::keep(&context).await;
    };
    tokio::select! {
        () = count => {}
        () = stop.cancelled() => {}
    }
}

/// Who has which remote user has to be known before anybody is judged.
fn note_owners(context: &Context) {
    for user in context.users_at_rest() {
        shard::note_owner(context, &user.wake());
    }
}

/// How many Secrets are. Of one, metadata alone may have more than a MiB.
const SECRETS_PER_PAGE: u32 = 25;

async fn controller<K, Reconcile>(
    scope: Scope<K>,
    reconcile: Reconcile,
    seen: fn(&watcher::Event<K>, &Context),
    context: Arc<Context>,
    stop: CancellationToken,
) where
    K: AtRest,
    Reconcile: FnMut(Arc<K>, Arc<Context>) -> Reconciliation + Send,
{
    let (in_context, listed_in) = (context.clone(), context.clone());
    let name = scope.name;
    let (mut news, living) = (News::default(), scope.store.clone());
    let stream = watch(scope.api, &context.unread, PER_PAGE, None)
        .map_ok(at_rest::to_rest)
        .reflect(scope.writer)
        .inspect_ok(move |event| {
            in_context.note_change();
            seen(event, &in_context);
        })
        .inspect(move |event| note_listing(&listed_in, &name, event))
        .touched_objects()
        .try_filter(move |object| std::future::ready(news.is_new(object, &living)));
    let triggers = tokio_stream_of(scope.triggers).map(|reference| at_rest::named(&reference));
    let backoff = Arc::new(Backoff::default());
    let error_policy = {
        let backoff = backoff.clone();
        move |object: Arc<K>, error: &Error, _: Arc<Context>| backoff.after(object.meta(), error)
    };
    let mut reconcile = reconcile;
    Controller::for_stream(stream, scope.store)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .reconcile_on(triggers)
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(
            move |object, context| {
                let (backoff, key) = (backoff.clone(), uid(&*object));
                let reconciled = reconcile(object, context);
                async move {
                    let outcome = reconciled.await;
                    if outcome.is_ok() {
                        backoff.forget(&key);
                    }
                    outcome
                }
            },
            error_policy,
            context,
        )
        .for_each_concurrent(16, |result| async move {
            if let Err(error) = result {
                tracing::debug!(error = %short(&error), "controller");
            }
        })
        .await;
}

/// What may be logged of a controller's own error: never an object.
fn short<A: std::error::Error, B: std::error::Error>(
    error: &kube::runtime::controller::Error<A, B>,
) -> String {
    use kube::runtime::controller::Error as Failed;
    match error {
        Failed::ObjectNotFound(_) => "the object is gone".to_string(),
        Failed::ReconcilerFailed(error, _) => error.to_string(),
        Failed::QueueError(_) => "a watch failed; it is set up again".to_string(),
        Failed::RunnerError(_) => "the runner failed".to_string(),
    }
}

fn tokio_stream_of<T: Send + 'static>(
    mut receiver: mpsc::UnboundedReceiver<T>,
) -> impl Stream<Item = T> + Send {
    futures::stream::poll_fn(move |cx| receiver.poll_recv(cx))
}

fn uid<K: Resource>(object: &K) -> String {
    object.meta().uid.clone().unwrap_or_default()
}

/// The namespaces whose Secrets have to be known; one empty name for all.
fn secret_scopes(options: &Options) -> Vec<String> {
    let mut names = scope_names(options);
    let cluster = &options.cluster_resource_namespace;
    if options.cluster_servers && !names.iter().any(|name| name.is_empty() || name == cluster) {
        names.push(cluster.clone());
    }
    names
}

async fn watch_secrets(context: Arc<Context>, stop: CancellationToken) {
    let scopes = secret_scopes(&context.options).into_iter().enumerate();
    let watches = scopes.map(|(index, name)| {
        let context = context.clone();
        async move {
            let scope = listing::Scope::new(SECRETS, &name);
            let api: Api<Lean<PartialObjectMeta<Secret>>> = match name.is_empty() {
                true => Api::all(context.client.clone()),
                false => Api::namespaced(context.client.clone(), &name),
            };
            let events = watch(api, &context.unread, SECRETS_PER_PAGE, None);
            futures::pin_mut!(events);
            while let Some(event) = events.next().await {
                note_listing(&context, &scope, &event);
                let Ok(event) = event else { continue };
                let in_scope = |namespace: &str| name.is_empty() || namespace == name;
                tell(&context, context.secrets.apply(index, in_scope, event));
            }
        }
    });
    tokio::select! {
        _ = futures::future::join_all(watches) => {}
        () = stop.cancelled() => {}
    }
}

/// Tells those whose Secrets have changed.
fn tell(context: &Context, changed: super::secrets::Changed) {
    for user in changed.users {
        context.dispatch.user(user);
    }
    if changed.secrets.is_empty() {
        return;
    }
    for object in context.server_objects() {
        let read = [
            context.credentials(&object),
            reconcile::ca_secret(&object, context),
        ];
        if read.iter().flatten().any(|place| changed.secrets.contains(place)) {
            context.dispatch.server(&object.key());
        }
    }
}

/// A namespace's labels say which ClusterPostgresServers it may use.
async fn watch_namespaces(
    writer: Writer<PartialObjectMeta<Namespace>>,
    context: Arc<Context>,
    stop: CancellationToken,
) {
    let api: Api<Lean<PartialObjectMeta<Namespace>>> = Api::all(context.client.clone());
    let scope = listing::Scope::new(NAMESPACES, "");
    let listed_in = context.clone();
    let events = watch(api, &context.unread, PER_PAGE, None)
        .reflect(writer)
        .inspect(move |event| note_listing(&listed_in, &scope, event))
        .touched_objects()
        .predicate_filter(predicates::labels, Default::default());
    let events = events.for_each(|namespace| {
        let name = namespace
            .map(|namespace| namespace.name_any())
            .unwrap_or_default();
        let there = |user: &Arc<UserAtRest>| user.namespace().as_deref() == Some(&name);
        for user in context.users_at_rest().filter(there) {
            if user.wake().spec.server_ref.kind == ServerKind::ClusterPostgresServer {
                context.dispatch.user(user.reference());
            }
        }
        std::future::ready(())
    });
    tokio::select! {
        () = events => {}
        () = stop.cancelled() => {}
    }
}
