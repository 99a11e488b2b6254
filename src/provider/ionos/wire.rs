//! What IONOS sends, as far as it is read. Unknown fields and words are let be; fields that are not needed
//! are read leniently, so that a surprise in one does not hide the rest.

use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::endpoint::Host;
use crate::domain::password::Password;
use crate::domain::role::Traits;
use crate::domain::time::whole_seconds;
use crate::provider::lenient::{Flag, Lenient};
use crate::provider::{Cluster, ClusterState, Creator, RemoteUser};

/// A page of users.
#[derive(Deserialize)]
pub(super) struct UserList {
    #[serde(default)]
    pub(super) offset: Lenient<u64>,
    /// The page size that the server went by.
    #[serde(default)]
    pub(super) limit: Lenient<u64>,
    #[serde(default, rename = "_links")]
    pub(super) links: Option<Links>,
    /// Must be there; some servers write an empty list as null.
    #[serde(deserialize_with = "nullable")]
    pub(super) items: Vec<User>,
}

fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<User>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Where the neighbours of a page are. Only whether there is a next one is of interest: what is asked next is
/// counted, and a URL that the server chose is never followed.
#[derive(Deserialize)]
pub(super) struct Links {
    #[serde(default)]
    next: Lenient<String>,
}

impl Links {
    pub(super) fn has_next(&self) -> bool {
        self.next.0.as_deref().is_some_and(|next| !next.is_empty())
    }
}

/// A user.
#[derive(Deserialize)]
pub(super) struct User {
    #[serde(default)]
    metadata: Option<Metadata>,
    properties: UserProperties,
}

#[derive(Deserialize)]
struct UserProperties {
    username: String,
    #[serde(default)]
    system: Flag,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    created_by: Lenient<String>,
    created_by_user_id: Lenient<String>,
    created_date: Lenient<String>,
    last_modified_date: Lenient<String>,
    state: Lenient<String>,
}

impl From<User> for RemoteUser {
    fn from(user: User) -> Self {
        let metadata = user.metadata.unwrap_or_default();
        let creator = creator(metadata.created_by.0, metadata.created_by_user_id.0);
        RemoteUser {
            username: user.properties.username,
            protected: user.properties.system.0 || creator == Creator::System,
            creator,
            created: metadata.created_date.0.as_deref().and_then(timestamp),
            modified: metadata.last_modified_date.0.as_deref().and_then(timestamp),
            traits: Traits::default(),
        }
    }
}

/// Who made a user. The suffixes are documented for the URN; an id is not trusted to say otherwise.
fn creator(urn: Option<String>, id: Option<String>) -> Creator {
    let ends = |suffix| {
        [&urn, &id]
            .into_iter()
            .flatten()
            .any(|text| text.ends_with(suffix))
    };
    if ends("_system_") {
        Creator::System
    } else if ends("_unmanaged_") {
        Creator::Unmanaged
    } else {
        id.or(urn)
            .filter(|id| !id.is_empty())
            .map_or(Creator::Unknown, Creator::Account)
    }
}

/// A cluster.
#[derive(Deserialize)]
pub(super) struct ClusterResource {
    #[serde(default)]
    metadata: Option<Metadata>,
    properties: ClusterProperties,
}

#[derive(Deserialize)]
struct ClusterProperties {
    #[serde(default, rename = "dnsName")]
    dns_name: Lenient<String>,
}

impl From<ClusterResource> for Cluster {
    fn from(cluster: ClusterResource) -> Self {
        let state = cluster.metadata.and_then(|metadata| metadata.state.0);
        Cluster {
            state: match state.as_deref() {
                Some("AVAILABLE") => ClusterState::Available,
                Some("BUSY") => ClusterState::Busy,
                Some("DESTROYING") => ClusterState::Destroying,
                _ => ClusterState::Impaired,
            },
            host: cluster.properties.dns_name.0.as_deref().and_then(dns_name),
            port: None,
            database: None,
            sslmode: None,
        }
    }
}

/// A DNS name, if it is one: it goes into connection strings.
fn dns_name(text: &str) -> Option<String> {
    match Host::parse(text) {
        Some(Host::Name(name)) => Some(name),
        _ => None,
    }
}

/// What an error answer says. The messages are for people and may echo what was sent, so they are not read.
#[derive(Deserialize)]
pub(super) struct ErrorResponse {
    #[serde(default)]
    messages: Vec<ErrorMessage>,
}

#[derive(Deserialize)]
struct ErrorMessage {
    #[serde(default, rename = "errorCode")]
    code: Lenient<String>,
}

impl ErrorResponse {
    pub(super) fn codes(self) -> impl Iterator<Item = String> {
        self.messages.into_iter().filter_map(|message| message.code.0)
    }
}

/// What is sent to make or change a user.
#[derive(Serialize)]
pub(super) struct UserRequest<'a> {
    pub(super) properties: RequestProperties<'a>,
}

#[derive(Serialize)]
pub(super) struct RequestProperties<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) username: Option<&'a str>,
    pub(super) password: &'a Password,
}

/// An ISO 8601 time, with an offset or without, which then means UTC, in whole seconds. Nothing if it cannot be read,
/// or lies beyond the year 9999.
fn timestamp(text: &str) -> Option<Timestamp> {
    let time = text.parse().ok().or_else(|| timestamp_in_utc(text))?;
    // Servers write 0001-01-01 for "never".
    (time > Timestamp::UNIX_EPOCH).then_some(whole_seconds(time))
}

/// A time without an offset. One with an offset is none, since the offset would be passed over.
fn timestamp_in_utc(text: &str) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    let time = pieces.date().to_datetime(pieces.time()?);
    match pieces.offset() {
        None => TimeZone::UTC.to_timestamp(time).ok(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(json: &str) -> RemoteUser {
        serde_json::from_str::<User>(json).unwrap().into()
    }

    #[test]
    fn the_documented_user_is_read() {
        let user = user(
            r#"{"type":"collection","id":"498ae72f","href":"text","metadata":{
                "createdBy":"ionos:iam:cloud::users/f719718d","createdByUserId":"f719718d",
                "createdDate":"2023-05-11T13:37:50Z","lastModifiedDate":"2023-05-11T13:37:51Z"},
                "properties":{"username":"benjamin","system":false}}"#,
        );
        assert_eq!(
            user,
            RemoteUser {
                username: "benjamin".to_string(),
                protected: false,
                creator: Creator::Account("f719718d".to_string()),
                created: Some("2023-05-11T13:37:50Z".parse().unwrap()),
                modified: Some("2023-05-11T13:37:51Z".parse().unwrap()),
                traits: Traits::default(),
            }
        );
    }

    #[test]
    fn a_user_of_few_or_odd_words_is_read() {
        for json in [
            r#"{"properties":{"username":"a"}}"#,
            r#"{"properties":{"username":"a","system":null},"metadata":null}"#,
            r#"{"properties":{"username":"a","new":{}},"metadata":{"createdBy":7,"createdDate":[],"x":1},"type":9}"#,
            r#"{"properties":{"username":"a"},"metadata":{"createdDate":"yesterday"}}"#,
        ] {
            let user = user(json);
            assert_eq!(
                (user.protected, user.creator, user.created),
                (false, Creator::Unknown, None),
                "{json}"
            );
        }
    }

    #[test]
    fn a_user_whose_system_flag_is_not_understood_is_protected() {
        for odd in ["true", "\"true\"", "1", "{}", "[]", "\"yes\""] {
            let json = format!(r#"{{"properties":{{"username":"a","system":{odd}}}}}"#);
            assert!(user(&json).protected, "{odd}");
        }
    }

    #[test]
    fn a_list_has_items_or_is_none() {
        let items = |json: &str| {
            serde_json::from_str::<UserList>(json)
                .map(|list| list.items.len())
                .ok()
        };
        assert_eq!(items(r#"{"items":[]}"#), Some(0));
        assert_eq!(items(r#"{"items":null,"_links":null,"limit":"x"}"#), Some(0));
        for bad in [
            "{}",
            "[]",
            r#"{"items":{}}"#,
            r#"{"items":[{"properties":{}}]}"#,
            r#"{"items":[null]}"#,
        ] {
            assert_eq!(items(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_creator_is_told_by_its_suffix() {
        let by = |text: &str| {
            user(&format!(
                r#"{{"properties":{{"username":"a"}},"metadata":{{"createdBy":"{text}"}}}}"#
            ))
        };
        assert_eq!(
            by("ionos:iam:cloud::users/_unmanaged_").creator,
            Creator::Unmanaged
        );
        assert!(!by("ionos:iam:cloud::users/_unmanaged_").protected);
        assert_eq!(by("ionos:iam:cloud::users/_system_").creator, Creator::System);
        assert!(by("ionos:iam:cloud::users/_system_").protected);
    }

    #[test]
    fn times_are_read_with_an_offset_or_without() {
        let utc = "2020-12-10T13:37:50Z".parse().ok();
        assert_eq!(timestamp("2020-12-10T13:37:50Z"), utc);
        assert_eq!(timestamp("2020-12-10T14:37:50+01:00"), utc);
        assert_eq!(timestamp("2020-12-10T13:37:50"), utc);
        assert_eq!(timestamp("2020-12-10T13:37:50.000"), utc);
        for bad in [
            "",
            "now",
            "0001-01-01T00:00:00Z",
            "2020-13-10T13:37:50Z",
            "2020-12-10T13:37:50.Z",
            "9999-12-31T23:59:59-23:00",
            "9999-12-30T17:04:32.9986599-22:31",
            "10000-01-01T00:00:00Z",
            "+292278994-08-17T07:12:55Z",
        ] {
            assert_eq!(timestamp(bad), None, "{bad}");
        }
    }

    /// A status keeps whole seconds: a date with a fraction would never be equal to itself.
    #[test]
    fn fractions_of_a_second_are_dropped_however_many_digits_they_have() {
        let utc = "2020-12-10T13:37:50Z".parse().ok();
        for digits in 0..=9 {
            let fraction = &".987654321"[..if digits == 0 { 0 } else { digits + 1 }];
            for (hour, offset) in [
                ("13", "Z"),
                ("14", "+01:00"),
                ("14", "+0100"),
                ("03", "-10:00"),
                ("13", ""),
            ] {
                let text = format!("2020-12-10T{hour}:37:50{fraction}{offset}");
                assert_eq!(timestamp(&text), utc, "{text}");
                let user = user(&format!(
                    r#"{{"properties":{{"username":"a"}},"metadata":{{"createdDate":"{text}","lastModifiedDate":"{text}"}}}}"#
                ));
                assert_eq!((user.created, user.modified), (utc, utc), "{text}");
            }
        }
    }

    #[test]
    fn a_cluster_is_in_a_known_state_or_impaired() {
        let cluster = |json: &str| Cluster::from(serde_json::from_str::<ClusterResource>(json).unwrap());
        let state = |state: &str| {
            cluster(&format!(
                r#"{{"metadata":{{"state":"{state}"}},"properties":{{}}}}"#
            ))
            .state
        };
        assert_eq!(state("AVAILABLE"), ClusterState::Available);
        assert_eq!(state("BUSY"), ClusterState::Busy);
        assert_eq!(state("DESTROYING"), ClusterState::Destroying);
        for other in ["FAILED", "DEGRADED", "UNKNOWN", "", "SOMETHING_NEW"] {
            assert_eq!(state(other), ClusterState::Impaired, "{other}");
        }
        assert_eq!(cluster(r#"{"properties":{}}"#).state, ClusterState::Impaired);
    }

    #[test]
    fn only_a_dns_name_is_a_clusters_host() {
        let host = |name: &str| {
            let json = format!(r#"{{"properties":{{"dnsName":{name}}}}}"#);
            Cluster::from(serde_json::from_str::<ClusterResource>(&json).unwrap()).host
        };
        assert_eq!(
            host(r#""pg-x.postgresql.de-txl.ionos.com""#).as_deref(),
            Some("pg-x.postgresql.de-txl.ionos.com")
        );
        for bad in [
            "null",
            "\"\"",
            "7",
            "\"127.0.0.1\"",
            "\"a b\"",
            "\"host:5432\"",
            "\"a/b?c\"",
            "\"x@y\"",
        ] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }
}
