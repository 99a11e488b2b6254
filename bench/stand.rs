//! What a scenario is played on: a world of its own with a remote side, a server object, and an operator on its default
//! flags.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api as KubeApi;
use serde_json::{Value, json};

use crate::{
    api::{Api, by_route},
    others::Moment,
    process::Usage,
    support::{
        ADMIN, AuditEvent, CLUSTER_ID, Environment, Mark, Operator, Options, Outcome, Provider, TOKEN, World,
        eventually,
    },
    users::Users,
};

/// Where the bench's users are, whichever provider it is.
pub const SERVER: &str = "orders";

/// How long the cluster has to forget a scenario before the next.
const FORGETTING: Duration = Duration::from_secs(180);

/// The remote side.
pub enum Remote {
    /// A bare API.
    Ionos(Api),
    /// The world's PostgreSQL.
    Sql,
}

/// A scenario's stage.
pub struct Stand {
    /// Namespaces, PostgreSQL, rights.
    pub world: World,
    /// The remote side.
    pub remote: Remote,
    /// The operator; it is started by [`Stand::open`].
    pub operator: Operator,
    /// The users of the world's namespace.
    pub users: Users,
    shared: bool,
}

/// Where the counting begins.
pub struct Meter {
    audit: Mark,
    calls: usize,
    told: BTreeMap<String, u64>,
    usage: Usage,
    moment: Moment,
}

/// What was counted since.
pub struct Costs {
    /// Calls to the remote side, by operation.
    pub calls: BTreeMap<String, u64>,
    /// Writes to Kubernetes, by what was written, the operator's Lease left out.
    pub writes: BTreeMap<String, u64>,
    /// Those of them that were in the namespaces of users.
    pub writes_at_users: u64,
    /// Memory now, processor time since.
    pub usage: Usage,
    /// Which share of the machine others had, in percent.
    pub others: f64,
}

impl Costs {
    /// All calls.
    pub fn all_calls(&self) -> u64 {
        self.calls.values().sum()
    }

    /// All writes.
    pub fn all_writes(&self) -> u64 {
        self.writes.values().sum()
    }
}

/// Counts as a text: `create 100, list 3`.
pub fn spell(counts: &BTreeMap<String, u64>) -> String {
    let texts: Vec<String> = counts
        .iter()
        .map(|(what, count)| format!("{what} {count}"))
        .collect();
    texts.join(", ")
}

impl Stand {
    /// Prepares one, with nothing of the operator's running. If `shared`, users refer to a ClusterPostgresServer, and there
    /// is a second namespace, see [`Stand::other`].
    pub async fn new(
        environment: &Arc<Environment>,
        provider: Provider,
        name: &str,
        shared: bool,
    ) -> Outcome<Stand> {
        let world = World::new(environment, name, provider).await?;
        let remote = match provider {
            Provider::Postgresql => {
                let make = format!("create role {ADMIN} login createrole password '{TOKEN}'");
                world.postgres().sql(&make).await?;
                Remote::Sql
            }
            _ => Remote::Ionos(Api::start().await?),
        };
        // Names that the API gives as the database's are not resolved while nothing but this name is allowed.
        let mut options = Options::as_shipped().flag("--allow-endpoint", "localhost:*");
        if shared {
            let other = other(&world);
            world.create_namespace(&other).await?;
            options = options.with_cluster_servers(&world, &other);
        }
        Ok(Stand {
            operator: world.operator(options).await?,
            users: Users::watch(world.client(), world.namespace()),
            remote,
            world,
            shared,
        })
    }

    /// Starts the operator, and waits until it has reached the server.
    pub async fn open(&mut self) -> Outcome {
        self.operator.start()?;
        self.operator.ready().await?;
        for manifest in self.manifests()? {
            let namespace = match self.shared {
                true => self.world.operator_namespace(),
                false => self.world.namespace(),
            };
            self.world.apply_in(namespace, &manifest.to_string()).await?;
        }
        let (kind, name) = match self.shared {
            true => ("ClusterPostgresServer", self.world.namespace()),
            false => ("PostgresServer", SERVER),
        };
        self.world.wait_for(kind, name, "Ready", "True").await.map(drop)
    }

    /// The logins of users, in the order in which the remote has made them.
    pub async fn made(&self) -> Outcome<Vec<String>> {
        if let Remote::Ionos(api) = &self.remote {
            return Ok(api.made());
        }
        let sql = "select rolname from pg_roles where oid >= 16384 order by oid";
        let rows = self.world.postgres().sql(sql).await?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Ends all, and waits until the cluster has nothing left to clean up.
    pub async fn close(mut self) -> Outcome {
        self.operator.kill();
        self.world.clean_up().await;
        let namespaces: KubeApi<Namespace> = KubeApi::all(self.world.client().clone());
        eventually("the namespaces' end", FORGETTING, async || {
            let all = namespaces
                .list_metadata(&kube::api::ListParams::default())
                .await?;
            let ours = |name: &str| name.starts_with(self.world.namespace());
            match all
                .items
                .iter()
                .any(|namespace| ours(namespace.metadata.name.as_deref().unwrap_or_default()))
            {
                false => Ok(()),
                true => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    Err("some are there".into())
                }
            }
        })
        .await
    }

    /// The API, where there is one.
    pub fn api(&self) -> Option<&Api> {
        match &self.remote {
            Remote::Ionos(api) => Some(api),
            Remote::Sql => None,
        }
    }

    /// The second namespace.
    pub fn other(&self) -> String {
        other(&self.world)
    }

    /// What users refer to.
    pub fn server_ref(&self) -> Value {
        match self.shared {
            true => json!({"kind": "ClusterPostgresServer", "name": self.world.namespace()}),
            false => json!({"name": SERVER}),
        }
    }

    fn manifests(&self) -> Outcome<Vec<Value>> {
        let name = if self.shared {
            self.world.namespace()
        } else {
            SERVER
        };
        let credentials = json!({"name": "admin"});
        let (key, provider, data) = match &self.remote {
            Remote::Ionos(api) => {
                let endpoint = format!("http://localhost:{}/databases/postgresql", api.port());
                let spec = json!({"clusterId": CLUSTER_ID, "endpoint": endpoint, "credentialsSecretRef": credentials});
                ("ionos", spec, json!({"token": TOKEN}))
            }
            Remote::Sql => {
                let postgres = self.world.postgres();
                let spec = json!({"host": "localhost", "port": postgres.port(), "credentialsSecretRef": credentials});
                let ca = std::fs::read_to_string(postgres.ca_file())?;
                (
                    "postgresql",
                    spec,
                    json!({"username": ADMIN, "password": TOKEN, "ca.crt": ca}),
                )
            }
        };
        let mut spec = json!({"limits": {"requestsPerMinute": 60000}, "refreshInterval": "30s"});
        spec[key] = provider;
        if key == "postgresql" {
            spec["connection"] = json!({"sslmode": "verify-full"});
        }
        let mut server = json!({"apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresServer",
            "metadata": {"name": name}, "spec": spec});
        if self.shared {
            server["kind"] = json!("ClusterPostgresServer");
            server["metadata"]["labels"] = json!({"pguser-test": name});
            server["spec"]["namespaceSelector"] = json!({});
        }
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "admin"}, "stringData": data});
        Ok(vec![secret, server])
    }

    // ------------------------------------------------------------------------------------------------- counting

    /// Begins to count.
    pub async fn meter(&self) -> Outcome<Meter> {
        Ok(Meter {
            audit: self.world.mark()?,
            calls: self.api().map_or(0, Api::mark),
            told: self.told().await?,
            usage: self.usage()?,
            moment: Moment::now(),
        })
    }

    /// What was counted.
    pub async fn read(&self, meter: &Meter) -> Outcome<Costs> {
        let (usage, others) = (self.usage()?, meter.moment.others_since());
        let calls = match self.api() {
            Some(api) => {
                let counts = by_route(&api.since(meter.calls)).into_iter();
                counts
                    .map(|(route, count)| (route.to_owned(), count as u64))
                    .collect()
            }
            None => more(self.told().await?, &meter.told),
        };
        let events = self.world.audit()?.since(meter.audit, self.operator.user())?;
        let written: Vec<&AuditEvent> = events
            .iter()
            .filter(|event| event.is_write() && event.resource != "leases")
            .collect();
        let mut writes = BTreeMap::new();
        for event in &written {
            *writes.entry(self.written(event)).or_default() += 1;
        }
        let own = self.world.operator_namespace();
        Ok(Costs {
            calls,
            writes,
            writes_at_users: written.iter().filter(|event| event.namespace != own).count() as u64,
            usage: Usage {
                cpu: usage.cpu.saturating_sub(meter.usage.cpu),
                ..usage
            },
            others,
        })
    }

    /// What an operator that was started anew has cost, from its beginning.
    pub fn of_new_process(mut meter: Meter) -> Meter {
        meter.told.clear();
        meter.usage = Usage::default();
        meter
    }

    fn written(&self, event: &AuditEvent) -> String {
        let own = event.namespace == self.world.operator_namespace();
        let whose = if own { "own " } else { "" };
        format!("{whose}{} {}", event.resource, event.verb)
    }

    /// That of the operator's process; nothing while it does not run, as the floor is not measured by it.
    pub fn usage(&self) -> Outcome<Usage> {
        self.operator.pid().map_or(Ok(Usage::default()), Usage::of)
    }

    /// By SQL nobody else counts, so the operator's own word has to do.
    async fn told(&self) -> Outcome<BTreeMap<String, u64>> {
        if self.api().is_some() || self.operator.pid().is_none() {
            return Ok(BTreeMap::new());
        }
        let metrics = self.operator.get("metrics").await?;
        let mut counts = BTreeMap::new();
        for line in metrics
            .lines()
            .filter(|line| line.starts_with("pguser_remote_calls_total{"))
        {
            let operation = label(line, "operation").unwrap_or_default();
            *counts.entry(operation.to_owned()).or_default() += value(line);
        }
        Ok(counts)
    }

    /// How many PostgresUsers the operator has looked at since it was started.
    pub async fn looks(&self) -> Outcome<u64> {
        let metrics = self.operator.get("metrics").await?;
        let of = |line: &&str| {
            line.starts_with("pguser_reconciliations_total{") && label(line, "kind") == Some("PostgresUser")
        };
        Ok(metrics.lines().filter(of).map(value).sum())
    }
}

fn other(world: &World) -> String {
    format!("{}-other", world.namespace())
}

fn label<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

fn value(line: &str) -> u64 {
    let number = line.rsplit(' ').next().and_then(|text| text.parse::<f64>().ok());
    number.map_or(0, |number| number as u64)
}

fn more(after: BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let counts = after.into_iter().map(|(what, count)| {
        let before = before.get(&what).copied().unwrap_or(0);
        (what, count.saturating_sub(before))
    });
    counts.filter(|(_, count)| *count > 0).collect()
}
