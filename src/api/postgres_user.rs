//! `PostgresUser`: one PostgreSQL login for one application.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds;
use super::names;
use super::postgres_server::SslMode;
use super::secret_preset::SecretPreset;
use super::valid_until::ValidUntil;

/// One PostgreSQL login for one application: it exists on the server as long as this object does, and a Secret
/// holds everything needed to connect with it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "pguser.dev",
    version = "v1alpha1",
    kind = "PostgresUser",
    namespaced,
    status = "UserStatus",
    shortname = "pguser",
    doc = "A PostgreSQL login for one application, with a Secret that holds everything needed to connect.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Server","type":"string","jsonPath":".spec.serverRef.name"}"#,
    printcolumn = r#"{"name":"Secret","type":"string","jsonPath":".status.binding.name"}"#,
    printcolumn = r#"{"name":"Username","type":"string","jsonPath":".status.username","priority":1}"#,
    printcolumn = r#"{"name":"Since","type":"date","jsonPath":".status.conditions[?(@.type==\"Ready\")].lastTransitionTime"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    validation = Rule::new("has(self.spec.username) || size(self.metadata.name) <= 63")
        .message("metadata.name is longer than the 63 characters of a PostgreSQL username: set spec.username"),
    // At the root, so for new objects only: see `bounds`.
    validation = Rule::new("oldSelf.hasValue() || (has(self.spec.secret) && has(self.spec.secret.name)) || size(self.metadata.name) <= 244")
        .message("metadata.name followed by -postgres is longer than the 253 characters of a Secret's name: set spec.secret.name")
        .optional_old_self(true),
    validation = Rule::new("(has(self.spec.username) ? self.spec.username : self.metadata.name) == (has(oldSelf.spec.username) ? oldSelf.spec.username : oldSelf.metadata.name)")
        .message("spec.username (default: metadata.name) is immutable: make another PostgresUser for the new name and delete this one when nothing uses it"),
    validation = Rule::new("(has(self.spec.secret) && has(self.spec.secret.name) ? self.spec.secret.name : self.metadata.name + '-postgres') == (has(oldSelf.spec.secret) && has(oldSelf.spec.secret.name) ? oldSelf.spec.secret.name : oldSelf.metadata.name + '-postgres')")
        .message("spec.secret.name (default: metadata.name followed by -postgres) is immutable: Pods mount the Secret by this name"),
    validation = Rule::new("!has(self.spec.rotation) || !has(self.spec.password) || !has(self.spec.password.secretRef)")
        .message("spec.rotation is for generated passwords: a password of your own (spec.password.secretRef) changes when you change its Secret; remove one of the two"),
    validation = Rule::new("!has(self.spec.rotation) || !has(self.spec.rotation.maxWait) || (has(self.spec.rotation.retire) && self.spec.rotation.retire == 'WhenUnused') || (has(self.spec.restart) && self.spec.restart.mode == 'Rolling')")
        .message("spec.rotation.maxWait is for rotation.retire: WhenUnused, and for restart.mode: Rolling: set one of the two, or remove it"),
    validation = Rule::new("(has(self.spec.scalingo) && self.spec.scalingo.readOnly) == (has(oldSelf.spec.scalingo) && oldSelf.spec.scalingo.readOnly)")
        .message("spec.scalingo.readOnly is immutable, since Scalingo decides it when the login is made: make another PostgresUser")
)]
#[serde(rename_all = "camelCase")]
pub struct PostgresUserSpec {
    /// The server on which the login exists. May be changed to another server object that reaches the same database
    /// (from a vendor's API to SQL, say): the login, its password and the Secret stay. To another database nothing is
    /// moved, and the condition says so.
    pub server_ref: ServerRef,

    /// The login's name on the server, exactly as given (upper case, spaces and quotes are kept). Default: the
    /// object's name. Immutable. At most 63 characters, and 63 bytes in UTF-8, without control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[^\x00-\x1f\x7f]+$"))]
    pub username: Option<String>,

    /// Where the password comes from. Default: generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordSource>,

    /// When a generated password is changed without anybody asking. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,

    /// The Secret that is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = bounds::secret_formats)]
    pub secret: Option<OutputSecret>,

    /// What is restarted after the Secret was written with another password or username. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,

    /// What only a login of the provider `scalingo` has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalingo: Option<ScalingoUser>,

    /// What only a login of the provider `postgresql` has. Absent: a login that the operator made has the defaults
    /// below, one that it took over is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgresql: Option<PostgresqlUser>,

    /// What to do when the server already has a user of this name: `Refuse` (stop and say so) or `Adopt` (take
    /// it over and give it a new password, where the server object allows it). System users are never adopted.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,

    /// What happens to the login and the Secret when this object is deleted: `Delete` both or `Retain` both. Default:
    /// `Delete` for a login that was made for this object, `Retain` for one that it has taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,

    /// While true, nothing is changed on the server or in the Secret. Deletion goes on.
    #[serde(default)]
    pub suspend: bool,
}

/// What only a login at Scalingo has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingoUser {
    /// The login may only read. Immutable: Scalingo decides it when the login is made.
    #[serde(default)]
    pub read_only: bool,
}

/// A role's attributes and memberships, on a server that is spoken to in SQL. All are kept as they are written here,
/// within what the server object allows (`spec.postgresql.allowed`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresqlUser {
    /// The roles that it is a member of, with all of their rights. Memberships that somebody else has granted are left
    /// alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub member_of: Vec<String>,
    /// How many connections it may have at once (CONNECTION LIMIT); -1: any number.
    #[serde(default = "no_limit")]
    #[schemars(range(min = -1, max = 2_147_483_647))]
    pub connection_limit: i32,
    /// Until when its password is valid (VALID UNTIL): a date with an offset (`2030-01-01T00:00:00Z`), or `infinity`. Absent:
    /// for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<ValidUntil>,
    /// It may make databases (CREATEDB).
    #[serde(default)]
    pub create_database: bool,
    /// It may make roles (CREATEROLE).
    #[serde(default)]
    pub create_role: bool,
    /// It has the rights of the roles that it is a member of without SET ROLE (INHERIT).
    #[serde(default = "yes")]
    pub inherit: bool,
    /// The role that gets what the login owns when it is deleted. Absent: a login that owns anything is not deleted,
    /// and a condition names what it owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[^\x00-\x1f\x7f]+$"))]
    pub reassign_owned_to: Option<String>,
    /// The configuration parameters that its sessions begin with (ALTER ROLE … SET): names in lower case, such as `search_path`,
    /// with values as `postgresql.conf` has them. What is taken out of this list is reset; parameters that somebody else has set
    /// for the login are left alone. Each has to be allowed by the server object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = bounds::parameters)]
    pub config: BTreeMap<String, String>,
}

fn no_limit() -> i32 {
    -1
}

fn yes() -> bool {
    true
}

/// Which server object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
pub struct ServerRef {
    /// `PostgresServer` (in the same namespace) or `ClusterPostgresServer`.
    #[serde(default)]
    pub kind: ServerKind,
    /// The server object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The kinds of server objects.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[allow(missing_docs)]
pub enum ServerKind {
    #[default]
    PostgresServer,
    ClusterPostgresServer,
}

/// What to do about a user that exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs)]
pub enum AdoptionPolicy {
    #[default]
    Refuse,
    Adopt,
}

/// What to do with the login and the Secret when the object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs)]
pub enum DeletionPolicy {
    Delete,
    Retain,
}

/// Where the password comes from: at most one of the fields; none means generated with the defaults.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[x_kube(validation = Rule::new("!(has(self.generate) && has(self.secretRef))").message("spec.password: set either generate or secretRef, not both"))]
#[serde(rename_all = "camelCase")]
pub struct PasswordSource {
    /// Generate one, under these rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// Take it from a Secret in the same namespace. When that Secret changes, the new password is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
}

/// When and how a generated password is changed: after an interval or by a schedule, and, with either or neither, whenever the
/// annotation `pguser.dev/rotate` asks for it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[x_kube(validation = Rule::new("!(has(self.interval) && has(self.schedule)) && (has(self.interval) || has(self.schedule) || has(self.strategy) || has(self.endSessions))").message("spec.rotation: set either interval or schedule"))]
#[x_kube(validation = Rule::new("!has(self.jitter) || has(self.interval) || has(self.schedule)").message("spec.rotation.jitter needs an interval or a schedule: set either interval or schedule"))]
#[x_kube(validation = Rule::new("(has(self.strategy) && self.strategy == 'Alternating') || !(has(self.overlap) || has(self.retire) || has(self.maxWait))").message("spec.rotation: overlap, retire and maxWait are for strategy: Alternating"))]
#[x_kube(validation = Rule::new("!has(self.timeZone) || has(self.schedule)").message("spec.rotation.timeZone is for schedule: an interval has no time of day"))]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// The oldest that a password gets, as a duration (`720h`), at most 87600h. The operator's flag
    /// `--min-rotation-interval` is a floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(h|m|s))+$') && duration(self) >= duration('1s') && duration(self) <= duration('87600h')").message("spec.rotation.interval must be a duration from 1s to 87600h, such as 720h for thirty days"))]
    pub interval: Option<String>,
    /// The times at which it is changed: the five fields of crontab(5), such as `0 3 * * 0`. A time that was missed is made
    /// up for, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 128))]
    pub schedule: Option<String>,
    /// The time zone of the schedule, as the IANA database names it. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// So that not all passwords are changed at once: by up to how much earlier than the interval asks, or later than the
    /// schedule. Default: a tenth of the interval; of a schedule, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(h|m|s))+$') && duration(self) <= duration('87600h')").message("spec.rotation.jitter must be a duration of at most 87600h, such as 12h"))]
    pub jitter: Option<String>,
    /// How it is changed. `InPlace`, the default: the login gets another password, and the one of before works no more.
    /// `Alternating`: two logins, the username followed by `_a` and by `_b`, take turns, and the one of before goes on working
    /// until the overlap is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// For how long the login of before goes on working after another one was published (`1h`, the default; at most 8760h).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(h|m|s))+$') && duration(self) <= duration('8760h')").message("spec.rotation.overlap must be a duration of at most 8760h, such as 1h"))]
    pub overlap: Option<String>,
    /// When the login of before is retired: `AfterOverlap`, the default, or `WhenUnused`, once it has no session left after the
    /// overlap (by SQL only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire: Option<Retire>,
    /// With `WhenUnused`: how long after the overlap the login of before is retired all the same (`24h`, the default; at most
    /// 8760h). With `spec.restart`: how long after the overlap a rollout that does not finish is a condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(h|m|s))+$') && duration(self) <= duration('8760h')").message("spec.rotation.maxWait must be a duration of at most 8760h, such as 24h"))]
    pub max_wait: Option<String>,
    /// Whether sessions that were begun with the old password end with it, so that a rotation evicts whoever has stolen it (by
    /// SQL only). With `Alternating` they end when the login of before is retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_sessions: Option<bool>,
}

/// How a password is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Strategy {
    #[default]
    InPlace,
    Alternating,
}

/// When the login of before is retired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Retire {
    #[default]
    AfterOverlap,
    WhenUnused,
}

/// How a password is generated, in the words of External Secrets' Password generator.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[x_kube(validation = Rule::new("self.digits + self.symbols <= self.length").message("spec.password.generate: digits and symbols together are more than length"))]
#[x_kube(validation = Rule::new("self.symbols == 0 || size(self.symbolCharacters) > 0").message("spec.password.generate: symbols are asked for, but symbolCharacters is empty"))]
#[serde(rename_all = "camelCase")]
pub struct Generate {
    /// How many characters. The default, 32, fits every provider (IONOS takes 10 to 63, Scalingo 24 to 64).
    #[serde(default = "default_length")]
    #[schemars(range(min = 10, max = 128))]
    pub length: i32,
    /// How many of them are digits.
    #[serde(default = "default_digits")]
    #[schemars(range(min = 0, max = 128))]
    pub digits: i32,
    /// How many of them are symbols.
    #[serde(default = "default_symbols")]
    #[schemars(range(min = 0, max = 128))]
    pub symbols: i32,
    /// The symbols to choose from: printable ASCII without letters, digits, space and backslash. The default
    /// is safe in a URI.
    #[serde(default = "default_symbol_characters")]
    #[schemars(length(max = 32), regex(pattern = r"^[!-/:-@\[\]^_`{-~]*$"))]
    pub symbol_characters: String,
    /// Leave out upper-case letters.
    #[serde(default)]
    pub no_upper: bool,
    /// Let a character occur more than once. Without, length is bounded by the characters there are.
    #[serde(default = "default_allow_repeat")]
    pub allow_repeat: bool,
}

fn default_length() -> i32 {
    32
}
fn default_digits() -> i32 {
    6
}
fn default_symbols() -> i32 {
    2
}
fn default_symbol_characters() -> String {
    "-_".to_string()
}
fn default_allow_repeat() -> bool {
    true
}

impl Default for Generate {
    fn default() -> Self {
        Self {
            length: default_length(),
            digits: default_digits(),
            symbols: default_symbols(),
            symbol_characters: default_symbol_characters(),
            no_upper: false,
            allow_repeat: default_allow_repeat(),
        }
    }
}

/// A key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key that holds the password.
    #[serde(default = "default_password_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn default_password_key() -> String {
    "password".to_string()
}

/// What the output Secret looks like.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputSecret {
    /// Its name. Default: the object's name followed by `-postgres`. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new(bounds::is_subdomain()).message("spec.secret.name must be a Secret's name: lower-case letters, digits, dashes and dots, with a letter or digit at both ends and on both sides of every dot"))]
    pub name: Option<String>,
    /// With `rotation.strategy: Alternating`: whether it has the login of before as `previous-username` and `previous-password`, until
    /// its overlap is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_previous: Option<bool>,
    /// Labels it carries besides the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = bounds::secret_labels)]
    pub labels: BTreeMap<String, String>,
    /// Annotations it carries besides the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = bounds::secret_annotations)]
    pub annotations: BTreeMap<String, String>,
    /// Which sets of keys it has besides `username`, `password` and, where the server object names authorities, `ca.crt`. Default:
    /// `basic`. An empty list: none. docs/secret-formats.md says what each has in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // Not a set: server-side apply leaves nothing where a set becomes empty, which would be the default.
    #[schemars(length(max = 11), extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = Rule::new("self.all(preset, self.exists_one(other, other == preset))").message("spec.secret.presets: name each preset once"))]
    pub presets: Option<Vec<SecretPreset>>,
    /// Where the application's Pods mount it, such as `/etc/postgres`: values that can name a file of authorities name
    /// `ca.crt` there, if the Secret has one and `sslmode` verifies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/[^\x00-\x1f\x7f:]*$"))]
    pub mount_path: Option<String>,
    /// More keys, each with a template in the manner of Jinja for its value: `{{ username|urlencode }}`. Only `{{ }}` and
    /// `{% if %}` are known, and the variables and filters of docs/secret-formats.md.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(transform = bounds::secret_data)]
    pub data: BTreeMap<String, String>,
}

impl OutputSecret {
    /// The presets that it asks for.
    pub fn presets(&self) -> &[SecretPreset] {
        self.presets.as_deref().unwrap_or(&[SecretPreset::Basic])
    }
}

/// Which workloads of the namespace are restarted, and how: those that use the Secret by their Pod template, unless they are
/// named or selected.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[x_kube(validation = Rule::new("!(has(self.names) && has(self.selector))").message("spec.restart: set either names or selector; without both, the workloads are restarted whose Pods use the Secret"))]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// `None`, the default, or `Rolling`: Deployments, StatefulSets and DaemonSets are restarted as by `kubectl rollout restart`,
    /// once for each password or username that is published in place of another.
    #[serde(default)]
    pub mode: RestartMode,
    /// The workloads, as `deployment/shop`, `statefulset/worker`, `daemonset/agent`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 32),
        inner(
            length(max = 265),
            regex(pattern = r"^([dD]eployment|[sS]tateful[sS]et|[dD]aemon[sS]et)/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
        ),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub names: Vec<String>,
    /// The workloads by their labels (not those of their Pods). An empty one selects all of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = bounds::workload_selector)]
    pub selector: Option<LabelSelector>,
}

/// How workloads are restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs)]
pub enum RestartMode {
    #[default]
    None,
    Rolling,
}

/// What the operator found and did.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserStatus {
    /// The generation of the spec that this status speaks of; -1 before the operator has seen the object.
    #[serde(default = "not_observed")]
    pub observed_generation: i64,
    /// `Ready`, `CredentialsVerified`, and `Reconciling` or `Stalled` while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
    /// The login's name on the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The published Secret, as Service Binding for Kubernetes looks for it. Set only once it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// The remote users that belong to this object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["username".to_string()]))]
    pub remote_users: Vec<RemoteUserRecord>,
    /// The output Secret as it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<PublishedSecret>,
    /// The age of the password, where it is known or matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordStatus>,
    /// The restart of workloads for what is published, where `spec.restart` asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartStatus>,
    /// The value of the annotation `pguser.dev/rotate` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_rotation: Option<String>,
    /// A password of the user's own that the server refused; it is not sent again until it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_password: Option<RejectedPassword>,
    /// Attributes or memberships that the server refused; they are not asked for again until `spec` changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_settings: Option<RejectedPassword>,
    /// When the password was set back after a change from outside, by the operator's clock; the last three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_backs: Vec<Time>,
    /// While `Ready` is false with reason `DeletionBlocked`: what on the server keeps the login from being deleted, the first
    /// twenty. Only by SQL is that known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletion_blockers: Vec<DeletionBlocker>,
    /// Memberships that the login has and that the server object does not allow, as after an upgrade that reads
    /// `postgresql.allowed` more narrowly. They are told (`InvalidSettings`), and taken back once the server object changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["role".to_string()]))]
    pub denied_memberships: Vec<DeniedMembership>,
}

/// A membership that the server object does not allow, and since when that has been known.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedMembership {
    /// The role.
    pub role: String,
    /// The UID of the server object that does not allow it.
    pub server_uid: String,
    /// Its generation then: with another one, the membership is taken back.
    pub server_generation: i64,
}

fn not_observed() -> i64 {
    -1
}

/// A local reference, as Service Binding's duck type has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Binding {
    /// The Secret's name.
    pub name: String,
}

/// One remote user and how it came to be ours.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoteUserRecord {
    /// The login's name.
    pub username: String,
    /// The provider.
    pub provider: String,
    /// The remote cluster: endpoint and id.
    pub cluster: String,
    /// The server object by which it came to be this object's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_ref: Option<ServerRef>,
    /// Made by the operator or taken over.
    pub ownership: Ownership,
    /// When it was made, by the remote's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
    /// The remote's date of last change after the operator's own last change, by the remote's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_set: Option<Time>,
    /// A keyed MAC (key id, colon, hex) of what the server keeps of the password: another one means that somebody else
    /// has changed the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_stamp: Option<String>,
    /// The memberships that were granted because `spec.postgresql.memberOf` asked for them: these are taken back when it does
    /// not any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memberships: Option<Vec<Membership>>,
    /// The parameters that were set because `spec.postgresql.config` asked for them: these are reset when it does not any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<String>,
    /// Of a login that was published before another one took its place: until when it goes on working at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire_after: Option<Time>,
    /// When it was retired: since then nobody can log in with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Time>,
}

/// A membership that was granted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// The role that the login is a member of.
    pub role: String,
    /// The role that counts as having granted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grantor: Option<String>,
}

/// One thing on the server that keeps a login from being deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionBlocker {
    /// The database that it is in. None: it is in none, as databases and settings are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// What kind of thing it is: `table`, `schema`, `large object`.
    pub kind: String,
    /// Its name, as SQL has it.
    pub object: String,
    /// What the login has to do with it: `owner`, `privileges`, `policy` or `initial privileges`.
    pub hold: String,
    /// The privileges that the login has on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileges: Option<String>,
    /// The role that gave them, and can take them back; of a policy, the owner of its table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grantor: Option<String>,
    /// What ends it, to be said in psql in that database by the grantor or a superuser; where there is no grantor, by a superuser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What ends it by dropping it instead, and all that is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_command: Option<String>,
}

/// How a remote user came to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Ownership {
    /// It was made.
    Owned,
    /// It was there, and was taken over.
    Adopted,
    /// It was made through another server object, and taken over from that.
    Moved,
}

/// The output Secret as published.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublishedSecret {
    /// Its name.
    pub name: String,
    /// The login that it is for, where that is another than `spec.username`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The login of before, where it has that, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Its resourceVersion after publication.
    pub resource_version: String,
    /// A keyed MAC of the password (key id, colon, hex); the key is in the operator's namespace.
    pub password_mac: String,
    /// A digest of everything in it but the password.
    pub content_digest: String,
    /// The address that it names, as `host:port/database`. Another one is tried by a login before it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The `sslmode` that it names, or would name if its presets had a key for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslmode: Option<SslMode>,
    /// The version and key of the user's own Secret that the password came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<String>,
}

/// The age of a password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordStatus {
    /// When it was published, by the operator's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_changed: Option<Time>,
    /// Why it was changed then: `Created`, `Adopted`, `Requested`, `Scheduled`, `StrategyChanged`, `OwnPassword`, `SecretDamaged`,
    /// `Reverted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When a login with it was last seen to work, as far as there was anything else to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verified: Option<Time>,
    /// When it is changed next, as `spec.rotation` or `spec.passwords` of the server object asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation: Option<Time>,
}

/// A restart of workloads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartStatus {
    /// Names the publication that it is for: a digest. The Pod templates that were changed for it have the same one as an
    /// annotation.
    pub r#for: String,
    /// When all of them were restarted; absent while they still have to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How many they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i32>,
    /// The first of them, as `deployment/shop`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<String>,
    /// Those of `spec.restart.names` that were not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A wish for a password that the server refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectedPassword {
    /// Which wish: the keyed MAC of a password of the user's own, else generation and rotation.
    pub wish: String,
    /// What the server answered: codes only.
    pub message: String,
}

impl PostgresUser {
    /// The annotation that says which remote user it has, or wants.
    pub fn claim(&self) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations.get(names::CLAIM).map(String::as_str)
    }

    /// The login's name on the server: `spec.username`, or the object's name.
    pub fn username(&self) -> &str {
        self.spec
            .username
            .as_deref()
            .or(self.metadata.name.as_deref())
            .unwrap_or_default()
    }

    /// What is published, if anything is.
    pub fn published(&self) -> Option<&PublishedSecret> {
        self.status.as_ref()?.secret.as_ref()
    }

    /// The login of before that the published Secret has, too.
    pub fn published_before(&self) -> Option<&str> {
        self.published()?.previous.as_deref()
    }

    /// The login that is published, or will be: where two take turns, the one whose turn it is.
    pub fn published_username(&self) -> &str {
        self.published()
            .and_then(|secret| secret.username.as_deref())
            .unwrap_or_else(|| self.username())
    }

    /// All that is recorded of logins that are this object's.
    pub fn records(&self) -> &[RemoteUserRecord] {
        self.status
            .as_ref()
            .map_or(&[], |status| status.remote_users.as_slice())
    }

    /// The record of one of its logins.
    pub fn record_of(&self, username: &str) -> Option<&RemoteUserRecord> {
        self.records().iter().find(|record| record.username == username)
    }

    /// The record of its login: how it came to be this object's. None as long as it is not. Where there are several, that of
    /// the one that is published.
    pub fn record(&self) -> Option<&RemoteUserRecord> {
        self.record_of(self.published_username())
            .or_else(|| self.records().first())
    }

    /// Whether two logins are to take turns.
    pub fn alternates(&self) -> bool {
        let rotation = self.spec.rotation.as_ref();
        rotation.and_then(|rotation| rotation.strategy) == Some(Strategy::Alternating)
    }

    /// What is to be restarted after a change of what is published, if anything.
    pub fn restart(&self) -> Option<&Restart> {
        let restart = self.spec.restart.as_ref();
        restart.filter(|restart| restart.mode == RestartMode::Rolling)
    }

    /// Whether its login and its Secret stay when it is deleted: what its spec says, else what was there before it.
    pub fn retains(&self) -> bool {
        match self.spec.deletion_policy {
            Some(policy) => policy == DeletionPolicy::Retain,
            None => self
                .record()
                .is_some_and(|record| record.ownership == Ownership::Adopted),
        }
    }

    /// The output Secret's name.
    pub fn secret_name(&self) -> String {
        let named = self.spec.secret.as_ref().and_then(|secret| secret.name.clone());
        named.unwrap_or_else(|| format!("{}-postgres", self.metadata.name.as_deref().unwrap_or_default()))
    }
}
