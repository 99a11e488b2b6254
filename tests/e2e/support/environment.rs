//! What all tests share: a control plane with our CRDs, and a folder.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};

use super::{Outcome, control_plane::ControlPlane, process};

/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: i32 = 130;

/// The repository's root.
pub const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// Shared by all tests.
pub struct Environment {
    control_plane: ControlPlane,
    dir: PathBuf,
    runtime: Runtime,
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
        process::wait_if_ending();
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
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let dir = new_dir()?;
        runtime.spawn(end_on_signals(dir.clone()));
        let control_plane = runtime.block_on(async {
            let control_plane = ControlPlane::start(&dir).await?;
            control_plane.install_crds().await?;
            Outcome::Ok(control_plane)
        });
        let control_plane = control_plane.inspect_err(|_| {
            process::wait_if_ending();
            eprintln!("logs are in {}", dir.display());
        })?;
        *handle.0.lock().unwrap() = Some(Arc::new(Environment {
            control_plane,
            dir,
            runtime,
        }));
        Ok(())
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

fn new_dir() -> Outcome<PathBuf> {
    let since_epoch = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or(Duration::ZERO);
    let name = format!("pguser-e2e-{}-{}", std::process::id(), since_epoch.as_secs());
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir(&dir)?;
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o711))?;
    Ok(dir)
}

/// On Ctrl-C nothing is dropped, so this does what matters. (On `kill -9` nobody does, and the kernel ends all
/// processes; only the folder stays.)
async fn end_on_signals(dir: PathBuf) {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    process::kill_all();
    // What the killed were writing last may still appear, and PostgreSQL's processes end a moment later.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = std::fs::remove_dir_all(&dir);
    }
    std::process::exit(INTERRUPTED);
}
