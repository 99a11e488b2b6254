//! The way to a host: its name resolved, its addresses checked, one of them connected to.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::domain::endpoint::{AllowList, Host, NotAllowed};

/// Why a host has no address to dial.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("the name is not resolved")]
    Unresolved(#[source] io::Error),
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("the host's name is not resolved")]
    Unresolved,
    #[error("{0}")]
    NotAllowed(NotAllowed),
    #[error("the database cannot be reached")]
    Unreachable,
}

/// The addresses of a host that may be dialled. If it has some and none may be, says why not of the first.
pub(super) async fn resolve(
    allow: &AllowList,
    host: &Host,
    port: u16,
) -> Result<Vec<SocketAddr>, ResolveError> {
    allow.host(host, port)?;
    let found: Vec<SocketAddr> = match host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, port)],
        Host::Name(name) => tokio::net::lookup_host((name.as_str(), port))
            .await
            .map_err(ResolveError::Unresolved)?
            .collect(),
    };
    let mut refused = None;
    let mut allowed = Vec::with_capacity(found.len());
    for address in found {
        match allow.address(host, address.ip(), port) {
            Ok(()) => allowed.push(address),
            Err(reason) => refused = refused.or(Some(reason)),
        }
    }
    match refused {
        _ if !allowed.is_empty() => Ok(allowed),
        Some(reason) => Err(reason.into()),
        None => Err(ResolveError::Unresolved(io::ErrorKind::NotFound.into())),
    }
}

/// A connection to the first allowed address that takes one: the address that was checked is the one dialled.
pub(super) async fn dial(
    allow: &AllowList,
    host: &Host,
    port: u16,
    timeout: Duration,
) -> Result<TcpStream, DialError> {
    let addresses = resolve(allow, host, port).await.map_err(|error| match error {
        ResolveError::Unresolved(_) => DialError::Unresolved,
        ResolveError::NotAllowed(reason) => DialError::NotAllowed(reason),
    })?;
    // One address that swallows packets must not use up the time of all.
    let share = timeout / (addresses.len() as u32).saturating_add(1);
    for address in addresses {
        if let Ok(Ok(stream)) = tokio::time::timeout(share, TcpStream::connect(address)).await {
            // Many small messages, each of which is waited for: none is to be held back for the next.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    Err(DialError::Unreachable)
}
