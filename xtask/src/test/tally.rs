//! Counts tests and remembers what failed.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::say;

/// The outcome of all stages so far; shared by guests that run at the same time.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    passed: usize,
    failures: Vec<String>,
}

/// What a line of a test runner says.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Passed,
    Failed(&'a str),
    Other,
}

impl Tally {
    /// One check passed.
    pub(super) fn pass(&self) {
        self.change(|counts| counts.passed += 1);
    }

    /// One check failed; the text says which, where and why.
    pub(super) fn fail(&self, what: impl Into<String>) {
        self.change(|counts| counts.failures.push(what.into()));
    }

    /// Adds what another one has counted.
    pub(super) fn add(&self, other: Self) {
        let other = other.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.change(|counts| {
            counts.passed += other.passed;
            counts.failures.extend(other.failures);
        });
    }

    /// How many have failed so far.
    pub(super) fn failed(&self) -> usize {
        self.change(|counts| counts.failures.len())
    }

    /// How many have failed so far in a stage.
    pub(super) fn failed_in(&self, stage: &str) -> usize {
        let of_stage = |failure: &&String| {
            failure.strip_prefix(stage).is_some_and(|rest| rest.starts_with(": "))
        };
        self.change(|counts| counts.failures.iter().filter(of_stage).count())
    }

    /// Counts one line of a test runner's output.
    pub(super) fn line(&self, stage: &str, line: &str) {
        match read(line) {
            Line::Passed => self.pass(),
            Line::Failed(name) => self.fail(format!("{stage}: {name}")),
            Line::Other => {}
        }
    }

    /// What failed, and as the last line the counts; gives whether all passed.
    pub(super) fn report(&self) -> bool {
        self.change(|counts| {
            if !counts.failures.is_empty() {
                say::result("\nfailures:");
            }
            for failure in &counts.failures {
                say::result(format_args!("  {failure}"));
            }
            say::result(format_args!("{} passed, {} failed", counts.passed, counts.failures.len()));
            counts.failures.is_empty()
        })
    }

    fn change<T>(&self, work: impl FnOnce(&mut Counts) -> T) -> T {
        work(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `test NAME ... ok`, as both cargo's runner and the guest tests print it.
fn read(line: &str) -> Line<'_> {
    let Some((name, verdict)) =
        line.trim_end().strip_prefix("test ").and_then(|line| line.rsplit_once(" ... "))
    else {
        return Line::Other;
    };
    match verdict {
        "ok" => Line::Passed,
        "FAILED" => Line::Failed(name.trim()),
        _ => Line::Other,
    }
}

/// Counts each line that is written to it, and may show it.
pub(super) struct Counted<'a> {
    tally: &'a Tally,
    stage: &'a str,
    shown_before: Option<&'a str>,
    start: Instant,
    partial: Vec<u8>,
}

impl<'a> Counted<'a> {
    /// For one stage; `shown_before` and the seconds since now stand before each line, and without it nothing is shown.
    pub(super) fn new(tally: &'a Tally, stage: &'a str, shown_before: Option<&'a str>) -> Self {
        Self { tally, stage, shown_before, start: Instant::now(), partial: Vec::new() }
    }

    /// What a test runner has begun and not ended: the start of a line that is to come, without the space around it.
    pub(super) fn under_way(&self) -> String {
        String::from_utf8_lossy(&self.partial).trim().to_owned()
    }

    fn line(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        self.tally.line(self.stage, &line);
        if let Some(before) = self.shown_before {
            let seconds = self.start.elapsed().as_secs();
            say::result(format_args!("[{before} {seconds:4} s] {}", line.trim_end()));
        }
    }
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            self.line(&line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.line(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_read() {
        assert_eq!(read("test a::b ... ok"), Line::Passed);
        assert_eq!(
            read("test src/lib.rs - f (line 3) ... FAILED\r\n"),
            Line::Failed("src/lib.rs - f (line 3)")
        );
        assert_eq!(read("test a ... ignored, needs root"), Line::Other);
        assert_eq!(read("test result: ok. 3 passed; 0 failed"), Line::Other);
        assert_eq!(read("running 3 tests"), Line::Other);
    }

    #[test]
    fn lines_are_counted_however_they_arrive() -> io::Result<()> {
        let tally = Tally::default();
        let mut counted = Counted::new(&tally, "guest", None);
        for (piece, under_way) in [
            ("test a ..", "test a .."),
            (". ok\ntest b ... FAI", "test b ... FAI"),
            ("LED\n", ""),
            ("test c ... ok", "test c ... ok"),
        ] {
            counted.write_all(piece.as_bytes())?;
            assert_eq!(counted.under_way(), under_way);
        }
        drop(counted);
        let all = Tally::default();
        all.pass();
        all.add(tally);
        assert_eq!(all.change(|counts| counts.passed), 3);
        assert_eq!(all.change(|counts| counts.failures.clone()), ["guest: b"]);
        Ok(())
    }
}
