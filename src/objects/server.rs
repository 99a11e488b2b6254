//! What PostgresServer and ClusterPostgresServer have in common.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::core::SelectorExt;

use super::key::ServerKey;
use crate::api::{
    Allowed, ClusterPostgresServer, Connection, CredentialsRef, Ionos, PostgresServer, Postgresql, Scalingo,
    ServerKind, ServerStatus, SslMode, Usernames, Verification, names,
};
use crate::domain::connection::ConnectionDetails;
use crate::domain::endpoint;
use crate::domain::identity::RemoteIdentity;
use crate::domain::rate::Rate;
use crate::domain::remote::{Address, Capabilities};
use crate::domain::time::duration;
use crate::provider::{ionos, postgresql, scalingo};

/// The names of all providers, as output Secrets have them.
pub const PROVIDERS: [&str; 3] = [
    ionos::CAPABILITIES.name,
    scalingo::CAPABILITIES.name,
    postgresql::CAPABILITIES.name,
];

/// A server object, of either kind.
#[derive(Debug, Clone)]
pub enum ServerObject {
    /// A PostgresServer.
    Namespaced(Arc<PostgresServer>),
    /// A ClusterPostgresServer.
    Cluster(Arc<ClusterPostgresServer>),
}

/// Reads a field that both kinds have.
macro_rules! spec {
    ($self:expr, $field:ident) => {
        match $self {
            ServerObject::Namespaced(server) => &server.spec.$field,
            ServerObject::Cluster(server) => &server.spec.$field,
        }
    };
}

impl ServerObject {
    /// Its metadata.
    pub fn meta(&self) -> &kube::api::ObjectMeta {
        match self {
            ServerObject::Namespaced(server) => &server.metadata,
            ServerObject::Cluster(server) => &server.metadata,
        }
    }

    /// Its status, if it has one.
    pub fn status(&self) -> Option<&ServerStatus> {
        match self {
            ServerObject::Namespaced(server) => server.status.as_ref(),
            ServerObject::Cluster(server) => server.status.as_ref(),
        }
    }

    /// Its kind, in the API's words.
    pub fn kind(&self) -> &'static str {
        match self {
            ServerObject::Namespaced(_) => "PostgresServer",
            ServerObject::Cluster(_) => "ClusterPostgresServer",
        }
    }

    /// Which it is.
    pub fn key(&self) -> ServerKey {
        let (kind, namespace) = match self {
            ServerObject::Namespaced(server) => (ServerKind::PostgresServer, server.namespace()),
            ServerObject::Cluster(_) => (ServerKind::ClusterPostgresServer, None),
        };
        ServerKey {
            kind,
            namespace,
            name: self.meta().name.clone().unwrap_or_default(),
        }
    }

    /// Its UID.
    pub fn uid(&self) -> String {
        self.meta().uid.clone().unwrap_or_default()
    }

    /// It is being deleted.
    pub fn deleting(&self) -> bool {
        self.meta().deletion_timestamp.is_some()
    }

    /// The provider's part of the spec; none if admission let a spec without one pass.
    pub fn provider(&self) -> Option<ProviderSpec<'_>> {
        let ionos = spec!(self, ionos).as_ref().map(ProviderSpec::Ionos);
        let scalingo = spec!(self, scalingo).as_ref().map(ProviderSpec::Scalingo);
        let postgresql = spec!(self, postgresql).as_ref().map(ProviderSpec::Postgresql);
        ionos.or(scalingo).or(postgresql)
    }

    /// Which usernames may be asked for.
    pub fn usernames(&self) -> Option<&Usernames> {
        spec!(self, usernames).as_ref()
    }

    /// Whether users may be taken over.
    pub fn allow_adoption(&self) -> bool {
        *spec!(self, allow_adoption)
    }

    /// How many requests may be made in a minute, and at once.
    pub fn rate(&self) -> Rate {
        let limits = spec!(self, limits).as_ref();
        let limit = |limit: Option<i32>| limit.and_then(|limit| u32::try_from(limit).ok());
        Rate::new(
            limits
                .and_then(|limits| limit(limits.requests_per_minute))
                .unwrap_or(self.usual_per_minute()),
            limits.and_then(|limits| limit(limits.burst)),
        )
    }

    /// How many requests its provider takes in a minute, unless somebody says otherwise.
    pub fn usual_per_minute(&self) -> u32 {
        self.provider()
            .map_or(1, |it| it.capabilities().requests_per_minute)
    }

    /// How many changes may be under way at once.
    pub fn concurrent_changes(&self) -> usize {
        let limits = spec!(self, limits).as_ref();
        let asked = limits.and_then(|limits| limits.concurrent_changes);
        asked
            .and_then(|asked| usize::try_from(asked).ok())
            .unwrap_or(1)
            .clamp(1, 64)
    }

    /// How many logins a namespace may have.
    pub fn logins_per_namespace(&self) -> Option<usize> {
        let limits = spec!(self, limits).as_ref()?;
        usize::try_from(limits.logins_per_namespace?).ok()
    }

    /// How many connections a login may have.
    pub fn connections_per_login(&self) -> Option<i32> {
        spec!(self, limits).as_ref()?.connections_per_login
    }

    /// Whether passwords are tried by logins.
    pub fn verification(&self) -> Verification {
        spec!(self, verification).unwrap_or_default()
    }

    /// The oldest that a password gets.
    pub fn oldest_password(&self) -> Option<Duration> {
        duration(spec!(self, passwords).as_ref()?.max_age.as_deref()?)
    }

    /// The fewest characters that a password has.
    pub fn shortest_password(&self) -> Option<i32> {
        spec!(self, passwords).as_ref()?.min_length
    }

    /// How often to try a published password.
    pub fn verify_interval(&self) -> Duration {
        duration(spec!(self, verify_interval)).unwrap_or(Duration::from_secs(3600))
    }

    /// How often to refresh.
    pub fn refresh_interval(&self, floor: Duration) -> Duration {
        duration(spec!(self, refresh_interval))
            .unwrap_or(Duration::from_secs(600))
            .max(floor)
    }

    /// The namespace that its Secrets are read from; those of a ClusterPostgresServer are all in one.
    pub fn secrets_namespace(&self, of_cluster_servers: &str) -> String {
        match self {
            ServerObject::Namespaced(server) => server.namespace().unwrap_or_default(),
            ServerObject::Cluster(_) => of_cluster_servers.to_string(),
        }
    }

    /// An annotation.
    pub fn annotation(&self, name: &str) -> Option<&String> {
        self.meta().annotations.as_ref()?.get(name)
    }

    /// The installation whose claims may be taken over.
    pub fn take_over_from(&self) -> Option<String> {
        self.annotation(names::TAKE_OVER_FROM).cloned()
    }

    /// The remote cluster, as far as the spec tells.
    pub fn identity(&self) -> Option<RemoteIdentity> {
        self.provider().map(|provider| provider.identity())
    }

    /// What clients connect to as the provider says, from a status of before.
    pub fn remembered_address(&self) -> Address {
        let status = self.status();
        Address {
            host: status.and_then(|status| status.host.clone()),
            port: status
                .and_then(|status| status.port)
                .and_then(|port| u16::try_from(port).ok()),
            database: status.and_then(|status| status.database.clone()),
            sslmode: status.and_then(|status| status.sslmode),
        }
    }

    /// How clients connect, given what the provider says; none while that is not known.
    pub fn connection(&self, said: &Address) -> Option<ConnectionDetails> {
        let default = Connection::default();
        let spec = spec!(self, connection).as_ref().unwrap_or(&default);
        let provider = self.provider()?;
        let address = Address {
            host: spec.host.clone(),
            port: spec.port.and_then(|port| u16::try_from(port).ok()),
            database: spec.database.clone(),
            sslmode: spec.sslmode,
        };
        let address = address.or(said.clone()).or(provider.address());
        Some(ConnectionDetails {
            host: address.host?,
            port: address.port.unwrap_or(5432),
            database: address.database.unwrap_or_else(|| "postgres".to_string()),
            sslmode: address.sslmode.unwrap_or(SslMode::Require),
            channel_binding: spec.channel_binding,
            provider: provider.capabilities().name,
            ca: None,
        })
    }

    /// Whether PostgresUsers of a namespace may use it. `labels` are the namespace's; none while it is not known.
    pub fn admits(&self, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
        let server = match self {
            ServerObject::Namespaced(server) => return server.namespace().as_deref() == Some(namespace),
            ServerObject::Cluster(server) => server,
        };
        let selector = server.spec.namespace_selector.clone();
        let selector = selector.and_then(|selector| kube::core::Selector::try_from(selector).ok());
        selector
            .zip(labels)
            .is_some_and(|(selector, labels)| selector.matches(labels))
    }
}

/// The provider's part of a server object's spec.
#[derive(Debug, Clone, Copy)]
pub enum ProviderSpec<'a> {
    /// IONOS DBaaS PostgreSQL.
    Ionos(&'a Ionos),
    /// Scalingo's Database API.
    Scalingo(&'a Scalingo),
    /// Any PostgreSQL, by SQL.
    Postgresql(&'a Postgresql),
}

impl ProviderSpec<'_> {
    /// What the provider can do.
    pub fn capabilities(&self) -> &'static Capabilities {
        match self {
            ProviderSpec::Ionos(_) => &ionos::CAPABILITIES,
            ProviderSpec::Scalingo(_) => &scalingo::CAPABILITIES,
            ProviderSpec::Postgresql(_) => &postgresql::CAPABILITIES,
        }
    }

    /// Where the credentials are.
    pub fn credentials(&self) -> &CredentialsRef {
        match self {
            ProviderSpec::Ionos(it) => &it.credentials_secret_ref,
            ProviderSpec::Scalingo(it) => &it.credentials_secret_ref,
            ProviderSpec::Postgresql(it) => &it.credentials_secret_ref,
        }
    }

    /// The remote cluster.
    pub fn identity(&self) -> RemoteIdentity {
        let name = self.capabilities().name;
        let canonical =
            |endpoint: &str| endpoint::canonical(endpoint).unwrap_or_else(|_| endpoint.to_string());
        match self {
            ProviderSpec::Ionos(it) => RemoteIdentity::of_api(name, &canonical(&it.endpoint), &it.cluster_id),
            ProviderSpec::Scalingo(it) => {
                RemoteIdentity::of_api(name, &canonical(&database_endpoint(it)), &it.addon_id)
            }
            // Roles are the whole server's, whichever database they are managed from.
            ProviderSpec::Postgresql(it) => RemoteIdentity {
                provider: name.to_string(),
                cluster: format!("{}:{}", it.host.to_ascii_lowercase(), it.port),
            },
        }
    }

    /// Where clients connect, as far as the spec tells.
    pub fn address(&self) -> Address {
        match self {
            ProviderSpec::Ionos(_) | ProviderSpec::Scalingo(_) => Address::default(),
            ProviderSpec::Postgresql(it) => Address {
                host: Some(it.host.clone()),
                port: u16::try_from(it.port).ok(),
                database: Some(it.database.clone()),
                sslmode: None,
            },
        }
    }

    /// What PostgresUsers may ask for besides a login.
    pub fn allowed(&self) -> Option<&Allowed> {
        match self {
            ProviderSpec::Postgresql(it) => it.allowed.as_ref(),
            ProviderSpec::Ionos(_) | ProviderSpec::Scalingo(_) => None,
        }
    }
}

/// Where Scalingo's Database API is: in the region, unless the spec names another place.
fn database_endpoint(spec: &Scalingo) -> String {
    let given = spec.endpoints.as_ref().and_then(|it| it.database.clone());
    given.unwrap_or_else(|| scalingo::database_endpoint(&spec.region))
}
