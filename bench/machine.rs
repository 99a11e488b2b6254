//! What the figures were taken on.

use std::time::Duration;

use serde_json::{Value, json};

/// Processor, memory, kernel, how busy it is, and how long the bench took.
pub fn describe(took: Duration) -> Value {
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
    let load = read("/proc/loadavg");
    json!({
        "processor": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load at the end": load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        "date": format!("{:.0}", jiff::Timestamp::now()),
        "seconds": took.as_secs(),
    })
}
