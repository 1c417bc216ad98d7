//! Exit codes, and the errors that have one of their own.

use std::{fmt, io, process::ExitCode};

/// An error with an exit code of its own; any other error ends with 1.
///
/// A usage error is clap's and ends with 2. `walkprobe trace -- CMD` and `walkprobe lab -- CMD` end as CMD did;
/// `walkprobe check` ends with 1 after a regression, and with 3 when that cannot be told.
#[derive(Debug)]
pub enum Failure {
    /// Only a part works: `doctor`.
    Reduced,
    /// Nothing works on this kernel, or without these rights.
    Impossible(String),
    /// There is no such process, or it has no address space.
    NoProcess(String),
    /// A guest of `lab` cannot be booted, or did not run its command to the end.
    Guest {
        /// What happened.
        message: String,
        /// The status that stands for it: [`probe_lab::Error::exit_status`].
        status: u8,
    },
    /// `check` cannot compare.
    Check(String),
    /// The output cannot be written.
    Output {
        /// Where to.
        target: String,
        /// Why not.
        error: io::Error,
    },
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Check(_) => 2,
            Self::Reduced => 3,
            Self::Impossible(_) => 4,
            Self::NoProcess(_) => 5,
            Self::Output { .. } => 6,
            Self::Guest { status, .. } => *status,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reduced => f.write_str("some probes are not attached: see the reasons above"),
            Self::Impossible(message)
            | Self::NoProcess(message)
            | Self::Check(message)
            | Self::Guest { message, .. } => f.write_str(message),
            Self::Output { target, error } => {
                write!(f, "cannot write {target}: {error}")?;
                match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        f.write_str("; free some space or choose another place")
                    }
                    _ => f.write_str("; choose another place"),
                }
            }
        }
    }
}

impl std::error::Error for Failure {}

/// The exit code for an error.
#[must_use]
pub fn code(error: &anyhow::Error) -> ExitCode {
    error.downcast_ref::<Failure>().map_or(ExitCode::FAILURE, |failure| failure.code().into())
}

/// Whether somebody has closed the pipe that this program wrote to: that is no error.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io_error = match cause.downcast_ref::<Failure>() {
            Some(Failure::Output { error, .. }) => Some(error),
            _ => cause.downcast_ref::<io::Error>(),
        };
        io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::{Failure, is_broken_pipe};
    use std::io;

    #[test]
    fn a_closed_pipe_is_found_behind_every_context() {
        let pipe = || io::Error::from(io::ErrorKind::BrokenPipe);
        let output = Failure::Output { target: "standard output".to_owned(), error: pipe() };
        assert!(is_broken_pipe(&anyhow::Error::new(pipe()).context("writing")));
        assert!(is_broken_pipe(&anyhow::Error::new(output)));
        assert!(!is_broken_pipe(&anyhow::Error::new(Failure::Reduced)));
    }

    #[test]
    fn a_full_disk_names_the_cure() {
        let error = io::Error::from(io::ErrorKind::StorageFull);
        let text = Failure::Output { target: "t.jsonl".to_owned(), error }.to_string();
        assert_eq!(
            text,
            "cannot write t.jsonl: no storage space; free some space or choose another place"
        );
    }
}
