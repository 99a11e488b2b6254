//! Where a server's credentials are, and how they are kept from going while they are needed.
//!
//! The credentials Secret carries our finalizer. When somebody deletes it while users or entries of the journal need it,
//! what deletion needs is copied to the operator's namespace first, used for deletions alone, and removed with the last of
//! them or when a working Secret is back.

use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use super::provider::{self, CA_KEY, Keys, Lacking, Material};
use super::{ca, need};
use crate::api::{Reason, names};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::objects::Objects;
use crate::controller::server::task::Link;
use crate::domain::mac::{Purpose, Subject};
use crate::domain::password::Password;
use crate::objects::wanted::password_in;
use crate::objects::{ProviderSpec, ServerObject};
use crate::provider::AnyProvider;
use crate::provider::gate::Gate;

/// What was found of a server's credentials.
pub enum FoundCredentials {
    /// They can be used.
    Usable {
        /// The credentials and what goes with them.
        material: Material,
        /// They are a copy, for deletions alone.
        copy: bool,
    },
    /// They cannot.
    Unusable {
        /// The condition's reason.
        reason: Reason,
        /// What is wrong and how to mend it.
        message: String,
    },
}

/// Finds a server's credentials, and keeps them from going.
///
/// # Errors
/// If the API server refuses.
pub async fn find(object: &ServerObject, context: &Context) -> Result<FoundCredentials, Error> {
    let (Some((namespace, name)), Some(spec)) = (context.credentials(object), object.provider()) else {
        return Ok(FoundCredentials::Unusable {
            reason: Reason::InvalidSpec,
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
    let keys = match provider::credentials(&spec, &keys_of(&secret)) {
        Ok(keys) => keys,
        Err(lacking) => {
            return Ok(FoundCredentials::Unusable {
                reason: Reason::InvalidCredentials,
                message: told(&spec, &secret, &lacking),
            });
        }
    };
    Ok(match ca::find(object, context, &secret).await? {
        Ok(ca) => {
            if may_have_copy(object, context) {
                remove_copy(object, context).await?;
            }
            let material = Material { keys, ca };
            FoundCredentials::Usable {
                material,
                copy: false,
            }
        }
        Err(message) => FoundCredentials::Unusable {
            reason: Reason::CANotFound,
            message,
        },
    })
}

async fn copy_or(
    object: &ServerObject,
    context: &Context,
    missing: String,
) -> Result<FoundCredentials, Error> {
    let copy = copies(context)
        .get_opt(&copy_name(object))
        .await
        .map_err(Error::ReadSecret)?;
    let copied = copy.as_ref().zip(object.provider()).and_then(|(copy, spec)| {
        let keys = provider::credentials(&spec, &keys_of(copy)).ok()?;
        let ca = ca::in_secret(copy);
        Some(Material { keys, ca })
    });
    Ok(match copied {
        Some(material) => FoundCredentials::Usable { material, copy: true },
        None => FoundCredentials::Unusable {
            reason: Reason::CredentialsNotFound,
            message: missing,
        },
    })
}

/// How many of a Secret's keys a message names.
const MOST_KEYS: usize = 10;

/// What a Secret lacks and what it has, by the names of its keys alone, and the ways out.
fn told(spec: &ProviderSpec<'_>, secret: &Secret, lacking: &Lacking) -> String {
    let there: Vec<&str> = secret
        .data
        .iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    let missing = lacking
        .keys
        .iter()
        .map(|key| match there.contains(&key.as_str()) {
            true => format!("{key} (it is there, but its value is empty or not UTF-8)"),
            false => key.clone(),
        });
    let missing: Vec<String> = missing.collect();
    let some = there
        .iter()
        .take(MOST_KEYS)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    let has = match there.len() {
        0 => "no keys".to_string(),
        1..=MOST_KEYS => some,
        number => format!("{some} and {} more", number - MOST_KEYS),
    };
    format!(
        "the credentials Secret {:?} needs {}; it lacks {}, and has {has}. Add what is missing, or say in \
         spec.{}.credentialsSecretRef.keys which of its keys to read",
        spec.credentials().name,
        lacking.needs,
        missing.join(", "),
        spec.capabilities().name,
    )
}

/// What a Secret holds as text.
fn keys_of(secret: &Secret) -> Keys {
    let names = secret.data.iter().flatten().map(|(name, _)| name);
    names
        .filter_map(|name| {
            let text = password_in(secret, name)?;
            let line = without_line_end(text.reveal());
            (!line.is_empty()).then(|| (name.clone(), Password::new(line)))
        })
        .collect()
}

/// A text without the one line end that `echo` and editors put behind it. Other white space may be part of a password.
fn without_line_end(text: &str) -> &str {
    match text.strip_suffix('\n') {
        Some(line) => line.strip_suffix('\r').unwrap_or(line),
        None => text,
    }
}

/// How the server is talked to with what was found.
pub fn link(object: &ServerObject, context: &Context, found: &FoundCredentials, gate: &Gate) -> Link {
    let text = match found {
        FoundCredentials::Usable { material, .. } => Some(material.one_text()),
        FoundCredentials::Unusable { .. } => None,
    };
    let uid = object.uid();
    let subject = Subject {
        purpose: Purpose::Credentials,
        uid: &uid,
    };
    let mac = text.as_ref().map(|text| context.mac_key.mac_of(subject, text));
    let shared_mac = text.as_ref().map(|text| context.mac_key.mac(text));
    let (provider, deletions_only, unusable) = match found {
        FoundCredentials::Unusable { reason, message } => (None, false, Some((*reason, message.clone()))),
        FoundCredentials::Usable { material, copy } => {
            match client(object, context, material, mac.as_deref(), gate) {
                Ok(provider) => (Some(provider), *copy, None),
                Err(why) => (None, *copy, Some(why)),
            }
        }
    };
    let bucket = context.buckets.of(
        shared_mac.as_deref().unwrap_or_default(),
        &object.uid(),
        object.usual_per_minute(),
        object.rate(),
    );
    Link {
        provider,
        bucket,
        at_once: object.concurrent_changes(),
        credentials_mac: mac,
        shared_mac,
        deletions_only,
        unusable,
        refresh_interval: object.refresh_interval(context.options.min_refresh_interval),
        verify_interval: object.verify_interval(),
        generation: object.meta().generation,
        ca: match found {
            FoundCredentials::Usable { material, .. } => material.ca.as_deref().map(Arc::from),
            FoundCredentials::Unusable { .. } => current(object, context).and_then(|link| link.ca),
        },
    }
}

/// The client there is, as long as it is what the spec and the credentials ask for; else a new one.
fn client(
    object: &ServerObject,
    context: &Context,
    material: &Material,
    mac: Option<&str>,
    gate: &Gate,
) -> Result<Arc<AnyProvider>, (Reason, String)> {
    let same = current(object, context)
        .filter(|link| link.credentials_mac.as_deref() == mac && link.generation == object.meta().generation);
    if let Some(provider) = same.and_then(|link| link.provider) {
        return Ok(provider);
    }
    let spec = object
        .provider()
        .ok_or((Reason::InvalidSpec, "no provider is set".to_string()))?;
    provider::connect(&spec, material, context, gate.clone()).map(Arc::new)
}

fn current(object: &ServerObject, context: &Context) -> Option<Link> {
    let known = context
        .server(&object.key())
        .filter(|server| server.uid == object.uid());
    known.map(|server| server.link())
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

/// A credentials Secret is being deleted: each server that still needs it gets its copy, then it may go.
async fn let_go_of_secret(context: &Context, secret: &Secret) -> Result<(), Error> {
    if !secret
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == names::CREDENTIALS_FINALIZER)
    {
        return Ok(());
    }
    for object in servers_with(context, secret) {
        if need::is_needed(&object, context).await? {
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
    context
        .server_objects()
        .into_iter()
        .filter(|object| context.credentials(object).as_ref() == Some(&place))
        .collect()
}

fn copies(context: &Context) -> Objects<Secret> {
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
    let mut data = secret.data.clone().unwrap_or_default();
    if let Some(ca) = current(object, context).and_then(|link| link.ca) {
        data.insert(CA_KEY.to_string(), ByteString(ca.to_vec()));
    }
    let copy = Secret {
        metadata,
        data: Some(data),
        ..Secret::default()
    };
    match copies(context).create(&PostParams::default(), &copy).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(drop).map_err(Error::WriteSecret),
    }
}

/// Whether a server may have a copy of its credentials: if one is used, and as long as nothing is known.
fn may_have_copy(object: &ServerObject, context: &Context) -> bool {
    context
        .server(&object.key())
        .is_none_or(|server| server.link().deletions_only)
}

/// Removes a server's copy of its credentials, if there is one.
///
/// # Errors
/// If the API server refuses.
pub async fn remove_copy(object: &ServerObject, context: &Context) -> Result<(), Error> {
    match copies(context)
        .delete(&copy_name(object), &DeleteParams::default())
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop).map_err(Error::WriteSecret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(data: &[(&str, &[u8])]) -> Secret {
        let data = data
            .iter()
            .map(|(key, value)| (key.to_string(), ByteString(value.to_vec())));
        Secret {
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    #[test]
    fn one_line_end_is_cut_and_no_other_white_space() {
        for (text, expected) in [
            ("pass\n", "pass"),
            ("pass\r\n", "pass"),
            ("pass\n\n", "pass\n"),
            (" pass \n", " pass "),
            ("pass\r", "pass\r"),
            ("pass", "pass"),
        ] {
            let keys = keys_of(&secret(&[("password", text.as_bytes())]));
            assert_eq!(keys["password"].reveal(), expected, "{text:?}");
        }
        assert!(keys_of(&secret(&[("password", b"\n")])).is_empty());
    }

    #[test]
    fn the_keys_that_are_there_and_that_are_missing_are_named_and_no_value() {
        let spec = json!({"host": "db.example", "credentialsSecretRef": {"name": "orders-admin"}});
        let spec = serde_json::from_value(spec).unwrap();
        let spec = ProviderSpec::Postgresql(&spec);
        let secret = secret(&[
            ("user", b"hidden-1"),
            ("password", b"\xff\xfe"),
            ("uri", b"hidden-2"),
        ]);
        let lacking = provider::credentials(&spec, &keys_of(&secret)).unwrap_err();
        let message = told(&spec, &secret, &lacking);
        for expected in [
            "\"orders-admin\" needs the keys username and password; it lacks username, password (it is there",
            "and has password, uri, user. ",
            "spec.postgresql.credentialsSecretRef.keys",
        ] {
            assert!(message.contains(expected), "{expected}: {message}");
        }
        assert!(!message.contains("hidden"), "{message}");
    }

    #[test]
    fn not_all_of_many_keys_are_named() {
        let spec = json!({"host": "db.example", "credentialsSecretRef": {"name": "orders-admin"}});
        let spec = serde_json::from_value(spec).unwrap();
        let spec = ProviderSpec::Postgresql(&spec);
        let names: Vec<String> = (10..30).map(|number| format!("key-{number}")).collect();
        let data: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
        let secret = secret(&data);
        let lacking = provider::credentials(&spec, &keys_of(&secret)).unwrap_err();
        let message = told(&spec, &secret, &lacking);
        assert!(message.contains("key-19 and 10 more"), "{message}");
    }
}
