//! What a namespace may have of a server that others use, too.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;

use crate::api::{DeniedMembership, PostgresUser, Reason};
use crate::controller::context::Context;
use crate::domain::claims::Right;
use crate::domain::plan::{Invalid, Observed};
use crate::domain::role::{FoundRole, Power, RoleSettings};
use crate::objects::{ServerKey, ServerObject, contender};

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
        reason: Reason::TooManyLogins,
        message: format!(
            "this namespace has {before} logins on this server, and the server object allows it {most} \
             (spec.limits.loginsPerNamespace): delete one that is not needed, or ask whoever keeps the server object"
        ),
    })
}

/// Why a role is nobody's to have by a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denied {
    /// It is the login of another namespace.
    Foreign,
    /// It has power over others.
    Over,
    /// Not even one that is named in full.
    All,
}

impl Denied {
    fn of(power: Power, is_named: bool) -> Option<Self> {
        match power {
            Power::All => Some(Self::All),
            Power::Over if !is_named => Some(Self::Over),
            Power::Over | Power::Plain => None,
        }
    }

    /// What is said of such a role, and what is to be done.
    fn words(self) -> (&'static str, &'static str) {
        const NAME: &str = "the server object has to name it in full";
        match self {
            Self::Foreign => (
                "is the login of another PostgresUser that is not of this namespace",
                NAME,
            ),
            Self::Over => (
                "has CREATEROLE or BYPASSRLS, or is a member of a role that does, which no pattern covers",
                NAME,
            ),
            Self::All => (
                "is a superuser, for replication, or the operator's own login, or is a member of one that is",
                "nobody is made a member of it",
            ),
        }
    }
}

/// The roles that a PostgresUser names and does not get, although a pattern of its server object covers them.
#[derive(Debug, Default)]
pub struct Logins {
    /// Those that it is to be a member of.
    denied: BTreeMap<String, Denied>,
    /// One that is to get what it owns.
    denied_reassign_to: Option<(String, Denied)>,
    /// Whether all roles have been seen.
    known: bool,
    /// The UIDs of the PostgresUsers of its own namespace whose logins are among the roles that it names.
    pub own: BTreeSet<String>,
}

/// What a PostgresUser is not to have of what it names, as far as that was seen.
pub fn logins(context: &Context, user: &PostgresUser, settings: &RoleSettings) -> Logins {
    let mut logins = Logins::default();
    let Some(server) = context.server(&ServerKey::named_by(user)) else {
        return logins;
    };
    let mut own = BTreeSet::new();
    let mut is_foreign = |role: &str| {
        let Some(mark) = server.state().mark_of(role) else {
            return false;
        };
        let owner = context.user_of_uid(&mark.uid);
        let is_own = owner.is_some_and(|owner| owner.namespace() == user.namespace());
        if is_own {
            own.insert(mark.uid);
        }
        !is_own
    };
    let mut why = |role: &str, is_named: bool| {
        let power = server.state().power_of(role).unwrap_or(Power::Plain);
        let is_foreign = !is_named && is_foreign(role);
        Denied::of(power, is_named).or(is_foreign.then_some(Denied::Foreign))
    };
    for options in settings.options.iter() {
        let groups = options.member_of.iter();
        let denied = groups.filter_map(|role| Some((role.clone(), why(role, options.named.contains(role))?)));
        logins.denied.extend(denied);
    }
    let reassign_to = settings.reassign_owned_to.as_ref();
    logins.denied_reassign_to = reassign_to
        .and_then(|reassign_to| Some((reassign_to.clone(), why(reassign_to, settings.reassign_is_named)?)));
    logins.known = server.state().has_list();
    logins.own = own;
    logins
}

/// What the login was last seen to be.
pub fn found(observed: &Observed) -> Option<&FoundRole> {
    let user = observed
        .observation
        .as_ref()
        .and_then(|observation| observation.user.as_ref())?;
    user.traits.role.as_deref()
}

impl Logins {
    /// What is said of those that are not given. Whoever has no login yet gets one without a role that has power over others, and
    /// hears of it then; with the login of another namespace nobody begins.
    pub fn refusal(&self, has_login: bool) -> Option<Invalid> {
        let is_told = |why: Denied| has_login || why == Denied::Foreign;
        let group = self.denied.iter().find(|(_, why)| is_told(**why));
        let group = group.map(|(role, why)| (format!("memberOf has {role:?}"), "roles", *why));
        let reassign_to = self.denied_reassign_to.as_ref().filter(|(_, why)| is_told(*why));
        let reassign_to =
            reassign_to.map(|(role, why)| (format!("reassignOwnedTo is {role:?}"), "reassignOwnedTo", *why));
        group.or(reassign_to).map(|(what, field, why)| {
            let (is, needed) = why.words();
            Invalid {
                reason: Reason::InvalidSettings,
                message: format!(
                    "spec.postgresql.{what}, which {is}: {needed} (spec.postgresql.allowed.{field}). A membership that there is stays \
                     until the server object is changed"
                ),
            }
        })
    }

    /// The memberships that there are and that are not allowed, with when that was found first: those of before, as far as
    /// they are still there, and what is new.
    pub fn denied_memberships(
        &self,
        user: &PostgresUser,
        found: Option<&FoundRole>,
        object: Option<&ServerObject>,
    ) -> Vec<DeniedMembership> {
        let before = user
            .status
            .as_ref()
            .map(|status| status.denied_memberships.as_slice());
        let before = before.unwrap_or_default();
        let (Some(object), Some(found), true) = (object, found, self.known) else {
            return before.to_vec();
        };
        let is_member = |role: &String| found.groups().any(|group| group == role);
        let there = self.denied.keys().filter(|role| is_member(role));
        let noted = there.map(|role| {
            let known = before.iter().find(|it| it.role == *role).cloned();
            known.unwrap_or_else(|| DeniedMembership {
                role: role.clone(),
                server_uid: object.uid(),
                server_generation: object.meta().generation.unwrap_or_default(),
            })
        });
        noted.collect()
    }

    /// Settings without the memberships that are not allowed. One that there is stays while the server object is as it was when
    /// that was found: it was given by what was allowed then, and whoever keeps the server object is to see it first.
    pub fn without_denied(
        &self,
        mut settings: RoleSettings,
        noted: &[DeniedMembership],
        object: Option<&ServerObject>,
    ) -> RoleSettings {
        let is_as_it_was = |noted: &DeniedMembership| {
            object.is_some_and(|object| {
                noted.server_uid == object.uid() && Some(noted.server_generation) == object.meta().generation
            })
        };
        let stays = |role: &str| noted.iter().any(|it| it.role == role && is_as_it_was(it));
        if let Some(options) = &mut settings.options {
            options
                .member_of
                .retain(|role| !self.denied.contains_key(role) || stays(role));
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::domain::role::RoleOptions;

    fn server(generation: i64) -> ServerObject {
        let object = json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresServer",
            "metadata": {"name": "s", "namespace": "n", "uid": "server", "generation": generation},
            "spec": {"postgresql": {"host": "h", "credentialsSecretRef": {"name": "c"}}},
        });
        ServerObject::Namespaced(Arc::new(serde_json::from_value(object).unwrap()))
    }

    fn user(noted: &[DeniedMembership]) -> PostgresUser {
        let spec = json!({"serverRef": {"name": "s"}});
        let object = json!({"metadata": {"name": "u"}, "spec": spec, "status": {"deniedMemberships": noted}});
        serde_json::from_value(object).unwrap()
    }

    fn member_of(groups: &[&str]) -> FoundRole {
        FoundRole {
            granted: groups.iter().map(|group| (*group).to_string()).collect(),
            ..FoundRole::as_created()
        }
    }

    fn denied(known: bool) -> Logins {
        Logins {
            denied: [("makers".to_string(), Denied::Over)].into(),
            known,
            ..Logins::default()
        }
    }

    fn wanted() -> RoleSettings {
        RoleSettings {
            options: Some(RoleOptions {
                member_of: ["makers", "readers"].map(str::to_string).into(),
                ..RoleOptions::default()
            }),
            ..RoleSettings::default()
        }
    }

    /// Which memberships are wanted, and what is noted, when a login is seen like this under that generation.
    fn seen(
        found: &FoundRole,
        before: &[DeniedMembership],
        generation: i64,
    ) -> (Vec<String>, Vec<DeniedMembership>) {
        let (logins, object) = (denied(true), server(generation));
        let noted = logins.denied_memberships(&user(before), Some(found), Some(&object));
        let settings = logins.without_denied(wanted(), &noted, Some(&object));
        let options = settings.options.unwrap();
        (options.member_of.into_iter().collect(), noted)
    }

    #[test]
    fn a_membership_that_an_upgrade_does_not_allow_is_told_and_stays_until_the_server_object_changes() {
        let has = member_of(&["makers", "readers"]);
        let (wanted, noted) = seen(&has, &[], 7);
        assert_eq!(wanted, ["makers", "readers"]);
        assert_eq!(
            (noted[0].role.as_str(), noted[0].server_generation),
            ("makers", 7)
        );
        assert_eq!(
            seen(&has, &noted, 7),
            (wanted, noted.clone()),
            "and then nothing changes"
        );
        assert!(
            denied(true).refusal(false).is_none(),
            "a login is made without it"
        );
        let message = denied(true).refusal(true).unwrap().message;
        assert!(
            message.contains("\"makers\"") && message.contains("allowed.roles"),
            "{message}"
        );
        // Whoever keeps the server object has changed it, whatever it was.
        assert_eq!(
            seen(&has, &noted, 8),
            (vec!["readers".to_string()], noted.clone())
        );
        // Once it is taken back, nothing is remembered of it.
        assert_eq!(seen(&member_of(&["readers"]), &noted, 8).1, []);
    }

    #[test]
    fn what_a_login_does_not_have_yet_it_does_not_get() {
        let (wanted, noted) = seen(&member_of(&["readers"]), &[], 7);
        assert_eq!((wanted, noted), (vec!["readers".to_string()], Vec::new()));
    }

    #[test]
    fn before_all_roles_were_seen_what_is_noted_stays() {
        let (_, noted) = seen(&member_of(&["makers"]), &[], 7);
        let unknown = Logins::default();
        assert_eq!(
            unknown.denied_memberships(&user(&noted), None, Some(&server(8))),
            noted
        );
        let found = member_of(&[]);
        assert_eq!(
            unknown.denied_memberships(&user(&noted), Some(&found), Some(&server(8))),
            noted
        );
    }
}
