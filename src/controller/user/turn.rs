//! R11 as it is kept: a turn that is of no use is given back, and before a deletion or a first creation the PostgresUser
//! itself is read, not what the watch last showed.

use kube::ResourceExt;

use super::view::View;
use crate::api::{PostgresUser, Reason};
use crate::clock;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::server::task::ServerTask;
use crate::domain::journal::Kind;
use crate::domain::plan::{Plan, Step};

/// What the API server says of the PostgresUser that a plan was made from.
pub enum Current {
    /// It is as it was seen, or that does not matter now.
    Same,
    /// It is another by now.
    Changed(Box<PostgresUser>),
    /// It is gone.
    Gone,
}

/// Gives back a turn that the plan has no use for; and, where the plan is about to begin something, finds out whether it
/// was made from what the PostgresUser is.
///
/// # Errors
/// If the API server refuses.
pub async fn before_step(context: &Context, view: &View, plan: &Plan) -> Result<Current, Error> {
    let Some(server) = &view.server else {
        return Ok(Current::Same);
    };
    let uid = view.user.uid().unwrap_or_default();
    if !plan.keeps_turn && !matches!(plan.step, Some(Step::AskTurn(_))) {
        server.give_turn_back(&uid);
    }
    if !begins(view, plan) || server.state().turns.is_current(&uid) {
        return Ok(Current::Same);
    }
    let api = context.users(&view.user.namespace().unwrap_or_default());
    let found = api
        .get_opt(&view.user.name_any())
        .await
        .map_err(Error::ReadUser)?;
    server.state().turns.note_current(&uid);
    Ok(match found {
        Some(found) if found.uid() != view.user.uid() => Current::Gone,
        Some(found) if found.resource_version() != view.user.resource_version() => {
            Current::Changed(Box::new(found))
        }
        Some(_) => Current::Same,
        None => Current::Gone,
    })
}

/// Whether a deletion or a first creation is about to be stored, or sent for the first time.
fn begins(view: &View, plan: &Plan) -> bool {
    match &plan.step {
        Some(Step::Stage(draft)) => {
            draft.kind == Kind::Delete || (draft.kind == Kind::Create && view.observed.record.is_none())
        }
        // It was stored in an earlier turn, and nobody has sent it: the person may have changed it since.
        Some(Step::Send(_)) => view.observed.entry.as_ref().is_some_and(|staged| {
            let first = staged.entry.kind == Kind::Create && view.observed.record.is_none();
            staged.attempts.never_sent() && (staged.entry.kind == Kind::Delete || first)
        }),
        _ => false,
    }
}

/// Notes whether the holder of a turn waits for anything but the remote and the journal.
pub fn after_step(view: &View, plan: &Plan, paused: bool) {
    let Some(server) = &view.server else { return };
    let by_others = plan.report.stalled.is_some() || plan.report.ready.reason == Reason::NotInEffect;
    let idle = paused || (plan.step.is_none() && by_others);
    let uid = view.user.uid().unwrap_or_default();
    server.state().turns.note_idle(&uid, idle, clock::now());
}

/// A conditional write to the PostgresUser has shown what it is.
pub fn note_written(server: &ServerTask, uid: &str) {
    server.state().turns.note_current(uid);
}
