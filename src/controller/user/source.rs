//! Where a PostgresUser's password comes from, as its Secret tells.

use kube::ResourceExt;

use crate::api::PostgresUser;
use crate::controller::context::Context;
use crate::domain::plan::WantedPassword;
use crate::objects::UserRef;
use crate::objects::wanted::{Source, password_in, source_ref};

/// Finds out where the password comes from. The user's own Secret is read only when it may have changed.
pub async fn source(context: &Context, user: &PostgresUser) -> Result<Source, kube::Error> {
    let Some(reference) = source_ref(user) else {
        return Ok(Source::generated());
    };
    let namespace = user.namespace().unwrap_or_default();
    context
        .secrets
        .uses(&namespace, &reference.name, UserRef::from_obj(user));
    let missing = |why: String| Source {
        wanted: WantedPassword::Missing(why),
        own: None,
    };
    let Some(meta) = context.secrets.get(&namespace, &reference.name) else {
        return Ok(missing(format!(
            "spec.password.secretRef: there is no Secret {:?}",
            reference.name
        )));
    };
    let published = user.published();
    let version = format!("{}/{}", meta.resource_version, reference.key);
    if let Some(published) =
        published.filter(|published| published.source_version.as_deref() == Some(&version))
    {
        return Ok(Source {
            wanted: WantedPassword::Own {
                mac: published.password_mac.clone(),
            },
            own: None,
        });
    }
    let secret = context.secrets_of(&namespace).get_opt(&reference.name).await?;
    Ok(
        match secret
            .as_ref()
            .and_then(|secret| password_in(secret, &reference.key))
        {
            Some(password) => Source {
                wanted: WantedPassword::Own {
                    mac: context.password_mac(user, &password),
                },
                own: Some(password),
            },
            None => missing(format!(
                "spec.password.secretRef: the Secret {:?} has no key {:?} that holds text",
                reference.name, reference.key
            )),
        },
    )
}

/// The version of the user's own Secret, to be recorded with what is published from it.
pub fn source_version(context: &Context, user: &PostgresUser) -> Option<String> {
    let reference = source_ref(user)?;
    let meta = context
        .secrets
        .get(&user.namespace().unwrap_or_default(), &reference.name)?;
    Some(format!("{}/{}", meta.resource_version, reference.key))
}
