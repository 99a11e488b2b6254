//! Whatever the vendor documents is read: answers are made from the tables of its documents.

use serde_json::{Value, json};

use super::*;
use crate::support_schema::for_any;

/// Every status that the documents have an error for, but for 429, whose body is no JSON.
const STATUSES: [u16; 8] = [400, 401, 402, 403, 404, 409, 422, 500];

/// A user of these names. A password is in answers to creations and resets alone, and may then be null in what was asked.
fn user(name: &Value) -> Value {
    json!({"type": "object", "required": ["name", "read_only", "protected"], "properties": {
        "name": name,
        "read_only": {"type": "boolean"},
        "protected": {"type": "boolean"},
        "password": {"type": "string", "minLength": 24, "maxLength": 64},
        "dbms_attributes": {"type": "object", "nullable": true, "properties": {
            "password_encryption": {"type": "string", "enum": ["SCRAM-SHA-256", "MD5"]},
        }},
    }})
}

fn list() -> Value {
    let name = json!({"type": "string", "pattern": "[a-z0-9]([-_]?[a-z0-9]){5,15}"});
    json!({"type": "object", "required": ["database-users"], "properties": {
        "database-users": {"type": "array", "maxItems": 5, "items": user(&name)},
    }})
}

fn database() -> Value {
    json!({"type": "object", "required": ["id"], "properties": {
        "id": {"type": "string"},
        "resource_id": {"type": "string", "pattern": "[a-z]{3,9}_[0-9]{4}"},
        "app_name": {"type": "string"},
        "created_at": {"type": "string", "format": "date-time"},
        "encryption_at_rest": {"type": "boolean"},
        "features": {"type": "array", "maxItems": 3, "nullable": true, "items": {"type": "object", "properties": {
            "name": {"type": "string", "enum": ["force-ssl", "publicly-available"]},
            "status": {"type": "string", "enum": ["ACTIVATED", "PENDING", "FAILED"]},
        }}},
        "plan": {"type": "string", "enum": ["postgresql-starter-512", "postgresql-business-1024"]},
        "status": {"type": "string", "enum": ["creating", "running", "migrating", "updating", "upgrading", "stopped"]},
        "type_id": {"type": "string"},
        "type_name": {"type": "string", "enum": ["postgresql"]},
        "version_id": {"type": "string"},
        "readable_version": {"type": "string"},
        "hostname": {"type": "string", "enum": ["my-db-123.postgresql.b.osc-fr1.scalingo-dbs.com:35123"]},
        "instances": {"type": "array", "items": {"type": "object", "properties": {
            "id": {"type": "string"}, "hostname": {"type": "string"}, "port": {"type": "integer"},
            "status": {"type": "string"}, "type": {"type": "string"}, "private_ip": {"type": "string", "nullable": true},
        }}},
        "current_operation_id": {"type": "string", "nullable": true},
        "cluster": {"type": "boolean"},
        "periodic_backups_enabled": {"type": "boolean"},
        "periodic_backups_scheduled_at": {"type": "array", "items": {"type": "integer"}},
        "maintenance_window": {"type": "object", "properties": {"weekday_utc": {"type": "integer"}}},
    }})
}

fn error() -> Value {
    json!({"type": "object", "properties": {
        "error": {"type": "string"},
        "code": {"type": "string"},
        "name": {"type": "string"},
        "resource": {"type": "string", "enum": ["Database", "App"]},
        "url": {"type": "string"},
        "errors": {"type": "object", "maxProperties": 3, "additionalProperties": {
            "type": "array", "items": {"type": "string"},
        }},
    }})
}

fn assert_read(user: &pguser_operator::provider::RemoteUser, sent: &Value) {
    assert_eq!(user.username, sent["name"], "{sent}");
    assert_eq!(Some(user.protected), sent["protected"].as_bool(), "{sent}");
    assert_eq!(user.traits.read_only, sent["read_only"].as_bool(), "{sent}");
}

#[test]
fn whatever_list_is_documented_is_read() {
    for_any(&list(), |runtime, list| {
        runtime.block_on(async {
            let (_script, client) = script(vec![json(200, &list.to_string())]).await;
            let read = client.list().await.unwrap().value.users;
            let sent = list["database-users"].as_array().unwrap();
            assert_eq!(read.len(), sent.len(), "{list}");
            read.iter()
                .zip(sent)
                .for_each(|(user, sent)| assert_read(user, sent));
        });
    });
}

/// The documents show users bare; the vendor's own clients have them under a root.
#[test]
fn whatever_user_is_documented_is_read_under_its_root_or_bare() {
    let name = json!({"type": "string", "enum": ["checkout"]});
    for_any(&user(&name), |runtime, user| {
        runtime.block_on(async {
            let rooted = json!({"database_user": user});
            let acts: Vec<Act> = [&user, &rooted, &user, &rooted]
                .map(|answer| json(201, &answer.to_string()))
                .into();
            let (_script, client) = script(acts).await;
            let password = Password::new(SECRET);
            for _ in 0..2 {
                let made = client.create(&mutation("checkout"), &password).await.unwrap();
                assert_read(&made.value.unwrap(), &user);
            }
            for _ in 0..2 {
                let changed = client
                    .set_password(&mutation("checkout"), &password)
                    .await
                    .unwrap();
                assert_read(&changed.value.unwrap(), &user);
            }
        });
    });
}

#[test]
fn whatever_database_is_documented_is_read_under_its_root_or_bare() {
    for_any(&database(), |runtime, database| {
        runtime.block_on(async {
            let rooted = json!({"database": database});
            let acts: Vec<Act> = [&database, &rooted]
                .map(|answer| json(200, &answer.to_string()))
                .into();
            let (_script, client) = script(acts).await;
            for _ in 0..2 {
                let read = client.cluster().await.unwrap().value;
                let is_available = read.state == ClusterState::Available;
                assert_eq!(is_available, database["status"] == "running", "{database}");
                assert_eq!(
                    read.host.is_some(),
                    database["hostname"].is_string(),
                    "{database}"
                );
                assert_eq!(
                    read.database.as_deref(),
                    database["resource_id"].as_str(),
                    "{database}"
                );
                let on = json!({"name": "force-ssl", "status": "ACTIVATED"});
                let is_on = database["features"]
                    .as_array()
                    .is_some_and(|all| all.contains(&on));
                assert_eq!(read.sslmode == Some(SslMode::Require), is_on, "{database}");
            }
        });
    });
}

/// What an error says in its body changes nothing of what its status means.
#[test]
fn whatever_error_is_documented_is_what_its_status_says() {
    for_any(&error(), |runtime, error| {
        runtime.block_on(async {
            let status = STATUSES[error.to_string().len() % STATUSES.len()];
            let (_script, plain) = script(vec![json(status, "{}")]).await;
            let (_script, client) = script(vec![json(status, &error.to_string())]).await;
            let (said, plain) = (client.list().await, plain.list().await);
            assert_eq!(
                said.unwrap_err().class,
                plain.unwrap_err().class,
                "{status} {error}"
            );
        });
    });
}
