//! What earlier versions have taken and today's CRDs refuse to whoever makes it anew.

// Not every test program that has these looks at all of it.
#![allow(dead_code)]

use serde_json::{Map, Value, json};

/// An object that may have been stored.
pub struct Beyond {
    /// The bound that it breaks: how `schema::narrowed` begins to say so.
    pub bound: &'static str,
    pub kind: &'static str,
    pub name: String,
    pub spec: Value,
    /// What is said when it is made today.
    pub says: &'static str,
}

impl Beyond {
    /// Whether this is its bound, in the words of `schema::narrowed`.
    pub fn breaks(&self, narrowed: &str) -> bool {
        narrowed.starts_with(self.bound)
    }
}

/// One for each bound.
pub fn all() -> Vec<Beyond> {
    let users = users().into_iter().map(|(bound, more, says)| {
        let mut spec = json!({"serverRef": {"name": "none"}});
        spec.as_object_mut().unwrap().extend(more);
        (bound, "PostgresUser", spec, says)
    });
    let servers = selectors().into_iter().map(|(bound, selector, says)| {
        let ionos = json!({"clusterId": "c", "credentialsSecretRef": {"name": "none"}});
        let spec = json!({"ionos": ionos, "namespaceSelector": selector});
        (bound, "ClusterPostgresServer", spec, says)
    });
    let named = |(number, (bound, kind, spec, says))| Beyond {
        bound,
        kind,
        name: format!("beyond-{number}"),
        spec,
        says,
    };
    let mut all: Vec<Beyond> = users.chain(servers).enumerate().map(named).collect();
    all.push(Beyond {
        bound: ": a rule is new: \"metadata.name followed by -postgres is longer",
        kind: "PostgresUser",
        name: "n".repeat(245),
        spec: json!({"serverRef": {"name": "none"}, "username": "short"}),
        says: "set spec.secret.name",
    });
    all
}

type Case = (&'static str, Map<String, Value>, &'static str);

fn users() -> Vec<Case> {
    let many = |length: usize| "v".repeat(length);
    let case = |bound, spec: Value, says| match spec {
        Value::Object(spec) => (bound, spec, says),
        _ => unreachable!("a spec is an object"),
    };
    let in_secret = |bound, secret: Value, says| case(bound, json!({"secret": secret}), says);
    let until = |date: &str| json!({"postgresql": {"validUntil": date}});
    let dates = ".spec.postgresql.validUntil: ";
    vec![
        case(dates, until("9999-12-31T23:59:59Z"), "write infinity"),
        case(dates, until("2030-01-01T00:00:00+26:00"), "write infinity"),
        case(dates, until("2030-01-01T00:00:00.0000000000Z"), "write infinity"),
        in_secret(
            ".spec.secret.name: ",
            json!({"name": "a..b"}),
            "both sides of every dot",
        ),
        in_secret(
            ".spec.secret.name: ",
            json!({"name": "a.-b"}),
            "both sides of every dot",
        ),
        in_secret(
            ".spec.secret.labels[]: a rule is new",
            json!({"labels": {"team": "payments / checkout"}}),
            "write other text into spec.secret.annotations",
        ),
        in_secret(
            ".spec.secret.labels[]: maxLength",
            json!({"labels": {"team": many(64)}}),
            "may not be more than 63",
        ),
        in_secret(
            ".spec.secret.labels: a rule is new",
            json!({"labels": {"bad key!": "v"}}),
            "spec.secret.labels: a name is",
        ),
        in_secret(
            ".spec.secret.annotations: a rule is new: \"spec.secret.annotations: a name is",
            json!({"annotations": {"my key": "v"}}),
            "spec.secret.annotations: a name is",
        ),
        in_secret(
            ".spec.secret.annotations[]: maxLength",
            json!({"annotations": {"data": many(200 * 1024)}}),
            "may not be more than 4096",
        ),
        in_secret(
            ".spec.secret.annotations: a rule is new: \"spec.secret.annotations: all names and values",
            json!({"annotations": (0..17).map(|number| (number.to_string(), many(4096).into())).collect::<Map<_, _>>()}),
            "more than 64 KiB",
        ),
    ]
}

type Selected = (&'static str, Value, &'static str);

fn selectors() -> Vec<Selected> {
    const LABELS: &str = "namespaces have no other labels";
    let labels = |labels: Value| json!({"matchLabels": labels});
    let one = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
    let numbers = |count: usize| (0..count).map(|number| number.to_string());
    let long = "v".repeat(64);
    vec![
        (
            ".spec.namespaceSelector.matchLabels: maxProperties",
            labels(
                numbers(65)
                    .map(|name| (name, "v".into()))
                    .collect::<Map<_, _>>()
                    .into(),
            ),
            "must have at most 64 items",
        ),
        (
            ".spec.namespaceSelector.matchLabels: a rule is new",
            labels(json!({"my key": "v"})),
            "a name is at most 63",
        ),
        (
            ".spec.namespaceSelector.matchLabels[]: maxLength",
            labels(json!({"team": long})),
            "may not be more than 63",
        ),
        (
            ".spec.namespaceSelector.matchLabels[]: a rule is new",
            labels(json!({"team": "a b"})),
            LABELS,
        ),
        (
            ".spec.namespaceSelector.matchExpressions: maxItems",
            json!({"matchExpressions": numbers(65).map(|key| json!({"key": key, "operator": "Exists"})).collect::<Vec<_>>()}),
            "must have at most 64 items",
        ),
        (
            ".spec.namespaceSelector.matchExpressions[].key: maxLength",
            one(&"k".repeat(318), "In", json!(["v"])),
            "may not be more than 317",
        ),
        (
            ".spec.namespaceSelector.matchExpressions[].key: a rule is new",
            one("my key", "In", json!(["v"])),
            "a name is at most 63",
        ),
        (
            ".spec.namespaceSelector.matchExpressions[].operator: only",
            one("team", "Near", json!(["v"])),
            "supported values",
        ),
        (
            ".spec.namespaceSelector.matchExpressions[].values: maxItems",
            one("team", "In", numbers(65).collect()),
            "must have at most 64 items",
        ),
        (
            ".spec.namespaceSelector.matchExpressions[].values[]: maxLength",
            one("team", "In", json!([long])),
            "may not be more than 63",
        ),
        (
            ".spec.namespaceSelector.matchExpressions[].values[]: a rule is new",
            one("team", "In", json!(["a b"])),
            LABELS,
        ),
        (
            ".spec.namespaceSelector.matchExpressions[]: a rule is new",
            one("team", "Exists", json!(["v"])),
            "Exists and DoesNotExist take none",
        ),
    ]
}
