//! Several operators share the work by the labels of server objects: each looks after those that its selector matches,
//! and after the PostgresUsers of these.
//!
//! All of them watch all objects, so that each knows what exists, who has which login, and what is another one's.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use kube::ResourceExt;
use kube::core::{Expression, SelectorExt};

use super::context::{Context, server_key};
use super::server_spec::ServerObject;
use super::user::family;
use super::user::observe::contender;
use super::user::placement::{self, Whereabouts};
use super::user::wanted;
use crate::api::PostgresUser;
use crate::domain::claims::Right;
use crate::domain::identity::{ExclusionKey, RemoteIdentity};

/// Which server objects are looked after, by their labels, in the grammar of `kubectl get --selector`. The default
/// selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(kube::core::Selector);

impl Selector {
    /// Whether a server object is looked after here.
    pub fn selects(&self, object: &ServerObject) -> bool {
        match &object.meta().labels {
            Some(labels) => self.0.matches(labels),
            None => self.0.matches(&Default::default()),
        }
    }
}

/// A selector that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSelector(String);

impl std::error::Error for NoSelector {}

impl fmt::Display for NoSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} asks nothing of a label: write key=value, key!=value, key in (a,b), key notin (a,b), key, or !key; \
             several are separated by commas",
            self.0
        )
    }
}

impl FromStr for Selector {
    type Err = NoSelector;

    fn from_str(text: &str) -> Result<Self, NoSelector> {
        let expressions = requirements(text).into_iter().map(|requirement| {
            let requirement = requirement.trim();
            expression(requirement).ok_or_else(|| NoSelector(requirement.to_string()))
        });
        expressions.collect::<Result<_, _>>().map(Self)
    }
}

/// Splits at the commas that are not within parentheses.
fn requirements(text: &str) -> Vec<&str> {
    let mut within = false;
    let parts = text.split(|c: char| {
        within = (within || c == '(') && c != ')';
        c == ',' && !within
    });
    parts.collect()
}

fn expression(text: &str) -> Option<Expression> {
    if let Some((key, values)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let (key, operator) = key.trim().rsplit_once(char::is_whitespace)?;
        let values: Option<BTreeSet<_>> = values.split(',').map(value).collect();
        return match operator {
            "in" => Some(Expression::In(key_of(key)?, values?)),
            "notin" => Some(Expression::NotIn(key_of(key)?, values?)),
            _ => None,
        };
    }
    if let Some((key, unwanted)) = text.split_once("!=") {
        return Some(Expression::NotEqual(key_of(key)?, value(unwanted)?));
    }
    if let Some((key, wanted)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(Expression::Equal(key_of(key)?, value(wanted)?));
    }
    match text.strip_prefix('!') {
        Some(key) => key_of(key).map(Expression::DoesNotExist),
        None => key_of(text).map(Expression::Exists),
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

fn key_of(text: &str) -> Option<String> {
    let key = text.trim();
    (!key.is_empty() && key.chars().all(|c| is_of_a_name(c) || c == '/')).then(|| key.to_string())
}

fn value(text: &str) -> Option<String> {
    let value = text.trim();
    value.chars().all(is_of_a_name).then(|| value.to_string())
}

/// Whether a PostgresUser is worked on here. One whose server object does not exist is told so by everybody.
pub fn works_on(context: &Context, user: &PostgresUser) -> bool {
    !matches!(placement::of(context, user), Whereabouts::Elsewhere)
}

/// What has to be known of every PostgresUser, by whomever it is worked on: which remote user it has, or wants.
pub fn note_owner(context: &Context, user: &PostgresUser) {
    if context.unread.of(&user.metadata).is_some() {
        return note_owner_as_read(context, user);
    }
    let object = ServerObject::find(context, &server_key(user));
    let recorded = user.record().map(RemoteIdentity::of_record);
    let right = match &object {
        _ if recorded.is_some() => Right::Record,
        Some(object) if claims_elsewhere(context, user, object) => Right::Claim,
        _ => Right::Wish,
    };
    let named = || object.as_ref().and_then(ServerObject::identity);
    if let Some(identity) = recorded.or_else(named) {
        let all = family::contended_by(user, identity, |name| match user.record_of(name) {
            _ if name == user.username() => right,
            None if right == Right::Record => Right::Claim,
            None => right,
            Some(_) => Right::Record,
        });
        context.contend_for(&all, contender(user, right), None);
    }
}

/// Whether a claim of a PostgresUser that another operator works on counts, as far as can be seen from here: its server
/// object admits it, and has been reached.
fn claims_elsewhere(context: &Context, user: &PostgresUser, object: &ServerObject) -> bool {
    let (Some(identity), Some(provider)) = (object.identity(), object.provider()) else {
        return false;
    };
    let has_worked = object
        .status()
        .is_some_and(|status| status.credentials_mac.is_some());
    has_worked
        && object.admits(context, &user.namespace().unwrap_or_default())
        && wanted::invalid_username(user, Some(object), provider.capabilities()).is_none()
        && placement::claim(user)
            .is_some_and(|claim| claim.is_of(&context.installation, &identity, user.username()))
}

/// Of one that could not be read as a whole, what has been begun for it: whatever its spec asks for, that stays its own.
/// A claim of which no journal knows has begun nothing.
fn note_owner_as_read(context: &Context, user: &PostgresUser) {
    let record = user
        .status
        .as_ref()
        .and_then(|status| status.remote_users.first());
    let recorded = record.map(|record| ExclusionKey {
        identity: RemoteIdentity::of_record(record),
        username: record.username.clone(),
    });
    if let Some(key) = recorded.or_else(|| context.staged_for(&user.uid().unwrap_or_default())) {
        context.contend(key, contender(user, Right::Record));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        let selector: Selector = selector.parse().unwrap();
        selector.0.matches(&labels)
    }

    #[test]
    fn a_selector_is_read_as_kubectl_reads_it() {
        let labels = [("pguser.dev/shard", "a"), ("tier", "gold")];
        for selected in [
            "pguser.dev/shard=a",
            "pguser.dev/shard == a , tier=gold",
            "pguser.dev/shard in (a, b),tier",
            "pguser.dev/shard notin (b,c)",
            "other notin (b)",
            "pguser.dev/shard!=b",
            "other!=b",
            "!other",
        ] {
            assert!(matches(selected, &labels), "{selected}");
        }
        for left_alone in [
            "pguser.dev/shard=b",
            "tier,!tier",
            "other",
            "tier in (silver)",
            "tier=",
        ] {
            assert!(!matches(left_alone, &labels), "{left_alone}");
        }
    }

    #[test]
    fn a_selector_that_asks_nothing_is_refused_with_what_can_be_written() {
        for nonsense in [
            "", "a=b,", "a b", "a is (b)", "in (b)", "a=b=c", "a in (b", "!", "a=(b)",
        ] {
            let refused = nonsense.parse::<Selector>().unwrap_err().to_string();
            assert!(refused.contains("key in (a,b)"), "{nonsense}: {refused}");
        }
    }
}
