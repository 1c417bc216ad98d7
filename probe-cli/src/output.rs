//! Standard output and standard error: the only place that prints.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown, lchown},
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
/// Behind sudo a new file belongs to the user who called it. An old one must be that user's, or ours, or root's, and a
/// symbolic link is not followed: in `/tmp` somebody else may have put it there.
///
/// # Errors
/// When it cannot be created.
pub fn create(path: &Path) -> Result<File, Failure> {
    opened(path).map_err(|error| Failure::Output { target: name(path), error })
}

fn opened(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY);
    let user = caller();
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            if let Some((uid, gid)) = user {
                fchown(&file, Some(uid), Some(gid))?;
            }
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = options.open(path).map_err(|error| match error.raw_os_error() {
                Some(libc::ELOOP) => refused("it is a symbolic link"),
                _ => error,
            })?;
            let found = file.metadata()?;
            let own = rustix::process::geteuid().as_raw();
            if ![0, own].contains(&found.uid()) && user.is_none_or(|(uid, _)| uid != found.uid()) {
                return Err(refused("it exists, and is another user's"));
            }
            if found.is_file() {
                file.set_len(0)?;
            }
            Ok(file)
        }
        Err(error) => Err(error),
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// The user and the group that called sudo, when this runs as root behind it.
fn caller() -> Option<(u32, u32)> {
    let number = |name| std::env::var(name).ok()?.parse().ok();
    rustix::process::geteuid()
        .is_root()
        .then(|| Some((number("SUDO_UID")?, number("SUDO_GID")?)))?
}

/// Makes a folder for output that only its owner can look into, as [`create`] makes files; one that is there will do.
///
/// # Errors
/// When it cannot be made.
pub fn create_folder(path: &Path) -> Result<(), Failure> {
    let made = match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Ok(()) => match caller() {
            Some((uid, gid)) => lchown(path, Some(uid), Some(gid)),
            None => Ok(()),
        },
        Err(error) => Err(error),
    };
    made.map_err(|error| Failure::Output { target: name(path), error })
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

/// Whether standard error is a terminal: somebody may look on.
#[must_use]
pub fn tells() -> bool {
    io::stderr().is_terminal()
}

/// Puts a line in the place of the one before it, on standard error; an empty one takes it away.
pub fn status(text: &str) {
    // Nobody can be told when standard error is closed.
    let _ = write!(io::stderr(), "\r\x1b[2K{text}");
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
