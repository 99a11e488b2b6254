//! The output Secret as it is made and read.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::placement;
use super::wanted::password_in;
use crate::api::secret_preset::{PREVIOUS_PASSWORD, PREVIOUS_USERNAME};
use crate::api::{OutputSecret, PostgresUser, names};
use crate::domain::connection::ConnectionDetails;
use crate::domain::identity::RemoteIdentity;
use crate::domain::password::Password;
use crate::domain::plan::Invalid;
use crate::domain::secret;

/// What makes a Secret independent of its PostgresUser, so that it is not collected with it: a merge patch on this
/// version.
pub fn released(secret: &Secret, uid: &str, version: Option<&str>) -> Value {
    let owners = secret.owner_references().iter();
    let others: Vec<_> = owners.filter(|owner| owner.uid != uid).collect();
    json!({"metadata": {
        "resourceVersion": version,
        "ownerReferences": others,
        "annotations": {names::SECRET_RETAINED: "true"},
    }})
}

/// The login of before, as a Secret has it, if it is that one.
pub fn previous_in(secret: &Secret, username: &str) -> Option<Password> {
    let found = secret.data.as_ref()?.get(PREVIOUS_USERNAME)?;
    password_in(secret, PREVIOUS_PASSWORD).filter(|_| found.0 == username.as_bytes())
}

/// What an output Secret is made of.
#[derive(Clone, Copy)]
pub struct Output<'a> {
    /// Whose it is.
    pub user: &'a PostgresUser,
    /// The login that it is for.
    pub username: &'a str,
    /// How clients connect.
    pub details: &'a ConnectionDetails,
    /// With what they log in.
    pub password: &'a Password,
    /// It stays when the PostgresUser goes.
    pub retain: bool,
    /// The login of before, and its password.
    pub previous: Option<(&'a str, &'a Password)>,
}

/// Finds out whether the templates of an output Secret can be rendered with this very password.
///
/// # Errors
/// If they cannot.
pub fn can_be_rendered(output: Output<'_>) -> Result<(), Invalid> {
    build(output).map(drop)
}

/// Whether a Secret is exactly what would be written with its password, but for what others added to metadata.
pub fn is_intact(
    secret: &Secret,
    user: &PostgresUser,
    username: &str,
    details: &ConnectionDetails,
    password: &Password,
) -> bool {
    let previous = user
        .published_before()
        .and_then(|before| Some((before, previous_in(secret, before)?)));
    // Who owns it is not looked at.
    let Ok(wanted) = build(Output {
        user,
        username,
        details,
        password,
        retain: user.retains(),
        previous: previous
            .as_ref()
            .map(|(username, password)| (*username, password)),
    }) else {
        return false;
    };
    let has = |found: &BTreeMap<String, String>, wanted: Option<&BTreeMap<String, String>>| {
        wanted
            .into_iter()
            .flatten()
            .all(|(key, value)| found.get(key) == Some(value))
    };
    secret.data == wanted.data
        && annotation(&secret.metadata, names::SECRET_FROM_SPEC)
            == annotation(&wanted.metadata, names::SECRET_FROM_SPEC)
        && has(secret.labels(), wanted.metadata.labels.as_ref())
        && has(secret.annotations(), wanted.metadata.annotations.as_ref())
}

/// The names of the labels and annotations that an output Secret has from its user's spec.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FromSpec {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    /// Labels.
    pub labels: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    /// Annotations.
    pub annotations: Vec<String>,
}

impl FromSpec {
    /// What a Secret says of itself.
    pub fn of(metadata: &ObjectMeta) -> Self {
        annotation(metadata, names::SECRET_FROM_SPEC)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// As an annotation; none where there is nothing to say.
    fn to_annotation(spec: &OutputSecret) -> Option<String> {
        let names = Self {
            labels: spec.labels.keys().cloned().collect(),
            annotations: spec.annotations.keys().cloned().collect(),
        };
        let any = !(names.labels.is_empty() && names.annotations.is_empty());
        any.then(|| json!(names).to_string())
    }
}

fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a String> {
    metadata.annotations.as_ref()?.get(name)
}

/// The Secret, complete.
///
/// # Errors
/// If its templates cannot be rendered.
pub fn build(output: Output<'_>) -> Result<Secret, Invalid> {
    let Output {
        user,
        username,
        details,
        password,
        retain,
        previous,
    } = output;
    let spec = user.spec.secret.clone().unwrap_or_default();
    let mut keys = secret::render(details, username, password, &spec)?;
    if let Some((username, password)) = previous {
        keys.insert(
            PREVIOUS_USERNAME.to_string(),
            Zeroizing::new(username.to_string()),
        );
        keys.insert(
            PREVIOUS_PASSWORD.to_string(),
            Zeroizing::new(password.reveal().to_string()),
        );
    }
    let from_spec = FromSpec::to_annotation(&spec);
    let mut labels = spec.labels;
    labels.insert(names::MANAGED_BY.to_string(), names::OPERATOR.to_string());
    let mut annotations = spec.annotations;
    annotations.insert(names::SECRET_USER_UID.to_string(), user.uid().unwrap_or_default());
    annotations.insert(
        names::SECRET_USER.to_string(),
        format!("{}/{}", user.namespace().unwrap_or_default(), user.name_any()),
    );
    annotations.insert(names::SECRET_REMOTE.to_string(), remote(user, username));
    if let Some(from_spec) = from_spec {
        annotations.insert(names::SECRET_FROM_SPEC.to_string(), from_spec);
    }
    let owner = user.controller_owner_ref(&()).filter(|_| !retain);
    let owner = owner.map(|mut owner| {
        owner.block_owner_deletion = None;
        owner
    });
    let data = keys
        .into_iter()
        .map(|(key, value)| (key, ByteString(value.as_bytes().to_vec())));
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(user.secret_name()),
            namespace: user.namespace(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some(names::SECRET_TYPE.to_string()),
        data: Some(data.collect()),
        ..Secret::default()
    })
}

/// The remote user, as the claim says.
fn remote(user: &PostgresUser, username: &str) -> String {
    let identity = placement::claim(user).map(|claim| claim.identity);
    let identity = identity
        .as_ref()
        .map(RemoteIdentity::to_string)
        .unwrap_or_default();
    format!("{identity}/{username}")
}
