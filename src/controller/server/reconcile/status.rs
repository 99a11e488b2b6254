//! What a server object says of itself.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::need;
use crate::api::{ClusterPostgresServer, PostgresServer, PostgresUser, Reason, ServerStatus, ServerUsers};
use crate::controller::context::Context;
use crate::controller::error::{Error, journal_refused};
use crate::controller::events;
use crate::controller::objects::Objects;
use crate::controller::server::task::{Link, ServerTask};
use crate::controller::server::view;
use crate::controller::status_patch::{difference, warn_unless_kept};
use crate::domain::conditions::{self, ConditionChange, Finding, Status};
use crate::domain::remote::ClusterState;
use crate::metrics::census::RemoteUsers;
use crate::objects::ServerObject;

/// How many names of users a status has at most.
const MOST_NAMES: usize = 50;

/// Writes the status, if it has changed.
///
/// # Errors
/// If the API server refuses.
pub async fn report(object: &ServerObject, server: &ServerTask, context: &Context) -> Result<(), Error> {
    let old = object.status().cloned().unwrap_or_default();
    let new = next(&old, object, server, context);
    if new == old {
        return Ok(());
    }
    if old.host.is_some() && address_of(&old) != address_of(&new) {
        // What is published says where the database was.
        super::start::tell_users(context, &object.key());
    }
    let new = with_journal(new, server);
    let patch = Patch::Merge(json!({
        "metadata": {"uid": object.meta().uid, "resourceVersion": object.meta().resource_version},
        "status": difference(&old, &new),
    }));
    let (key, params) = (object.key(), PatchParams::default());
    let written = match key.namespace {
        Some(namespace) => {
            let api: Objects<PostgresServer> = Objects::of(context.client.clone(), &namespace);
            let written = api.patch_status(&key.name, &params, &patch).await;
            written.map(|it| it.status)
        }
        None => {
            let api: Objects<ClusterPostgresServer> = Objects::all(context.client.clone());
            let written = api.patch_status(&key.name, &params, &patch).await;
            written.map(|it| it.status)
        }
    };
    let kept = written.map_err(Error::WriteStatus)?.unwrap_or_default();
    warn_unless_kept(&new, &kept);
    tell(context, object, &old, &new).await;
    Ok(())
}

/// Where clients connect to.
fn address_of(status: &ServerStatus) -> impl PartialEq + use<'_> {
    (&status.host, status.port, &status.database, status.sslmode)
}

fn next(old: &ServerStatus, object: &ServerObject, server: &ServerTask, context: &Context) -> ServerStatus {
    let generation = object.meta().generation.unwrap_or_default();
    let mut new = old.clone();
    new.observed_generation = generation;
    new.conditions = conditions::merge(
        &old.conditions,
        &findings(old, object, server, context),
        generation,
        Timestamp::now(),
    );
    let link = server.link();
    let state = server.state();
    if state.worked {
        new.identity = Some(server.identity.to_string());
        new.credentials_mac = link.credentials_mac;
    }
    if let Some(details) = object.connection(&state.address) {
        new.host = Some(details.host);
        new.port = Some(i32::from(details.port));
        new.database = Some(details.database);
        new.sslmode = Some(details.sslmode);
    }
    drop(state);
    let names_in = |unmanaged: Vec<&str>| match object {
        ServerObject::Namespaced(_) => shown(unmanaged),
        ServerObject::Cluster(_) => Vec::new(),
    };
    let listed = with_unmanaged(server, context, |users, unmanaged| (users, names_in(unmanaged)));
    if let Some((users, names)) = listed {
        let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        new.users = Some(ServerUsers {
            managed: count(users.managed),
            unmanaged: count(users.unmanaged),
            system: count(users.system),
        });
        new.unmanaged_usernames = names;
    }
    new
}

/// Whom the users of the last list belong to, if there was one.
pub fn remote_users(server: &ServerTask, context: &Context) -> Option<RemoteUsers> {
    with_unmanaged(server, context, |users, _| users)
}

/// The same, told together with those that belong to nobody.
fn with_unmanaged<T>(
    server: &ServerTask,
    context: &Context,
    tell: impl FnOnce(RemoteUsers, Vec<&str>) -> T,
) -> Option<T> {
    let state = server.state();
    let (own, system) = state.usernames()?;
    let unmanaged = context.claims.unowned(&server.identity, own.iter().copied());
    let users = RemoteUsers {
        managed: own.len() - unmanaged.len(),
        unmanaged: unmanaged.len(),
        system,
    };
    Some(tell(users, unmanaged))
}

/// The names that a status has room for, the same ones every time.
fn shown(mut names: Vec<&str>) -> Vec<String> {
    names.sort_unstable();
    names.into_iter().take(MOST_NAMES).map(str::to_string).collect()
}

/// The journal moves with every change; its echo is brought up to date only with other news.
fn with_journal(mut status: ServerStatus, server: &ServerTask) -> ServerStatus {
    let header = server
        .journal
        .view(|journal, _| journal.map(|journal| journal.header.clone()));
    if let Some(header) = header {
        status.journal_lineage = Some(header.lineage);
        status.journal_sequence = i64::try_from(header.sequence).ok();
    }
    status
}

/// After a restart, until the server is heard of again, what a leader before has found good stands.
fn stands(old: &ServerStatus, object: &ServerObject, link: &Link) -> bool {
    let is_good = |condition: &Condition| condition.type_ == "Ready" && condition.status == "True";
    Some(old.observed_generation) == object.meta().generation
        && link.is_known_as(old.credentials_mac.as_ref())
        && old.conditions.iter().any(is_good)
}

fn findings(
    old: &ServerStatus,
    object: &ServerObject,
    server: &ServerTask,
    context: &Context,
) -> Vec<ConditionChange> {
    let link = server.link();
    let trouble = view::trouble(&link, &server.state(), true)
        .or_else(|| server.journal.refusal().map(|words| journal_refused(&words)));
    let known = server.state().cluster.is_some();
    let (status, reason, message) = match trouble.as_ref() {
        _ if object.deleting() => (
            Status::False,
            Reason::InUse,
            in_use(
                context.users_that_need(&object.key()),
                need::entries_at_work(server).unwrap_or_default(),
            ),
        ),
        Some(trouble) => (Status::False, trouble.reason, trouble.message.clone()),
        None if link.deletions_only => (
            Status::False,
            Reason::CredentialsNotFound,
            view::DELETIONS_ONLY.to_string(),
        ),
        None if known => (Status::True, Reason::Reachable, reachable(server)),
        None if stands(old, object, &link) => return Vec::new(),
        None => (
            Status::False,
            Reason::Connecting,
            "the server has not answered yet".to_string(),
        ),
    };
    let stalled = trouble.as_ref().filter(|trouble| trouble.stalled);
    let reconciling = status != Status::True && stalled.is_none();
    vec![
        ConditionChange::Set(Finding {
            type_: "Ready",
            status,
            reason,
            message: message.clone(),
        }),
        ConditionChange::while_true("Reconciling", reconciling.then_some((reason, message))),
        ConditionChange::while_true(
            "Stalled",
            stalled.map(|trouble| (trouble.reason, trouble.message.clone())),
        ),
        ConditionChange::while_true(DELETION_PENDING, never_deleted(object, server)),
    ]
}

/// The condition, present only while true, that deletions were accepted and do not take effect.
const DELETION_PENDING: &str = "DeletionPending";

/// The deletions that no PostgresUser is there to tell of any more.
fn never_deleted(object: &ServerObject, server: &ServerTask) -> Option<(Reason, String)> {
    let names = server.state().never_deleted.clone();
    let some = match object {
        ServerObject::Namespaced(_) => format!(
            ": {}",
            shown(names.iter().map(String::as_str).collect()).join(", ")
        ),
        ServerObject::Cluster(_) => String::new(),
    };
    (!names.is_empty()).then(|| {
        let message = format!(
            "{} logins were deleted by the server's word and are still there{some}; the deletion is sent again now and then. \
             To let go of one and leave it on the server, set the annotation {}=USERNAME on this server object",
            names.len(),
            crate::api::names::FORCE_FINALIZE,
        );
        (Reason::StillThere, message)
    })
}

fn reachable(server: &ServerTask) -> String {
    let impaired = |(state, _)| state == ClusterState::Impaired;
    let rest = match server.state().cluster.is_some_and(impaired) {
        true => "; it says of itself that it is not in order, so changes may have to wait",
        false => "",
    };
    format!("the server can be reached and accepts the credentials{rest}")
}

fn in_use(users: impl Iterator<Item = PostgresUser>, entries: usize) -> String {
    let mut names: Vec<_> = users
        .map(|user| {
            format!(
                "{}/{}",
                user.metadata.namespace.as_deref().unwrap_or_default(),
                user.metadata.name.as_deref().unwrap_or_default()
            )
        })
        .collect();
    if names.is_empty() && entries == 0 {
        return "the PostgresUsers that may need this server are not all known yet".to_string();
    }
    if names.is_empty() {
        return format!(
            "no PostgresUser needs this server any more; {entries} requests to it are not settled yet: it goes by itself \
             once the server shows what became of them"
        );
    }
    names.sort();
    let some = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    format!(
        "{} PostgresUsers still need this server ({some}{}): delete them first, or with it",
        names.len(),
        if names.len() > 5 { ", …" } else { "" }
    )
}

async fn tell(context: &Context, object: &ServerObject, old: &ServerStatus, new: &ServerStatus) {
    let ready = |status: &ServerStatus| {
        let found = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Ready");
        found.map(|condition| {
            (
                condition.status.clone(),
                condition.reason.clone(),
                condition.message.clone(),
            )
        })
    };
    let (before, after) = (ready(old), ready(new));
    let Some((status, reason, message)) = after else {
        return;
    };
    if before.is_some_and(|before| (&before.0, &before.1) == (&status, &reason)) {
        return;
    }
    events::publish_for(
        context,
        object,
        status != "True" && reason != Reason::Connecting.as_str(),
        &reason,
        message,
    )
    .await;
}
