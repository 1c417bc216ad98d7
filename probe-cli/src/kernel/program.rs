//! Which program a process runs: enough to notice that it has ended, or begun another one.

use std::{fs, io};

/// A process, and its program.
///
/// Of two programs of one process the kernel puts the code and the stack at different random
/// addresses; where that is switched off, programs with the same three addresses are hardly two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// Clock ticks since boot; exec leaves it as it is, and a later process with this PID has another.
    born: u64,
    code: [u64; 2],
    stack: u64,
}

/// Why there is no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// No process has this PID.
    NoProcess,
    /// It has given up its address space: it is a zombie, or about to be one.
    Ended,
    /// It never had an address space.
    KernelThread,
    /// It is between two programs: exec has made the new address space, and not yet filled it.
    Between,
    /// `/proc` is mounted so that it does not show (`hidepid`).
    Hidden,
}

impl Program {
    /// What a process, or a thread, runs now.
    pub(crate) fn of(pid: u32) -> Result<Self, Absent> {
        let stat = fs::read(format!("/proc/{pid}/stat")).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Absent::Hidden,
            _ => Absent::NoProcess,
        })?;
        parse(&stat)
    }

    /// Whether its code and its stack begin there (`mm_struct.start_code`, `start_stack`).
    pub(crate) const fn began_with(&self, code: u64, stack: u64) -> bool {
        self.code[0] == code && self.stack == stack
    }

    /// Where its code and its stack begin.
    #[cfg(test)]
    pub(crate) const fn beginnings(&self) -> (u64, u64) {
        (self.code[0], self.stack)
    }

    /// Whether both are of the same process.
    pub(crate) const fn is_same_process(&self, other: &Self) -> bool {
        self.born == other.born
    }
}

/// Reads `/proc/PID/stat` (fs/proc/array.c, `do_task_stat`).
fn parse(stat: &[u8]) -> Result<Program, Absent> {
    /// `PF_KTHREAD`.
    const KERNEL_THREAD: u64 = 1 << 21;
    // The name before can have brackets, blanks and newlines.
    let name_end = stat.iter().rposition(|&byte| byte == b')').ok_or(Absent::NoProcess)?;
    let fields: Vec<&[u8]> = stat[name_end + 1..].split(u8::is_ascii_whitespace).skip(1).collect();
    // proc(5) numbers them from 1; the state is the third.
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    let number =
        |at| str::from_utf8(field(at)).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (flags, bytes): (u64, u64) = (number(9), number(23));
    if flags & KERNEL_THREAD != 0 {
        Err(Absent::KernelThread)
    } else if bytes == 0 || matches!(field(3), b"Z" | b"X") {
        Err(Absent::Ended)
    } else {
        // `load_elf_binary` sets them when all else is there; what may not be seen is 1, not 0.
        let code = [number(26), number(27)];
        let program = Program { born: number(22), code, stack: number(28) };
        if code == [0, 0] { Err(Absent::Between) } else { Ok(program) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Absent, Program, parse};

    fn stat(state: char, flags: u64, bytes: u64) -> Vec<u8> {
        with_code(state, flags, bytes, "10 20")
    }

    fn with_code(state: char, flags: u64, bytes: u64, code: &str) -> Vec<u8> {
        let (before, after) = ("1 1 1 0 -1", "0 0 0 0 0 0 0 0 20 0 1 0 7000");
        let text = format!(" {state} {before} {flags} {after} {bytes} 5 184 {code} 30 0 0");
        [b"12 (a) Z\n(\xff)", text.as_bytes()].concat()
    }

    #[test]
    fn a_name_cannot_mislead() {
        let program = parse(&stat('S', 0x40_0000, 4096));
        assert_eq!(program, Ok(Program { born: 7000, code: [10, 20], stack: 30 }));
    }

    #[test]
    fn what_has_no_program_is_told_apart() {
        assert_eq!(parse(&stat('Z', 4, 4096)), Err(Absent::Ended));
        assert_eq!(parse(&stat('R', 4, 0)), Err(Absent::Ended));
        assert_eq!(parse(&stat('I', 0x20_8040, 0)), Err(Absent::KernelThread));
        assert_eq!(parse(&with_code('R', 0, 4096, "0 0")), Err(Absent::Between));
        assert!(parse(&with_code('R', 0, 4096, "1 1")).is_ok());
        assert_eq!(parse(b""), Err(Absent::NoProcess));
        assert_eq!(Program::of(u32::MAX), Err(Absent::NoProcess));
    }

    #[test]
    fn this_process_stays_the_same() {
        let now = Program::of(std::process::id()).unwrap();
        assert_eq!(Program::of(std::process::id()), Ok(now));
        assert!(now.stack != 0 && now.code[0] < now.code[1]);
    }
}
