//! The IONOS DBaaS PostgreSQL v1 API: users, and as much of clusters and databases as users need.

mod cluster;
mod input;
mod problem;
mod target;
mod users;
mod wire;

use std::sync::Arc;

use hyper::StatusCode;

pub use cluster::{ClusterState, State};

use crate::{
    answer::{Answer, Call},
    api::Api,
    arrival::{About, Arrival},
    auth::Presented,
    ratelimit::Budget,
    sim::Sim,
    switches::{self, Switches},
};
use problem::Problem;
use target::{Resource, Target};

/// A request of this API.
pub struct Request {
    /// What was decided when it arrived.
    pub arrival: Arrival,
    target: Target,
    caller: Option<String>,
}

impl Request {
    /// Takes a request in.
    pub fn arrive(sim: &Sim, call: Call) -> Request {
        let switches = sim.switches();
        let target = Target::of(&call, &sim.cli.base_path);
        let presented = Presented::read(&call.headers);
        let caller = presented.caller(&sim.credentials(), &sim.prints);
        let (body_username, password) = input::glance(&call.body);
        let about = About {
            api: Api::Ionos,
            route: target.route,
            username: target.username().map(str::to_owned).or(body_username),
            authorization: presented.kind(),
            credential: presented.secret().map(str::to_owned),
            password,
            budget: budget(&switches),
        };
        let arrival = Arrival::record(sim, call, switches, about);
        Request {
            arrival,
            target,
            caller,
        }
    }
}

/// One budget for all callers.
fn budget(switches: &Switches) -> Option<Budget> {
    let requests = switches.get(&switches::RATE_LIMIT).parse().ok()?;
    Some(Budget {
        of: "ionos".to_owned(),
        requests,
    })
}

/// Answers a request.
pub async fn handle(sim: &Arc<Sim>, request: &Request) -> Answer {
    match dispatch(sim, request).await {
        Ok(answer) => answer,
        Err(problem) => problem.answer(&request.arrival.switches),
    }
}

/// The order of the checks is that of a gateway in front of a service: rate, credentials, route, cluster, request.
async fn dispatch(sim: &Arc<Sim>, request: &Request) -> Result<Answer, Problem> {
    request
        .arrival
        .admitted
        .map_err(|wait_ms| Problem::throttled(&request.arrival.switches, wait_ms))?;
    let caller = request.caller.as_deref().ok_or_else(Problem::unauthorized)?;
    let resource = request
        .target
        .resource
        .as_ref()
        .map_err(|_| Problem::bad_path())?;
    if *resource == Resource::Unknown {
        return Err(Problem::no_route());
    }
    let Some(operation) = resource.operation(&request.arrival.call.method) else {
        return Err(Problem::method_not_allowed(resource.methods()));
    };
    if let Some(id) = resource.cluster_id() {
        cluster::check_access(sim, id)?;
    }
    if request.arrival.call.method != hyper::Method::GET {
        check_account(&request.arrival.switches)?;
    }
    use target::Operation::{
        CreateUser, DeleteUser, GetCluster, GetDatabase, GetUser, ListClusters, ListDatabases, ListUsers,
        PatchUser,
    };
    let context = users::Context { sim, request, caller };
    match operation {
        ListClusters => cluster::list(sim, request).await,
        GetCluster => cluster::get(sim, request).await,
        ListDatabases => cluster::list_databases(sim, request).await,
        GetDatabase(name) => cluster::get_database(sim, request, name).await,
        ListUsers => context.list().await,
        CreateUser => context.create().await,
        GetUser(name) => context.get(name).await,
        PatchUser(name) => context.patch(name).await,
        DeleteUser(name) => context.delete(name).await,
    }
}

fn check_account(switches: &Switches) -> Result<(), Problem> {
    match switches.get(&switches::ACCOUNT) {
        "trial" => Err(Problem::new(
            StatusCode::PAYMENT_REQUIRED,
            "not available with trial access",
        )),
        "read-only" => Err(Problem::new(StatusCode::FORBIDDEN, "insufficient permissions")),
        _ => Ok(()),
    }
}

/// The error of a status that somebody else chose.
pub fn error(request: &Request, status: StatusCode) -> Answer {
    Problem::plain(status).answer(&request.arrival.switches)
}

/// The answer to a request that was too large to be taken in.
pub fn too_large(switches: &Switches) -> Answer {
    Problem::plain(StatusCode::BAD_REQUEST).answer(switches)
}
