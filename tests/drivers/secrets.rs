//! What the drivers log in with: Secrets as the operator renders them, and the SQL that makes their roles. No test, but built
//! like one, so that `cargo build` passes it over: `hack/test-drivers` runs it.
//!
//! ```text
//! drivers sql                              prints SQL for a superuser
//! drivers write DIRECTORY PORT CA OTHER    writes DIRECTORY/CASE/LOGIN/KEY; OTHER is an authority that has signed nothing
//! ```

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use pguser_operator::api::SslMode;
use pguser_operator::domain::connection::{ConnectionDetails, render};
use pguser_operator::domain::generate::check_own;
use pguser_operator::domain::password::Password;
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
const LOGINS: [Login; 9] = [
    login("plain", "checkout", "vNqzRkWp-0123456789_tLsXhGdBcJfM"),
    login("spaces", " two  spaces ", " pass  word "),
    login("quotes", "it's \"odd\" \\ `x`", "'\"\\`$HOME '' \"\" \\\\ {x}"),
    // `%41` is an A to whoever decodes twice.
    login(
        "url",
        "a@b:c/d%41#f?g&h=i,j;k+l",
        "@:/%#?&=,;+!$()[]{}<>|^~*%41%2B",
    ),
    // Alone, it is a wildcard in a password file.
    login("star", "*", "*"),
    login("latin", "Jürgen", "Pässwörd-ñ-ß"),
    login("emoji", "crab 🦀", "🦀 pass 🦀"),
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

/// How a server is reached, and what is known of it.
struct Case {
    name: &'static str,
    /// The certificate is for `localhost` alone.
    host: &'static str,
    sslmode: SslMode,
    /// Whether `ca.crt` is the server's authority, or another one.
    ca_is_other: bool,
}

const fn case(name: &'static str, sslmode: SslMode) -> Case {
    Case {
        name,
        host: "localhost",
        sslmode,
        ca_is_other: false,
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
const TRAPS: [Case; 5] = [
    Case {
        host: "127.0.0.1",
        ..case("verify-full-other-name", SslMode::VerifyFull)
    },
    Case {
        host: "127.0.0.1",
        ..case("verify-ca-other-name", SslMode::VerifyCa)
    },
    Case {
        ca_is_other: true,
        ..case("verify-full-other-authority", SslMode::VerifyFull)
    },
    Case {
        ca_is_other: true,
        ..case("verify-ca-other-authority", SslMode::VerifyCa)
    },
    Case {
        ca_is_other: true,
        ..case("require-other-authority", SslMode::Require)
    },
];

/// The certificates that a Secret may name.
struct Authorities {
    own: Arc<str>,
    other: Arc<str>,
}

impl Authorities {
    fn read(own: &str, other: &str) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            own: fs::read_to_string(own)?.into(),
            other: fs::read_to_string(other)?.into(),
        })
    }

    fn of(&self, case: &Case) -> Arc<str> {
        match case.ca_is_other {
            true => self.other.clone(),
            false => self.own.clone(),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    LOGINS.iter().try_for_each(may_be_asked_for)?;
    match arguments[..] {
        ["sql"] => print!("{}", sql()),
        ["write", directory, port, own, other] => write(
            Path::new(directory),
            port.parse()?,
            &Authorities::read(own, other)?,
        )?,
        _ => return Err("usage: drivers sql | drivers write DIRECTORY PORT CA OTHER".into()),
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

fn write(directory: &Path, port: u16, authorities: &Authorities) -> Result<(), Box<dyn Error>> {
    let everything = CASES
        .iter()
        .flat_map(|case| LOGINS.iter().map(move |login| (case, login)));
    let traps = TRAPS.iter().map(|case| (case, &LOGINS[0]));
    everything.chain(traps).try_for_each(|(case, login)| {
        let details = ConnectionDetails {
            host: case.host.to_string(),
            port,
            database: login.database.to_string(),
            sslmode: case.sslmode,
            provider: CAPABILITIES.name,
            ca: Some(authorities.of(case)),
        };
        mount(&directory.join(case.name).join(login.name), &details, login)
    })
}

/// As the kubelet does by default: readable by everybody.
fn mount(directory: &Path, details: &ConnectionDetails, login: &Login) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    for (key, value) in render(details, login.username, &Password::new(login.password)) {
        let file = directory.join(key);
        fs::write(&file, value.as_bytes())?;
        fs::set_permissions(&file, Permissions::from_mode(0o644))?;
    }
    Ok(())
}
