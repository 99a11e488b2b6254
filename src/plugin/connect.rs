//! `connect`: becomes psql, logged in as the user.
//!
//! The password is in no argument. On Linux it is in no variable either, which every program that psql starts would
//! inherit, but in a password file without a name, in memory, that is gone with psql and good for that one host, port,
//! database and login: `-- --host=elsewhere` takes it nowhere. Elsewhere there are no such files, and PGPASSWORD is used.

use std::net::ToSocketAddrs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

#[cfg(target_os = "linux")]
use crate::domain::secret::Login;

use super::cluster::{Cluster, user_name};
use super::credentials::{self, Credentials};
use super::failure::Failure;
use super::verify::Way;
use super::{CommandOutcome, completion};
use crate::domain::connection::ConnectionDetails;

/// The command. Ends as psql does.
#[derive(Debug, Args)]
pub struct Connect {
    /// The PostgresUser.
    #[arg(value_parser = user_name, add = ArgValueCompleter::new(completion::users))]
    name: String,
    #[command(flatten)]
    way: Way,
    /// More arguments for psql.
    #[arg(last = true, value_name = "PSQL ARGUMENT")]
    psql: Vec<String>,
}

impl Connect {
    /// Runs it; comes back only if psql cannot be run.
    pub async fn run(self, cluster: &Cluster) -> Result<CommandOutcome, Failure> {
        let user = cluster.user(&self.name).await?;
        let credentials = credentials::of(cluster, &user).await?;
        let details = ConnectionDetails {
            port: self.way.port.unwrap_or(credentials.details.port),
            ..credentials.details.clone()
        };
        let mut psql = Command::new("psql");
        psql.args(&self.psql)
            .env_remove("PGSERVICE")
            .env("PGHOST", &details.host)
            .env("PGPORT", details.port.to_string())
            .env("PGDATABASE", &details.database)
            .env("PGUSER", &credentials.username)
            .env("PGSSLMODE", self.sslmode(&credentials));
        if let Some(binding) = details.channel_binding {
            psql.env("PGCHANNELBINDING", binding.as_str());
        }
        match &self.way.host {
            // libpq checks the certificate for PGHOST and dials PGHOSTADDR.
            Some(host) => psql.env("PGHOSTADDR", address(host, details.port)?),
            None => psql.env_remove("PGHOSTADDR"),
        };
        if let Some(file) = &self.way.ca_file {
            psql.env("PGSSLROOTCERT", existing(file)?);
        }
        let _held_until_exec = hand_over(&mut psql, &details, &credentials)?;
        let error = psql.exec();
        Err(match error.kind() {
            std::io::ErrorKind::NotFound => Failure::Other(
                "psql is not on PATH: install PostgreSQL's client programs (Debian: apt install postgresql-client; \
                 macOS: brew install libpq), or use the Secret's uri, if it has one, with another client"
                    .to_string(),
            ),
            _ => Failure::Other(format!("run psql: {error}")),
        })
    }

    fn sslmode(&self, credentials: &Credentials) -> &'static str {
        let said = self.way.sslmode.map(super::credentials::Secured::as_str);
        said.unwrap_or(credentials.details.sslmode.as_str())
    }
}

/// An address of a host, since libpq takes no name where it does not look one up.
fn address(host: &str, port: u16) -> Result<String, Failure> {
    let unresolved = |why: &str| Failure::Usage(format!("--host {host}: {why}"));
    let mut found = (host, port)
        .to_socket_addrs()
        .map_err(|error| unresolved(&error.to_string()))?;
    let first = found.next().ok_or_else(|| unresolved("it has no address"))?;
    Ok(first.ip().to_string())
}

fn existing(file: &Path) -> Result<&Path, Failure> {
    match file.is_file() {
        true => Ok(file),
        false => Err(Failure::Usage(format!(
            "--ca-file {}: there is no such file",
            file.display()
        ))),
    }
}

/// Hands the password to psql in a file that has no name. What is returned must live until psql runs.
#[cfg(target_os = "linux")]
fn hand_over(
    psql: &mut Command,
    details: &ConnectionDetails,
    credentials: &Credentials,
) -> Result<std::fs::File, Failure> {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use rustix::fs::{MemfdFlags, Mode, fchmod, memfd_create};

    let failed = |error: std::io::Error| Failure::Other(format!("make a password file in memory: {error}"));
    // Not closed on exec: psql is to have it.
    let file = memfd_create("pgpass", MemfdFlags::empty()).map_err(|error| failed(error.into()))?;
    fchmod(&file, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?;
    let mut file = std::fs::File::from(file);
    let login = Login {
        details,
        username: &credentials.username,
        password: &credentials.password,
        mount: None,
    };
    file.write_all(login.pgpass().as_bytes()).map_err(failed)?;
    psql.env_remove("PGPASSWORD")
        .env("PGPASSFILE", format!("/proc/self/fd/{}", file.as_raw_fd()));
    Ok(file)
}

/// Hands the password to psql in its environment, which only this person and root may read.
#[cfg(not(target_os = "linux"))]
fn hand_over(psql: &mut Command, _: &ConnectionDetails, credentials: &Credentials) -> Result<(), Failure> {
    psql.env("PGPASSWORD", credentials.password.reveal());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_to_dial_becomes_an_address() {
        assert_eq!(address("127.0.0.1", 5432).unwrap(), "127.0.0.1");
        assert_eq!(address("::1", 5432).unwrap(), "::1");
        assert!(address("no.such.host.invalid", 5432).is_err());
    }
}
