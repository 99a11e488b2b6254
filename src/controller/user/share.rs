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
    if observed.record.is_some() || observed.entry.is_some() {
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

/// The roles that a PostgresUser is to be a member of, and that are logins of other namespaces: the server object has to name
/// those in full.
pub fn foreign_logins(context: &Context, user: &PostgresUser, settings: &RoleSettings) -> BTreeSet<String> {
    let (Some(options), Some(server)) = (&settings.options, context.server(&server_key(user))) else {
        return BTreeSet::new();
    };
    let is_foreign = |role: &&String| {
        let mark = server.state().mark_of(role);
        mark.is_some_and(|mark| {
            let owner = context.user_of_uid(&mark.uid);
            owner.is_none_or(|owner| owner.namespace() != user.namespace())
        })
    };
    let unnamed = options.member_of.difference(&options.named);
    unnamed.filter(is_foreign).cloned().collect()
}

/// What is said of such a role.
pub fn foreign(role: &str) -> Invalid {
    Invalid {
        reason: "InvalidSettings",
        message: format!(
            "spec.postgresql.memberOf has {role:?}, which is the login of another PostgresUser that is not of this \
             namespace: the server object has to name it in full (spec.postgresql.allowed.roles)"
        ),
    }
}
