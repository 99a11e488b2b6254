//! Bounds of specs that types cannot say: of names, labels, annotations and selectors.
//!
//! An API server lets a field be that breaks a bound and does not change, so what was stored before there was the bound can
//! still be written. The root of an object changes with every write of its status: a rule there may bind creation only.

use schemars::Schema;
use serde_json::{Map, Value, json};

use super::secret_preset::{ALWAYS, CLASHES, SecretPreset, clash};

/// A DNS subdomain, which the names of most objects are.
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
/// The same in any case, as prefixes of annotations may be written.
const SUBDOMAIN_IN_ANY_CASE: &str =
    "[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?([.][A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*";
/// The name of a label or annotation, without its prefix; also the value of a label, if it has one.
const NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]";

const LABEL_LENGTH: usize = 63;
const PREFIX_LENGTH: usize = 253;
const KEY_LENGTH: usize = PREFIX_LENGTH + 1 + LABEL_LENGTH;
const MAP_SIZE: usize = 64;
const LIST_SIZE: usize = 64;
/// In characters.
const ANNOTATION_LENGTH: usize = 4096;
/// In bytes, of all annotations. An API server takes 256 KiB, with those that the operator adds.
const ANNOTATIONS_SIZE: usize = 64 * 1024;
/// How many keys `spec.secret.data` has.
pub const TEMPLATES: usize = 16;
/// In characters.
pub const TEMPLATE_LENGTH: usize = 4096;
/// In bytes, of all of them and their keys: they are in each copy of the object.
const TEMPLATES_SIZE: usize = 16 * 1024;
const PARAMETERS: usize = 32;
/// In characters.
const PARAMETER_LENGTH: usize = 1024;
/// In bytes, of all of them: each entry of a journal has them while their login is made or changed.
const PARAMETERS_SIZE: usize = 4096;

/// The rule of a Secret's name.
pub fn is_subdomain() -> String {
    format!("self.matches('^{SUBDOMAIN}$')")
}

/// Bounds of the output Secret's labels.
pub fn secret_labels(schema: &mut Schema) {
    let way_out = "write other text into spec.secret.annotations";
    labels(schema.ensure_object(), "spec.secret.labels", way_out);
}

/// Bounds of the output Secret's annotations.
pub fn secret_annotations(schema: &mut Schema) {
    let schema = schema.ensure_object();
    let (keys, message) = key_rule("key", SUBDOMAIN_IN_ANY_CASE, "spec.secret.annotations");
    let size = "self.map(key, size(bytes(key)) + size(bytes(self[key]))).sum()";
    let total = format!(
        "spec.secret.annotations: all names and values together are more than {} KiB: an annotation is no place for data, keep \
         that in a ConfigMap or Secret of your own",
        ANNOTATIONS_SIZE / 1024
    );
    schema.insert("maxProperties".to_string(), json!(MAP_SIZE));
    schema.insert(
        "additionalProperties".to_string(),
        json!({"type": "string", "maxLength": ANNOTATION_LENGTH}),
    );
    schema.insert(
        "x-kubernetes-validations".to_string(),
        json!([
            {"rule": format!("self.all(key, {keys})"), "message": message},
            {"rule": format!("{size} <= {ANNOTATIONS_SIZE}"), "message": total},
        ]),
    );
}

/// Bounds of the parameters that a role sets.
pub fn parameters(schema: &mut Schema) {
    let schema = schema.ensure_object();
    let keys = "self.all(key, size(key) <= 127 && key.matches('^[a-z_][a-z0-9_$]*([.][a-z_][a-z0-9_$]*)?$'))";
    let size = format!("self.map(key, size(bytes(key)) + size(bytes(self[key]))).sum() <= {PARAMETERS_SIZE}");
    schema.insert("maxProperties".to_string(), json!(PARAMETERS));
    schema.insert(
        "additionalProperties".to_string(),
        json!({"type": "string", "maxLength": PARAMETER_LENGTH, "pattern": "^[^\\x00]*$"}),
    );
    schema.insert(
        "x-kubernetes-validations".to_string(),
        json!([
            {"rule": keys, "message": "spec.postgresql.config: a parameter's name is letters in lower case, digits and underscores, \
             with a dot in it if it is not PostgreSQL's own, such as search_path or app.tenant: write it as SHOW does, in lower \
             case"},
            {"rule": size, "message": format!(
                "spec.postgresql.config: all names and values together are more than {} KiB: keep what is long in a table, or set it \
                 in the application",
                PARAMETERS_SIZE / 1024
            )},
        ]),
    );
}

/// Bounds of the keys that an output Secret has by templates.
pub fn secret_data(schema: &mut Schema) {
    let schema = schema.ensure_object();
    let keys = format!(
        "self.all(key, size(key) <= {PREFIX_LENGTH} && key.matches('^[-._a-zA-Z0-9]+$') && !key.matches('^[.]([.].*)?$'))"
    );
    let size = format!("self.map(key, size(bytes(key)) + size(bytes(self[key]))).sum() <= {TEMPLATES_SIZE}");
    let known = words(ALWAYS);
    schema.insert("maxProperties".to_string(), json!(TEMPLATES));
    schema.insert(
        "additionalProperties".to_string(),
        json!({"type": "string", "maxLength": TEMPLATE_LENGTH}),
    );
    schema.insert(
        "x-kubernetes-validations".to_string(),
        json!([
            {"rule": keys, "message": format!(
                "spec.secret.data: a key is at most {PREFIX_LENGTH} letters, digits, dashes, underscores and dots, and neither a dot \
                 nor begins with two, such as config.toml: write it without spaces, slashes and other characters"
            )},
            {"rule": size, "message": format!(
                "spec.secret.data: all keys and templates together are more than {} KiB: keep what is long in a ConfigMap, and only \
                 what speaks of the login here",
                TEMPLATES_SIZE / 1024
            )},
            {"rule": format!("self.all(key, !(key in [{known}]))"), "message": format!(
                "spec.secret.data: {known} are keys that every Secret has: choose another name"
            )},
        ]),
    );
}

/// Rules of what an output Secret's presets and templates may be together.
pub fn secret_formats(schema: &mut Schema) {
    let schema = schema.ensure_object();
    let before = schema.remove("x-kubernetes-validations");
    let mut rules = before.and_then(|it| it.as_array().cloned()).unwrap_or_default();
    rules.extend(SecretPreset::ALL.into_iter().map(keys_are_free));
    rules.extend(CLASHES.iter().map(|(one, other, key)| {
        let (first, second) = (one.as_str(), other.as_str());
        json!({
            "rule": format!("!has(self.presets) || !('{first}' in self.presets && '{second}' in self.presets)"),
            "message": clash(*one, *other, key),
        })
    }));
    schema.insert("x-kubernetes-validations".to_string(), json!(rules));
}

/// No template is for a key that a preset writes.
fn keys_are_free(preset: SecretPreset) -> Value {
    let (name, keys) = (preset.as_str(), words(preset.keys()));
    let is_absent = match preset {
        SecretPreset::Basic => format!("(has(self.presets) && !('{name}' in self.presets))"),
        _ => format!("!has(self.presets) || !('{name}' in self.presets)"),
    };
    let way_out = format!(
        "the preset {name} writes it, too: choose another name, or spec.secret.presets without {name}"
    );
    json!({
        "rule": format!("!has(self.data) || {is_absent} || self.data.all(key, !(key in [{keys}]))"),
        "message": format!("spec.secret.data: one of {keys}: {way_out}"),
        "messageExpression": format!(
            "'spec.secret.data: \"' + self.data.filter(key, key in [{keys}])[0] + '\": {way_out}'"
        ),
    })
}

/// As a list in CEL has them.
fn words(keys: &[&str]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("'{key}'")).collect();
    quoted.join(", ")
}

/// Bounds of the name of one of a Secret's keys.
pub fn secret_key(schema: &mut Schema) {
    schema.insert("minLength".to_string(), json!(1));
    schema.insert("maxLength".to_string(), json!(PREFIX_LENGTH));
    schema.insert("pattern".to_string(), json!("^[-._a-zA-Z0-9]+$"));
}

/// Bounds of a selector of namespaces.
pub fn namespace_selector(schema: &mut Schema) {
    selector(
        schema,
        "spec.namespaceSelector",
        "namespaces have no other labels, so it would select none",
    );
}

/// Bounds of a selector of workloads.
pub fn workload_selector(schema: &mut Schema) {
    selector(
        schema,
        "spec.restart.selector",
        "workloads have no other labels, so it would select none",
    );
}

/// Bounds of a selector in this field.
fn selector(schema: &mut Schema, field: &str, of_labels: &str) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    let Some(properties) = properties else { return };
    if let Some(Value::Object(schema)) = properties.get_mut("matchLabels") {
        labels(schema, &format!("{field}.matchLabels"), of_labels);
    }
    let Some(Value::Object(expressions)) = properties.get_mut("matchExpressions") else {
        return;
    };
    expressions.insert("maxItems".to_string(), json!(LIST_SIZE));
    let Some(Value::Object(expression)) = expressions.get_mut("items") else {
        return;
    };
    expression.insert(
        "x-kubernetes-validations".to_string(),
        json!([{
            "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "message": format!("{field}.matchExpressions: In and NotIn need values, Exists and DoesNotExist take none"),
        }]),
    );
    let Some(Value::Object(fields)) = expression.get_mut("properties") else {
        return;
    };
    let (keys, message) = key_rule("self", SUBDOMAIN, &format!("{field}.matchExpressions"));
    let more = [
        (
            "key",
            json!({"maxLength": KEY_LENGTH, "x-kubernetes-validations": [{"rule": keys, "message": message}]}),
        ),
        (
            "operator",
            json!({"enum": ["In", "NotIn", "Exists", "DoesNotExist"]}),
        ),
        (
            "values",
            json!({
                "maxItems": LIST_SIZE,
                "items": label_value(&format!("{field}.matchExpressions"), of_labels),
            }),
        ),
    ];
    for (field, more) in more {
        if let (Some(Value::Object(schema)), Value::Object(more)) = (fields.get_mut(field), more) {
            schema.extend(more);
        }
    }
}

fn labels(schema: &mut Map<String, Value>, field: &str, way_out: &str) {
    let (keys, message) = key_rule("key", SUBDOMAIN, field);
    schema.insert("maxProperties".to_string(), json!(MAP_SIZE));
    schema.insert("additionalProperties".to_string(), label_value(field, way_out));
    schema.insert(
        "x-kubernetes-validations".to_string(),
        json!([{"rule": format!("self.all(key, {keys})"), "message": message}]),
    );
}

fn label_value(field: &str, way_out: &str) -> Value {
    json!({
        "type": "string",
        "maxLength": LABEL_LENGTH,
        "x-kubernetes-validations": [{
            "rule": format!("self.matches('^({NAME})?$')"),
            "message": format!(
                "{field}: a label's value is empty, or letters, digits, dashes, underscores and dots with a letter or digit at \
                 both ends: {way_out}"
            ),
        }],
    })
}

/// The rule of a label's or an annotation's name, which is in this variable, and its message.
fn key_rule(variable: &str, prefix: &str, field: &str) -> (String, String) {
    let rule =
        format!("{variable}.matches('^({prefix}/)?{NAME}$') && {variable}.indexOf('/') <= {PREFIX_LENGTH}");
    let message = format!(
        "{field}: a name is at most {LABEL_LENGTH} letters, digits, dashes, underscores and dots with a letter or digit at both \
         ends, and may have a domain and a slash before it, such as team or example.com/team: write it without spaces and \
         other characters"
    );
    (rule, message)
}
