//! Clock readings as integers.

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC`, in nanoseconds.
pub fn monotonic_nanos() -> u64 {
    read_nanos(ClockId::Monotonic)
}

/// Milliseconds since 1970-01-01T00:00:00Z.
pub fn unix_millis() -> u64 {
    read_nanos(ClockId::Realtime) / 1_000_000
}

/// CPU time of this process, in nanoseconds.
pub fn process_cpu_nanos() -> u64 {
    read_nanos(ClockId::ProcessCPUTime)
}

fn read_nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}
