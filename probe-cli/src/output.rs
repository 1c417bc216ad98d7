//! Standard output and standard error: the only place that prints.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use crate::exit::Failure;

/// Prints a whole text to standard output.
///
/// # Errors
/// When it cannot be written; a closed pipe too.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::Output { target: "standard output".to_owned(), error })
}

/// Opens a file for output: a new one that only its owner can read, or an empty old one.
///
/// # Errors
/// When it cannot be created.
pub fn create(path: &Path) -> Result<File, Failure> {
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    opened.map_err(|error| Failure::Output { target: name(path), error })
}

/// A path for messages.
#[must_use]
pub fn name(path: &Path) -> String {
    crate::escape::escape(path.as_os_str().as_encoded_bytes())
}

/// Says something to the person at the terminal, on standard error.
pub fn say(text: &str) {
    // Nobody can be told when standard error is closed.
    let _ = writeln!(io::stderr(), "walkprobe: {text}");
}

/// Reports the error that ends the program, in one line.
pub fn error(error: &anyhow::Error) {
    say(&format!("{error:#}"));
}

/// Whether standard output is a terminal.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Sends the log to standard error: warnings, with `verbose` 1 what the eBPF programs say, with
/// 2 everything.
pub fn init_log(verbose: u8) {
    let level = match verbose {
        0 => log::LevelFilter::Warn,
        1 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    // Fails only when there is a logger already, as in tests.
    if log::set_logger(&StandardError).is_ok() {
        log::set_max_level(level);
    }
}

struct StandardError;

impl log::Log for StandardError {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // aya warns of kernels without optional features, which the plan deals with.
        !metadata.target().starts_with("aya") || metadata.level() < log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_lowercase();
            let _ = writeln!(io::stderr(), "walkprobe: {level}: {}", record.args());
        }
    }

    fn flush(&self) {}
}
