//! Where leaf maps come from.

use std::io;

pub use crate::model::set::Wants;
use crate::{
    exit::Failure,
    model::{map::InvalidRuns, set::InvalidSet, set::TranslationSet},
};

/// Something that reads leaf maps of processes.
pub trait MapSource {
    /// Reads the leaf maps of a process.
    ///
    /// # Errors
    /// When the process cannot be read, or not completely: see [`MapError`].
    fn read(&mut self, pid: u32, wants: Wants) -> Result<TranslationSet, MapError>;
}

/// Why there is no leaf map of a process.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// Not here, or in a PID namespace that is not visible from here.
    #[error("there is no process {pid}; `ps -e` lists the processes")]
    NoSuchProcess {
        /// The PID asked for.
        pid: u32,
    },
    /// It has no address space.
    #[error("process {pid} has no address space: it is a kernel thread")]
    KernelThread {
        /// The process.
        pid: u32,
    },
    /// It has ended, but its parent has not taken notice.
    #[error("process {pid} has ended and only waits for its parent: ask for one that runs")]
    Ended {
        /// The process.
        pid: u32,
    },
    /// It ended while it was read.
    #[error("process {pid} exited while it was read")]
    Exited {
        /// The process.
        pid: u32,
    },
    /// It began another program while it was read.
    #[error("process {pid} called exec while it was read; ask again for its new address space")]
    Executed {
        /// The process.
        pid: u32,
    },
    /// It may not be read.
    #[error("process {pid} may not be read: {needs}")]
    NoRights {
        /// The process.
        pid: u32,
        /// What is needed, in a few words: `needs CAP_SYS_PTRACE or its owner's UID`.
        needs: String,
    },
    /// This kernel has no interface for what was asked.
    #[error("this kernel cannot tell: {0}")]
    Unsupported(String),
    /// An interface of the kernel failed.
    #[error("cannot read {what} of process {pid}")]
    Read {
        /// The process.
        pid: u32,
        /// The file, or the operation.
        what: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// What was read makes no leaf map; a change during the scan is no excuse.
    #[error("what was read of process {pid} is impossible")]
    Runs {
        /// The process.
        pid: u32,
        /// Why.
        #[source]
        error: InvalidRuns,
    },
    /// What was read makes no address space.
    #[error("what was read of process {pid} is impossible")]
    Set {
        /// The process.
        pid: u32,
        /// Why.
        #[source]
        error: InvalidSet,
    },
}

impl MapError {
    /// Whether it is a matter of course when all processes are read: not every one has an address
    /// space, and some end meanwhile.
    #[must_use]
    pub const fn is_expected(&self) -> bool {
        matches!(
            self,
            Self::NoSuchProcess { .. }
                | Self::KernelThread { .. }
                | Self::Ended { .. }
                | Self::Exited { .. }
                | Self::Executed { .. }
        )
    }

    /// The error that the program ends with, which has the exit code.
    #[must_use]
    pub fn into_failure(self) -> anyhow::Error {
        match self {
            Self::NoSuchProcess { .. }
            | Self::KernelThread { .. }
            | Self::Ended { .. }
            | Self::Exited { .. }
            | Self::Executed { .. } => Failure::NoProcess(self.to_string()).into(),
            Self::NoRights { .. } | Self::Unsupported(_) => {
                Failure::Impossible(self.to_string()).into()
            }
            Self::Read { .. } | Self::Runs { .. } | Self::Set { .. } => self.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MapError;
    use crate::{exit::Failure, model::map::InvalidRuns};

    #[test]
    fn errors_have_their_exit_codes() {
        let code =
            |error: MapError| error.into_failure().downcast_ref::<Failure>().map(Failure::code);
        assert_eq!(code(MapError::Exited { pid: 1 }), Some(5));
        assert_eq!(code(MapError::Ended { pid: 1 }), Some(5));
        assert_eq!(code(MapError::NoRights { pid: 1, needs: "root".to_owned() }), Some(4));
        let error = InvalidRuns::NoLeaves { start: 0 };
        assert_eq!(code(MapError::Runs { pid: 1, error }), None);
    }
}
