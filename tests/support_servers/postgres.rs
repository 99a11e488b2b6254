//! One real PostgreSQL, to ask the only question that matters: does this password log in?

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject as _};
use tokio::process::Command;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Outcome, Process, REPOSITORY};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The superuser: over the socket, without a password.
pub const SUPERUSER: &str = "postgres";

/// A running server.
pub struct Postgres {
    process: Mutex<Process>,
    dir: PathBuf,
    port: u16,
    programs: PathBuf,
    ca_file: PathBuf,
    tls: Arc<ClientConfig>,
}

impl Postgres {
    /// Starts a server with an empty cluster in `dir`.
    pub async fn start(dir: &Path) -> Outcome<Postgres> {
        std::fs::create_dir_all(dir)?;
        Self::run(dir, None).await
    }

    async fn run(dir: &Path, port: Option<u16>) -> Outcome<Postgres> {
        let mut command = Process::command(Path::new(REPOSITORY).join("hack/postgres"));
        command
            .arg("run")
            .arg(dir)
            .args(port.map(|port| port.to_string()))
            // An outer one would lead the server's programs and psql astray.
            .env_remove("PGPORT")
            .env_remove("PGDATA");
        let mut process = Process::spawn("hack/postgres run", command, &dir.with_extension("run.log"))?;
        let ca_file = PathBuf::from(process.line("CAFILE=", START_TIMEOUT).await?);
        let port = process.line("PGPORT=", START_TIMEOUT).await?.parse()?;
        let programs = process.line("PGBIN=", START_TIMEOUT).await?.into();
        Ok(Postgres {
            process: Mutex::new(process),
            dir: dir.to_owned(),
            port,
            programs,
            tls: trusting_only(&ca_file)?,
            ca_file,
        })
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its programs, psql among them.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The folder of its socket.
    pub fn socket_dir(&self) -> &Path {
        &self.dir
    }

    /// The authority that its certificate (for `localhost`, `127.0.0.1`) is from.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// The superuser's connection, in libpq's keywords.
    pub fn superuser_dsn(&self) -> String {
        let Postgres { dir, port, .. } = self;
        format!(
            "host={} port={port} user={SUPERUSER} dbname=postgres",
            dir.display()
        )
    }

    /// Logs in over verified TLS, as an application would, and returns who the server says it is.
    pub async fn login(
        &self,
        host: &str,
        port: u16,
        user: &str,
        password: &str,
        database: &str,
    ) -> Outcome<String> {
        let mut config = Config::new();
        config
            .host(host)
            .port(port)
            .user(user)
            .password(password)
            .dbname(database)
            .ssl_mode(SslMode::Require)
            .connect_timeout(CONNECT_TIMEOUT);
        let tls = MakeRustlsConnect::new(ClientConfig::clone(&self.tls));
        let (client, connection) = config.connect(tls).await.map_err(explain)?;
        tokio::spawn(connection);
        Ok(client.query_one("select session_user::text", &[]).await?.get(0))
    }

    /// Whether a user can log in with a password. Anything but yes, or the server's no, is an error.
    pub async fn accepts(&self, user: &str, password: &str) -> Outcome<bool> {
        match self
            .login("localhost", self.port, user, password, "postgres")
            .await
        {
            Ok(_) => Ok(true),
            Err(error) if is_refusal(&error.to_string()) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Runs statements as superuser; the rows of all of them, with NULL as an empty text.
    pub async fn sql(&self, statements: &str) -> Outcome<Vec<Vec<String>>> {
        let config: Config = self.superuser_dsn().parse()?;
        let (client, connection) = config.connect(NoTls).await.map_err(explain)?;
        tokio::spawn(connection);
        let messages = client.simple_query(statements).await.map_err(explain)?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|column| row.get(column).unwrap_or_default().to_owned())
                    .collect(),
            ),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Whether a login role is there.
    pub async fn has_role(&self, name: &str) -> Outcome<bool> {
        let name = name.replace('\'', "''");
        let query = format!("select 1 from pg_roles where rolcanlogin and rolname = '{name}'");
        Ok(!self.sql(&query).await?.is_empty())
    }

    /// Runs a query through psql with a connection string, trusting our authority alone; what it prints.
    pub async fn psql(&self, connection: &str, query: &str) -> Outcome<String> {
        self.psql_with(connection, query, &[]).await
    }

    /// The same with more in its environment, such as `PGPASSFILE`.
    pub async fn psql_with(
        &self,
        connection: &str,
        query: &str,
        environment: &[(&str, &str)],
    ) -> Outcome<String> {
        let beside = self.programs.join("psql");
        let psql = if beside.exists() { beside } else { "psql".into() };
        let output = Command::new(psql)
            .args([
                "--no-psqlrc",
                "--no-password",
                "--tuples-only",
                "--no-align",
                "--command",
                query,
            ])
            .arg(connection)
            .env("PGSSLROOTCERT", &self.ca_file)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            return Err(format!("psql: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Ends the server. Its data stays.
    pub async fn stop(&self) {
        let mut process = self.process.lock().unwrap();
        tokio::task::block_in_place(|| process.hang_up(STOP_TIMEOUT));
    }

    /// Starts it again after [`Postgres::stop`], with the same data on the same port.
    pub async fn start_again(&self) -> Outcome {
        let log = self.dir.with_extension("run.log");
        let _ = std::fs::rename(&log, self.dir.with_extension("run.previous.log"));
        let again = Self::run(&self.dir, Some(self.port)).await?;
        std::mem::swap(
            &mut *self.process.lock().unwrap(),
            &mut *again.process.lock().unwrap(),
        );
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Ok(process) = self.process.get_mut() {
            process.hang_up(STOP_TIMEOUT);
        }
    }
}

/// Who verifies a server by this authority, and by no other.
fn trusting_only(ca_file: &Path) -> Outcome<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The whole of an error: tokio-postgres says the server's words only as its source.
fn explain(error: tokio_postgres::Error) -> String {
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Whether this is the server's no to a login.
fn is_refusal(error: &str) -> bool {
    error.contains("password authentication failed") || error.contains("is not permitted to log in")
}
