//! What GitOps tools think of an object, by their own code (`tests/gitops`).

use std::{path::Path, path::PathBuf};

use serde::{Deserialize, de::DeserializeOwned};
use tokio::{process::Command, sync::OnceCell};

use super::{Outcome, PATIENCE, REPOSITORY, World, command::piped, control_plane::build, eventually};

/// The kustomization that tells Argo CD of our kinds.
const ARGOCD_CM: &str = "deploy/argocd/argocd-cm";

static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();

/// kstatus and Argo CD.
pub struct Judge<'a> {
    world: &'a World,
    program: &'static Path,
    argocd_cm: PathBuf,
}

/// What they say of an object's health.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Health {
    /// kstatus: `InProgress`, `Current`, `Failed`, `Terminating`.
    pub kstatus: String,
    /// Argo CD: `Progressing`, `Healthy`, `Degraded`, `Suspended`.
    pub argo: String,
    /// Argo CD's message.
    pub message: String,
}

/// What an application's sync would lead to, of each way that Argo CD has to compare; empty where that is what is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Diff {
    /// The object.
    pub name: String,
    /// By the annotation of what was last applied, where it is there.
    #[serde(default)]
    pub three_way: String,
    /// As with `ServerSideApply=true`.
    #[serde(default)]
    pub structured_merge: String,
    /// As with `ServerSideDiff=true`.
    #[serde(default)]
    pub server_side: String,
}

impl Diff {
    /// All ways.
    pub fn ways(&self) -> [&str; 3] {
        [&self.three_way, &self.structured_merge, &self.server_side]
    }
}

impl<'a> Judge<'a> {
    /// With the Lua that is shipped.
    pub async fn new(world: &'a World) -> Outcome<Judge<'a>> {
        let program = PROGRAM.get_or_try_init(|| build("hack/judge")).await?;
        let kustomization = Path::new(REPOSITORY).join(ARGOCD_CM);
        let config_map = world
            .kubectl(&["kustomize", &kustomization.to_string_lossy()])
            .await?;
        let argocd_cm = world.dir().join("argocd-cm.yaml");
        std::fs::write(&argocd_cm, config_map)?;
        Ok(Judge {
            world,
            program,
            argocd_cm,
        })
    }

    /// Waits until an object is judged so: what kstatus says, what Argo CD says, and how its message begins.
    pub async fn finds(&self, kind: &str, name: &str, expected: (&str, &str, &str)) -> Outcome {
        let (kstatus, argo, reason) = expected;
        eventually(
            &format!("{kind} {name} to be {expected:?}"),
            PATIENCE,
            async || {
                let found = self.health(kind, name).await?;
                match found.kstatus == kstatus && found.argo == argo && found.message.starts_with(reason) {
                    true => Ok(()),
                    false => Err(format!("{found:?}").into()),
                }
            },
        )
        .await
    }

    /// What they say of an object's health now.
    pub async fn health(&self, kind: &str, name: &str) -> Outcome<Health> {
        let object = self
            .world
            .get(kind, name)
            .await?
            .ok_or(format!("no {kind} {name}"))?;
        let (config_map, object) = (self.argocd_cm.to_string_lossy(), serde_json::to_string(&object)?);
        let arguments = ["health", "--argocd-cm", &config_map];
        Ok(self.run(&arguments, &object).await?.remove(0))
    }

    /// How manifests, which name their namespace, differ from what is there.
    pub async fn diff(&self, manifests: &str) -> Outcome<Vec<Diff>> {
        let kubeconfig = self.world.kubeconfig().to_string_lossy();
        self.run(&["diff", "--kubeconfig", &kubeconfig], manifests).await
    }

    async fn run<T: DeserializeOwned>(&self, arguments: &[&str], input: &str) -> Outcome<Vec<T>> {
        let mut command = Command::new(self.program);
        command.args(arguments);
        let output = piped(command, input).await?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().into());
        }
        let verdicts = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
        Ok(verdicts.collect::<Result<_, _>>()?)
    }
}
