//! The folder of a test run, and its end.

use std::{os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use super::{Outcome, process};

/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: i32 = 130;

/// A new folder. Others may enter it, as PostgreSQL does not run as root.
pub fn new_folder(name: &str) -> Outcome<PathBuf> {
    let since_epoch = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or(Duration::ZERO);
    let name = format!("{name}-{}-{}", std::process::id(), since_epoch.as_secs());
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir(&dir)?;
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o711))?;
    Ok(dir)
}

/// On Ctrl-C nothing is dropped, so this does what matters. (On `kill -9` nobody does, and the kernel ends all
/// processes; only the folder stays.)
pub async fn end_on_signals(dir: PathBuf) {
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
