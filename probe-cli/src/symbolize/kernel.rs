//! The kernel's functions.

use std::{collections::HashMap, fs, io};

use super::name;
use crate::{event::Address, kernel::functions::Functions, stacks::Frame};

/// What is known of the kernel's code.
#[derive(Debug)]
pub(super) struct Kernel {
    functions: Functions,
    /// Of which the functions were read.
    modules: String,
    known: HashMap<u64, Frame>,
}

/// How the names of functions begin that are on the stack because walkprobe watches: eBPF programs, what
/// calls them from a tracepoint (kernel/trace/bpf_trace.c, include/linux/tracepoint.h), and the return address
/// that kretprobes put in the place of the caller's.
const WATCHING: [&str; 7] = [
    "bpf_prog_",
    "bpf_trace_run",
    "__bpf_trace_",
    "__traceiter_",
    "arch_rethook_trampoline",
    "__kretprobe_trampoline",
    "kretprobe_trampoline",
];

/// What calls eBPF programs from a function (kernel/bpf/trampoline.c).
const TRAMPOLINE: &str = "bpf_trampoline_";

/// Where a function calls its trampoline, and so how far in the return address is: 5 bytes at its beginning,
/// or behind the 4 of `endbr64`. In later kernels the trampoline returns to the caller itself.
const TRAMPOLINE_RETURNS: [u64; 2] = [5, 9];

impl Kernel {
    pub(super) fn read() -> io::Result<Self> {
        let modules = modules();
        Ok(Self { functions: Functions::read()?, modules, known: HashMap::new() })
    }

    pub(super) fn frames(&mut self, addresses: &[u64]) -> Vec<Frame> {
        let mut callers = self.callers(addresses);
        if callers.iter().any(|address| !self.known.contains_key(address)) && self.keep_up() {
            callers = self.callers(addresses);
        }
        callers.into_iter().map(|address| self.frame(address)).collect()
    }

    /// Reads the functions again when modules have come or gone.
    fn keep_up(&mut self) -> bool {
        let modules = modules();
        if modules == self.modules {
            return false;
        }
        let Ok(functions) = Functions::read() else { return false };
        *self = Self { functions, modules, known: HashMap::new() };
        true
    }

    /// The stack as it would be if nobody watched, from the caller of the watched function on, or from the
    /// function that has the tracepoint.
    fn callers(&self, addresses: &[u64]) -> Vec<u64> {
        let mut callers = Vec::with_capacity(addresses.len());
        let mut through_trampoline = false;
        for &address in addresses {
            // Where a kretprobe's return address stands, the address is the function's first.
            let place = self.functions.at(address);
            let is = |beginning: &&str| place.is_some_and(|it| it.function.starts_with(*beginning));
            if is(&TRAMPOLINE) {
                through_trampoline = true;
                continue;
            }
            let returns = through_trampoline
                && place.is_some_and(|place| TRAMPOLINE_RETURNS.contains(&place.offset));
            through_trampoline = false;
            let watches = callers.is_empty() && WATCHING.iter().any(is);
            if !returns && !watches {
                callers.push(address);
            }
        }
        callers
    }

    /// All are addresses to return to. The call stands before: of a function that never returns it is the
    /// last instruction, and the address another function's.
    fn frame(&mut self, address: u64) -> Frame {
        if let Some(frame) = self.known.get(&address) {
            return frame.clone();
        }
        let place = self.functions.at(address.saturating_sub(1));
        let frame = Frame {
            address: Address(address),
            symbol: place.map(|place| name(place.function)),
            offset: place.map(|place| place.offset + 1),
            file: None,
            module: place.and_then(|place| place.module).map(name),
        };
        self.known.insert(address, frame.clone());
        frame
    }
}

/// Which modules there are, and where; of the fields of `/proc/modules` some change all the time.
fn modules() -> String {
    let text = fs::read_to_string("/proc/modules").unwrap_or_default();
    let lines = text.lines().map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next().unwrap_or_default(), words.nth(4).unwrap_or_default())
    });
    lines.flat_map(|(name, address)| [name, " ", address, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Functions, Kernel};

    const KALLSYMS: &str = "ffffffff81000000 T outer\n\
                            ffffffff81001000 T watched\n\
                            ffffffff81002000 T also_watched\n\
                            ffffffffc0000000 t bpf_trampoline_1\t[bpf]\n\
                            ffffffffc0001000 t bpf_prog_0_a\t[bpf]\n";
    const OUTER: u64 = 0xffff_ffff_8100_0050;
    const WATCHED: u64 = 0xffff_ffff_8100_1000;
    const ALSO: u64 = 0xffff_ffff_8100_2000;
    const TRAMPOLINE: u64 = 0xffff_ffff_c000_0040;
    const PROGRAM: u64 = 0xffff_ffff_c000_1040;

    fn names(addresses: &[u64]) -> String {
        let functions = Functions::parse(KALLSYMS.as_bytes()).unwrap();
        let mut kernel = Kernel { functions, modules: super::modules(), known: HashMap::new() };
        let frames = kernel.frames(addresses);
        frames.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn watching_leaves_no_frames() {
        // Until 6.x the function calls the trampoline, which calls the rest of the function.
        let old = [PROGRAM, TRAMPOLINE, ALSO + 5, WATCHED + 80, TRAMPOLINE, WATCHED + 9, OUTER];
        assert_eq!(names(&old), "watched outer");
        let new = [PROGRAM, TRAMPOLINE, WATCHED + 80, TRAMPOLINE, OUTER];
        assert_eq!(names(&new), "watched outer");
    }

    #[test]
    fn a_function_that_nothing_names_is_an_address() {
        assert_eq!(names(&[1, OUTER]), "0x1 outer");
    }
}
