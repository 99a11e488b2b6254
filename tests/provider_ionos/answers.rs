//! Whatever the vendor's schema allows is read: answers are made from it ("IONOS DBaaS PostgreSQL REST API" 1.0.0).

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::*;
use crate::support_schema::for_any;

/// Every status that the schema has an error for.
const STATUSES: [u16; 11] = [400, 401, 402, 403, 404, 405, 415, 422, 429, 500, 503];

/// `Resource`, `ResourceMetadata` and `User` in one, as `allOf` has them. A password is only ever written.
fn user() -> Value {
    json!({"type": "object", "required": ["type", "id", "href", "properties"], "properties": {
        "type": {"type": "string", "enum": ["collection", "cluster", "backup", "user", "database"]},
        "id": {"type": "string"},
        "href": {"type": "string"},
        "metadata": {"type": "object", "properties": {
            "createdBy": {"type": "string"},
            "createdByUserId": {"type": "string", "pattern": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"},
            "createdDate": {"type": "string", "format": "date-time"},
            "lastModifiedBy": {"type": "string"},
            "lastModifiedByUserId": {"type": "string", "pattern": "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"},
            "lastModifiedDate": {"type": "string", "format": "date-time"},
            "resourceURN": {"type": "string"},
        }},
        "properties": {"type": "object", "required": ["username"], "properties": {
            "username": {"type": "string", "minLength": 1, "maxLength": 63},
            "system": {"type": "boolean"},
        }},
    }})
}

/// `UserList`. What else the schema says in words: `offset` is the one that was asked for, and `next` is there only if
/// there is a next page.
fn only_page() -> Value {
    json!({"type": "object", "required": ["type", "id", "href", "items"], "properties": {
        "offset": {"type": "integer", "minimum": 0, "maximum": 0},
        "limit": {"type": "integer", "minimum": 0, "maximum": 1000},
        "_links": {"type": "object", "properties": {"prev": {"type": "string"}, "self": {"type": "string"}}},
        "type": {"type": "string", "enum": ["collection"]},
        "id": {"type": "string"},
        "href": {"type": "string"},
        "items": {"type": "array", "maxItems": 4, "items": user()},
    }})
}

fn cluster() -> Value {
    json!({"type": "object", "required": ["type", "id", "properties"], "properties": {
        "type": {"type": "string", "enum": ["cluster"]},
        "id": {"type": "string"},
        "metadata": {"type": "object", "properties": {
            "createdDate": {"type": "string", "format": "date-time"},
            "createdBy": {"type": "string"},
            "state": {"type": "string", "enum": ["AVAILABLE", "BUSY", "DESTROYING", "UNKNOWN", "FAILED", "DEGRADED"]},
        }},
        "properties": {"type": "object", "properties": {
            "displayName": {"type": "string"},
            "postgresVersion": {"type": "string"},
            "location": {"type": "string"},
            "dnsName": {"type": "string", "enum": ["pg-x.postgresql.de-txl.ionos.com"]},
            "instances": {"type": "integer", "minimum": 1},
            "connections": {"type": "array", "items": {"type": "object", "properties": {
                "datacenterId": {"type": "string"}, "lanId": {"type": "string"}, "cidr": {"type": "string"},
            }}},
        }},
    }})
}

fn error() -> Value {
    json!({"type": "object", "properties": {
        "httpStatus": {"type": "integer"},
        "messages": {"type": "array", "items": {"type": "object", "properties": {
            "errorCode": {"type": "string"}, "message": {"type": "string"},
        }}},
    }})
}

/// A date as it is kept, if it is one of a server that knows what time it is.
fn kept(date: &Value) -> Option<Timestamp> {
    let date: Timestamp = date.as_str()?.parse().ok()?;
    let second = Timestamp::from_second(date.as_second()).ok()?;
    (date > Timestamp::UNIX_EPOCH).then_some(second)
}

fn assert_read(user: &pguser_operator::provider::RemoteUser, sent: &Value) {
    let (metadata, properties) = (&sent["metadata"], &sent["properties"]);
    assert_eq!(user.username, properties["username"], "{sent}");
    assert_eq!(user.created, kept(&metadata["createdDate"]), "{sent}");
    assert_eq!(user.modified, kept(&metadata["lastModifiedDate"]), "{sent}");
    assert!(user.protected || properties["system"] != true, "{sent}");
}

#[test]
fn whatever_list_is_documented_is_read() {
    for_any(&only_page(), |runtime, page| {
        runtime.block_on(async {
            let items = page["items"].as_array().unwrap();
            let end = json!({"type": "collection", "id": "", "href": "", "items": []});
            let acts = [&page, &end].map(|page| super::json(200, &page.to_string()));
            let (_script, client) = script(acts.to_vec()).await;
            let list = client.list().await.unwrap().value;
            for user in &list.users {
                let sent = items
                    .iter()
                    .rfind(|it| it["properties"]["username"] == user.username);
                assert_read(user, sent.unwrap());
            }
            assert!(items.iter().all(|it| {
                list.users
                    .iter()
                    .any(|user| user.username == it["properties"]["username"])
            }));
        });
    });
}

#[test]
fn whatever_user_is_documented_is_read() {
    for_any(&user(), |runtime, user| {
        runtime.block_on(async {
            let name = user["properties"]["username"].as_str().unwrap();
            if matches!(name, "." | "..") {
                return; // no URL has these as they are
            }
            let acts = vec![super::json(200, &user.to_string()); 3];
            let (_script, client) = script(acts).await;
            assert_read(&client.get(name).await.unwrap().value.unwrap(), &user);
            let password = Password::new(SECRET);
            let made = client.create(&mutation(name), &password).await.unwrap();
            assert_read(&made.value.unwrap(), &user);
            let changed = client.set_password(&mutation(name), &password).await.unwrap();
            assert_read(&changed.value.unwrap(), &user);
        });
    });
}

#[test]
fn whatever_cluster_is_documented_is_read() {
    for_any(&cluster(), |runtime, cluster| {
        runtime.block_on(async {
            let (_script, client) = script(vec![super::json(200, &cluster.to_string())]).await;
            let read = client.cluster().await.unwrap().value;
            let expected = match cluster["metadata"]["state"].as_str() {
                Some("AVAILABLE") => ClusterState::Available,
                Some("BUSY") => ClusterState::Busy,
                Some("DESTROYING") => ClusterState::Destroying,
                _ => ClusterState::Impaired,
            };
            assert_eq!(read.state, expected, "{cluster}");
            assert_eq!(
                read.host.as_deref(),
                cluster["properties"]["dnsName"].as_str(),
                "{cluster}"
            );
        });
    });
}

/// What an error says in its body changes nothing of what its status means.
#[test]
fn whatever_error_is_documented_is_what_its_status_says() {
    for_any(&error(), |runtime, error| {
        runtime.block_on(async {
            let status = STATUSES[error.to_string().len() % STATUSES.len()];
            let (_script, plain) = script(vec![super::json(status, "{}"); 2]).await;
            let (_script, client) = script(vec![super::json(status, &error.to_string()); 2]).await;
            let (said, plain) = (client.list().await, plain.list().await);
            assert_eq!(
                said.unwrap_err().class,
                plain.unwrap_err().class,
                "{status} {error}"
            );
        });
    });
}

#[test]
fn a_date_of_any_fraction_and_offset_is_one() {
    let read = |date: &str| kept(&json!(date)).unwrap();
    for (date, same) in [
        ("2023-05-11T13:37:50Z", "2023-05-11T13:37:50.999999999Z"),
        ("2023-05-11T13:37:50Z", "2023-05-12T13:36:50.1+23:59"),
        ("2023-05-11T13:37:50Z", "2023-05-10T13:38:50-23:59"),
    ] {
        assert_eq!(read(date), read(same));
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let user = json!({"properties": {"username": "a"}, "metadata": {"createdDate": same}});
            let (_script, client) = script(vec![super::json(200, &user.to_string())]).await;
            let user = client.get("a").await.unwrap().value.unwrap();
            assert_eq!(user.created, Some(read(date)), "{same}");
        });
    }
}
