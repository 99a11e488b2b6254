//! What others do to the users meanwhile: another client of an API, or somebody with SQL.

use std::sync::Arc;

use serde::Deserialize;

use crate::{
    auth::caller_id,
    clock,
    roles::{
        DropPlan, NewPassword, NewUser, Origin, Pending, RoleError, Stamp, User, create_role_sql,
        password_sql, quote,
    },
    sim::Sim,
    users::{look, new_password},
};

/// Which way somebody goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// As another client of the API: metadata moves, BUSY windows open.
    #[default]
    Api,
    /// By SQL.
    Sql,
}

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Deletes the user.
    Delete,
    /// Sets the password.
    SetPassword,
    /// Deletes the user and makes it again.
    Recreate,
    /// Makes a user by SQL.
    CreateSql,
    /// Makes a user through the API.
    CreateApi,
}

/// An action from outside.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Action {
    /// What is done.
    pub action: What,
    /// To which user.
    pub username: String,
    /// With which password.
    #[serde(default)]
    pub password: Option<String>,
    /// Which way; `create-sql` and `create-api` say so themselves.
    #[serde(default)]
    pub via: Via,
    /// Whether a deleted user's objects go with it.
    #[serde(default)]
    pub cascade: bool,
    /// Whether a user that is made reads only.
    #[serde(default)]
    pub read_only: bool,
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// The action needs a password.
    #[error("this action needs a password")]
    NoPassword,
    /// The password could not be hashed.
    #[error("cannot hash the password")]
    Hash,
    /// PostgreSQL did not do it.
    #[error(transparent)]
    Role(#[from] RoleError),
}

/// Does it, in turn with the mutations of the API.
pub async fn act(sim: &Arc<Sim>, action: Action) -> Result<(), OutsideError> {
    let password = match action.password {
        Some(password) => Some(
            new_password(sim, password)
                .await
                .map_err(|_| OutsideError::Hash)?,
        ),
        None => None,
    };
    let via = match action.action {
        What::CreateSql => Via::Sql,
        What::CreateApi => Via::Api,
        _ => action.via,
    };
    let name = action.username.as_str();
    let user = NewUser {
        name,
        password: password.as_ref(),
        read_only: action.read_only,
    };
    let _gate = sim.gate.lock().await;
    match (action.action, via) {
        (What::Delete, Via::Sql) => delete_by_sql(sim, name, action.cascade).await,
        (What::Delete, Via::Api) => delete_by_api(sim, name, action.cascade).await,
        (What::Recreate, Via::Sql) => {
            delete_by_sql(sim, name, action.cascade).await?;
            create_by_sql(sim, user).await
        }
        (What::Recreate, Via::Api) => {
            delete_by_api(sim, name, action.cascade).await?;
            create_by_api(sim, user).await
        }
        (What::CreateSql | What::CreateApi, Via::Sql) => create_by_sql(sim, user).await,
        (What::CreateSql | What::CreateApi, Via::Api) => create_by_api(sim, user).await,
        (What::SetPassword, via) => {
            let password = password.ok_or(OutsideError::NoPassword)?;
            match via {
                Via::Sql => Ok(sim.roles.outside(&password_sql(name, &password.verifier)).await?),
                Via::Api => set_by_api(sim, name, &password).await,
            }
        }
    }
}

async fn delete_by_sql(sim: &Sim, name: &str, cascade: bool) -> Result<(), OutsideError> {
    if cascade {
        sim.roles.drop_owned(name).await?;
    }
    Ok(sim.roles.outside(&format!("DROP ROLE {}", quote(name))).await?)
}

async fn create_by_sql(sim: &Sim, user: NewUser<'_>) -> Result<(), OutsideError> {
    let verifier = user.password.map(|password| password.verifier.as_str());
    let create = create_role_sql(user.name, verifier, user.read_only);
    sim.roles.outside(&create).await?;
    // Looked at right away, so that its date is that of the creation and not of the first list.
    sim.roles.users(Some(user.name), look(&sim.switches())).await?;
    Ok(())
}

fn stamp(sim: &Sim) -> Stamp {
    Stamp {
        by: caller_id("outside"),
        at_ms: clock::api_ms(&sim.switches()),
    }
}

async fn existing(sim: &Sim, name: &str) -> Result<User, RoleError> {
    let user = sim.roles.users(Some(name), look(&sim.switches())).await?.pop();
    user.filter(|user| user.visible).ok_or(RoleError::Missing)
}

async fn delete_by_api(sim: &Sim, name: &str, cascade: bool) -> Result<(), OutsideError> {
    let user = existing(sim, name).await?;
    sim.roles
        .drop_user(
            name,
            DropPlan {
                due_ms: None,
                visible: false,
                cascade,
            },
        )
        .await?;
    sim.history().record(name, Some(user), false);
    sim.cluster().mutated("delete", &sim.switches());
    Ok(())
}

async fn create_by_api(sim: &Sim, user: NewUser<'_>) -> Result<(), OutsideError> {
    sim.roles.create(user, &stamp(sim), None).await?;
    sim.history().record(user.name, None, true);
    sim.cluster().mutated("create", &sim.switches());
    Ok(())
}

async fn set_by_api(sim: &Sim, name: &str, password: &NewPassword) -> Result<(), OutsideError> {
    let user = existing(sim, name).await?;
    sim.roles
        .set_password(name, password, Some(&stamp(sim)), None)
        .await?;
    sim.history().record(name, Some(user), false);
    sim.cluster().mutated("patch", &sim.switches());
    Ok(())
}

/// Drops every user that the API made, with its objects.
pub async fn reset_users(sim: &Arc<Sim>) -> Result<u64, OutsideError> {
    let _gate = sim.gate.lock().await;
    let mut dropped = 0;
    for user in sim.roles.users(None, look(&sim.switches())).await? {
        if user.origin != Origin::Api {
            continue;
        }
        sim.roles.settle(&user.name).await?;
        if user.pending != Some(Pending::Drop) {
            sim.roles
                .drop_user(
                    &user.name,
                    DropPlan {
                        due_ms: None,
                        visible: false,
                        cascade: true,
                    },
                )
                .await?;
        }
        dropped += 1;
    }
    Ok(dropped)
}
