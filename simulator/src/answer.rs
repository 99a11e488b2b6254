//! An answer before it is sent, so that faults can still spoil it.

use hyper::StatusCode;
use serde::Serialize;

use crate::roles::NewPassword;

/// Status, headers and body.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body's type; no header if there is none.
    pub content_type: Option<String>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the request changed a user.
    pub committed: bool,
    /// The fingerprint of the password that the user was given, where the request did not bring it along.
    pub password_print: Option<String>,
}

impl Answer {
    /// An answer with a JSON body.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Answer {
        let mut body = serde_json::to_vec(body).unwrap_or_default();
        body.push(b'\n');
        Answer {
            status,
            content_type: Some("application/json".to_owned()),
            body,
            ..Answer::default()
        }
    }

    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Answer {
        Answer {
            status,
            ..Answer::default()
        }
    }

    /// Marked as one that changed a user.
    pub fn committed(mut self) -> Answer {
        self.committed = true;
        self
    }

    /// Marked with the password that the user was given.
    pub fn with_password(mut self, password: &NewPassword) -> Answer {
        self.password_print = Some(password.print.clone());
        self
    }
}

/// A request, read to its end.
pub struct Call {
    /// The method.
    pub method: hyper::Method,
    /// The path, escaped as it was received.
    pub path: String,
    /// The query as it was received.
    pub query: Option<String>,
    /// The headers.
    pub headers: hyper::HeaderMap,
    /// The body.
    pub body: bytes::Bytes,
}

impl Call {
    /// Scheme and host as the caller used them: links have to work from where the caller is.
    pub fn origin(&self) -> String {
        let scheme = self
            .header("x-forwarded-proto")
            .filter(|proto| *proto == "https")
            .unwrap_or("http");
        format!("{scheme}://{}", self.header("host").unwrap_or("localhost"))
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
