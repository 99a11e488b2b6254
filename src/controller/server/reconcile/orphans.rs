//! R5: entries of the journal whose PostgresUser is gone are resolved all the same.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;

use crate::api::{Reason, names};
use crate::clock;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::events;
use crate::controller::journal_store::JournalChange;
use crate::controller::retained::RetainedLogin;
use crate::controller::server::task::ServerTask;
use crate::controller::server::task::turns::Holder;
use crate::controller::server::view;
use crate::controller::user::staged::with_attempts;
use crate::domain::attempts::Login;
use crate::domain::identity::ExclusionKey;
use crate::domain::journal::{Entry, Kind};
use crate::domain::plan::{
    DraftPassword, Observed, Plan, Predecessor, Rival, SecretView, ServerView, Stalled, Step, Tried,
    plan_ownerless,
};
use crate::domain::schedule::Class;
use crate::domain::time::Mono;
use crate::objects::{ServerObject, UserRef};

/// Why no login is tried for what has no PostgresUser.
const NO_LOGIN: &str = "its PostgresUser is gone";

/// Takes the next step for every entry whose PostgresUser is gone. Gives when to look again.
///
/// # Errors
/// If a step failed.
pub async fn resolve(server: &ServerTask, context: &Context) -> Result<Option<Duration>, Error> {
    let orphans = orphans(server, context).await?;
    let mut again: Option<Duration> = None;
    let mut settled = Vec::new();
    let mut never_deleted = Vec::new();
    for entry in &orphans {
        let plan = plan(server, context, entry);
        tracing::debug!(server = %server.key, entry = entry.id.0, step = ?plan.step, "an entry without a resource");
        if let Some(stalled) = &plan.report.stalled {
            tell(server, context, entry, stalled, &mut never_deleted).await;
        }
        if !plan.keeps_turn && !matches!(plan.step, Some(Step::AskTurn(_))) {
            server.give_turn_back(&entry.owner.uid);
        }
        match &plan.step {
            Some(Step::Settle(id)) if server.state().withdraw(*id) => settled.push(*id),
            Some(Step::Settle(_)) | None => {}
            Some(step) => act(server, entry, step).await?,
        }
        // What is done here announces itself to nobody: it is looked at again soon.
        let soon = plan
            .again
            .unwrap_or(context.timings.read_lag)
            .max(Duration::from_millis(200));
        again = Some(again.map_or(soon, |again| again.min(soon)));
    }
    never_deleted.sort();
    server.state().never_deleted = never_deleted;
    // All together, so that one list that shows many absences costs one write.
    let settlements = settled.into_iter().map(|id| server.settle(id));
    futures::future::try_join_all(settlements).await?;
    Ok(again)
}

/// A person lets go of a login that is to be deleted and is not seen to go, by an annotation on the server object: it is
/// recorded, and its entry settled.
///
/// # Errors
/// If a step failed.
pub async fn let_go_of_named(
    object: &ServerObject,
    server: &ServerTask,
    context: &Context,
) -> Result<(), Error> {
    let Some(username) = object.annotation(names::FORCE_FINALIZE) else {
        return Ok(());
    };
    let is_named = |entry: &Arc<Entry>| entry.username == *username && entry.kind == Kind::Delete;
    for entry in orphans(server, context).await?.into_iter().filter(is_named) {
        let kept = RetainedLogin {
            uid: entry.owner.uid.clone(),
            namespace: entry.owner.namespace.clone(),
            name: entry.owner.name.clone(),
            server: object.key().to_string(),
            cluster: server.identity.to_string(),
            username: entry.username.clone(),
            why: "Forced",
        };
        context.retained.record(&kept).await.map_err(Error::RecordKept)?;
        context.metrics.kept_user();
        server.settle(entry.id).await?;
    }
    Ok(())
}

/// The entries whose PostgresUser is gone.
async fn orphans(server: &ServerTask, context: &Context) -> Result<Vec<Arc<Entry>>, Error> {
    let entries: Vec<Arc<Entry>> = server
        .journal
        .view(|journal, _| journal.map(|journal| journal.entries.values().cloned().collect()))
        .unwrap_or_default();
    let mut orphans = Vec::new();
    for entry in entries {
        if is_orphan(&entry, server, context).await? {
            orphans.push(entry);
        }
    }
    let owners: HashSet<String> = orphans.iter().map(|entry| entry.owner.uid.clone()).collect();
    let mut state = server.state();
    state.orphans = orphans.len();
    state.gone_owners = owners;
    Ok(orphans)
}

/// No resource is there to carry a condition: it is said of the server object.
async fn tell(
    server: &ServerTask,
    context: &Context,
    entry: &Entry,
    stalled: &Stalled,
    never_deleted: &mut Vec<String>,
) {
    if stalled.reason == Reason::DeletionNotInEffect {
        return never_deleted.push(entry.username.clone());
    }
    if let Some(object) = context.server_object(&server.key) {
        events::publish_for(context, &object, true, stalled.reason, stalled.message.clone()).await;
    }
}

/// Whether an entry's PostgresUser is gone: not in the watch, and not on the API server either. Who has gone does not
/// come back.
async fn is_orphan(entry: &Entry, server: &ServerTask, context: &Context) -> Result<bool, Error> {
    if server.state().gone_owners.contains(&entry.owner.uid) {
        return Ok(true);
    }
    let reference = UserRef::new(&entry.owner.name).within(&entry.owner.namespace);
    if context
        .user_at_rest(&reference)
        .is_some_and(|user| user.uid() == Some(&entry.owner.uid))
    {
        return Ok(false);
    }
    let found = context
        .users_by_metadata(&entry.owner.namespace)
        .get_opt(&entry.owner.name)
        .await;
    let found = match found {
        // Of a namespace that may not be read nobody knows who has gone.
        Err(kube::Error::Api(status)) if status.code == 403 => return Ok(false),
        other => other.map_err(Error::ReadUser)?,
    };
    Ok(found.is_none_or(|user| user.uid().as_deref() != Some(&entry.owner.uid)))
}

fn plan(server: &ServerTask, context: &Context, entry: &Entry) -> Plan {
    let term = server.journal.view(|_, term| term.cloned());
    let staged = with_attempts(context, server, entry.clone(), None, term.as_ref());
    let key = ExclusionKey {
        identity: server.identity.clone(),
        username: entry.username.clone(),
    };
    let rival = context
        .claims
        .someone_has(&key, &entry.owner.uid)
        .then_some(Rival { named: None });
    let link = server.link();
    let trouble = view::trouble(&link, &server.state(), true);
    let seen = view::usable(server, None, trouble, None, Some(NO_LOGIN.to_string()));
    let mut state = server.state();
    let turn = state.turns.has(&entry.owner.uid, clock::now());
    let observed = Observed {
        uid: entry.owner.uid.clone(),
        finalizer: false,
        claim: None,
        own_claim: None,
        record: None,
        published: None,
        handled_rotation: None,
        rejected: None,
        rejected_settings: None,
        tried: Tried {
            login: Login::NotTried,
            due: Mono::default(),
        },
        reverts: 0,
        secret: SecretView::Absent,
        refusal: None,
        restart: None,
        server: ServerView::Usable(Box::new(seen)),
        observation: state.observation(&entry.username, server.capabilities.direct_read, &context.timings),
        last_write: Some(state.last_write(&entry.username)),
        entry: Some(staged),
        settings_due: Mono::default(),
        renamed: None,
        predecessor: Predecessor::None,
        turn,
        difficulty: None,
        rival,
    };
    plan_ownerless(&observed, clock::now(), &context.timings)
}

async fn act(server: &ServerTask, entry: &Entry, step: &Step) -> Result<(), Error> {
    // Nobody is triggered for a resource that is gone; the server's own reconciliation comes back.
    let nobody = UserRef::new(&entry.owner.name).within(&entry.owner.namespace);
    match step {
        Step::AskTurn(class) => {
            let (uid, namespace) = (&entry.owner.uid, &entry.owner.namespace);
            server.ask_turn(uid, Holder::Entry, *class, namespace, 0);
        }
        Step::Send(id) => server.want_send(*id, Class::Deletion, &entry.owner.namespace),
        Step::Stage(draft) if draft.password == DraftPassword::None => {
            let next = Entry {
                kind: draft.kind,
                cause: draft.cause.clone(),
                password: None,
                seen: draft.seen.clone(),
                proven_ours: draft.proven_ours,
                ..entry.clone()
            };
            let change = JournalChange::Stage {
                entry: Box::new(next),
                replaces: draft.replaces,
            };
            let id = server.commit(change).await?;
            server.state().replaced(entry.id, id);
        }
        Step::PollCluster => server.want_poll(nobody, clock::now()),
        Step::List => server.want_list(nobody),
        _ => server.want_read(&entry.username, nobody),
    }
    Ok(())
}
