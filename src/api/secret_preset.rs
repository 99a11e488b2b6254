//! The sets of keys that an output Secret can have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys that every output Secret has, `ca.crt` where the server object names authorities: the operator knows what it has
/// published by the first two (I1), and every way to verify a server needs the third.
pub const ALWAYS: &[&str] = &[
    "username",
    "password",
    "ca.crt",
    PREVIOUS_USERNAME,
    PREVIOUS_PASSWORD,
];

/// The key of the login of before, where the Secret has that, too.
pub const PREVIOUS_USERNAME: &str = "previous-username";
/// The key of its password.
pub const PREVIOUS_PASSWORD: &str = "previous-password";

/// A set of keys for one kind of reader. Presets may be combined: a key that two of them have has the same value in both, or
/// they are refused together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum SecretPreset {
    Basic,
    Libpq,
    Uri,
    Jdbc,
    Dotnet,
    Django,
    Rails,
    Sqlalchemy,
    Node,
    Servicebinding,
    Pgpass,
}

/// Presets that write one key with different values, and the key.
pub const CLASHES: &[(SecretPreset, SecretPreset, &str)] = &[
    (SecretPreset::Node, SecretPreset::Django, "DATABASE_URL"),
    (SecretPreset::Node, SecretPreset::Rails, "DATABASE_URL"),
];

/// What is said of two presets that clash, of which the second is to go.
pub fn clash(one: SecretPreset, other: SecretPreset, key: &str) -> String {
    let (one, other) = (one.as_str(), other.as_str());
    format!(
        "spec.secret.presets: {one} and {other} write the key {key} with different values: leave {other} out, and have \
         spec.secret.data write its value, {{{{ uri }}}}, to another key"
    )
}

impl SecretPreset {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Basic,
        Self::Libpq,
        Self::Uri,
        Self::Jdbc,
        Self::Dotnet,
        Self::Django,
        Self::Rails,
        Self::Sqlalchemy,
        Self::Node,
        Self::Servicebinding,
        Self::Pgpass,
    ];

    /// As a spec has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Libpq => "libpq",
            Self::Uri => "uri",
            Self::Jdbc => "jdbc",
            Self::Dotnet => "dotnet",
            Self::Django => "django",
            Self::Rails => "rails",
            Self::Sqlalchemy => "sqlalchemy",
            Self::Node => "node",
            Self::Servicebinding => "servicebinding",
            Self::Pgpass => "pgpass",
        }
    }

    /// The keys that it may write besides [`ALWAYS`].
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Basic => &[
                "host",
                "port",
                "database",
                "dbname",
                "sslmode",
                "uri",
                "jdbc-url",
                "jdbc-uri",
                "pgpass",
                "type",
                "provider",
                "channel_binding",
            ],
            Self::Libpq => &[
                "PGHOST",
                "PGPORT",
                "PGDATABASE",
                "PGUSER",
                "PGPASSWORD",
                "PGSSLMODE",
                "PGSSLROOTCERT",
                "PGCHANNELBINDING",
            ],
            Self::Uri => &["uri"],
            Self::Jdbc => &["jdbc-url"],
            Self::Dotnet => &["ConnectionStrings__DefaultConnection"],
            Self::Django | Self::Rails | Self::Node => &["DATABASE_URL"],
            Self::Sqlalchemy => &["SQLALCHEMY_DATABASE_URI", "SQLALCHEMY_ASYNC_DATABASE_URI"],
            Self::Servicebinding => &[
                "type",
                "provider",
                "host",
                "port",
                "database",
                "sslmode",
                "uri",
                "certificates",
            ],
            Self::Pgpass => &["pgpass"],
        }
    }
}
