//! `verify`: logs in from where the person is, with exactly what the Secret says.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use kube::ResourceExt;
use serde::Serialize;

use super::cluster::{Cluster, user_name};
use super::credentials::{self, Credentials, Secured};
use super::failure::Failure;
use super::output::{Output, table};
use super::{CommandOutcome, completion};
use crate::api::SslMode;
use crate::domain::conditions::presentable;
use crate::domain::endpoint::AllowList;
use crate::provider::login::{
    self, Certificate, Introduction, LoginResult, LoginSettings, LoginTarget, Route,
};
use crate::provider::tls::Trust;

/// The command. Exit code 1: the server refuses the login, or the Secret's keys disagree; 3: it could not be tried.
#[derive(Debug, Args)]
pub struct Verify {
    /// The PostgresUser.
    #[arg(value_parser = user_name, add = ArgValueCompleter::new(completion::users))]
    name: String,
    #[command(flatten)]
    way: Way,
    /// How long the login may take: 500ms, 10s.
    #[arg(long, value_parser = crate::cli::duration, default_value = "10s")]
    timeout: Duration,
    #[command(flatten)]
    output: Output,
}

/// How to get to the server from here.
#[derive(Debug, Args)]
pub struct Way {
    /// What to dial in place of the Secret's host, such as localhost for a port-forward. The certificate has to be for
    /// the Secret's host all the same.
    #[arg(long)]
    pub host: Option<String>,
    /// The port to dial in place of the Secret's.
    #[arg(long)]
    pub port: Option<u16>,
    /// How the connection is secured. Default: as the Secret says.
    #[arg(long, value_enum)]
    pub sslmode: Option<Secured>,
    /// A file of PEM certificates of authorities to trust.
    #[arg(long)]
    pub ca_file: Option<PathBuf>,
}

/// What was found: the schema of `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginReport {
    namespace: String,
    name: String,
    secret: String,
    host: String,
    port: u16,
    database: String,
    username: String,
    sslmode: &'static str,
    /// Whether the server took the login; null if it could not be tried.
    accepted: Option<bool>,
    message: String,
    current_user: Option<String>,
    server_version: Option<String>,
    tls: Option<String>,
    /// Keys of the Secret that do not agree with host, port, database, sslmode, username and password.
    odd_keys: Vec<String>,
}

impl Verify {
    /// Runs it.
    pub async fn run(self, cluster: &Cluster) -> Result<CommandOutcome, Failure> {
        let user = cluster.user(&self.name).await?;
        let credentials = credentials::of(cluster, &user).await?;
        let secured = self.way.secured(&credentials)?;
        let settings = LoginSettings {
            allow: Arc::new(everywhere()?),
            trust: self.way.trust()?,
            timeout: self.timeout,
        };
        let route = self.way.route(&credentials, secured);
        let result = login::introduce(&target(&credentials), &settings, &route).await;
        let found = found(
            cluster.namespace_of(&user),
            user.name_any(),
            &credentials,
            secured,
            result,
        );
        self.output.output.print(&found, || described(&found))?;
        match found.accepted {
            None => Err(Failure::Other(format!(
                "the login could not be tried: {}",
                found.message
            ))),
            Some(accepted) => Ok((accepted && found.odd_keys.is_empty()).into()),
        }
    }
}

impl Way {
    /// How the connection is secured: as the command line says, else as the Secret does.
    pub fn secured(&self, credentials: &Credentials) -> Result<Secured, Failure> {
        if let Some(sslmode) = self.sslmode {
            return Ok(sslmode);
        }
        match credentials.details.sslmode {
            SslMode::VerifyFull => Ok(Secured::VerifyFull),
            SslMode::VerifyCa => Ok(Secured::VerifyCa),
            SslMode::Require | SslMode::Prefer | SslMode::Allow => Ok(Secured::Require),
            SslMode::Disable => Err(Failure::Other(
                "the Secret says sslmode disable, and no password is sent from here without TLS: say --sslmode require, \
                 if the server speaks TLS"
                    .to_string(),
            )),
        }
    }

    /// The authorities that are trusted.
    fn trust(&self) -> Result<Trust, Failure> {
        let bundle = match &self.ca_file {
            Some(path) => Some(
                std::fs::read(path)
                    .map_err(|error| Failure::Usage(format!("--ca-file {}: {error}", path.display())))?,
            ),
            None => None,
        };
        let trust = match &bundle {
            Some(bundle) => Trust::only(bundle),
            None => Trust::load(&[]),
        };
        trust.map_err(|error| match &self.ca_file {
            Some(path) => Failure::Usage(format!("--ca-file {}: {error}", path.display())),
            None => Failure::Other(format!("{error}; say --ca-file")),
        })
    }

    fn route(&self, credentials: &Credentials, secured: Secured) -> Route {
        let elsewhere = self.host.is_some() || self.port.is_some();
        let host = self
            .host
            .clone()
            .unwrap_or_else(|| credentials.details.host.clone());
        let port = self.port.unwrap_or(credentials.details.port);
        Route {
            dialled: elsewhere.then_some((host, port)),
            certificate: match secured {
                Secured::Require => Certificate::Any,
                Secured::VerifyCa => Certificate::AnyHost,
                Secured::VerifyFull => Certificate::Verified,
            },
        }
    }
}

/// What a person dials from their own machine is theirs to choose: the operator's list is to keep tenants from what the
/// operator can reach.
fn everywhere() -> Result<AllowList, Failure> {
    let special = ["127.0.0.0/8:*", "[::1]:*", "169.254.0.0/16:*", "[fe80::/10]:*"];
    let rules = ["*:*", "localhost:*"].into_iter().chain(special);
    AllowList::parse(rules).map_err(|error| Failure::Other(error.to_string()))
}

fn target(credentials: &Credentials) -> LoginTarget {
    LoginTarget {
        host: credentials.details.host.clone(),
        port: credentials.details.port,
        database: credentials.details.database.clone(),
        username: credentials.username.clone(),
        password: credentials.password.clone(),
    }
}

fn found(
    namespace: String,
    name: String,
    credentials: &Credentials,
    secured: Secured,
    result: Result<Introduction, LoginResult>,
) -> LoginReport {
    let said = result.as_ref().ok();
    let (accepted, message) = match &result {
        Ok(_) => (Some(true), "the login works".to_string()),
        Err(LoginResult::Refused) => (
            Some(false),
            "the server refuses the password (28P01): it is wrong or expired, or there is no such login"
                .to_string(),
        ),
        Err(LoginResult::Unverifiable { reason }) => (None, reason.clone()),
        Err(LoginResult::Accepted) => (None, "the server says nothing of itself".to_string()),
    };
    LoginReport {
        namespace,
        name,
        secret: credentials.secret.clone(),
        host: credentials.details.host.clone(),
        port: credentials.details.port,
        database: credentials.details.database.clone(),
        username: credentials.username.clone(),
        sslmode: secured.as_str(),
        accepted,
        message,
        current_user: said.map(|it| presentable(&it.user)),
        server_version: said.map(|it| presentable(&it.version)),
        tls: said.and_then(|it| it.tls.as_deref().map(presentable)),
        odd_keys: credentials.odd.clone(),
    }
}

fn described(found: &LoginReport) -> String {
    let odd = (!found.odd_keys.is_empty()).then(|| {
        format!(
            "{} (not what the other keys say; the operator puts them right)",
            found.odd_keys.join(", ")
        )
    });
    let lines = [
        ("Secret", Some(format!("{}/{}", found.namespace, found.secret))),
        (
            "Server",
            Some(format!("{}:{}/{}", found.host, found.port, found.database)),
        ),
        ("Login", Some(found.username.clone())),
        ("Result", Some(found.message.clone())),
        ("Logged in as", found.current_user.clone()),
        ("PostgreSQL", found.server_version.clone()),
        (
            "TLS",
            found
                .tls
                .clone()
                .map(|tls| format!("{tls} (sslmode {})", found.sslmode)),
        ),
        ("Odd keys", odd),
    ];
    let rows = lines
        .into_iter()
        .filter_map(|(name, value)| Some(vec![format!("{name}:"), value?]));
    table(&[], &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::endpoint::Host;

    #[test]
    fn a_person_may_dial_whatever_they_can_reach() {
        let allow = everywhere().unwrap();
        for (host, ip) in [
            ("db.example.com", "192.0.2.1"),
            ("localhost", "127.0.0.1"),
            ("localhost", "::1"),
            ("db.internal", "10.1.2.3"),
            ("forwarded.example.com", "127.0.0.1"),
        ] {
            let host = Host::parse(host).unwrap();
            assert!(
                allow.address(&host, ip.parse().unwrap(), 5432).is_ok(),
                "{host} {ip}"
            );
        }
    }
}
