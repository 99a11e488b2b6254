//! Why a reconciliation did not get through, by the operation that failed.

use thiserror::Error;

use super::journal_store::JournalError;

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

/// What may be shown of an error from the API server: never an object that came with it.
pub fn api(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.len() <= 300 => {
            format!("{} {}: {}", status.code, status.reason, status.message)
        }
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
        kube::Error::SerdeError(_) => "the answer could not be read".to_string(),
        _ => "the API server did not answer".to_string(),
    }
}
