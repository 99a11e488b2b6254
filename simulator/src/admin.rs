//! `/_sim/`: how a person or a test drives the simulator. It needs no credentials; keep the simulator on loopback.

use std::{collections::BTreeMap, sync::Arc};

use hyper::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    answer::{Answer, Call},
    auth::Credentials,
    clock,
    faults::FaultSpec,
    ionos::State,
    outside::{self, Action, OutsideError},
    roles::{Origin, RoleError, User},
    scalingo::{AcceptedTokens, Gone, Kind, Status},
    sim::Sim,
    switches::ALL,
    users::look,
};

/// What went wrong with an admin request.
struct Refusal(StatusCode, Value);

impl Refusal {
    fn bad(message: impl Into<String>) -> Refusal {
        Refusal(StatusCode::BAD_REQUEST, json!({"error": message.into()}))
    }
}

impl From<RoleError> for Refusal {
    fn from(error: RoleError) -> Self {
        let status = match error {
            RoleError::Missing => StatusCode::NOT_FOUND,
            RoleError::Exists | RoleError::OwnsObjects | RoleError::ReservedName => StatusCode::CONFLICT,
            RoleError::Postgres(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refusal(status, json!({"error": error.to_string()}))
    }
}

impl From<OutsideError> for Refusal {
    fn from(error: OutsideError) -> Self {
        match error {
            OutsideError::Role(error) => error.into(),
            other => Refusal::bad(other.to_string()),
        }
    }
}

type Outcome = Result<Value, Refusal>;

/// Answers an admin request.
pub async fn handle(sim: &Arc<Sim>, call: &Call) -> Answer {
    match dispatch(sim, call).await {
        Ok(body) => Answer::json(StatusCode::OK, &body),
        Err(Refusal(status, body)) => Answer::json(status, &body),
    }
}

async fn dispatch(sim: &Arc<Sim>, call: &Call) -> Outcome {
    let path = call
        .path
        .strip_prefix("/_sim")
        .unwrap_or_default()
        .trim_end_matches('/');
    if let Some(id) = path.strip_prefix("/faults/") {
        return delete_fault(sim, call, id);
    }
    match (call.method.as_str(), path) {
        ("GET", "") => Ok(json!({"routes": ROUTES})),
        ("GET", "/switches") => Ok(switches_now(sim)),
        ("PUT", "/switches") => set_switches(sim, call),
        ("GET", "/faults") => Ok(list_faults(sim)),
        ("POST", "/faults") => add_fault(sim, call),
        ("DELETE", "/faults") => {
            sim.arrivals().faults.clear();
            Ok(json!({}))
        }
        ("GET", "/cluster") => Ok(cluster_now(sim)),
        ("POST", "/cluster") => set_cluster(sim, call),
        ("GET", "/database") => Ok(database_now(sim)),
        ("POST", "/database") => set_database(sim, call),
        ("GET", "/journal") => journal(sim, call),
        ("DELETE", "/journal") => {
            sim.arrivals().journal.clear();
            Ok(json!({}))
        }
        ("GET", "/counts") => Ok(json!(sim.arrivals().journal.counts())),
        ("POST", "/outside") => {
            outside::act(sim, read::<Action>(call)?).await?;
            Ok(json!({}))
        }
        ("GET", "/users") => users(sim).await,
        ("POST", "/tokens") => set_tokens(sim, call),
        ("POST", "/revoke") => revoke(sim, call),
        ("POST", "/fingerprint") => {
            let Secret { password } = read(call)?;
            Ok(json!({"passwordHash": sim.prints.of(&password)}))
        }
        ("POST", "/reset") => reset(sim, call).await,
        _ => Err(Refusal(
            StatusCode::NOT_FOUND,
            json!({"error": "no such route", "routes": ROUTES}),
        )),
    }
}

const ROUTES: &[&str] = &[
    "GET /_sim/switches",
    "PUT /_sim/switches",
    "GET /_sim/faults",
    "POST /_sim/faults",
    "DELETE /_sim/faults",
    "DELETE /_sim/faults/{id}",
    "GET /_sim/cluster",
    "POST /_sim/cluster",
    "GET /_sim/database",
    "POST /_sim/database",
    "GET /_sim/journal?since=SEQ",
    "DELETE /_sim/journal",
    "GET /_sim/counts",
    "POST /_sim/outside",
    "GET /_sim/users",
    "POST /_sim/tokens",
    "POST /_sim/revoke",
    "POST /_sim/fingerprint",
    "POST /_sim/reset",
];

/// Reads a body. Its content type does not matter: this is for curl as much as for tests.
fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    serde_json::from_slice(&call.body).map_err(|error| Refusal::bad(error.to_string()))
}

fn switches_now(sim: &Sim) -> Value {
    json!(sim.switches().values())
}

/// Sets all of the given switches or none.
fn set_switches(sim: &Sim, call: &Call) -> Outcome {
    let mut switches = sim.switches();
    for (name, value) in read::<Map<String, Value>>(call)? {
        let text = match value {
            Value::String(text) => text,
            Value::Array(words) => words
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(","),
            other => other.to_string(),
        };
        switches.set(&name, &text).map_err(|error| {
            let known: BTreeMap<_, _> = ALL.iter().map(|switch| (switch.name, switch.takes())).collect();
            Refusal(
                StatusCode::BAD_REQUEST,
                json!({"error": error.to_string(), "switches": known}),
            )
        })?;
    }
    sim.set_switches(switches);
    Ok(switches_now(sim))
}

fn add_fault(sim: &Sim, call: &Call) -> Outcome {
    let spec: FaultSpec = read(call)?;
    if let Some(problem) = spec.problem() {
        return Err(Refusal::bad(problem));
    }
    Ok(json!({"id": sim.arrivals().faults.add(spec)}))
}

fn list_faults(sim: &Sim) -> Value {
    let arrivals = sim.arrivals();
    let faults = arrivals.faults.list().iter().map(|(id, fault)| {
        let mut fault = json!(fault);
        fault["id"] = json!(id);
        fault
    });
    json!({"faults": faults.collect::<Vec<_>>()})
}

fn delete_fault(sim: &Sim, call: &Call, id: &str) -> Outcome {
    let id = id
        .parse()
        .map_err(|_| Refusal::bad("the id of a fault is a number"))?;
    if call.method != hyper::Method::DELETE || !sim.arrivals().faults.remove(id) {
        return Err(Refusal(StatusCode::NOT_FOUND, json!({"error": "no such fault"})));
    }
    Ok(json!({}))
}

/// What a test asks of the cluster; every part is optional.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClusterChange {
    state: Option<State>,
    busy_for_ms: Option<u32>,
    gone: Option<bool>,
    dns_name: Option<String>,
}

fn set_cluster(sim: &Sim, call: &Call) -> Outcome {
    let change: ClusterChange = read(call)?;
    let mut cluster = sim.cluster();
    if let Some(state) = change.state {
        // AVAILABLE hands the state back to the BUSY windows, from none on.
        cluster.forced = (state != State::Available).then_some(state);
        cluster.busy_until_ms = 0;
    }
    if let Some(length) = change.busy_for_ms {
        cluster.forced = None;
        cluster.busy_until_ms = clock::real_ms() + i64::from(length);
    }
    if let Some(gone) = change.gone {
        cluster.gone = gone;
    }
    if let Some(dns_name) = change.dns_name {
        cluster.dns_name = dns_name;
    }
    drop(cluster);
    Ok(cluster_now(sim))
}

fn cluster_now(sim: &Sim) -> Value {
    let cluster = sim.cluster();
    let busy_for = (cluster.busy_until_ms - clock::real_ms()).max(0);
    json!({
        "clusterId": sim.cli.cluster_id,
        "state": cluster.state(),
        "busyForMs": busy_for,
        "gone": cluster.gone,
        "dnsName": cluster.dns_name,
    })
}

/// What a test asks of Scalingo's database; every part is optional.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DatabaseChange {
    status: Option<Status>,
    gone: Option<HowGone>,
    hostname: Option<String>,
}

/// Shorter than the word: `true` is the addon, and with it the database.
#[derive(Deserialize)]
#[serde(untagged)]
enum HowGone {
    Word(Gone),
    Flag(bool),
}

fn set_database(sim: &Sim, call: &Call) -> Outcome {
    let change: DatabaseChange = read(call)?;
    let mut database = sim.database();
    if let Some(status) = change.status {
        database.status = status;
    }
    if let Some(gone) = change.gone {
        database.gone = match gone {
            HowGone::Word(gone) => gone,
            HowGone::Flag(true) => Gone::Addon,
            HowGone::Flag(false) => Gone::Nothing,
        };
    }
    if let Some(hostname) = change.hostname {
        database.hostname = hostname;
    }
    drop(database);
    Ok(database_now(sim))
}

fn database_now(sim: &Sim) -> Value {
    let database = sim.database();
    json!({
        "app": sim.cli.scalingo.app,
        "addonId": sim.cli.scalingo.addon_id,
        "status": database.status,
        "gone": database.gone,
        "hostname": database.hostname,
    })
}

fn journal(sim: &Sim, call: &Call) -> Outcome {
    let since = call
        .query
        .as_deref()
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("since="));
    let since = since
        .map_or(Ok(0), str::parse)
        .map_err(|_| Refusal::bad("since is a number"))?;
    Ok(json!({"entries": sim.arrivals().journal.since(since)}))
}

async fn users(sim: &Arc<Sim>) -> Outcome {
    let users = sim.roles.users(None, look(&sim.switches())).await?;
    let system = sim.system_names(&sim.switches());
    Ok(json!({"users": users.iter().map(describe).collect::<Vec<_>>(), "system": system}))
}

fn describe(user: &User) -> Value {
    json!({
        "username": user.name,
        "roleExists": user.role_exists,
        "origin": if user.origin == Origin::Api { "api" } else { "unmanaged" },
        "visible": user.visible,
        "pending": user.pending.map(|pending| format!("{pending:?}").to_lowercase()),
        "passwordHash": user.password_print,
        "readOnly": user.read_only,
        "metadata": {
            "createdDate": clock::timestamp(user.created_ms, true),
            "createdByUserId": user.created_by,
            "lastModifiedDate": clock::timestamp(user.modified_ms, true),
            "lastModifiedByUserId": user.modified_by,
        },
    })
}

/// The lists of an API are replaced if one of them is given; the absent one becomes empty.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tokens {
    tokens: Option<Vec<String>>,
    basic: Option<Vec<String>>,
    api_tokens: Option<Vec<String>>,
    database_tokens: Option<Vec<String>>,
}

fn set_tokens(sim: &Sim, call: &Call) -> Outcome {
    let given: Tokens = read(call)?;
    if given.tokens.is_some() || given.basic.is_some() {
        sim.set_credentials(Credentials {
            tokens: given.tokens.unwrap_or_default(),
            basic: given.basic.unwrap_or_default(),
        });
    }
    if given.api_tokens.is_some() || given.database_tokens.is_some() {
        sim.set_scalingo_tokens(AcceptedTokens {
            api: given.api_tokens.unwrap_or_default(),
            database: given.database_tokens.unwrap_or_default(),
        });
    }
    Ok(json!({}))
}

/// Which of the tokens that were issued are revoked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Revocation {
    #[serde(default)]
    jwts: bool,
    #[serde(default)]
    addon_tokens: bool,
}

fn revoke(sim: &Sim, call: &Call) -> Outcome {
    let Revocation { jwts, addon_tokens } = read(call)?;
    let revoked = sim.issued().revoke(|kind| match kind {
        Kind::Jwt => jwts,
        Kind::Addon(_) => addon_tokens,
    });
    Ok(json!({"revoked": revoked}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    password: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Reset {
    /// Whether the users that the API made go, too.
    #[serde(default)]
    users: bool,
}

async fn reset(sim: &Arc<Sim>, call: &Call) -> Outcome {
    let reset: Reset = if call.body.is_empty() {
        Reset::default()
    } else {
        read(call)?
    };
    sim.reset();
    let dropped = if reset.users {
        outside::reset_users(sim).await?
    } else {
        0
    };
    Ok(json!({"droppedUsers": dropped}))
}
