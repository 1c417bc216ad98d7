//! Why an address space cannot be read.

use std::io;

/// Why an address space cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No process has this PID.
    #[error("there is no process {pid}; `ps -e` lists the processes")]
    NoProcess {
        /// The PID that was asked for.
        pid: u32,
    },
    /// A kernel thread, or a process that has ended.
    #[error("process {pid} has no address space: it is a kernel thread, or it has ended")]
    NoAddressSpace {
        /// The PID that was asked for.
        pid: u32,
    },
    /// The address space went away while it was read.
    #[error(
        "process {pid} ended, or started another program, while its address space was read; ask again"
    )]
    Changed {
        /// The PID that was asked for.
        pid: u32,
    },
    /// A right is missing.
    #[error(
        "not allowed to read {path}; reading another user's process needs CAP_SYS_PTRACE: \
         run as root, or `setcap cap_sys_ptrace+ep` the program"
    )]
    Denied {
        /// The file.
        path: String,
    },
    /// The kernel was built without it.
    #[error("this kernel has no {path}: it was built without CONFIG_PROC_PAGE_MONITOR")]
    NoFile {
        /// The file.
        path: String,
    },
    /// Anything else.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    /// The error for an operation on `/proc/PID/FILE`.
    pub(crate) fn from_io(pid: u32, file: &str, source: io::Error) -> Self {
        let path = format!("/proc/{pid}/{file}");
        match source.raw_os_error() {
            Some(libc::ENOENT) if std::fs::exists(format!("/proc/{pid}")).unwrap_or(false) => {
                Self::NoFile { path }
            }
            Some(libc::ENOENT) => Self::NoProcess { pid },
            Some(libc::ESRCH) => Self::NoAddressSpace { pid },
            Some(libc::EACCES | libc::EPERM) => Self::Denied { path },
            _ => Self::Io { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;
    use std::io;

    #[test]
    fn the_kernel_s_answer_becomes_a_sentence_with_a_cure() {
        let text = |pid, errno| {
            Error::from_io(pid, "maps", io::Error::from_raw_os_error(errno)).to_string()
        };
        assert!(text(1, libc::EACCES).contains("CAP_SYS_PTRACE"));
        assert!(text(u32::MAX, libc::ENOENT).starts_with("there is no process 4294967295"));
        assert!(text(1, libc::ESRCH).contains("kernel thread"));
        assert!(text(1, libc::ENOENT).contains("CONFIG_PROC_PAGE_MONITOR"));
        assert!(text(1, libc::EIO).starts_with("cannot read /proc/1/maps: "));
    }
}
