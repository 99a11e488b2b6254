//! Where a PostgresUser's password comes from, and whether its wishes can be met.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::server::ServerObject;
use crate::api::{
    AdoptionPolicy, Generate, Ownership, PostgresUser, PostgresqlUser, Reason, Retire, SecretKeyRef,
    UserStatus, ValidUntil,
};
use crate::domain::connection::ConnectionDetails;
use crate::domain::grants::Grants;
use crate::domain::password::Password;
use crate::domain::plan::{Invalid, WantedPassword};
use crate::domain::remote::Capabilities;
use crate::domain::role::{RoleOptions, RoleSettings};
use crate::domain::rotation::Rotation;
use crate::domain::{alternation, generate, secret, username};

/// Where the password comes from.
pub struct Source {
    /// As the planner sees it.
    pub wanted: WantedPassword,
    /// The user's own password, if it was read.
    pub own: Option<Password>,
}

impl Source {
    /// A generated one.
    pub fn generated() -> Self {
        Self {
            wanted: WantedPassword::Generated,
            own: None,
        }
    }
}

/// The Secret that a PostgresUser takes its password from, if it does.
pub fn source_ref(user: &PostgresUser) -> Option<&SecretKeyRef> {
    user.spec.password.as_ref()?.secret_ref.as_ref()
}

/// Reads a password out of a Secret.
pub fn password_in(secret: &Secret, key: &str) -> Option<Password> {
    let bytes = secret.data.as_ref()?.get(key)?;
    let text = std::str::from_utf8(&bytes.0).ok()?;
    (!text.is_empty()).then(|| Password::new(text))
}

/// The rules for generated passwords, which are as long as the server object asks for.
pub fn rules(user: &PostgresUser, object: Option<&ServerObject>) -> Generate {
    let asked = user.spec.password.as_ref();
    let mut rules = asked
        .and_then(|password| password.generate.clone())
        .unwrap_or_default();
    let shortest = object.and_then(ServerObject::shortest_password);
    rules.length = rules.length.max(shortest.unwrap_or_default());
    rules
}

/// Why a password of the user's own is not taken here, if so.
fn too_short(password: &Password, object: Option<&ServerObject>) -> Option<Invalid> {
    let shortest = object.and_then(ServerObject::shortest_password)?;
    let length = password.reveal().chars().count();
    (length < usize::try_from(shortest).unwrap_or_default()).then(|| Invalid {
        reason: Reason::InvalidPassword,
        message: format!(
            "spec.password.secretRef: the password has {length} characters, and the server object asks for {shortest} \
             (spec.passwords.minLength): write a longer one into the Secret"
        ),
    })
}

/// What the login should be besides its name and its password. A login that was taken over is left as it is where the
/// spec says nothing.
pub fn settings(user: &PostgresUser, object: Option<&ServerObject>) -> RoleSettings {
    let taken_over = user
        .record()
        .map_or(user.spec.adoption_policy == AdoptionPolicy::Adopt, |record| {
            record.ownership != Ownership::Owned
        });
    let sql = user.spec.postgresql.as_ref();
    let asked = match sql {
        Some(sql) => Some(options(sql)),
        None => (!taken_over).then(RoleOptions::default),
    };
    // Elsewhere there is no such thing, and each entry of a journal would have it.
    let granted = |options| {
        let within = |grants: Grants<'_>| grants.has_roles().then(|| grants.within(options));
        with_grants(user, object, within).flatten()
    };
    let reassign_to = sql
        .and_then(|sql| sql.reassign_owned_to.clone())
        .filter(|reassign_to| {
            with_grants(user, object, |grants| grants.may_reassign_to(reassign_to)) == Some(true)
        });
    RoleSettings {
        read_only: user.spec.scalingo.as_ref().is_some_and(|it| it.read_only),
        // As long as nobody says what is allowed, nothing is given, and nothing taken.
        options: asked.and_then(granted),
        reassign_is_named: reassign_to.as_ref().is_some_and(|reassign_to| {
            with_grants(user, object, |grants| grants.names_reassign_to(reassign_to)) == Some(true)
        }),
        own: Default::default(),
        adopts_power: with_grants(user, object, |grants| grants.names_for_adoption(user.username()))
            == Some(true),
        // A deletion asks nobody else whether this is allowed.
        reassign_owned_to: reassign_to,
        end_sessions: false,
    }
}

/// Why the spec asks for more than the server object allows, if it does.
pub fn beyond(user: &PostgresUser, object: Option<&ServerObject>) -> Option<Invalid> {
    with_grants(user, object, |grants| grants.beyond(&user.spec)).flatten()
}

/// What the server object allows to a PostgresUser besides a login.
fn with_grants<T>(
    user: &PostgresUser,
    object: Option<&ServerObject>,
    ask: impl FnOnce(Grants<'_>) -> T,
) -> Option<T> {
    let provider = object?.provider()?;
    Some(ask(Grants {
        provider: provider.capabilities().name,
        allowed: provider.allowed(),
        namespace: &user.namespace().unwrap_or_default(),
        connections: object.and_then(ServerObject::connections_per_login),
    }))
}

fn options(sql: &PostgresqlUser) -> RoleOptions {
    RoleOptions {
        login: true,
        member_of: sql.member_of.iter().cloned().collect(),
        named: Default::default(),
        applied: Default::default(),
        connection_limit: sql.connection_limit,
        // PostgreSQL keeps microseconds.
        valid_until: sql
            .valid_until
            .and_then(ValidUntil::moment)
            .and_then(|moment| Timestamp::from_microsecond(moment.as_microsecond()).ok()),
        create_database: sql.create_database,
        create_role: sql.create_role,
        inherit: sql.inherit,
        config: sql.config.clone(),
        applied_config: Default::default(),
    }
}

/// When the password is changed next, as the spec asks. How old a password is that was published before that was recorded, is
/// taken from when the remote has last changed it, or from when the object was made.
pub fn next_rotation(
    user: &PostgresUser,
    status: &UserStatus,
    object: Option<&ServerObject>,
    least: Duration,
    now: Timestamp,
) -> Option<Timestamp> {
    let asked = user.spec.rotation.as_ref();
    let asked = asked.and_then(|asked| Rotation::of(asked, least).ok()?);
    let oldest = object.and_then(ServerObject::oldest_password);
    let kept = oldest.map(|oldest| Rotation::by_age(oldest, least));
    if asked.is_none() && kept.is_none() {
        return None;
    }
    let published = status
        .password
        .as_ref()
        .and_then(|password| password.last_changed.as_ref());
    let by_remote = user.record().and_then(|record| record.last_set.as_ref());
    let last = published
        .or(by_remote)
        .or(user.metadata.creation_timestamp.as_ref())?;
    let uid = user.metadata.uid.as_deref()?;
    let said = status
        .password
        .as_ref()
        .and_then(|password| password.next_rotation.as_ref());
    let said = said.map(|said| said.0);
    let due = asked
        .into_iter()
        .chain(kept)
        .filter_map(|rotation| rotation.due_by(last.0, now, said, uid));
    due.min()
}

/// Why the spec's rotation cannot be followed on this server, if so.
fn invalid_rotation(user: &PostgresUser, capabilities: &Capabilities) -> Option<Invalid> {
    let rotation = user.spec.rotation.as_ref()?;
    let by_sql = |field: &str| {
        let lacks = !capabilities.marks;
        lacks.then(|| {
            format!(
                "{field}: the server's provider is {}, which tells of no sessions: leave it out, or choose a server of the provider \
                 postgresql",
                capabilities.name
            )
        })
    };
    let message = match Rotation::of(rotation, Duration::ZERO) {
        Err(message) => message,
        Ok(_) if rotation.retire == Some(Retire::WhenUnused) => by_sql("spec.rotation.retire is WhenUnused")?,
        Ok(_) if rotation.end_sessions == Some(true) => by_sql("spec.rotation.endSessions is true")?,
        Ok(_) => return None,
    };
    Some(Invalid {
        reason: Reason::InvalidRotation,
        message,
    })
}

/// Why the output Secret cannot have the form that the spec asks for, if so. What is published stays meanwhile.
pub fn invalid_secret(user: &PostgresUser, details: Option<&ConnectionDetails>) -> Option<Invalid> {
    secret::check(user.username(), user.spec.secret.as_ref()?, details)
}

/// Why a login cannot have this name on this server, if so.
pub fn invalid_username(
    user: &PostgresUser,
    object: Option<&ServerObject>,
    capabilities: &Capabilities,
) -> Option<Invalid> {
    let policy = username::Policy {
        usernames: object.and_then(ServerObject::usernames),
        namespace: &user.namespace().unwrap_or_default(),
    };
    let taking_turns = user.alternates().then(|| alternation::members(user.username()));
    username::check(user.username(), &policy, capabilities).or_else(|| {
        let mut members = taking_turns.into_iter().flatten();
        members.find_map(|member| username::check_member(&member, &policy, capabilities))
    })
}

/// Why the spec cannot be met on this server, if so.
pub fn invalid(
    user: &PostgresUser,
    object: Option<&ServerObject>,
    capabilities: &Capabilities,
    source: &Source,
) -> Option<Invalid> {
    invalid_username(user, object, capabilities)
        .or_else(|| invalid_rotation(user, capabilities))
        .or_else(|| with_grants(user, object, |grants| grants.misplaced(&user.spec)).flatten())
        .or_else(|| match &source.own {
            Some(password) => {
                generate::check_own(password, capabilities).or_else(|| too_short(password, object))
            }
            None if source_ref(user).is_none() => generate::check(&rules(user, object), capabilities),
            None => None,
        })
}
