//! The switches: one for each behaviour that the vendors' documents leave open.
//!
//! A test that depends on a guess should have to name the guess. So every such choice sits here, with the values it
//! may take, the value it has unless told otherwise, and what it stands for; `--help` prints this table.

use std::{collections::BTreeMap, fmt::Write as _};

/// What values a switch takes.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// Exactly one of these words.
    OneOf(&'static [&'static str]),
    /// Any of these words, separated by commas; may be empty.
    AnyOf(&'static [&'static str]),
    /// A whole number of at least zero.
    Number,
    /// A whole number, which may be negative.
    Signed,
    /// A whole number of at least one, or `off`.
    OffOrNumber,
    /// Words separated by commas; may be empty.
    Names,
}

/// One undocumented behaviour.
#[derive(Debug)]
pub struct Switch {
    /// What it is called on the command line and in the admin API.
    pub name: &'static str,
    /// The values it takes.
    pub values: Values,
    /// The value it starts with.
    pub default: &'static str,
    /// What it stands for.
    pub about: &'static str,
}

const fn switch(name: &'static str, values: Values, default: &'static str, about: &'static str) -> Switch {
    Switch {
        name,
        values,
        default,
        about,
    }
}

use Values::{AnyOf, Names, Number, OffOrNumber, OneOf, Signed};

/// Declares each switch as a static of its own and lists them all in [`ALL`].
macro_rules! switches {
    ($($id:ident: $name:literal, $values:expr, $default:literal, $about:literal;)*) => {
        $(#[doc = $about] pub static $id: Switch = switch($name, $values, $default, $about);)*
        /// Every switch, in the order in which `--help` shows them.
        pub static ALL: &[&Switch] = &[$(&$id),*];
    };
}

switches! {
    DUPLICATE: "duplicate", OneOf(&["422", "409"]), "422",
        "status of a POST whose username exists";
    ACCOUNT: "account", OneOf(&["full", "trial", "read-only"]), "full",
        "what the caller may do: with trial every mutation is a 402, with read-only a 403";
    RESERVED: "reserved", OneOf(&["422", "403", "accept"]), "422",
        "what a POST of a reserved username meets";
    RESERVED_NAMES: "reserved-names", Names, "postgres,admin,standby",
        "the reserved usernames (the vendor documents these three as examples, not as the whole list)";
    SYSTEM_MUTATION: "system-mutation", OneOf(&["422", "403"]), "422",
        "status of a PATCH or DELETE of a system user";
    LONG_NAMES: "long-names", OneOf(&["refuse", "truncate"]), "refuse",
        "a username of at most 63 characters but more than 63 bytes: 422, or cut as PostgreSQL cuts identifiers";
    PATH_USERNAME: "path-username", OneOf(&["422", "404"]), "422",
        "status for a username in the path that is longer than 63 characters";
    UNPARSABLE_QUERY: "unparsable-query", OneOf(&["400", "422"]), "400",
        "status for a limit, offset or system that is no number or boolean (out of range is always 422)";
    EMPTY_PATCH: "empty-patch", OneOf(&["ok", "422"]), "ok",
        "a PATCH whose properties hold no password";
    MISSING_PASSWORD: "missing-password", OneOf(&["422", "accept"]), "422",
        "a POST without a password; accepted, it makes a login role that cannot log in with any";
    POST_SYSTEM_FIELD: "post-system-field", OneOf(&["ignore", "422"]), "ignore",
        "a POST that sends the read-only property system";
    UNKNOWN_FIELDS: "unknown-fields", OneOf(&["ignore", "422"]), "ignore",
        "a body with fields that the schema does not have";
    OWNED_OBJECTS: "owned-objects", OneOf(&["422", "409", "500", "cascade"]), "422",
        "DELETE of a role that owns objects or holds grants: a status, or drop the objects with it";
    FAST_DELETE: "fast-delete", OneOf(&["ok", "500"]), "ok",
        "a DELETE soon after another DELETE";
    FAST_DELETE_WINDOW_MS: "fast-delete-window-ms", Number, "10000",
        "how long after a DELETE another one counts as soon";
    DELETE: "delete", OneOf(&["sync", "async"]), "sync",
        "async: 204 at once, but user and role stay until delete-lag-ms has passed";
    DELETE_LAG_MS: "delete-lag-ms", Number, "0",
        "how long an async DELETE takes";
    DELETE_WHILE_DELETING: "delete-while-deleting", OneOf(&["204", "404", "422"]), "204",
        "status of a DELETE of a user that an async DELETE is removing";
    PATCH_WHILE_DELETING: "patch-while-deleting", OneOf(&["422", "404", "200"]), "422",
        "status of a PATCH of a user that an async DELETE is removing";
    BUSY_AFTER: "busy-after", AnyOf(&["create", "patch", "delete"]), "create,patch,delete",
        "which mutations turn the cluster BUSY";
    BUSY_MS: "busy-ms", Number, "0",
        "how long a mutation keeps the cluster BUSY";
    WHILE_BUSY: "while-busy", OneOf(&["accept", "409", "422", "423", "503"]), "accept",
        "what a mutation meets while the cluster is BUSY";
    IN_EFFECT: "in-effect", OneOf(&["at-commit", "after-busy"]), "at-commit",
        "when a mutation reaches PostgreSQL: with the answer, or when the BUSY window that it opened ends";
    CREATE_LAG_MS: "create-lag-ms", Number, "0",
        "for how long neither get nor list shows a new user";
    LIST_LAG_MS: "list-lag-ms", Number, "0",
        "how far lists trail behind writes (on top of create-lag-ms)";
    GET_LAG_MS: "get-lag-ms", Number, "0",
        "how far gets trail behind writes (on top of create-lag-ms)";
    LIST_ORDER: "list-order", OneOf(&["username", "unstable-between-pages"]), "username",
        "order of lists; unstable: another order on every request, so that pages overlap and miss users";
    METADATA: "metadata", OneOf(&["full", "absent"]), "full",
        "whether a user has a metadata object (the schema does not require one)";
    LAST_MODIFIED: "last-modified", OneOf(&["mutation", "never"]), "mutation",
        "whether a PATCH moves lastModifiedDate";
    SQL_PASSWORD_CHANGE: "sql-password-change", OneOf(&["unseen", "moves-last-modified"]), "unseen",
        "whether a password changed by SQL moves lastModifiedDate";
    TIMESTAMPS: "timestamps", OneOf(&["seconds", "millis"]), "seconds",
        "precision of timestamps";
    CLOCK_OFFSET_MS: "clock-offset-ms", Signed, "0",
        "how far the API's clock (timestamps and the Date header) is from this machine's";
    RATE_LIMIT: "rate-limit", OffOrNumber, "off",
        "requests allowed in rate-window-ms, over all routes and callers; more get a 429";
    RATE_WINDOW_MS: "rate-window-ms", Number, "60000",
        "the length of the rate limit's sliding window";
    RETRY_AFTER: "retry-after", OneOf(&["seconds", "date", "none"]), "seconds",
        "how a 429 of the rate limit says when to come back";
    ERROR_CONTENT_TYPE: "error-content-type", OneOf(&["problem+json", "json", "html"]), "problem+json",
        "content type of errors; html: a gateway's page instead of the error body";
    SCALINGO_JWT_SECONDS: "scalingo-jwt-seconds", Number, "3600",
        "how long an exchanged token (a JWT) is valid";
    SCALINGO_ADDON_TOKEN_SECONDS: "scalingo-addon-token-seconds", Number, "3600",
        "how long an addon's token is valid";
    SCALINGO_OTHER_DATABASE: "scalingo-other-database", OneOf(&["403", "401", "404"]), "403",
        "status of a request to a database with the token of another one";
    SCALINGO_SHAPE: "scalingo-shape", OneOf(&["rooted", "unrooted"]), "rooted",
        "whether the user that create and reset answer with is under the key database_user";
    SCALINGO_PATCH_ANSWER: "scalingo-patch-answer", OneOf(&["rooted", "unrooted", "empty"]), "rooted",
        "the body of a PATCH's answer";
    SCALINGO_CREATE_PASSWORD: "scalingo-create-password", OneOf(&["always", "generated"]), "always",
        "whether create tells a password that it was given, or only one that it generated";
    SCALINGO_DBMS_ATTRIBUTES: "scalingo-dbms-attributes", OneOf(&["present", "absent"]), "present",
        "whether users have dbms_attributes";
    SCALINGO_NAMES: "scalingo-names", OneOf(&["both", "seed", "docs"]), "both",
        "names: the API reference's rule (seed: hyphens), the guides' (docs: underscores), or what either accepts";
    SCALINGO_MISSING_CONFIRMATION: "scalingo-missing-confirmation", OneOf(&["422", "accept"]), "422",
        "a password without its confirmation";
    SCALINGO_MISSING_ROOT: "scalingo-missing-root", OneOf(&["400", "422"]), "400",
        "status of a body without database_user";
    SCALINGO_DUPLICATE: "scalingo-duplicate", OneOf(&["422", "409"]), "422",
        "status of a create whose name exists";
    SCALINGO_PROTECTED_MUTATION: "scalingo-protected-mutation", OneOf(&["403", "422"]), "403",
        "status of a change of a protected user";
    SCALINGO_NOT_RUNNING: "scalingo-not-running", OneOf(&["409", "422", "400", "500", "503", "accept"]), "409",
        "what an operation meets while the database is not running";
    SCALINGO_NEEDS_RUNNING: "scalingo-needs-running", AnyOf(&["list", "create", "patch", "reset", "delete"]),
        "create,patch,reset,delete",
        "which operations on users that concerns";
    SCALINGO_WRONG_METHOD: "scalingo-wrong-method", OneOf(&["404", "405"]), "404",
        "status of a method that the path does not have, such as a GET of one user";
    SCALINGO_FORCE_SSL: "scalingo-force-ssl", OneOf(&["off", "on", "pending", "failed"]), "off",
        "the database's feature force-ssl";
    SCALINGO_PUBLICLY_AVAILABLE: "scalingo-publicly-available", OneOf(&["off", "on", "pending", "failed"]), "off",
        "the database's feature publicly-available";
    SCALINGO_RATE_LIMIT: "scalingo-rate-limit", OffOrNumber, "off",
        "requests allowed in rate-window-ms for each account (documented for the main API: 60); more get a 429";
    SCALINGO_RATE_HOSTS: "scalingo-rate-hosts", AnyOf(&["auth", "api", "database"]), "auth,api,database",
        "the hosts whose requests are limited";
    SCALINGO_RATE_BUDGET: "scalingo-rate-budget", OneOf(&["per-account", "per-host"]), "per-account",
        "whether an account's limit is one for all of these hosts or one for each";
    SCALINGO_RETRY_AFTER: "scalingo-retry-after", OneOf(&["none", "seconds", "date"]), "none",
        "whether and how a 429 of the rate limit says when to come back";
}

/// Why a switch could not be set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SwitchError {
    /// There is no switch of this name.
    #[error("there is no switch {0:?}; see the list")]
    UnknownName(String),
    /// The switch does not take this value.
    #[error("switch {name} takes {takes}, not {value:?}")]
    BadValue {
        /// The switch.
        name: &'static str,
        /// What it takes.
        takes: String,
        /// What was given.
        value: String,
    },
    /// Not of the form `NAME=VALUE`.
    #[error("a switch is set as NAME=VALUE, not {0:?}")]
    BadForm(String),
}

impl Switch {
    /// What it takes, for people.
    pub fn takes(&self) -> String {
        match self.values {
            OneOf(words) => words.join("|"),
            AnyOf(words) => format!("any of {} (comma-separated, or empty)", words.join(",")),
            Number => "a number".to_owned(),
            Signed => "a number, negative allowed".to_owned(),
            OffOrNumber => "off or a number above 0".to_owned(),
            Names => "names (comma-separated, or empty)".to_owned(),
        }
    }

    fn allows(&self, value: &str) -> bool {
        match self.values {
            OneOf(words) => words.contains(&value),
            AnyOf(words) => value.is_empty() || value.split(',').all(|word| words.contains(&word)),
            Number => value.parse::<u32>().is_ok(),
            Signed => value.parse::<i32>().is_ok(),
            OffOrNumber => value == "off" || value.parse::<u32>().is_ok_and(|number| number > 0),
            Names => true,
        }
    }
}

/// The value of every switch at one moment. A request takes a copy when it arrives, so that one request never sees
/// two values of a switch.
#[derive(Debug, Clone)]
pub struct Switches(BTreeMap<&'static str, String>);

impl Default for Switches {
    fn default() -> Self {
        Switches(
            ALL.iter()
                .map(|switch| (switch.name, switch.default.to_owned()))
                .collect(),
        )
    }
}

impl Switches {
    /// Sets one switch.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SwitchError> {
        let switch = ALL
            .iter()
            .find(|switch| switch.name == name)
            .ok_or_else(|| SwitchError::UnknownName(name.to_owned()))?;
        if !switch.allows(value) {
            return Err(SwitchError::BadValue {
                name: switch.name,
                takes: switch.takes(),
                value: value.to_owned(),
            });
        }
        self.0.insert(switch.name, value.to_owned());
        Ok(())
    }

    /// Sets one switch given as `NAME=VALUE`.
    pub fn set_pair(&mut self, pair: &str) -> Result<(), SwitchError> {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| SwitchError::BadForm(pair.to_owned()))?;
        self.set(name.trim(), value.trim())
    }

    /// The value of a switch.
    pub fn get(&self, switch: &Switch) -> &str {
        self.0.get(switch.name).map_or(switch.default, String::as_str)
    }

    /// Whether a switch has this value.
    pub fn is(&self, switch: &Switch, value: &str) -> bool {
        debug_assert!(switch.allows(value), "{} cannot be {value}", switch.name);
        self.get(switch) == value
    }

    /// Whether a comma-separated switch holds this word.
    pub fn has(&self, switch: &Switch, word: &str) -> bool {
        self.get(switch).split(',').any(|held| held == word)
    }

    /// The number that a switch holds; zero for one that holds none.
    pub fn number(&self, switch: &Switch) -> u64 {
        self.get(switch).parse().unwrap_or(0)
    }

    /// The number that a switch holds, which may be negative.
    pub fn signed(&self, switch: &Switch) -> i64 {
        self.get(switch).parse().unwrap_or(0)
    }

    /// The status that a switch holds, or `None` where it holds another word.
    pub fn status(&self, switch: &Switch) -> Option<u16> {
        self.get(switch).parse().ok()
    }

    /// Every switch with its value.
    pub fn values(&self) -> &BTreeMap<&'static str, String> {
        &self.0
    }
}

/// The table for `--help`.
pub fn help() -> String {
    let mut text = String::from("Switches (--switch NAME=VALUE, or PUT /_sim/switches while running):\n");
    for switch in ALL {
        let _ = write!(
            text,
            "\n  {}={}\n      {}\n      takes: {}\n",
            switch.name,
            switch.default,
            switch.about,
            switch.takes()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_that_its_switch_takes() {
        for switch in ALL {
            assert!(switch.allows(switch.default), "{}", switch.name);
        }
    }

    #[test]
    fn unknown_names_and_values_are_refused() {
        let mut switches = Switches::default();
        assert!(matches!(
            switches.set("nonsense", "1"),
            Err(SwitchError::UnknownName(_))
        ));
        assert!(matches!(
            switches.set("duplicate", "200"),
            Err(SwitchError::BadValue { .. })
        ));
        assert!(matches!(
            switches.set_pair("duplicate"),
            Err(SwitchError::BadForm(_))
        ));
        assert!(switches.is(&DUPLICATE, "422"));
        switches.set_pair("busy-after=create,delete").expect("a subset");
        assert!(switches.has(&BUSY_AFTER, "delete") && !switches.has(&BUSY_AFTER, "patch"));
    }

    #[test]
    fn help_and_readme_name_every_switch() {
        let (help, readme) = (help(), include_str!("../README.md"));
        for switch in ALL {
            assert!(help.contains(switch.name), "{}", switch.name);
            assert!(readme.contains(&format!("`{}`", switch.name)), "{}", switch.name);
        }
    }
}
