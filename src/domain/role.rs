//! What a login is besides its name and its password: what is wanted of it, what is seen of it, and how the two
//! differ.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    pub heir_is_named: bool,
}

/// The attributes and memberships that a role should have, in PostgreSQL's words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleOptions {
    /// The roles that it is a member of.
    #[serde(default)]
    pub member_of: BTreeSet<String>,
    /// Those of them that the server object names in full, so that it may be meant although it gives much away.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub named: BTreeSet<String>,
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
}

impl Default for RoleOptions {
    /// As `CREATE ROLE … LOGIN` makes it.
    fn default() -> Self {
        Self {
            member_of: BTreeSet::new(),
            named: BTreeSet::new(),
            connection_limit: -1,
            valid_until: None,
            create_database: false,
            create_role: false,
            inherit: true,
        }
    }
}

/// What a provider shows of a login besides its name and dates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Traits {
    /// Whether the login may only read; none where the provider has no such thing.
    pub read_only: Option<bool>,
    /// The role as it is; none where the provider does not show it.
    pub role: Option<FoundRole>,
    /// Changes whenever the password does: by SQL a digest of what the server keeps of it, from which a weak password
    /// could be guessed; beyond the provider only a MAC of that under our key. None where it cannot be read.
    pub password_stamp: Option<String>,
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
    /// The roles that it is a member of by a grant of this operator's own login: kept exactly as wanted.
    pub granted: BTreeSet<String>,
    /// The roles that it is a member of by somebody else's grant: left alone.
    pub granted_by_others: BTreeSet<String>,
}

impl FoundRole {
    /// Whether it has power over other roles, or over what they must not see.
    pub fn is_powerful(&self) -> bool {
        self.create_role || self.bypass_rls
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
            granted: plain.member_of.clone(),
            granted_by_others: plain.member_of,
        }
    }
}

impl RoleOptions {
    /// What of a role is not as it should be, in PostgreSQL's words; empty if all is.
    pub fn differences(&self, found: &FoundRole) -> Vec<&'static str> {
        let missing = self
            .member_of
            .iter()
            .any(|role| !found.granted.contains(role) && !found.granted_by_others.contains(role));
        let too_many = found.granted.iter().any(|role| !self.member_of.contains(role));
        [
            (!found.login, "LOGIN"),
            (
                found.connection_limit != self.connection_limit,
                "CONNECTION LIMIT",
            ),
            (found.valid_until != self.valid_until, "VALID UNTIL"),
            (found.create_database != self.create_database, "CREATEDB"),
            (found.create_role != self.create_role, "CREATEROLE"),
            (found.inherit != self.inherit, "INHERIT"),
            (missing || too_many, "memberships"),
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
        let too_many = FoundRole {
            granted: names(&["readers", "writers"]),
            ..FoundRole::as_created()
        };
        assert_eq!(wanted.differences(&too_many), ["memberships"]);
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
