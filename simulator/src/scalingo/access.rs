//! What the caller may see of what the path names, and whether it is there.

use hyper::StatusCode;

use super::{auth::Caller, database::Gone, problem::Problem, target::Resource};
use crate::{
    sim::Sim,
    switches::{self, Switches},
};

/// Checks the app and addon, or the database, in the path.
pub fn check(sim: &Sim, switches: &Switches, caller: &Caller, resource: &Resource) -> Result<(), Problem> {
    match resource {
        Resource::App(app) | Resource::Variables(app) | Resource::Addons(app) => check_app(sim, app),
        Resource::Addon(app, id) | Resource::AddonToken(app, id) => {
            check_app(sim, app)?;
            check_addon(sim, id)
        }
        Resource::Database(id)
        | Resource::Users(id)
        | Resource::User(id, _)
        | Resource::ResetPassword(id, _) => check_database(sim, switches, caller, id),
        Resource::Exchange | Resource::Regions | Resource::Account | Resource::Unknown => Ok(()),
    }
}

fn check_app(sim: &Sim, app: &str) -> Result<(), Problem> {
    let cli = &sim.cli.scalingo;
    let gone = sim.database().gone == Gone::App;
    if (app == cli.app || app == cli.app_id()) && !gone {
        return Ok(());
    }
    if cli.foreign_app.iter().any(|foreign| foreign == app) {
        return Err(Problem::error(
            StatusCode::FORBIDDEN,
            "the app belongs to another account",
        ));
    }
    Err(Problem::not_found("app"))
}

fn check_addon(sim: &Sim, id: &str) -> Result<(), Problem> {
    if id == sim.cli.scalingo.addon_id && sim.database().gone < Gone::Addon {
        return Ok(());
    }
    Err(Problem::not_found("addon"))
}

fn check_database(sim: &Sim, switches: &Switches, caller: &Caller, id: &str) -> Result<(), Problem> {
    if caller.addon.as_deref() != Some(id) {
        return Err(match switches.get(&switches::SCALINGO_OTHER_DATABASE) {
            "401" => Problem::unauthorized(),
            "404" => Problem::not_found("database"),
            _ => Problem::error(StatusCode::FORBIDDEN, "the token is for another database"),
        });
    }
    if id == sim.cli.scalingo.addon_id && sim.database().gone == Gone::Nothing {
        return Ok(());
    }
    Err(Problem::not_found("database"))
}
