//! A real PostgreSQL server with TLS, for as long as the value lives.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

/// The numeric user that the server runs as when the test runs as root, which PostgreSQL refuses: nobody.
const UNPRIVILEGED: u32 = 65534;

pub struct Postgres {
    pub port: u16,
    directory: PathBuf,
    server: Child,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its word for a fast shutdown; killed outright, it would leave shared memory behind.
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.server), Signal::INT);
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Where the server's programs are: the newest below /usr/lib/postgresql, else in the PATH.
fn program(name: &str) -> PathBuf {
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
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("pguser-login-{}-{count}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        give_away(&directory, 0o700);
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
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let server = unprivileged(&program("postgres"), &directory)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&directory)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "fsync=off", "-c", "logging_collector=off"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let postgres = Self {
            port,
            directory,
            server,
        };
        let started = Instant::now();
        while !postgres.try_sql("SELECT 1") {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "PostgreSQL does not start"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        postgres.sql(sql);
        postgres
    }

    /// Runs SQL as the superuser, over the socket.
    pub fn sql(&self, sql: &str) {
        assert!(self.try_sql(sql), "{sql}");
    }

    fn try_sql(&self, sql: &str) -> bool {
        let mut psql = Command::new(program("psql"))
            .args([
                "-X",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
                "-p",
                &self.port.to_string(),
                "-h",
            ])
            .arg(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // While the server is starting psql gives up without reading what it is told.
        let told = psql.stdin.take().unwrap().write_all(sql.as_bytes());
        psql.wait().unwrap().success() && told.is_ok()
    }
}

/// Makes a file that of the user whom the server runs as.
fn give_away(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    if std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        chown(path, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
    }
}
