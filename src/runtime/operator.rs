//! One process of the operator, from start to end.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Config};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tower::limit::ConcurrencyLimitLayer;

use super::admin::{self, Health};
use super::installation;
use super::leader::{Candidate, LeaseSettings};
use super::pages::BoundedPages;
use crate::api::names;
use crate::controller::claims::Claims;
use crate::controller::config_maps::ConfigMaps;
use crate::controller::context::{Context, Options};
use crate::controller::listing::Listing;
use crate::controller::objects::Objects;
use crate::controller::overlaps::Overlaps;
use crate::controller::passing::Passing;
use crate::controller::refusals::Refusals;
use crate::controller::restarts::Restarts;
use crate::controller::retained::RetainedLogins;
use crate::controller::run::Watches;
use crate::controller::secrets::SecretIndex;
use crate::controller::server::task::RetryPolicy;
use crate::controller::server::task::bucket::Buckets;
use crate::controller::uids::Uids;
use crate::controller::unread::UnreadObjects;
use crate::domain::timings::ProtocolTimings;
use crate::fatal::Fatal;
use crate::metrics::Metrics;
use crate::provider::http::HttpSettings;
use crate::provider::login::LoginSettings;
use crate::provider::memory::Memory;
use crate::provider::postgresql::SqlSettings;

/// How long what is under way may take to finish when the process is asked to end.
const GRACE: Duration = Duration::from_secs(45);

/// How the operator is to run.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What the administrator has set.
    pub options: Options,
    /// The times of the rules.
    pub timings: ProtocolTimings,
    /// How servers are paced.
    pub retries: RetryPolicy,
    /// How HTTP is spoken.
    pub http: HttpSettings,
    /// How logins are tried.
    pub login: LoginSettings,
    /// How SQL is spoken.
    pub sql: SqlSettings,
    /// Where the probes are served.
    pub admin: SocketAddr,
    /// Whether to stand for election, and for which Lease.
    pub lease: Option<LeaseSettings>,
}

/// Why the operator ended.
#[derive(Debug, Error)]
pub enum Failure {
    /// The Kubernetes API is not configured or cannot be reached.
    #[error("connect to the Kubernetes API: {0}")]
    Kubernetes(String),
    /// The probes cannot be served.
    #[error("serve the probes: {0}")]
    Admin(#[from] std::io::Error),
    /// The Lease cannot be had.
    #[error("stand for election: {0}")]
    Election(String),
    /// Another process works now.
    #[error("this process must not go on: {0}")]
    Replaced(&'static str),
}

/// Runs until the process is asked to end.
///
/// # Errors
/// If it cannot start, or must not go on.
pub async fn run(setup: Setup) -> Result<(), Failure> {
    let stop = stop_on_signal()?;
    let metrics = Arc::new(Metrics::new());
    let listing = Arc::new(Listing::new(metrics.clone()));
    let health = Health::new(metrics.clone(), listing.clone());
    let probes = tokio::spawn(admin::serve(setup.admin, health.clone(), stop.clone()));
    let clients = clients().await?;
    let reached = async {
        while let Err(error) = clients.free.apiserver_version().await {
            tracing::warn!(
                error = crate::controller::api_error::api(&error),
                "waiting for the Kubernetes API"
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = reached => health.set_ready(),
        () = stop.cancelled() => return Ok(()),
    }
    let outcome = lead(setup, clients, metrics, listing, stop.clone()).await;
    stop.cancel();
    if let Ok(served) = probes.await {
        served?;
    }
    outcome
}

fn stop_on_signal() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to end; finishing what is under way");
        token.cancel();
    });
    Ok(stop)
}

/// How many requests to the Kubernetes API are under way at once, those of leadership and journals not counted. Each has a
/// connection of its own; with more of them an API server is no faster, and everybody waits longer for an answer.
const REQUESTS: usize = 20;

/// The clients of the Kubernetes API.
struct Clients {
    /// For leadership, which waits for nobody.
    free: Client,
    /// For all work.
    bounded: Client,
    /// For the journal, which must not retry by itself (R1).
    journal: Client,
}

async fn clients() -> Result<Clients, Failure> {
    let failure = |error: &dyn std::fmt::Display| Failure::Kubernetes(error.to_string());
    let mut config = Config::infer().await.map_err(|error| failure(&error))?;
    config.connect_timeout = Some(Duration::from_secs(10));
    let mut strict = config.clone();
    strict.default_retry = false;
    strict.read_timeout = Some(Duration::from_secs(15));
    let bounded = ClientBuilder::try_from(config.clone()).map_err(|error| failure(&error))?;
    Ok(Clients {
        free: Client::try_from(config).map_err(|error| failure(&error))?,
        bounded: bounded
            .with_layer(&ConcurrencyLimitLayer::new(REQUESTS))
            .with_layer(&BoundedPages::default())
            .build(),
        journal: Client::try_from(strict).map_err(|error| failure(&error))?,
    })
}

/// Stands for election, and works while elected.
async fn lead(
    setup: Setup,
    clients: Clients,
    metrics: Arc<Metrics>,
    listing: Arc<Listing>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let Some(lease) = setup.lease.clone() else {
        return work(setup, clients, metrics, listing, stop, std::future::pending()).await;
    };
    let namespace = setup.options.journal_namespace.clone();
    let standing = Candidate::stand(clients.free.clone(), &namespace, &setup.options.holder, &lease);
    let mut candidate = standing
        .await
        .map_err(|error| Failure::Election(crate::controller::api_error::api(&error)))?;
    tracing::info!("standing by");
    tokio::select! {
        elected = candidate.elected() => {
            if !elected {
                return Err(Failure::Election("the Lease is not renewed any more".to_string()));
            }
        }
        () = stop.cancelled() => {
            candidate.resign().await;
            return Ok(());
        }
    }
    tracing::info!("leading");
    let deposed = candidate.deposed();
    let outcome = work(setup, clients, metrics, listing, stop, deposed).await;
    candidate.resign().await;
    outcome
}

async fn work(
    setup: Setup,
    clients: Clients,
    metrics: Arc<Metrics>,
    listing: Arc<Listing>,
    stop: CancellationToken,
    deposed: impl Future<Output = ()>,
) -> Result<(), Failure> {
    metrics.set_leader(true);
    let fatal = Fatal::new();
    let watches = Watches::new(&clients.bounded, &setup.options, listing);
    let context = context(setup, clients, metrics, &watches, fatal.clone()).await?;
    tokio::spawn(migrate(context.retained.clone()));
    let at_work = async {
        watches.run(context.clone(), stop.clone()).await;
        context.stop_servers().await;
    };
    tokio::pin!(at_work);
    tokio::select! {
        () = &mut at_work => Ok(()),
        () = deposed => Err(Failure::Replaced("it does not hold the Lease any more")),
        why = fatal.raised() => Err(Failure::Replaced(why)),
        () = stop.cancelled() => {
            if tokio::time::timeout(GRACE, at_work).await.is_err() {
                tracing::warn!("some work did not finish in time; the journal has what is needed to go on");
            }
            Ok(())
        }
    }
}

/// What an earlier version has recorded of kept logins is brought to where it belongs; if that fails, it is where it was.
async fn migrate(retained: RetainedLogins) {
    if let Err(error) = retained.migrate().await {
        let error = crate::controller::api_error::api(&error);
        tracing::warn!(
            error,
            "the record of kept logins of an earlier version could not be moved"
        );
    }
}

async fn context(
    setup: Setup,
    clients: Clients,
    metrics: Arc<Metrics>,
    watches: &Watches,
    fatal: Fatal,
) -> Result<Arc<Context>, Failure> {
    let namespace = setup.options.journal_namespace.clone();
    let client = clients.bounded;
    let identity = installation::identity(&client, &namespace).await;
    let installation =
        identity.map_err(|error| Failure::Kubernetes(crate::controller::api_error::api(&error)))?;
    let mac_key = installation::mac_key(&client, &namespace)
        .await
        .map_err(Failure::Kubernetes)?;
    let reporter = Reporter {
        controller: names::OPERATOR.to_string(),
        instance: Some(setup.options.holder.clone()),
    };
    Ok(Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter.clone()),
        reporter,
        retained: RetainedLogins::new(Objects::of(client.clone(), &namespace)),
        passing: Passing::default(),
        overlaps: Overlaps::default(),
        refusals: Refusals::default(),
        restarts: Restarts::default(),
        client,
        journal_client: clients.journal,
        buckets: Buckets::new(setup.options.requests_per_minute_per_credentials),
        lists: Memory::new(setup.options.list_memory),
        options: setup.options,
        timings: setup.timings,
        retries: setup.retries,
        http: setup.http,
        login: setup.login,
        sql: setup.sql,
        installation,
        mac_key,
        stores: watches.stores.clone(),
        listing: watches.listing.clone(),
        changes: AtomicU64::default(),
        unread: UnreadObjects::new(metrics.clone()),
        uids: Uids::default(),
        secrets: SecretIndex::default(),
        config_maps: ConfigMaps::default(),
        claims: Claims::default(),
        servers: Mutex::default(),
        written: Mutex::default(),
        let_go: Mutex::default(),
        left: Mutex::default(),
        dispatch: watches.dispatch.clone(),
        metrics,
        fatal,
    }))
}
