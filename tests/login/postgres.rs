//! A real PostgreSQL server with TLS, for as long as the value lives.

#![allow(dead_code)]

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// The numeric user that the server runs as when the test runs as root, which PostgreSQL refuses: nobody.
const UNPRIVILEGED: u32 = 65534;

pub struct Postgres {
    pub port: u16,
    directory: PathBuf,
    server: Child,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Where the server's programs are: in the folder PGBIN, else the newest below /usr/lib/postgresql, else in the PATH.
fn program(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("PGBIN") {
        return PathBuf::from(folder).join(name);
    }
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path().join("bin").join(name))
                .collect()
        })
        .unwrap_or_default();
    versions.retain(|path: &PathBuf| path.exists());
    versions.sort();
    versions.pop().unwrap_or_else(|| PathBuf::from(name))
}

/// A command that does not run as root.
fn unprivileged(program: &Path, directory: &Path) -> Command {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        let id = UNPRIVILEGED.to_string();
        command
            .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(directory);
    command
}

impl Postgres {
    /// Starts a server with this certificate and these lines of `pg_hba.conf`, and runs this SQL.
    pub fn start(certificate: &str, key: &str, hba: &str, sql: &str) -> Self {
        let directory = new_directory();
        let data = directory.join("data");
        let initdb = unprivileged(&program("initdb"), &directory)
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--no-locale",
                "-D",
            ])
            .arg(&data)
            .output()
            .expect("PostgreSQL's server programs are installed");
        assert!(
            initdb.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&initdb.stderr)
        );
        for (name, text, mode) in [
            ("server.crt", certificate, 0o600),
            ("server.key", key, 0o600),
            // Not on the command line, so that a test can turn it off.
            ("postgresql.auto.conf", "ssl = on\n", 0o600),
            ("pg_hba.conf", &format!("local all all trust\n{hba}\n"), 0o600),
        ] {
            let path = data.join(name);
            std::fs::write(&path, text).unwrap();
            give_away(&path, mode);
        }
        let postgres = Self::serve(directory);
        postgres.sql(sql);
        postgres
    }

    /// Starts a standby of this server, which follows it. The server's `pg_hba.conf` has to let that in over the socket.
    ///
    /// None where there is nothing to make it with: the programs of other versions come without those of clients.
    pub fn replica(&self) -> Option<Self> {
        if !program("pg_basebackup").exists() {
            eprintln!("there is no pg_basebackup: nothing is tried with a standby");
            return None;
        }
        let directory = new_directory();
        let copy = unprivileged(&program("pg_basebackup"), &directory)
            .args([
                "--no-sync",
                "--checkpoint=fast",
                "--write-recovery-conf",
                "--username=postgres",
            ])
            .args(["--port", &self.port.to_string(), "--host"])
            .arg(&self.directory)
            .arg("--pgdata")
            .arg(directory.join("data"))
            .output()
            .expect("PostgreSQL's programs are installed");
        assert!(
            copy.status.success(),
            "pg_basebackup: {}",
            String::from_utf8_lossy(&copy.stderr)
        );
        Some(Self::serve(directory))
    }

    /// Starts a server with the data that is in this folder.
    fn serve(directory: PathBuf) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let server = launch(&directory, port);
        let postgres = Self {
            port,
            directory,
            server,
        };
        postgres.wait();
        postgres
    }

    /// From its next start on it is a standby, which follows nobody.
    pub fn make_standby(&self) {
        std::fs::write(self.data().join("standby.signal"), "").unwrap();
    }

    /// Ends the server, all its connections with it.
    pub fn stop(&mut self) {
        // Its word for a fast shutdown; killed outright, it would leave shared memory behind.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.server), Signal::INT);
        let _ = self.server.wait();
    }

    /// Starts the server again, on the same port.
    pub fn start_again(&mut self) {
        self.server = launch(&self.directory, self.port);
        self.wait();
    }

    /// Starts the server again, with another certificate.
    pub fn present(&mut self, certificate: &str, key: &str) {
        self.stop();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            std::fs::write(self.data().join(name), text).unwrap();
        }
        self.start_again();
    }

    fn wait(&self) {
        let started = Instant::now();
        while self.try_rows("SELECT 1").is_none() {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "PostgreSQL does not start: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All that the server has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.directory.join("log")).unwrap()).into_owned()
    }

    /// The folder of its data, for what only files can say.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Runs SQL as the superuser, over the socket.
    pub fn sql(&self, sql: &str) {
        self.rows(sql);
    }

    /// Runs SQL as the superuser, and returns what it answers.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.rows_in("postgres", sql)
    }

    /// The same in another database.
    pub fn rows_in(&self, database: &str, sql: &str) -> Vec<Vec<Option<String>>> {
        self.ask(database, sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    fn try_rows(&self, sql: &str) -> Option<Vec<Vec<Option<String>>>> {
        self.ask("postgres", sql).ok()
    }

    /// In a thread of its own, as whoever calls may be inside an async runtime.
    fn ask(&self, database: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
        std::thread::scope(|scope| scope.spawn(|| self.ask_here(database, sql)).join().unwrap())
    }

    fn ask_here(&self, database: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let (client, connection) = tokio_postgres::Config::new()
                .host_path(&self.directory)
                .port(self.port)
                .user("postgres")
                .dbname(database)
                .connect(NoTls)
                .await?;
            tokio::spawn(connection);
            let messages = client.simple_query(sql).await?;
            let rows = messages.into_iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(
                    (0..row.len())
                        .map(|column| row.get(column).map(str::to_string))
                        .collect(),
                ),
                _ => None,
            });
            Ok(rows.collect())
        })
    }
}

/// A folder of the server's own.
fn new_directory() -> PathBuf {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("pguser-login-{}-{count}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    give_away(&directory, 0o700);
    directory
}

/// Starts the server's process, which ends with the thread that calls this at the latest.
fn launch(directory: &Path, port: u16) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .unwrap();
    unprivileged(Path::new("setpriv"), directory)
        .args(["--pdeathsig", "QUIT"])
        .arg(program("postgres"))
        .arg("-D")
        .arg(directory.join("data"))
        .arg("-k")
        .arg(directory)
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
        .args(["-c", "fsync=off", "-c", "logging_collector=off"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Makes a file that of the user whom the server runs as.
fn give_away(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    if std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        chown(path, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
    }
}
