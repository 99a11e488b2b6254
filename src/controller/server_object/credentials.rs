//! Where a server's credentials are, and how they are kept from going while they are needed.
//!
//! The credentials Secret carries our finalizer. When somebody deletes it while users need it, what deletion
//! needs is copied to the operator's namespace first, used for deletions alone, and removed with the last user or
//! when a working Secret is back.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::api::names;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::server::Link;
use crate::controller::server_spec::ServerObject;
use crate::controller::user::wanted::password_in;
use crate::domain::password::Password;
use crate::provider::gate::Gate;
use crate::provider::ionos::{Credentials, Ionos, IonosConfig};
use crate::provider::{AnyProvider, ErrorClass};
use std::sync::Arc;

/// What was found of a server's credentials.
pub enum Found {
    /// They can be used.
    Usable {
        /// The credentials.
        credentials: Credentials,
        /// They are a copy, for deletions alone.
        copy: bool,
    },
    /// They cannot.
    Unusable {
        /// The condition's reason.
        reason: &'static str,
        /// What is wrong and how to mend it.
        message: String,
    },
}

/// Finds a server's credentials, and keeps them from going.
///
/// # Errors
/// If the API server refuses.
pub async fn find(object: &ServerObject, context: &Context) -> Result<Found, Error> {
    let Some((namespace, name)) = object.credentials(context) else {
        return Ok(Found::Unusable {
            reason: "InvalidSpec",
            message: "no provider is set".to_string(),
        });
    };
    let secret = context
        .secrets_of(&namespace)
        .get_opt(&name)
        .await
        .map_err(Error::ReadSecret)?;
    let Some(secret) = secret else {
        let missing = format!("the credentials Secret {name:?} does not exist in namespace {namespace:?}");
        return copy_or(object, context, missing).await;
    };
    if secret.metadata.deletion_timestamp.is_some() {
        let_go_of_secret(context, &secret).await?;
        let missing = format!("the credentials Secret {name:?} in namespace {namespace:?} is being deleted");
        return copy_or(object, context, missing).await;
    }
    protect(context, &secret).await?;
    Ok(match parse(&secret) {
        Ok(credentials) => {
            remove_copy(object, context).await?;
            Found::Usable {
                credentials,
                copy: false,
            }
        }
        Err(message) => Found::Unusable {
            reason: "InvalidCredentials",
            message,
        },
    })
}

async fn copy_or(object: &ServerObject, context: &Context, missing: String) -> Result<Found, Error> {
    let copy = copies(context)
        .get_opt(&copy_name(object))
        .await
        .map_err(Error::ReadSecret)?;
    Ok(match copy.as_ref().map(parse) {
        Some(Ok(credentials)) => Found::Usable {
            credentials,
            copy: true,
        },
        _ => Found::Unusable {
            reason: "CredentialsNotFound",
            message: missing,
        },
    })
}

/// Reads credentials out of a Secret.
fn parse(secret: &Secret) -> Result<Credentials, String> {
    let get = |key: &str| password_in(secret, key).map(|text| Password::new(text.reveal().trim()));
    if let Some(token) = get("token") {
        return Ok(Credentials::Bearer(token));
    }
    match (get("username"), get("password")) {
        (Some(username), Some(password)) => Ok(Credentials::Basic {
            username: username.reveal().to_string(),
            password,
        }),
        _ => Err(format!(
            "the credentials Secret {:?} needs the key token, or the keys username and password",
            secret.name_any()
        )),
    }
}

/// How the server is talked to with what was found.
pub fn link(object: &ServerObject, context: &Context, found: &Found, gate: &Gate) -> Link {
    let (provider, mac, deletions_only, unusable) = match found {
        Found::Unusable { reason, message } => (None, None, false, Some((*reason, message.clone()))),
        Found::Usable { credentials, copy } => {
            let mac = context.mac_key.mac(&one_text(credentials));
            let known = context
                .server(&object.key())
                .filter(|server| server.uid == object.uid());
            let current = known.as_ref().map(|server| server.link());
            match current
                .filter(|link| link.credentials_mac.as_ref() == Some(&mac) && link.provider.is_some())
            {
                Some(link) => (link.provider, Some(mac), *copy, None),
                None => match provider(object, context, credentials, gate.clone()) {
                    Ok(provider) => (Some(Arc::new(provider)), Some(mac), *copy, None),
                    Err(why) => (None, Some(mac), *copy, Some(why)),
                },
            }
        }
    };
    let bucket = context.buckets.of(
        mac.as_deref().unwrap_or_default(),
        &object.uid(),
        object.per_minute(),
    );
    let refresh_interval = object.refresh_interval(context.options.min_refresh_interval);
    Link {
        provider,
        bucket,
        credentials_mac: mac,
        deletions_only,
        unusable,
        refresh_interval,
    }
}

fn one_text(credentials: &Credentials) -> Password {
    Password::new(match credentials {
        Credentials::Bearer(token) => format!("bearer\0{}", token.reveal()),
        Credentials::Basic { username, password } => format!("basic\0{username}\0{}", password.reveal()),
    })
}

fn provider(
    object: &ServerObject,
    context: &Context,
    credentials: &Credentials,
    gate: Gate,
) -> Result<AnyProvider, (&'static str, String)> {
    let spec = object
        .ionos()
        .ok_or(("InvalidSpec", "no provider is set".to_string()))?;
    let config = IonosConfig {
        endpoint: spec.endpoint.clone(),
        ..IonosConfig::new(&spec.cluster_id, credentials.clone())
    };
    Ionos::new(config, &context.http, gate)
        .map(AnyProvider::Ionos)
        .map_err(|error| {
            let reason = match error.class {
                ErrorClass::EndpointNotAllowed => "EndpointNotAllowed",
                _ => "InvalidEndpoint",
            };
            (
                reason,
                format!("spec.ionos.endpoint {:?}: {error}", spec.endpoint),
            )
        })
}

/// Keeps a credentials Secret from going before we have been asked.
async fn protect(context: &Context, secret: &Secret) -> Result<(), Error> {
    if secret
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == names::CREDENTIALS_FINALIZER)
    {
        return Ok(());
    }
    let mut finalizers = secret.finalizers().to_vec();
    finalizers.push(names::CREDENTIALS_FINALIZER.to_string());
    write_finalizers(context, secret, &finalizers).await
}

async fn write_finalizers(context: &Context, secret: &Secret, finalizers: &[String]) -> Result<(), Error> {
    let patch = Patch::Merge(json!({"metadata": {
        "uid": secret.uid(), "resourceVersion": secret.resource_version(), "finalizers": finalizers,
    }}));
    let api = context.secrets_of(&secret.namespace().unwrap_or_default());
    match api
        .patch(&secret.name_any(), &PatchParams::default(), &patch)
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop).map_err(Error::RemoveFinalizer),
    }
}

/// A credentials Secret is being deleted: each server whose users still need it gets its copy, then it may go.
async fn let_go_of_secret(context: &Context, secret: &Secret) -> Result<(), Error> {
    if !secret
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == names::CREDENTIALS_FINALIZER)
    {
        return Ok(());
    }
    for object in servers_with(context, secret) {
        if !context.users_of(&object.key()).is_empty() {
            copy(&object, context, secret).await?;
        }
    }
    release(context, secret).await
}

/// Takes our finalizer off a credentials Secret.
///
/// # Errors
/// If the API server refuses.
pub async fn release(context: &Context, secret: &Secret) -> Result<(), Error> {
    let others: Vec<String> = secret
        .finalizers()
        .iter()
        .filter(|it| *it != names::CREDENTIALS_FINALIZER)
        .cloned()
        .collect();
    if others.len() == secret.finalizers().len() {
        return Ok(());
    }
    write_finalizers(context, secret, &others).await
}

/// All server objects that have their credentials in this Secret.
pub fn servers_with(context: &Context, secret: &Secret) -> Vec<ServerObject> {
    let place = (secret.namespace().unwrap_or_default(), secret.name_any());
    all_servers(context)
        .into_iter()
        .filter(|object| object.credentials(context).as_ref() == Some(&place))
        .collect()
}

/// All server objects, as last seen.
pub fn all_servers(context: &Context) -> Vec<ServerObject> {
    let namespaced = context.stores.servers.iter().flat_map(|store| store.state());
    let cluster = context
        .stores
        .cluster_servers
        .iter()
        .flat_map(|store| store.state());
    namespaced
        .map(ServerObject::Namespaced)
        .chain(cluster.map(ServerObject::Cluster))
        .collect()
}

fn copies(context: &Context) -> Api<Secret> {
    context.secrets_of(&context.options.journal_namespace)
}

fn copy_name(object: &ServerObject) -> String {
    format!("pguser-credentials-{}", object.uid())
}

async fn copy(object: &ServerObject, context: &Context, secret: &Secret) -> Result<(), Error> {
    let labels = [
        (names::MANAGED_BY.to_string(), names::OPERATOR.to_string()),
        (
            names::COMPONENT.to_string(),
            "credentials-for-deletion".to_string(),
        ),
    ];
    let metadata = ObjectMeta {
        name: Some(copy_name(object)),
        labels: Some(labels.into()),
        ..ObjectMeta::default()
    };
    let copy = Secret {
        metadata,
        data: secret.data.clone(),
        ..Secret::default()
    };
    match copies(context).create(&PostParams::default(), &copy).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(drop).map_err(Error::WriteSecret),
    }
}

/// Removes a server's copy of its credentials, if there is one.
///
/// # Errors
/// If the API server refuses.
pub async fn remove_copy(object: &ServerObject, context: &Context) -> Result<(), Error> {
    let used = context
        .server(&object.key())
        .is_some_and(|server| server.link().deletions_only);
    let unsure = context.server(&object.key()).is_none();
    if !used && !unsure && !object.deleting() {
        return Ok(());
    }
    match copies(context)
        .delete(&copy_name(object), &DeleteParams::default())
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop).map_err(Error::WriteSecret),
    }
}
