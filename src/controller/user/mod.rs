//! PostgresUsers: observe, plan, act, report, until there is nothing left to do at once.

pub mod act;
pub mod family;
mod lost;
pub mod observe;
pub mod outcome;
pub mod output;
pub mod placement;
pub mod report;
pub mod share;
pub mod source;
pub mod staged;
mod turn;
pub mod unread;
pub mod view;
mod workloads;

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::watcher;

use self::outcome::{Done, Outcome, Then};
use self::placement::{Placement, Whereabouts};
use self::turn::Current;
use self::view::View;
use crate::api::PostgresUser;
use crate::clock;
use crate::controller::at_rest::UserAtRest;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::retained::RetainedLogin;
use crate::controller::secrets::is_older;
use crate::controller::shard;
use crate::domain::alternation::Part;
use crate::domain::identity::Claim;
use crate::domain::plan::{self, Plan, SecretContent, Step};
use crate::objects;
use crate::objects::{ServerKey, ServerObject, UserRef};

/// How many steps are taken in a row before others have their turn.
const STEPS: usize = 24;
/// How long one reconciliation may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The shortest pause before another look.
const SOON: Duration = Duration::from_millis(10);

/// Brings one PostgresUser as far as it goes without waiting.
///
/// # Errors
/// If a step failed; it is then tried again after a pause.
pub async fn reconcile(user: PostgresUser, context: Arc<Context>) -> Result<Action, Error> {
    let outcome = match tokio::time::timeout(TIMEOUT, steps(&user, &context)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Timeout),
    };
    if outcome.is_err() {
        // Whatever is in its way, others need not wait for that.
        note_idle(&context, &user);
    }
    context.metrics.reconciled("PostgresUser", outcome.is_ok());
    let now = context.user_at_rest(&UserRef::from_obj(&user));
    if now.is_none_or(|now| now.uid() != user.metadata.uid.as_deref()) {
        // It went meanwhile, and what was noted of it since then is noted of nobody.
        gone(&context, &user);
        forget_let_go(&context, &user);
    }
    match outcome {
        Err(error) if error.is_gone() => {
            gone(&context, &user);
            Ok(Action::await_change())
        }
        other => other,
    }
}

async fn steps(user: &PostgresUser, context: &Context) -> Result<Action, Error> {
    if was_let_go(context, user) {
        return Ok(Action::await_change());
    }
    let mut user = newest(context, user);
    let mut content = None;
    for _ in 0..STEPS {
        unread::tell(context, &user).await;
        if unread::hides_the_login(context, &user) {
            shard::note_owner(context, &user);
            note_idle(context, &user);
            return Ok(Action::requeue(unread::AGAIN));
        }
        let is_unread = context.unread.of(&user.metadata).is_some();
        let placement = match placement::of(context, &user) {
            Whereabouts::Here(placement) => placement,
            // Whom it was pointed to may not be what was read.
            Whereabouts::HandOver(_) if context.unread.of(&user.metadata).is_some() => {
                return Ok(Action::await_change());
            }
            Whereabouts::HandOver(to) => return hand_over(context, user, &to).await,
            Whereabouts::Elsewhere => {
                shard::note_owner(context, &user);
                return Ok(Action::await_change());
            }
        };
        let (view, plan) = look_and_plan(context, user, &placement, content.as_ref()).await?;
        match turn::before_step(context, &view, &plan).await? {
            Current::Same => {}
            Current::Changed(newer) => {
                user = remember(context, *newer);
                continue;
            }
            Current::Gone => {
                gone(context, &view.user);
                return Ok(Action::await_change());
            }
        }
        let done = match &plan.step {
            Some(step) => match act::act(context, &view, step).await {
                Ok(done) => {
                    context.refusals.taken(&view.observed.uid, step);
                    done
                }
                Err(error) => return refused(context, view, step, error).await,
            },
            None => Done {
                then: Then::Wait,
                ..Done::default()
            },
        };
        if done.then == Then::Gone {
            gone(context, &view.user);
            return Ok(Action::await_change());
        }
        if is_over(&view.user, &view.observed) {
            gone(context, &view.user);
            return Ok(Action::await_change());
        }
        let written = done.user.unwrap_or_else(|| view.user.clone());
        let reported =
            report::report(context, written, &view.login, &plan, &view.denied, done.outcome).await?;
        user = remember_newer(context, &view.user, reported.user);
        content = done.content.or(content);
        let pause = match done.then {
            Then::Again => continue,
            Then::Wait if reported.facts && plan.step.is_none() => continue,
            // What could not be read in its status was the operator's own, and has been written anew.
            Then::Wait if is_unread && context.unread.of(&user.metadata).is_none() => continue,
            Then::Wait if is_unread => Some(unread::AGAIN),
            Then::Gone => continue,
            Then::Wait => None,
            Then::WaitFor(pause) => Some(pause),
        };
        if plan.step.is_none() && !plan.report.reconciling && plan.report.stalled.is_none() {
            context.refusals.over(&view.observed.uid);
        }
        turn::after_step(&view, &plan, pause.is_some());
        return Ok(wait(
            &view,
            &plan,
            pause.into_iter().chain(reported.tell_after).min(),
        ));
    }
    Ok(Action::requeue(Duration::from_secs(1)))
}

/// Observes and plans for one login after another, until one has something to do; as a rule there is one.
async fn look_and_plan(
    context: &Context,
    user: PostgresUser,
    placement: &Placement,
    content: Option<&(String, SecretContent)>,
) -> Result<(View, Plan), Error> {
    let (Placement::At(key) | Placement::Unknown(key)) = placement;
    let object = context.server_object(key);
    let server = context.server(key);
    let logins = family::logins(context, &user, object.as_ref(), server.as_deref());
    let mut rest = VecDeque::from(logins);
    let mut user = user;
    let mut before: Option<Plan> = None;
    // What the spec asks for in memberships is the owner's.
    let mut denied = None;
    loop {
        let login = rest.pop_front().unwrap_or_else(|| family::alone(&user));
        let mut view = observe::observe(context, user, placement, login, content)
            .await
            .map_err(Error::ReadSecret)?;
        match view.login.part {
            Part::Owner => denied = Some(view.denied.clone()),
            _ => view.denied = denied.clone().unwrap_or(view.denied),
        }
        let mut plan = plan::plan(&view.desired, &view.observed, clock::now(), &context.timings);
        tracing::debug!(user = %UserRef::from_obj(&view.user), login = ?view.login, step = ?plan.step, ready = %plan.report.ready.reason, "plan");
        if plan.loses_what_is_published(&view.desired)
            && let Some(other) = family::of(context, &view.user, object.as_ref()).instead()
        {
            rest = VecDeque::from([other]);
            user = view.user;
            continue;
        }
        plan.add(before.take());
        if plan.comes_first() || rest.is_empty() {
            return Ok((view, plan));
        }
        before = Some(plan);
        user = view.user;
    }
}

/// A step was not taken: if that is a refusal, the PostgresUser tells of it.
async fn refused(context: &Context, view: View, step: &Step, error: Error) -> Result<Action, Error> {
    let Some(why) = error.refusal() else {
        return Err(error);
    };
    let mut view = view;
    context.refusals.note(&view.observed.uid, step, why.clone());
    view.observed.refusal = Some(why);
    let plan = plan::plan(&view.desired, &view.observed, clock::now(), &context.timings);
    report::report(
        context,
        view.user,
        &view.login,
        &plan,
        &view.denied,
        Outcome::default(),
    )
    .await?;
    Err(error)
}

/// Lets another operator go on with a PostgresUser that was pointed to a server object of its.
async fn hand_over(context: &Context, user: PostgresUser, to: &ServerKey) -> Result<Action, Error> {
    let identity = context.server_object(to).and_then(|object| object.identity());
    let Some(identity) = identity.filter(|_| view::has_finalizer(&user)) else {
        return Ok(Action::await_change());
    };
    let claim = Claim {
        installation: context.installation.clone(),
        identity,
        username: user.username().to_string(),
        server: Some(to.reference()),
        alternating: family::is_large(&user),
    };
    tracing::info!(user = %UserRef::from_obj(&user), server = %to, "handed over to another operator");
    remember(context, act::write_claim(context, &user, &claim).await?);
    Ok(Action::await_change())
}

/// Being deleted, and without our finalizer: nothing is ours to do, not even to report.
fn is_over(user: &PostgresUser, observed: &plan::Observed) -> bool {
    user.metadata.deletion_timestamp.is_some() && !observed.finalizer
}

/// Whether our finalizer was taken off: the watch may show it for a while yet, and no finalizer comes to what is being deleted.
fn was_let_go(context: &Context, user: &PostgresUser) -> bool {
    user.uid().is_some_and(|uid| context.let_go().contains(&uid))
}

fn forget_let_go(context: &Context, user: &PostgresUser) {
    context.let_go().remove(&user.uid().unwrap_or_default());
}

/// Waits for what the plan waits for: an end of the server's trouble is always announced.
fn wait(view: &View, plan: &Plan, pause: Option<Duration>) -> Action {
    let settled = plan.step.is_none() && !plan.report.reconciling && plan.report.ready.ready;
    match &view.server {
        Some(server) if settled => server.await_nothing(&UserRef::from_obj(&view.user)),
        Some(server) => {
            server.await_change(UserRef::from_obj(&view.user));
            // It may have ended, and have been announced, between the look and this.
            if observe::is_out_of_trouble(view) {
                return Action::requeue(SOON);
            }
        }
        None => {}
    }
    match pause.into_iter().chain(plan.again).min() {
        Some(again) => Action::requeue(again.max(SOON)),
        None => Action::await_change(),
    }
}

/// The object as last seen, or as last written by us if the watch has not caught up.
fn newest(context: &Context, seen: &PostgresUser) -> PostgresUser {
    let mut written = context.written.lock().unwrap_or_else(PoisonError::into_inner);
    let uid = seen.uid().unwrap_or_default();
    let version = seen.resource_version().unwrap_or_default();
    match written.get(&uid) {
        Some(ours) if is_older(&version, &ours.resource_version().unwrap_or_default()) => ours.clone(),
        _ => {
            written.remove(&uid);
            seen.clone()
        }
    }
}

/// The same, if it was written at all: what the watch has shown is kept there.
fn remember_newer(context: &Context, before: &PostgresUser, user: PostgresUser) -> PostgresUser {
    match before.metadata.resource_version == user.metadata.resource_version {
        true => user,
        false => remember(context, user),
    }
}

fn remember(context: &Context, user: PostgresUser) -> PostgresUser {
    let mut user = user;
    user.metadata.managed_fields = None;
    let uid = user.uid().unwrap_or_default();
    context
        .written
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(uid, user.clone());
    user
}

/// What the watch tells of PostgresUsers that are no more. Nobody reconciles those: one that had no finalizer, since it
/// never had a login, goes without a word.
pub fn seen(event: &watcher::Event<UserAtRest>, context: &Context) {
    match event {
        watcher::Event::Apply(user) => {
            context.uids.seen(user);
            caught_up(context, user);
        }
        watcher::Event::InitApply(user) => caught_up(context, user),
        watcher::Event::Delete(user) => {
            context.uids.gone(user.uid().unwrap_or_default());
            let user = user.wake();
            tell_of_unguarded(context, &user);
            gone(context, &user);
            forget_let_go(context, &user);
        }
        watcher::Event::InitDone => {
            let living = context.uids_of_users();
            context.uids.keep(|user| context.user_at_rest(user).is_some());
            context.users_at_rest().for_each(|user| context.uids.seen(&user));
            for other in context.claims.leave_all_but(&living) {
                context.dispatch.user(other);
            }
            let servers = context.server_objects();
            let is_server = |uid: &String| servers.iter().any(|server| server.uid() == *uid);
            context
                .let_go()
                .retain(|uid| living.contains(uid) || is_server(uid));
        }
        _ => {}
    }
}

/// A PostgresUser that had a login, and went without asking: somebody had taken its finalizer away, and it was deleted before
/// that could be put back. The login stays, and nobody would know of it.
fn tell_of_unguarded(context: &Context, user: &PostgresUser) {
    let asked = user.metadata.deletion_timestamp.is_some();
    if asked || !matches!(placement::of(context, user), Whereabouts::Here(_)) {
        return;
    }
    for record in user.records() {
        tell_of_login(context, RetainedLogin::of_record(user, record, "Unguarded"));
    }
}

fn tell_of_login(context: &Context, kept: RetainedLogin) {
    tracing::warn!(
        user = kept.user(),
        username = kept.username,
        "a PostgresUser was deleted without its finalizer: its login stays on the server"
    );
    context.metrics.kept_user();
    let all = context.retained.clone();
    tokio::spawn(async move {
        if let Err(error) = all.record(&kept).await {
            let error = crate::controller::api_error::api(&error);
            tracing::warn!(error, "a login that stays could not be recorded");
        }
    });
}

/// The watch shows what we wrote, or something newer.
fn caught_up(context: &Context, user: &UserAtRest) {
    let uid = user.uid().unwrap_or_default();
    let version = user.resource_version().unwrap_or_default();
    let mut written = context.written.lock().unwrap_or_else(PoisonError::into_inner);
    let older = |ours: &PostgresUser| is_older(&version, &ours.resource_version().unwrap_or_default());
    if written.get(uid).is_some_and(|ours| !older(ours)) {
        written.remove(uid);
    }
}

/// The turn that a PostgresUser may have goes on to others, unless it moves again within seconds.
fn note_idle(context: &Context, user: &PostgresUser) {
    let servers: Vec<_> = {
        let servers = context.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.values().cloned().collect()
    };
    let uid = user.uid().unwrap_or_default();
    for server in servers {
        server.state().turns.note_idle(&uid, true, clock::now());
    }
}

/// Where a namespace may have so many logins and no more, another one may have its now.
fn make_room(context: &Context, user: &PostgresUser, object: &ServerObject) {
    if object.logins_per_namespace().is_none() {
        return;
    }
    for other in context.users_of(&object.key()) {
        if other.record().is_none() && other.namespace() == user.namespace() {
            context.dispatch.user(UserRef::from_obj(&other));
        }
    }
}

/// A PostgresUser is gone: others may want its remote user, and its server may wait for its end.
fn gone(context: &Context, user: &PostgresUser) {
    let uid = user.uid().unwrap_or_default();
    context
        .written
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&uid);
    context.passing.over(&uid);
    context.overlaps.forget(&uid);
    context.refusals.over(&uid);
    context.restarts.over(&uid);
    // An answer may have come after the watch has told of its end.
    context.unread.forget(&uid);
    context.secrets.forget_user(&UserRef::from_obj(user));
    for other in context.claims.leave(&uid) {
        context.dispatch.user(other);
    }
    let key = ServerKey::named_by(user);
    let concerned = [Some(key.clone()), objects::placement::recorded(user)];
    for server in concerned
        .into_iter()
        .flatten()
        .filter_map(|key| context.server(&key))
    {
        for username in family::names(user) {
            server.forget_user(&uid, &username, &UserRef::from_obj(user));
        }
        server.count_users();
    }
    let Some(object) = context.server_object(&key) else {
        return;
    };
    make_room(context, user, &object);
    // A server object that is being deleted waits for the last of its users.
    if object.deleting() {
        context.dispatch.server(&key);
    }
}
