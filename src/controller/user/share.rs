//! What a namespace may have of a server that others use, too.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::observe::contender;
use crate::api::PostgresUser;
use crate::controller::context::{Context, server_key};
use crate::controller::server_spec::ServerObject;
use crate::domain::claims::Right;
use crate::domain::plan::{Invalid, Observed};
use crate::domain::role::RoleSettings;

/// Why a PostgresUser gets no login, if its namespace has as many as it may. The oldest get theirs first, and what there is
/// stays.
pub fn exceeded(
    context: &Context,
    user: &PostgresUser,
    observed: &Observed,
    object: Option<&ServerObject>,
) -> Option<Invalid> {
    if !user.records().is_empty() || observed.entry.is_some() {
        return None;
    }
    let most = object?.logins_per_namespace()?;
    let me = contender(user, Right::Claim);
    let before = context.claims.before(&object?.identity()?, &me);
    (before >= most).then(|| Invalid {
        reason: "TooManyLogins",
        message: format!(
            "this namespace has {before} logins on this server, and the server object allows it {most} \
             (spec.limits.loginsPerNamespace): delete one that is not needed, or ask whoever keeps the server object"
        ),
    })
}

/// The logins among the roles that a PostgresUser names and its server object does not.
#[derive(Debug, Default)]
pub struct Logins {
    /// Those of other namespaces that it is to be a member of, by name.
    pub foreign: BTreeSet<String>,
    /// One of another namespace that is to get what it owns.
    foreign_heir: Option<String>,
    /// The UIDs of the PostgresUsers of its own namespace that have the others.
    pub own: BTreeSet<String>,
}

/// Whose logins a PostgresUser names, as far as they were seen.
pub fn logins(context: &Context, user: &PostgresUser, settings: &RoleSettings) -> Logins {
    let mut logins = Logins::default();
    let Some(server) = context.server(&server_key(user)) else {
        return logins;
    };
    let mut is_foreign = |role: &String| {
        let Some(mark) = server.state().mark_of(role) else {
            return false;
        };
        let owner = context.user_of_uid(&mark.uid);
        let is_own = owner.is_some_and(|owner| owner.namespace() == user.namespace());
        if is_own {
            logins.own.insert(mark.uid);
        }
        !is_own
    };
    let options = settings.options.iter();
    let groups = options.flat_map(|options| options.member_of.difference(&options.named));
    let foreign = groups.filter(|role| is_foreign(role)).cloned().collect();
    let heir = settings.reassign_owned_to.clone();
    let heir = heir.filter(|heir| !settings.heir_is_named && is_foreign(heir));
    Logins {
        foreign,
        foreign_heir: heir,
        ..logins
    }
}

impl Logins {
    /// What is said of those that the server object has to name in full.
    pub fn refusal(&self) -> Option<Invalid> {
        let group = self.foreign.first();
        let group = group.map(|role| (format!("memberOf has {role:?}"), "roles"));
        let heir = self.foreign_heir.as_ref();
        let heir = heir.map(|role| (format!("reassignOwnedTo is {role:?}"), "reassignOwnedTo"));
        group.or(heir).map(|(what, field)| Invalid {
            reason: "InvalidSettings",
            message: format!(
                "spec.postgresql.{what}, which is the login of another PostgresUser that is not of this namespace: the server \
                 object has to name it in full (spec.postgresql.allowed.{field})"
            ),
        })
    }
}
