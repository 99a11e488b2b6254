//! What a process costs, as the kernel counts it.

use std::time::Duration;

use crate::support::Outcome;

/// The unit of `/proc/PID/stat`, which is the same on every Linux that this runs on.
pub const TICKS_PER_SECOND: u32 = 100;

/// Memory and processor time so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// What it has in memory, in MiB.
    pub rss: f64,
    /// The most it ever had.
    pub peak: f64,
    /// Processor time, its threads together.
    pub cpu: Duration,
}

impl Usage {
    /// That of a process that runs.
    pub fn of(pid: u32) -> Outcome<Usage> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Usage {
            rss: mebibytes(&status, "VmRSS:")?,
            peak: mebibytes(&status, "VmHWM:")?,
            cpu: cpu(&std::fs::read_to_string(format!("/proc/{pid}/stat"))?)?,
        })
    }
}

fn mebibytes(status: &str, field: &str) -> Outcome<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = value.and_then(|value| value.split_whitespace().next());
    let kibibytes: f64 = kibibytes.ok_or_else(|| format!("no {field} in /proc"))?.parse()?;
    Ok(kibibytes / 1024.0)
}

/// The name, in parentheses, may hold anything; what follows it are numbers.
fn cpu(stat: &str) -> Outcome<Duration> {
    let (_, fields) = stat.rsplit_once(") ").ok_or("an odd /proc/PID/stat")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>);
    let ticks: u32 = ticks.sum::<Result<u32, _>>()?;
    Ok(Duration::from_secs(1) * ticks / TICKS_PER_SECOND)
}
