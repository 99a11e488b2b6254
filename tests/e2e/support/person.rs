//! Somebody at a terminal, with the plugin on their PATH and the rights of one of Kubernetes's own roles.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
};

use serde_json::Value;
use tokio::process::Command;

use super::{Outcome, PATIENCE, World, eventually, rbac};

/// The plugin that is tested.
const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-pguser");

/// A person, and all that their terminal has shown.
pub struct Person {
    kubeconfig: PathBuf,
    path: String,
    home: PathBuf,
    transcript: Mutex<String>,
}

/// What a command came to.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it told beside that.
    pub stderr: String,
}

impl Person {
    /// One with a role of Kubernetes's (`view`, `edit`, `admin`) in the world's namespace; the operator's roles, which
    /// extend those, have to be there.
    pub async fn with_role(world: &World, role: &str) -> Outcome<Person> {
        let account = format!("person-{role}");
        world
            .apply(&format!(
                "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {account}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {account}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}
subjects: [{{kind: ServiceAccount, name: {account}, namespace: {namespace}}}]
",
                namespace = world.namespace()
            ))
            .await?;
        let admin = world.kubeconfig();
        let config = rbac::kubeconfig(world.client(), admin, world.namespace(), &account).await?;
        let kubeconfig = world.dir().join(format!("{account}.kubeconfig"));
        std::fs::write(&kubeconfig, config)?;
        let person = Self::at(world, kubeconfig)?;
        eventually("the roles to be aggregated", PATIENCE, async || {
            match person.pguser(&["status"]).await? {
                answer if answer.code == 3 => Err(answer.stderr.into()),
                _ => Ok(()),
            }
        })
        .await?;
        Ok(person)
    }

    /// The cluster's administrator.
    pub fn administrator(world: &World) -> Outcome<Person> {
        let admin = world.kubeconfig().to_owned();
        Self::at(world, admin)
    }

    fn at(world: &World, kubeconfig: PathBuf) -> Outcome<Person> {
        let home = world.dir().join("home");
        std::fs::create_dir_all(&home)?;
        let folder = |program: &Path| program.parent().map(Path::to_owned).unwrap_or_default();
        let folders = [
            home.clone(),
            folder(Path::new(PLUGIN)),
            folder(world.environment().control_plane().kubectl_program()),
            world.postgres().programs().to_owned(),
        ];
        let folders = folders.iter().map(|folder| folder.display().to_string());
        let usual = std::env::var("PATH").unwrap_or_default();
        Ok(Person {
            kubeconfig,
            path: folders.chain([usual]).collect::<Vec<_>>().join(":"),
            home,
            transcript: Mutex::default(),
        })
    }

    /// A folder on their PATH, theirs to fill.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Runs `kubectl-pguser`.
    pub async fn pguser(&self, arguments: &[&str]) -> Outcome<Answer> {
        self.run("kubectl-pguser", arguments).await
    }

    /// Runs `kubectl-pguser`, which is to end with this exit code.
    pub async fn pguser_ends(&self, code: i32, arguments: &[&str]) -> Outcome<Answer> {
        let answer = self.pguser(arguments).await?;
        match answer.code == code {
            true => Ok(answer),
            false => Err(format!(
                "kubectl-pguser {}: expected {code}: {answer:#?}",
                arguments.join(" ")
            )
            .into()),
        }
    }

    /// The same with `--output json`; gives what it printed.
    pub async fn pguser_says(&self, code: i32, arguments: &[&str]) -> Outcome<Value> {
        let arguments = [arguments, &["--output", "json"]].concat();
        let answer = self.pguser_ends(code, &arguments).await?;
        serde_json::from_str(&answer.stdout).map_err(|error| format!("{error}: {answer:#?}").into())
    }

    /// Runs any program on their PATH.
    pub async fn run(&self, program: &str, arguments: &[&str]) -> Outcome<Answer> {
        let output = self.command(program, arguments).output().await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let answer = Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        self.transcript
            .lock()
            .unwrap()
            .push_str(&format!("{}{}", answer.stdout, answer.stderr));
        Ok(answer)
    }

    /// A program on their PATH, to be started.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        // The PATH of the child is not where the standard library looks.
        let mut command = Command::new("env");
        command
            .arg(format!("PATH={}", self.path))
            .arg(program)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Checks that their terminal has shown none of these.
    pub fn has_not_seen(&self, secrets: &[&str]) {
        let transcript = self.transcript.lock().unwrap();
        assert!(!transcript.is_empty());
        for secret in secrets {
            assert!(
                !secret.is_empty() && !transcript.contains(secret),
                "a secret was shown:\n{transcript}"
            );
        }
    }
}
