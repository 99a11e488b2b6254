//! The gate of R3: until when a mutation may be started.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock;
use crate::domain::time::Mono;

/// Until when this process may start mutations of one server: W after the start of its last successful
/// journal write. Shared by the journal, which moves it, and the HTTP client, which asks it at the last
/// moment before a mutation's first byte.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicU64>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self::default()
    }

    /// A gate that is always open, for what does no harm however late it comes.
    pub fn open() -> Self {
        let gate = Self::closed();
        gate.open_until(Mono(u64::MAX));
        gate
    }

    /// Lets mutations start until `until`. Never shortens what was granted before.
    pub fn open_until(&self, until: Mono) {
        self.0.fetch_max(until.0, Ordering::SeqCst);
    }

    /// Lets nothing start from now on, until it is opened further.
    pub fn close(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// Whether a mutation may start at this instant.
    pub fn is_open(&self) -> bool {
        clock::now().0 < self.0.load(Ordering::SeqCst)
    }

    /// Until when mutations may start.
    pub fn until(&self) -> Mono {
        Mono(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_gate_is_open_until_its_time_and_no_longer() {
        let gate = Gate::closed();
        assert!(!gate.is_open());
        gate.open_until(clock::now() + Duration::from_secs(60));
        assert!(gate.is_open());
        gate.close();
        assert!(!gate.is_open());
    }
}
