//! Whatever the API server admits, the operator reads: objects are made from the CRDs' own schemas.

use std::collections::BTreeSet;

use kube::api::PostParams;
use libtest_mimic::Trial;
use pguser_operator::api::{
    ClusterPostgresServer, Lean, PostgresServer, PostgresUser, Readable, ValidUntil, crd, names,
};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use serde::Serialize;
use serde_json::{Value, json};

use super::support_manifests::holds;
use super::support_schema::{dates, values, without_nothing};
use crate::support::{Handle, Outcome, World, trials, try_out};

/// How many objects are made of each kind.
const CASES: usize = 200;

/// How many fields may be in none of those that are admitted: some are only where others are of one kind.
const MISSING: usize = 3;

/// Keys of credentials that a provider does not read: one type serves all providers, and a rule refuses these.
const UNREAD_KEYS: [(&str, &[&str]); 3] = [
    ("ionos", &["apiToken", "bearerToken"]),
    ("scalingo", &["token", "username", "password"]),
    ("postgresql", &["token", "apiToken", "bearerToken"]),
];

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        whatever_is_admitted_is_read,
        what_was_once_admitted_and_not_read_is_refused_or_read,
    )
}

async fn whatever_is_admitted_is_read(world: &World) -> Outcome {
    for (_, crd) in crd::all()? {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        // The same ones each time: what is found by others is kept below.
        let mut runner = TestRunner::deterministic();
        let specs = specs(schema);
        let mut seen = BTreeSet::new();
        let mut admitted = 0;
        for _ in 0..CASES {
            let spec = specs.new_tree(&mut runner).unwrap().current();
            if let Ok(answer) = try_out(world, kind, "generated", &spec).await? {
                admitted += 1;
                is_read(kind, &answer);
                if kind == "PostgresUser" {
                    has_a_secret_that_can_be_written(world, &answer).await?;
                }
                fields(&spec, "spec", &mut seen);
            }
        }
        assert!(
            admitted > CASES / 5,
            "{kind}: only {admitted} of {CASES} were admitted"
        );
        let missing = missing(schema, &seen);
        assert!(
            missing.len() <= MISSING,
            "{kind}: nothing that was admitted had {missing:?}"
        );
    }
    Ok(())
}

/// What was found by the test above and by people, in specs of a PostgresUser.
async fn what_was_once_admitted_and_not_read_is_refused_or_read(world: &World) -> Outcome {
    for (date, is_date) in [
        ("9999-12-31T23:59:59Z", false),
        ("9999-12-30T22:00:00.000000001Z", false),
        ("9999-12-30T22:00:00Z", true),
        ("9999-12-31T00:00:00+14:00", false),
        ("2030-01-01T00:00:00+26:00", false),
        ("2030-01-01T00:00:00+23:59", true),
        ("2030-01-01T00:00:00-00:00", true),
        ("2030-01-01T00:00:00.1234567890Z", false),
        ("2030-01-01T00:00:00.123456789Z", true),
        ("2030-01-01t00:00:00z", true),
        ("2030-02-30T00:00:00Z", false),
        ("2028-02-29T00:00:00Z", true),
        ("2100-02-29T00:00:00Z", false),
        ("2030-01-01T24:00:00Z", false),
        ("2030-01-01T00:00:00", false),
        ("0000-01-01T00:00:00Z", false),
        ("0001-01-01T00:00:00+14:00", false),
        ("0001-01-02T00:00:00+23:59", true),
        ("infinity", true),
        ("-infinity", false),
        ("", false),
    ] {
        let spec = json!({"serverRef": {"name": "s"}, "postgresql": {"validUntil": date}});
        match try_out(world, "PostgresUser", "generated", &spec).await? {
            Ok(answer) => is_read("PostgresUser", &answer),
            Err(refusal) => {
                let words = "spec.postgresql.validUntil must be infinity, or a date from";
                assert!(refusal.contains(words), "{date}: {refusal}");
                assert!(!is_date, "{date}: {refusal}");
                continue;
            }
        }
        assert!(is_date, "{date} was admitted");
    }
    Ok(())
}

/// With what it asks for in its metadata, and what the operator adds: an annotation that names all of that.
async fn has_a_secret_that_can_be_written(world: &World, answer: &str) -> Outcome {
    let user: PostgresUser = serde_json::from_str(answer)?;
    let asked = user.spec.secret.clone().unwrap_or_default();
    let from_spec = json!([
        asked.labels.keys().collect::<Vec<_>>(),
        asked.annotations.keys().collect::<Vec<_>>()
    ]);
    let mut annotations = asked.annotations;
    annotations.insert(names::SECRET_FROM_SPEC.to_string(), from_spec.to_string());
    let secret = json!({
        "metadata": {"name": user.secret_name(), "labels": asked.labels, "annotations": annotations},
        "type": names::SECRET_TYPE,
    });
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let secrets = world.api("v1/Secret");
    let made = secrets.create(&params, &serde_json::from_value(secret)?).await;
    made.map(drop)
        .map_err(|error| format!("{error}: {answer}").into())
}

fn is_read(kind: &str, answer: &str) {
    match kind {
        "PostgresUser" => is_read_as::<PostgresUser>(answer),
        "PostgresServer" => is_read_as::<PostgresServer>(answer),
        "ClusterPostgresServer" => is_read_as::<ClusterPostgresServer>(answer),
        _ => panic!("no kind of ours: {kind}"),
    }
}

/// Read by the type alone and as far as it can be read, nothing is lost.
fn is_read_as<K: Readable + Serialize>(answer: &str) {
    let lean: Lean<K> = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    if let Some(unread) = lean.unread {
        panic!("{unread}: {answer}");
    }
    let whole: K = serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    let object: Value = serde_json::from_str(answer).unwrap();
    let (mut read, mut stored) = (
        serde_json::to_value(whole).unwrap()["spec"].clone(),
        without_nothing(&object["spec"]),
    );
    let until = |spec: &mut Value| {
        let until = spec["postgresql"].as_object_mut()?.remove("validUntil")?;
        Some(serde_json::from_value::<ValidUntil>(until).unwrap())
    };
    assert_eq!(until(&mut read), until(&mut stored), "{answer}");
    assert!(holds(&read, &stored), "{answer} became {read}");
}

/// Specs of a kind. Where a schema is much wider than what rules let through, mostly that is made.
fn specs(schema: &Value) -> BoxedStrategy<Value> {
    const NAME: &str = "([a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";
    const LABEL: &str = "([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?";
    let like = |pattern: &str| Some(string_regex(pattern).unwrap().prop_map(Value::from).boxed());
    let special = |path: &str| match path {
        "spec.postgresql.validUntil" => {
            let dates = prop_oneof![9 => dates(), 1 => Just("infinity".to_string())];
            Some(dates.prop_map(Value::from).boxed())
        }
        "spec.rotation" => Some(rotations()),
        "spec.passwords.maxAge" => like("[0-9]{1,4}h"),
        "spec.refreshInterval" | "spec.verifyInterval" => like("([0-9]{1,4}s|[0-9]{1,2}m|1?[0-9]h)"),
        "spec.password.generate.digits" | "spec.password.generate.symbols" => {
            Some(select(vec![0, 1, 5, 64, 128]).prop_map(Value::from).boxed())
        }
        "spec.postgresql.config.#" => like("[a-z_][a-z0-9_$]{0,20}([.][a-z_][a-z0-9_$]{0,20})?"),
        "spec.postgresql.config.*" => like("[^\\x00]{0,20}"),
        "spec.secret.data.#" => like("[-_a-zA-Z0-9]([-._a-zA-Z0-9]{0,30}[a-zA-Z0-9])?"),
        "spec.secret.data.*" => {
            like("[^\\x00]{0,20}|\\{\\{ (username|password|nobody)(\\|(tojson|urlencode))? \\}\\}")
        }
        _ if path.ends_with(".#") || path.ends_with("[].key") => like(NAME),
        _ if path.ends_with("Labels.*") || path.ends_with("labels.*") || path.ends_with("values[]") => {
            like(LABEL)
        }
        _ => None,
    };
    let any = values(schema, "spec", &special);
    // Of a server object's providers mostly one.
    (any, 0..4usize)
        .prop_map(|(mut spec, number)| {
            const PROVIDERS: [&str; 3] = ["ionos", "scalingo", "postgresql"];
            let is_server = spec["serverRef"].is_null();
            let one = PROVIDERS
                .get(number)
                .filter(|one| is_server && spec[**one].is_object());
            if let (Some(one), Some(fields)) = (one, spec.clone().as_object()) {
                let keep = |name: &str| name == *one || !PROVIDERS.contains(&name);
                let kept = fields.iter().filter(|(name, _)| keep(name));
                spec = json!(kept.collect::<std::collections::BTreeMap<_, _>>());
            }
            for (provider, unread) in UNREAD_KEYS {
                let keys = spec.pointer_mut(&format!("/{provider}/credentialsSecretRef/keys"));
                if let Some(keys) = keys.and_then(Value::as_object_mut) {
                    keys.retain(|key, _| !unread.contains(&key.as_str()));
                }
            }
            if let Some(sql) = spec.pointer_mut("/postgresql").and_then(Value::as_object_mut)
                && sql
                    .get("sslmode")
                    .is_some_and(|it| it != "verify-full" && it != "verify-ca")
            {
                sql.remove("sendPlaintextPasswords");
            }
            spec
        })
        .boxed()
}

/// Rotations of which most are admitted: what is set depends on what else is.
fn rotations() -> BoxedStrategy<Value> {
    let duration = || "[1-9][0-9]{0,2}(h|m|s)";
    let when = prop_oneof![
        3 => (duration(), option::of(duration())).prop_map(|(interval, jitter)| json!({"interval": interval, "jitter": jitter})),
        3 => (select(vec!["0 3 * * 0", "*/5 * * * *", "not a schedule"]), option::of("[A-Za-z/]{1,20}"), option::of(duration()))
            .prop_map(|(schedule, zone, jitter)| json!({"schedule": schedule, "timeZone": zone, "jitter": jitter})),
        1 => Just(json!({})),
    ];
    let turns = prop_oneof![
        Just(json!({})),
        Just(json!({"strategy": "InPlace"})),
        (option::of(duration()), option::of(duration()), any::<bool>()).prop_map(|(overlap, wait, unused)| {
            let retire = if unused { "WhenUnused" } else { "AfterOverlap" };
            json!({"strategy": "Alternating", "overlap": overlap, "retire": retire, "maxWait": wait.filter(|_| unused)})
        }),
    ];
    (when, turns, option::of(any::<bool>()))
        .prop_map(|(when, turns, ends)| {
            let mut all = when.as_object().cloned().unwrap_or_default();
            all.extend(turns.as_object().cloned().unwrap_or_default());
            all.insert("endSessions".to_string(), json!(ends));
            all.retain(|_, value| !value.is_null());
            Value::Object(all)
        })
        .boxed()
}

/// The paths of all fields that are there and say something.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Null => return,
        Value::Object(all) => all
            .iter()
            .for_each(|(name, value)| fields(value, &format!("{path}.{name}"), found)),
        Value::Array(all) => all.iter().for_each(|value| fields(value, path, found)),
        _ => {}
    }
    found.insert(path.to_string());
}

/// The fields of a schema that are not among these.
fn missing(schema: &Value, seen: &BTreeSet<String>) -> Vec<String> {
    fn all(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            all(schema, &path, found);
            all(&schema["items"], &path, found);
            found.push(path);
        }
    }
    let mut found = Vec::new();
    all(schema, "spec", &mut found);
    let unread = |path: &String| {
        UNREAD_KEYS.iter().any(|(provider, keys)| {
            let key = path.strip_prefix(&format!("spec.{provider}.credentialsSecretRef.keys."));
            key.is_some_and(|key| keys.contains(&key))
        })
    };
    found.retain(|path| !seen.contains(path) && !unread(path));
    found
}
