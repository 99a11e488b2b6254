//! Waiting for something to become true.

use std::time::{Duration, Instant};

use super::Outcome;

const INTERVAL: Duration = Duration::from_millis(50);
/// How long one check may take: an answer that never comes is no reason not to ask again.
const ANSWER: Duration = Duration::from_secs(10);

/// Repeats a check until it succeeds, and returns what it came to. After `timeout`, the last failure is the
/// answer, with what was waited for.
pub async fn eventually<T>(
    what: &str,
    timeout: Duration,
    mut check: impl AsyncFnMut() -> Outcome<T>,
) -> Outcome<T> {
    let deadline = Instant::now() + timeout;
    loop {
        let checked = tokio::time::timeout(ANSWER, check()).await;
        match checked.unwrap_or_else(|_| Err(format!("no answer within {ANSWER:?}").into())) {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                return Err(format!("waited {timeout:?} in vain for {what}; last: {error}").into());
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}
