//! Reads a guest's kernel log while it grows, and recognises a panic in it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

const PANIC: &str = "Kernel panic - not syncing";
/// How many lines of the log an error shows.
const TAIL_LINES: usize = 25;
const LINES_BEFORE_PANIC: usize = 8;

/// The log of one guest, read as far as it has been written.
#[derive(Debug)]
pub struct KernelLog {
    path: PathBuf,
    file: File,
    text: String,
}

impl KernelLog {
    /// Opens the log, which must exist; it may still be empty.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: File::open(path)?, text: String::new() })
    }

    /// Reads what is new; tells whether there was anything.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn follow(&mut self) -> io::Result<bool> {
        let mut new = Vec::new();
        let count = self.file.read_to_end(&mut new)?;
        self.text.push_str(&String::from_utf8_lossy(&new));
        Ok(count > 0)
    }

    /// Whether the kernel panicked.
    #[must_use]
    pub fn has_panic(&self) -> bool {
        has_panic(&self.text)
    }

    /// The end of the log; from the panic on, if there was one.
    #[must_use]
    pub fn tail(&self) -> String {
        tail(&self.text)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn has_panic(text: &str) -> bool {
    text.contains(PANIC)
}

/// The last lines; when there was a panic, the lines around it: its reason stands before, its call trace after.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let last = lines.len().saturating_sub(TAIL_LINES);
    let start = lines
        .iter()
        .position(|line| line.contains(PANIC))
        .map_or(last, |panic| panic.saturating_sub(LINES_BEFORE_PANIC).min(last));
    let end = lines.len().min(start + TAIL_LINES);
    lines[start..end].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_recognised_and_an_oops_is_not() {
        assert!(has_panic("[  1.2] Kernel panic - not syncing: Attempted to kill init!\n"));
        assert!(!has_panic("[  1.2] BUG: kernel NULL pointer dereference\n[  1.3] panic=-1\n"));
    }

    #[test]
    fn the_tail_has_the_reason_of_a_panic() {
        let lines: Vec<String> = (0..100).map(|n| format!("line {n}\r\n")).collect();
        let mut text = lines.concat();
        assert_eq!(tail(&text).lines().next(), Some("line 75"));
        text.push_str("Kernel panic - not syncing: why\n");
        text.push_str(&"register\n".repeat(40));
        assert!(tail(&text).contains("why"));
        assert!(tail(&text).contains("line 99"));
    }
}
