//! The output Secret as it is written and read.

use crate::objects::output::{FromSpec, Output, build};

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{ObjectMeta, PostParams};
use kube::core::Status;

use crate::api::{PostgresUser, names};
use crate::controller::api_error::is_refusal;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::domain::plan::Precondition;
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
    let (user, mut secret) = (output.user, build(output).map_err(Error::Render)?);
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
