//! How a server is talked to.

use std::sync::Arc;

use super::bucket::Bucket;
use crate::api::Reason;
use crate::provider::AnyProvider;

/// How a server is talked to; changes when its spec or credentials do.
#[derive(Debug, Clone)]
pub struct Link {
    /// The client; none while there are no usable credentials.
    pub provider: Option<Arc<AnyProvider>>,
    /// The rate limit that it shares with whoever uses the same credentials.
    pub bucket: Bucket,
    /// How many changes are sent at once.
    pub at_once: usize,
    /// A keyed MAC of the credentials, of this object alone.
    pub credentials_mac: Option<String>,
    /// The same for whoever has these credentials: never shown. Earlier versions kept it in status.
    pub shared_mac: Option<String>,
    /// The credentials are a copy kept for deletions alone.
    pub deletions_only: bool,
    /// Why there is no client, if there is none: reason and message.
    pub unusable: Option<(Reason, String)>,
    /// The generation of the spec that the client was made from.
    pub generation: Option<i64>,
    /// How often to refresh.
    pub refresh_interval: std::time::Duration,
    /// How often to try each published password, where its changes are not shown.
    pub verify_interval: std::time::Duration,
    /// The authorities that the provider trusts, if it was given its own: kept for when their source goes first.
    pub ca: Option<Arc<[u8]>>,
}

impl Link {
    /// Whether a status speaks of these credentials.
    pub fn is_known_as(&self, recorded: Option<&String>) -> bool {
        recorded == self.credentials_mac.as_ref()
            || (recorded.is_some() && recorded == self.shared_mac.as_ref())
    }
}
