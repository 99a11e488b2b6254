//! Name resolution that lets only allowed addresses through.

use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::domain::endpoint::{AllowList, Host};
use crate::provider::dial::resolve;

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
