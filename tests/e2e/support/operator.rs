//! The operator's own binary, with the rights that it is shipped with.

use std::{
    ffi::OsString,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitStatus,
};

use super::{Failure, Outcome, PATIENCE, Process, World, eventually};

/// How it is started: by default as a test wants it, with short times.
#[derive(Clone, Debug)]
pub struct Options {
    flags: Vec<(String, String)>,
    switches: Vec<String>,
    env: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        let flags = [
            ("--allow-endpoint", "127.0.0.1:*"),
            ("--allow-endpoint", "localhost:*"),
            ("--t-live", "3s"),
            ("--write-window", "1s"),
            ("--read-lag", "300ms"),
            ("--state-lag", "100ms"),
            ("--gone-after", "2s"),
            ("--min-refresh-interval", "1s"),
            ("--min-rotation-interval", "1s"),
            ("--retry-base", "200ms"),
            ("--retry-cap", "1s"),
            ("--busy-poll-interval", "100ms"),
            ("--leader-elect", "false"),
        ];
        Options {
            flags: flags
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            switches: vec!["--allow-http".to_owned()],
            env: vec![("PGUSER_LOG".to_owned(), "info,pguser_operator=debug".to_owned())],
        }
    }
}

impl Options {
    /// As a user has it who sets nothing: only what is needed to reach the servers of a test is set.
    pub fn as_shipped() -> Self {
        let own = Options::default();
        let flags = own.flags.into_iter();
        Options {
            flags: flags.filter(|(name, _)| name == "--allow-endpoint").collect(),
            env: vec![("PGUSER_LOG".to_owned(), "info".to_owned())],
            ..Options::default()
        }
    }

    /// Sets a flag, in place of all of the same name.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.retain(|(other, _)| other != name);
        self.more(name, value)
    }

    /// Sets a flag unless it is set.
    pub fn unless_set(self, name: &str, value: &str) -> Self {
        let is_set = self.flags.iter().any(|(other, _)| other == name);
        if is_set { self } else { self.more(name, value) }
    }

    /// Adds a flag that may be repeated.
    pub fn more(mut self, name: &str, value: &str) -> Self {
        self.flags.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a switch.
    pub fn switch(mut self, name: &str) -> Self {
        self.switches.push(name.to_owned());
        self
    }

    /// Leaves out a flag or switch.
    pub fn without(mut self, name: &str) -> Self {
        self.flags.retain(|(other, _)| other != name);
        self.switches.retain(|other| other != name);
        self
    }

    /// Sets a variable of its environment, such as `PGUSER_FAILPOINT`.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(other, _)| other != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Looks after a test's two namespaces and its cluster server.
    pub fn with_cluster_servers(self, world: &World, other: &str) -> Self {
        let namespace = world.namespace();
        self.flag("--watch-namespaces", &format!("{namespace},{other}"))
            .flag("--cluster-servers", "true")
            .flag("--selector", &format!("pguser-test={namespace}"))
    }

    /// Elects a leader among the operators of this test.
    pub fn leader_elect(self) -> Self {
        self.flag("--leader-elect", "true")
    }
}

/// One instance of the operator; it can be ended and started again.
pub struct Operator {
    process: Option<Process>,
    options: Options,
    kubeconfig: PathBuf,
    user: String,
    admin: SocketAddr,
    dir: PathBuf,
    name: String,
    runs: usize,
    http: reqwest::Client,
}

impl Operator {
    /// An operator that is not started yet. Its logs go to `dir`, as `NAME.1.log`, `NAME.2.log`, …
    pub fn new(
        dir: &Path,
        name: &str,
        kubeconfig: PathBuf,
        user: String,
        options: Options,
    ) -> Outcome<Operator> {
        Ok(Operator {
            process: None,
            options,
            kubeconfig,
            user,
            admin: free_address()?,
            dir: dir.to_owned(),
            name: name.to_owned(),
            runs: 0,
            http: reqwest::Client::builder().no_proxy().build()?,
        })
    }

    /// Starts it, and does not wait until it is ready.
    pub fn start(&mut self) -> Outcome {
        self.runs += 1;
        let mut command = Process::command(program());
        command.arg("run").arg("--admin-addr").arg(self.admin.to_string());
        for (name, value) in &self.options.flags {
            command.arg(format!("{name}={value}"));
        }
        command
            .args(&self.options.switches)
            .env("KUBECONFIG", &self.kubeconfig)
            .envs(self.options.env.iter().map(|(name, value)| (name, value)));
        for outer in [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
        ] {
            command.env_remove(outer);
        }
        let log = self.dir.join(format!("{}.{}.log", self.name, self.runs));
        self.process = Some(Process::spawn(&self.name, command, &log)?);
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) -> Outcome {
        eventually("the operator's /readyz", PATIENCE, async || {
            if let Some(status) = self.running()?.exited()? {
                return Err(format!("the operator ended: {status}\n{}", self.running()?.output()).into());
            }
            self.get("readyz").await.map(drop)
        })
        .await
    }

    /// Ends it at once, as a machine does that loses power.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Asks it to end, and waits for that.
    pub async fn terminate(&mut self) -> Outcome<ExitStatus> {
        self.running()?.signal("TERM")?;
        self.exit().await
    }

    /// Waits until it ends by itself, as at a failpoint.
    pub async fn exit(&mut self) -> Outcome<ExitStatus> {
        let status = self.running()?.wait(PATIENCE).await?;
        self.process = None;
        Ok(status)
    }

    /// Sends it a signal (`STOP` and `CONT` make it a leader that sleeps through its lease).
    pub fn signal(&mut self, signal: &str) -> Outcome {
        self.running()?.signal(signal)
    }

    /// Changes how it is started, from the next start on.
    pub fn reconfigure(&mut self, change: impl FnOnce(Options) -> Options) {
        self.options = change(std::mem::take(&mut self.options));
    }

    /// Kills it if it runs, starts it, and waits until it is ready.
    pub async fn restart(&mut self) -> Outcome {
        self.kill();
        self.start()?;
        self.ready().await
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The name by which the API server, and so the audit log, knows it.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Where it serves probes and metrics.
    pub fn address(&self) -> SocketAddr {
        self.admin
    }

    /// A page of its admin address: `metrics`, `readyz`, `livez`.
    pub async fn get(&self, page: &str) -> Outcome<String> {
        let response = self
            .http
            .get(format!("http://{}/{page}", self.admin))
            .send()
            .await?;
        let status = response.status();
        let text = response.text().await?;
        if status.is_success() {
            Ok(text)
        } else {
            Err(format!("/{page}: {status} {text}").into())
        }
    }

    /// Waits until it has listed the users of a server, since it was started.
    pub async fn has_listed(&self) -> Outcome {
        eventually("the operator to have listed users", PATIENCE, async || {
            let metrics = self.get("metrics").await?;
            let is_list = |line: &str| line.contains("operation=\"list\"") && line.contains("class=\"ok\"");
            match metrics.lines().any(is_list) {
                true => Ok(()),
                false => Err("it has not".into()),
            }
        })
        .await
    }

    /// All that it has written, in all its runs.
    pub fn logs(&self) -> String {
        let logs = (1..=self.runs).map(|run| self.dir.join(format!("{}.{run}.log", self.name)));
        logs.map(|log| String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned())
            .collect()
    }

    fn running(&mut self) -> Outcome<&mut Process> {
        self.process
            .as_mut()
            .ok_or_else(|| Failure::from("the operator does not run"))
    }
}

/// The operator that cargo has built for the tests, or the one that the environment names.
fn program() -> OsString {
    std::env::var_os("PGUSER_TEST_OPERATOR").unwrap_or_else(|| env!("CARGO_BIN_EXE_pguser-operator").into())
}

/// An address that is free now. Somebody else may take it until it is used.
pub fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
