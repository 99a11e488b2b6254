//! The status of a PostgresUser: one writer, which writes only what has changed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::outcome::{Outcome, Publishing, Restarted};
use crate::api::{
    Binding, DeniedMembership, Membership, Ownership, PasswordStatus, PostgresUser, PublishedSecret, Reason,
    RejectedPassword, RemoteUserRecord, RestartStatus, UserStatus,
};
use crate::clock;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::events;
use crate::controller::status_patch::{difference, warn_unless_kept};
use crate::domain::alternation::{self, Login};
use crate::domain::conditions;
use crate::domain::plan::{Lasting, Plan, Record, Rejected, Step, Verified};
use crate::domain::time::whole_seconds;
use crate::domain::wish;
use crate::failpoint::{self, Side};
use crate::objects::{ServerKey, wanted};

/// What came of a report.
pub struct Reported {
    /// The object as it is then.
    pub user: PostgresUser,
    /// Facts were recorded that a new plan should know of.
    pub facts: bool,
    /// What is reported passes by itself, and is told if it is still so after this long.
    pub tell_after: Option<Duration>,
}

impl Reported {
    fn nothing(user: PostgresUser) -> Self {
        Self {
            user,
            facts: false,
            tell_after: None,
        }
    }
}

/// Writes the status if it has changed, and the Event that goes with a change of `Ready`; what passes by itself only once
/// it has lasted.
///
/// # Errors
/// If the object is not what the plan was made from any more, or the API server refuses.
pub async fn report(
    context: &Context,
    user: PostgresUser,
    login: &Login,
    plan: &Plan,
    denied: &[DeniedMembership],
    outcome: Outcome,
) -> Result<Reported, Error> {
    let old = user.status.clone().unwrap_or_default();
    let mut new = next_status(&old, &user, login, plan, outcome);
    new.denied_memberships = denied.to_vec();
    let object = context.server_object(&ServerKey::named_by(&user));
    let least = context.options.min_rotation_interval;
    let next = wanted::next_rotation(&user, &new, object.as_ref(), least, Timestamp::now());
    note_next_rotation(&mut new, next);
    let facts = facts_of(&new) != facts_of(&old);
    let uid = user.uid().unwrap_or_default();
    if plan.report.lasting == Lasting::Rests || facts {
        context.passing.over(&uid);
    } else if let Some(wait) = context.passing.wait(&uid, plan.report.lasting, clock::now())
        && new != old
    {
        return Ok(Reported {
            tell_after: Some(wait),
            ..Reported::nothing(user)
        });
    }
    if new == old || (is_mere_look(plan) && is_reported(&old, &user) && !facts) {
        return Ok(Reported::nothing(user));
    }
    let name = user.name_any();
    let patch = Patch::Merge(json!({
        "metadata": {"uid": user.metadata.uid, "resourceVersion": user.metadata.resource_version},
        "status": difference(&old, &new),
    }));
    failpoint::hit("status-write", Side::Before);
    let api = context.users(&user.namespace().unwrap_or_default());
    let user = api
        .patch_status(&name, &PatchParams::default(), &patch)
        .await
        .map_err(Error::WriteStatus)?;
    failpoint::hit("status-write", Side::After);
    if plan.report.lasting != Lasting::Queues {
        tell(context, &user, &old, &new).await;
    }
    let kept = user.status.clone().unwrap_or_default();
    tell_of_restart(context, &user, &old, &new).await;
    count(context, &user, &old, &kept);
    warn_unless_kept(&new, &kept);
    // A fact that is not kept would be recorded for ever.
    let facts = facts_of(&kept) != facts_of(&old);
    Ok(Reported {
        user,
        facts,
        tell_after: None,
    })
}

/// Counts what was published, and has the server object count its users.
fn count(context: &Context, user: &PostgresUser, old: &UserStatus, new: &UserStatus) {
    match (&old.secret, &new.secret) {
        (None, Some(_)) => {
            let made = user.metadata.creation_timestamp.as_ref().map(|made| made.0);
            let waited = made.and_then(|made| Duration::try_from(Timestamp::now().duration_since(made)).ok());
            // A negative time is another machine's clock.
            context.metrics.first_secret(waited.unwrap_or_default());
            if let Some(server) = context.server(&ServerKey::named_by(user)) {
                server.count_users();
            }
        }
        (Some(before), Some(after)) if before.password_mac != after.password_mac => {
            context.metrics.password_changed();
        }
        _ => {}
    }
}

/// What a plan is made from, as against what is only shown.
fn facts_of(status: &UserStatus) -> impl PartialEq + use<> {
    (
        status.remote_users.clone(),
        status.secret.clone(),
        status.last_handled_rotation.clone(),
        status.rejected_password.clone(),
        status.rejected_settings.clone(),
        status.set_backs.clone(),
        status.denied_memberships.clone(),
        status.restart.clone(),
    )
}

/// Looking changes nothing: a look at a server that finds all in order must not cause a write (I7).
fn is_mere_look(plan: &Plan) -> bool {
    matches!(
        plan.step,
        Some(
            Step::List
                | Step::Read
                | Step::ReadSecret
                | Step::PollCluster
                | Step::Restart
                | Step::LookAtRollouts
        )
    )
}

fn is_reported(status: &UserStatus, user: &PostgresUser) -> bool {
    Some(status.observed_generation) == user.metadata.generation && ready(&status.conditions).is_some()
}

fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == "Ready")
}

fn stalled(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == "Stalled")
}

fn next_status(
    old: &UserStatus,
    user: &PostgresUser,
    login: &Login,
    plan: &Plan,
    outcome: Outcome,
) -> UserStatus {
    let generation = user.metadata.generation.unwrap_or_default();
    let now = Timestamp::now();
    let mut new = old.clone();
    new.conditions = conditions::apply(&old.conditions, &plan.report, generation, now);
    new.observed_generation = generation;
    new.deletion_blockers.clone_from(&plan.report.blockers);
    if let Some(Publishing {
        secret: published,
        new_password,
    }) = outcome.published
    {
        if let Some(reason) = new_password {
            let verified = plan.report.verified == Verified::Yes;
            new.password = Some(PasswordStatus {
                last_changed: Some(Time(whole_seconds(now))),
                reason: Some(reason.to_string()),
                last_verified: verified.then(|| Time(whole_seconds(now))),
                next_rotation: None,
            });
        }
        new.binding = Some(Binding {
            name: published.name.clone(),
        });
        if old
            .secret
            .as_ref()
            .is_none_or(|before| before.password_mac != published.password_mac)
        {
            new.rejected_password = None;
        }
        if let Some(before) = &old.secret
            && (new_password.is_some() || before.username != published.username)
        {
            new.restart = to_restart(user, &published);
        }
        turn_over(&mut new, user, &login.username, now);
        new.secret = Some(published);
        if plan.report.handled_rotation.is_some() {
            new.last_handled_rotation = plan.report.handled_rotation.clone();
            new.set_backs.clear();
        }
    }
    if let Some(rejected) = &plan.report.rejected {
        new.rejected_password = Some(noted(rejected));
    }
    if let Some(rejected) = &plan.report.rejected_settings {
        new.rejected_settings = Some(noted(rejected));
    } else if old.observed_generation != generation {
        new.rejected_settings = None;
    }
    if plan.report.reverted {
        let hour = jiff::SignedDuration::from_hours(1);
        new.set_backs.retain(|time| now.duration_since(time.0) < hour);
        new.set_backs.push(Time(whole_seconds(now)));
    } else if old.observed_generation != generation {
        new.set_backs.clear();
    }
    // Dates that the remote has settled since are recorded with whatever else there is to write.
    if let Some(record) = &plan.report.record
        && (!plan.report.record_can_wait || new != *old)
    {
        let has_memberships = user.spec.postgresql.is_some() || !record.memberships.is_empty();
        let recorded = remote_user(&login.username, record, has_memberships);
        alternation::note_login(&mut new.remote_users, recorded, record.retired, now);
    }
    if let Some(restarted) = outcome.restarted {
        note_restart(&mut new, restarted, now);
    }
    if outcome.forgotten {
        new.remote_users
            .retain(|record| record.username != login.username);
    }
    // That it was tried once more is no news by itself.
    if let Some(password) = &mut new.password
        && plan.report.verified == Verified::Yes
        && new.conditions != old.conditions
    {
        password.last_verified = Some(Time(whole_seconds(now)));
    }
    let published = new.secret.as_ref().and_then(|secret| secret.username.clone());
    new.username = Some(published.unwrap_or_else(|| user.username().to_string()));
    new
}

/// The restart that what is published now asks for. Its name is of this one write of the Secret, so whatever is published later, the
/// same password again among it, has another.
fn to_restart(user: &PostgresUser, published: &PublishedSecret) -> Option<RestartStatus> {
    user.restart()?;
    let uid = user.metadata.uid.as_deref();
    Some(RestartStatus {
        r#for: wish::digest_of(&(uid, &published.resource_version, &published.password_mac)),
        ..RestartStatus::default()
    })
}

/// How many of the workloads that were restarted are named.
const MOST_WORKLOADS: usize = 32;

fn note_restart(new: &mut UserStatus, restarted: Restarted, now: Timestamp) {
    let Some(restart) = &mut new.restart else { return };
    if restart.r#for != restarted.publication {
        return;
    }
    restart.at = Some(Time(whole_seconds(now)));
    restart.count = i32::try_from(restarted.workloads.len()).ok();
    restart.workloads = restarted.workloads;
    restart.workloads.truncate(MOST_WORKLOADS);
    restart.missing = restarted.missing;
}

/// Another login is published from now on: the one of before goes on working for a while.
fn turn_over(new: &mut UserStatus, user: &PostgresUser, username: &str, now: Timestamp) {
    let before = new.secret.as_ref().map(|_| user.published_username());
    let until = now.checked_add(alternation::overlap(user.spec.rotation.as_ref()));
    alternation::turn_over(&mut new.remote_users, before, username, until.ok());
}

/// Says when the password is changed next. Where nobody asks for that, nothing is written for it.
fn note_next_rotation(status: &mut UserStatus, next: Option<Timestamp>) {
    let is_published = status.secret.is_some();
    let next = next.filter(|_| is_published);
    let next_rotation = next.map(|next| Time(whole_seconds(next)));
    match &mut status.password {
        Some(password) => password.next_rotation = next_rotation,
        None if next_rotation.is_none() => {}
        None => {
            status.password = Some(PasswordStatus {
                next_rotation,
                ..PasswordStatus::default()
            });
        }
    }
}

fn noted(rejected: &Rejected) -> RejectedPassword {
    RejectedPassword {
        wish: rejected.wish.clone(),
        message: rejected.message.clone(),
    }
}

fn remote_user(username: &str, record: &Record, has_memberships: bool) -> RemoteUserRecord {
    RemoteUserRecord {
        username: username.to_string(),
        provider: record.identity.provider.clone(),
        cluster: record.identity.cluster.clone(),
        server_ref: record.server.clone(),
        ownership: match record.adopted {
            true if record.moved => Ownership::Moved,
            true => Ownership::Adopted,
            false => Ownership::Owned,
        },
        created: record.created.map(Time),
        last_set: record.last_set.map(Time),
        password_stamp: record.password_stamp.clone(),
        memberships: has_memberships.then(|| {
            let all = record.memberships.iter();
            all.map(|(role, grantor)| Membership {
                role: role.clone(),
                grantor: grantor.clone(),
            })
            .collect()
        }),
        config: record.config.iter().cloned().collect(),
        retire_after: None,
        retired: None,
    }
}

async fn tell(context: &Context, user: &PostgresUser, old: &UserStatus, new: &UserStatus) {
    let (before, after) = (ready(&old.conditions), ready(&new.conditions));
    let Some(after) = after else { return };
    let stalled = stalled(&new.conditions);
    if before.is_some_and(|before| (&before.status, &before.reason) == (&after.status, &after.reason)) {
        // What a person has to see to is news of a user that goes on working, too.
        let before = self::stalled(&old.conditions).map(|before| &before.reason);
        if let Some(now) = stalled.filter(|now| before != Some(&now.reason)) {
            events::publish(context, user, true, &now.reason, now.message.clone()).await;
        }
        return;
    }
    let stalled = stalled.is_some();
    events::publish(context, user, stalled, &after.reason, after.message.clone()).await;
}

/// Tells what was restarted, and what was to be and is not there.
async fn tell_of_restart(context: &Context, user: &PostgresUser, old: &UserStatus, new: &UserStatus) {
    let Some(restart) = new.restart.as_ref().filter(|restart| restart.at.is_some()) else {
        return;
    };
    if old.restart.as_ref() == Some(restart) {
        return;
    }
    let count = restart.count.unwrap_or_default();
    if count > 0 {
        let named = restart.workloads.join(", ");
        let note = format!("restarted for what the Secret holds now: {count} ({named})");
        events::publish(context, user, false, Reason::WorkloadsRestarted, note).await;
    }
    if !restart.missing.is_empty() {
        let named = restart.missing.join(", ");
        let note = format!("spec.restart.names has what is not there, so that it was not restarted: {named}");
        events::publish(context, user, true, Reason::WorkloadNotFound, note).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_nulled_however_deep_it_was() {
        let old = json!({"a": 1, "b": {"c": 1, "d": {"e": 1, "f": 2}}, "g": [{"h": 1}]});
        let new = json!({"b": {"c": 2, "d": {"f": 2}}, "g": [{}]});
        let expected = json!({"a": null, "b": {"c": 2, "d": {"e": null, "f": 2}}, "g": [{}]});
        assert_eq!(difference(&old, &new), expected);
    }
}
