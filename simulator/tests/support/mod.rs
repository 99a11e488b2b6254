//! A real PostgreSQL and a simulator on it, for one test.

use std::{
    env,
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, Method};
use serde_json::Value;
use tokio_postgres::NoTls;

/// The directory with PostgreSQL's programs: `PG_BIN`, the `PATH`, or where distributions put them.
fn pg_bin() -> PathBuf {
    let mut places: Vec<PathBuf> = env::var_os("PG_BIN").map(PathBuf::from).into_iter().collect();
    places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    for root in ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt"] {
        let mut versions: Vec<_> = std::fs::read_dir(root)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("bin"))
            .collect();
        versions.sort();
        places.extend(versions.into_iter().rev());
    }
    places.into_iter().find(|place| place.join("initdb").exists() && place.join("postgres").exists()).expect(
        "these tests need PostgreSQL's programs initdb and postgres: install them (Debian and Ubuntu: \
         apt install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql) or name their \
         directory in PG_BIN",
    )
}

/// A program as a user that PostgreSQL accepts: it refuses to run as root.
fn unprivileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    static ROOT: OnceLock<bool> = OnceLock::new();
    let root = *ROOT.get_or_init(|| {
        let id = Command::new("id").arg("-u").output().expect("id runs");
        id.stdout.trim_ascii() == b"0"
    });
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.current_dir("/").output().expect("the program starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A fresh name in the directory for temporary files.
fn fresh_path() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    env::temp_dir().join(format!("pgsim-{}-{count}", std::process::id()))
}

/// A PostgreSQL of one's own. The superuser comes in without a password, everybody else with one.
pub struct Postgres {
    process: Child,
    dir: PathBuf,
}

impl Postgres {
    pub async fn start() -> Postgres {
        let dir = fresh_path();
        run(unprivileged(pg_bin().join("initdb"))
            .args([
                "-U",
                "postgres",
                "--no-sync",
                "--auth=trust",
                "-E",
                "UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(&dir));
        let hba = "local all postgres trust\nlocal all all scram-sha-256\n";
        std::fs::write(dir.join("pg_hba.conf"), hba).expect("pg_hba.conf is writable");
        let process = spawn_postgres(&dir);
        let postgres = Postgres { process, dir };
        postgres.ready().await;
        postgres
    }

    async fn ready(&self) {
        let start = Instant::now();
        while self.admin().await.is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "PostgreSQL does not start: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops it as a crash would, and starts it again.
    pub async fn restart(&mut self) {
        self.stop();
        self.process = spawn_postgres(&self.dir);
        self.ready().await;
    }

    fn stop(&mut self) {
        let _ = Command::new("kill")
            .args(["-QUIT", &self.process.id().to_string()])
            .status();
        let _ = self.process.wait();
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join("server.log")).expect("a log")).into_owned()
    }

    pub fn conninfo(&self) -> String {
        format!("host={} user=postgres dbname=postgres", self.dir.display())
    }

    async fn admin(&self) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        self.connect("postgres", None).await
    }

    pub async fn connect(
        &self,
        user: &str,
        password: Option<&str>,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.dir).user(user).dbname("postgres");
        if let Some(password) = password {
            config.password(password);
        }
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub async fn sql(&self, sql: &str) {
        self.admin()
            .await
            .expect("the superuser logs in")
            .batch_execute(sql)
            .await
            .expect("the SQL is valid");
    }

    /// Whether somebody can log in, and is then who they said.
    pub async fn login(&self, user: &str, password: &str) -> bool {
        match self.connect(user, Some(password)).await {
            Ok(client) => {
                let row = client
                    .query_one("SELECT current_user::text", &[])
                    .await
                    .expect("an answer");
                assert_eq!(row.get::<_, String>(0), user);
                true
            }
            Err(error) => {
                let code = error.code().map(|code| code.code().to_owned());
                assert!(
                    matches!(code.as_deref(), Some("28P01" | "28000")),
                    "not a refused login, but: {error:?}"
                );
                false
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn spawn_postgres(dir: &Path) -> Child {
    unprivileged(pg_bin().join("postgres"))
        .current_dir("/")
        .arg("-D")
        .arg(dir)
        .args([
            "-k",
            dir.to_str().expect("a path in UTF-8"),
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
        ])
        // Whatever could be logged is: no password may be among it.
        .args(["-c", "log_statement=all", "-c", "max_connections=60"])
        .stdout(Stdio::null())
        .stderr(
            File::options()
                .create(true)
                .append(true)
                .open(dir.join("server.log"))
                .expect("a log"),
        )
        .spawn()
        .expect("postgres starts")
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("the body is JSON")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A simulator on a PostgreSQL of its own.
pub struct Sim {
    process: Child,
    pub url: String,
    /// The URLs of the addresses that it listens on besides.
    pub also: Vec<String>,
    pub http: Client,
    pub postgres: Postgres,
}

impl Sim {
    pub async fn start(args: &[&str]) -> Sim {
        let postgres = Postgres::start().await;
        let (process, url, also) = spawn(&postgres, args);
        // Built with the operator, the HTTP client can do TLS, and then wants to know how even where there is none.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder()
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client");
        Sim {
            process,
            url,
            also,
            http,
            postgres,
        }
    }

    /// Ends the simulator as an operator would, and starts it again on the same PostgreSQL.
    pub fn restart(&mut self, args: &[&str]) {
        self.terminate();
        (self.process, self.url, self.also) = spawn(&self.postgres, args);
    }

    /// Sends SIGTERM and waits; how long it took.
    pub fn terminate(&mut self) -> Duration {
        let start = Instant::now();
        let _ = Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status();
        let status = self.process.wait().expect("the simulator ends");
        assert!(status.success(), "{status}");
        start.elapsed()
    }

    /// A request with a token; an error is a connection that was dropped.
    pub async fn try_send(&self, method: &str, path: &str, body: Option<Value>) -> reqwest::Result<Reply> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth("token");
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        read(request).await
    }

    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.try_send(method, path, body).await.expect("an answer")
    }

    /// An admin request, which has to succeed.
    pub async fn admin(&self, method: &str, path: &str, body: Value) -> Value {
        let body = (!body.is_null()).then_some(body);
        let reply = self.send(method, &format!("/_sim{path}"), body).await;
        assert!(reply.status < 300, "{path}: {} {}", reply.status, reply.text);
        if reply.text.is_empty() {
            Value::Null
        } else {
            reply.json()
        }
    }

    pub async fn switch(&self, switches: Value) {
        self.admin("PUT", "/switches", switches).await;
    }

    pub async fn fault(&self, fault: Value) -> u64 {
        self.admin("POST", "/faults", fault).await["id"]
            .as_u64()
            .expect("an id")
    }

    pub async fn journal(&self) -> Vec<Value> {
        self.admin("GET", "/journal", Value::Null).await["entries"]
            .as_array()
            .expect("entries")
            .clone()
    }

    pub async fn last(&self) -> Value {
        self.journal().await.pop().expect("an entry")
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(postgres: &Postgres, args: &[&str]) -> (Child, String, Vec<String>) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_pguser-simulator"))
        .args(["--postgres", &postgres.conninfo()])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the simulator starts");
    let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
    let mut url = || {
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        line.trim_end()
            .strip_prefix("listening on ")
            .expect("the line that says where")
            .to_owned()
    };
    let first = url();
    let more = args
        .iter()
        .position(|arg| *arg == "--also-listen")
        .map_or(0, |at| args[at + 1].split(',').count());
    let also = (0..more).map(|_| url()).collect();
    (process, first, also)
}

pub async fn read(request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Reply {
        status,
        headers,
        text: response.text().await?,
    })
}

/// Waits until something holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(10), "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
