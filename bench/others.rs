//! How much of the machine others took meanwhile: where that is much, times mean little.

use std::{collections::HashMap, time::Instant};

use crate::process::TICKS_PER_SECOND;

/// A moment.
pub struct Moment {
    when: Instant,
    all: f64,
    ours: f64,
}

impl Moment {
    /// Now.
    pub fn now() -> Moment {
        Moment {
            when: Instant::now(),
            all: all().unwrap_or_default(),
            ours: ours(),
        }
    }

    /// Which share of all processors others had since, in percent.
    pub fn others_since(&self) -> f64 {
        let now = Moment::now();
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let there_was = now.when.duration_since(self.when).as_secs_f64() * cores;
        let others = (now.all - self.all) - (now.ours - self.ours);
        (100.0 * others / there_was.max(0.01)).clamp(0.0, 100.0)
    }
}

/// The seconds that all processors have worked: for users, nicely, for the kernel.
fn all() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let fields = stat.lines().next()?.split_whitespace().skip(1).take(3);
    let ticks: f64 = fields.filter_map(|field| field.parse::<f64>().ok()).sum();
    Some(ticks / f64::from(TICKS_PER_SECOND))
}

struct Process {
    parent: u32,
    seconds: f64,
}

/// The seconds that this process and all that it started have worked, with those that have ended and were waited for.
fn ours() -> f64 {
    let processes = processes();
    let us = std::process::id();
    let is_ours = |mut pid: u32| {
        for _ in 0..processes.len() {
            match processes.get(&pid) {
                _ if pid == us => return true,
                Some(process) => pid = process.parent,
                None => return false,
            }
        }
        false
    };
    let ours = processes.iter().filter(|(pid, _)| is_ours(**pid));
    ours.map(|(_, process)| process.seconds).sum()
}

fn processes() -> HashMap<u32, Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, read(pid)?))).collect()
}

fn read(pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: f64 = fields
        .get(11..15)?
        .iter()
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        seconds: ticks / f64::from(TICKS_PER_SECOND),
    })
}
