//! Crash points for the crash tests: in builds with the feature `failpoints` a process ends itself, as by
//! SIGKILL, before or after a named side effect. In all other builds there is nothing here.
//!
//! `PGUSER_FAILPOINT=journal-write:after` ends it the first time that point is reached,
//! `PGUSER_FAILPOINT=journal-write:after:3` the third time. `PGUSER_FAILPOINT_MARK` names a file that is made
//! first, so that a test can tell that the point was reached.

/// On which side of a side effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Just before it.
    Before,
    /// Just after it.
    After,
}

/// Ends the process here, if it was asked to.
#[cfg(feature = "failpoints")]
pub fn hit(point: &str, side: Side) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static ASKED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("PGUSER_FAILPOINT").ok());
    static HITS: AtomicUsize = AtomicUsize::new(0);

    let Some(asked) = ASKED.as_deref() else { return };
    let mut parts = asked.split(':');
    let side = match side {
        Side::Before => "before",
        Side::After => "after",
    };
    if parts.next() != Some(point) || parts.next() != Some(side) {
        return;
    }
    let nth = parts.next().and_then(|nth| nth.parse().ok()).unwrap_or(1);
    if HITS.fetch_add(1, Ordering::SeqCst) + 1 != nth {
        return;
    }
    if let Ok(mark) = std::env::var("PGUSER_FAILPOINT_MARK") {
        let _ = std::fs::write(mark, asked);
    }
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort();
}

/// Nothing.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn hit(_point: &str, _side: Side) {}
