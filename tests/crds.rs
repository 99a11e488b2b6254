//! The CRDs in `crds/` are what the types say.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use pguser_operator::api::crd;

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
    fn undescribed(path: &str, schema: &serde_json::Value, found: &mut Vec<String>) {
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
