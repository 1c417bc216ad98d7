//! Processes that were asked for by PID.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::exit::Failure;

/// A process that was asked for by its PID.
pub(super) struct Target {
    pid: u32,
    pidfd: OwnedFd,
}

impl Target {
    /// Finds the processes with these PIDs, or of these threads.
    ///
    /// # Errors
    /// [`Failure::NoProcess`] for the first that does not exist or has no address space.
    pub(super) fn open_all(pids: &[u32]) -> Result<Vec<Self>, Failure> {
        pids.iter().map(|&pid| Self::open(pid)).collect()
    }

    /// Finds the process with this PID, or of this thread.
    ///
    /// # Errors
    /// [`Failure::NoProcess`] when it does not exist or has no address space.
    pub(super) fn open(pid: u32) -> Result<Self, Failure> {
        let none = |why: &str| Failure::NoProcess(format!("{why}; `ps -e` lists the processes"));
        let status = i32::try_from(pid)
            .ok()
            .and_then(|pid| procfs::process::Process::new(pid).ok()?.status().ok())
            .ok_or_else(|| none(&format!("there is no process {pid}")))?;
        if status.vmsize.is_none() {
            return Err(none(&format!(
                "process {pid} has no address space: it is a kernel thread, or it has ended"
            )));
        }
        // A thread stands for its process: they share the address space.
        let pidfd = Pid::from_raw(status.tgid)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            .ok_or_else(|| none(&format!("process {pid} has ended")))?;
        Ok(Self { pid: u32::try_from(status.tgid).unwrap_or(pid), pidfd })
    }

    /// Its PID.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN)], Some(&now))
            .is_ok_and(|ready| ready > 0)
    }
}

/// Their PIDs.
pub(super) fn pids<'a>(targets: impl IntoIterator<Item = &'a Target>) -> Vec<u32> {
    targets.into_iter().map(Target::pid).collect()
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn wrong_processes_are_refused_in_one_sentence() {
        let message = |pid| Target::open(pid).map(|_| ()).unwrap_err().to_string();
        assert!(message(u32::MAX).starts_with("there is no process 4294967295; "));
        assert!(message(0).starts_with("there is no process 0; "));
        assert!(Target::open(std::process::id()).is_ok());
    }
}
