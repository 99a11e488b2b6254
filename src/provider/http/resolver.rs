//! Name resolution that lets only allowed addresses through.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::domain::endpoint::{AllowList, Host, NotAllowed};

/// Resolves the one name that a client is for, and returns those of its addresses that may be dialled: the
/// address that was checked is the one that is connected to.
///
/// The client follows no redirects, so any other name it asks for is that of the proxy, which the
/// administrator named in the environment; its addresses are not checked.
pub(super) struct Guarded {
    pub(super) allow: Arc<AllowList>,
    pub(super) host: Host,
    pub(super) port: u16,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (allow, host, port) = (Arc::clone(&self.allow), self.host.clone(), self.port);
        Box::pin(async move {
            let name = name.as_str();
            if Host::parse(name).as_ref() != Some(&host) {
                // The port is the proxy's, which only the client knows: 0 stands for it.
                let found: Vec<_> = tokio::net::lookup_host((name, 0)).await?.collect();
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let found = resolve(&allow, &host, port).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Why a host has no address to dial.
#[derive(Debug, thiserror::Error)]
pub(in crate::provider) enum ResolveError {
    #[error("the name is not resolved")]
    Unresolved(#[source] io::Error),
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
}

/// The addresses of a host that may be dialled. If it has some and none may be, says why not of the first.
pub(in crate::provider) async fn resolve(
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
