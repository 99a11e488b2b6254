//! Waiting for the operator.

use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use super::failure::Failure;

/// How often to look.
const PAUSE: Duration = Duration::from_millis(300);

/// How long to wait.
#[derive(Debug, Clone, Args)]
pub struct Timeout {
    /// How long to wait at most: 30s, 2m.
    #[arg(long, value_parser = crate::cli::duration, default_value = "2m")]
    pub timeout: Duration,
}

impl Timeout {
    /// Looks until something is found, or the time is up.
    pub async fn until<T>(
        &self,
        mut look: impl AsyncFnMut() -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let end = Instant::now() + self.timeout;
        loop {
            if let Some(found) = look().await? {
                return Ok(Some(found));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
