//! What the Kubernetes API says, in words fit to be shown.

/// Whether the API server says that it does not take what it was sent, rather than that it cannot tell now or that something
/// else is there.
pub fn is_refusal(status: &kube::core::Status) -> bool {
    matches!(status.code, 400 | 403 | 405 | 413 | 415 | 422)
}

/// The most of the API server's own words that is shown.
const LONGEST_WORDS: usize = 400;

/// What may be shown of an error from the API server: never an object that came with it.
pub fn api(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => {
            let words: String = status.message.chars().take(LONGEST_WORDS).collect();
            format!("{} {}: {words}", status.code, status.reason)
        }
        kube::Error::SerdeError(_) => "the answer could not be read".to_string(),
        _ => "the API server did not answer".to_string(),
    }
}
