//! Reading requests: content type, JSON, schema, query.

use hyper::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::problem::Problem;
use crate::{
    answer::Call,
    switches::{self, Switches},
};

/// The longest username, in characters.
const USERNAME_MAX: usize = 63;
/// The bounds of a password, in characters.
const PASSWORD: std::ops::RangeInclusive<usize> = 10..=63;

/// Username and password of a body, if it has them, however wrong it is otherwise: for the journal and for faults.
pub fn glance(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return (None, None);
    };
    let text = |name: &str| json.get("properties")?.get(name)?.as_str().map(str::to_owned);
    (text("username"), text("password"))
}

/// What a POST or PATCH asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct UserInput {
    /// The username; empty in a PATCH.
    pub username: String,
    /// The password, if there is one.
    pub password: Option<String>,
}

/// Reads the body of a POST.
pub fn post(call: &Call, switches: &Switches) -> Result<UserInput, Problem> {
    let body = object(call)?;
    let mut faults = Vec::new();
    let empty = Map::new();
    let properties = properties(&body, &mut faults).unwrap_or(&empty);
    refuse_unknown(
        &body,
        properties,
        &["username", "password", "system"],
        switches,
        &mut faults,
    );
    if properties.contains_key("system") && switches.is(&switches::POST_SYSTEM_FIELD, "422") {
        faults.push("properties.system is read-only".to_owned());
    }
    if properties
        .get("system")
        .is_some_and(|system| !system.is_boolean())
    {
        faults.push("properties.system must be a boolean".to_owned());
    }
    let username = match properties.get("username") {
        Some(Value::String(username)) => {
            check_username(username, switches, &mut faults);
            username.clone()
        }
        Some(_) => {
            faults.push("properties.username must be a string".to_owned());
            String::new()
        }
        None => {
            faults.push("properties.username is required".to_owned());
            String::new()
        }
    };
    let password = password(properties, &mut faults);
    if password.is_none()
        && !properties.contains_key("password")
        && switches.is(&switches::MISSING_PASSWORD, "422")
    {
        faults.push("properties.password is required".to_owned());
    }
    done(faults, UserInput { username, password })
}

/// Reads the body of a PATCH.
pub fn patch(call: &Call, switches: &Switches) -> Result<UserInput, Problem> {
    let body = object(call)?;
    let mut faults = Vec::new();
    let empty = Map::new();
    let properties = properties(&body, &mut faults).unwrap_or(&empty);
    refuse_unknown(&body, properties, &["password"], switches, &mut faults);
    let password = password(properties, &mut faults);
    if faults.is_empty() && password.is_none() && switches.is(&switches::EMPTY_PATCH, "422") {
        faults.push("properties.password is required".to_owned());
    }
    done(
        faults,
        UserInput {
            username: String::new(),
            password,
        },
    )
}

fn done(faults: Vec<String>, input: UserInput) -> Result<UserInput, Problem> {
    if faults.is_empty() {
        return Ok(input);
    }
    Err(Problem::many(StatusCode::UNPROCESSABLE_ENTITY, faults))
}

fn object(call: &Call) -> Result<Map<String, Value>, Problem> {
    let content_type = call.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the content type must be application/json",
        ));
    }
    // The parser's own message could echo the body, and with it a password.
    match serde_json::from_slice(&call.body) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(Problem::invalid("the body must be an object")),
        Err(_) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the body is not valid JSON",
        )),
    }
}

fn properties<'a>(body: &'a Map<String, Value>, faults: &mut Vec<String>) -> Option<&'a Map<String, Value>> {
    match body.get("properties") {
        Some(Value::Object(properties)) => return Some(properties),
        Some(_) => faults.push("properties must be an object".to_owned()),
        None => faults.push("properties is required".to_owned()),
    }
    None
}

fn refuse_unknown(
    body: &Map<String, Value>,
    properties: &Map<String, Value>,
    known: &[&str],
    switches: &Switches,
    faults: &mut Vec<String>,
) {
    if !switches.is(&switches::UNKNOWN_FIELDS, "422") {
        return;
    }
    faults.extend(
        body.keys()
            .filter(|key| *key != "properties")
            .map(|key| format!("{key} is not known")),
    );
    let unknown = properties.keys().filter(|key| !known.contains(&key.as_str()));
    faults.extend(unknown.map(|key| format!("properties.{key} is not known")));
}

fn check_username(username: &str, switches: &Switches, faults: &mut Vec<String>) {
    let length = username.chars().count();
    if length == 0 || length > USERNAME_MAX {
        faults.push(format!(
            "properties.username must have 1 to {USERNAME_MAX} characters"
        ));
    } else if username.len() > USERNAME_MAX && switches.is(&switches::LONG_NAMES, "refuse") {
        faults.push(format!(
            "properties.username must have at most {USERNAME_MAX} bytes"
        ));
    }
    if username.contains('\0') {
        faults.push("properties.username must not have the character U+0000".to_owned());
    }
}

fn password(properties: &Map<String, Value>, faults: &mut Vec<String>) -> Option<String> {
    let password = match properties.get("password")? {
        Value::String(password) => password,
        _ => {
            faults.push("properties.password must be a string".to_owned());
            return None;
        }
    };
    if !PASSWORD.contains(&password.chars().count()) {
        let (min, max) = (PASSWORD.start(), PASSWORD.end());
        faults.push(format!("properties.password must have {min} to {max} characters"));
    }
    if password.contains('\0') {
        faults.push("properties.password must not have the character U+0000".to_owned());
    }
    Some(password.clone())
}

/// Checks the length of a username in the path.
pub fn check_path_username(username: &str, switches: &Switches) -> Result<(), Problem> {
    if username.chars().count() <= USERNAME_MAX {
        return Ok(());
    }
    let message = format!("the username must have 1 to {USERNAME_MAX} characters");
    Err(Problem::switched(
        switches.status(&switches::PATH_USERNAME),
        message,
    ))
}

/// The page that a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The most items.
    pub limit: usize,
    /// The first item.
    pub offset: usize,
    /// Whether system users are listed; `None` if nothing was said.
    pub system: Option<bool>,
}

/// Reads the query of a list. The last of several values counts; unknown parameters do not.
pub fn page(query: Option<&str>, switches: &Switches) -> Result<Page, Problem> {
    let mut page = Page {
        limit: 100,
        offset: 0,
        system: None,
    };
    for pair in query.unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let unparsable = |what: &str| {
            Problem::switched(
                switches.status(&switches::UNPARSABLE_QUERY),
                format!("{what} cannot be parsed"),
            )
        };
        let value = decode(value);
        let number = || value.parse::<i64>();
        match decode(name).as_str() {
            "limit" => page.limit = in_range("limit", number().map_err(|_| unparsable("limit"))?, 1..=1000)?,
            "offset" => {
                page.offset = in_range(
                    "offset",
                    number().map_err(|_| unparsable("offset"))?,
                    0..=i64::MAX,
                )?;
            }
            // Clients written in Python send `True`.
            "system" => {
                let word = value.to_ascii_lowercase();
                page.system = Some(word.parse().map_err(|_| unparsable("system"))?);
            }
            _ => {}
        }
    }
    Ok(page)
}

fn in_range(name: &str, value: i64, range: std::ops::RangeInclusive<i64>) -> Result<usize, Problem> {
    let found = range
        .contains(&value)
        .then(|| usize::try_from(value).ok())
        .flatten();
    found.ok_or_else(|| Problem::invalid(format!("{name} is out of range")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(content_type: &str, body: &str) -> Call {
        Call {
            method: hyper::Method::POST,
            path: String::new(),
            query: None,
            headers: [(hyper::header::CONTENT_TYPE, content_type.parse().expect("a type"))]
                .into_iter()
                .collect(),
            body: body.to_owned().into(),
        }
    }

    fn status(body: &str) -> u16 {
        post(
            &call("application/json; charset=utf-8", body),
            &Switches::default(),
        )
        .map_or_else(|problem| problem.status.as_u16(), |_| 200)
    }

    #[test]
    fn lengths_count_characters() {
        let body = |username: &str, password: &str| {
            serde_json::json!({"properties": {"username": username, "password": password}}).to_string()
        };
        assert_eq!(status(&body("b", "TopSecret!")), 200);
        assert_eq!(status(&body("", "TopSecret!")), 422);
        assert_eq!(status(&body(&"x".repeat(63), &"p".repeat(63))), 200);
        assert_eq!(status(&body(&"x".repeat(64), "TopSecret!")), 422);
        assert_eq!(status(&body("b", &"p".repeat(9))), 422);
        assert_eq!(status(&body("b", &"p".repeat(64))), 422);
        assert_eq!(status(&body("b", &"ä".repeat(63))), 200);
        assert_eq!(status(&body(&"é".repeat(31), "TopSecret!")), 200);
        assert_eq!(status(&body(&"é".repeat(40), "TopSecret!")), 422);
    }

    #[test]
    fn what_is_no_json_is_400_and_what_is_no_user_is_422() {
        assert_eq!(status(""), 400);
        assert_eq!(status("{"), 400);
        assert_eq!(status("[]"), 422);
        assert_eq!(status("{}"), 422);
        assert_eq!(status(r#"{"properties":{"username":"b"}}"#), 422);
        assert_eq!(status(r#"{"properties":{"username":"b","password":null}}"#), 422);
        assert_eq!(
            status(r#"{"properties":{"username":7,"password":"TopSecret!"}}"#),
            422
        );
        let wrong = post(&call("text/plain", "{}"), &Switches::default());
        assert_eq!(wrong.map_err(|problem| problem.status.as_u16()), Err(415));
    }

    #[test]
    fn queries_are_read_as_clients_write_them() {
        let switches = Switches::default();
        let read = |query: &str| page(Some(query), &switches).map_err(|problem| problem.status.as_u16());
        assert_eq!(
            read("system=True"),
            Ok(Page {
                limit: 100,
                offset: 0,
                system: Some(true)
            })
        );
        assert_eq!(
            read("limit=1000&offset=2"),
            Ok(Page {
                limit: 1000,
                offset: 2,
                system: None
            })
        );
        assert_eq!(
            read(""),
            Ok(Page {
                limit: 100,
                offset: 0,
                system: None
            })
        );
        for (query, status) in [
            ("limit=0", 422),
            ("limit=1001", 422),
            ("offset=-1", 422),
            ("limit=x", 400),
            ("system=2", 400),
        ] {
            assert_eq!(read(query), Err(status), "{query}");
        }
    }
}
