//! What Scalingo sends and is sent, as far as it is read. Unknown fields and words are let be; fields that are
//! not needed are read leniently, so that a surprise in one does not hide the rest.
//!
//! The vendor's documents show the answers about a user bare (`{"name":…}`), its own clients read them under a
//! root (`{"database_user":{…}}`). Both are understood.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::domain::endpoint::Host;
use crate::domain::password::Password;
use crate::domain::remote::SslMode;
use crate::domain::role::Traits;
use crate::provider::http::Reply;
use crate::provider::lenient::{Flag, Lenient};
use crate::provider::{Cluster, ClusterState, Creator, RemoteUser};

/// All users. There are no pages.
#[derive(Deserialize)]
pub(super) struct UserList {
    /// Must be there, and be a list: an empty one is said, not left out.
    #[serde(rename = "database-users", alias = "database_users")]
    pub(super) users: Vec<User>,
}

/// A user. The password that answers to creations repeat is not read.
#[derive(Deserialize)]
pub(super) struct User {
    name: String,
    #[serde(default)]
    read_only: Lenient<bool>,
    #[serde(default)]
    protected: Flag,
}

impl From<User> for RemoteUser {
    fn from(user: User) -> Self {
        RemoteUser {
            username: user.name,
            protected: user.protected.0,
            creator: Creator::Unknown,
            created: None,
            modified: None,
            traits: Traits {
                read_only: user.read_only.0,
                ..Traits::default()
            },
        }
    }
}

/// A user whose password the server has made.
#[derive(Deserialize)]
pub(super) struct ResetUser {
    pub(super) name: String,
    pub(super) password: Password,
}

#[derive(Deserialize)]
struct RootedUser<T> {
    #[serde(alias = "database-user")]
    database_user: T,
}

/// The user in an answer, under its root or bare. Nothing is buffered on the way: it may hold a password.
pub(super) fn user_in<T: DeserializeOwned>(reply: &Reply) -> Option<T> {
    match reply.json::<RootedUser<T>>() {
        Some(rooted) => Some(rooted.database_user),
        None => reply.json(),
    }
}

/// The database in an answer, under its root or bare.
pub(super) fn database_in(reply: &Reply) -> Option<Database> {
    #[derive(Deserialize)]
    struct Rooted {
        database: Database,
    }
    match reply.json::<Rooted>() {
        Some(rooted) => Some(rooted.database),
        None => reply.json(),
    }
}

/// A database.
#[derive(Deserialize)]
pub(super) struct Database {
    /// Must be there, or the answer is about something else. It need not be the addon's id.
    #[serde(rename = "id")]
    _id: String,
    #[serde(default)]
    status: Lenient<String>,
    #[serde(default)]
    hostname: Lenient<String>,
    #[serde(default)]
    resource_id: Lenient<String>,
    #[serde(default)]
    plan: Lenient<String>,
    #[serde(default)]
    type_name: Lenient<String>,
    #[serde(default)]
    features: Lenient<Vec<Feature>>,
}

/// Something that can be switched on.
#[derive(Deserialize)]
struct Feature {
    #[serde(default)]
    name: Lenient<String>,
    #[serde(default)]
    status: Lenient<String>,
}

impl Database {
    /// Whether the server takes no connection without TLS: it was switched on, or the plan is a dedicated one,
    /// where it is always so. Those plans are told by their names (`postgresql-dr-…`, of the type
    /// `postgresql-ng`); no field says it.
    fn forces_tls(&self) -> bool {
        let switched_on = self.features.0.iter().flatten().any(|feature| {
            let (name, status) = (feature.name.0.as_deref(), feature.status.0.as_deref());
            name == Some("force-ssl") && status == Some("ACTIVATED")
        });
        let starts = |field: &Lenient<String>, with: &str| {
            field.0.as_deref().is_some_and(|text| text.starts_with(with))
        };
        switched_on
            || starts(&self.plan, "postgresql-dr-")
            || self.type_name.0.as_deref() == Some("postgresql-ng")
    }
}

impl From<Database> for Cluster {
    /// The database that clients use is taken from `resource_id`. No document says that it is one, but in every
    /// documented example the two are the same (`my_app_4553`), so this is likely and not certain: what a server
    /// object says of its own goes first, and where the operator can log in, it finds out before anything is
    /// published.
    fn from(database: Database) -> Self {
        let sslmode = match database.forces_tls() {
            true => SslMode::Require,
            false => SslMode::Prefer,
        };
        let (host, port) = match database.hostname.0.as_deref().and_then(host_and_port) {
            Some((host, port)) => (Some(host), port),
            None => (None, None),
        };
        Cluster {
            state: match database.status.0.as_deref() {
                Some("running") => ClusterState::Available,
                // creating, migrating, updating, upgrading, stopped, or a word of tomorrow: users may or may not
                // be taken now, and their settings are not what it is about.
                _ => ClusterState::Impaired,
            },
            host,
            port,
            database: database.resource_id.0.filter(|name| is_database_name(name)),
            sslmode: Some(sslmode),
        }
    }
}

/// A name that PostgreSQL keeps in full; it goes into connection strings.
fn is_database_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// The parts of `host:port`, of which the port may be missing. `None` if either is there and cannot be one: a host
/// with a wrong port leads to somebody else.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            match rest {
                "" => (address, None),
                rest => (address, Some(rest.strip_prefix(':')?)),
            }
        }
        // More than one colon: an address without a port.
        None if text.parse::<Ipv6Addr>().is_ok() => (text, None),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let host = match Host::parse(host)? {
        Host::Name(name) => name,
        Host::Ip(ip) => ip.to_string(),
    };
    match port {
        None => Some((host, None)),
        Some(port) => Some((host, Some(port_number(port)?))),
    }
}

fn port_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// What the exchange of an API token is answered with.
#[derive(Deserialize)]
pub(super) struct Exchanged {
    pub(super) token: Password,
}

/// What asking for a token of an addon is answered with.
#[derive(Deserialize)]
pub(super) struct AddonToken {
    pub(super) addon: Exchanged,
}

/// What a token says of itself, if it is a JWT: seconds since 1970.
#[derive(Deserialize)]
pub(super) struct Claims {
    #[serde(default)]
    pub(super) exp: Lenient<f64>,
    #[serde(default)]
    pub(super) iat: Lenient<f64>,
}

/// The fields of a user that a refusal (422) may name.
const FIELDS: &[&str] = &[
    "name",
    "password",
    "password_confirmation",
    "read_only",
    "database_id",
];

/// What an error answer says. Its texts are for people and may echo what was sent, so they are not read.
#[derive(Deserialize)]
pub(super) struct ErrorResponse {
    #[serde(default)]
    code: Option<String>,
    /// By field, what is wrong with it.
    #[serde(default)]
    errors: Option<BTreeMap<String, IgnoredAny>>,
    /// What a 404 did not find.
    #[serde(default)]
    resource: Option<String>,
}

impl ErrorResponse {
    /// The API's own code, and those of our fields that it objects to.
    pub(super) fn codes(self) -> impl Iterator<Item = String> {
        let errors = self.errors.unwrap_or_default();
        let fields = FIELDS.iter().filter(move |field| errors.contains_key(**field));
        self.code
            .into_iter()
            .chain(fields.map(|field| format!("errors.{field}")))
    }

    /// Whether it is the addon that was not found, not the app that it belongs to.
    pub(super) fn is_about_an_addon(&self) -> bool {
        let resource = self.resource.as_deref().unwrap_or_default();
        resource.to_ascii_lowercase().contains("addon")
    }
}

/// What is sent to make or change a user.
#[derive(Serialize)]
pub(super) struct UserRequest<'a> {
    pub(super) database_user: RequestProperties<'a>,
}

#[derive(Serialize)]
pub(super) struct RequestProperties<'a> {
    pub(super) database_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) read_only: Option<bool>,
    pub(super) password: &'a Password,
    pub(super) password_confirmation: &'a Password,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(json: &str) -> Cluster {
        serde_json::from_str::<Database>(json).unwrap().into()
    }

    #[test]
    fn the_documented_list_is_read() {
        let list: UserList = serde_json::from_str(
            r#"{"database-users":[
                {"name":"my-db-123","read_only":false,"protected":true,
                 "dbms_attributes":{"password_encryption":"SCRAM-SHA-256"}},
                {"name":"metabase","read_only":true,"protected":false}]}"#,
        )
        .unwrap();
        let users: Vec<RemoteUser> = list.users.into_iter().map(RemoteUser::from).collect();
        let shown: Vec<_> = users
            .iter()
            .map(|user| (user.username.as_str(), user.protected, user.traits.read_only))
            .collect();
        assert_eq!(
            shown,
            [("my-db-123", true, Some(false)), ("metabase", false, Some(true))]
        );
        assert!(
            users
                .iter()
                .all(|user| user.creator == Creator::Unknown && user.created.is_none())
        );
    }

    #[test]
    fn a_user_whose_flags_are_not_understood_is_protected_and_of_unknown_rights() {
        let user = |json: &str| RemoteUser::from(serde_json::from_str::<User>(json).unwrap());
        let odd = user(r#"{"name":"a","read_only":"maybe","protected":{}}"#);
        assert_eq!((odd.protected, odd.traits.read_only), (true, None));
        let bare = user(r#"{"name":"a","dbms_attributes":null}"#);
        assert_eq!((bare.protected, bare.traits.read_only), (false, None));
    }

    #[test]
    fn a_list_is_a_list_or_none() {
        let count = |json: &str| {
            serde_json::from_str::<UserList>(json)
                .map(|list| list.users.len())
                .ok()
        };
        assert_eq!(count(r#"{"database-users":[],"meta":{}}"#), Some(0));
        assert_eq!(count(r#"{"database_users":[{"name":"a"}]}"#), Some(1));
        for bad in [
            "{}",
            "[]",
            r#"{"database-users":null}"#,
            r#"{"database-users":{}}"#,
            r#"{"database-users":[{}]}"#,
            r#"{"database-users":[],"database_users":[]}"#,
        ] {
            assert_eq!(count(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_database_that_runs_is_available_and_any_other_impaired() {
        let state = |status: &str| cluster(&format!(r#"{{"id":"x","status":{status}}}"#)).state;
        assert_eq!(state(r#""running""#), ClusterState::Available);
        for other in [
            r#""creating""#,
            r#""migrating""#,
            r#""updating""#,
            r#""upgrading""#,
            r#""stopped""#,
            r#""Running""#,
            "null",
            "7",
        ] {
            assert_eq!(state(other), ClusterState::Impaired, "{other}");
        }
    }

    #[test]
    fn a_host_comes_with_its_port() {
        let table = [
            (
                "my-db-123.postgresql.b.osc-fr1.scalingo-dbs.com:35123",
                Some(("my-db-123.postgresql.b.osc-fr1.scalingo-dbs.com", Some(35123))),
            ),
            ("Db.Example.", Some(("db.example", None))),
            ("192.0.2.7:5432", Some(("192.0.2.7", Some(5432)))),
            ("[2001:db8::1]:5432", Some(("2001:db8::1", Some(5432)))),
            ("[2001:db8::1]", Some(("2001:db8::1", None))),
            ("2001:db8::1", Some(("2001:db8::1", None))),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(host, port): (&str, _)| (host.to_string(), port));
            assert_eq!(host_and_port(text), expected, "{text}");
        }
        for bad in [
            "",
            ":5432",
            "a b:5432",
            "a\n:5432",
            "db.example:",
            "db.example:0",
            "db.example:+1",
            "db.example:65536",
            "db.example:5432:1",
            "db.example:5432/x",
            "user@db.example:5432",
            "[db.example]:5432",
            "[2001:db8::1",
            "[2001:db8::1]5432",
        ] {
            assert_eq!(host_and_port(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn tls_is_asked_for_where_it_is_forced() {
        let sslmode = |fields: &str| cluster(&format!(r#"{{"id":"x",{fields}}}"#)).sslmode;
        let required = [
            r#""features":[{"name":"redis-rdb","status":"ACTIVATED"},{"name":"force-ssl","status":"ACTIVATED"}]"#,
            r#""plan":"postgresql-dr-starter-4096""#,
            r#""type_name":"postgresql-ng""#,
        ];
        for fields in required {
            assert_eq!(sslmode(fields), Some(SslMode::Require), "{fields}");
        }
        let preferred = [
            r#""features":[{"name":"force-ssl","status":"PENDING"}]"#,
            r#""features":[{"name":"force-ssl","status":"FAILED"}]"#,
            r#""features":["force-ssl"]"#,
            r#""features":null"#,
            r#""plan":"postgresql-starter-512","type_name":"postgresql""#,
        ];
        for fields in preferred {
            assert_eq!(sslmode(fields), Some(SslMode::Prefer), "{fields}");
        }
    }

    #[test]
    fn only_a_name_is_a_database() {
        let database = |id: &str| {
            let json = serde_json::json!({"id": "x", "resource_id": id}).to_string();
            cluster(&json).database
        };
        assert_eq!(database("my_app_4553").as_deref(), Some("my_app_4553"));
        for bad in ["", "a\nb", &"x".repeat(64)] {
            assert_eq!(database(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_names_its_code_and_our_fields_only() {
        let codes = |json: &str| {
            serde_json::from_str::<ErrorResponse>(json)
                .unwrap()
                .codes()
                .collect::<Vec<_>>()
        };
        assert_eq!(
            codes(r#"{"errors":{"password":["is bad"],"name":["is taken"],"sss":["x"]}}"#),
            ["errors.name", "errors.password"]
        );
        assert_eq!(codes(r#"{"error":"no","code":"locked"}"#), ["locked"]);
        assert!(codes(r#"{"error":"no"}"#).is_empty());
    }
}
