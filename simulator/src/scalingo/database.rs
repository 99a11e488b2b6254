//! The database, its state, and where it is.

use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::problem::Problem;
use crate::{
    answer::Answer,
    clock,
    roles::{RoleError, create_role_sql, quote},
    sim::{Sim, StartError},
    switches::{self, Switch, Switches},
    users::new_password,
};

/// The addon's plan.
pub const PLAN: &str = "postgresql-starter-512";
/// The addon's provider: its id and its name.
pub const PROVIDER: (&str, &str) = ("postgresql", "PostgreSQL");

/// The states that a database can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not there yet.
    Creating,
    /// Ready.
    Running,
    /// On its way to another machine.
    Migrating,
    /// Changing.
    Updating,
    /// On its way to another version.
    Upgrading,
    /// Switched off.
    Stopped,
}

/// How much is gone; each takes with it what comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gone {
    /// Nothing.
    Nothing,
    /// The database and its users.
    Database,
    /// The addon.
    Addon,
    /// The app.
    App,
}

/// What changes about the database while the simulator runs.
#[derive(Debug)]
pub struct DatabaseState {
    /// Its state.
    pub status: Status,
    /// How much is gone.
    pub gone: Gone,
    /// Host and port.
    pub hostname: String,
}

impl DatabaseState {
    /// A database that is ready.
    pub fn new(hostname: String) -> Self {
        DatabaseState {
            status: Status::Running,
            gone: Gone::Nothing,
            hostname,
        }
    }
}

/// Makes the app's own user and its database, as SQL would, unless they exist.
pub async fn seed_default_user(sim: &Sim) -> Result<(), StartError> {
    let cli = &sim.cli.scalingo;
    let (name, password) = (&cli.resource_id, cli.default_password.clone());
    let verifier = new_password(sim, password).await?.verifier;
    let database = format!("CREATE DATABASE {name} OWNER {name}", name = quote(name));
    for sql in [create_role_sql(name, Some(&verifier), false), database] {
        match sim.roles.outside(&sql).await {
            Ok(()) | Err(RoleError::Exists) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Refuses an operation that the database's state does not allow.
pub fn check_running(sim: &Sim, switches: &Switches, operation: &str) -> Result<(), Problem> {
    let running = sim.database().status == Status::Running;
    if running || !switches.has(&switches::SCALINGO_NEEDS_RUNNING, operation) {
        return Ok(());
    }
    match switches.status(&switches::SCALINGO_NOT_RUNNING) {
        None => Ok(()),
        Some(status) => Err(Problem::switched(status, "base", "the database is not running")),
    }
}

/// `GET /api/databases/{id}`
pub async fn get(sim: &Arc<Sim>, switches: &Switches) -> Result<Answer, Problem> {
    let version = sim.roles.major_version().await;
    let version = version.map_err(|error| Problem::from_role_error(&error, switches))?;
    let cli = &sim.cli.scalingo;
    let (status, hostname) = {
        let database = sim.database();
        (database.status, database.hostname.clone())
    };
    let (host, port) = hostname.rsplit_once(':').unwrap_or((&hostname, ""));
    // The vendor's Go client takes a number only.
    let port: u16 = port.parse().unwrap_or(5432);
    let body = json!({"database": {
        "id": cli.addon_id,
        "resource_id": cli.resource_id,
        "app_name": cli.app,
        "created_at": clock::timestamp(sim.born_ms, true),
        "encryption_at_rest": false,
        "features": features(switches),
        "plan": PLAN,
        "status": status,
        "type_id": PROVIDER.0,
        "type_name": PROVIDER.1,
        "version_id": format!("{version}-1"),
        "readable_version": format!("{version}.0-1"),
        "hostname": hostname,
        "instances": [{
            "id": "in-1",
            "hostname": host,
            "port": port,
            "status": "running",
            "type": "db-node",
            "private_ip": "10.0.0.1",
        }],
        "current_operation_id": null,
        "cluster": false,
        "periodic_backups_enabled": true,
        "periodic_backups_scheduled_at": [3],
        "maintenance_window": {"weekday_utc": 2, "starting_hour_utc": 22, "duration_in_hour": 8},
    }});
    Ok(Answer::json(StatusCode::OK, &body))
}

/// A feature that was never asked for is not in the list.
fn features(switches: &Switches) -> Vec<Value> {
    let feature = |name: &str, switch: &Switch| {
        let status = match switches.get(switch) {
            "on" => "ACTIVATED",
            "pending" => "PENDING",
            "failed" => "FAILED",
            _ => return None,
        };
        Some(json!({"name": name, "status": status}))
    };
    let force_ssl = feature("force-ssl", &switches::SCALINGO_FORCE_SSL);
    let public = feature("publicly-available", &switches::SCALINGO_PUBLICLY_AVAILABLE);
    force_ssl.into_iter().chain(public).collect()
}
