//! What a login is besides its name and its password: what is wanted of it, what is seen of it, and how the two
//! differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::parameters::{self, Parameters};

/// The roles that a login was made a member of because its spec asked for it, each with the role that counts as having granted
/// it: the operator's own login, or, where that has its right to grant from another role, that one. None: of before that was
/// recorded.
pub type Memberships = BTreeMap<String, Option<String>>;

/// What is wanted of a login besides its name and its password. A provider looks at what it knows of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleSettings {
    /// The login may only read. Decided when it is made, and for good (Scalingo).
    #[serde(default)]
    pub read_only: bool,
    /// The role's attributes and memberships; none: they are nobody's business but the database's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<RoleOptions>,
    /// Who gets what the role owns when it is deleted; none: a role that owns anything is not deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reassign_owned_to: Option<String>,
    /// The server object lets the login be taken over although it has power over others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopts_power: bool,
    /// The server object names that one in full.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reassign_is_named: bool,
    /// The UIDs of the PostgresUsers of the same namespace whose logins are among the roles that are named here.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub own: BTreeSet<String>,
    /// Sessions that were begun before a change of its password end with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_sessions: bool,
}

impl RoleSettings {
    /// What of it a deletion asks for: many deletions wait in a journal at once, and have to fit.
    pub fn of_deletion(&self) -> Self {
        Self {
            reassign_owned_to: self.reassign_owned_to.clone(),
            reassign_is_named: self.reassign_is_named,
            own: self.own.clone(),
            ..Self::default()
        }
    }

    /// Whether somebody is to log in; so it is where nothing is said of attributes.
    pub fn logs_in(&self) -> bool {
        self.options.as_ref().is_none_or(|options| options.login)
    }
}

/// The attributes and memberships that a role should have, in PostgreSQL's words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleOptions {
    /// LOGIN. Without, it has no password either.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub login: bool,
    /// The roles that it is a member of.
    #[serde(default)]
    pub member_of: BTreeSet<String>,
    /// Those of them that the server object names in full, so that it may be meant although it gives much away.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub named: BTreeSet<String>,
    /// What was asked for before: taken back if it is not any more, whoever counts as having granted it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub applied: Memberships,
    /// CONNECTION LIMIT; -1: none.
    pub connection_limit: i32,
    /// VALID UNTIL; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// CREATEDB.
    pub create_database: bool,
    /// CREATEROLE.
    pub create_role: bool,
    /// INHERIT.
    pub inherit: bool,
    /// The parameters that it sets for its sessions.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub config: Parameters,
    /// Those that were asked for before: reset if they are not any more. Others are nobody's business but the database's.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub applied_config: BTreeSet<String>,
}

fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes what it asks about by reference"
)]
fn is_true(value: &bool) -> bool {
    *value
}

impl Default for RoleOptions {
    /// As `CREATE ROLE … LOGIN` makes it.
    fn default() -> Self {
        Self {
            login: true,
            member_of: BTreeSet::new(),
            named: BTreeSet::new(),
            applied: Memberships::new(),
            connection_limit: -1,
            valid_until: None,
            create_database: false,
            create_role: false,
            inherit: true,
            config: Parameters::new(),
            applied_config: BTreeSet::new(),
        }
    }
}

/// What a provider shows of a login besides its name and dates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Traits {
    /// Whether the login may only read; none where the provider has no such thing.
    pub read_only: Option<bool>,
    /// The role as it is; none where the provider does not show it. Thousands are alike but for their names.
    pub role: Option<Arc<FoundRole>>,
    /// Changes whenever the password does: by SQL a digest of what the server keeps of it, from which a weak password
    /// could be guessed; beyond the provider only a MAC of that under our key. None where it cannot be read.
    pub password_stamp: Option<String>,
    /// How many sessions it has; none where the provider does not show that, and in lists.
    pub sessions: Option<u32>,
}

/// A role as it is on the server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FoundRole {
    /// LOGIN. Without, no password works.
    pub login: bool,
    /// CONNECTION LIMIT; -1: none.
    pub connection_limit: i32,
    /// VALID UNTIL; none: for ever.
    pub valid_until: Option<Timestamp>,
    /// CREATEDB.
    pub create_database: bool,
    /// CREATEROLE.
    pub create_role: bool,
    /// INHERIT.
    pub inherit: bool,
    /// BYPASSRLS, which nobody gets from here.
    pub bypass_rls: bool,
    /// A superuser, for replication, or the operator's own login: nobody is made a member of it.
    pub unattainable: bool,
    /// The roles that it is a member of by a grant of this operator's own login: kept exactly as wanted.
    pub granted: BTreeSet<String>,
    /// The roles that it is a member of by somebody else's grant: left alone, unless they were granted because its spec asked.
    pub granted_by_others: BTreeSet<String>,
    /// Those that the change which this is the answer to has granted.
    pub just_granted: Memberships,
    /// The parameters that it sets for its sessions, whoever said so.
    pub config: Parameters,
}

/// How much a role gives to whoever becomes a member of it, by itself or by the roles that it is a member of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// No more than it was given.
    Plain,
    /// It has CREATEROLE or BYPASSRLS.
    Over,
    /// It is a superuser, for replication, or the operator's own login.
    All,
}

impl FoundRole {
    /// How much it gives by itself.
    pub fn own_power(&self) -> Power {
        match self.unattainable {
            true => Power::All,
            false if self.is_powerful() => Power::Over,
            false => Power::Plain,
        }
    }

    /// The roles that it is a member of, whoever has granted that.
    pub fn groups(&self) -> impl Iterator<Item = &String> {
        self.granted.iter().chain(&self.granted_by_others)
    }

    /// Whether it has power over other roles, or over what they must not see.
    pub fn is_powerful(&self) -> bool {
        self.create_role || self.bypass_rls
    }

    /// About how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        const EACH: usize = 64;
        let groups: usize = self.groups().map(|group| group.len() + EACH).sum();
        let config = self.config.iter();
        let config: usize = config
            .map(|(name, value)| name.len() + value.len() + 2 * EACH)
            .sum();
        size_of::<Self>() + groups + config
    }

    /// A role as `CREATE ROLE … LOGIN` makes it.
    pub fn as_created() -> Self {
        let plain = RoleOptions::default();
        Self {
            login: true,
            connection_limit: plain.connection_limit,
            valid_until: plain.valid_until,
            create_database: plain.create_database,
            create_role: plain.create_role,
            inherit: plain.inherit,
            bypass_rls: false,
            unattainable: false,
            granted: plain.member_of.clone(),
            granted_by_others: plain.member_of,
            just_granted: Memberships::new(),
            config: plain.config,
        }
    }
}

impl RoleOptions {
    /// The memberships by others' grants that are ours to take back.
    pub fn surplus<'a>(&'a self, found: &'a FoundRole) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let ours = self.applied.iter().filter(|(role, _)| {
            !self.member_of.contains(*role)
                && found.granted_by_others.contains(*role)
                && !found.granted.contains(*role)
        });
        ours.map(|(role, grantor)| (role.as_str(), grantor.as_deref()))
    }

    /// The parameters that are not as they should be, with their values.
    pub fn to_set<'a>(&'a self, found: &'a FoundRole) -> impl Iterator<Item = (&'a str, &'a str)> {
        let differs = |name: &str, value: &str| {
            let found = found.config.get(name);
            !found.is_some_and(|found| parameters::is_same(name, value, found))
        };
        let all = self
            .config
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(move |(name, value)| differs(name, value))
    }

    /// The parameters that were asked for, and are not any more.
    pub fn to_reset<'a>(&'a self, found: &'a FoundRole) -> impl Iterator<Item = &'a str> {
        let surplus = |name: &&String| !self.config.contains_key(*name) && found.config.contains_key(*name);
        self.applied_config.iter().filter(surplus).map(String::as_str)
    }

    /// What of a role is not as it should be, in PostgreSQL's words; empty if all is.
    pub fn differences(&self, found: &FoundRole) -> Vec<&'static str> {
        let missing = self
            .member_of
            .iter()
            .any(|role| !found.granted.contains(role) && !found.granted_by_others.contains(role));
        let too_many = found.granted.iter().any(|role| !self.member_of.contains(role))
            || self.surplus(found).next().is_some();
        [
            (found.login != self.login, "LOGIN"),
            (
                found.connection_limit != self.connection_limit,
                "CONNECTION LIMIT",
            ),
            (found.valid_until != self.valid_until, "VALID UNTIL"),
            (found.create_database != self.create_database, "CREATEDB"),
            (found.create_role != self.create_role, "CREATEROLE"),
            (found.inherit != self.inherit, "INHERIT"),
            (missing || too_many, "memberships"),
            (
                self.to_set(found).next().is_some() || self.to_reset(found).next().is_some(),
                "configuration parameters",
            ),
        ]
        .into_iter()
        .filter_map(|(differs, what)| differs.then_some(what))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_string()).collect()
    }

    #[test]
    fn the_default_is_what_create_role_makes() {
        assert!(
            RoleOptions::default()
                .differences(&FoundRole::as_created())
                .is_empty()
        );
    }

    #[test]
    fn a_grant_of_somebody_else_counts_if_wanted_and_is_left_alone_if_not() {
        let wanted = RoleOptions {
            member_of: names(&["readers"]),
            ..RoleOptions::default()
        };
        assert_eq!(wanted.differences(&FoundRole::as_created()), ["memberships"]);
        let by_others = FoundRole {
            granted_by_others: names(&["readers", "writers"]),
            ..FoundRole::as_created()
        };
        assert!(wanted.differences(&by_others).is_empty());
        // Somebody else counts as having granted it, because the operator may grant as a member of that role.
        let asked_before = RoleOptions {
            applied: [("writers".to_string(), Some("dba".to_string()))].into(),
            ..wanted.clone()
        };
        assert_eq!(asked_before.differences(&by_others), ["memberships"]);
        assert_eq!(
            asked_before.surplus(&by_others).collect::<Vec<_>>(),
            [("writers", Some("dba"))]
        );
        let too_many = FoundRole {
            granted: names(&["readers", "writers"]),
            ..FoundRole::as_created()
        };
        assert_eq!(wanted.differences(&too_many), ["memberships"]);
    }

    #[test]
    fn parameters_that_the_spec_asked_for_are_kept_and_others_left_alone() {
        let config = |all: &[(&str, &str)]| -> Parameters {
            let all = all
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()));
            all.collect()
        };
        let found = FoundRole {
            config: config(&[
                ("search_path", "\"app\", public"),
                ("work_mem", "1MB"),
                ("jit", "off"),
            ]),
            ..FoundRole::as_created()
        };
        assert!(
            RoleOptions::default().differences(&found).is_empty(),
            "a DBA's own"
        );
        let wanted = RoleOptions {
            config: config(&[("search_path", "app, public"), ("work_mem", "2MB")]),
            applied_config: names(&["search_path", "jit", "gone"]),
            ..RoleOptions::default()
        };
        assert_eq!(wanted.differences(&found), ["configuration parameters"]);
        assert_eq!(wanted.to_set(&found).collect::<Vec<_>>(), [("work_mem", "2MB")]);
        assert_eq!(wanted.to_reset(&found).collect::<Vec<_>>(), ["jit"]);
    }

    #[test]
    fn every_attribute_that_differs_is_named() {
        let other = FoundRole {
            login: false,
            connection_limit: 3,
            valid_until: Some(Timestamp::UNIX_EPOCH),
            create_database: true,
            create_role: true,
            inherit: false,
            ..FoundRole::as_created()
        };
        assert_eq!(
            RoleOptions::default().differences(&other),
            [
                "LOGIN",
                "CONNECTION LIMIT",
                "VALID UNTIL",
                "CREATEDB",
                "CREATEROLE",
                "INHERIT"
            ]
        );
    }
}
