//! What can go wrong between this program and the kernel.

use std::io;

use aya::{EbpfError, maps::MapError, programs::ProgramError};
use thiserror::Error;

use crate::plan::Reason;

/// What went wrong between this program and the kernel.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The kernel did not take the maps or the BTF of the eBPF object.
    #[error("the kernel does not load walkprobe's eBPF object: {}", brief(.0))]
    Load(#[from] EbpfError),
    /// A map of the object could not be used.
    #[error("cannot {action} the eBPF map {map}: {error}")]
    Map {
        /// What was tried.
        action: &'static str,
        /// The map.
        map: &'static str,
        /// The kernel's answer.
        error: MapError,
    },
    /// Processes that come later cannot be found.
    #[error("cannot follow new processes: {0}; ask for processes by -p alone")]
    Follow(Reason),
    /// There are no names for stacks.
    #[error("cannot read {KALLSYMS}: {0}", KALLSYMS = crate::kernel::symbols::KALLSYMS)]
    Functions(#[source] io::Error),
    /// Waiting for records failed.
    #[error("cannot wait for records of the kernel: {0}")]
    Wait(#[source] io::Error),
}

/// The kernel's answer without a verifier log of thousands of lines: the error and the log's end.
pub(super) fn brief_program_error(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let mut tail: Vec<_> = log
                .lines()
                .rev()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !is_statistics(line))
                .take(2)
                .collect();
            tail.reverse();
            match tail.as_slice() {
                [] => errno(io_error),
                lines => format!("{}: {}", errno(io_error), lines.join("; ")),
            }
        }
        ProgramError::SyscallError(error) => {
            format!("{}: {}", error.call, errno(&error.io_error))
        }
        other => with_sources(other),
    }
}

fn brief(error: &EbpfError) -> String {
    with_sources(error)
}

/// The verifier ends its log with statistics, which say nothing about the error.
fn is_statistics(line: &str) -> bool {
    ["processed ", "verification time", "stack depth"].iter().any(|start| line.starts_with(start))
}

fn errno(error: &io::Error) -> String {
    match error.raw_os_error() {
        // ENOTSUPP (include/linux/errno.h) is not meant for user space, and libc has no text for it.
        Some(524) => "not supported by this kernel (ENOTSUPP)".to_owned(),
        _ => error.to_string(),
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
