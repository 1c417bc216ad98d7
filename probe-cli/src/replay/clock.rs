//! What time it is in a trace that is replayed.

use std::time::{Duration, Instant};

/// The slowest and the fastest, as powers of two.
pub const SPEEDS: std::ops::RangeInclusive<i8> = -6..=12;

/// A clock that goes `2^speed` times as fast as time does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    since: Instant,
    /// What it showed then, in ns.
    time: u64,
    speed: i8,
}

impl Clock {
    pub(super) fn new(now: Instant, time: u64, speed: i8) -> Self {
        Self { since: now, time, speed: speed.clamp(*SPEEDS.start(), *SPEEDS.end()) }
    }

    pub(super) const fn speed(&self) -> i8 {
        self.speed
    }

    /// What it shows, in ns.
    pub(super) fn time(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.since).as_nanos();
        let shift = self.speed.unsigned_abs();
        let passed = if self.speed < 0 { passed >> shift } else { passed << shift };
        self.time.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// How long it takes until it shows `time`, of the time that is going by.
    pub(super) fn until(&self, time: u64, now: Instant) -> Duration {
        let ns = u128::from(time.saturating_sub(self.time(now)));
        let shift = self.speed.unsigned_abs();
        let ns = if self.speed < 0 { ns << shift } else { ns >> shift };
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    /// Shows another time from now on.
    pub(super) fn set(&mut self, now: Instant, time: u64) {
        *self = Self::new(now, time, self.speed);
    }

    /// Goes faster or slower from now on, and shows the same.
    pub(super) fn hurry(&mut self, now: Instant, by: i8) {
        *self = Self::new(now, self.time(now), self.speed.saturating_add(by));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Clock;

    #[test]
    fn it_goes_as_fast_as_it_is_told() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut clock = Clock::new(start, 5_000, 0);
        assert_eq!(clock.time(later), 1_000_005_000);
        assert_eq!(clock.until(500_005_000, start), Duration::from_millis(500));
        clock.hurry(later, 1);
        assert_eq!(clock.time(later), 1_000_005_000);
        assert_eq!(clock.time(later + Duration::from_secs(1)), 3_000_005_000);
        clock.hurry(later, -3);
        assert_eq!(clock.until(2_000_005_000, later), Duration::from_secs(4));
        clock.hurry(later, i8::MIN);
        assert_eq!(clock.speed(), -6);
        clock.set(later, u64::MAX - 1);
        assert_eq!(clock.time(later + Duration::from_hours(1)), u64::MAX);
    }
}
