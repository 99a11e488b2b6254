//! The cluster that the tests use.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use kube::{Client, Config, config::KubeConfigOptions, config::Kubeconfig};
use tokio::process::Command;

use super::{Outcome, Process, REPOSITORY, audit::AuditLog};

/// A control plane that starts on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// A cluster, and how to be its administrator.
pub struct ControlPlane {
    client: Client,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    cache: PathBuf,
    audit: Option<AuditLog>,
    process: Option<Process>,
}

impl ControlPlane {
    /// Uses the cluster that the environment names, or starts one of our own.
    pub async fn start(dir: &Path) -> Outcome<ControlPlane> {
        match std::env::var_os("PGUSER_TEST_KUBECONFIG") {
            Some(kubeconfig) => Self::existing(dir, kubeconfig.into()).await,
            None => Self::own(dir).await,
        }
    }

    async fn existing(dir: &Path, kubeconfig: PathBuf) -> Outcome<ControlPlane> {
        let audit = std::env::var_os("PGUSER_TEST_AUDIT_LOG").map(|file| AuditLog::new(file.into()));
        Ok(ControlPlane {
            client: client(&kubeconfig).await?,
            kubeconfig,
            kubectl: "kubectl".into(),
            cache: dir.join("kubectl-cache"),
            audit,
            process: None,
        })
    }

    /// Starts one of our own.
    pub async fn own(dir: &Path) -> Outcome<ControlPlane> {
        let programs = build("hack/controlplane").await?;
        let dir = dir.join("control-plane");
        std::fs::create_dir_all(&dir)?;
        let mut command = Process::command(programs.join("pguser-controlplane"));
        command.arg("up").arg("--dir").arg(&dir);
        let mut process = Process::spawn("the control plane", command, &dir.join("up.log"))?;
        let kubeconfig = PathBuf::from(process.line("ready KUBECONFIG=", START_TIMEOUT).await?);
        Ok(ControlPlane {
            client: client(&kubeconfig).await?,
            kubeconfig,
            kubectl: programs.join("kubectl"),
            cache: dir.join("kubectl-cache"),
            audit: Some(AuditLog::new(dir.join("audit.log"))),
            process: Some(process),
        })
    }

    /// A client with all rights.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A kubeconfig with all rights.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Who did what. Absent on a cluster that is not ours.
    pub fn audit(&self) -> Option<&AuditLog> {
        self.audit.as_ref()
    }

    /// Whether the cluster ends with the tests, so that what is left in it does not matter.
    pub fn is_ours(&self) -> bool {
        self.process.is_some()
    }

    /// Runs kubectl as administrator and returns its stdout.
    pub async fn kubectl(&self, arguments: &[&str]) -> Outcome<String> {
        let output = Command::new(&self.kubectl)
            .env("KUBECONFIG", &self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return Err(format!("kubectl {}: {}", arguments.join(" "), message.trim()).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs a script as a person at a terminal would, who is the administrator and has our programs and kubectl.
    pub async fn shell(&self, script: &str) -> Outcome<String> {
        let ours = Path::new(env!("CARGO_BIN_EXE_pguser-operator")).parent();
        let folders = [ours, self.kubectl.parent()].into_iter().flatten();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(folders.map(Path::to_owned).chain(std::env::split_paths(&path)))?;
        let output = Command::new("bash")
            .args(["-euxo", "pipefail", "-c", script])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", path)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout)?),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
        }
    }

    /// Installs the CRDs of a folder and waits until they are served.
    pub async fn install_crds(&self, folder: &Path) -> Outcome {
        let crds = folder.to_string_lossy();
        self.kubectl(&["apply", "--server-side", "--filename", &crds])
            .await?;
        let wait = [
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "--filename",
            &crds,
        ];
        self.kubectl(&wait).await.map(drop)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.hang_up(STOP_TIMEOUT);
        }
    }
}

/// Builds a program of ours unless that was done before, and returns what the script prints: where it is. The script says
/// how far it is on stderr, which is ours.
pub async fn build(script: &str) -> Outcome<PathBuf> {
    let output = Command::new(Path::new(REPOSITORY).join(script))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await?;
    if !output.status.success() {
        return Err(format!("{script} failed").into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

async fn client(kubeconfig: &Path) -> Outcome<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
