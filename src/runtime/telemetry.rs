//! Logs, and traces where they are built in.

use clap::ValueEnum;
use tracing::Metadata;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

#[cfg(feature = "otlp")]
use super::traces::Traces;

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What has to stay until the process ends.
#[derive(Debug)]
pub struct Telemetry {
    #[cfg(feature = "otlp")]
    _traces: Traces,
}

/// What may be logged, whatever is asked for: the Kubernetes client shows answers that it cannot read as they came, with
/// whole Secrets in them, and those of an API server that refuses; the PostgreSQL client shows statements, which may have a
/// password in them.
fn is_fit(event: &Metadata<'_>) -> bool {
    const SHOWS_ANSWERS: &str = "kube_client::client";
    const SHOWS_STATEMENTS: &str = "tokio_postgres::";
    let target = event.target();
    event.is_span() || (target != SHOWS_ANSWERS && !target.starts_with(SHOWS_STATEMENTS))
}

/// Starts logging to standard error. `filter` is a list of `target=level`, as in `RUST_LOG`.
///
/// # Errors
/// If traces are asked for in a way that there is not.
pub fn init(filter: &str, format: LogFormat) -> Result<Telemetry, String> {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = match format {
        LogFormat::Json => logs.json().flatten_event(true).boxed(),
        LogFormat::Text => logs.with_ansi(false).boxed(),
    };
    let registry = tracing_subscriber::registry()
        .with(filter_fn(is_fit))
        .with(logs.with_filter(filter));
    #[cfg(feature = "otlp")]
    let traces = Traces::start()?;
    #[cfg(feature = "otlp")]
    let registry = registry.with(traces.layer());
    registry.init();
    Ok(Telemetry {
        #[cfg(feature = "otlp")]
        _traces: traces,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            written.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn answers_of_the_api_server_and_statements_are_logged_at_no_setting() {
        let written = Written::default();
        let writer = written.clone();
        let logs = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let filter = EnvFilter::new("trace,kube_client=trace,kube_client::client=trace,tokio_postgres=trace");
        let subscriber = tracing_subscriber::registry()
            .with(filter_fn(is_fit))
            .with(logs.with_filter(filter));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "kube_client::client", "canary");
            tracing::trace!(target: "kube_client::client", "canary");
            tracing::debug!(target: "tokio_postgres::simple_query", "canary");
            tracing::warn!(target: "kube_client::config", "seen");
        });
        let text = written.0.lock().unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains("seen") && !text.contains("canary"), "{text}");
    }
}
