//! How the process ends: asked to, or because it must not go on.

use std::sync::Arc;

use tokio::sync::watch;

/// Raised by whoever finds that this process must not go on: it lost leadership, or another one took over.
#[derive(Debug, Clone)]
pub struct Fatal(Arc<watch::Sender<Option<&'static str>>>);

impl Fatal {
    /// Not raised.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Ends the process, for this reason.
    pub fn raise(&self, why: &'static str) {
        self.0.send_replace(Some(why));
    }

    /// Waits until it is raised.
    pub async fn raised(&self) -> &'static str {
        let mut receiver = self.0.subscribe();
        loop {
            if let Some(why) = *receiver.borrow_and_update() {
                return why;
            }
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Default for Fatal {
    fn default() -> Self {
        Self::new()
    }
}
