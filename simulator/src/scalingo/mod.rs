//! Scalingo: the users of its Database API, and as much of its auth service and its main API as it takes to get there.

mod access;
mod apps;
mod auth;
mod database;
mod input;
mod problem;
mod target;
mod tokens;
mod users;
mod wire;

use std::sync::Arc;

use hyper::StatusCode;

pub use auth::Tokens as AcceptedTokens;
pub use database::{DatabaseState, Gone, Status, seed_default_user};
pub use tokens::{Issued, Kind};

use crate::{
    answer::{Answer, Call},
    api::Api,
    arrival::{About, Arrival},
    auth::Presented,
    ratelimit::Budget,
    sim::Sim,
    switches::{self, Switches},
};
use auth::Caller;
use problem::Problem;
use target::{Host, Operation, Resource, Target};

/// Whether a path is one of this API's.
pub fn has(path: &str) -> bool {
    ["/v1", "/api/databases"].iter().any(|prefix| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// A request of this API.
pub struct Request {
    /// What was decided when it arrived.
    pub arrival: Arrival,
    target: Target,
    caller: Option<Caller>,
}

impl Request {
    /// Takes a request in.
    pub fn arrive(sim: &Sim, call: Call) -> Request {
        let switches = sim.switches();
        let target = Target::of(&call);
        let presented = Presented::read(&call.headers);
        let caller = auth::caller(sim, &target, &presented);
        let (body_username, password) = input::glance(&call.body);
        let about = About {
            api: Api::Scalingo,
            route: target.route,
            username: target.username().map(str::to_owned).or(body_username),
            authorization: presented.kind(),
            credential: presented.secret().map(str::to_owned),
            password,
            budget: budget(&switches, target.host, caller.as_ref()),
        };
        let arrival = Arrival::record(sim, call, switches, about);
        Request {
            arrival,
            target,
            caller,
        }
    }
}

/// What a request draws on: a budget of its account's, for all hosts or for each.
fn budget(switches: &Switches, host: Host, caller: Option<&Caller>) -> Option<Budget> {
    let requests = switches.get(&switches::SCALINGO_RATE_LIMIT).parse().ok()?;
    if !switches.has(&switches::SCALINGO_RATE_HOSTS, host.as_str()) {
        return None;
    }
    let account = caller.map_or(auth::NOBODY, |caller| caller.account.as_str());
    let host = match switches.get(&switches::SCALINGO_RATE_BUDGET) {
        "per-host" => host.as_str(),
        _ => "",
    };
    Some(Budget {
        of: format!("scalingo {account} {host}"),
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

/// The order of the checks is that of a gateway in front of a service: rate, credentials, route, what the path names,
/// request.
async fn dispatch(sim: &Arc<Sim>, request: &Request) -> Result<Answer, Problem> {
    let (arrival, switches) = (&request.arrival, &request.arrival.switches);
    arrival
        .admitted
        .map_err(|wait_ms| Problem::throttled(switches, wait_ms))?;
    let Ok(resource) = &request.target.resource else {
        return Err(Problem::bad_request("the path is not UTF-8"));
    };
    let caller = request.caller.as_ref().ok_or_else(Problem::unauthorized)?;
    if *resource == Resource::Unknown {
        return Err(Problem::no_route());
    }
    let Some(operation) = resource.operation(&arrival.call.method) else {
        return Err(Problem::wrong_method(switches, resource.methods()));
    };
    access::check(sim, switches, caller, resource)?;
    let users = users::Context { sim, request, caller };
    match operation {
        Operation::Exchange => apps::exchange(sim, request, caller),
        Operation::ListRegions => Ok(apps::regions(sim, &arrival.call)),
        Operation::GetAccount => Ok(apps::account(caller)),
        Operation::GetApp => Ok(apps::app(sim, caller)),
        Operation::ListVariables => Ok(apps::variables(sim, &arrival.call)),
        Operation::ListAddons => Ok(apps::addons(sim)),
        Operation::GetAddon => Ok(apps::addon(sim)),
        Operation::AddonToken => apps::addon_token(sim, request, caller),
        Operation::GetDatabase => database::get(sim, switches).await,
        Operation::ListUsers => users.list().await,
        Operation::CreateUser => users.create().await,
        Operation::PatchUser(name) => users.patch(name).await,
        Operation::ResetPassword(name) => users.reset_password(name).await,
        Operation::DeleteUser(name) => users.delete(name).await,
    }
}

/// The error of a status that somebody else chose.
pub fn error(request: &Request, status: StatusCode) -> Answer {
    let named = request.target.resource.as_ref();
    let problem = match named.ok().and_then(Resource::missing) {
        Some(resource) if status == StatusCode::NOT_FOUND => Problem::not_found(resource),
        _ => Problem::plain(status),
    };
    problem.answer(&request.arrival.switches)
}

/// The answer to a request that was too large to be taken in.
pub fn too_large(switches: &Switches) -> Answer {
    Problem::plain(StatusCode::BAD_REQUEST).answer(switches)
}

/// Random bytes.
fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => {
            tracing::error!(error = error.to_string(), "no random bytes");
            Err(Problem::plain(StatusCode::INTERNAL_SERVER_ERROR))
        }
    }
}
