//! The process's own clock and its dice, for whoever may use them.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::domain::time::Mono;

/// Now, on a monotonic clock that goes on while the machine is suspended (`CLOCK_BOOTTIME`), as R3 asks: a
/// process that slept through its permission to send must notice.
pub fn now() -> Mono {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let millis = u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0);
    Mono(seconds.saturating_mul(1000).saturating_add(millis))
}

/// A time of the clock on the wall, on this process's clock; what is over is now.
pub fn ahead(time: Timestamp) -> Mono {
    ahead_of(Timestamp::now(), time)
}

/// The same, where the clock on the wall says this now.
pub fn ahead_of(wall: Timestamp, time: Timestamp) -> Mono {
    now() + Duration::try_from(time.duration_since(wall)).unwrap_or_default()
}

/// Anything from 0 to 1: what keeps pauses from ending all at once.
pub fn jitter() -> f64 {
    let mut random = [0; 2];
    // Without randomness there are no passwords either: the process would have ended before.
    let _ = getrandom::fill(&mut random);
    f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX)
}
