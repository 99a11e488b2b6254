//! `PostgresServer` and `ClusterPostgresServer`: one database cluster on one provider.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds;

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
#[x_kube(validation = Rule::new("[has(self.ionos), has(self.scalingo), has(self.postgresql)].filter(set, set).size() == 1").message("spec: exactly one provider must be set: ionos, scalingo or postgresql"))]
#[x_kube(validation = Rule::new("has(self.ionos) == has(oldSelf.ionos) && has(self.scalingo) == has(oldSelf.scalingo) && has(self.postgresql) == has(oldSelf.postgresql)").message("spec: the provider is immutable: make another PostgresServer and point spec.serverRef of its users to it"))]
pub struct PostgresServerSpec {
    /// The cluster is on IONOS DBaaS PostgreSQL (the users API, version 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ionos: Option<Ionos>,
    /// The database is an addon at Scalingo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalingo: Option<Scalingo>,
    /// Any PostgreSQL server, spoken to in SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgresql: Option<Postgresql>,
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
    /// How often each published password is tried by a login, as a duration from 1s to 168h, where the provider
    /// does not show that a password was changed. Spread evenly, so that a server never sees all at once.
    #[serde(default = "default_verify_interval")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(h|m|s))+$') && duration(self) >= duration('1s') && duration(self) <= duration('168h')").message("spec.verifyInterval must be a duration from 1s to 168h, such as 30m or 1h30m"))]
    pub verify_interval: String,
    /// Whether a password is tried by a login before it is published, and now and then afterwards: `Auto`, the default, where that
    /// can be done; `Require`: nothing is published that has not logged in; `Never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// What is kept of the passwords here, whatever a PostgresUser asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passwords: Option<Passwords>,
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
#[x_kube(validation = Rule::new("[has(self.ionos), has(self.scalingo), has(self.postgresql)].filter(set, set).size() == 1").message("spec: exactly one provider must be set: ionos, scalingo or postgresql"))]
#[x_kube(validation = Rule::new("has(self.ionos) == has(oldSelf.ionos) && has(self.scalingo) == has(oldSelf.scalingo) && has(self.postgresql) == has(oldSelf.postgresql)").message("spec: the provider is immutable: make another ClusterPostgresServer and point spec.serverRef of its users to it"))]
pub struct ClusterPostgresServerSpec {
    /// The namespaces whose PostgresUsers may use this server, by their labels. Absent: none. Empty: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = bounds::namespace_selector)]
    pub namespace_selector: Option<LabelSelector>,
    /// The cluster is on IONOS DBaaS PostgreSQL (the users API, version 1). Its credentials Secret is in the
    /// operator's cluster-resource namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ionos: Option<Ionos>,
    /// The database is an addon at Scalingo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalingo: Option<Scalingo>,
    /// Any PostgreSQL server, spoken to in SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgresql: Option<Postgresql>,
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
    /// How often each published password is tried by a login, as a duration from 1s to 168h, where the provider
    /// does not show that a password was changed. Spread evenly, so that a server never sees all at once.
    #[serde(default = "default_verify_interval")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(h|m|s))+$') && duration(self) >= duration('1s') && duration(self) <= duration('168h')").message("spec.verifyInterval must be a duration from 1s to 168h, such as 30m or 1h30m"))]
    pub verify_interval: String,
    /// Whether a password is tried by a login before it is published, and now and then afterwards: `Auto`, the default, where that
    /// can be done; `Require`: nothing is published that has not logged in; `Never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// What is kept of the passwords here, whatever a PostgresUser asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passwords: Option<Passwords>,
    /// How hard the API may be driven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

fn default_refresh_interval() -> String {
    "10m".to_string()
}

fn default_verify_interval() -> String {
    "1h".to_string()
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
    #[x_kube(validation = Rule::new("has(self.keys) ? !has(self.keys.apiToken) && !has(self.keys.bearerToken) : true").message("spec.ionos.credentialsSecretRef.keys: this provider reads token, or username and password: remove the others"))]
    pub credentials_secret_ref: CredentialsRef,
}

fn default_ionos_endpoint() -> String {
    "https://api.ionos.com/databases/postgresql".to_string()
}

/// A PostgreSQL addon at Scalingo.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.app) ? self.app : '') == (has(oldSelf.app) ? oldSelf.app : '')").message("spec.scalingo.app is immutable: make another server object"))]
#[x_kube(validation = Rule::new("(has(self.endpoints) && has(self.endpoints.database) ? self.endpoints.database : '') == (has(oldSelf.endpoints) && has(oldSelf.endpoints.database) ? oldSelf.endpoints.database : '')").message("spec.scalingo.endpoints.database is immutable: make another server object"))]
pub struct Scalingo {
    /// The app that the addon belongs to. Not needed with a `bearerToken`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9-]*$"))]
    pub app: Option<String>,
    /// The addon's id, such as `ad-5c599fd6-…`: the `[:db]` of the Database API. Immutable.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.scalingo.addonId is immutable: make another server object for the other database"))]
    pub addon_id: String,
    /// The region, which the addresses of the APIs are made of. Immutable.
    #[serde(default = "default_region")]
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.scalingo.region is immutable: make another server object"))]
    pub region: String,
    /// Other addresses than those of the region. Each must be on the operator's allow-list of endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<ScalingoEndpoints>,
    /// The Secret with the credentials: key `apiToken` (`tk-us-…`, exchanged for short-lived ones as needed), or key
    /// `bearerToken` (a ready token for the Database API).
    #[x_kube(validation = Rule::new("has(self.keys) ? !has(self.keys.username) && !has(self.keys.password) && !has(self.keys.token) : true").message("spec.scalingo.credentialsSecretRef.keys: this provider reads apiToken or bearerToken: remove the others"))]
    pub credentials_secret_ref: CredentialsRef,
}

fn default_region() -> String {
    "osc-fr1".to_string()
}

/// Where Scalingo's APIs are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingoEndpoints {
    /// Where API tokens are exchanged. Default: `https://auth.scalingo.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https?://[^\s?#@]+$"))]
    pub auth: Option<String>,
    /// The API of apps and addons. Default: `https://api.<region>.scalingo.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https?://[^\s?#@]+$"))]
    pub api: Option<String>,
    /// The Database API. Default: `https://db-api.<region>.scalingo.com`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https?://[^\s?#@]+$"))]
    pub database: Option<String>,
}

/// A PostgreSQL server, version 14 or later, spoken to in SQL.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.sendPlaintextPasswords) || !self.sendPlaintextPasswords || self.sslmode in ['verify-full', 'verify-ca']").message("spec.postgresql.sendPlaintextPasswords: passwords are sent as they are over verified TLS only: set spec.postgresql.sslmode to verify-full or verify-ca"))]
pub struct Postgresql {
    /// The host name or address of the primary. Immutable. Must be on the operator's allow-list of endpoints.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9._:-]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.postgresql.host is immutable: make another server object and point spec.serverRef of its users to it"))]
    pub host: String,
    /// The port. Immutable.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.postgresql.port is immutable: make another server object and point spec.serverRef of its users to it"))]
    pub port: i32,
    /// Further addresses of the same server: those of replicas that may become the primary. Of these and `host`, the operator
    /// uses the one that is the primary. They may change at any time: `host` and `port` alone say which server it is, and
    /// where clients connect. Each must be on the operator's allow-list of endpoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hosts: Vec<FurtherHost>,
    /// The database that the operator connects to.
    #[serde(default = "default_database")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[^\x00-\x1f\x7f]+$"))]
    pub database: String,
    /// How the operator's own connection is secured, in libpq's words. `disable` and `prefer` may send what they send
    /// in the clear, and need the operator's flag `--allow-insecure-postgresql`; `require` does not look at the
    /// certificate, and asks for SCRAM with channel binding instead.
    #[serde(default = "verify_full")]
    #[x_kube(validation = Rule::new("self != 'allow'").message("spec.postgresql.sslmode: allow tries an unencrypted connection first, which is never better: use prefer, or better verify-full"))]
    pub sslmode: SslMode,
    /// The certificates of the authorities that may have signed the server's certificate, as PEM. Default: those that
    /// the operator's system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CaSource>,
    /// The Secret with the administrator's login: keys `username` and `password`. The role needs LOGIN and CREATEROLE,
    /// no more.
    #[x_kube(validation = Rule::new("has(self.keys) ? !has(self.keys.token) && !has(self.keys.apiToken) && !has(self.keys.bearerToken) : true").message("spec.postgresql.credentialsSecretRef.keys: this provider reads username and password: remove the others"))]
    pub credentials_secret_ref: CredentialsRef,
    /// Send the passwords of logins as they are, for a server that has to see them: one whose check of passwords (credcheck, a
    /// vendor's own) takes no hashed ones. They may end up in the server's log. Only with `sslmode` `verify-full` or `verify-ca`.
    /// Default: only hashes are sent (SCRAM-SHA-256 verifiers).
    #[serde(default)]
    pub send_plaintext_passwords: bool,
    /// What PostgresUsers may ask for besides a login. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Allowed>,
}

/// A further address of a PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct FurtherHost {
    /// The host name or address.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9._:-]+$"))]
    pub host: String,
    /// The port.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

fn default_port() -> i32 {
    5432
}

fn default_database() -> String {
    "postgres".to_string()
}

fn verify_full() -> SslMode {
    SslMode::VerifyFull
}

/// Where authorities' certificates are: one of the two.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)").message("spec.postgresql.ca: set either secretKeyRef or configMapKeyRef"))]
pub struct CaSource {
    /// A key of a Secret, where the credentials Secret is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<CaKeyRef>,
    /// A key of a ConfigMap, in the namespace where the credentials Secret is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<CaKeyRef>,
}

/// A key of a Secret or ConfigMap that holds certificates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct CaKeyRef {
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key.
    #[serde(default = "default_ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn default_ca_key() -> String {
    "ca.crt".to_string()
}

/// What PostgresUsers may ask for besides a login. A role that could read files or run programs on the server, or that
/// has such a role, is as good as a superuser: name only roles that you would give to whoever may make a PostgresUser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allowed {
    /// The roles of `spec.postgresql.memberOf`: patterns in which `*` stands for any text and `{namespace}` for the
    /// PostgresUser's namespace. PostgreSQL's own roles (`pg_…`), roles that have or get CREATEROLE or BYPASSRLS, and logins
    /// of other namespaces have to be named in full. Superusers, roles for replication and the operator's own login are given
    /// to nobody. What is taken off this list is revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub roles: Vec<String>,
    /// The attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub attributes: Vec<Attribute>,
    /// The roles of `spec.postgresql.reassignOwnedTo`: patterns like those of `roles`. Whoever gets a tenant's functions
    /// may run them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub reassign_owned_to: Vec<String>,
    /// The logins with CREATEROLE or BYPASSRLS that may be taken over (`spec.adoptionPolicy: Adopt`) where `allowAdoption`
    /// says that logins may be. Names, not patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub adoption: Vec<String>,
    /// The parameters of `spec.postgresql.config`: names in full and in lower case, such as `search_path`, or `app.*` for all
    /// that begin with `app.`. What is taken off this list is reset. A login sets for its own sessions whatever PostgreSQL
    /// lets it, whatever is allowed here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(
            length(min = 1, max = 127),
            regex(pattern = r"^[a-z_][a-z0-9_$]*([.]([a-z_][a-z0-9_$]*|[*]))?$")
        )
    )]
    pub config: Vec<String>,
}

/// An attribute of a role that has to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Attribute {
    CreateDatabase,
    CreateRole,
}

/// A Secret with credentials.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct CredentialsRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Which of the Secret's keys to read, where they have other names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<CredentialKeys>,
}

/// Which of a Secret's keys to read, where they have other names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialKeys {
    /// The key to read as `username`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = bounds::secret_key)]
    pub username: Option<String>,
    /// The key to read as `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = bounds::secret_key)]
    pub password: Option<String>,
    /// The key to read as `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = bounds::secret_key)]
    pub token: Option<String>,
    /// The key to read as `apiToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = bounds::secret_key)]
    pub api_token: Option<String>,
    /// The key to read as `bearerToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = bounds::secret_key)]
    pub bearer_token: Option<String>,
}

impl CredentialsRef {
    /// The Secret's key to read as this one.
    pub fn key<'a>(&'a self, name: &'a str) -> &'a str {
        self.mapped(name).unwrap_or(name)
    }

    /// The same, if the spec says which.
    pub fn mapped(&self, name: &str) -> Option<&str> {
        self.keys.as_ref()?.of(name)
    }
}

impl CredentialKeys {
    /// The key to read as this one, if the spec says which.
    fn of(&self, name: &str) -> Option<&str> {
        let said = match name {
            "username" => &self.username,
            "password" => &self.password,
            "token" => &self.token,
            "apiToken" => &self.api_token,
            "bearerToken" => &self.bearer_token,
            _ => &None,
        };
        said.as_deref()
    }
}

/// How clients connect: what goes into the output Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Connection {
    /// The host name or address. Default: what the provider says (IONOS: the cluster's `dnsName`; Scalingo: the
    /// database's `hostname`; postgresql: `spec.postgresql.host`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9._:-]+$"))]
    pub host: Option<String>,
    /// The port. Default: what the provider says, else 5432.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// The database. Default: what the provider says (Scalingo: the addon's own database; postgresql:
    /// `spec.postgresql.database`), else `postgres`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[^\x00-\x1f\x7f]+$"))]
    pub database: Option<String>,
    /// What the clients' `sslmode` is set to: `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`. Default:
    /// what the provider says (Scalingo: by what the database enforces), else `require`. `verify-full` is better, where the
    /// applications' images hold the authority's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslmode: Option<SslMode>,
    /// What the clients' `channel_binding` is set to: `disable`, `prefer` or `require`. With `require` a login works only where nobody
    /// is in between, whatever `sslmode` is; drivers that do not know it refuse it or pass it over. Default: nothing is said.
    #[serde(default, rename = "channelBinding", skip_serializing_if = "Option::is_none")]
    pub channel_binding: Option<ChannelBinding>,
}

/// libpq's `channel_binding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum ChannelBinding {
    Disable,
    Prefer,
    Require,
}

impl ChannelBinding {
    /// As libpq writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            ChannelBinding::Disable => "disable",
            ChannelBinding::Prefer => "prefer",
            ChannelBinding::Require => "require",
        }
    }
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

/// Whether passwords are tried by logins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Verification {
    #[default]
    Auto,
    Require,
    Never,
}

/// What is kept of the passwords on a server.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Passwords {
    /// The oldest that a password gets, as a duration (`2160h`), from 1s to 87600h: a generated one is changed by then, whether its
    /// PostgresUser has a rotation or not. A password of the user's own, and one of a suspended PostgresUser, is only told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(h|m|s))+$') && duration(self) >= duration('1s') && duration(self) <= duration('87600h')").message("spec.passwords.maxAge must be a duration from 1s to 87600h, such as 2160h for ninety days"))]
    pub max_age: Option<String>,
    /// The fewest characters that a password has. Generated ones get as many; a shorter one of the user's own is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 128))]
    pub min_length: Option<i32>,
}

/// How hard the remote side may be driven through this object. Objects that share credentials also share what the provider
/// takes from these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// The most requests in a minute, wherever the minute begins. Default: 300; Scalingo: 50, since it refuses more than
    /// 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60000))]
    pub requests_per_minute: Option<i32>,
    /// How many of these may be made at once; the others keep a distance. Default: a tenth of requestsPerMinute. More than
    /// requestsPerMinute means all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60000))]
    pub burst: Option<i32>,
    /// How many changes may be under way at once. Default: 1, one after another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub concurrent_changes: Option<i32>,
    /// The most logins that one namespace may have here. Those that it has already stay. Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub logins_per_namespace: Option<i32>,
    /// The most connections that a login may ask for, and what it gets where it asks for no limit (CONNECTION LIMIT).
    /// Provider `postgresql` only. Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub connections_per_login: Option<i32>,
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
    /// The database that clients connect to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// What clients' `sslmode` has to be at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslmode: Option<SslMode>,
    /// How many users the remote cluster has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<ServerUsers>,
    /// The first fifty, by name, of the users that belong to no PostgresUser. On a PostgresServer only: whoever may see a
    /// ClusterPostgresServer need not know the logins of all its teams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub unmanaged_usernames: Vec<String>,
    /// A keyed MAC of the credentials with which the cluster was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_mac: Option<String>,
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
