//! A QEMU process that never outlives its owner.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::host::error::Error;

/// A started QEMU; killed when dropped, and by the kernel should this process die first.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts the command, apart from the terminal: in a process group of its own, without standard input and output.
    pub(crate) fn start(mut command: Command, binary: &Path) -> Result<Self, Error> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        die_with_parent(&mut command);
        let child =
            command.spawn().map_err(|source| Error::Start { binary: binary.to_owned(), source })?;
        Ok(Self { child })
    }

    /// Whether it ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.status().is_some()
    }

    /// Its exit status if it ended.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then there is nobody to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(unsafe_code, reason = "only the child itself can ask to die with its parent")]
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let ask = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the request was made.
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(std::io::Error::other("the parent is gone"))
        }
    };
    // SAFETY: between fork and exec only two system calls are made; nothing is allocated, nothing locked.
    unsafe {
        command.pre_exec(ask);
    }
}
