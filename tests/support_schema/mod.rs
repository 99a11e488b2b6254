//! Values of a schema in the words of OpenAPI: all that it allows, and its ends more often than chance has them.

#![allow(dead_code)]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

/// What is generated for a path (`spec.secret.labels.*`) instead of what its schema allows, where that is wider than what is
/// worth trying. The names of a map's fields are at `….#`.
pub type Special<'a> = &'a dyn Fn(&str) -> Option<BoxedStrategy<Value>>;

/// How long a list, a map or a text is, if no schema says.
const UNBOUNDED: u64 = 40;

/// How many values [`for_any`] tries.
const CASES: u32 = 100;

/// Tries any value of a schema.
pub fn for_any(schema: &Value, test: impl Fn(&Runtime, Value)) {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let runtime = Runtime::new().unwrap();
    let any = values(schema, "", &|_| None);
    let tried = TestRunner::new(config).run(&any, |value| {
        test(&runtime, value);
        Ok(())
    });
    tried.unwrap();
}

/// Any value of a schema.
pub fn values(schema: &Value, path: &str, special: Special<'_>) -> BoxedStrategy<Value> {
    let values = match special(path) {
        Some(special) => special,
        None => of_type(schema, path, special),
    };
    match schema["nullable"] == true {
        true => prop_oneof![9 => values, 1 => Just(Value::Null)].boxed(),
        false => values,
    }
}

fn of_type(schema: &Value, path: &str, special: Special<'_>) -> BoxedStrategy<Value> {
    // Where null is taken as well, the words are within `allOf`.
    let words = schema["enum"]
        .as_array()
        .or(schema["allOf"][0]["enum"].as_array());
    if let Some(words) = words {
        return select(words.clone()).boxed();
    }
    match schema["type"].as_str() {
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        Some("integer") => integers(schema),
        Some("string") => texts(schema).prop_map(Value::from).boxed(),
        Some("array") => {
            let items = values(&schema["items"], &format!("{path}[]"), special);
            lengths(schema, "minItems", "maxItems")
                .prop_flat_map(move |length| vec(items.clone(), length).prop_map(Value::from))
                .boxed()
        }
        Some("object") if schema["additionalProperties"].is_object() => {
            let names = special(&format!("{path}.#"))
                .unwrap_or_else(|| texts(&Value::Null).prop_map(Value::from).boxed());
            let values = values(&schema["additionalProperties"], &format!("{path}.*"), special);
            let field = (names.prop_map(|name| text_of(&name)), values);
            lengths(schema, "minProperties", "maxProperties")
                .prop_flat_map(move |length| vec(field.clone(), length))
                .prop_map(|fields| Value::Object(fields.into_iter().collect()))
                .boxed()
        }
        Some("object") => objects(schema, path, special),
        other => panic!("{path}: nothing is known of the type {other:?}"),
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

/// All fields that have to be there, and any of the others.
fn objects(schema: &Value, path: &str, special: Special<'_>) -> BoxedStrategy<Value> {
    let required = |name: &String| {
        let names = schema["required"].as_array().into_iter().flatten();
        names.into_iter().any(|it| it == name)
    };
    let mut fields = Just(Map::new()).boxed();
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let values = values(schema, &format!("{path}.{name}"), special);
        let value = match required(name) {
            true => values.prop_map(Some).boxed(),
            false => proptest::option::weighted(0.6, values).boxed(),
        };
        let name = name.clone();
        fields = (fields, value)
            .prop_map(move |(mut fields, value)| {
                fields.extend(value.map(|value| (name.clone(), value)));
                fields
            })
            .boxed();
    }
    fields.prop_map(Value::Object).boxed()
}

fn integers(schema: &Value) -> BoxedStrategy<Value> {
    let (least, most) = match schema["format"].as_str() {
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    // The schemas write bounds as floating-point numbers, and all of ours are exact.
    let bound = |name: &str, otherwise: i64| schema[name].as_f64().map_or(otherwise, |bound| bound as i64);
    let (least, most) = (bound("minimum", least), bound("maximum", most));
    prop_oneof![1 => Just(least), 1 => Just(most), 3 => least..=most]
        .prop_map(Value::from)
        .boxed()
}

/// How long something may be: mostly little, at times as much as can be.
fn lengths(schema: &Value, least: &str, most: &str) -> BoxedStrategy<usize> {
    let least = schema[least].as_u64().unwrap_or(0);
    let most = schema[most].as_u64().unwrap_or(UNBOUNDED).max(least);
    prop_oneof![3 => least..=most.min(least + 3), 1 => least..=most, 1 => Just(least), 1 => Just(most)]
        .prop_map(|length| usize::try_from(length).unwrap_or_default())
        .boxed()
}

fn texts(schema: &Value) -> BoxedStrategy<String> {
    if schema["format"] == "date-time" {
        return dates();
    }
    let lengths = lengths(schema, "minLength", "maxLength");
    match schema["pattern"].as_str() {
        None => lengths
            .prop_flat_map(|length| vec(any::<char>(), length))
            .prop_map(String::from_iter)
            .boxed(),
        Some(pattern) => {
            let inner = pattern.trim_start_matches('^').trim_end_matches('$');
            let some = string_regex(inner)
                .unwrap_or_else(|error| panic!("{pattern}: {error}"))
                .boxed();
            if schema["maxLength"].is_null() {
                return some; // the pattern alone says how long it is
            }
            let stretched = (some.clone(), lengths).prop_map(|(text, length)| {
                let all = text.chars().cycle().take(length);
                if text.is_empty() { text } else { all.collect() }
            });
            prop_oneof![some, stretched].boxed()
        }
    }
}

/// Any date that RFC 3339 has, with a fraction of up to nine digits.
pub fn dates() -> BoxedStrategy<String> {
    let day = (1i16..=9999, 1i8..=12).prop_flat_map(|(year, month)| {
        let days = jiff::civil::date(year, month, 1).days_in_month();
        (1..=days).prop_map(move |day| format!("{year:04}-{month:02}-{day:02}"))
    });
    let day = prop_oneof![
        8 => day,
        1 => select(vec!["0001-01-01", "0001-01-02", "2028-02-29", "9999-12-30", "9999-12-31"])
            .prop_map(ToString::to_string),
    ];
    let time =
        (0..24, 0..60, 0..60).prop_map(|(hour, minute, second)| format!("{hour:02}:{minute:02}:{second:02}"));
    let fraction = (0usize..=9, 0u32..1_000_000_000).prop_map(|(digits, number)| match digits {
        0 => String::new(),
        digits => format!(".{}", &format!("{number:09}")[..digits]),
    });
    let offset = prop_oneof![
        2 => Just("Z".to_string()),
        1 => Just("-00:00".to_string()),
        4 => (select(vec!['+', '-']), 0..24, 0..60)
            .prop_map(|(sign, hours, minutes)| format!("{sign}{hours:02}:{minutes:02}")),
    ];
    (day, time, fraction, offset, prop::bool::weighted(0.1))
        .prop_map(|(day, time, fraction, offset, lower)| {
            let text = format!("{day}T{time}{fraction}{offset}");
            if lower { text.to_lowercase() } else { text }
        })
        .boxed()
}

/// A value without the fields that are null or empty: to whoever reads it the same.
pub fn without_nothing(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let all = fields
                .iter()
                .map(|(name, value)| (name.clone(), without_nothing(value)));
            let something = |value: &Value| ![json!(null), json!({}), json!([])].contains(value);
            json!(all.filter(|(_, value)| something(value)).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(without_nothing).collect(),
        other => other.clone(),
    }
}
