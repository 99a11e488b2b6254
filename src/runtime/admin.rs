//! `/livez`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::controller::listing::Listing;
use crate::metrics::{Format, Metrics};

/// A process that works, and has not been able to list anything for this long, is not ready.
const LONG: Duration = Duration::from_secs(60);

/// What the probes tell.
#[derive(Debug, Clone)]
pub struct Health {
    ready: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    listing: Arc<Listing>,
}

impl Health {
    /// Alive, not yet ready.
    pub fn new(metrics: Arc<Metrics>, listing: Arc<Listing>) -> Self {
        Self {
            ready: Arc::default(),
            metrics,
            listing,
        }
    }

    /// The process can do its work, as leader or as standby. What a remote system does plays no part.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::SeqCst);
    }
}

/// Serves the probes until the process stops. Port 0 takes any; the one taken is logged.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(address: SocketAddr, health: Health, stop: CancellationToken) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving /livez, /readyz and /metrics");
    let router = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
}

async fn readyz(State(health): State<Health>) -> (StatusCode, &'static str) {
    let why = match health.ready.load(Ordering::SeqCst) {
        false => "the Kubernetes API has not been reached yet",
        true if health.listing.nothing_for() > Some(LONG) => "nothing could be listed yet: see the log",
        true => return (StatusCode::OK, "ok"),
    };
    (StatusCode::SERVICE_UNAVAILABLE, why)
}

async fn metrics(State(health): State<Health>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    (
        [(CONTENT_TYPE, format.content_type())],
        health.metrics.text(format),
    )
}
