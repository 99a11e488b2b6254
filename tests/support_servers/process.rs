//! Child processes that do not outlive the test run, however it ends.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use super::{Failure, Outcome, wait::eventually};

/// How much of a log is quoted when its process fails.
const TAIL: usize = 40;

/// A running program, its output in a file, its stdin a pipe from us. Dropping it kills it.
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// A command line for [`Process::spawn`]: the program is killed when the thread that started it ends.
    pub fn command(program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    /// Starts a command, with stdout and stderr appended to `log`.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Outcome<Process> {
        let file = File::options().create(true).append(true).open(log)?;
        command
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file);
        let mut running = RUNNING.lock().unwrap();
        if ENDING.load(Ordering::Relaxed) {
            return Err("the tests are ending".into());
        }
        let started = spawn_from_lasting_thread(command);
        let mut child = started.map_err(|error| format!("starting {name}: {error}"))?;
        running.insert(child.id());
        drop(running);
        Ok(Process {
            name: name.to_owned(),
            stdin: child.stdin.take(),
            child,
            log: log.to_owned(),
        })
    }

    /// Waits for a line of the output that starts with `prefix`, and returns the rest of it.
    pub async fn line(&mut self, prefix: &str, timeout: Duration) -> Outcome<String> {
        let deadline = Instant::now() + timeout;
        loop {
            let ended = self.exited()?;
            let output = self.output();
            let complete = output.rfind('\n').map_or("", |end| &output[..end]);
            if let Some(rest) = complete.lines().find_map(|line| line.strip_prefix(prefix)) {
                return Ok(rest.to_owned());
            }
            if let Some(status) = ended {
                return Err(self.failure(&format!("ended ({status}) before it said {prefix:?}")));
            }
            if Instant::now() >= deadline {
                return Err(self.failure(&format!("did not say {prefix:?} in {timeout:?}")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All it has written so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its process id, which `setpriv` keeps.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file with its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Outcome<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            RUNNING.lock().unwrap().remove(&self.child.id());
        }
        Ok(status)
    }

    /// Waits for its end.
    pub async fn wait(&mut self, timeout: Duration) -> Outcome<ExitStatus> {
        let name = self.name.clone();
        eventually(&format!("the end of {name}"), timeout, async || {
            self.exited()?.ok_or_else(|| Failure::from("it runs"))
        })
        .await
    }

    /// Sends a signal, by name (`TERM`, `KILL`, `STOP`, `CONT`, …).
    pub fn signal(&mut self, signal: &str) -> Outcome {
        if self.exited()?.is_none() {
            kill(signal, [self.child.id()])?;
        }
        Ok(())
    }

    /// Closes its stdin, which control plane and PostgreSQL take for the order to end, and waits for that.
    pub fn hang_up(&mut self, timeout: Duration) {
        self.stdin = None;
        let deadline = Instant::now() + timeout;
        while matches!(self.exited(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn failure(&self, what: &str) -> Failure {
        let tail = tail(&self.output(), TAIL);
        format!(
            "{} {what}; {} closes with:\n{tail}",
            self.name,
            self.log.display()
        )
        .into()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        RUNNING.lock().unwrap().remove(&self.child.id());
    }
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Kills every process that runs, for when there is no time to drop them. From then on none can be started.
pub fn kill_all() {
    let mut running = RUNNING.lock().unwrap();
    ENDING.store(true, Ordering::Relaxed);
    if !running.is_empty() {
        let _ = kill("KILL", std::mem::take(&mut *running));
    }
}

/// Does not return once [`kill_all`] was called: whoever did so ends this program, too.
pub fn wait_if_ending() {
    while ENDING.load(Ordering::Relaxed) {
        thread::park();
    }
}

fn kill(signal: &str, processes: impl IntoIterator<Item = u32>) -> io::Result<()> {
    let processes = processes.into_iter().map(|process| process.to_string());
    Command::new("kill")
        .arg(format!("-{signal}"))
        .args(processes)
        .stderr(Stdio::null())
        .status()
        .map(drop)
}

static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
static ENDING: AtomicBool = AtomicBool::new(false);

type Request = (Command, mpsc::Sender<io::Result<Child>>);

/// The thread that starts every process. What `setpriv --pdeathsig` waits for is the end of the *thread* that
/// started a process, and those of the tests come and go.
static STARTER: LazyLock<Mutex<mpsc::Sender<Request>>> = LazyLock::new(|| {
    let (requests, received) = mpsc::channel::<Request>();
    thread::spawn(move || {
        for (mut command, answer) in received {
            let _ = answer.send(command.spawn());
        }
    });
    Mutex::new(requests)
});

fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    let (answer, answered) = mpsc::channel();
    let gone = |_| io::Error::other("the thread that starts processes is gone");
    STARTER
        .lock()
        .unwrap()
        .send((command, answer))
        .map_err(|_| io::Error::other("the thread that starts processes is gone"))?;
    answered.recv().map_err(gone)?
}
