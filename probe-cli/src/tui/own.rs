//! What walkprobe itself costs.

use std::time::Duration;

use crate::clock;

/// Measures this process's share of a CPU.
#[derive(Debug)]
pub(super) struct OwnCost {
    wall: Duration,
    cpu: Duration,
    share: Option<f64>,
}

/// The share is taken over at least this long, so that one busy frame does not look like much.
const WINDOW: Duration = Duration::from_secs(1);

impl OwnCost {
    /// Starts to measure.
    pub(super) fn start() -> Self {
        let (wall, cpu) = now();
        Self { wall, cpu, share: None }
    }

    /// Measures; says whether the share is new.
    pub(super) fn measure(&mut self) -> bool {
        let (wall, cpu) = now();
        let passed = wall.saturating_sub(self.wall);
        if passed < WINDOW {
            return false;
        }
        let used = cpu.saturating_sub(self.cpu);
        *self = Self { wall, cpu, share: Some(used.as_secs_f64() / passed.as_secs_f64()) };
        true
    }

    /// The share of one CPU that all threads used, the work of the eBPF programs in other
    /// processes not counted; nothing during the first second.
    pub(super) fn share(&self) -> Option<f64> {
        self.share
    }
}

fn now() -> (Duration, Duration) {
    (Duration::from_nanos(clock::monotonic()), Duration::from_nanos(clock::own_cpu()))
}

#[cfg(test)]
mod tests {
    use super::OwnCost;

    #[test]
    fn there_is_no_share_before_there_is_a_window() {
        let mut own = OwnCost::start();
        assert!(!own.measure());
        assert_eq!(own.share(), None);
    }
}
