//! What applying a manifest would change, by the API server's own word: a dry run, with admission and defaults.

use std::fmt;

use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde_json::{Value, json};

use super::documents;
use crate::api::{PostgresUser, names};
use crate::domain::conditions::presentable;
use crate::plugin::cluster::{Cluster, object_name};
use crate::plugin::failure::{Asked, Failure};
use crate::plugin::output::note;

/// A PostgresUser as it would be, and how it differs from what there is.
pub struct Applied {
    /// The object after the dry run.
    pub user: PostgresUser,
    /// What would change.
    pub changes: Vec<FieldChange>,
}

/// One field that would change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// Its path: `spec.deletionPolicy`.
    pub field: String,
    /// What it is; null if it is not there.
    pub from: Value,
    /// What it would be; null if it would not be there.
    pub to: Value,
    /// What that does.
    pub effect: &'static str,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Value| match value {
            Value::Null => "(none)".to_string(),
            value => presentable(&value.to_string()),
        };
        let (from, to) = (text(&self.from), text(&self.to));
        writeln!(f, "  {}: {from} -> {to}  ({})", self.field, self.effect)
    }
}

/// What a change of a field does, by the longest path that fits.
const EFFECTS: &[(&str, &str)] = &[
    ("spec", "a login would be made"),
    (
        "spec.serverRef",
        "the login is taken over by the other server object, if both reach the same database",
    ),
    ("spec.password.generate", "takes effect with the next rotation"),
    (
        "spec.password.secretRef",
        "a new password is set, if that Secret holds another one",
    ),
    ("spec.password", "takes effect with the next password"),
    (
        "spec.rotation",
        "the password is changed when it is as old as that, or at those times",
    ),
    (
        "spec.restart",
        "counts from the next change of the password or the username in the Secret on",
    ),
    ("spec.secret", "the Secret is written anew; the password stays"),
    (
        "spec.secret.presets",
        "the Secret gets these keys, and loses others; the password stays",
    ),
    (
        "spec.secret.data",
        "the Secret gets or loses this key; the password stays",
    ),
    (
        "spec.postgresql",
        "attributes, memberships and parameters are set on the server; the password stays",
    ),
    (
        "spec.adoptionPolicy",
        "counts only where the login exists and is not this object's",
    ),
    (
        "spec.deletionPolicy",
        "counts when the object is deleted; the Secret's owner changes now",
    ),
    (
        "spec.suspend",
        "stops or continues all work on the login, deletion excepted",
    ),
    (
        "metadata.annotations.pguser.dev/rotate",
        "a new password is made and set",
    ),
    (
        "metadata.annotations.pguser.dev/force-finalize",
        "a deletion lets the object go and leaves the login",
    ),
];

/// Tries the PostgresUsers of some files and folders.
pub async fn applied(cluster: &Cluster, files: &[String], manager: &str) -> Result<Vec<Applied>, Failure> {
    let mut all = Vec::new();
    for document in documents::of(files)? {
        if document["kind"] == "PostgresUser" && document["apiVersion"] == "pguser.dev/v1alpha1" {
            all.push(apply(cluster, &document, manager).await?);
        } else {
            note(&format!(
                "passed over: {} {}",
                document["kind"], document["metadata"]["name"]
            ));
        }
    }
    match all.is_empty() {
        true => Err(Failure::Usage(format!(
            "--filename {}: there is no PostgresUser of pguser.dev/v1alpha1 in it",
            files.join(", ")
        ))),
        false => Ok(all),
    }
}

async fn apply(cluster: &Cluster, document: &Value, manager: &str) -> Result<Applied, Failure> {
    let name = document["metadata"]["name"].as_str().unwrap_or_default();
    let name = object_name(name).map_err(Failure::Usage)?;
    let namespace = document["metadata"]["namespace"]
        .as_str()
        .unwrap_or(&cluster.namespace);
    let users = cluster.users(namespace);
    let asked = |verb| Asked {
        verb,
        resource: "postgresusers",
        namespace: Some(namespace),
        name: Some(&name),
    };
    let live = users
        .get_opt(&name)
        .await
        .map_err(|error| asked("get").failed(&error))?;
    let params = PatchParams::apply(manager).force().dry_run();
    let user = users
        .patch(&name, &params, &Patch::Apply(document))
        .await
        .map_err(|error| asked("patch").failed(&error))?;
    let changes = changes(&live.as_ref().map_or(Value::Null, relevant), &relevant(&user));
    Ok(Applied { user, changes })
}

/// What of an object is its author's to change, and the operator's to act on.
fn relevant(user: &PostgresUser) -> Value {
    let annotations = user.annotations().iter();
    let ours =
        annotations.filter(|(name, _)| [names::ROTATE, names::FORCE_FINALIZE].contains(&name.as_str()));
    let ours: serde_json::Map<String, Value> =
        ours.map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({"spec": user.spec, "metadata": {"annotations": ours}})
}

fn changes(live: &Value, wanted: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    walk("", live, wanted, &mut found);
    found
}

fn walk(path: &str, from: &Value, to: &Value, found: &mut Vec<FieldChange>) {
    if from == to {
        return;
    }
    match (from, to) {
        (Value::Object(_) | Value::Null, Value::Object(_) | Value::Null) => {
            let empty = serde_json::Map::new();
            let (before, after) = (
                from.as_object().unwrap_or(&empty),
                to.as_object().unwrap_or(&empty),
            );
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                let inner = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let value = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                walk(&inner, &value(before), &value(after), found);
            }
        }
        _ => found.push(FieldChange {
            field: path.to_string(),
            from: from.clone(),
            to: to.clone(),
            effect: effect(path),
        }),
    }
}

fn effect(path: &str) -> &'static str {
    let below = |start: &str| {
        path.strip_prefix(start)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let fitting = EFFECTS.iter().filter(|(start, _)| below(start));
    fitting
        .max_by_key(|(start, _)| start.len())
        .map_or("", |(_, effect)| effect)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(spec: Value, annotations: Value) -> Value {
        let user = serde_json::from_value(json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser",
            "metadata": {"name": "checkout", "annotations": annotations}, "spec": spec,
        }));
        relevant(&user.unwrap())
    }

    #[test]
    fn changed_fields_are_named_with_what_they_do() {
        let before = user(
            json!({"serverRef": {"name": "orders"}, "suspend": true}),
            json!({"other": "1"}),
        );
        let after = user(
            json!({"serverRef": {"name": "orders"}, "password": {"generate": {"length": 40}}}),
            json!({"pguser.dev/rotate": "1"}),
        );
        let found = changes(&before, &after);
        let of = |field: &str| {
            found
                .iter()
                .find(|it| it.field == field)
                .unwrap_or_else(|| panic!("{found:?}"))
        };
        assert_eq!(
            of("spec.password.generate.length").effect,
            "takes effect with the next rotation"
        );
        assert_eq!(
            of("metadata.annotations.pguser.dev/rotate").effect,
            "a new password is made and set"
        );
        assert_eq!(
            (&of("spec.suspend").from, &of("spec.suspend").to),
            (&json!(true), &json!(false))
        );
        assert!(
            !found.iter().any(|it| it.field.contains("serverRef")),
            "{found:?}"
        );
    }

    #[test]
    fn a_new_object_is_all_new() {
        let found = changes(
            &Value::Null,
            &user(json!({"serverRef": {"name": "orders"}}), json!({})),
        );
        let server = found.iter().find(|it| it.field == "spec.serverRef.name").unwrap();
        assert_eq!(server.from, Value::Null);
    }

    #[test]
    fn every_field_of_a_spec_has_an_effect_of_its_own() {
        let crd = <PostgresUser as kube::CustomResourceExt>::crd();
        let crd = serde_json::to_value(crd).unwrap();
        let schema =
            &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        for field in schema.as_object().unwrap().keys() {
            // Immutable: the API server refuses a change, so there is none to speak of.
            let immutable = ["username", "scalingo"].contains(&field.as_str());
            let own = effect(&format!("spec.{field}")) != effect("spec.anything");
            assert!(own || immutable, "{field}");
        }
    }
}
