//! What can go wrong while a guest runs.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why a guest did not run its command to the end.
#[derive(Debug, Error)]
pub enum Error {
    /// A file here could not be read or written.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// As in "read".
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A module, or one that it needs, is not among those of the kernel.
    #[error(
        "there is no module `{0}` with this kernel; a kernel of a series has those of its package"
    )]
    NoModule(String),
    /// A module cannot be understood.
    #[error("{} is no kernel module: {reason}", path.display())]
    BadModule {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The program cannot be the init of a guest.
    #[error(
        "this walkprobe is not static, so that it cannot run in a guest; cure: use the one that `cargo xtask build` makes"
    )]
    NotStatic,
    /// A file is not a kernel.
    #[error(
        "{} is no bzImage; build one with `make bzImage` (arch/x86/boot/bzImage), or take a packaged vmlinuz",
        .0.display()
    )]
    NoImage(PathBuf),
    /// QEMU could not be started.
    #[error("cannot start QEMU ({}); install it, or name another one", binary.display())]
    Start {
        /// The program.
        binary: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// QEMU ended by itself before the command did.
    #[error("QEMU ended before the guest did: {0}")]
    Ended(String),
    /// The guest's kernel panicked.
    #[error("the guest's kernel panicked; the last lines of {}:\n{tail}", log.display())]
    Panic {
        /// The kernel's log.
        log: PathBuf,
        /// Its end.
        tail: String,
    },
    /// The guest gave no sign of life.
    #[error(
        "the guest hangs: no sign of life for {} s {phase}; the last lines of {}:\n{tail}",
        silence.as_secs(), log.display()
    )]
    Hang {
        /// How long.
        silence: Duration,
        /// "while booting" or "while the command ran".
        phase: &'static str,
        /// The kernel's log.
        log: PathBuf,
        /// Its end.
        tail: String,
    },
    /// The command took too long; the guest is fine.
    #[error("the command in the guest was still running after {} s; --timeout gives it longer", limit.as_secs())]
    CommandTimeout {
        /// The limit.
        limit: Duration,
    },
    /// The guest's init could not run the command.
    #[error("the guest could not run the command: {0}")]
    Guest(String),
    /// A signal asked this process to stop.
    #[error("interrupted by signal {0}")]
    Interrupted(i32),
    /// The channel to the guest broke.
    #[error("cannot {operation} the channel to the guest")]
    Channel {
        /// As in "open".
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The command's output has nowhere to go.
    #[error("cannot pass the command's output on")]
    Output(#[source] io::Error),
}

impl Error {
    /// The exit status for a command-line tool: 122 panic, 123 hang, 124 command timeout (as of timeout(1)),
    /// 128 and the signal when interrupted, 125 for all else.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Panic { .. } => 122,
            Self::Hang { .. } => 123,
            Self::CommandTimeout { .. } => 124,
            Self::Interrupted(signal) => 128 + u8::try_from(*signal).unwrap_or(0),
            _ => 125,
        }
    }

    pub(crate) fn file(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }
}
