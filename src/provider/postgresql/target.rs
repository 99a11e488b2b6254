//! Where the server is, and how it is spoken to.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use super::hosts::Hosts;
use crate::domain::endpoint::AllowList;
use crate::domain::password::Password;
use crate::provider::memory::Memory;

/// Where to connect to, and as whom.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) allow: Arc<AllowList>,
    pub(super) hosts: Hosts,
    pub(super) username: String,
    pub(super) password: Password,
    pub(super) security: Security,
    /// Passwords may be sent as they are.
    pub(super) sends_plaintext: bool,
    pub(super) connect_timeout: Duration,
    pub(super) request_timeout: Duration,
    /// What is read from all servers together.
    pub(super) reading: Memory,
}

/// How a connection is secured.
#[derive(Debug, Clone)]
pub(super) enum Security {
    /// Not at all.
    Clear,
    /// By TLS, the certificate unverified; not at all if the server does not speak it.
    Either(Arc<ClientConfig>),
    /// By TLS, the login bound to the certificate: whoever is in between has another one.
    Bound(Arc<ClientConfig>),
    /// By TLS with a certificate that is the server's: whatever the server asks for it may have.
    Verified(Arc<ClientConfig>),
}
