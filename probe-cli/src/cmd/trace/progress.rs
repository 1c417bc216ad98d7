//! How it goes, for a person who looks on.

use std::time::{Duration, Instant};

use super::args::Args;
use crate::{output, units};

/// How often it is told.
const OFTEN: Duration = Duration::from_millis(500);

/// A line on standard error, where that is a terminal that nobody else writes to.
pub(super) struct Progress {
    begun: Instant,
    due: Option<Instant>,
}

impl Progress {
    /// Begins.
    pub(super) fn new(args: &Args, writes_to_standard_output: bool) -> Self {
        let is_free =
            !output::is_terminal() || !writes_to_standard_output && args.command.is_empty();
        let begun = Instant::now();
        Self { begun, due: (is_free && output::tells()).then_some(begun) }
    }

    /// Tells it, when it is time.
    pub(super) fn tell(&mut self, size: u64, events: u64) {
        let now = Instant::now();
        if self.due.is_some_and(|due| now >= due) {
            let seconds = now.duration_since(self.begun).as_secs();
            let size = units::bytes(size);
            output::status(&format!("{seconds} s: {events} events, {size}; Ctrl-C ends it"));
            self.due = Some(now + OFTEN);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.due.is_some() {
            output::status("");
        }
    }
}
