//! The CRDs in `crds/` are what the types say.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use pguser_operator::api::crd;
use serde_json::Value;

#[test]
fn the_crds_in_the_repository_are_those_that_the_binary_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for (name, crd) in crd::all().unwrap() {
        let written = crd::to_yaml(&crd).unwrap();
        let kept = fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(
            kept == written,
            "crds/{name} is not what src/api says: run make generate"
        );
    }
}

#[test]
fn every_field_is_described() {
    fn undescribed(path: &str, schema: &Value, found: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if property["description"].as_str().unwrap_or_default().is_empty() {
                found.push(path.clone());
            }
            undescribed(&path, property, found);
            undescribed(&path, &property["items"], found);
        }
    }
    let mut found = Vec::new();
    for (_, crd) in crd::all().unwrap() {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_string();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        undescribed(&format!("{kind}.spec"), &schema["spec"], &mut found);
        undescribed(&format!("{kind}.status"), &schema["status"], &mut found);
    }
    assert!(found.is_empty(), "fields without a description: {found:?}");
}

#[test]
fn a_new_object_is_never_current() {
    for (name, crd) in crd::all().unwrap() {
        let status = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
        assert_eq!(status["default"]["observedGeneration"], -1, "{name}");
    }
}

/// Looks at a schema and at all that are within it, each with its path.
fn for_each(path: &str, schema: &Value, look: &mut impl FnMut(&str, &Value)) {
    look(path, schema);
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        for_each(&format!("{path}.{name}"), schema, look);
    }
    for within in ["items", "additionalProperties"] {
        if schema[within].is_object() {
            for_each(&format!("{path}[]"), &schema[within], look);
        }
    }
}

/// An API server refuses null wherever a schema has an `enum`, whatever else it says.
#[test]
fn what_may_be_null_has_no_enum_but_within_all_of() {
    let mut may_be_null = Vec::new();
    let mut look = |path: &str, schema: &Value| {
        let nullable = schema["nullable"] == true;
        assert!(!(nullable && schema["enum"].is_array()), "{path}");
        if nullable && schema["allOf"][0]["enum"].is_array() {
            may_be_null.push(path.to_string());
        }
    };
    for (_, crd) in crd::all().unwrap() {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for_each(kind, schema, &mut look);
    }
    for field in [
        "PostgresUser.spec.deletionPolicy",
        "PostgresServer.spec.connection.sslmode",
        "ClusterPostgresServer.spec.connection.sslmode",
    ] {
        assert!(
            may_be_null.iter().any(|it| it == field),
            "{field}: {may_be_null:?}"
        );
    }
}

/// What an API server takes without a bound it takes by the megabyte, and no rule in CEL can be afforded on it.
#[test]
fn every_value_of_a_spec_is_bounded_at_both_ends() {
    let mut found = Vec::new();
    let mut look = |path: &str, schema: &Value| {
        let needed: &[&str] = match schema["type"].as_str().unwrap_or_default() {
            "string" if schema["enum"].is_array() || schema["allOf"][0]["enum"].is_array() => &[],
            "string" => &["maxLength"],
            "integer" => &["minimum", "maximum"],
            "array" => &["maxItems"],
            "object" if schema["additionalProperties"].is_object() => {
                &["maxProperties", "x-kubernetes-validations"]
            }
            "object" if schema["properties"].is_object() => &[],
            "boolean" => &[],
            _ => &["type"],
        };
        let missing = needed.iter().filter(|bound| schema[**bound].is_null());
        found.extend(missing.map(|bound| format!("{path}: {bound}")));
        assert!(schema["format"] != "date-time", "{path}: it has no ends");
    };
    for (name, crd) in crd::all().unwrap() {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        for_each(&name, schema, &mut look);
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// The root changes with every write of a status, so a rule there that an older object breaks would keep it from ever getting
/// one.
#[test]
fn rules_at_the_root_bind_creation_or_what_changes() {
    /// It was there before any object was.
    const FROM_THE_BEGINNING: &str = "has(self.spec.username) || size(self.metadata.name) <= 63";
    /// It came with one of the fields that it speaks of, so no older object breaks it.
    const WITH_ITS_FIELD: &str = "!has(self.spec.rotation) || ";
    for (name, crd) in crd::all().unwrap() {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for rule in schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let text = rule["rule"].as_str().unwrap();
            let binds_creation =
                rule["optionalOldSelf"] == true && text.starts_with("oldSelf.hasValue() || ");
            let binds_changes = rule["optionalOldSelf"] != true && text.contains("oldSelf.");
            assert!(
                binds_creation
                    || binds_changes
                    || text == FROM_THE_BEGINNING
                    || text.starts_with(WITH_ITS_FIELD),
                "{name}: {text}"
            );
        }
    }
}
