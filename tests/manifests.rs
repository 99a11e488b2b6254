//! The manifests that are shipped: samples are of the types, RBAC asks for the least, CRDs are all there.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support_manifests/mod.rs"]
mod support_manifests;

use std::collections::BTreeSet;

use pguser_operator::api::{crd, names};
use serde_json::{Value, json};
use support_manifests::{at, documents, files_below, holds, read_and_written};

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

#[test]
fn the_policy_speaks_of_secrets_as_the_operator_writes_them() {
    let policy = std::fs::read_to_string(at("deploy/base/admission_policy.yaml")).unwrap();
    let label = format!(
        "?labels[?'{}'].orValue('') == '{}'",
        names::MANAGED_BY,
        names::OPERATOR
    );
    let kind = format!("secret.type == '{}'", names::SECRET_TYPE);
    let mark = format!("'{}' in ", names::SECRET_USER_UID);
    let hold = format!("it != '{}'", names::CREDENTIALS_FINALIZER);
    for words in [label, kind, mark, hold] {
        assert!(policy.contains(&words), "{words}");
    }
}

#[test]
fn no_manifest_chooses_a_user_or_group() {
    let chosen = ["runAsUser:", "runAsGroup:", "fsGroup:", "supplementalGroups:"];
    let files = files_below(&at("deploy"));
    assert!(files.len() > 20, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for field in chosen {
            assert!(
                !text.contains(field),
                "{} has {field}, and OpenShift refuses any but its own",
                file.display()
            );
        }
    }
}

#[test]
fn the_operator_runs_where_only_what_is_restricted_may() {
    let base = documents("deploy/base");
    let (_, deployment) = base.iter().find(|(_, it)| it["kind"] == "Deployment").unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(
        pod["securityContext"],
        json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}})
    );
    let containers = pod["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    let wanted = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    assert_eq!(containers[0]["securityContext"], wanted);
}

#[test]
fn the_image_has_a_user_by_number_that_is_not_root() {
    // runAsNonRoot refuses an image whose user is a name.
    let text = std::fs::read_to_string(at("Dockerfile")).unwrap();
    let mut users = text.lines().filter_map(|line| line.strip_prefix("USER "));
    let user = users.next_back().unwrap();
    let (uid, gid) = user.split_once(':').unwrap();
    assert!(
        uid.parse::<u32>().unwrap() > 0 && gid.parse::<u32>().unwrap() > 0,
        "{user}"
    );
}
