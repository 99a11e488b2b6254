//! `PostgresServer` and `ClusterPostgresServer`: one database cluster on one provider.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A database cluster on one provider, for the PostgresUsers of its namespace.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "pguser.dev",
    version = "v1alpha1",
    kind = "PostgresServer",
    namespaced,
    status = "ServerStatus",
    shortname = "pgserver",
    doc = "A PostgreSQL database cluster on one provider, for the PostgresUsers of its namespace.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Host","type":"string","jsonPath":".status.host"}"#,
    printcolumn = r#"{"name":"Managed","type":"integer","jsonPath":".status.users.managed"}"#,
    printcolumn = r#"{"name":"Unmanaged","type":"integer","jsonPath":".status.users.unmanaged","priority":1}"#,
    printcolumn = r#"{"name":"Since","type":"date","jsonPath":".status.conditions[?(@.type==\"Ready\")].lastTransitionTime"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.ionos)").message("spec: exactly one provider must be set; this version knows ionos"))]
#[x_kube(validation = Rule::new("has(self.ionos) == has(oldSelf.ionos)").message("spec: the provider is immutable: make another PostgresServer"))]
pub struct PostgresServerSpec {
    /// The cluster is on IONOS DBaaS PostgreSQL (the users API, version 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ionos: Option<Ionos>,
    /// How clients connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// Which usernames may be asked for on this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usernames: Option<Usernames>,
    /// Whether PostgresUsers with `adoptionPolicy: Adopt` may take over users that exist already.
    #[serde(default = "yes")]
    pub allow_adoption: bool,
    /// How often the server's users are listed to find drift, as a duration (`90s`, `10m`, `1h30m`), from 1s
    /// to 24h. The operator's flag `--min-refresh-interval` is a floor.
    #[serde(default = "default_refresh_interval")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(h|m|s))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')").message("spec.refreshInterval must be a duration from 1s to 24h, such as 90s, 10m or 1h30m"))]
    pub refresh_interval: String,
    /// How hard the API may be driven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// A database cluster on one provider, for the PostgresUsers of the namespaces that it selects.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "pguser.dev",
    version = "v1alpha1",
    kind = "ClusterPostgresServer",
    status = "ServerStatus",
    shortname = "cpgserver",
    doc = "A PostgreSQL database cluster on one provider, for the PostgresUsers of the namespaces that it selects.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Host","type":"string","jsonPath":".status.host"}"#,
    printcolumn = r#"{"name":"Managed","type":"integer","jsonPath":".status.users.managed"}"#,
    printcolumn = r#"{"name":"Unmanaged","type":"integer","jsonPath":".status.users.unmanaged","priority":1}"#,
    printcolumn = r#"{"name":"Since","type":"date","jsonPath":".status.conditions[?(@.type==\"Ready\")].lastTransitionTime"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.ionos)").message("spec: exactly one provider must be set; this version knows ionos"))]
#[x_kube(validation = Rule::new("has(self.ionos) == has(oldSelf.ionos)").message("spec: the provider is immutable: make another ClusterPostgresServer"))]
pub struct ClusterPostgresServerSpec {
    /// The namespaces whose PostgresUsers may use this server, by their labels. Absent: none. Empty: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The cluster is on IONOS DBaaS PostgreSQL (the users API, version 1). Its credentials Secret is in the
    /// operator's cluster-resource namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ionos: Option<Ionos>,
    /// How clients connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// Which usernames may be asked for on this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usernames: Option<Usernames>,
    /// Whether PostgresUsers with `adoptionPolicy: Adopt` may take over users that exist already.
    #[serde(default)]
    pub allow_adoption: bool,
    /// How often the server's users are listed to find drift, as a duration (`90s`, `10m`, `1h30m`), from 1s
    /// to 24h. The operator's flag `--min-refresh-interval` is a floor.
    #[serde(default = "default_refresh_interval")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(h|m|s))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')").message("spec.refreshInterval must be a duration from 1s to 24h, such as 90s, 10m or 1h30m"))]
    pub refresh_interval: String,
    /// How hard the API may be driven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

fn yes() -> bool {
    true
}

fn default_refresh_interval() -> String {
    "10m".to_string()
}

/// A cluster on IONOS DBaaS PostgreSQL.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ionos {
    /// The cluster's id. Immutable.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9-]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.ionos.clusterId is immutable: make another server object for the other cluster"))]
    pub cluster_id: String,
    /// The API's address. Immutable. Must be on the operator's allow-list of endpoints.
    #[serde(default = "default_ionos_endpoint")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https?://[^\s?#@]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.ionos.endpoint is immutable: make another server object"))]
    pub endpoint: String,
    /// The Secret with the credentials: key `token` (a Bearer token), or keys `username` and `password` (Basic).
    pub credentials_secret_ref: LocalSecretRef,
}

fn default_ionos_endpoint() -> String {
    "https://api.ionos.com/databases/postgresql".to_string()
}

/// A Secret by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct LocalSecretRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// How clients connect: what goes into the output Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Connection {
    /// The host name or address. Default: what the provider says (IONOS: the cluster's `dnsName`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9._:-]+$"))]
    pub host: Option<String>,
    /// The port. Default: what the provider says, else 5432.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// The database. Default: `postgres`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[^\x00-\x1f\x7f]+$"))]
    pub database: Option<String>,
    /// What the clients' `sslmode` is set to. Default: `require`. `verify-full` is better, where the
    /// applications' images hold the authority's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslmode: Option<SslMode>,
}

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum SslMode {
    Disable,
    Allow,
    Prefer,
    #[default]
    Require,
    VerifyCa,
    VerifyFull,
}

impl SslMode {
    /// As libpq writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Allow => "allow",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        }
    }
}

/// Which usernames may be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Usernames {
    /// What every username must start with. `{namespace}` stands for the PostgresUser's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub prefix: Option<String>,
    /// Patterns of which every username must match one: `*` stands for any text, `{namespace}` for the
    /// PostgresUser's namespace. Absent or empty: any username.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub allowed: Vec<String>,
}

/// How hard the API may be driven. Among servers that share credentials the strictest limit holds for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// The most requests in a minute. Default: 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60000))]
    pub requests_per_minute: Option<i32>,
}

/// What the operator found.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// The generation of the spec that this status speaks of; -1 before the operator has seen the object.
    #[serde(default = "not_observed")]
    pub observed_generation: i64,
    /// `Ready` (reachable and authorised), and `Reconciling` or `Stalled` while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
    /// Provider, endpoint and cluster, in canonical form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Where clients connect to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The port clients connect to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// How many users the remote cluster has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<ServerUsers>,
    /// The journal's lineage, to notice one that was lost or put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_lineage: Option<String>,
    /// A sequence number that the journal has reached; it may be further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_sequence: Option<i64>,
}

fn not_observed() -> i64 {
    -1
}

/// How many users a remote cluster has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct ServerUsers {
    /// Those that belong to a PostgresUser.
    pub managed: i32,
    /// Those that do not.
    pub unmanaged: i32,
    /// The provider's own.
    pub system: i32,
}
