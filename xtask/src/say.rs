//! The only place that writes to the terminal: progress to standard error, results to standard output.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use probe_lab::fetch::Progress;

/// Work that is shorter was no work.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// One line of a command's result.
pub(crate) fn result(line: impl std::fmt::Display) {
    // A reader that went away (`cargo xtask kernels | head -1`) is no error.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// One line about what is going on.
pub(crate) fn note(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// An error with all its causes, and no more than that.
pub(crate) fn error(error: &anyhow::Error) {
    note(format_args!("error: {error:#}"));
}

/// Tells of what the library does, as [`step`] and [`note`] do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Say;

impl Progress for Say {
    fn begin(&self, what: &str) -> Box<dyn FnOnce(bool)> {
        let start = Instant::now();
        let what = what.to_owned();
        let spinner = std::io::stderr().is_terminal().then(|| spinner(&what));
        if spinner.is_none() {
            note(format_args!("{what} ..."));
        }
        Box::new(move |is_ok| {
            if let Some(spinner) = spinner {
                spinner.finish_and_clear();
            }
            took(&what, start, is_ok);
        })
    }

    fn note(&self, text: &str) {
        note(text);
    }
}

/// Does `work`, saying what it is before and how long it took after; a spinner on a terminal, plain lines elsewhere.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let end = Say.begin(what);
    let outcome = work();
    end(outcome.is_ok());
    outcome
}

/// Like [`step`], for work that writes to the terminal itself.
pub(crate) fn plain_step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    note(format_args!("{what} ..."));
    let outcome = work();
    took(what, start, outcome.is_ok());
    outcome
}

/// Like [`step`], but says nothing of work that turns out to be done already.
pub(crate) fn long_step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let spinner = std::io::stderr().is_terminal().then(|| spinner(what));
    let outcome = work();
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    if outcome.is_ok() && start.elapsed() > WORTH_TELLING {
        note(format_args!("{what}: done in {}", seconds(start.elapsed())));
    }
    outcome
}

/// A duration as people read it: `0.4 s`, `12.0 s`, `3 min 5 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole < 120 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

fn took(what: &str, start: Instant, is_ok: bool) {
    let verdict = if is_ok { "done" } else { "failed" };
    note(format_args!("{what}: {verdict} in {}", seconds(start.elapsed())));
}

fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(420)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 5 s");
    }
}
