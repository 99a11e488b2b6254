//! The cluster, its state, and its databases.

use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Request, input,
    problem::Problem,
    wire::{self, Place, Resource},
};
use crate::{
    answer::Answer,
    clock,
    sim::Sim,
    switches::{self, Switches},
};

/// The states that a cluster can be in; the vendor's clients reject any other word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Ready.
    Available,
    /// Changing.
    Busy,
    /// Being deleted.
    Destroying,
    /// Working, but not whole.
    Degraded,
    /// Not working; the vendor's clusters recover from it by themselves.
    Failed,
    /// Unknown.
    Unknown,
}

/// What changes about the cluster while the simulator runs.
#[derive(Debug)]
pub struct ClusterState {
    /// A state that a test imposes.
    pub forced: Option<State>,
    /// The end of the BUSY window.
    pub busy_until_ms: i64,
    /// Whether the cluster is gone altogether.
    pub gone: bool,
    /// Its DNS name.
    pub dns_name: String,
    /// When a user was last deleted.
    pub last_delete_ms: Option<i64>,
}

impl ClusterState {
    /// A cluster that is ready.
    pub fn new(dns_name: String) -> Self {
        ClusterState {
            forced: None,
            busy_until_ms: 0,
            gone: false,
            dns_name,
            last_delete_ms: None,
        }
    }

    /// The state now.
    pub fn state(&self) -> State {
        let busy = clock::real_ms() < self.busy_until_ms;
        self.forced
            .unwrap_or(if busy { State::Busy } else { State::Available })
    }

    /// When the BUSY window would end if this mutation happened now; `None` if it opens none.
    pub fn busy_end_after(&self, mutation: &str, switches: &Switches) -> Option<i64> {
        let length = i64::try_from(switches.number(&switches::BUSY_MS)).unwrap_or_default();
        let opens = length > 0 && switches.has(&switches::BUSY_AFTER, mutation);
        opens.then(|| self.busy_until_ms.max(clock::real_ms() + length))
    }

    /// A mutation has happened.
    pub fn mutated(&mut self, mutation: &str, switches: &Switches) {
        if let Some(end) = self.busy_end_after(mutation, switches) {
            self.busy_until_ms = end;
        }
    }
}

/// Whether the caller may see a cluster, and whether there is one.
pub fn check_access(sim: &Sim, id: &str) -> Result<(), Problem> {
    if id == sim.cli.cluster_id && !sim.cluster().gone {
        return Ok(());
    }
    if sim.cli.foreign_cluster_id.iter().any(|foreign| foreign == id) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the cluster belongs to another contract",
        ));
    }
    Err(Problem::new(StatusCode::NOT_FOUND, "the cluster does not exist"))
}

fn place<'a>(sim: &'a Sim, request: &'a Request) -> Place<'a> {
    Place {
        base_url: &request.target.base_url,
        cli: &sim.cli,
        switches: &request.arrival.switches,
    }
}

/// `GET /clusters/{clusterId}`
pub async fn get(sim: &Arc<Sim>, request: &Request) -> Result<Answer, Problem> {
    Ok(Answer::json(StatusCode::OK, &resource(sim, request).await?))
}

async fn resource(sim: &Arc<Sim>, request: &Request) -> Result<Resource<Value>, Problem> {
    let version = sim.roles.major_version().await;
    let version = version.map_err(|error| Problem::from_role_error(&error, &request.arrival.switches))?;
    let (dns_name, state) = {
        let cluster = sim.cluster();
        (cluster.dns_name.clone(), cluster.state())
    };
    let properties = json!({
        "displayName": "simulated cluster",
        "postgresVersion": version,
        "location": sim.cli.location,
        "backupLocation": "eu-central-2",
        "dnsName": dns_name,
        "instances": 1,
        "ram": 4096,
        "cores": 4,
        "storageSize": 20480,
        "storageType": "SSD",
        "connections": [{
            "datacenterId": "b1a3f0f3-7e0b-4f3e-9a5f-0d6d4c2b8e11",
            "lanId": "1",
            "cidr": "192.168.1.100/24"
        }],
        "maintenanceWindow": {"time": "16:30:59", "dayOfTheWeek": "Monday"},
        "synchronizationMode": "ASYNCHRONOUS",
        "connectionPooler": {"enabled": false, "poolMode": "transaction"}
    });
    Ok(place(sim, request).cluster(sim.born_ms, state, properties))
}

/// `GET /clusters`
pub async fn list(sim: &Arc<Sim>, request: &Request) -> Result<Answer, Problem> {
    let page = input::page(request.arrival.call.query.as_deref(), &request.arrival.switches)?;
    let gone = sim.cluster().gone;
    let clusters = if gone {
        Vec::new()
    } else {
        vec![serde_json::to_value(resource(sim, request).await?)]
    };
    let href = format!("{}/clusters", request.target.base_url);
    let clusters: Vec<Value> = clusters.into_iter().flatten().collect();
    let list = wire::list(&clusters, &page, href, Value::clone).with_old_links();
    Ok(Answer::json(StatusCode::OK, &list))
}

/// `GET /clusters/{clusterId}/databases`
pub async fn list_databases(sim: &Arc<Sim>, request: &Request) -> Result<Answer, Problem> {
    let page = input::page(request.arrival.call.query.as_deref(), &request.arrival.switches)?;
    let databases = databases(sim, request).await?;
    let place = place(sim, request);
    let list = wire::list(
        &databases,
        &page,
        place.collection_href("databases"),
        |(name, owner)| place.database(name, owner, sim.born_ms),
    );
    Ok(Answer::json(StatusCode::OK, &list))
}

/// `GET /clusters/{clusterId}/databases/{name}`
pub async fn get_database(sim: &Arc<Sim>, request: &Request, name: &str) -> Result<Answer, Problem> {
    let databases = databases(sim, request).await?;
    let (name, owner) = databases
        .iter()
        .find(|(database, _)| database == name)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "the database does not exist"))?;
    Ok(Answer::json(
        StatusCode::OK,
        &place(sim, request).database(name, owner, sim.born_ms),
    ))
}

async fn databases(sim: &Arc<Sim>, request: &Request) -> Result<Vec<(String, String)>, Problem> {
    let databases = sim.roles.databases().await;
    databases.map_err(|error| Problem::from_role_error(&error, &request.arrival.switches))
}
