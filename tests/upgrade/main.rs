//! What an earlier version has left in a cluster is still good: its CRDs, objects and journals are kept beside this file,
//! in a folder for each version. How an API server takes the change of CRDs is tested in `tests/chart/upgrade_test.go`,
//! how the operator goes on in `tests/e2e/upgrade.rs`.

#![allow(clippy::unwrap_used, clippy::panic)]

mod beyond;
mod schema;
#[path = "../support_manifests/mod.rs"]
mod support_manifests;

use pguser_operator::api::crd;
use pguser_operator::domain::journal::codec;
use serde_json::{Value, json};
use support_manifests::{at, documents, documents_of, holds, read_and_written};

/// The versions that are kept, the earliest first.
fn versions() -> Vec<String> {
    let folders = std::fs::read_dir(at("tests/upgrade"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.is_dir());
    let mut names: Vec<String> = folders
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 2, "{names:?}");
    names
}

/// CEL rules of today that an earlier version did not have, and why none of them refuses what it has taken.
const WIDER_RULES: [(&str, &str); 9] = [
    (
        "exactly one provider must be set: ionos, scalingo or postgresql",
        "there was one provider, and it had to be set",
    ),
    ("the provider is immutable: make another", "it was"),
    ("spec.scalingo.readOnly is immutable", "there was no such field"),
    ("credentialsSecretRef.keys: ", "there was no such field"),
    ("spec.secret.data: ", "there was no such field"),
    ("spec.secret.presets: ", "there was no such field"),
    (
        "spec.postgresql.sendPlaintextPasswords: ",
        "there was no such field",
    ),
    (
        "spec.rotation is for generated passwords",
        "there was no such field",
    ),
    (
        "spec.rotation.maxWait is for rotation.retire",
        "there was no such field",
    ),
];

/// Bounds of today that an earlier version did not have, and why no API server of today has stored what breaks them.
const UNBREAKABLE: [(&str, &str); 3] = [
    (
        ".spec.postgresql.connectionLimit: maximum was null",
        "its format, int32, is the same bound",
    ),
    (
        ".spec.deletionPolicy: default was",
        "what was stored without it was stored with the default",
    ),
    (".spec.allowAdoption: default was", "likewise"),
];

/// What is stored and breaks a bound is in `beyond`, from where `tests/e2e/bounds.rs` stores it.
#[test]
fn no_schema_refuses_what_an_earlier_version_has_taken_but_for_what_is_known() {
    let (today, beyond) = (crd::all().unwrap(), beyond::all());
    for version in versions() {
        let earlier = documents(&format!("tests/upgrade/{version}/crds"));
        assert_eq!(earlier.len(), today.len(), "{version}");
        for (file, earlier) in earlier {
            let (_, today) = today.iter().find(|(name, _)| *name == file).unwrap();
            let mut found = schema::narrowed(&earlier, today);
            found.retain(|it| !WIDER_RULES.iter().any(|(message, _)| it.contains(message)));
            found.retain(|it| !UNBREAKABLE.iter().any(|(bound, _)| it.starts_with(bound)));
            found.retain(|it| !beyond.iter().any(|object| object.breaks(it)));
            assert!(found.is_empty(), "{file} since {version}: {found:#?}");
        }
    }
}

/// Otherwise there would be objects for bounds that are no more, or that an earlier version had.
#[test]
fn each_object_that_is_beyond_the_bounds_breaks_one() {
    let version = versions().pop().unwrap();
    let today = crd::all().unwrap();
    let mut narrowed = Vec::new();
    for (file, earlier) in documents(&format!("tests/upgrade/{version}/crds")) {
        let (_, today) = today.iter().find(|(name, _)| *name == file).unwrap();
        narrowed.extend(schema::narrowed(&earlier, today));
    }
    for object in beyond::all() {
        assert!(
            narrowed.iter().any(|it| object.breaks(it)),
            "{:?} of {narrowed:#?}",
            object.bound
        );
    }
}

#[test]
fn objects_of_earlier_versions_are_read_whole() {
    for version in versions() {
        let objects = documents_of(&at(&format!("tests/upgrade/{version}/objects.yaml")));
        assert!(objects.len() >= 5, "{version}");
        for object in objects {
            let written = read_and_written(&object).unwrap_or_else(|error| panic!("{version}: {error}"));
            assert!(holds(&written, &object), "{version}: {object} became {written}");
        }
    }
}

/// The kept objects are worth something only if they have all that their version could write.
#[test]
fn the_objects_that_are_kept_of_the_last_version_have_every_field_of_status() {
    let version = versions().pop().unwrap();
    let objects = documents_of(&at(&format!("tests/upgrade/{version}/objects.yaml")));
    for (_, crd) in documents(&format!("tests/upgrade/{version}/crds")) {
        let kind = &crd["spec"]["names"]["kind"];
        let status = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
        let of_kind = |object: &&Value| object["kind"] == *kind || kind == "ClusterPostgresServer";
        for field in status["properties"].as_object().unwrap().keys() {
            let has_it = objects
                .iter()
                .filter(of_kind)
                .any(|object| !object["status"][field].is_null());
            assert!(has_it, "{version}: no {kind} has status.{field}");
        }
    }
}

/// What is not written any more, since it says nothing: absence says the same.
fn without_defaults(mut entries: Value) -> Value {
    for entry in entries.as_array_mut().unwrap() {
        let entry = entry.as_object_mut().unwrap();
        for (part, field) in [("settings", "readOnly"), ("seen", "at"), ("seen", "created")] {
            let Some(part) = entry.get_mut(part) else { continue };
            part.as_object_mut()
                .unwrap()
                .retain(|name, value| name != field || !(value.is_null() || *value == json!(false)));
        }
        entry.retain(|name, value| match name.as_str() {
            "retain" | "proven_ours" => *value != json!(false),
            "settings" => *value != json!({}),
            _ => true,
        });
    }
    entries
}

#[test]
fn journals_of_earlier_versions_are_read_whole() {
    for version in versions() {
        let journal = documents_of(&at(&format!("tests/upgrade/{version}/journal.yaml"))).remove(0);
        let text = |key: &str| journal["stringData"][key].as_str().unwrap().to_string();
        let (header, entries) = (text("header"), text("entries"));
        let read = codec::read(&header, &entries).unwrap_or_else(|error| panic!("{version}: {error}"));
        assert!(read.unknown.is_empty(), "{version}: {:?}", read.unknown);

        let before = without_defaults(serde_json::from_str(&entries).unwrap());
        assert_eq!(read.entries.len(), before.as_array().unwrap().len(), "{version}");
        let written = codec::write(&read).unwrap();
        let after: Value = serde_json::from_str(&written.entries).unwrap();
        assert!(holds(&after, &before), "{version}: {before} became {after}");
        let mut header: Value = serde_json::from_str(&header).unwrap();
        header["checksum"] = json!(null);
        let mut again: Value = serde_json::from_str(&written.header).unwrap();
        again["checksum"] = json!(null);
        assert_eq!(again, header, "{version}");
    }
}
