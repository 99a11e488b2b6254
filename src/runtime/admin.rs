//! `/livez`, `/readyz` and `/metrics`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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
pub async fn serve(address: SocketAddr, health: Health, stop: CancellationToken) -> io::Result<()> {
    let listener = listen(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving /livez, /readyz and /metrics");
    let router = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            () = stop.cancelled() => return Ok(()),
        };
        match accepted {
            Ok((stream, place)) => drop(tokio::spawn(answer(stream, place, router.clone()))),
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Binds the address. `[::]` means every address, so where the kernel has no IPv6 it is every one of IPv4.
async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let failure = match TcpListener::bind(address).await {
        Ok(listener) => return Ok(listener),
        Err(failure) => failure,
    };
    match without_ipv6(address, &failure) {
        Some(instead) => TcpListener::bind(instead).await,
        None => Err(failure),
    }
}

/// What every address is where this failure says that there is no IPv6.
fn without_ipv6(address: SocketAddr, failure: &io::Error) -> Option<SocketAddr> {
    let absent = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(|errno| Some(errno.raw_os_error()));
    let all = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    (all && absent.contains(&failure.raw_os_error()))
        .then(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()))
}

/// How many connections there are at once; whoever comes later waits in the kernel's queue.
const CONNECTIONS: usize = 64;

/// How long a caller may take to say what it wants.
const ASKING: Duration = Duration::from_secs(5);

/// How long a connection lasts at most, with the time it takes to be told everything.
const CONNECTION: Duration = Duration::from_secs(30);

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = room.clone().acquire_owned().await;
    let place = place.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Answers one request. Nobody keeps a place for long: each connection is for one request, and ends in time.
async fn answer(stream: TcpStream, place: OwnedSemaphorePermit, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ASKING)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let _ = tokio::time::timeout(CONNECTION, connection).await;
    drop(place);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_every_one_of_ipv4_where_there_is_no_ipv6() {
        let instead = |address: &str, errno: Errno| {
            let failure = io::Error::from_raw_os_error(errno.raw_os_error());
            without_ipv6(address.parse().unwrap(), &failure).map(|instead| instead.to_string())
        };
        let all = Some("0.0.0.0:8080".to_string());
        assert_eq!(instead("[::]:8080", Errno::AFNOSUPPORT), all);
        assert_eq!(instead("[::]:8080", Errno::ADDRNOTAVAIL), all);
        assert_eq!(instead("[::]:8080", Errno::ADDRINUSE), None);
        assert_eq!(instead("[::1]:8080", Errno::ADDRNOTAVAIL), None);
        assert_eq!(instead("0.0.0.0:8080", Errno::AFNOSUPPORT), None);
    }

    #[tokio::test]
    async fn every_address_has_those_of_ipv4() {
        let listener = listen("[::]:0".parse().unwrap()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    }
}
