//! What all tests share: a control plane with our CRDs, and a folder.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::runtime::Runtime;

use super::servers::{end_on_signals, new_folder, wait_if_ending};
use super::{Outcome, REPOSITORY, control_plane::ControlPlane};

/// Shared by all tests.
pub struct Environment {
    control_plane: ControlPlane,
    dir: PathBuf,
    runtime: Arc<Runtime>,
}

/// Where trials find the environment, which starts after they were listed.
#[derive(Clone, Default)]
pub struct Handle(Arc<Mutex<Option<Arc<Environment>>>>);

impl Handle {
    /// The environment, while tests run.
    pub fn get(&self) -> Arc<Environment> {
        self.0
            .lock()
            .unwrap()
            .clone()
            .expect("tests run while there is an environment")
    }

    /// Takes the environment down. Its folder stays if tests failed, or if the user wants it.
    pub fn stop(&self, failed: bool) {
        wait_if_ending();
        let Some(environment) = self.0.lock().unwrap().take() else {
            return;
        };
        let dir = environment.dir.clone();
        drop(environment);
        if failed || std::env::var_os("PGUSER_TEST_KEEP").is_some() {
            eprintln!("logs are in {}", dir.display());
        } else {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

impl Environment {
    /// Starts the environment and puts it in its handle.
    pub fn start(handle: &Handle) -> Outcome {
        // Nobody has installed one before; where somebody has, it is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let dir = new_folder("pguser-e2e")?;
        runtime.spawn(end_on_signals(dir.clone()));
        let control_plane = runtime.block_on(async {
            let control_plane = ControlPlane::start(&dir).await?;
            control_plane
                .install_crds(&Path::new(REPOSITORY).join("crds"))
                .await?;
            Outcome::Ok(control_plane)
        });
        let control_plane = control_plane.inspect_err(|_| {
            wait_if_ending();
            eprintln!("logs are in {}", dir.display());
        })?;
        *handle.0.lock().unwrap() = Some(Arc::new(Environment {
            control_plane,
            dir,
            runtime: Arc::new(runtime),
        }));
        Ok(())
    }

    /// Another one for a test that changes the CRDs: with a control plane of its own, which has none yet, and its files in a
    /// new folder. That is beside those of the tests, since paths of sockets have to be short.
    pub async fn apart(&self, name: &str) -> Outcome<Arc<Environment>> {
        let dir = self.dir.join(name);
        std::fs::create_dir(&dir)?;
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o711))?;
        let control_plane = ControlPlane::own(&dir).await?;
        Ok(Arc::new(Environment {
            control_plane,
            dir,
            runtime: self.runtime.clone(),
        }))
    }

    /// The cluster.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The folder for everybody's files. Others may enter it, as PostgreSQL does not run as root.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where tests run.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}
