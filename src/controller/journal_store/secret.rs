//! The Secret that holds a journal.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ObjectMeta, PostParams};

use super::{JournalError, JournalLocation};
use crate::api::names;
use crate::controller::api_error::api;
use crate::domain::journal::{Journal, codec};

/// How long one request to the API server may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a journal, and the resourceVersion that it has.
///
/// # Errors
/// If it cannot be read, or is damaged.
pub async fn read(place: &JournalLocation) -> Result<Option<(Journal, String)>, JournalError> {
    let get = tokio::time::timeout(TIMEOUT, place.secrets.get_opt(&place.name)).await;
    let got = get.map_err(|_| JournalError::Unwritten("no answer in time".to_string()))?;
    let secret = got.map_err(|error| JournalError::Unwritten(describe(&error)))?;
    let Some(secret) = secret else { return Ok(None) };
    let version = secret.metadata.resource_version.clone().unwrap_or_default();
    let journal = parse(&secret).map_err(|error| JournalError::Unreadable(place.name.clone(), error))?;
    Ok(Some((journal, version)))
}

/// The journal that a Secret holds.
///
/// # Errors
/// If it holds none, or one that was damaged.
pub fn parse(secret: &Secret) -> Result<Journal, codec::CodecError> {
    let text = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key));
        bytes
            .and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
            .unwrap_or_default()
    };
    codec::read(text("header"), text("entries"))
}

/// Removes a journal whose server is gone.
///
/// # Errors
/// If the API server refuses.
pub async fn remove(place: &JournalLocation) -> Result<(), kube::Error> {
    match place.secrets.delete(&place.name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

/// The Secret for a journal; what it is to replace is set when it is sent.
pub fn compose(place: &JournalLocation, journal: &Journal) -> Result<Secret, serde_json::Error> {
    let written = codec::write(journal)?;
    let texts = [
        ("header", written.header.as_bytes()),
        ("entries", written.entries.as_bytes()),
    ];
    let data = texts.map(|(key, bytes)| (key.to_string(), ByteString(bytes.to_vec())));
    let labels = [
        (names::MANAGED_BY.to_string(), names::OPERATOR.to_string()),
        (names::COMPONENT.to_string(), "journal".to_string()),
    ];
    // How much is unsettled can be seen without a look at the passwords.
    let unsettled = journal.entries.len() + journal.unknown.len();
    let mut annotations = place.annotations.clone();
    annotations.insert(names::JOURNAL_ENTRIES.to_string(), unsettled.to_string());
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(place.name.clone()),
            labels: Some(labels.into()),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        data: Some(data.into()),
        ..Secret::default()
    })
}

/// What came of one sending of a write.
pub enum Sent {
    /// Stored, under this resourceVersion.
    Stored(String),
    /// Something else is there than what it was to replace, or nothing.
    Conflict,
    /// Not taken, and not because of what is there.
    Refused(String),
    /// It may have been stored, or be stored later.
    Unknown(String),
}

/// Sends a write once: in place of the version that it names, or as a new Secret.
pub async fn send(place: &JournalLocation, secret: &Secret) -> Sent {
    let params = PostParams::default();
    let replaces = secret.metadata.resource_version.is_some();
    let sending = async {
        match replaces {
            true => place.secrets.replace(&place.name, &params, secret).await,
            false => place.secrets.create(&params, secret).await,
        }
    };
    match tokio::time::timeout(TIMEOUT, sending).await {
        Ok(Ok(stored)) => Sent::Stored(stored.metadata.resource_version.unwrap_or_default()),
        Ok(Err(error)) => failed(&error, replaces),
        Err(_) => Sent::Unknown("no answer in time".to_string()),
    }
}

fn failed(error: &kube::Error, replaces: bool) -> Sent {
    let kube::Error::Api(status) = error else {
        return Sent::Unknown(describe(error));
    };
    match status.code {
        409 => Sent::Conflict,
        404 if replaces => Sent::Conflict,
        // Too many requests is a matter of a moment.
        400..=428 | 430..=499 => Sent::Refused(describe(error)),
        _ => Sent::Unknown(describe(error)),
    }
}

/// What may be shown of an error from the API server: never an object that it sent back.
fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(_) => api(error),
        _ => "no usable answer".to_string(),
    }
}
