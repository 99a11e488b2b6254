//! What the drivers log in with: Secrets as the operator renders them, and the SQL that makes their roles. No test, but built
//! like one, so that `cargo build` passes it over: `hack/test-drivers` runs it.
//!
//! ```text
//! drivers sql                                             prints SQL for a superuser
//! drivers write DIRECTORY PORT PLAIN MISNAMED CA OTHER    writes DIRECTORY/CASE/LOGIN/KEY, and for each preset
//!                                                         DIRECTORY/CASE/LOGIN/presets/PRESET/KEY
//! ```
//!
//! PLAIN is the port of a server without TLS, MISNAMED of one with a certificate for another name; OTHER is an authority that has
//! signed nothing.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use pguser_operator::api::{OutputSecret, SecretPreset, SslMode};
use pguser_operator::domain::connection::ConnectionDetails;
use pguser_operator::domain::generate::check_own;
use pguser_operator::domain::password::Password;
use pguser_operator::domain::secret::render_presets;
use pguser_operator::domain::username::{Policy, check};
use pguser_operator::provider::postgresql::CAPABILITIES;

/// Who logs in, and to which database.
struct Login {
    name: &'static str,
    username: &'static str,
    password: &'static str,
    database: &'static str,
}

const fn login(name: &'static str, username: &'static str, password: &'static str) -> Login {
    Login {
        name,
        username,
        password,
        database: "orders",
    }
}

/// Each has one thing that a driver may stumble over. The tables call them by their names.
const LOGINS: [Login; 11] = [
    login("plain", "checkout", "vNqzRkWp-0123456789_tLsXhGdBcJfM"),
    login("spaces", " two  spaces ", " pass  word "),
    login("quotes", "it's \"odd\" \\ `x`", "'\"\\`$HOME '' \"\" \\\\ {x}"),
    // `%41` is an A to whoever decodes twice.
    login("url", "a@b:c/d%41#f?g&h;k+l", "@:/%#?&=,;+!$()[]{}<>|^~*%41%2B"),
    // SCRAM has these escaped in a name.
    login("commas", "a,b=c", "a,b=c"),
    // Alone, it is a wildcard in a password file.
    login("star", "*", "*"),
    login("latin", "Jürgen", "Pässwörd-ñ-ß"),
    login("emoji", "emoji", "🦀 pass 🦀"),
    login("emoji-name", "crab 🦀", "vNqzRkWp-0123456789_tLsXhGdBcJfM"),
    // A space that does not break, a ligature, a half and a soft hyphen: SASLprep makes other characters of them, and whoever
    // leaves it out sends another password.
    login(
        "prepared",
        "prepared",
        "a\u{a0}b \u{fb01} \u{bd} c\u{ad}d u\u{308}",
    ),
    Login {
        database: "or ders/ü?&=#%41",
        ..login("database", "mover", "vNqzRkWp-0123456789_tLsXhGdBcJfM")
    },
];

/// Which of the servers.
#[derive(Clone, Copy)]
enum Server {
    /// With TLS, and a certificate for `localhost` alone.
    Good,
    /// Without TLS.
    Plain,
    /// With a certificate for another name.
    Misnamed,
}

/// How a server is reached, and what is known of it.
struct Case {
    name: &'static str,
    server: Server,
    host: &'static str,
    sslmode: SslMode,
    /// Whether `ca.crt` is the server's authority, or another one.
    ca_is_other: bool,
}

const fn case(name: &'static str, sslmode: SslMode) -> Case {
    Case {
        name,
        server: Server::Good,
        host: "localhost",
        sslmode,
        ca_is_other: false,
    }
}

const fn case_at(server: Server, name: &'static str, sslmode: SslMode) -> Case {
    Case {
        server,
        ..case(name, sslmode)
    }
}

const fn case_of_another_authority(name: &'static str, sslmode: SslMode) -> Case {
    Case {
        ca_is_other: true,
        ..case(name, sslmode)
    }
}

/// With all logins.
const CASES: [Case; 6] = [
    case("disable", SslMode::Disable),
    case("allow", SslMode::Allow),
    case("prefer", SslMode::Prefer),
    case("require", SslMode::Require),
    case("verify-ca", SslMode::VerifyCa),
    case("verify-full", SslMode::VerifyFull),
];

/// With the first login alone: what a verification must see.
const TRAPS: [Case; 9] = [
    case_at(Server::Plain, "prefer-without-tls", SslMode::Prefer),
    case_at(Server::Plain, "require-without-tls", SslMode::Require),
    case_at(Server::Plain, "verify-full-without-tls", SslMode::VerifyFull),
    case_of_another_authority("require-other-authority", SslMode::Require),
    case_of_another_authority("verify-ca-other-authority", SslMode::VerifyCa),
    case_of_another_authority("verify-full-other-authority", SslMode::VerifyFull),
    case_at(Server::Misnamed, "verify-ca-other-name", SslMode::VerifyCa),
    case_at(Server::Misnamed, "verify-full-other-name", SslMode::VerifyFull),
    Case {
        host: "127.0.0.1",
        ..case("verify-full-other-address", SslMode::VerifyFull)
    },
];

/// The servers' ports, and the certificates that a Secret may name.
struct Servers {
    good: u16,
    plain: u16,
    misnamed: u16,
    own: Arc<[u8]>,
    other: Arc<[u8]>,
}

impl Servers {
    fn read(ports: [&str; 3], own: &str, other: &str) -> Result<Self, Box<dyn Error>> {
        let [good, plain, misnamed] = ports;
        Ok(Self {
            good: good.parse()?,
            plain: plain.parse()?,
            misnamed: misnamed.parse()?,
            own: fs::read(own)?.into(),
            other: fs::read(other)?.into(),
        })
    }

    fn authority(&self, case: &Case) -> Arc<[u8]> {
        match case.ca_is_other {
            true => self.other.clone(),
            false => self.own.clone(),
        }
    }

    fn port(&self, case: &Case) -> u16 {
        match case.server {
            Server::Good => self.good,
            Server::Plain => self.plain,
            Server::Misnamed => self.misnamed,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    LOGINS.iter().try_for_each(may_be_asked_for)?;
    match arguments[..] {
        ["sql"] => print!("{}", sql()),
        ["write", directory, good, plain, misnamed, own, other] => {
            let servers = Servers::read([good, plain, misnamed], own, other)?;
            write(Path::new(directory), &servers)?;
        }
        _ => return Err("usage: drivers sql | drivers write DIRECTORY PORT PLAIN MISNAMED CA OTHER".into()),
    }
    Ok(())
}

/// By the operator's own rules: what it refuses need not work.
fn may_be_asked_for(login: &Login) -> Result<(), String> {
    let policy = Policy {
        usernames: None,
        namespace: "shop",
    };
    let refused = check(login.username, &policy, &CAPABILITIES)
        .or_else(|| check_own(&Password::new(login.password), &CAPABILITIES));
    refused.map_or(Ok(()), |refused| {
        Err(format!("{}: {}", login.name, refused.message))
    })
}

fn sql() -> String {
    let databases: BTreeSet<&str> = LOGINS.iter().map(|login| login.database).collect();
    let databases = databases
        .into_iter()
        .map(|database| format!("CREATE DATABASE {};\n", identifier(database)));
    let roles = LOGINS.iter().map(|login| {
        let (name, password) = (identifier(login.username), literal(login.password));
        format!("CREATE ROLE {name} LOGIN PASSWORD {password};\n")
    });
    databases.chain(roles).collect()
}

fn identifier(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Where a backslash is one, which is PostgreSQL's default (`standard_conforming_strings`).
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn write(directory: &Path, servers: &Servers) -> Result<(), Box<dyn Error>> {
    let everything = CASES
        .iter()
        .flat_map(|case| LOGINS.iter().map(move |login| (case, login)));
    let traps = TRAPS.iter().map(|case| (case, &LOGINS[0]));
    everything.chain(traps).try_for_each(|(case, login)| {
        let details = ConnectionDetails {
            host: case.host.to_string(),
            port: servers.port(case),
            database: login.database.to_string(),
            sslmode: case.sslmode,
            channel_binding: None,
            provider: CAPABILITIES.name,
            ca: Some(servers.authority(case)),
        };
        let folder = directory.join(case.name).join(login.name);
        mount(&folder, &details, login, &OutputSecret::default())?;
        let mut presets = SecretPreset::ALL.into_iter();
        presets.try_for_each(|preset| mount_preset(&folder, &details, login, preset))
    })
}

/// Each by itself, since they may have one key with different values; and with `mountPath`.
fn mount_preset(
    folder: &Path,
    details: &ConnectionDetails,
    login: &Login,
    preset: SecretPreset,
) -> Result<(), Box<dyn Error>> {
    let folder = folder.join("presets").join(preset.as_str());
    let spec = OutputSecret {
        presets: Some(vec![preset]),
        mount_path: Some(folder.display().to_string()),
        ..OutputSecret::default()
    };
    mount(&folder, details, login, &spec)
}

/// As the kubelet does by default: readable by everybody.
fn mount(
    directory: &Path,
    details: &ConnectionDetails,
    login: &Login,
    spec: &OutputSecret,
) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    for (key, value) in render_presets(details, login.username, &Password::new(login.password), spec) {
        let file = directory.join(key);
        fs::write(&file, value.as_bytes())?;
        fs::set_permissions(&file, Permissions::from_mode(0o644))?;
    }
    Ok(())
}
