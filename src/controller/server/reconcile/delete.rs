//! A server object that is being deleted: it stays as long as PostgresUsers need it to clean up after themselves.

use std::sync::{Arc, PoisonError};

use kube::runtime::controller::Action;
use serde_json::json;

use super::begin::begin;
use super::finalizer::{has_finalizer, patch_metadata};
use super::start::{AGAIN, place};
use super::{credentials, need, status};
use crate::api::names;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::journal_store;
use crate::controller::server::task::ServerTask;
use crate::objects::ServerObject;

/// Deletes a server object, once nothing needs it.
///
/// # Errors
/// If a step failed; it is then tried again after a pause.
pub async fn delete(object: &ServerObject, context: &Arc<Context>) -> Result<Action, Error> {
    // The watch may show the finalizer for a while yet. To begin again would protect the credentials Secret once more, and then
    // there would be no server object any more that lets it go.
    let was_let_go = context.let_go().contains(&object.uid());
    if !has_finalizer(object) || was_let_go {
        return Ok(Action::await_change());
    }
    let (server, again) = begin(object, context).await?;
    if need::is_needed(object, context).await? {
        status::report(object, &server, context).await?;
        return Ok(Action::requeue(again.unwrap_or(AGAIN)));
    }
    remove(object, Some(&server), context).await?;
    Ok(Action::await_change())
}

/// Removes what there is of a server object that nothing needs any more.
///
/// # Errors
/// If the API server refuses.
pub async fn remove(
    object: &ServerObject,
    server: Option<&ServerTask>,
    context: &Context,
) -> Result<(), Error> {
    if let Some(server) = server {
        server.stop();
    }
    context
        .servers
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&object.key());
    journal_store::remove(&place(object, context))
        .await
        .map_err(Error::WriteSecret)?;
    credentials::remove_copy(object, context).await?;
    release_credentials(object, context).await?;
    let finalizers: Vec<_> = object.meta().finalizers.iter().flatten().collect();
    let left: Vec<_> = finalizers
        .into_iter()
        .filter(|it| *it != names::SERVER_FINALIZER)
        .collect();
    patch_metadata(object, context, "finalizers", json!(left)).await?;
    context.let_go().insert(object.uid());
    Ok(())
}

/// Lets the credentials Secret go, unless another server needs it.
async fn release_credentials(object: &ServerObject, context: &Context) -> Result<(), Error> {
    let Some((namespace, name)) = context.credentials(object) else {
        return Ok(());
    };
    let secret = context
        .secrets_of(&namespace)
        .get_opt(&name)
        .await
        .map_err(Error::ReadSecret)?;
    let Some(secret) = secret else { return Ok(()) };
    let mut others = credentials::servers_with(context, &secret);
    others.retain(|other| other.uid() != object.uid());
    match others.is_empty() {
        true => credentials::release(context, &secret).await,
        false => Ok(()),
    }
}
