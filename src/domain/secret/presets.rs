//! What each preset writes.

use zeroize::Zeroizing;

use super::Login;
use crate::api::SecretPreset;

/// The value of the key `type`, in the words of Service Binding for Kubernetes.
const TYPE: &str = "postgresql";

/// A key and its value.
pub type Pair = (&'static str, Zeroizing<String>);

/// What every Secret has.
pub fn always(login: &Login<'_>) -> Vec<Pair> {
    let mut pairs = vec![
        ("username", text(login.username)),
        ("password", text(login.password.reveal())),
    ];
    pairs.extend(login.ca().map(|ca| ("ca.crt", text(ca))));
    pairs
}

/// What a preset adds to that.
pub fn of(preset: SecretPreset, login: &Login<'_>) -> Vec<Pair> {
    match preset {
        SecretPreset::Basic => basic(login),
        SecretPreset::Libpq => libpq(login),
        SecretPreset::Uri => vec![("uri", login.uri())],
        SecretPreset::Jdbc => vec![("jdbc-url", login.jdbc())],
        SecretPreset::Dotnet => vec![("ConnectionStrings__DefaultConnection", login.dotnet())],
        SecretPreset::Django | SecretPreset::Rails => vec![("DATABASE_URL", login.uri())],
        SecretPreset::Node => vec![("DATABASE_URL", login.node())],
        SecretPreset::Sqlalchemy => vec![
            ("SQLALCHEMY_DATABASE_URI", login.psycopg()),
            ("SQLALCHEMY_ASYNC_DATABASE_URI", login.asyncpg()),
        ],
        SecretPreset::Servicebinding => servicebinding(login),
        SecretPreset::Pgpass => vec![("pgpass", login.pgpass())],
    }
}

/// `jdbc-url` and `jdbc-uri` are the same text, username and password included, since readers of either name expect to need
/// nothing else.
fn basic(login: &Login<'_>) -> Vec<Pair> {
    let jdbc = login.jdbc();
    let mut pairs = address(login);
    pairs.extend([
        ("dbname", text(&login.details.database)),
        ("uri", login.uri()),
        ("jdbc-url", jdbc.clone()),
        ("jdbc-uri", jdbc),
        ("pgpass", login.pgpass()),
    ]);
    pairs.extend(login.binding().map(|binding| ("channel_binding", text(binding))));
    pairs
}

/// The variables that libpq reads, and those who do as it does.
fn libpq(login: &Login<'_>) -> Vec<Pair> {
    let mut pairs = vec![
        ("PGHOST", text(&login.details.host)),
        ("PGPORT", text(&login.details.port.to_string())),
        ("PGDATABASE", text(&login.details.database)),
        ("PGUSER", text(login.username)),
        ("PGPASSWORD", text(login.password.reveal())),
        ("PGSSLMODE", text(login.details.sslmode.as_str())),
    ];
    let file = login.root_certificate();
    pairs.extend(file.map(|file| ("PGSSLROOTCERT", text(&file))));
    pairs.extend(login.binding().map(|binding| ("PGCHANNELBINDING", text(binding))));
    pairs
}

/// The well-known entries of Service Binding for Kubernetes, and `sslmode`, which its readers look for as well.
fn servicebinding(login: &Login<'_>) -> Vec<Pair> {
    let mut pairs = address(login);
    pairs.push(("uri", login.uri()));
    pairs.extend(login.ca().map(|ca| ("certificates", text(ca))));
    pairs
}

fn address(login: &Login<'_>) -> Vec<Pair> {
    let details = login.details;
    vec![
        ("type", text(TYPE)),
        ("provider", text(details.provider)),
        ("host", text(&details.host)),
        ("port", text(&details.port.to_string())),
        ("database", text(&details.database)),
        ("sslmode", text(details.sslmode.as_str())),
    ]
}

fn text(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_string())
}
