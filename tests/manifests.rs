//! The manifests that are shipped: samples are of the types, RBAC asks for the least, CRDs are all there.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pguser_operator::api::{ClusterPostgresServer, PostgresServer, PostgresUser, crd};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every document of every file in a folder, with the file's name.
fn documents(folder: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(at(folder)).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let values: Vec<Value> =
            serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        found.extend(values.into_iter().map(|value| (name.clone(), value)));
    }
    assert!(!found.is_empty());
    found
}

/// Whether all that is in `part` is in `whole` too.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|it| holds(it, value))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| holds(whole, part))
        }
        (whole, part) => whole == part,
    }
}

fn read_and_written(document: &Value) -> Result<Value, serde_json::Error> {
    fn through<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, serde_json::Error> {
        serde_json::to_value(T::deserialize(value)?)
    }
    match document["kind"].as_str().unwrap_or_default() {
        "PostgresUser" => through::<PostgresUser>(document),
        "PostgresServer" => through::<PostgresServer>(document),
        "ClusterPostgresServer" => through::<ClusterPostgresServer>(document),
        kind => panic!("no kind of ours: {kind}"),
    }
}

#[test]
fn samples_have_no_field_that_the_types_do_not_know() {
    let ours = documents("deploy/samples")
        .into_iter()
        .filter(|(_, document)| document["apiVersion"] == "pguser.dev/v1alpha1");
    let mut kinds = BTreeSet::new();
    for (file, document) in ours {
        let written = read_and_written(&document).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(holds(&written, &document), "{file}: {document} became {written}");
        kinds.insert(document["kind"].to_string());
    }
    assert_eq!(kinds.len(), 3, "a sample of each kind: {kinds:?}");
}

#[test]
fn the_kustomization_of_crds_names_all_of_them() {
    let text = std::fs::read_to_string(at("crds/Kustomization")).unwrap();
    let kustomization: Value = serde_saphyr::from_str(&text).unwrap();
    let named: BTreeSet<&str> = kustomization["resources"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let crds = crd::all().unwrap();
    let made: BTreeSet<&str> = crds.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(named, made);
}

/// Every rule of every role in the base: the role's kind and name, the resources, the verbs.
fn rules() -> Vec<(String, Vec<String>, Vec<String>)> {
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(ToString::to_string).collect()
    };
    let mut found = Vec::new();
    for (_, document) in documents("deploy/base") {
        let role = format!(
            "{}/{}",
            document["kind"].as_str().unwrap_or_default(),
            document["metadata"]["name"].as_str().unwrap_or_default()
        );
        for rule in document["rules"].as_array().into_iter().flatten() {
            found.push((role.clone(), texts(&rule["resources"]), texts(&rule["verbs"])));
        }
    }
    found
}

#[test]
fn no_role_asks_for_everything() {
    for (role, resources, verbs) in rules() {
        assert!(!resources.is_empty() && !verbs.is_empty(), "{role}");
        assert!(
            !resources.iter().chain(&verbs).any(|word| word == "*"),
            "{role}: {resources:?} {verbs:?}"
        );
    }
}

#[test]
fn only_the_operator_reaches_secrets_and_outside_its_namespace_it_deletes_nothing_else() {
    for (role, resources, verbs) in rules() {
        let secrets = resources.iter().any(|resource| resource == "secrets");
        let deletes = verbs.iter().any(|verb| verb.starts_with("delete"));
        let operators = role.ends_with("/pguser-operator");
        assert!(operators || !secrets, "{role}");
        assert!(
            !(operators && deletes) || role == "Role/pguser-operator" || resources == ["secrets"],
            "{role}: {resources:?}"
        );
    }
}
