//! How the process ends: asked to, or because it must not go on.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

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

    /// Ends the process if a task panics: whoever waits for it would wait for ever.
    pub fn unless_it_ends_well(&self, task: JoinHandle<()>, why: &'static str) {
        let fatal = self.clone();
        tokio::spawn(async move {
            if task.await.is_err_and(|error| error.is_panic()) {
                fatal.raise(why);
            }
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_ends_the_process() {
        let fatal = Fatal::new();
        let task = tokio::spawn(async { assert!(clock_is_absurd(), "a fault") });
        fatal.unless_it_ends_well(task, "it has ended");
        assert_eq!(fatal.raised().await, "it has ended");
    }

    fn clock_is_absurd() -> bool {
        crate::clock::now().0 == u64::MAX
    }
}
