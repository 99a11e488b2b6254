//! Errors as this API writes them: each status has a form of its own.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    ratelimit,
    roles::RoleError,
    switches::{self, Switches},
};

/// What is wrong, field by field.
pub type Fields = BTreeMap<&'static str, Vec<String>>;

/// An error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    body: Body,
    header: Option<(&'static str, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    Json(Value),
    Text(&'static str),
}

impl Problem {
    fn json(status: StatusCode, body: Value) -> Problem {
        Problem {
            status,
            body: Body::Json(body),
            header: None,
        }
    }

    /// An error with a sentence.
    pub fn error(status: StatusCode, message: &str) -> Problem {
        Problem::json(status, json!({"error": message}))
    }

    /// An error of which only the status is known.
    pub fn plain(status: StatusCode) -> Problem {
        let reason = status.canonical_reason().unwrap_or("Error");
        match status {
            StatusCode::NOT_FOUND => Problem::no_route(),
            StatusCode::TOO_MANY_REQUESTS => Problem::retry_later(),
            StatusCode::PAYMENT_REQUIRED => Problem::payment_required(),
            StatusCode::UNPROCESSABLE_ENTITY => Problem::invalid("base", reason),
            _ => Problem::error(status, reason),
        }
    }

    /// An error whose status a switch holds, in the form that goes with it.
    pub fn switched(status: u16, field: &'static str, message: &str) -> Problem {
        match StatusCode::from_u16(status) {
            Ok(StatusCode::UNPROCESSABLE_ENTITY) | Err(_) => Problem::invalid(field, message),
            Ok(status) => Problem::error(status, message),
        }
    }

    /// 400
    pub fn bad_request(message: &str) -> Problem {
        Problem::error(StatusCode::BAD_REQUEST, message)
    }

    /// 401
    pub fn unauthorized() -> Problem {
        Problem::error(StatusCode::UNAUTHORIZED, "unauthorized")
    }

    /// 402
    pub fn payment_required() -> Problem {
        Problem::json(
            StatusCode::PAYMENT_REQUIRED,
            json!({"error": "not available in the free trial", "url": "https://dashboard.invalid/billing"}),
        )
    }

    /// 404 for something that the path names.
    pub fn not_found(resource: &str) -> Problem {
        Problem::json(
            StatusCode::NOT_FOUND,
            json!({"resource": resource, "error": "not found"}),
        )
    }

    /// 404 for a path that this API does not have.
    pub fn no_route() -> Problem {
        Problem::error(StatusCode::NOT_FOUND, "not found")
    }

    /// 404 or 405 for a method that the path does not have.
    pub fn wrong_method(switches: &Switches, methods: &str) -> Problem {
        if !switches.is(&switches::SCALINGO_WRONG_METHOD, "405") {
            return Problem::no_route();
        }
        let mut problem = Problem::plain(StatusCode::METHOD_NOT_ALLOWED);
        problem.header = Some(("allow", methods.to_owned()));
        problem
    }

    /// 422 for one field.
    pub fn invalid(field: &'static str, message: &str) -> Problem {
        Problem::fields(&Fields::from([(field, vec![message.to_owned()])]))
    }

    /// 422
    pub fn fields(fields: &Fields) -> Problem {
        Problem::json(StatusCode::UNPROCESSABLE_ENTITY, json!({"errors": fields}))
    }

    fn retry_later() -> Problem {
        Problem {
            status: StatusCode::TOO_MANY_REQUESTS,
            body: Body::Text("Retry later\n"),
            header: None,
        }
    }

    /// 429
    pub fn throttled(switches: &Switches, wait_ms: i64) -> Problem {
        let mut problem = Problem::retry_later();
        let way = switches.get(&switches::SCALINGO_RETRY_AFTER);
        problem.header = ratelimit::retry_after(switches, way, wait_ms);
        problem
    }

    /// What a failure of PostgreSQL looks like through the API.
    pub fn from_role_error(error: &RoleError, switches: &Switches) -> Problem {
        let status = |switch| switches.status(switch).unwrap_or(422);
        match error {
            RoleError::Exists => Problem::switched(
                status(&switches::SCALINGO_DUPLICATE),
                "name",
                "has already been taken",
            ),
            RoleError::Missing => Problem::not_found("database_user"),
            RoleError::ReservedName => Problem::invalid("name", "is reserved"),
            RoleError::OwnsObjects => Problem::switched(
                status(&switches::OWNED_OBJECTS),
                "base",
                "the user owns objects of the database",
            ),
            RoleError::Postgres(_) => {
                tracing::error!(error = error.to_string(), "PostgreSQL failed");
                Problem::error(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
            }
        }
    }

    /// The answer that it makes.
    pub fn answer(&self, switches: &Switches) -> Answer {
        let mut answer = match &self.body {
            Body::Json(body) => Answer::json(self.status, body),
            Body::Text(text) => Answer {
                status: self.status,
                content_type: Some("text/plain".to_owned()),
                body: text.as_bytes().to_vec(),
                ..Answer::default()
            },
        };
        if switches.is(&switches::ERROR_CONTENT_TYPE, "html") {
            answer.body = format!("<html><body><h1>{}</h1></body></html>\n", self.status).into_bytes();
            answer.content_type = Some("text/html".to_owned());
        }
        answer.headers.extend(self.header.clone());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.answer(&Switches::default()).body).expect("JSON")
    }

    #[test]
    fn every_status_has_its_form() {
        let of = |status| Problem::plain(StatusCode::from_u16(status).expect("a status"));
        assert!(body(&of(500))["error"].is_string());
        assert!(body(&of(401))["error"].is_string());
        assert!(body(&of(402))["url"].is_string());
        assert_eq!(body(&of(404)), json!({"error": "not found"}));
        assert!(body(&of(422))["errors"]["base"][0].is_string());
        let throttled = of(429).answer(&Switches::default());
        assert_eq!(throttled.content_type.as_deref(), Some("text/plain"));
        assert_eq!(throttled.body, b"Retry later\n");
    }

    #[test]
    fn a_switched_status_takes_its_form_along() {
        assert_eq!(
            body(&Problem::switched(422, "name", "taken")),
            json!({"errors": {"name": ["taken"]}})
        );
        assert_eq!(
            body(&Problem::switched(409, "name", "taken")),
            json!({"error": "taken"})
        );
    }
}
