//! What a failure means, by its SQLSTATE and by what was being done. The server's own words are never repeated: they
//! quote what they are about.

use std::borrow::Cow;
use std::error::Error as StdError;

use tokio_postgres::error::{DbError, Severity, SqlState};

use super::auth_guard::{AsksForPassword, NoRoom, SaysTooMuch};
use super::hosts::Address;
use crate::provider::dial::DialError;
use crate::provider::memory::NO_ROOM;
use crate::provider::tls::Unsecured;
use crate::provider::{ErrorClass, RemoteError, sqlstate, tls};

/// What was being done when it failed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doing {
    /// Connecting, up to being ready for a query.
    Connecting,
    /// A statement that changes nothing.
    Reading,
    /// A statement of a transaction, before COMMIT was sent: whatever happens, nothing is done.
    Changing(SqlStep),
    /// COMMIT.
    Committing,
}

/// What a statement needs that not everybody has.
#[derive(Debug, Clone, Copy)]
pub(super) struct SqlStep {
    /// The privilege that is missing if the server says that one is.
    pub(super) needs: &'static str,
    /// What is missing if the server says that something does not exist; none: the user itself.
    pub(super) other: Option<&'static str>,
}

pub(super) const UNKNOWN: ErrorClass = ErrorClass::Unknown { after: None };

/// No connection.
pub(super) fn undialled(operation: &'static str, reason: &DialError) -> RemoteError {
    let class = match reason {
        DialError::NotAllowed(_) => ErrorClass::EndpointNotAllowed,
        DialError::Unresolved | DialError::Unreachable => ErrorClass::UNREACHABLE,
    };
    RemoteError::new(operation, class, &reason.to_string())
}

/// No TLS.
pub(super) fn unsecured(operation: &'static str, reason: &Unsecured) -> RemoteError {
    RemoteError::new(operation, ErrorClass::UNREACHABLE, &reason.to_string())
}

/// TLS, with a certificate that a login cannot be bound to where it has to be.
pub(super) fn unbindable(operation: &'static str) -> RemoteError {
    RemoteError::new(operation, ErrorClass::Unauthorized, tls::UNBINDABLE)
}

/// No answer in time.
pub(super) fn late(operation: &'static str, doing: Doing) -> RemoteError {
    RemoteError::new(operation, silent(doing), "the server did not answer in time")
}

/// The server is a standby: it takes no changes, and what it knows may be old, which would be believed.
pub(super) fn standing_by(operation: &'static str) -> RemoteError {
    RemoteError::new(operation, ErrorClass::UNREACHABLE, "the server is a standby")
}

/// The server is another one than the one that answered at this address. That passes when a person names other addresses, or
/// when the right one answers, so it is tried again like what cannot be reached.
pub(super) fn another_server(operation: &'static str, before: &Address) -> RemoteError {
    let what = format!(
        "it is another server than the one that answered at {before}, with logins of its own: spec.postgresql.host and \
         spec.postgresql.hosts have to name one server and its replicas"
    );
    RemoteError::new(operation, ErrorClass::UNREACHABLE, &what)
}

/// The class of a failure of which the server says nothing.
fn silent(doing: Doing) -> ErrorClass {
    match doing {
        Doing::Committing => UNKNOWN,
        _ => ErrorClass::UNREACHABLE,
    }
}

/// The failure of a statement or of a connection.
pub(super) fn failed(operation: &'static str, doing: Doing, failure: &tokio_postgres::Error) -> RemoteError {
    let result = match failure.as_db_error() {
        Some(said) => answered(operation, doing, said),
        None => {
            let (class, what) = unsaid(doing, failure);
            RemoteError::new(operation, class, &what)
        }
    };
    tracing::debug!(operation, class = %result.class, detail = %result.detail, "the server refused");
    result
}

/// What the server said.
fn answered(operation: &'static str, doing: Doing, said: &DbError) -> RemoteError {
    let (class, what) = match doing {
        Doing::Connecting => connecting(said.code()),
        Doing::Reading => reading(said.code()),
        Doing::Changing(_) if is_checked(said) => (ErrorClass::Invalid, CHECKED),
        Doing::Changing(step) => changing(said.code(), step),
        // A process that is made to end may do so after it has committed and before it says so.
        Doing::Committing if said.parsed_severity() != Some(Severity::Error) => {
            (UNKNOWN, "the server ended the connection")
        }
        Doing::Committing => changing(said.code(), COMMIT),
    };
    match sqlstate::presentable(said.code()) {
        Some(code) => RemoteError::new(operation, class, &format!("SQLSTATE {code}: {what}")),
        None => RemoteError::new(operation, class, what),
    }
}

/// What an extension says that checks changes of roles, and not PostgreSQL of a login that is let in already: credcheck refuses
/// passwords, usernames and dates so. What ends the connection is about the login.
fn is_checked(said: &DbError) -> bool {
    said.parsed_severity() == Some(Severity::Error) && said.code().code().starts_with("28")
}

const CHECKED: &str = "a check of roles on the server refuses it (credcheck, or the vendor's own): the username, the password, or VALID \
                       UNTIL";

/// The SQLSTATE of an error that the server has answered with.
pub(super) fn sqlstate_of(error: &RemoteError) -> Option<String> {
    let said = error.detail.strip_prefix(" (SQLSTATE ")?;
    said.split_once(':').map(|(code, _)| code.to_string())
}

const COMMIT: SqlStep = SqlStep {
    needs: "a privilege is missing",
    other: Some("something that it needs does not exist"),
};

fn connecting(code: &SqlState) -> (ErrorClass, &'static str) {
    match *code {
        SqlState::INVALID_PASSWORD => (ErrorClass::Unauthorized, "the login or its password is wrong"),
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => (
            ErrorClass::Unauthorized,
            "the server does not let this login in from here (pg_hba.conf), or not at all",
        ),
        SqlState::INSUFFICIENT_PRIVILEGE => (
            ErrorClass::Unauthorized,
            "the login may not connect to the database",
        ),
        SqlState::INVALID_CATALOG_NAME => (ErrorClass::Invalid, "the database does not exist"),
        _ => trouble(code).unwrap_or((ErrorClass::UNREACHABLE, "the server refuses the connection")),
    }
}

fn reading(code: &SqlState) -> (ErrorClass, &'static str) {
    match *code {
        SqlState::INSUFFICIENT_PRIVILEGE => (
            ErrorClass::Unauthorized,
            "the login may not read the system catalogs",
        ),
        _ => trouble(code).unwrap_or((ErrorClass::UNREACHABLE, "the server cannot say")),
    }
}

fn changing(code: &SqlState, step: SqlStep) -> (ErrorClass, &'static str) {
    match *code {
        SqlState::DUPLICATE_OBJECT | SqlState::UNIQUE_VIOLATION => {
            (ErrorClass::Conflict, "a role of that name exists")
        }
        SqlState::UNDEFINED_OBJECT => match step.other {
            None => (ErrorClass::NotFound, "there is no such role"),
            Some(what) => (ErrorClass::Invalid, what),
        },
        SqlState::INSUFFICIENT_PRIVILEGE => (ErrorClass::Invalid, step.needs),
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST => {
            (ErrorClass::Invalid, "something still depends on the role")
        }
        SqlState::INVALID_GRANT_OPERATION => (
            ErrorClass::Invalid,
            "roles cannot be members of each other in a circle",
        ),
        SqlState::INVALID_PARAMETER_VALUE => (ErrorClass::Invalid, "the server does not take that value"),
        SqlState::RESERVED_NAME => (ErrorClass::Invalid, "PostgreSQL keeps that name for itself"),
        SqlState::READ_ONLY_SQL_TRANSACTION => (
            ErrorClass::Busy,
            "the server takes no changes: it is a standby, or set to be read only",
        ),
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            (ErrorClass::Unauthorized, "the login is no longer valid")
        }
        _ => trouble(code).unwrap_or((ErrorClass::Invalid, "the server refuses")),
    }
}

/// What any statement may be refused for.
fn trouble(code: &SqlState) -> Option<(ErrorClass, &'static str)> {
    Some(match *code {
        SqlState::TOO_MANY_CONNECTIONS => (ErrorClass::UNREACHABLE, "the server has no connection to spare"),
        SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
            (ErrorClass::UNREACHABLE, "the server is starting or stopping")
        }
        SqlState::CHARACTER_NOT_IN_REPERTOIRE => (
            ErrorClass::Invalid,
            "the encoding of the database that the operator connects to has no such characters: a database in UTF-8 as the server \
             object's spec.postgresql.database takes every name",
        ),
        SqlState::QUERY_CANCELED => (ErrorClass::Busy, "the server took too long and was stopped"),
        SqlState::LOCK_NOT_AVAILABLE => (ErrorClass::Busy, "somebody else holds a lock for too long"),
        SqlState::T_R_DEADLOCK_DETECTED | SqlState::T_R_SERIALIZATION_FAILURE => {
            (ErrorClass::Busy, "somebody else was changing the same")
        }
        _ => match code.code().get(..2) {
            // "tuple concurrently updated", the way in which the system catalogs say so, has no better code.
            Some("XX") => (
                ErrorClass::Busy,
                "somebody else was changing the same, or it broke",
            ),
            Some("55") if *code == SqlState::OBJECT_IN_USE => (ErrorClass::Busy, "it is in use"),
            Some("08" | "25" | "53" | "57" | "58") => (ErrorClass::UNREACHABLE, "the server is in trouble"),
            _ => return None,
        },
    })
}

/// What went wrong where the server said nothing. The library tells these apart by fixed texts only.
fn unsaid(doing: Doing, failure: &tokio_postgres::Error) -> (ErrorClass, Cow<'static, str>) {
    if let Some(reason) = tls::describe(failure) {
        return (silent(doing), reason);
    }
    let (class, what) = unsaid_by_the_server(doing, failure);
    (class, what.into())
}

fn unsaid_by_the_server(doing: Doing, failure: &tokio_postgres::Error) -> (ErrorClass, &'static str) {
    if tls::find::<AsksForPassword>(failure).is_some() {
        return (
            ErrorClass::Unauthorized,
            "the server asks for the password in the clear or by MD5; without verified TLS it gets it by \
             SCRAM-SHA-256 only",
        );
    }
    if tls::find::<SaysTooMuch>(failure).is_some() {
        return (silent(doing), "the server says more than it was asked for");
    }
    if tls::find::<NoRoom>(failure).is_some() {
        return (silent(doing), NO_ROOM);
    }
    let cause = failure.source().map(ToString::to_string).unwrap_or_default();
    match cause.as_str() {
        "server did not use channel binding" | "unsupported authentication method" => (
            ErrorClass::Unauthorized,
            "the server does not ask for the password by SCRAM-SHA-256 with channel binding, which every sslmode \
             but verify-full needs",
        ),
        _ if failure.is_closed() => (silent(doing), "the server closed the connection"),
        _ => (silent(doing), "the conversation with the server broke off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: SqlStep = SqlStep {
        needs: "x",
        other: None,
    };

    #[test]
    fn only_a_commit_leaves_anything_open() {
        for doing in [Doing::Connecting, Doing::Reading, Doing::Changing(STEP)] {
            assert_eq!(silent(doing), ErrorClass::UNREACHABLE);
        }
        assert_eq!(silent(Doing::Committing), UNKNOWN);
    }

    #[test]
    fn a_code_means_what_to_do_next() {
        let table = [
            ("42710", ErrorClass::Conflict),
            ("42704", ErrorClass::NotFound),
            ("42501", ErrorClass::Invalid),
            ("2BP01", ErrorClass::Invalid),
            ("0LP01", ErrorClass::Invalid),
            ("22023", ErrorClass::Invalid),
            ("25006", ErrorClass::Busy),
            ("40001", ErrorClass::Busy),
            ("40P01", ErrorClass::Busy),
            ("55P03", ErrorClass::Busy),
            ("57014", ErrorClass::Busy),
            ("XX000", ErrorClass::Busy),
            ("28P01", ErrorClass::Unauthorized),
            ("53300", ErrorClass::UNREACHABLE),
            ("53100", ErrorClass::UNREACHABLE),
            ("57P01", ErrorClass::UNREACHABLE),
            ("57P03", ErrorClass::UNREACHABLE),
            ("25P03", ErrorClass::UNREACHABLE),
        ];
        for (code, class) in table {
            assert_eq!(changing(&SqlState::from_code(code), STEP).0, class, "{code}");
        }
        let other = SqlStep {
            other: Some("another"),
            ..STEP
        };
        assert_eq!(
            changing(&SqlState::UNDEFINED_OBJECT, other),
            (ErrorClass::Invalid, "another")
        );
        for (code, class) in [
            ("28P01", ErrorClass::Unauthorized),
            ("28000", ErrorClass::Unauthorized),
            ("42501", ErrorClass::Unauthorized),
            ("3D000", ErrorClass::Invalid),
            ("53300", ErrorClass::UNREACHABLE),
            ("57P03", ErrorClass::UNREACHABLE),
            ("0A000", ErrorClass::UNREACHABLE),
        ] {
            assert_eq!(connecting(&SqlState::from_code(code)).0, class, "{code}");
        }
    }
}
