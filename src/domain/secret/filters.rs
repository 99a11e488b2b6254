//! What templates can do to a value: write it so that it can stand in other text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};
use zeroize::Zeroizing;

use super::escape;

/// The longest that a value gets, in bytes; also the longest text that a filter takes.
pub const LONGEST_VALUE: usize = 64 * 1024;

/// What a filter says of a text that is too long for it.
pub const TOO_LONG: &str = "too long";

/// What a filter does.
type Escape = fn(&str) -> Zeroizing<String>;

/// Every filter by its name. `tojson` is besides these: it looks at what kind a value is.
const OF_TEXT: &[(&str, Escape)] = &[
    ("urlencode", escape::percent),
    ("b64encode", |text| Zeroizing::new(STANDARD.encode(text))),
    ("pgpass", escape::pgpass),
    ("conninfo", escape::conninfo),
    ("dotnet", escape::dotnet),
];

/// Every filter, and what it is for.
pub const ALL: &[(&str, &str)] = &[
    ("urlencode", "any part of a URI"),
    ("tojson", "JSON and YAML, with quotes"),
    ("b64encode", "base64"),
    ("pgpass", "a field of a password file"),
    (
        "conninfo",
        "a value of libpq's keyword=value strings, with quotes",
    ),
    (
        "dotnet",
        "a value of a .NET connection string, with quotes if needed",
    ),
];

/// Makes them known.
pub fn add_to(environment: &mut Environment<'_>) {
    for (name, escape) in OF_TEXT {
        environment.add_filter(*name, move |value: Value| of_text(&value, *escape));
    }
    environment.add_filter("tojson", |value: Value| to_json(&value));
}

fn of_text(value: &Value, escape: Escape) -> Result<Value, Error> {
    let text = text_of(value)?;
    Ok(Value::from(escape(&text).as_str()))
}

/// A number stays one.
fn to_json(value: &Value) -> Result<Value, Error> {
    let text = text_of(value)?;
    if value.as_str().is_none() {
        return Ok(Value::from(text.as_str()));
    }
    let json = Zeroizing::new(serde_json::to_string(text.as_str()).unwrap_or_default());
    Ok(Value::from(json.as_str()))
}

fn text_of(value: &Value) -> Result<Zeroizing<String>, Error> {
    let text = Zeroizing::new(value.to_string());
    match text.len() <= LONGEST_VALUE {
        true => Ok(text),
        false => Err(Error::new(ErrorKind::InvalidOperation, TOO_LONG)),
    }
}
