//! Leader election by Lease. The Lease keeps two processes from working at once most of the time; what keeps them
//! from doing harm when it does not is the journal's epoch.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::election::{Election, Move};
use crate::clock;
use crate::controller::api_error::api;
use crate::controller::objects::Objects;
use crate::domain::time::Mono;

/// What is stood for.
#[derive(Debug, Clone)]
pub struct LeaseSettings {
    /// The Lease's name, in the operator's namespace.
    pub name: String,
    /// How long it lasts; whole seconds, two at least.
    pub duration: Duration,
}

/// How long the Lease is given back for when the process ends.
const GIVING_BACK: Duration = Duration::from_secs(5);

/// A place in the election.
pub struct Candidate {
    leads: watch::Receiver<bool>,
    resigns: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Candidate {
    /// Stands for election.
    ///
    /// # Errors
    /// If the Lease cannot be read.
    pub async fn stand(
        client: Client,
        namespace: &str,
        identity: &str,
        lease: &LeaseSettings,
    ) -> Result<Self, kube::Error> {
        let lasts = Duration::from_secs(lease.duration.as_secs().max(2));
        let standing = Standing {
            leases: Objects::of(client, namespace),
            name: lease.name.clone(),
            identity: identity.to_string(),
            lasts,
            election: Election::new(identity, lasts),
            held_until: None,
        };
        standing.leases.get_opt(&lease.name).await?;
        let (sender, leads) = watch::channel(false);
        let resigns = CancellationToken::new();
        let task = tokio::spawn(standing.run(sender, resigns.clone()));
        Ok(Self { leads, resigns, task })
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
        self.resigns.cancel();
        let _ = tokio::time::timeout(2 * GIVING_BACK, self.task).await;
    }
}

/// Stands for election, until it is over.
struct Standing {
    leases: Objects<Lease>,
    name: String,
    identity: String,
    lasts: Duration,
    election: Election,
    /// Until when this process may take itself for the holder, if it does.
    held_until: Option<Mono>,
}

/// Why a round came to nothing.
#[derive(Debug)]
enum Failed {
    /// The API server did not do it.
    Api(kube::Error),
    /// It did not answer in time.
    Late,
    /// Somebody else holds the Lease.
    Lost,
}

impl From<kube::Error> for Failed {
    fn from(error: kube::Error) -> Self {
        Self::Api(error)
    }
}

impl Standing {
    async fn run(mut self, leads: watch::Sender<bool>, resigns: CancellationToken) {
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = resigns.cancelled() => return self.give_back().await,
            }
            let round = tokio::time::timeout(self.limit(), self.round()).await;
            pause = match round.unwrap_or(Err(Failed::Late)) {
                Ok(pause) => pause,
                Err(why) => {
                    self.tell(&why);
                    let is_over = |until: Mono| matches!(why, Failed::Lost) || clock::now() >= until;
                    if self.held_until.is_some_and(is_over) {
                        leads.send_replace(false);
                        return;
                    }
                    // Whoever waits for the same does not ask in step.
                    self.election.look().mul_f64(0.5 + clock::jitter() / 2.0)
                }
            };
            leads.send_if_modified(|leads| std::mem::replace(leads, self.held_until.is_some()) != *leads);
        }
    }

    /// How long a round may take: no longer than this process may take itself for the holder. One that slept through that tries
    /// all the same, since what it writes is taken only if nobody else has written.
    fn limit(&self) -> Duration {
        let limit = self.election.look().max(Duration::from_secs(1));
        let left = self.held_until.map(|until| until - clock::now());
        left.filter(|left| !left.is_zero())
            .map_or(limit, |left| left.min(limit))
    }

    fn tell(&self, why: &Failed) {
        let lease = self.name.as_str();
        match why {
            Failed::Api(error) => tracing::warn!(
                lease,
                error = api(error),
                "the Lease could not be read or written"
            ),
            Failed::Late => tracing::warn!(lease, "the Lease could not be read or written in time"),
            Failed::Lost => tracing::warn!(lease, "another process holds the Lease"),
        }
    }

    /// Looks at the Lease, and takes or renews it if that is to be done: how long to wait until the next time.
    async fn round(&mut self) -> Result<Duration, Failed> {
        let Some(lease) = self.leases.get_opt(&self.name).await? else {
            return self.make().await;
        };
        let spec = lease.spec.unwrap_or_default();
        let version = lease.metadata.resource_version.unwrap_or_default();
        match self.election.found(&spec, clock::now()) {
            Move::Wait(_) if self.held_until.is_some() => Err(Failed::Lost),
            Move::Wait(pause) => Ok(pause),
            Move::Take => {
                let transitions = spec.lease_transitions.unwrap_or_default().saturating_add(1);
                let now = MicroTime(Timestamp::now());
                let taken = json!({"acquireTime": now, "leaseTransitions": transitions});
                self.write(&version, taken).await
            }
            Move::Renew => self.write(&version, json!({})).await,
        }
    }

    /// Writes that it is held by this process, if nobody else has written since.
    async fn write(&mut self, version: &str, spec: Value) -> Result<Duration, Failed> {
        let mut spec = spec;
        spec["holderIdentity"] = json!(self.identity);
        spec["renewTime"] = json!(MicroTime(Timestamp::now()));
        spec["leaseDurationSeconds"] = json!(self.seconds());
        let started = clock::now();
        self.patch(version, spec).await?;
        Ok(self.holds_since(started))
    }

    async fn make(&mut self) -> Result<Duration, Failed> {
        let now = MicroTime(Timestamp::now());
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: Some(self.seconds()),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        };
        let started = clock::now();
        self.leases.create(&PostParams::default(), &lease).await?;
        Ok(self.holds_since(started))
    }

    async fn patch(&self, version: &str, spec: Value) -> Result<(), kube::Error> {
        let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "spec": spec}));
        let patched = self
            .leases
            .patch(&self.name, &PatchParams::default(), &patch)
            .await;
        patched.map(drop)
    }

    fn holds_since(&mut self, started: Mono) -> Duration {
        self.held_until = Some(self.election.holds_until(started));
        self.election.renewal()
    }

    fn seconds(&self) -> i32 {
        i32::try_from(self.lasts.as_secs()).unwrap_or(i32::MAX)
    }

    /// Lets the next one have it at once.
    async fn give_back(self) {
        if self.held_until.is_none() {
            return;
        }
        let given = async {
            let lease = self.leases.get(&self.name).await?;
            let holder = lease.spec.and_then(|spec| spec.holder_identity);
            if holder.as_deref() != Some(&self.identity) {
                return Ok(());
            }
            let version = lease.metadata.resource_version.unwrap_or_default();
            let nobodys = json!({
                "holderIdentity": null, "acquireTime": null, "renewTime": null, "leaseDurationSeconds": null,
            });
            self.patch(&version, nobodys).await
        };
        if let Ok(Err(error)) = tokio::time::timeout(GIVING_BACK, given).await {
            tracing::warn!(error = api(&error), "the Lease could not be given back");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::Method;

    use super::*;
    use crate::answering::api_server;

    /// An API server that keeps one Lease.
    #[derive(Clone)]
    struct ApiServer(Arc<Mutex<Option<Value>>>);

    impl ApiServer {
        /// Somebody else writes to it.
        fn write(&self, spec: Value) {
            let mut stored = self.0.lock().unwrap();
            let next = version_of(stored.as_ref()) + 1;
            *stored = Some(json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": "l", "resourceVersion": next.to_string()}, "spec": spec,
            }));
        }

        fn holder(&self) -> Value {
            self.0.lock().unwrap().as_ref().unwrap()["spec"]["holderIdentity"].clone()
        }

        fn answer(&self, method: &Method, body: &[u8]) -> (u16, Value) {
            let before = self.0.lock().unwrap().clone();
            let refused = |code, reason| (code, json!({"reason": reason}));
            match (method, before) {
                (&Method::GET, Some(lease)) => (200, lease),
                (&Method::POST, None) => {
                    let lease: Value = serde_json::from_slice(body).unwrap();
                    self.write(lease["spec"].clone());
                    (201, self.0.lock().unwrap().clone().unwrap())
                }
                (&Method::PATCH, Some(lease)) => {
                    let patch: Value = serde_json::from_slice(body).unwrap();
                    if patch["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] {
                        return refused(409, "Conflict");
                    }
                    let mut spec = lease["spec"].as_object().cloned().unwrap_or_default();
                    for (key, value) in patch["spec"].as_object().unwrap() {
                        spec.insert(key.clone(), value.clone());
                    }
                    spec.retain(|_, value| !value.is_null());
                    self.write(Value::Object(spec));
                    (200, self.0.lock().unwrap().clone().unwrap())
                }
                (&Method::POST, Some(_)) => refused(409, "AlreadyExists"),
                _ => refused(404, "NotFound"),
            }
        }

        async fn stand(&self, identity: &str) -> Candidate {
            let settings = LeaseSettings {
                name: "l".to_string(),
                duration: Duration::from_secs(2),
            };
            let server = self.clone();
            let client = api_server(move |method, body| Some(server.answer(method, &body)));
            let standing = Candidate::stand(client, "pguser-system", identity, &settings).await;
            standing.unwrap()
        }
    }

    fn version_of(lease: Option<&Value>) -> u64 {
        let version = lease.and_then(|lease| lease["metadata"]["resourceVersion"].as_str());
        version.map_or(0, |version| version.parse().unwrap())
    }

    fn held_by_another(renewed: &str) -> Value {
        json!({"holderIdentity": "other", "leaseDurationSeconds": 2, "renewTime": renewed, "leaseTransitions": 7})
    }

    async fn within(limit: Duration, candidate: &mut Candidate) -> bool {
        tokio::time::timeout(limit, candidate.elected())
            .await
            .is_ok_and(|elected| elected)
    }

    #[tokio::test]
    async fn a_leader_whose_clock_is_hours_behind_is_not_deposed_while_it_renews() {
        let server = ApiServer(Arc::default());
        server.write(held_by_another("2001-01-01T00:00:00.000000Z"));
        let mut candidate = server.stand("me").await;
        for second in 1..=8 {
            assert!(!within(Duration::from_millis(500), &mut candidate).await);
            assert_eq!(server.holder(), "other");
            server.write(held_by_another(&format!("2001-01-01T00:00:0{second}.000000Z")));
        }
        // Nobody renews it any more, and then it runs out.
        assert!(within(Duration::from_secs(10), &mut candidate).await);
        assert_eq!(server.holder(), "me");
    }

    #[tokio::test]
    async fn a_leader_that_died_with_a_clock_that_was_ahead_is_replaced() {
        let server = ApiServer(Arc::default());
        server.write(held_by_another("2999-01-01T00:00:00.000000Z"));
        let mut candidate = server.stand("me").await;
        assert!(within(Duration::from_secs(10), &mut candidate).await);
    }

    #[tokio::test]
    async fn one_of_two_leads_the_other_takes_over_at_once_and_whoever_lost_the_lease_is_told() {
        let server = ApiServer(Arc::default());
        let mut first = server.stand("first").await;
        assert!(within(Duration::from_secs(5), &mut first).await);
        let mut second = server.stand("second").await;
        assert!(!within(Duration::from_secs(3), &mut second).await);
        first.resign().await;
        assert!(within(Duration::from_secs(5), &mut second).await);
        assert_eq!(server.holder(), "second");
        server.write(held_by_another("2026-01-01T00:00:00.000000Z"));
        let told = tokio::time::timeout(Duration::from_secs(5), second.deposed()).await;
        assert!(told.is_ok(), "it leads still");
    }

    #[tokio::test]
    async fn a_leader_that_cannot_reach_the_api_server_is_deposed_before_another_one_is_elected() {
        let server = ApiServer(Arc::default());
        let mut candidate = server.stand("me").await;
        assert!(within(Duration::from_secs(5), &mut candidate).await);
        // Whatever is asked from now on is refused.
        *server.0.lock().unwrap() = Some(json!("no Lease"));
        let told = tokio::time::timeout(Duration::from_millis(2500), candidate.deposed()).await;
        assert!(told.is_ok(), "it leads still");
    }
}
