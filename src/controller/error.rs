//! Why a reconciliation did not get through, by the operation that failed.

use thiserror::Error;

use super::api_error::{api, is_refusal};
use super::journal_store::JournalError;
use crate::api::Reason;
use crate::domain::plan::{Invalid, Trouble};

/// A reconciliation that did not get through.
#[derive(Debug, Error)]
pub enum Error {
    /// The finalizer and claim could not be added.
    #[error("add the claim: {}", api(.0))]
    Claim(#[source] kube::Error),
    /// The journal did not take an entry.
    #[error("journal: {0}")]
    Journal(#[from] JournalError),
    /// The PostgresUser could not be read.
    #[error("read the PostgresUser: {}", api(.0))]
    ReadUser(#[source] kube::Error),
    /// A Secret could not be read.
    #[error("read a Secret: {}", api(.0))]
    ReadSecret(#[source] kube::Error),
    /// A Secret could not be written.
    #[error("write a Secret: {}", api(.0))]
    WriteSecret(#[source] kube::Error),
    /// A status could not be written.
    #[error("write the status: {}", api(.0))]
    WriteStatus(#[source] kube::Error),
    /// A finalizer could not be added or removed.
    #[error("change the finalizers: {}", api(.0))]
    RemoveFinalizer(#[source] kube::Error),
    /// A user that was left behind could not be recorded.
    #[error("record a user that is kept: {}", api(.0))]
    RecordKept(#[source] kube::Error),
    /// The password cannot be generated.
    #[error("generate a password: {0}")]
    Generate(String),
    /// The output Secret's templates cannot be rendered with this password.
    #[error("make the output Secret: {}", .0.message)]
    Render(Invalid),
    /// The server was lost between planning and acting.
    #[error("the server is not there any more")]
    ServerLost,
    /// It took too long.
    #[error("the reconciliation took too long")]
    Timeout,
}

impl Error {
    /// Whether something else changed an object in the meantime: observing again is all that is needed.
    pub fn is_conflict(&self) -> bool {
        match self {
            Error::Claim(error)
            | Error::ReadUser(error)
            | Error::ReadSecret(error)
            | Error::WriteSecret(error)
            | Error::WriteStatus(error)
            | Error::RemoveFinalizer(error)
            | Error::RecordKept(error) => matches!(error, kube::Error::Api(status) if status.code == 409),
            Error::Journal(JournalError::Outdated) => true,
            _ => false,
        }
    }

    /// What to tell of it, if it is a refusal that a person has to see to: what the API server will not take, whenever it is
    /// sent, and what does not fit into the journal.
    pub fn refusal(&self) -> Option<Trouble> {
        let (what, error) = match self {
            Error::Claim(error) | Error::RemoveFinalizer(error) => ("this object's finalizer", error),
            Error::WriteSecret(error) => ("the output Secret", error),
            Error::RecordKept(error) => ("the record of users that are kept", error),
            Error::Render(invalid) => return Some(trouble(invalid.reason, invalid.message.clone())),
            Error::Journal(JournalError::TooLarge(why)) => {
                return Some(trouble(Reason::ChangeTooLarge, why.to_string()));
            }
            Error::Journal(JournalError::Refused(words)) => {
                return Some(journal_refused(words));
            }
            _ => return None,
        };
        let kube::Error::Api(status) = error else {
            return None;
        };
        is_refusal(status).then(|| trouble(Reason::WriteRefused, refused(what, &api(error))))
    }

    /// The same of a server object.
    pub fn refusal_of_server(&self) -> Option<Trouble> {
        let (what, error) = match self {
            Error::RemoveFinalizer(error) => ("this object's finalizer", error),
            Error::WriteStatus(error) => ("this object's status", error),
            Error::WriteSecret(error) => ("the credentials Secret, its copy, or the journal", error),
            Error::RecordKept(error) => ("the record of users that are kept", error),
            Error::ReadSecret(kube::Error::Api(status)) if is_refusal(status) => {
                let words = api(&kube::Error::Api(status.clone()));
                let message = format!(
                    "the Kubernetes API refuses to show this operator a Secret or ConfigMap of this object ({words}): it is \
                     tried again after growing pauses"
                );
                return Some(trouble(Reason::ReadRefused, message));
            }
            Error::Journal(JournalError::Refused(words)) => return Some(journal_refused(words)),
            _ => return None,
        };
        let kube::Error::Api(status) = error else {
            return None;
        };
        is_refusal(status).then(|| trouble(Reason::WriteRefused, refused(what, &api(error))))
    }

    /// Whether the object that was to be written is gone.
    pub fn is_gone(&self) -> bool {
        match self {
            Error::Claim(error) | Error::WriteStatus(error) | Error::RemoveFinalizer(error) => {
                matches!(error, kube::Error::Api(status) if status.code == 404)
            }
            _ => false,
        }
    }
}

fn trouble(reason: Reason, message: String) -> Trouble {
    Trouble {
        reason,
        message,
        stalled: true,
    }
}

/// What is told of a journal that the API server does not take, in its words.
pub fn journal_refused(words: &str) -> Trouble {
    trouble(Reason::WriteRefused, refused("the journal", words))
}

fn refused(what: &str, words: &str) -> String {
    format!(
        "the Kubernetes API refuses the write of {what} ({words}): it is tried again after growing pauses"
    )
}
