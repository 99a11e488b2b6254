//! The floor: a bare client that makes, for each user, the writes and the remote calls that cannot be done without, and
//! decides nothing. What it takes is what the API server and the remote side take on this machine.

mod remote;
mod writes;

use std::sync::Arc;

use futures::StreamExt as _;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::watcher::{self, Event},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{stand::Stand, support::Outcome, users::User};

pub use self::remote::Remote;
use self::writes::Writes;

/// What is done for a user.
enum Job {
    Make(Box<User>),
    Delete(Box<User>),
}

/// The client at work, in place of an operator. It ends with this.
pub struct Floor(Vec<JoinHandle<()>>);

impl Floor {
    /// Begins to look after the users of a stand, this many at once, with the operator's rights. Returns when it sees them.
    pub async fn start(stand: &Stand, at_once: usize) -> Outcome<Floor> {
        let kubeconfig = Kubeconfig::read_from(stand.world.dir().join("operator-0.kubeconfig"))?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        let worker = Arc::new(Worker {
            remote: Remote::of(stand, at_once).await?,
            writes: Writes::new(&client, stand.world.namespace()),
        });
        let (jobs, taken) = mpsc::unbounded_channel();
        let (listed, has_listed) = oneshot::channel();
        let users = Api::namespaced(client, stand.world.namespace());
        let watching = tokio::spawn(watch(users, jobs, listed));
        let taken = futures::stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken)));
        let working = tokio::spawn(taken.for_each_concurrent(at_once, move |job| {
            let worker = worker.clone();
            async move {
                if let Err(error) = worker.take(job).await {
                    eprintln!("the floor: {error}");
                }
            }
        }));
        has_listed.await?;
        Ok(Floor(vec![watching, working]))
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

async fn watch(users: Api<User>, jobs: mpsc::UnboundedSender<Job>, listed: oneshot::Sender<()>) {
    let mut listed = Some(listed);
    let mut events = std::pin::pin!(watcher::watcher(users, watcher::Config::default()));
    while let Some(event) = events.next().await {
        if let Ok(Event::InitDone) = event {
            let _ = listed.take().map(|listed| listed.send(()));
        }
        let Ok(Event::Apply(user) | Event::InitApply(user)) = event else {
            continue;
        };
        let is_claimed = user
            .metadata
            .finalizers
            .as_ref()
            .is_some_and(|all| !all.is_empty());
        let is_going = user.metadata.deletion_timestamp.is_some();
        let job = match (is_claimed, is_going) {
            (false, false) => Job::Make(Box::new(user)),
            (true, true) => Job::Delete(Box::new(user)),
            _ => continue,
        };
        if jobs.send(job).is_err() {
            return;
        }
    }
}

struct Worker {
    remote: Remote,
    writes: Writes,
}

impl Worker {
    async fn take(&self, job: Job) -> Outcome {
        match job {
            Job::Make(user) => {
                let name = name(&user);
                let claimed = self.writes.claim(&user).await?;
                self.remote.create(&name).await?;
                self.writes.publish(&claimed).await?;
                self.writes.record(&claimed).await?;
                self.writes.tell(&claimed, "Published").await
            }
            Job::Delete(user) => {
                self.remote.delete(&name(&user)).await?;
                self.writes.withdraw(&user).await?;
                self.writes.tell(&user, "LoginDeleted").await?;
                self.writes.let_go(&user).await
            }
        }
    }
}

fn name(user: &User) -> String {
    user.metadata.name.clone().unwrap_or_default()
}
