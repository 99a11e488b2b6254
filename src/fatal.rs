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

    /// Held by a task that must not end unexpectedly: unless it is told that all is well, its end (by a panic, say) ends
    /// the process, since nobody may be left waiting for what will never be done.
    pub fn guard(&self, why: &'static str) -> Guard {
        Guard {
            fatal: self.clone(),
            why: Some(why),
        }
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

/// Raises [`Fatal`] when it is dropped.
#[derive(Debug)]
pub struct Guard {
    fatal: Fatal,
    why: Option<&'static str>,
}

impl Guard {
    /// The task has come to its end as it should.
    pub fn disarm(mut self) {
        self.why = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(why) = self.why {
            self.fatal.raise(why);
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
        let guard = fatal.guard("a task has ended");
        let task = tokio::spawn(async move {
            let _guard = guard;
            panic!("it falls over");
        });
        assert!(task.await.is_err());
        assert_eq!(fatal.raised().await, "a task has ended");
    }

    #[tokio::test]
    async fn a_task_that_ends_as_it_should_ends_nothing() {
        let fatal = Fatal::new();
        fatal.guard("a task has ended").disarm();
        let raised = tokio::time::timeout(std::time::Duration::from_millis(20), fatal.raised()).await;
        assert!(raised.is_err());
    }
}
