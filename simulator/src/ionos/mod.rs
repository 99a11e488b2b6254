//! The IONOS DBaaS PostgreSQL v1 API: users, and as much of clusters and databases as users need.

mod cluster;
mod history;
mod input;
mod outside;
mod problem;
mod target;
mod users;
mod wire;

use std::{sync::Arc, time::Duration};

use hyper::StatusCode;

pub use cluster::{ClusterState, State};
pub use history::History;
pub use outside::{Action, OutsideError, act as act_outside, reset_users};
pub use users::look;

use crate::{
    answer::{Answer, Call},
    auth::Presented,
    clock,
    faults::Struck,
    journal::Entry,
    ratelimit::RateLimit,
    roles::Pending,
    sim::Sim,
    switches::{self, Switches},
};
use problem::Problem;
use target::{Resource, Target};

/// A request of this API, with all that was decided when it arrived.
pub struct Request {
    call: Call,
    target: Target,
    /// Its place in the journal.
    pub seq: u64,
    /// The faults that strike it.
    pub struck: Struck,
    /// The switches at its arrival.
    pub switches: Switches,
    admitted: Result<(), i64>,
    caller: Option<String>,
}

impl Request {
    /// Takes a request in: its place in the journal, its faults and its share of the rate limit are settled in one
    /// step, so that requests that run at once cannot change places.
    pub fn arrive(sim: &Sim, call: Call) -> Request {
        let switches = sim.switches();
        let target = Target::of(&call, &sim.cli.base_path);
        let presented = Presented::read(&call.headers);
        let caller = presented.caller(&sim.credentials(), &sim.prints);
        let (body_username, password) = input::glance(&call.body);
        let username = target.username().map(str::to_owned).or(body_username);
        let entry = Entry {
            seq: 0,
            time: clock::timestamp(clock::real_ms(), true),
            route: target.route,
            method: call.method.to_string(),
            path: call.path.clone(),
            query: call.query.clone(),
            status: None,
            done: false,
            committed: false,
            username: username.clone(),
            authorization: presented.kind(),
            password_hash: password.map(|password| sim.prints.of(&password)),
            user_agent: call.header("user-agent").map(str::to_owned),
            content_type: call.header("content-type").map(str::to_owned),
            faults: Vec::new(),
        };
        let mut arrivals = sim.arrivals();
        let struck = arrivals.faults.strike(target.route, username.as_deref());
        let admitted = admit(&mut arrivals.rate, &switches);
        let seq = arrivals.journal.open(Entry {
            faults: struck.ids.clone(),
            ..entry
        });
        drop(arrivals);
        Request {
            call,
            target,
            seq,
            struck,
            switches,
            admitted,
            caller,
        }
    }
}

fn admit(rate: &mut RateLimit, switches: &Switches) -> Result<(), i64> {
    let Ok(limit) = switches.get(&switches::RATE_LIMIT).parse() else {
        return Ok(());
    };
    let window = i64::try_from(switches.number(&switches::RATE_WINDOW_MS)).unwrap_or(i64::MAX);
    rate.admit(clock::real_ms(), limit, window)
}

/// Answers a request.
pub async fn handle(sim: &Arc<Sim>, request: &Request) -> Answer {
    match dispatch(sim, request).await {
        Ok(answer) => answer,
        Err(problem) => problem.answer(&request.switches),
    }
}

/// The order of the checks is that of a gateway in front of a service: rate, credentials, route, cluster, request.
async fn dispatch(sim: &Arc<Sim>, request: &Request) -> Result<Answer, Problem> {
    request
        .admitted
        .map_err(|wait_ms| Problem::throttled(&request.switches, wait_ms))?;
    let caller = request.caller.as_deref().ok_or_else(Problem::unauthorized)?;
    let resource = request
        .target
        .resource
        .as_ref()
        .map_err(|_| Problem::bad_path())?;
    if *resource == Resource::Unknown {
        return Err(Problem::no_route());
    }
    let Some(operation) = resource.operation(&request.call.method) else {
        return Err(Problem::method_not_allowed(resource.methods()));
    };
    if let Some(id) = resource.cluster_id() {
        cluster::check_access(sim, id)?;
    }
    if request.call.method != hyper::Method::GET {
        check_account(&request.switches)?;
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

/// The answer of a fault that asks for a status and leaves the body to the API.
pub fn fault_answer(switches: &Switches, status: u16) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_success() {
        return Answer::empty(status);
    }
    Problem::plain(status).answer(switches)
}

/// Carries out pending changes when they are due, for as long as the simulator runs.
pub async fn settle_for_ever(sim: Arc<Sim>) {
    loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let due = sim.cluster().next_due_ms;
        if due.is_some_and(|due| due <= clock::real_ms())
            && let Err(error) = settle(&sim).await
        {
            tracing::warn!(error = error.to_string(), "cannot carry out pending changes");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn settle(sim: &Arc<Sim>) -> Result<(), crate::roles::RoleError> {
    let _gate = sim.gate.lock().await;
    let before = sim.roles.users(None, look(&sim.switches())).await?;
    for settled in sim.roles.settle_due(clock::real_ms()).await? {
        let user = before
            .iter()
            .find(|user| user.name == settled.name && user.visible);
        if let (Pending::Drop, Some(user)) = (settled.pending, user) {
            sim.history().record(&settled.name, Some(user.clone()), false);
        }
    }
    let due = sim.roles.next_due_ms().await?;
    sim.cluster().next_due_ms = due;
    Ok(())
}
