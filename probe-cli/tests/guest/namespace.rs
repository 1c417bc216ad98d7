//! A process in a PID namespace of its own.

use std::{convert::Infallible, env, io};

use crate::roles;

/// Makes a PID namespace with a process that has there the PID of the first argument; says 1 when
/// it is made, and 0 when it may not be.
#[expect(unsafe_code, reason = "unshare and fork, which the standard library does not have")]
pub(crate) fn play() -> io::Result<Infallible> {
    let wanted: i32 = env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    // SAFETY: only children of this process go into the new namespace.
    if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
        return roles::tell(&[0]);
    }
    // SAFETY: this process has one thread, so a child can go on as it likes.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => first(wanted),
        _ => roles::tell(&[1]),
    }
}

/// The first process of the namespace: when it ends, all of them do.
#[expect(unsafe_code, reason = "fork, which the standard library does not have")]
fn first(wanted: i32) -> ! {
    roles::dies_with_its_parent();
    loop {
        // SAFETY: this process has one thread; what it started ends, or waits for ever.
        unsafe {
            match libc::fork() {
                0 if libc::getpid() == wanted => break,
                0 => libc::_exit(0),
                // The one that was wanted does not end.
                pid => drop(libc::waitpid(pid, std::ptr::null_mut(), 0)),
            }
        }
    }
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}
