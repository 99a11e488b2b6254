//! What is found of one PostgresUser: reads only.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use std::hash::{Hash, Hasher};
use std::time::Duration;

use super::family;
use super::placement::Placement;
use super::share;
use super::source;
use super::staged::{predecessor, staged_entry};
use super::unread;
use super::view::{View, has_finalizer};
use super::workloads;
use crate::api::{
    AdoptionPolicy, DeniedMembership, Ownership, PostgresUser, Reason, RejectedPassword, RemoteUserRecord,
    UserStatus, Verification, names,
};
use crate::clock;
use crate::controller::context::Context;
use crate::controller::server::task::ServerTask;
use crate::controller::server::task::state::ServerState;
use crate::controller::server::view;
use crate::domain::alternation::Part;
use crate::domain::attempts::Login;
use crate::domain::connection::{ConnectionDetails, content_digest, with_previous};
use crate::domain::identity::{Claim, ExclusionKey, RemoteIdentity};
use crate::domain::journal::Cause;
use crate::domain::plan::*;
use crate::domain::role::Memberships;
use crate::domain::time::{Mono, whole_seconds};
use crate::domain::wish;
use crate::objects::{ServerKey, ServerObject, UserRef, contender, placement, wanted};

/// How long a server counts as out of reach for logins.
const UNVERIFIABLE_FOR: Duration = Duration::from_secs(120);

/// Observes one PostgresUser. `content` is what its Secret was read to hold in this reconciliation, and at
/// which resourceVersion.
pub async fn observe(
    context: &Context,
    user: PostgresUser,
    placement: &Placement,
    login: family::Login,
    content: Option<&(String, SecretContent)>,
) -> Result<View, kube::Error> {
    let (Placement::At(key) | Placement::Unknown(key)) = placement;
    let object = context.server_object(key);
    let server = context.server(key);
    let details = details(object.as_ref(), server.as_deref());
    let entry = server
        .as_deref()
        .and_then(|server| staged_entry(context, server, &user));
    let server_view = match placement {
        Placement::At(key) => server_view(
            context,
            &user,
            key,
            object.as_ref(),
            server.as_deref(),
            details.as_ref(),
            entry.is_some(),
        ),
        Placement::Unknown(former) => unusable(
            Reason::ServerNotReady,
            format!("waiting for the journal of {former}, by which this login was managed until now"),
        ),
    };
    let identity = object.as_ref().and_then(ServerObject::identity);
    let status = user.status.clone().unwrap_or_default();
    let username = login.username.as_str();
    let record = user.record_of(username).map(|it| record(it, &user));
    let own_claim = identity.clone().map(|identity| Claim {
        installation: context.installation.clone(),
        identity,
        username: user.username().to_string(),
        server: Some(key.reference()),
        alternating: family::is_large(&user),
    });
    let observation = server.as_deref().and_then(|server| {
        server
            .state()
            .observation(username, server.capabilities.direct_read, &context.timings)
    });
    let mut observed = Observed {
        uid: user.uid().unwrap_or_default(),
        finalizer: has_finalizer(&user),
        claim: placement::claim(&user),
        own_claim,
        record,
        published: published(&status).map(|published| Published {
            renewed_at: renewed_at(context, server.as_deref(), &user, username, &published.mac),
            ..published
        }),
        handled_rotation: status.last_handled_rotation.as_deref().map(wish::short),
        rejected: status.rejected_password.as_ref().map(rejected),
        rejected_settings: status.rejected_settings.as_ref().map(rejected),
        tried: tried(server.as_deref(), &user, username, &status, details.as_ref()),
        settings_due: server
            .as_deref()
            .map_or(Mono::default(), |server| server.state().settings_due(username)),
        renamed: renamed(server.as_deref(), &user, username),
        reverts: reverts(
            &status,
            user.metadata.generation,
            context.timings.reverts_in_an_hour,
            Timestamp::now(),
        ),
        secret: secret_view(context, &user, content),
        server: server_view,
        observation,
        last_write: server
            .as_deref()
            .map(|server| server.state().last_write(username)),
        predecessor: predecessor(context, &user, username, server.as_deref(), identity.as_ref()),
        turn: server.as_deref().is_some_and(|server| {
            server
                .state()
                .turns
                .has(&user.uid().unwrap_or_default(), clock::now())
        }),
        difficulty: server.as_deref().and_then(|server| {
            server
                .state()
                .difficulties
                .of(username)
                .map(|it| it.trouble.clone())
        }),
        refusal: context.refusals.of(&user.uid().unwrap_or_default()),
        restart: workloads::observed(context, &user),
        entry,
        rival: None,
    };
    let (desired, denied) = desired(
        context,
        &user,
        &login,
        &observed,
        object.as_ref(),
        details.as_ref(),
    )
    .await?;
    observed.rival = rival(context, &user, &desired, &observed, identity.as_ref())
        .or_else(|| rival_by_mark(context, &user, observed.observation.as_ref()));
    Ok(View {
        user,
        login,
        server,
        object,
        details,
        desired,
        observed,
        denied,
    })
}

fn details(object: Option<&ServerObject>, server: Option<&ServerTask>) -> Option<ConnectionDetails> {
    let (object, server) = (object?, server?);
    // After a restart the address is known from status before the provider has been asked again.
    let address = server.state().address.clone().or(object.remembered_address());
    Some(ConnectionDetails {
        ca: server.link().ca,
        ..object.connection(&address)?
    })
}

fn record(record: &RemoteUserRecord, user: &PostgresUser) -> Record {
    Record {
        server: record.server_ref.clone(),
        identity: RemoteIdentity::of_record(record),
        adopted: record.ownership != Ownership::Owned,
        moved: record.ownership == Ownership::Moved,
        created: record.created.as_ref().map(|time| whole_seconds(time.0)),
        last_set: record.last_set.as_ref().map(|time| whole_seconds(time.0)),
        password_stamp: record.password_stamp.clone(),
        memberships: memberships(record, user),
        config: record.config.iter().cloned().collect(),
        retired: record.retired.is_some(),
    }
}

/// The memberships that were granted because the spec asked. Before that was recorded: what it asks for now.
fn memberships(record: &RemoteUserRecord, user: &PostgresUser) -> Memberships {
    match &record.memberships {
        Some(recorded) => recorded
            .iter()
            .map(|it| (it.role.clone(), it.grantor.clone()))
            .collect(),
        None => {
            let asked = user.spec.postgresql.iter().flat_map(|sql| sql.member_of.iter());
            asked.map(|role| (role.clone(), None)).collect()
        }
    }
}

fn rejected(noted: &RejectedPassword) -> Rejected {
    Rejected {
        wish: noted.wish.clone(),
        message: noted.message.clone(),
    }
}

fn published(status: &UserStatus) -> Option<Published> {
    let secret = status.secret.as_ref()?;
    Some(Published {
        resource_version: secret.resource_version.clone(),
        mac: secret.password_mac.clone(),
        content_digest: secret.content_digest.clone(),
        address: secret.address.clone(),
        renewed_at: None,
    })
}

/// Over how long a time MACs of an earlier form, or under a key that was lost, are made anew.
const RENEWAL: Duration = Duration::from_secs(24 * 3600);

fn renewed_at(
    context: &Context,
    server: Option<&ServerTask>,
    user: &PostgresUser,
    username: &str,
    mac: &str,
) -> Option<Mono> {
    let server = server.filter(|_| !context.mac_key.is_current(mac))?;
    let since = server.state().last_write(username);
    Some(since + RENEWAL.mul_f64(share_of(&user.uid().unwrap_or_default())))
}

/// How many set-backs count: those of the last hour; all three, once there were three, until the spec changes
/// or a rotation is asked for (which clears them).
fn reverts(status: &UserStatus, generation: Option<i64>, enough: usize, now: Timestamp) -> usize {
    if generation.is_some_and(|generation| generation != status.observed_generation) {
        return 0;
    }
    let hour = SignedDuration::from_hours(1);
    let recent = status
        .set_backs
        .iter()
        .filter(|time| now.duration_since(time.0) < hour)
        .count();
    if status.set_backs.len() >= enough {
        enough
    } else {
        recent
    }
}

fn secret_view(
    context: &Context,
    user: &PostgresUser,
    content: Option<&(String, SecretContent)>,
) -> SecretView {
    let namespace = user.namespace().unwrap_or_default();
    let Some(meta) = context.secrets.get(&namespace, &user.secret_name()) else {
        return SecretView::Absent;
    };
    let uid = user.uid().unwrap_or_default();
    if meta.user_uid.as_deref() != Some(&uid) {
        // Its end is news to this user, though nothing in it says so.
        context
            .secrets
            .uses(&namespace, &user.secret_name(), UserRef::from_obj(user));
        return SecretView::Foreign(match meta.user {
            Some(owner) => format!("it belongs to PostgresUser {owner}, or to one of that name that is gone"),
            None => "it was not made by this operator".to_string(),
        });
    }
    if let Some(finalizers) = meta.deleting {
        return SecretView::Leaving(finalizers);
    }
    let content = content.filter(|(version, _)| **version == *meta.resource_version);
    SecretView::Ours {
        owned: meta.is_owned || !meta.retained,
        resource_version: meta.resource_version.into(),
        content: content.map(|(_, content)| content.clone()),
    }
}

fn unusable(reason: Reason, message: String) -> ServerView {
    ServerView::Unusable(Unusable { reason, message })
}

fn server_view(
    context: &Context,
    user: &PostgresUser,
    key: &ServerKey,
    object: Option<&ServerObject>,
    server: Option<&ServerTask>,
    details: Option<&ConnectionDetails>,
    has_entry: bool,
) -> ServerView {
    let deleting = user.metadata.deletion_timestamp.is_some();
    if let Some(unread) = unread::for_deletion(context, user).filter(|_| deleting) {
        return ServerView::Unusable(unread);
    }
    if let Some(unread) = object.and_then(|object| context.unread.of(object.meta())) {
        return unusable(
            Reason::ServerNotReady,
            format!("of the server object something cannot be read: {unread}"),
        );
    }
    let admitted =
        |object: &ServerObject| deleting || context.admits(object, &user.namespace().unwrap_or_default());
    // Whether a server exists that does not admit this namespace is not the namespace's to know; but what it had begun
    // there while it was admitted is finished.
    let not_found = Unusable {
        reason: Reason::ServerNotFound,
        message: format!("there is no {:?} {:?}", key.kind, key.name),
    };
    let Some(object) = object.filter(|object| has_entry || admitted(object)) else {
        return ServerView::Unusable(not_found);
    };
    let mut closed = (!admitted(object)).then_some(not_found);
    let Some(server) = server else {
        return unusable(
            Reason::ServerNotReady,
            "the server object is being prepared".to_string(),
        );
    };
    if details.is_none() && !deleting && server.state().cluster.is_some() {
        return unusable(
            Reason::ServerNotReady,
            "the provider gives no host: set spec.connection.host on the server object".to_string(),
        );
    }
    if object.deleting() && !deleting {
        closed = Some(Unusable {
            reason: Reason::ServerNotReady,
            message: "the server object is being deleted".to_string(),
        });
    }
    let trouble = view::trouble(&server.link(), &server.state(), deleting);
    let verification = object.verification();
    let unverifiable = unverifiable(context, user, verification, details.is_some(), &server.state());
    ServerView::Usable(Box::new(view::usable(
        server,
        Some(object),
        trouble,
        closed,
        unverifiable,
    )))
}

/// A password that is not valid any more, as the spec asks, cannot be tried.
fn is_expired(user: &PostgresUser) -> bool {
    let until = user
        .spec
        .postgresql
        .as_ref()
        .and_then(|it| it.valid_until?.moment());
    until.is_some_and(|until| until <= Timestamp::now())
}

/// What became of the last login with the published password, and when the next is due. After a restart, and after
/// every change, they are spread over the interval.
fn tried(
    server: Option<&ServerTask>,
    user: &PostgresUser,
    username: &str,
    status: &UserStatus,
    details: Option<&ConnectionDetails>,
) -> Tried {
    let published = status.secret.as_ref().map(|secret| secret.password_mac.as_str());
    let (Some(server), Some(mac)) = (server, published) else {
        return Tried {
            login: Login::NotTried,
            due: Mono::default(),
        };
    };
    let interval = server.link().verify_interval;
    let state = server.state();
    let address = details.map(ConnectionDetails::address).unwrap_or_default();
    let (login, base, share) = match state.tried(username, mac, &address) {
        Some((login, at)) => (login, at, 1.0),
        None => (
            Login::NotTried,
            state.last_write(username),
            share_of(&user.uid().unwrap_or_default()),
        ),
    };
    Tried {
        login,
        due: base + interval.mul_f64(share),
    }
}

/// The name under which the last list shows the login that carries this PostgresUser's mark, if it is not its own. Who renames a
/// role takes the mark along, and LOGIN and password with it.
fn renamed(server: Option<&ServerTask>, user: &PostgresUser, username: &str) -> Option<String> {
    let server = server.filter(|server| server.capabilities.marks && user.record_of(username).is_some())?;
    let state = server.state();
    let own = family::names(user);
    state.marked_with(user.metadata.uid.as_deref()?, username, &own)
}

/// When the password is due to be changed, on this process's clock.
fn rotation_due(context: &Context, user: &PostgresUser, object: Option<&ServerObject>) -> Option<Mono> {
    let least = context.options.min_rotation_interval;
    let now = Timestamp::now();
    wanted::next_rotation(user, user.status.as_ref()?, object, least, now)
        .map(|due| clock::ahead_of(now, due))
}

/// Anything from 0 to 1, the same for the same text.
fn share_of(text: &str) -> f64 {
    let mut hasher = std::hash::DefaultHasher::new();
    text.hash(&mut hasher);
    f64::from(u16::try_from(hasher.finish() & 0xffff).unwrap_or_default()) / f64::from(u16::MAX)
}

/// Why no login with the user's password can be tried now, if so.
fn unverifiable(
    context: &Context,
    user: &PostgresUser,
    verification: Verification,
    has_address: bool,
    state: &ServerState,
) -> Option<String> {
    if !context.options.verify_logins {
        return Some("the operator tries no logins (--verify-logins=false)".to_string());
    }
    if verification == Verification::Never {
        return Some("the server object says to try no logins (spec.verification: Never)".to_string());
    }
    if !has_address {
        return Some("it is not known yet where the server is".to_string());
    }
    if is_expired(user) {
        return Some("the password is not valid any more (spec.postgresql.validUntil)".to_string());
    }
    match verification {
        // Nothing is published before one has worked, however often that takes.
        Verification::Require => None,
        Verification::Auto | Verification::Never => lately_unverifiable(state),
    }
}

/// A login that could not be tried for one user cannot be tried for the next: not everybody waits for that again, but everybody is
/// told the same.
fn lately_unverifiable(state: &ServerState) -> Option<String> {
    let (reason, at) = state.unverifiable.as_ref()?;
    (clock::now() - *at < UNVERIFIABLE_FOR).then(|| reason.clone())
}

/// Whether what was seen of a server's trouble is over by now.
pub fn is_out_of_trouble(view: &View) -> bool {
    let (ServerView::Usable(seen), Some(server)) = (&view.observed.server, &view.server) else {
        return false;
    };
    let (link, state) = (server.link(), server.state());
    seen.trouble.is_some() && view::trouble(&link, &state, view.desired.deleting).is_none()
}

/// Who has a better right to what this PostgresUser has, or else wants. Nobody is told of a rival who could not have what
/// it asks for anyhow: whether a login exists elsewhere is not for whoever names a server without its credentials.
fn rival(
    context: &Context,
    user: &PostgresUser,
    desired: &Desired,
    observed: &Observed,
    identity: Option<&RemoteIdentity>,
) -> Option<Rival> {
    let recorded = observed.record.as_ref().map(|record| &record.identity);
    let may_have = may_have(desired, observed);
    // Who moves keeps what it has until it has what it wants, which may be another's.
    if let (Some(before), Some(wanted)) = (recorded, identity)
        && before != wanted
        && may_have
    {
        let key = ExclusionKey {
            identity: wanted.clone(),
            username: desired.username.clone(),
        };
        if context.claims.someone_has(&key, &observed.uid) {
            return Some(Rival { named: None });
        }
    }
    let contended = family::contended(user, observed, may_have, &context.installation, identity)?;
    let me = contender(user, contended.right(&desired.username));
    let counts = me.right.counts();
    // One that is published is not given up for another that is not to be had.
    let is_first =
        observed.published.is_none() || matches!(desired.part, Part::Sole | Part::Owner | Part::Next(_));
    let only = (!is_first).then_some(desired.username.as_str());
    let rival = context.contend_for(&contended, me, only);
    rival.filter(|_| may_have || counts)
}

/// Whether a server object that is in order admits a PostgresUser and what it asks for.
fn may_have(desired: &Desired, observed: &Observed) -> bool {
    let ServerView::Usable(server) = &observed.server else {
        return false;
    };
    let allowed = desired.beyond.is_none() || observed.record.is_some() || desired.has_others;
    server.credentials_worked && server.closed.is_none() && desired.invalid.is_none() && allowed
}

/// The living PostgresUser whose mark the remote user carries, if that is another one: it may have it by another
/// address of the same server.
fn rival_by_mark(context: &Context, user: &PostgresUser, observation: Option<&Observation>) -> Option<Rival> {
    let mark = observation?.user.as_ref()?.mark()?;
    if mark.installation != context.installation || user.uid().as_deref() == Some(&mark.uid) {
        return None;
    }
    let other = context.user_of_uid(&mark.uid)?;
    let named = (other.namespace() == user.namespace()).then(|| other.name_any());
    Some(Rival { named })
}

/// Whether login and Secret stay when the PostgresUser goes. What is being taken over counts as taken over.
fn retains(user: &PostgresUser, observed: &Observed) -> bool {
    let is_adoption = |staged: &StagedEntry| staged.entry.cause == Cause::Adoption;
    match (user.spec.deletion_policy, &observed.record) {
        (None, None) => observed.entry.as_ref().is_some_and(is_adoption),
        _ => user.retains(),
    }
}

async fn desired(
    context: &Context,
    user: &PostgresUser,
    login: &family::Login,
    observed: &Observed,
    object: Option<&ServerObject>,
    details: Option<&ConnectionDetails>,
) -> Result<(Desired, Vec<DeniedMembership>), kube::Error> {
    let deleting = user.metadata.deletion_timestamp.is_some();
    let annotation = |name: &str| {
        user.annotations()
            .get(name)
            .filter(|value| !value.is_empty())
            .cloned()
    };
    let rotate = annotation(names::ROTATE).map(|value| wish::short(&value));
    let source = match deleting {
        // Deletion asks for no password, and the namespace's Secrets may be gone.
        true => wanted::Source::generated(),
        false => source::source(context, user).await?,
    };
    let family = family::of(context, user, object);
    let retain = retains(user, observed);
    let secret = user.spec.secret.clone().unwrap_or_default();
    let digest = details.map(|details| {
        let digest = content_digest(details, &login.username, &secret, retain);
        with_previous(digest, family::previous(user, &family, login).as_deref())
    });
    let settings = family::settings(wanted::settings(user, object), user, &family, login);
    let logins = share::logins(context, user, &settings);
    let denied = logins.denied_memberships(user, share::found(observed), object);
    let mut settings = logins.without_denied(settings, &denied, object);
    let mut asked = format!(
        "{}/{}",
        user.metadata.generation.unwrap_or_default(),
        rotate.as_deref().unwrap_or_default()
    );
    if user.spec.postgresql.is_some() || login.part != Part::Sole {
        // What the server object allows of it is part of what is asked for.
        asked = wish::short(&format!("{asked}/{}", wish::digest_of(&settings)));
    }
    // Whose the roles are is no part of what is asked for, and neither is what was granted.
    settings.own = logins.own.clone();
    if let (Some(options), Some(record)) = (&mut settings.options, &observed.record) {
        options.applied = record.memberships.clone();
        options.applied_config = record.config.clone();
    }
    let wish = match &source.wanted {
        WantedPassword::Own { mac } => mac.clone(),
        _ => asked.clone(),
    };
    let capabilities = match &observed.server {
        ServerView::Usable(server) => Some(&server.capabilities),
        ServerView::Unusable(_) => None,
    };
    let invalid = unread::invalid(context, user)
        .or_else(|| wanted::invalid_secret(user, details))
        .or_else(|| {
            capabilities.and_then(|capabilities| wanted::invalid(user, object, capabilities, &source))
        })
        .or_else(|| share::exceeded(context, user, observed, object));
    let desired = Desired {
        username: login.username.clone(),
        part: login.part.clone(),
        principal: user.username().to_string(),
        has_others: user
            .records()
            .iter()
            .any(|record| record.username != login.username),
        retiring: family.is_retiring(login),
        unused_by: family::unused_by(user, &family, login),
        rollout_by: family::rollout_by(user, &family, login),
        withdrawn: observed.entry.is_some() && family::is_withdrawn(context, user, object, &family, login),
        overlap_ends: family::overlap_ends(&family),
        invalid,
        beyond: wanted::beyond(user, object).or_else(|| logins.refusal(observed.record.is_some())),
        rotate,
        password: source.wanted,
        settings,
        // Somebody who is not known yet may have it.
        adopt: user.spec.adoption_policy == AdoptionPolicy::Adopt && context.listing.is_complete(),
        retain,
        suspended: user.spec.suspend,
        deleting,
        force_finalize: annotation(names::FORCE_FINALIZE).as_deref() == Some(user.username()),
        content_digest: digest
            .or_else(|| {
                observed
                    .published
                    .as_ref()
                    .map(|published| published.content_digest.clone())
            })
            .unwrap_or_default(),
        address: details.map(ConnectionDetails::address),
        rotation_due: rotation_due(context, user, object),
        wish,
        settings_wish: asked,
    };
    Ok((desired, denied))
}
