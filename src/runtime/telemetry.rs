//! Logs, and traces where they are built in.

use clap::ValueEnum;
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
    let registry = tracing_subscriber::registry().with(logs.with_filter(filter));
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
