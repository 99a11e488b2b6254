//! Reading requests: content type, JSON, and the rules about names and passwords.

use serde_json::{Map, Value};

use super::{
    problem::{Fields, Problem},
    random,
};
use crate::{
    answer::Call,
    switches::{self, Switches},
};

/// The bounds of a name, in characters.
const NAME: std::ops::RangeInclusive<usize> = 6..=32;
/// The bounds of a password, in characters.
const PASSWORD: std::ops::RangeInclusive<usize> = 24..=64;
/// The characters of generated passwords.
const ALPHABET: &[u8; 63] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

/// Name and password of a body, if it has them, however wrong it is otherwise: for the journal and for faults.
pub fn glance(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return (None, None);
    };
    let text = |name: &str| json.get("database_user")?.get(name)?.as_str().map(str::to_owned);
    (text("name"), text("password"))
}

/// What a POST asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct NewUserInput {
    /// The name.
    pub name: String,
    /// The password, if it is not to be generated.
    pub password: Option<String>,
    /// Whether the user reads only.
    pub read_only: bool,
}

/// Reads the body of a POST.
pub fn post(call: &Call, switches: &Switches) -> Result<NewUserInput, Problem> {
    let user = database_user(call, switches)?;
    let mut fields = Fields::new();
    refuse_unknown(
        &user,
        &[
            "database_id",
            "name",
            "read_only",
            "password",
            "password_confirmation",
        ],
        switches,
        &mut fields,
    );
    let name = match user.get("name") {
        Some(Value::String(name)) => {
            check_name(name, switches, &mut fields);
            name.clone()
        }
        _ => {
            refuse(&mut fields, "name", "can't be blank");
            String::new()
        }
    };
    let read_only = match user.get("read_only") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(read_only)) => *read_only,
        Some(_) => {
            refuse(&mut fields, "read_only", "is not a boolean");
            false
        }
    };
    let password = password(&user, switches, &mut fields);
    done(
        &fields,
        NewUserInput {
            name,
            password,
            read_only,
        },
    )
}

/// Reads the body of a PATCH: the password, if there is one.
pub fn patch(call: &Call, switches: &Switches) -> Result<Option<String>, Problem> {
    let user = database_user(call, switches)?;
    let mut fields = Fields::new();
    refuse_unknown(
        &user,
        &["database_id", "password", "password_confirmation"],
        switches,
        &mut fields,
    );
    let password = password(&user, switches, &mut fields);
    if fields.is_empty() && password.is_none() && switches.is(&switches::EMPTY_PATCH, "422") {
        refuse(&mut fields, "password", "can't be blank");
    }
    done(&fields, password)
}

fn done<T>(fields: &Fields, input: T) -> Result<T, Problem> {
    if fields.is_empty() {
        return Ok(input);
    }
    Err(Problem::fields(fields))
}

fn refuse(fields: &mut Fields, field: &'static str, message: impl Into<String>) {
    fields.entry(field).or_default().push(message.into());
}

fn database_user(call: &Call, switches: &Switches) -> Result<Map<String, Value>, Problem> {
    let content_type = call.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Problem::bad_request("the content type must be application/json"));
    }
    // The parser's own message could echo the body, and with it a password.
    let body: Value =
        serde_json::from_slice(&call.body).map_err(|_| Problem::bad_request("the body is not valid JSON"))?;
    match body.get("database_user") {
        Some(Value::Object(user)) => Ok(user.clone()),
        _ => Err(Problem::switched(
            switches.status(&switches::SCALINGO_MISSING_ROOT).unwrap_or(400),
            "database_user",
            "the parameter database_user is missing",
        )),
    }
}

fn refuse_unknown(user: &Map<String, Value>, known: &[&str], switches: &Switches, fields: &mut Fields) {
    if switches.is(&switches::UNKNOWN_FIELDS, "422") && user.keys().any(|key| !known.contains(&key.as_str()))
    {
        refuse(fields, "base", "there are unknown parameters");
    }
}

fn bounds(field: &'static str, text: &str, bounds: &std::ops::RangeInclusive<usize>, fields: &mut Fields) {
    let length = text.chars().count();
    if length < *bounds.start() {
        let message = format!("is too short (minimum is {} characters)", bounds.start());
        refuse(fields, field, message);
    } else if length > *bounds.end() {
        let message = format!("is too long (maximum is {} characters)", bounds.end());
        refuse(fields, field, message);
    }
}

fn check_name(name: &str, switches: &Switches, fields: &mut Fields) {
    bounds("name", name, &NAME, fields);
    let allowed = match switches.get(&switches::SCALINGO_NAMES) {
        "seed" => hyphenated(name),
        "docs" => underscored(name),
        _ => hyphenated(name) || underscored(name),
    };
    if !allowed {
        refuse(fields, "name", "has invalid format");
    }
}

/// The rule of the API's reference: lower-case letters and digits, with single hyphens between them.
fn hyphenated(name: &str) -> bool {
    name.split('-')
        .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
}

/// The rule of the guides: letters, digits and underscores after a letter.
fn underscored(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A password and its confirmation; `null` is as good as nothing.
fn password(user: &Map<String, Value>, switches: &Switches, fields: &mut Fields) -> Option<String> {
    let mut text = |field: &'static str| match user.get(field) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            refuse(fields, field, "is invalid");
            None
        }
    };
    let (password, confirmation) = (text("password"), text("password_confirmation"));
    if let Some(password) = &password {
        bounds("password", password, &PASSWORD, fields);
        if password.contains(['"', '\'', '\0']) {
            refuse(fields, "password", "has invalid characters");
        }
    }
    let confirmed = match (&password, &confirmation) {
        (None, None) => true,
        (Some(_), None) => switches.is(&switches::SCALINGO_MISSING_CONFIRMATION, "accept"),
        _ => password == confirmation,
    };
    if !confirmed {
        refuse(fields, "password_confirmation", "doesn't match password");
    }
    password
}

/// A password of the vendor's making.
pub fn generated_password() -> Result<String, Problem> {
    let mut password = String::with_capacity(*PASSWORD.end());
    while password.len() < *PASSWORD.end() {
        // Four times the alphabet fits into a byte; the rest would favour its beginning.
        let fair = random::<64>()?.into_iter().filter(|byte| *byte < 252);
        let room = *PASSWORD.end() - password.len();
        password.extend(
            fair.filter_map(|byte| ALPHABET.get(usize::from(byte % 63)))
                .take(room)
                .map(|letter| char::from(*letter)),
        );
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GOOD: &str = "K_gaef6ripo7Ao4Uaxai6Kiey";

    fn call(body: &str) -> Call {
        Call {
            method: hyper::Method::POST,
            path: String::new(),
            query: None,
            headers: [(
                hyper::header::CONTENT_TYPE,
                "application/json".parse().expect("a type"),
            )]
            .into_iter()
            .collect(),
            body: body.to_owned().into(),
        }
    }

    fn status(body: &Value, switches: &Switches) -> u16 {
        post(&call(&body.to_string()), switches).map_or_else(|problem| problem.status.as_u16(), |_| 201)
    }

    #[test]
    fn names_follow_the_rule_that_is_switched_on() {
        let accepted = |rule: &str, name: &str| {
            let mut switches = Switches::default();
            switches.set("scalingo-names", rule).expect("a rule");
            status(&json!({"database_user": {"name": name}}), &switches) == 201
        };
        // name, reference, guides
        for (name, seed, docs) in [
            ("metabase", true, true),
            ("my-user", true, false),
            ("my_user", false, true),
            ("4tune1", true, false),
            ("Benjamin", false, true),
            ("-hyphen", false, false),
            ("hyphen-", false, false),
            ("hy--phen", false, false),
            ("_under", false, false),
            ("mixed-_x", false, false),
            ("élephant", false, false),
            ("short", false, false),
            (&"x".repeat(32), true, true),
            (&"x".repeat(33), false, false),
        ] {
            assert_eq!(accepted("seed", name), seed, "{name}");
            assert_eq!(accepted("docs", name), docs, "{name}");
            assert_eq!(accepted("both", name), seed || docs, "{name}");
        }
    }

    #[test]
    fn passwords_are_bounded_confirmed_and_free_of_quotes() {
        let mut switches = Switches::default();
        let with = |password: Value, confirmation: Value, switches: &Switches| {
            let user =
                json!({"name": "my-user", "password": password, "password_confirmation": confirmation});
            status(&json!({"database_user": user}), switches)
        };
        let same = |password: &str| with(json!(password), json!(password), &Switches::default());
        assert_eq!(same(GOOD), 201);
        assert_eq!(same(&"p".repeat(23)), 422);
        assert_eq!(same(&"ä".repeat(24)), 201);
        assert_eq!(same(&"p".repeat(64)), 201);
        assert_eq!(same(&"p".repeat(65)), 422);
        assert_eq!(same(&format!("{GOOD}'")), 422);
        assert_eq!(same(&format!("{GOOD}\"")), 422);
        assert_eq!(with(json!(null), json!(null), &switches), 201);
        assert_eq!(with(json!(GOOD), json!(format!("{GOOD}x")), &switches), 422);
        assert_eq!(with(json!(null), json!(GOOD), &switches), 422);
        assert_eq!(with(json!(7), json!(7), &switches), 422);
        assert_eq!(with(json!(GOOD), json!(null), &switches), 422);
        switches
            .set("scalingo-missing-confirmation", "accept")
            .expect("a value");
        assert_eq!(with(json!(GOOD), json!(null), &switches), 201);
    }

    #[test]
    fn what_is_no_json_is_400_and_so_is_a_missing_root() {
        let mut switches = Switches::default();
        let of = |body: &str, switches: &Switches| {
            post(&call(body), switches).map_err(|problem| problem.status.as_u16())
        };
        assert_eq!(of("", &switches), Err(400));
        assert_eq!(of("{", &switches), Err(400));
        assert_eq!(of("{}", &switches), Err(400));
        assert_eq!(of(r#"{"name":"my-user"}"#, &switches), Err(400));
        assert_eq!(of(r#"{"database_user":{}}"#, &switches), Err(422));
        assert_eq!(
            of(r#"{"database_user":{"name":"my-user","read_only":1}}"#, &switches),
            Err(422)
        );
        switches.set("scalingo-missing-root", "422").expect("a value");
        assert_eq!(of("{}", &switches), Err(422));
    }

    #[test]
    fn generated_passwords_keep_to_the_rules_and_differ() {
        let password = generated_password().expect("a password");
        assert_eq!(password.len(), 64);
        assert!(password.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(password, generated_password().expect("a password"));
    }
}
