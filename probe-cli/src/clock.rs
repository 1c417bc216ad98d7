//! The clocks: the only place that asks what time it is.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC` in ns: the time of the kernel's records (`bpf_ktime_get_ns`).
#[must_use]
pub fn monotonic() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// What must be added to `CLOCK_MONOTONIC` to get the time since 1970, in ns.
#[must_use]
pub fn realtime_offset() -> i64 {
    let difference = i128::from(nanoseconds(ClockId::Realtime)) - i128::from(monotonic());
    i64::try_from(difference).unwrap_or(0)
}

/// CPU time that all threads of this process have used, in ns.
#[must_use]
pub fn own_cpu() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    Duration::try_from(clock_gettime(clock))
        .map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}
