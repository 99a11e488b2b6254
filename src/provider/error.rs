//! Why a remote call did not do what was asked, in the classes that the planner acts on.

use std::time::Duration;

use thiserror::Error;

use crate::domain::remote::DeletionBlocker;

/// A failed remote call: which class it falls in, and what may be shown of it.
///
/// Never holds text that the remote sent beyond `code`s, ids and names of its catalogs, with control characters escaped
/// (design, section 4: the remote's text can echo a password).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{operation}: {class}{detail}")]
pub struct RemoteError {
    /// The operation that failed, in words ("create user", "list users", …).
    pub operation: &'static str,
    /// What the failure means for what to do next.
    pub class: ErrorClass,
    /// What may be shown besides: HTTP status, error codes, request ids. Empty, or starts with a space.
    pub detail: String,
    /// What keeps a login from being deleted, where that is why and the remote says it.
    pub blockers: Vec<DeletionBlocker>,
}

impl RemoteError {
    /// An error in our own words.
    pub fn new(operation: &'static str, class: ErrorClass, what: &str) -> Self {
        Self {
            operation,
            class,
            detail: format!(" ({what})"),
            blockers: Vec::new(),
        }
    }
}

/// What a failed call means.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
pub enum ErrorClass {
    /// The user (or, on a call about the cluster, the cluster) does not exist. Definite.
    #[error("not found")]
    NotFound,
    /// Something of that name exists, or the state forbids the change (409). Definite.
    #[error("conflict")]
    Conflict,
    /// The remote understood and refuses (400, 405, 415, 422): sending the same again is no use. Definite.
    /// A duplicate name may hide here: a create refused so is followed by a read.
    #[error("invalid")]
    Invalid,
    /// The remote refuses because the cluster is busy or locked (423, or 409/422/503 with the cluster BUSY):
    /// the same request is welcome later. Definite.
    #[error("cluster busy")]
    Busy,
    /// The credentials are not accepted or not enough (401, 402, 403). Definite.
    #[error("unauthorised")]
    Unauthorized,
    /// Too many requests. Definite: nothing was done.
    #[error("rate limited")]
    RateLimited {
        /// How long the remote asks to wait; `None` where it does not say.
        after: Option<Duration>,
    },
    /// Nothing was sent, or nothing could be changed by it (connection refused, name not resolved, a failed
    /// read): may be tried again. Definite as far as a mutation goes: it did not happen.
    #[error("unreachable")]
    Unreachable {
        /// How long the remote asks to wait (503 with Retry-After on a read); `None` where it does not say.
        after: Option<Duration>,
    },
    /// A mutation was or may have been sent and no answer says what became of it (timeout, connection lost,
    /// a 5xx, an answer that cannot be read). It may still happen, for as long as a request can live (T_live).
    #[error("outcome unknown")]
    Unknown {
        /// How long the remote asks to wait; `None` where it does not say.
        after: Option<Duration>,
    },
    /// The address may not be dialled: the administrator's allow-list does not have it. Nothing was sent.
    #[error("endpoint not allowed")]
    EndpointNotAllowed,
    /// The gate of R3 was closed at the last moment. Nothing was sent.
    #[error("gate closed")]
    GateClosed,
}

impl ErrorClass {
    /// It did not answer, and did not say how long that lasts.
    pub const UNREACHABLE: Self = Self::Unreachable { after: None };

    /// Whether the outcome of a mutation that failed so is unknown.
    pub fn is_unknown(&self) -> bool {
        matches!(self, ErrorClass::Unknown { .. })
    }

    /// The class in one word, for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            ErrorClass::NotFound => "not_found",
            ErrorClass::Conflict => "conflict",
            ErrorClass::Invalid => "invalid",
            ErrorClass::Busy => "busy",
            ErrorClass::Unauthorized => "unauthorised",
            ErrorClass::RateLimited { .. } => "rate_limited",
            ErrorClass::Unreachable { .. } => "unreachable",
            ErrorClass::Unknown { .. } => "unknown",
            ErrorClass::EndpointNotAllowed => "endpoint_not_allowed",
            ErrorClass::GateClosed => "gate_closed",
        }
    }

    /// The delay that the remote asked for, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ErrorClass::RateLimited { after }
            | ErrorClass::Unreachable { after }
            | ErrorClass::Unknown { after } => *after,
            _ => None,
        }
    }
}
