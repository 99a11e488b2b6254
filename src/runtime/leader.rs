//! Leader election by Lease. The Lease keeps two processes from working at once most of the time; what keeps them
//! from doing harm when it does not is the journal's epoch.

use std::time::Duration;

use kube::Client;
use kube_lease_manager::{LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;

/// What is stood for.
#[derive(Debug, Clone)]
pub struct LeaseSettings {
    /// The Lease's name, in the operator's namespace.
    pub name: String,
    /// How long it lasts.
    pub duration: Duration,
}

/// A place in the election.
pub struct Candidate {
    leads: watch::Receiver<bool>,
    task: tokio::task::JoinHandle<Result<kube_lease_manager::LeaseManager, LeaseManagerError>>,
}

impl Candidate {
    /// Stands for election.
    ///
    /// # Errors
    /// If the Lease cannot be read or made.
    pub async fn stand(
        client: Client,
        namespace: &str,
        identity: &str,
        lease: &LeaseSettings,
    ) -> Result<Self, LeaseManagerError> {
        let seconds = lease.duration.as_secs().max(2);
        let manager = LeaseManagerBuilder::new(client, &lease.name)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_duration(seconds)
            .with_grace((seconds / 3).max(1))
            .build()
            .await?;
        let (leads, task) = manager.watch().await;
        Ok(Self { leads, task })
    }

    /// Waits until this process leads. False if it never will.
    pub async fn elected(&mut self) -> bool {
        self.leads.wait_for(|leads| *leads).await.is_ok()
    }

    /// Waits until this process does not lead any more.
    pub async fn deposed(&mut self) {
        let _ = self.leads.wait_for(|leads| !*leads).await;
    }

    /// Gives the Lease back, so that another process need not wait for it to run out.
    pub async fn resign(self) {
        drop(self.leads);
        if let Ok(Ok(Ok(manager))) = tokio::time::timeout(Duration::from_secs(10), self.task).await {
            let _ = tokio::time::timeout(Duration::from_secs(5), manager.release()).await;
        }
    }
}
