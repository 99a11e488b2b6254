//! Errors as this API writes them.

use hyper::StatusCode;
use serde::Serialize;

use crate::{
    answer::Answer,
    ratelimit,
    roles::RoleError,
    switches::{self, Switches},
};

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    error_code: String,
    message: String,
}

/// An error with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    messages: Vec<Message>,
    header: Option<(&'static str, String)>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    http_status: u16,
    messages: &'a [Message],
}

impl Problem {
    /// An error with one reason.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Problem {
        Problem::many(status, vec![message.into()])
    }

    /// An error with several reasons.
    pub fn many(status: StatusCode, messages: Vec<String>) -> Problem {
        let error_code = error_code(status);
        let messages = messages
            .into_iter()
            .map(|message| Message {
                error_code: error_code.clone(),
                message,
            })
            .collect();
        Problem {
            status,
            messages,
            header: None,
        }
    }

    /// An error of which only the status is known.
    pub fn plain(status: StatusCode) -> Problem {
        Problem::new(status, status.canonical_reason().unwrap_or("Error"))
    }

    /// An error whose status a switch holds; 422 where it holds none.
    pub fn switched(status: Option<u16>, message: impl Into<String>) -> Problem {
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        Problem::new(status.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY), message)
    }

    /// 400
    pub fn bad_path() -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "the path is not UTF-8")
    }

    /// 401
    pub fn unauthorized() -> Problem {
        let mut problem = Problem::new(StatusCode::UNAUTHORIZED, "missing or wrong credentials");
        problem.header = Some(("www-authenticate", "Basic realm=\"IONOS\", Bearer".to_owned()));
        problem
    }

    /// 404 for a path that this API does not have.
    pub fn no_route() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "there is no such path")
    }

    /// 404 for a user.
    pub fn no_user() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "the user does not exist")
    }

    /// 405
    pub fn method_not_allowed(methods: &str) -> Problem {
        let mut problem = Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "the path does not support this method",
        );
        problem.header = Some(("allow", methods.to_owned()));
        problem
    }

    /// 422
    pub fn invalid(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// 429
    pub fn throttled(switches: &Switches, wait_ms: i64) -> Problem {
        let mut problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "request rate limit exceeded");
        let way = switches.get(&switches::RETRY_AFTER);
        problem.header = ratelimit::retry_after(switches, way, wait_ms);
        problem
    }

    /// What a failure of PostgreSQL looks like through the API.
    pub fn from_role_error(error: &RoleError, switches: &Switches) -> Problem {
        match error {
            RoleError::Exists => {
                Problem::switched(switches.status(&switches::DUPLICATE), "the user exists already")
            }
            RoleError::Missing => Problem::no_user(),
            RoleError::ReservedName => {
                Problem::switched(switches.status(&switches::RESERVED), "the username is reserved")
            }
            RoleError::OwnsObjects => Problem::switched(
                switches.status(&switches::OWNED_OBJECTS),
                "the user cannot be deleted because objects depend on it",
            ),
            RoleError::Postgres(_) => {
                tracing::error!(error = error.to_string(), "PostgreSQL failed");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
            }
        }
    }

    /// The answer that it makes.
    pub fn answer(&self, switches: &Switches) -> Answer {
        let body = Body {
            http_status: self.status.as_u16(),
            messages: &self.messages,
        };
        let mut answer = Answer::json(self.status, &body);
        let content_type = match switches.get(&switches::ERROR_CONTENT_TYPE) {
            "html" => {
                answer.body = format!("<html><body><h1>{}</h1></body></html>\n", self.status).into_bytes();
                "text/html"
            }
            "json" => "application/json",
            _ => "application/problem+json",
        };
        answer.content_type = Some(content_type.to_owned());
        answer.headers.extend(self.header.clone());
        answer
    }
}

/// The vendor's codes are its own business ("application internal error code"), so these only look like them.
fn error_code(status: StatusCode) -> String {
    let group = match status.as_u16() {
        400 | 415 | 422 => "validation",
        401..=403 => "auth",
        404 | 405 => "data",
        429 => "rate",
        503 => "maintenance",
        _ => "server",
    };
    format!("paas-{group}-{}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_schemas_form() {
        let switches = Switches::default();
        let answer = Problem::no_user().answer(&switches);
        assert_eq!(answer.content_type.as_deref(), Some("application/problem+json"));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(body["httpStatus"], 404);
        assert!(body["messages"][0]["errorCode"].is_string() && body["messages"][0]["message"].is_string());
    }

    #[test]
    fn the_wait_is_rounded_up() {
        let mut switches = Switches::default();
        assert_eq!(
            Problem::throttled(&switches, 1001).header,
            Some(("retry-after", "2".to_owned()))
        );
        switches.set("retry-after", "none").expect("a value");
        assert_eq!(Problem::throttled(&switches, 1001).header, None);
    }
}
