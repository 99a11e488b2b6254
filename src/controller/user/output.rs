//! The output Secret as it is written and read.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::core::Status;
use kube::{Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::api::secret_preset::{PREVIOUS_PASSWORD, PREVIOUS_USERNAME};
use crate::api::{OutputSecret, PostgresUser, names};
use crate::controller::context::Context;
use crate::controller::error::{Error, is_refusal};
use crate::controller::user::{placement, wanted};
use crate::domain::connection::ConnectionDetails;
use crate::domain::identity::RemoteIdentity;
use crate::domain::password::Password;
use crate::domain::plan::Precondition;
use crate::domain::secret;
use crate::failpoint::{self, Side};

/// Reads the output Secret, if there is one.
///
/// # Errors
/// If the API server refuses.
pub async fn read(context: &Context, user: &PostgresUser) -> Result<Option<Secret>, Error> {
    let namespace = user.namespace().unwrap_or_default();
    let secret = context
        .secrets_of(&namespace)
        .get_opt(&user.secret_name())
        .await
        .map_err(Error::ReadSecret)?;
    match &secret {
        Some(secret) => context.secrets.wrote(secret),
        None => context.secrets.missing(&namespace, &user.secret_name()),
    }
    Ok(secret)
}

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
    wanted::password_in(secret, PREVIOUS_PASSWORD).filter(|_| found.0 == username.as_bytes())
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

/// Writes the output Secret in one go, complete.
///
/// # Errors
/// If its templates cannot be rendered, it is not what the plan was made from any more, or the API server refuses.
pub async fn write(
    context: &Context,
    output: Output<'_>,
    precondition: &Precondition,
) -> Result<Secret, Error> {
    failpoint::hit("secret-write", Side::Before);
    let secret = match sent(context, output, precondition, &PostParams::default()).await? {
        Ok(secret) => secret,
        Err(error) => {
            // Whatever is there is read before the next plan.
            read(context, output.user).await?;
            return Err(Error::WriteSecret(error));
        }
    };
    failpoint::hit("secret-write", Side::After);
    context.secrets.wrote(&secret);
    Ok(secret)
}

/// Asks the API server whether it would take the output Secret, by a write that is not carried out.
///
/// # Errors
/// If its templates cannot be rendered, or it refuses. What tells nothing (no answer, a webhook that knows no such writes) is not
/// an error: the write itself will tell.
pub async fn would_be_taken(
    context: &Context,
    output: Output<'_>,
    precondition: &Precondition,
) -> Result<(), Error> {
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match sent(context, output, precondition, &params).await? {
        Err(kube::Error::Api(status)) if is_refusal(&status) && !knows_no_dry_run(&status) => {
            Err(Error::WriteSecret(kube::Error::Api(status)))
        }
        _ => Ok(()),
    }
}

/// Whether the refusal is one of the trial alone: a webhook that does not say that it has no side effects is not asked.
fn knows_no_dry_run(status: &Status) -> bool {
    status.code == 400 && status.message.contains("does not support dry run")
}

/// Sends the Secret, under this condition.
async fn sent(
    context: &Context,
    output: Output<'_>,
    precondition: &Precondition,
    params: &PostParams,
) -> Result<Result<Secret, kube::Error>, Error> {
    let (user, mut secret) = (output.user, build(output)?);
    let api = context.secrets_of(&user.namespace().unwrap_or_default());
    Ok(match precondition {
        Precondition::Absent => api.create(params, &secret).await,
        Precondition::At(version) => {
            secret.metadata = merged(context, user, secret.metadata, version).await?;
            api.replace(&user.secret_name(), params, &secret).await
        }
        // The planner says so only without R2, which the operator never is.
        Precondition::Nothing => return Err(Error::ServerLost),
    })
}

/// Finds out whether the templates of an output Secret can be rendered with this very password.
///
/// # Errors
/// If they cannot.
pub fn can_be_rendered(output: Output<'_>) -> Result<(), Error> {
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

/// Labels and annotations that others put on the Secret stay; ours are as they should be, and those that the spec
/// no longer has are gone.
async fn merged(
    context: &Context,
    user: &PostgresUser,
    wanted: ObjectMeta,
    version: &str,
) -> Result<ObjectMeta, Error> {
    let found = read(context, user)
        .await?
        .map(|secret| secret.metadata)
        .unwrap_or_default();
    let uid = user.uid().unwrap_or_default();
    let before = FromSpec::of(&found);
    let mut labels = found.labels.unwrap_or_default();
    labels.retain(|name, _| !before.labels.contains(name));
    labels.extend(wanted.labels.unwrap_or_default());
    let mut annotations = found.annotations.unwrap_or_default();
    annotations.retain(|name, _| !before.annotations.contains(name) && name != names::SECRET_FROM_SPEC);
    annotations.extend(wanted.annotations.unwrap_or_default());
    let mut owners = found.owner_references.unwrap_or_default();
    owners.retain(|owner| owner.uid != uid);
    owners.extend(wanted.owner_references.unwrap_or_default());
    Ok(ObjectMeta {
        labels: Some(labels),
        annotations: Some(annotations),
        owner_references: Some(owners),
        resource_version: Some(version.to_string()),
        finalizers: found.finalizers,
        ..wanted
    })
}

/// The names of the labels and annotations that an output Secret has from its user's spec.
#[derive(Debug, Default, Serialize, Deserialize)]
struct FromSpec {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<String>,
}

impl FromSpec {
    /// What a Secret says of itself.
    fn of(metadata: &ObjectMeta) -> Self {
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

fn build(output: Output<'_>) -> Result<Secret, Error> {
    let Output {
        user,
        username,
        details,
        password,
        retain,
        previous,
    } = output;
    let spec = user.spec.secret.clone().unwrap_or_default();
    let mut keys = secret::render(details, username, password, &spec).map_err(Error::Render)?;
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
