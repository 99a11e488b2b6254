//! Whether a CRD takes all that an earlier one has taken.

use serde_json::{Map, Value};

/// Every way in which a CRD has become narrower, or means something else, as `PATH: WHAT`.
pub fn narrowed(earlier: &Value, today: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for path in [
        "/spec/group",
        "/spec/scope",
        "/spec/names/kind",
        "/spec/names/plural",
    ] {
        if earlier.pointer(path) != today.pointer(path) {
            found.push(format!("{path}: it was {:?}", earlier.pointer(path)));
        }
    }
    for version in items(&earlier["spec"]["versions"]) {
        let name = &version["name"];
        match items(&today["spec"]["versions"]).find(|it| it["name"] == *name && it["served"] == true) {
            None => found.push(format!("{name}: it is not served any more")),
            Some(today) => {
                let schema = |version: &Value| version["schema"]["openAPIV3Schema"].clone();
                compare("", &schema(version), &schema(today), &mut found);
            }
        }
    }
    found
}

/// Keywords whose value must stay as it is where there was one, and must not come where there was none.
const FIXED: [&str; 7] = [
    "type",
    "format",
    "pattern",
    "default",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
];
const CEILINGS: [&str; 4] = ["maximum", "maxLength", "maxItems", "maxProperties"];
const FLOORS: [&str; 4] = ["minimum", "minLength", "minItems", "minProperties"];

fn compare(path: &str, earlier: &Value, today: &Value, found: &mut Vec<String>) {
    let mut say = |what: String| found.push(format!("{path}: {what}"));
    for keyword in FIXED {
        if earlier[keyword] != today[keyword] {
            say(format!(
                "{keyword} was {} and is {}",
                earlier[keyword], today[keyword]
            ));
        }
    }
    for keyword in CEILINGS {
        if today[keyword].as_f64().unwrap_or(f64::MAX) < earlier[keyword].as_f64().unwrap_or(f64::MAX) {
            say(format!(
                "{keyword} was {} and is {}",
                earlier[keyword], today[keyword]
            ));
        }
    }
    for keyword in FLOORS {
        if today[keyword].as_f64().unwrap_or(f64::MIN) > earlier[keyword].as_f64().unwrap_or(f64::MIN) {
            say(format!(
                "{keyword} was {} and is {}",
                earlier[keyword], today[keyword]
            ));
        }
    }
    if earlier["nullable"] == true && today["nullable"] != true {
        say("null is refused".to_string());
    }
    for name in missing(&today["required"], &earlier["required"]) {
        say(format!("{name} is required"));
    }
    match (words(earlier), words(today)) {
        (Value::Null, today @ Value::Array(_)) => say(format!("only {today} are taken")),
        (earlier, today @ Value::Array(_)) => {
            missing(earlier, today).for_each(|value| say(format!("{value} is refused")))
        }
        _ => {}
    }
    for rule in items(&today["x-kubernetes-validations"]) {
        let is_known = |it: &Value| it["rule"] == rule["rule"];
        if !items(&earlier["x-kubernetes-validations"]).any(is_known) {
            say(format!("a rule is new: {}", rule["message"]));
        }
    }
    compare_within(path, earlier, today, found);
}

/// The words that are taken, which are within `allOf` where null is taken as well.
fn words(schema: &Value) -> &Value {
    match &schema["enum"] {
        Value::Null => &schema["allOf"][0]["enum"],
        words => words,
    }
}

fn compare_within(path: &str, earlier: &Value, today: &Value, found: &mut Vec<String>) {
    let nothing = Map::new();
    for (name, schema) in earlier["properties"].as_object().unwrap_or(&nothing) {
        match today["properties"].get(name) {
            Some(today) => compare(&format!("{path}.{name}"), schema, today, found),
            None => found.push(format!("{path}.{name}: it is gone")),
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if !earlier[keyword].is_null() {
            compare(&format!("{path}[]"), &earlier[keyword], &today[keyword], found);
        }
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// What is in one list and not in the other.
fn missing<'a>(of: &'a Value, from: &'a Value) -> impl Iterator<Item = &'a Value> {
    items(of).filter(|value| !items(from).any(|it| it == *value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is found when a field `f` of one schema gets another.
    fn between(earlier: Value, today: Value) -> Vec<String> {
        let mut found = Vec::new();
        let object = |field: Value| json!({"type": "object", "properties": {"f": field}});
        compare("", &object(earlier), &object(today), &mut found);
        found
    }

    #[test]
    fn each_way_to_be_narrower_is_found() {
        for (earlier, today, expected) in [
            (
                json!({"type": "string"}),
                json!(null),
                ".f: type was \"string\" and is null",
            ),
            (
                json!({"type": "string"}),
                json!({"type": "integer"}),
                ".f: type was",
            ),
            (json!({}), json!({"pattern": "^a$"}), ".f: pattern was null"),
            (
                json!({"default": 1}),
                json!({"default": 2}),
                ".f: default was 1 and is 2",
            ),
            (
                json!({"maximum": 9}),
                json!({"maximum": 8}),
                ".f: maximum was 9 and is 8",
            ),
            (
                json!({}),
                json!({"maxLength": 8}),
                ".f: maxLength was null and is 8",
            ),
            (
                json!({"minimum": 1}),
                json!({"minimum": 2}),
                ".f: minimum was 1 and is 2",
            ),
            (
                json!({}),
                json!({"minItems": 1}),
                ".f: minItems was null and is 1",
            ),
            (json!({"nullable": true}), json!({}), ".f: null is refused"),
            (json!({}), json!({"required": ["a"]}), ".f: \"a\" is required"),
            (
                json!({"enum": ["a", "b"]}),
                json!({"enum": ["a"]}),
                ".f: \"b\" is refused",
            ),
            (json!({}), json!({"enum": ["a"]}), ".f: only [\"a\"] are taken"),
            (
                json!({"enum": ["a", "b"]}),
                json!({"allOf": [{"enum": ["a"]}]}),
                ".f: \"b\" is refused",
            ),
            (
                json!({}),
                json!({"x-kubernetes-validations": [{"rule": "false", "message": "no"}]}),
                ".f: a rule is new: \"no\"",
            ),
            (
                json!({"properties": {"g": {"type": "string"}}}),
                json!({"properties": {}}),
                ".f.g: it is gone",
            ),
            (
                json!({"items": {"maxLength": 9}}),
                json!({"items": {"maxLength": 8}}),
                ".f[]: maxLength was 9",
            ),
            (
                json!({"additionalProperties": {"type": "string"}}),
                json!({}),
                ".f[]: type was \"string\" and is null",
            ),
        ] {
            let found = between(earlier.clone(), today.clone());
            let is_it = found.len() == 1 && found[0].starts_with(expected);
            assert!(is_it, "from {earlier} to {today}: {found:?}");
        }
    }

    #[test]
    fn what_is_wider_is_not() {
        for (earlier, today) in [
            (
                json!({"maximum": 8, "minLength": 2}),
                json!({"maximum": 9, "minLength": 1}),
            ),
            (json!({"maxItems": 8}), json!({})),
            (json!({}), json!({"nullable": true})),
            (json!({"required": ["a", "b"]}), json!({"required": ["a"]})),
            (json!({"enum": ["a"]}), json!({"enum": ["a", "b"]})),
            (json!({"enum": ["a"]}), json!({})),
            (json!({"enum": ["a"]}), json!({"allOf": [{"enum": ["a", "b"]}]})),
            (
                json!({"properties": {}}),
                json!({"properties": {"g": {"maxLength": 1}}}),
            ),
            (json!({"description": "one"}), json!({"description": "another"})),
            (
                json!({"x-kubernetes-validations": [{"rule": "false"}]}),
                json!({}),
            ),
        ] {
            assert_eq!(between(earlier, today), Vec::<String>::new());
        }
    }

    #[test]
    fn a_version_or_a_name_that_goes_is_found() {
        let crd = |plural: &str, served: bool| {
            json!({"spec": {"group": "g", "scope": "Namespaced", "names": {"kind": "K", "plural": plural},
                "versions": [{"name": "v1", "served": served, "schema": {"openAPIV3Schema": {}}}]}})
        };
        assert_eq!(narrowed(&crd("ks", true), &crd("ks", true)), Vec::<String>::new());
        assert_eq!(
            narrowed(&crd("ks", true), &crd("ks", false)),
            ["\"v1\": it is not served any more"]
        );
        assert_eq!(narrowed(&crd("ks", true), &crd("kk", true)).len(), 1);
    }
}
