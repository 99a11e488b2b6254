//! What the figures were taken on.

use std::time::Duration;

use serde_json::{Value, json};

/// Processor, memory, kernel, how long the bench took, and the largest share that others had meanwhile.
pub fn describe(took: Duration, others: f64) -> Value {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_once(':')
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    json!({
        "processor": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "others had at most, in percent": others.round(),
        "date": format!("{:.0}", jiff::Timestamp::now()),
        "seconds": took.as_secs(),
    })
}
