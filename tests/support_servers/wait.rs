//! Waiting for something to become true.

use std::time::{Duration, Instant};

use super::Outcome;

const INTERVAL: Duration = Duration::from_millis(50);

/// Repeats a check until it succeeds, and returns what it came to. After `timeout`, the last failure is the
/// answer, with what was waited for.
pub async fn eventually<T>(
    what: &str,
    timeout: Duration,
    mut check: impl AsyncFnMut() -> Outcome<T>,
) -> Outcome<T> {
    let deadline = Instant::now() + timeout;
    loop {
        match check().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                return Err(format!("waited {timeout:?} in vain for {what}; last: {error}").into());
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}
