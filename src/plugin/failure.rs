//! What goes wrong, for whoever typed the command.

use std::error::Error;

use thiserror::Error as ThisError;

/// It is not as it should be, or not yet.
pub const NOT_SO: u8 = 1;
/// The command line is wrong.
const USAGE: u8 = 2;
/// It could not be done or told.
pub const COULD_NOT: u8 = 3;

/// Why a command could not do its work.
#[derive(Debug, ThisError)]
pub enum Failure {
    /// What was typed cannot be done in this way.
    #[error("{0}")]
    Usage(String),
    /// The API server does not let this person do it.
    #[error(
        "{doing}: you lack the right to {verb}{message}; ask an administrator for it, or see what \
             `kubectl auth can-i --list` says you may do"
    )]
    Forbidden {
        /// What was tried.
        doing: String,
        /// Which verb on which resource.
        verb: String,
        /// The API server's own words, if there are any.
        message: String,
    },
    /// There is no such object.
    #[error("{doing}: there is none (404)")]
    NotFound {
        /// What was tried.
        doing: String,
    },
    /// Somebody else has changed it meanwhile.
    #[error("{doing}: somebody else has just changed it (409); try again")]
    Conflict {
        /// What was tried.
        doing: String,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What was asked of the API server: a verb and a resource, and where.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// `get`, `list`, `patch`, `delete`.
    pub verb: &'a str,
    /// `postgresusers`, `secrets`, …
    pub resource: &'a str,
    /// The namespace; none for what is in no namespace, or for all.
    pub namespace: Option<&'a str>,
    /// The object's name; none for a list.
    pub name: Option<&'a str>,
}

impl Asked<'_> {
    fn doing(&self) -> String {
        let Self { verb, resource, .. } = self;
        let name = self.name.map(|name| format!("/{name}")).unwrap_or_default();
        format!("{verb} {resource}{name}{}", self.place())
    }

    fn place(&self) -> String {
        let place = |namespace: &str| format!(" in namespace {namespace}");
        self.namespace.map(place).unwrap_or_default()
    }

    /// What an error of the API server means.
    pub fn failed(&self, error: &kube::Error) -> Failure {
        let doing = self.doing();
        match error {
            kube::Error::Api(status) if status.code == 403 => Failure::Forbidden {
                doing,
                verb: format!("{} {}{}", self.verb, self.resource, self.place()),
                message: match status.message.len() {
                    1..=400 => format!(" ({})", status.message),
                    _ => String::new(),
                },
            },
            kube::Error::Api(status) if status.code == 404 => Failure::NotFound { doing },
            kube::Error::Api(status) if status.code == 409 => Failure::Conflict { doing },
            kube::Error::Api(status) if status.code == 401 => Failure::Other(format!(
                "{doing}: the API server does not accept the credentials of this context (401): log in again"
            )),
            kube::Error::Api(_) | kube::Error::SerdeError(_) => {
                Failure::Other(format!("{doing}: {}", crate::controller::api_error::api(error)))
            }
            // What a credential plugin printed may hold a token.
            kube::Error::Auth(_) => Failure::Other(format!(
                "{doing}: the credentials of this context cannot be had: try `kubectl auth whoami`, which says why"
            )),
            error => Failure::Other(format!("{doing}: {}", chain(error))),
        }
    }
}

impl Failure {
    /// With which code the command ends.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => USAGE,
            _ => COULD_NOT,
        }
    }

    /// Whether it is a missing right, or a missing object, which some commands can do without.
    pub fn is_no_access(&self) -> bool {
        matches!(self, Failure::Forbidden { .. } | Failure::NotFound { .. })
    }
}

/// An error and what caused it, each once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answered(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure(message, "Reason").with_code(code)))
    }

    const ASKED: Asked<'static> = Asked {
        verb: "get",
        resource: "secrets",
        namespace: Some("shop"),
        name: Some("checkout-postgres"),
    };

    #[test]
    fn a_missing_right_is_named() {
        let failure = ASKED.failed(&answered(403, "secrets is forbidden"));
        let text = failure.to_string();
        assert!(text.contains("get secrets in namespace shop"), "{text}");
        assert!(text.contains("kubectl auth can-i"), "{text}");
        assert_eq!(failure.exit_code(), COULD_NOT);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let text = ASKED.failed(&answered(404, "")).to_string();
        assert!(
            text.starts_with("get secrets/checkout-postgres in namespace shop"),
            "{text}"
        );
    }
}
