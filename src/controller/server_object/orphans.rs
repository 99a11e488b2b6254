//! R5: entries of the journal whose PostgresUser is gone are resolved all the same.

use std::time::Duration;

use kube::ResourceExt;

use crate::clock;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::journal_store::Change;
use crate::controller::server::{Server, UserRef};
use crate::controller::server_spec::ServerObject;
use crate::controller::server_view;
use crate::controller::user::observe::with_attempts;
use crate::domain::attempts::Login;
use crate::domain::identity::ExclusionKey;
use crate::domain::journal::Entry;
use crate::domain::plan::{
    DraftPassword, Observed, Plan, Rival, SecretView, ServerView, Step, Tried, plan_gone,
};
use crate::domain::schedule::Class;
use crate::domain::time::Mono;

/// Takes the next step for every entry whose PostgresUser is gone. Gives when to look again.
///
/// # Errors
/// If a step failed.
pub async fn resolve(server: &Server, context: &Context) -> Result<Option<Duration>, Error> {
    let entries: Vec<Entry> = server
        .journal
        .view(|journal, _| {
            journal.map(|journal| {
                journal
                    .entries
                    .values()
                    .map(|entry| Entry::clone(entry))
                    .collect()
            })
        })
        .unwrap_or_default();
    let mut orphans = Vec::new();
    for entry in entries {
        if is_orphan(&entry, context).await? {
            orphans.push(entry);
        }
    }
    server.state().orphans = orphans.len();
    let mut again: Option<Duration> = None;
    for entry in orphans {
        let plan = plan(server, context, &entry);
        tracing::info!(server = %server.key, entry = entry.id.0, step = ?plan.step, "an entry without a resource");
        if let (Some(stalled), Some(object)) =
            (&plan.report.stalled, ServerObject::find(context, &server.key))
        {
            object
                .publish(context, true, stalled.reason, stalled.message.clone())
                .await;
        }
        if let Some(step) = &plan.step {
            act(server, &entry, step).await?;
        }
        // What is done here announces itself to nobody: it is looked at again soon.
        let soon = plan
            .again
            .unwrap_or(context.settings.read_lag)
            .max(Duration::from_millis(200));
        again = Some(again.map_or(soon, |again| again.min(soon)));
    }
    Ok(again)
}

/// Whether an entry's PostgresUser is gone: not in the watch, and not on the API server either.
async fn is_orphan(entry: &Entry, context: &Context) -> Result<bool, Error> {
    let reference = UserRef::new(&entry.owner.name).within(&entry.owner.namespace);
    if context
        .user(&reference)
        .is_some_and(|user| user.uid().as_deref() == Some(&entry.owner.uid))
    {
        return Ok(false);
    }
    let found = context
        .users(&entry.owner.namespace)
        .get_opt(&entry.owner.name)
        .await
        .map_err(Error::ReadSecret)?;
    Ok(found.is_none_or(|user| user.uid().as_deref() != Some(&entry.owner.uid)))
}

fn plan(server: &Server, context: &Context, entry: &Entry) -> Plan {
    let tenure = server.journal.view(|_, tenure| tenure.cloned());
    let staged = with_attempts(context, server, entry.clone(), tenure.as_ref());
    let key = ExclusionKey {
        identity: server.identity.clone(),
        username: entry.username.clone(),
    };
    let rival = context
        .claims
        .someone_has(&key, &entry.owner.uid)
        .then_some(Rival { named: None });
    let link = server.link();
    let trouble = server_view::trouble(&link, &server.state(), true);
    let seen = server_view::usable(server, None, trouble, false);
    let state = server.state();
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
        set_backs: 0,
        secret: SecretView::Absent,
        server: ServerView::Usable(Box::new(seen)),
        sight: state.sight(
            &entry.username,
            server.capabilities.direct_read,
            &context.settings,
        ),
        last_write: Some(state.last_write(&entry.username)),
        entry: Some(staged),
        unsettled: false,
        rival,
    };
    plan_gone(&observed, clock::now(), &context.settings)
}

async fn act(server: &Server, entry: &Entry, step: &Step) -> Result<(), Error> {
    // Nobody is triggered for a resource that is gone; the server's own reconciliation comes back.
    let nobody = UserRef::new(&entry.owner.name).within(&entry.owner.namespace);
    match step {
        Step::Settle(id) => server.settle(*id).await?,
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
            let change = Change::Stage {
                entry: Box::new(next),
                replaces: draft.replaces,
            };
            let id = server.journal.commit(change).await?;
            server.state().replaced(entry.id, id);
        }
        Step::PollCluster => server.want_poll(nobody),
        _ => server.want_read(&entry.username, nobody),
    }
    Ok(())
}
