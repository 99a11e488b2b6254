//! Without an operator: what it would do to let a PostgresUser go and keep its login, done by an administrator.
//!
//! The finalizer is there so that no request under way loses the object that it is for. It is taken off only where no
//! operator holds the Lease, the journals have nothing of the object, and nobody reacts to its deletion for as long as is
//! waited. The order is the operator's: the Secret is made independent first, the kept login is put on record, the
//! finalizer comes last.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use super::{current, delete, retain};
use crate::api::{PostgresUser, RemoteUserRecord, names};
use crate::controller::objects::Objects;
use crate::controller::retained::{RetainedLogin, RetainedLogins};
use crate::objects::output;
use crate::plugin::cluster::Cluster;
use crate::plugin::failure::{Asked, Failure};
use crate::plugin::journals;
use crate::plugin::output::note;
use crate::plugin::status::observed;
use crate::plugin::wait::Timeout;

/// How long ago a Lease may have been renewed at least, to count as nobody's, in seconds.
const ABANDONED: i64 = 60;

/// Lets a PostgresUser go. Tells whether it is gone.
pub async fn release(
    cluster: &Cluster,
    user: &PostgresUser,
    operator: &str,
    timeout: &Timeout,
) -> Result<bool, Failure> {
    nobody_leads(cluster, operator).await?;
    nothing_under_way(cluster, user, operator).await?;
    let retained = retain(cluster, user).await?;
    keep_secret(cluster, &retained).await?;
    delete(cluster, &retained).await?;
    match nobody_reacts(cluster, &retained, timeout).await? {
        None => Ok(true),
        Some(left) => {
            nothing_under_way(cluster, user, operator).await?;
            record(cluster, &left, operator).await?;
            remove_finalizer(cluster, &left).await?;
            Ok(current(cluster, user).await?.is_none())
        }
    }
}

/// Whether some operator holds a Lease; those that share the work have one each, of any name.
async fn nobody_leads(cluster: &Cluster, operator: &str) -> Result<(), Failure> {
    let asked = Asked {
        verb: "list",
        resource: "leases",
        namespace: Some(operator),
        name: None,
    };
    let api: Objects<Lease> = Objects::of(cluster.client.clone(), operator);
    let leases = api.list(&ListParams::default()).await;
    let leases = leases.map_err(|error| asked.failed(&error))?;
    match leases.iter().find_map(|lease| held(lease, Timestamp::now())) {
        None => Ok(()),
        Some(held) => Err(Failure::Other(format!(
            "an operator works: {held}. Leave out --orphan; or stop it, and come back in a minute"
        ))),
    }
}

/// Who holds a Lease, if somebody does.
fn held(lease: &Lease, now: Timestamp) -> Option<String> {
    let spec = lease.spec.as_ref()?;
    let holder = spec
        .holder_identity
        .as_ref()
        .filter(|holder| !holder.is_empty())?;
    let ago = now.duration_since(spec.renew_time.as_ref()?.0).as_secs();
    (ago < ABANDONED).then(|| {
        format!(
            "{holder} has renewed the Lease {} {ago} seconds ago",
            lease.name_any()
        )
    })
}

async fn nothing_under_way(cluster: &Cluster, user: &PostgresUser, operator: &str) -> Result<(), Failure> {
    let journals = journals::read(cluster, operator).await?;
    let uid = user.uid().unwrap_or_default();
    let entry = journals
        .entries
        .iter()
        .find(|listed| listed.entry.owner.uid == uid);
    let stopped = |what: String| {
        Err(Failure::Other(format!(
            "{}: {what}; start the operator once more to settle it",
            user.name_any()
        )))
    };
    match entry {
        Some(listed) => stopped(format!(
            "the journal of {} has a request of it that is not settled ({:?}), so nobody knows which password its login \
             has",
            listed.server, listed.entry.kind
        )),
        None if journals.unknown > 0 => stopped(format!(
            "{} requests in the journals were written by a newer version, and may be its",
            journals.unknown
        )),
        None => {
            if journals.count == 0 {
                note(&format!(
                    "there are no journals in {operator}: nothing is known of requests that were under way"
                ));
            }
            Ok(())
        }
    }
}

/// How often a Secret is read anew that somebody else changes meanwhile.
const TRIES: usize = 5;

/// Makes the Secret independent of its object, so that it is not collected with it. Whoever else changes it may be an
/// operator after all, which the next steps find out.
async fn keep_secret(cluster: &Cluster, user: &PostgresUser) -> Result<(), Failure> {
    let mut tried = try_keep_secret(cluster, user).await;
    for _ in 1..TRIES {
        if !matches!(tried, Err(Failure::Conflict { .. })) {
            break;
        }
        tried = try_keep_secret(cluster, user).await;
    }
    tried
}

async fn try_keep_secret(cluster: &Cluster, user: &PostgresUser) -> Result<(), Failure> {
    let (namespace, name) = (cluster.namespace_of(user), user.secret_name());
    let uid = user.uid().unwrap_or_default();
    let Some(secret) = cluster.secret(&namespace, &name).await? else {
        return Ok(());
    };
    if secret.annotations().get(names::SECRET_USER_UID) != Some(&uid) {
        return Ok(());
    }
    let version = secret.resource_version();
    let patch = Patch::Merge(output::released(&secret, &uid, version.as_deref()));
    let asked = Asked {
        verb: "patch",
        resource: "secrets",
        namespace: Some(&namespace),
        name: Some(&name),
    };
    let patched = cluster
        .secrets(&namespace)
        .patch(&name, &PatchParams::default(), &patch)
        .await;
    patched.map(drop).map_err(|error| asked.failed(&error))
}

/// Waits for an operator to react to the deletion. None: the object is gone, by an operator's hand or for want of a
/// finalizer.
async fn nobody_reacts(
    cluster: &Cluster,
    user: &PostgresUser,
    timeout: &Timeout,
) -> Result<Option<PostgresUser>, Failure> {
    note(&format!(
        "{}: waiting for {:?}, in case an operator works on it after all",
        user.name_any(),
        timeout.timeout
    ));
    let before = observed(user);
    let gone = timeout.until(async || match current(cluster, user).await? {
        None => Ok(Some(())),
        Some(now) if observed(&now) != before => Err(at_work(user)),
        Some(_) => Ok(None),
    });
    match gone.await? {
        Some(()) => Ok(None),
        None => current(cluster, user).await,
    }
}

fn at_work(user: &PostgresUser) -> Failure {
    Failure::Other(format!(
        "an operator works on {}: it has seen the deletion, and keeps the login. Leave out --orphan",
        user.name_any()
    ))
}

/// Puts the kept login on record, where the operator would.
async fn record(cluster: &Cluster, user: &PostgresUser, operator: &str) -> Result<(), Failure> {
    for record in user.records() {
        record_login(cluster, user, record, operator).await?;
    }
    Ok(())
}

async fn record_login(
    cluster: &Cluster,
    user: &PostgresUser,
    record: &RemoteUserRecord,
    operator: &str,
) -> Result<(), Failure> {
    let kept = RetainedLogins::new(Objects::of(cluster.client.clone(), operator));
    let entry = RetainedLogin::of_record(user, record, "Orphaned");
    let asked = Asked {
        verb: "patch",
        resource: "configmaps",
        namespace: Some(operator),
        name: None,
    };
    match kept.record(&entry).await.map_err(|error| asked.failed(&error)) {
        Ok(()) => Ok(()),
        Err(Failure::NotFound { .. }) => {
            note(&format!(
                "the namespace {operator} is gone: the login {:?} is put on no record",
                record.username
            ));
            Ok(())
        }
        Err(failure) => Err(failure),
    }
}

async fn remove_finalizer(cluster: &Cluster, user: &PostgresUser) -> Result<(), Failure> {
    let others: Vec<_> = user
        .finalizers()
        .iter()
        .filter(|it| *it != names::USER_FINALIZER)
        .collect();
    let change = json!({"metadata": {"resourceVersion": user.resource_version(), "finalizers": others}});
    match cluster.change(user, change).await {
        Ok(_) | Err(Failure::NotFound { .. }) => Ok(()),
        Err(Failure::Conflict { .. }) => Err(at_work(user)),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, renewed: &str) -> Lease {
        serde_json::from_value(json!({
            "metadata": {"name": "pguser-operator-a"},
            "spec": {"holderIdentity": holder, "renewTime": renewed},
        }))
        .unwrap()
    }

    #[test]
    fn a_lease_is_held_by_who_has_just_renewed_it() {
        let now = "2026-01-01T00:02:00Z".parse().unwrap();
        let found = held(&lease("pod-1", "2026-01-01T00:01:50.000000Z"), now);
        assert!(found.is_some_and(|it| it.contains("pod-1") && it.contains("pguser-operator-a 10 seconds")));
        assert_eq!(held(&lease("pod-1", "2026-01-01T00:00:50.000000Z"), now), None);
        assert_eq!(held(&lease("", "2026-01-01T00:01:50.000000Z"), now), None);
    }
}
