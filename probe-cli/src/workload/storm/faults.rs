//! Touching memory that may not be there: a fault that the kernel cannot serve is an answer, not the end.
#![expect(unsafe_code, reason = "touches memory of unknown state, and survives it")]

use std::{
    arch::global_asm,
    ffi::{c_int, c_void},
    io, mem, ptr,
};

// One function with the only two instructions that may fault, and where they go on if they do.
global_asm!(
    ".pushsection .text.walkprobe_storm,\"ax\",@progbits",
    ".globl walkprobe_storm_touch",
    "walkprobe_storm_touch:",
    "xor eax, eax",
    "test esi, esi",
    "jne walkprobe_storm_store",
    ".globl walkprobe_storm_load",
    "walkprobe_storm_load:",
    "mov cl, byte ptr [rdi]",
    "ret",
    ".globl walkprobe_storm_store",
    "walkprobe_storm_store:",
    "mov byte ptr [rdi], sil",
    "ret",
    ".globl walkprobe_storm_failed",
    "walkprobe_storm_failed:",
    "mov eax, 1",
    "ret",
    ".popsection",
);

unsafe extern "C" {
    fn walkprobe_storm_touch(address: usize, value: u32) -> u32;
    fn walkprobe_storm_load();
    fn walkprobe_storm_store();
    fn walkprobe_storm_failed();
}

/// Goes on behind a touch that failed; any other fault ends the process as it would have without this.
extern "C" fn on_fault(signal: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let load = walkprobe_storm_load as *const () as i64;
    let store = walkprobe_storm_store as *const () as i64;
    // SAFETY: the kernel gives a signal handler with SA_SIGINFO the context that it returns to.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let next = &mut context.uc_mcontext.gregs[libc::REG_RIP as usize];
    if *next == load || *next == store {
        *next = walkprobe_storm_failed as *const () as i64;
    } else {
        // SAFETY: may be called in a signal handler; the instruction runs again, and faults again.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// From now on a touch that fails is told, and ends nothing.
pub(super) fn survive() -> io::Result<()> {
    // SAFETY: all zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_fault as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the handler only calls what may be called in one.
        if unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Reads a byte.
pub(super) fn read(address: usize) -> io::Result<()> {
    touch(address, 0)
}

/// Writes a byte that is not zero.
pub(super) fn write(address: usize) -> io::Result<()> {
    touch(address, 1)
}

fn touch(address: usize, value: u32) -> io::Result<()> {
    // SAFETY: the address is of the arena, which nobody has references into; what is not there is told.
    match unsafe { walkprobe_storm_touch(address, value) } {
        0 => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::EFAULT)),
    }
}
