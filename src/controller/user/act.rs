//! Performs one step of a plan: one side effect each, each safe to repeat.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;

use super::family;
use super::lost;

use super::outcome::{Done, Outcome, Publishing, Then};
use super::turn;
use super::view::{View, has_finalizer};
use super::workloads;
use super::{output, source};
use crate::api::{PostgresUser, PublishedSecret, names};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::events;
use crate::controller::journal_store::{JournalChange, JournalError};
use crate::controller::retained::RetainedLogin;
use crate::controller::server::task::ServerTask;
use crate::controller::server::task::state::TriedLogin;
use crate::controller::server::task::turns::Holder;
use crate::domain::alternation::Part;
use crate::domain::attempts::{self, Login};
use crate::domain::connection::ConnectionDetails;
use crate::domain::generate;
use crate::domain::identity::Claim;
use crate::domain::journal::{Cause, Entry, EntryId, Kind, Owner};
use crate::domain::mac::Subject;
use crate::domain::password::Password;
use crate::domain::plan::*;
use crate::domain::role::RoleSettings;
use crate::domain::schedule::Class;
use crate::domain::time::Mono;
use crate::failpoint::{self, Side};
use crate::objects;
use crate::objects::output::Output;
use crate::objects::{UserRef, wanted};
use crate::provider::login::{self, LoginResult, LoginSettings, LoginTarget};

/// How long to wait when the journal has no room.
const FULL: Duration = Duration::from_secs(5);

/// Performs a plan's step.
///
/// # Errors
/// If it was not done; it is then planned anew from what is observed.
#[tracing::instrument(name = "step", level = "debug", skip_all, fields(?step))]
pub async fn act(context: &Context, view: &View, step: &Step) -> Result<Done, Error> {
    match step {
        Step::AskTurn(class) => ask_turn(view, *class),
        Step::Claim | Step::Guard => claim(context, view).await,
        Step::ReadSecret => read_secret(context, view).await,
        Step::ReleaseSecret { resource_version } => release_secret(context, view, resource_version).await,
        Step::Forget(release) => forget(context, view, *release).await,
        Step::RemoveFinalizer(release) => remove_finalizer(context, view, *release).await,
        Step::Publish(publication) => publish(context, view, publication).await,
        Step::List | Step::Read | Step::PollCluster => look(view, step),
        Step::Stage(draft) => stage(context, view, draft).await,
        Step::Send(id) => send(view, *id),
        Step::Verify(id) => verify(context, view, *id).await,
        Step::TryPublished => try_published(context, view).await,
        Step::Restart => Ok(workloads::restart(context, view).await),
        Step::LookAtRollouts => Ok(workloads::look(context, view).await),
        Step::Settle(id) => settle(context, view, *id).await,
    }
}

/// Asks the server's task for a read; it announces what it found.
fn look(view: &View, step: &Step) -> Result<Done, Error> {
    let (server, user) = (server(view)?, UserRef::from_obj(&view.user));
    match step {
        Step::List => server.want_list(user),
        Step::Read => server.want_read(&view.login.username, user),
        _ => server.want_poll(user, worth_a_look_from(view, server)),
    }
    Ok(Done::wait())
}

/// From when on a look at the cluster tells this user something: its state may trail the change that was accepted (R7).
fn worth_a_look_from(view: &View, server: &ServerTask) -> Mono {
    let attempts = view.observed.entry.as_ref().map(|staged| &staged.attempts);
    match attempts.and_then(|attempts| attempts.outcome.as_ref()) {
        Some(attempts::Outcome::Accepted { at, .. }) => *at + server.timings.state_lag,
        _ => crate::clock::now(),
    }
}

/// Asks the server's scheduler for a turn; it tells when it is given.
fn ask_turn(view: &View, class: Class) -> Result<Done, Error> {
    let user = &view.user;
    let holder = Holder::User(UserRef::from_obj(user));
    let (uid, namespace) = (
        user.uid().unwrap_or_default(),
        user.namespace().unwrap_or_default(),
    );
    let due = match class {
        Class::Periodic => age_of_password(user),
        _ => 0,
    };
    server(view)?.ask_turn(&uid, holder, class, &namespace, due);
    Ok(Done::wait())
}

/// When the password was last changed, in seconds: an operator that was down makes up for the oldest first.
fn age_of_password(user: &PostgresUser) -> u64 {
    let password = user.status.as_ref().and_then(|status| status.password.as_ref());
    let changed = password.and_then(|password| password.last_changed.as_ref());
    let changed = changed.or(user.metadata.creation_timestamp.as_ref());
    changed.map_or(0, |changed| {
        u64::try_from(changed.0.as_second()).unwrap_or_default()
    })
}

fn server(view: &View) -> Result<&ServerTask, Error> {
    view.server.as_deref().ok_or(Error::ServerLost)
}

/// R2: the write carries the UID and the resourceVersion that the plan was made from.
fn precondition(user: &PostgresUser) -> serde_json::Value {
    json!({"uid": user.metadata.uid, "resourceVersion": user.metadata.resource_version})
}

async fn claim(context: &Context, view: &View) -> Result<Done, Error> {
    let claim = view.observed.own_claim.as_ref().ok_or(Error::ServerLost)?;
    let user = write_claim(context, &view.user, claim).await?;
    turn::note_written(server(view)?, &user.uid().unwrap_or_default());
    Ok(Done {
        user: Some(user),
        ..Done::default()
    })
}

/// Writes finalizer and claim.
///
/// # Errors
/// If the API server refuses, or the object is not what it was any more.
pub async fn write_claim(
    context: &Context,
    user: &PostgresUser,
    claim: &Claim,
) -> Result<PostgresUser, Error> {
    let mut finalizers = user.finalizers().to_vec();
    if !has_finalizer(user) {
        finalizers.push(names::USER_FINALIZER.to_string());
    }
    let mut metadata = precondition(user);
    metadata["finalizers"] = json!(finalizers);
    metadata["annotations"] = json!({names::CLAIM: claim.to_annotation()});
    failpoint::hit("claim", Side::Before);
    let patch = Patch::Merge(json!({"metadata": metadata}));
    let api = context.users(&user.namespace().unwrap_or_default());
    let user = api
        .patch(&user.name_any(), &PatchParams::default(), &patch)
        .await
        .map_err(Error::Claim)?;
    failpoint::hit("claim", Side::After);
    Ok(user)
}

async fn read_secret(context: &Context, view: &View) -> Result<Done, Error> {
    let Some(secret) = output::read(context, &view.user).await? else {
        return Ok(Done::default());
    };
    let password = wanted::password_in(&secret, "password");
    let intact = match (&password, &view.details) {
        (Some(password), Some(details)) => {
            objects::output::is_intact(&secret, &view.user, &view.login.username, details, password)
        }
        _ => false,
    };
    // A MAC under another key tells nothing: a Secret that cannot be recognised counts as changed.
    let mac = password.map(|password| context.password_mac(&view.user, &password));
    let version = secret.metadata.resource_version.clone().unwrap_or_default();
    Ok(Done {
        content: Some((version, SecretContent { mac, intact })),
        ..Done::default()
    })
}

async fn stage(context: &Context, view: &View, draft: &Draft) -> Result<Done, Error> {
    let server = server(view)?;
    let user = &view.user;
    let Some(password) = draft_password(context, view, draft).await? else {
        // What the plan was made from has changed: plan again.
        return Ok(Done {
            then: Then::WaitFor(Duration::from_millis(200)),
            ..Done::default()
        });
    };
    if draft.replaces.is_none() && too_many_unknown(server, &user.namespace().unwrap_or_default()) {
        return Ok(Done {
            then: Then::WaitFor(FULL),
            ..Done::default()
        });
    }
    let entry = Entry {
        id: EntryId(0),
        owner: Owner {
            namespace: user.namespace().unwrap_or_default(),
            name: user.name_any(),
            uid: user.uid().unwrap_or_default(),
        },
        username: view.login.username.clone(),
        kind: draft.kind,
        cause: draft.cause.clone(),
        password,
        seen: draft.seen.clone(),
        proven_ours: draft.proven_ours,
        settings: match draft.kind {
            Kind::Delete => view.desired.settings.of_deletion(),
            // It gives LOGIN back, and is not to be refused for anything else.
            Kind::Configure if draft.cause == Cause::Deletion => RoleSettings::default(),
            _ => RoleSettings {
                end_sessions: view.desired.settings.end_sessions && ends_sessions(&draft.cause),
                ..view.desired.settings.clone()
            },
        },
        retain: view.desired.retain,
        epoch: 0,
    };
    if let Some(password) = entry.password.as_ref().filter(|_| is_new(draft)) {
        try_publishing(context, view, draft, password).await?;
    }
    if let Some(replaced) = draft.replaces
        && !server.state().withdraw(replaced)
    {
        return Ok(Done::wait());
    }
    let change = JournalChange::Stage {
        entry: Box::new(entry),
        replaces: draft.replaces,
    };
    match server.commit(change).await {
        Ok(id) => {
            match (draft.replaces, id) {
                (Some(replaced), Some(id)) if view.observed.entry.is_none() => {
                    server.state().succeeded(replaced, id)
                }
                (Some(replaced), id) => server.state().replaced(replaced, id),
                (None, _) => {}
            }
            Ok(Done::default())
        }
        Err(JournalError::Full) => Ok(Done {
            then: Then::WaitFor(FULL),
            ..Done::default()
        }),
        Err(error) => Err(Error::Journal(error)),
    }
}

fn is_new(draft: &Draft) -> bool {
    draft.password == DraftPassword::New
}

/// Whether sessions that were begun with the password of before are not to go on: where the same one is set again, they are those
/// of whom it was given to.
fn ends_sessions(cause: &Cause) -> bool {
    !matches!(
        cause,
        Cause::SetBack | Cause::Vanished | Cause::Moved | Cause::Settings
    )
}

/// Whether a password that is published now is to be changed on the remote.
fn changes_published(view: &View, draft: &Draft) -> bool {
    is_new(draft) && view.desired.part.is_published() && view.observed.published.is_some()
}

/// Finds out whether the Secret could be written, without writing it: a published password is not changed for one that
/// nobody could be told, and no password is sent that its templates cannot hold.
async fn try_publishing(
    context: &Context,
    view: &View,
    draft: &Draft,
    password: &Password,
) -> Result<(), Error> {
    let Some(details) = &view.details else {
        return Ok(());
    };
    let content = content(view, details, password);
    if !changes_published(view, draft) {
        return objects::output::can_be_rendered(content).map_err(Error::Render);
    }
    let precondition = match &view.observed.secret {
        SecretView::Ours { resource_version, .. } => Precondition::At(resource_version.clone()),
        SecretView::Absent => Precondition::Absent,
        SecretView::Foreign(_) | SecretView::Leaving(_) => return Ok(()),
    };
    output::would_be_taken(context, content, &precondition).await
}

fn content<'a>(view: &'a View, details: &'a ConnectionDetails, password: &'a Password) -> Output<'a> {
    Output {
        user: &view.user,
        username: &view.login.username,
        details,
        password,
        retain: view.desired.retain,
        previous: None,
    }
}

/// The most entries of one namespace of which some attempt has no answer: their turns have gone on to others, and they take
/// room until they are resolved.
const MOST_UNKNOWN: usize = 64;

fn too_many_unknown(server: &ServerTask, namespace: &str) -> bool {
    let ids: Vec<EntryId> = server.journal.view(|journal, _| {
        let entries = journal.iter().flat_map(|journal| journal.entries.values());
        let of_namespace = entries.filter(|entry| entry.owner.namespace == namespace);
        of_namespace.map(|entry| entry.id).collect()
    });
    if ids.len() < MOST_UNKNOWN {
        return false;
    }
    let state = server.state();
    let unknown = |id: &&EntryId| state.attempts(**id).is_none_or(|attempts| attempts.unknown);
    ids.iter().filter(unknown).count() >= MOST_UNKNOWN
}

/// The password of a draft: `None` if it cannot be had any more, `Some(None)` if it has none.
async fn draft_password(
    context: &Context,
    view: &View,
    draft: &Draft,
) -> Result<Option<Option<Password>>, Error> {
    Ok(match draft.password {
        DraftPassword::None => Some(None),
        DraftPassword::Same => {
            let entry = view
                .observed
                .entry
                .as_ref()
                .filter(|staged| Some(staged.entry.id) == draft.replaces);
            entry.and_then(|staged| staged.entry.password.clone()).map(Some)
        }
        DraftPassword::Published => published_password(context, view).await?.map(Some),
        DraftPassword::New => match wanted::source_ref(&view.user) {
            None => {
                let rules = wanted::rules(&view.user, view.object.as_ref());
                let mut random = |bytes: &mut [u8]| {
                    // Without randomness there can be no password; nothing was sent yet.
                    if getrandom::fill(bytes).is_err() {
                        std::process::abort();
                    }
                };
                Some(Some(
                    generate::generate(&rules, &mut random)
                        .map_err(|error| Error::Generate(error.to_string()))?,
                ))
            }
            Some(reference) => {
                let namespace = view.user.namespace().unwrap_or_default();
                let secret = context
                    .secrets_of(&namespace)
                    .get_opt(&reference.name)
                    .await
                    .map_err(Error::ReadSecret)?;
                let own = secret.and_then(|secret| wanted::password_in(&secret, &reference.key));
                let wanted = &view.desired.password;
                own.filter(|own| {
                    *wanted
                        == WantedPassword::Own {
                            mac: context.password_mac(&view.user, own),
                        }
                })
                .map(Some)
            }
        },
    })
}

fn send(view: &View, id: EntryId) -> Result<Done, Error> {
    let class = match () {
        () if view.desired.deleting => Class::Deletion,
        () if view.observed.published.is_none() => Class::New,
        () => Class::Changed,
    };
    server(view)?.want_send(id, class, &view.user.namespace().unwrap_or_default());
    Ok(Done::wait())
}

async fn verify(context: &Context, view: &View, id: EntryId) -> Result<Done, Error> {
    let password = view
        .observed
        .entry
        .as_ref()
        .and_then(|staged| staged.entry.password.clone())
        .ok_or(Error::ServerLost)?;
    if let Some(later) = may_log_in(view)? {
        return Ok(later);
    }
    let login = log_in(context, view, password).await?;
    let mut state = server(view)?.state();
    let attempts = state.attempts_mut(id);
    attempts.login_refusals = match login {
        Login::Refused(_) => attempts.login_refusals.saturating_add(1),
        _ => 0,
    };
    attempts.login = login;
    Ok(Done::default())
}

/// Where the logins of others are refused one after another, this one is not tried now.
fn may_log_in(view: &View) -> Result<Option<Done>, Error> {
    let now = crate::clock::now();
    let wait = server(view)?.state().logins.may_try(now).err();
    Ok(wait.map(|until| Done {
        then: Then::WaitFor((until - now).max(Duration::from_millis(200))),
        ..Done::default()
    }))
}

async fn try_published(context: &Context, view: &View) -> Result<Done, Error> {
    if let Some(later) = may_log_in(view)? {
        return Ok(later);
    }
    let published = view
        .observed
        .published
        .as_ref()
        .map(|published| published.mac.clone());
    let (Some(mac), Some(password)) = (published, published_password(context, view).await?) else {
        return Ok(Done {
            then: Then::WaitFor(FULL),
            ..Done::default()
        });
    };
    let login = log_in(context, view, password).await?;
    let address = view.desired.address.clone().unwrap_or_default();
    let tried = TriedLogin { mac, address, login };
    server(view)?.state().note_tried(&view.login.username, tried);
    Ok(Done::default())
}

/// How logins are tried: authorities that the server object names are trusted, too.
fn login_settings(context: &Context, server: &ServerTask) -> LoginSettings {
    let trust = server.link().ca.and_then(|ca| context.login.trust.and(&ca).ok());
    LoginSettings {
        trust: trust.unwrap_or_else(|| context.login.trust.clone()),
        ..context.login.clone()
    }
}

/// Logs in as the user.
async fn log_in(context: &Context, view: &View, password: Password) -> Result<Login, Error> {
    let server = server(view)?;
    let details = view.details.as_ref().ok_or(Error::ServerLost)?;
    let target = LoginTarget {
        host: details.host.clone(),
        port: details.port,
        database: details.database.clone(),
        username: view.login.username.clone(),
        password,
    };
    let login = match login::verify(&target, &login_settings(context, server)).await {
        LoginResult::Accepted => Login::Accepted,
        LoginResult::Refused => Login::Refused(crate::clock::now()),
        LoginResult::Unverifiable { reason } => {
            server.state().unverifiable = Some((reason.clone(), crate::clock::now()));
            Login::Unverifiable(reason)
        }
    };
    server.note_login(&view.login.username, &login);
    Ok(login)
}

async fn settle(context: &Context, view: &View, id: EntryId) -> Result<Done, Error> {
    if !server(view)?.state().withdraw(id) {
        // It has just been sent: what comes of it is planned anew.
        return Ok(Done::wait());
    }
    server(view)?.settle(id).await?;
    lost::tell(context, view).await;
    Ok(Done::default())
}

async fn publish(context: &Context, view: &View, publication: &Publication) -> Result<Done, Error> {
    let details = view.details.as_ref().ok_or(Error::ServerLost)?;
    let password = match publication.entry {
        Some(id) => {
            let staged = view
                .observed
                .entry
                .as_ref()
                .filter(|staged| staged.entry.id == id);
            staged.and_then(|staged| staged.entry.password.clone())
        }
        None => published_password(context, view).await?,
    };
    let Some(password) = password else {
        return Ok(Done {
            then: Then::WaitFor(Duration::from_millis(200)),
            ..Done::default()
        });
    };
    let previous = previous(context, view).await?;
    let content = Output {
        previous: previous
            .as_ref()
            .map(|(username, password)| (username.as_str(), password)),
        ..content(view, details, &password)
    };
    let secret = output::write(context, content, &publication.precondition).await?;
    let from_source = publication.entry.is_some() || view.desired.password != WantedPassword::Generated;
    let secret = PublishedSecret {
        name: secret.name_any(),
        username: (view.login.username != view.user.username()).then(|| view.login.username.clone()),
        previous: previous.map(|(username, _)| username),
        resource_version: secret.resource_version().unwrap_or_default(),
        password_mac: context
            .mac_key
            .mac_of(Subject::password_of(&view.observed.uid), &password),
        content_digest: view.desired.content_digest.clone(),
        address: Some(details.address()),
        sslmode: Some(details.sslmode),
        source_version: from_source
            .then(|| source_version(context, view, &password))
            .flatten(),
    };
    let published = Some(Publishing {
        secret,
        new_password: new_password(context, view, publication, &password),
    });
    Ok(Done {
        outcome: Outcome {
            published,
            ..Outcome::default()
        },
        ..Done::default()
    })
}

/// Why this password is another than the one that is on record as published, if it is.
fn new_password(
    context: &Context,
    view: &View,
    publication: &Publication,
    password: &Password,
) -> Option<&'static str> {
    publication.entry?;
    let before = view.observed.published.as_ref();
    let is_same = |before: &Published| context.is_password(&view.user, &before.mac, password) == Some(true);
    let cause = view.observed.entry.as_ref().map(|staged| &staged.entry.cause);
    cause.filter(|_| !before.is_some_and(is_same))?.of_new_password()
}

/// The version of the user's own Secret, if this password is what it holds.
fn source_version(context: &Context, view: &View, password: &Password) -> Option<String> {
    let wanted = WantedPassword::Own {
        mac: context.password_mac(&view.user, password),
    };
    (view.desired.password == wanted)
        .then(|| source::source_version(context, &view.user))
        .flatten()
}

/// The password that is published, as the output Secret has it. Under a key that is not the one of before a MAC tells nothing:
/// then a Secret that nobody has touched has it.
async fn published_password(context: &Context, view: &View) -> Result<Option<Password>, Error> {
    let secret = output::read(context, &view.user).await?;
    let (Some(secret), Some(published)) = (secret, &view.observed.published) else {
        return Ok(None);
    };
    let untouched = secret.metadata.resource_version.as_ref() == Some(&published.resource_version);
    let password = wanted::password_in(&secret, "password");
    Ok(password.filter(|password| {
        context
            .is_password(&view.user, &published.mac, password)
            .unwrap_or(untouched)
    }))
}

/// The login of before that the Secret is to have, too, and its password, as far as the Secret has it now.
async fn previous(context: &Context, view: &View) -> Result<Option<(String, Password)>, Error> {
    let family = family::of(context, &view.user, view.object.as_ref());
    let Some(username) = family::previous(&view.user, &family, &view.login) else {
        return Ok(None);
    };
    let password = match view.login.part {
        Part::Next(_) => published_password(context, view).await?,
        _ => {
            let secret = output::read(context, &view.user).await?;
            secret.and_then(|secret| objects::output::previous_in(&secret, &username))
        }
    };
    Ok(password.map(|password| (username, password)))
}

async fn release_secret(context: &Context, view: &View, resource_version: &str) -> Result<Done, Error> {
    let uid = view.user.uid().unwrap_or_default();
    let Some(secret) = output::read(context, &view.user).await? else {
        return Ok(Done::default());
    };
    let patch = Patch::Merge(objects::output::released(&secret, &uid, Some(resource_version)));
    let api = context.secrets_of(&view.user.namespace().unwrap_or_default());
    let secret: Secret = api
        .patch(&secret.name_any(), &PatchParams::default(), &patch)
        .await
        .map_err(Error::WriteSecret)?;
    context.secrets.wrote(&secret);
    Ok(Done::default())
}

/// One of the PostgresUser's logins is gone, or somebody else's: it is not recorded as its own any more.
async fn forget(context: &Context, view: &View, release: ReleaseReason) -> Result<Done, Error> {
    let record = view.user.record_of(&view.login.username);
    if let (Some(why), Some(record)) = (left_behind(release), record) {
        record_login(
            context,
            release,
            &RetainedLogin::of_record(&view.user, record, why),
        )
        .await?;
    }
    Ok(Done {
        outcome: Outcome {
            forgotten: true,
            ..Outcome::default()
        },
        ..Done::default()
    })
}

async fn remove_finalizer(context: &Context, view: &View, release: ReleaseReason) -> Result<Done, Error> {
    let user = &view.user;
    if let Some(server) = view.server.as_ref().filter(|_| release != ReleaseReason::Forced) {
        // A leader that was replaced may remember an absence that is none any more (R1).
        server
            .journal
            .commit(JournalChange::Touch)
            .await
            .map_err(Error::Journal)?;
    }
    if let Some(why) = left_behind(release) {
        record_kept(context, view, release, why).await?;
    }
    if matches!(release, ReleaseReason::Deleted | ReleaseReason::ClusterGone) {
        delete_secret(context, view).await?;
    }
    events::released(context, user, release).await;
    let finalizers: Vec<_> = user
        .finalizers()
        .iter()
        .filter(|finalizer| *finalizer != names::USER_FINALIZER)
        .collect();
    let mut metadata = precondition(user);
    metadata["finalizers"] = json!(finalizers);
    failpoint::hit("finalizer-remove", Side::Before);
    let api = context.users(&user.namespace().unwrap_or_default());
    let patch = Patch::Merge(json!({"metadata": metadata}));
    match api.patch(&user.name_any(), &PatchParams::default(), &patch).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        other => {
            other.map_err(Error::RemoveFinalizer)?;
            tracing::info!(user = %UserRef::from_obj(user), why = ?release, at = %Timestamp::now(), "let go");
        }
    }
    context.let_go().insert(user.uid().unwrap_or_default());
    failpoint::hit("finalizer-remove", Side::After);
    if let (Some(server), Some(_)) = (&view.server, &view.observed.entry) {
        leave_to_server(context, server, &user.uid().unwrap_or_default());
    }
    Ok(Done {
        then: Then::Gone,
        ..Done::default()
    })
}

/// Records a login that is left on the server, if one may be there. What is forced goes whether it can be recorded or not.
async fn record_kept(
    context: &Context,
    view: &View,
    release: ReleaseReason,
    why: &'static str,
) -> Result<(), Error> {
    let (user, observed) = (&view.user, &view.observed);
    let mut all: Vec<_> = user
        .records()
        .iter()
        .map(|record| RetainedLogin::of_record(user, record, why))
        .collect();
    if let Some(staged) = observed.entry.as_ref().filter(|_| observed.record.is_none()) {
        all.push(RetainedLogin::of(
            user,
            &staged.entry.username,
            String::new(),
            why,
        ));
    }
    // A claim alone has made nothing, and anybody can write one.
    for kept in all {
        record_login(context, release, &kept).await?;
    }
    Ok(())
}

async fn record_login(context: &Context, release: ReleaseReason, kept: &RetainedLogin) -> Result<(), Error> {
    match context.retained.record(kept).await {
        Err(error) if release == ReleaseReason::Forced => {
            let error = crate::controller::api_error::api(&error);
            tracing::warn!(
                user = kept.user(),
                username = kept.username,
                error,
                "a login that is left could not be recorded"
            );
        }
        other => other.map_err(Error::RecordKept)?,
    }
    context.metrics.kept_user();
    Ok(())
}

/// The entry of a deletion that was accepted outlives its PostgresUser: the server object looks after it from here on.
fn leave_to_server(context: &Context, server: &ServerTask, uid: &str) {
    let first = {
        let mut state = server.state();
        state.gone_owners.insert(uid.to_string());
        state.gone_owners.len() == 1
    };
    if first {
        context.dispatch.server(&server.key);
    }
}

/// The output Secret goes with its login, at once: garbage collection would get to it, but in its own time, and
/// whoever makes the resource anew would find the name taken until then.
async fn delete_secret(context: &Context, view: &View) -> Result<(), Error> {
    let SecretView::Ours { resource_version, .. } = &view.observed.secret else {
        return Ok(());
    };
    let params = DeleteParams::default().preconditions(Preconditions {
        resource_version: Some(resource_version.clone()),
        uid: None,
    });
    let namespace = view.user.namespace().unwrap_or_default();
    failpoint::hit("secret-delete", Side::Before);
    match context
        .secrets_of(&namespace)
        .delete(&view.user.secret_name(), &params)
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        other => drop(other.map_err(Error::WriteSecret)?),
    }
    failpoint::hit("secret-delete", Side::After);
    context.secrets.missing(&namespace, &view.user.secret_name());
    Ok(())
}

fn left_behind(release: ReleaseReason) -> Option<&'static str> {
    match release {
        ReleaseReason::Deleted | ReleaseReason::NeverOwned => None,
        ReleaseReason::Retained => Some("Retained"),
        ReleaseReason::ClusterGone => Some("ClusterGone"),
        ReleaseReason::Forced => Some("Forced"),
        ReleaseReason::NotOurs => Some("NotOurs"),
    }
}
