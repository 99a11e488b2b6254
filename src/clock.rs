//! The process's own clock, for whoever may look at one.

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
