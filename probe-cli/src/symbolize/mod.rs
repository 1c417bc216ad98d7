//! The names behind the addresses of stacks.
//!
//! Kernel addresses are looked up in kallsyms. For those of a process its mappings say which file lies
//! there, and blazesym which function of the file. What is looked up when the process or its
//! program is gone keeps its bare addresses, unless it was seen before.

mod elf;
mod files;
mod kernel;
mod process;

use std::io;

pub(crate) use self::process::Origin;
use self::{kernel::Kernel, process::Processes};
use crate::stacks::Frame;

/// Finds the names of functions.
#[derive(Debug)]
pub(crate) struct Symbolizer {
    kernel: Kernel,
    processes: Processes,
}

impl Symbolizer {
    /// Reads the kernel's functions: those that are there now.
    ///
    /// # Errors
    /// When kallsyms cannot be read.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { kernel: Kernel::read()?, processes: Processes::default() })
    }

    /// The frames of a kernel stack, without those that watching put there.
    pub(crate) fn kernel(&mut self, addresses: &[u64]) -> Vec<Frame> {
        self.kernel.frames(addresses)
    }

    /// The frames of a stack of a process.
    pub(crate) fn user(&mut self, origin: Origin, addresses: &[u64]) -> Vec<Frame> {
        self.processes.frames(origin, addresses)
    }
}

/// The longest name of a function that is shown; what demangling makes of templates has no end.
const LONGEST_NAME: usize = 1000;

/// A name that came from somewhere, made harmless and not too long.
fn name(text: &str) -> String {
    match text.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => crate::escape::escape(&text.as_bytes()[..end]) + "...",
        None => crate::escape::escape(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_NAME, name};

    #[test]
    fn names_are_harmless_and_end() {
        assert_eq!(name("a\u{1b}[2J"), "a\\x1b[2J");
        let long = name(&"ä".repeat(LONGEST_NAME + 1));
        assert_eq!(long, "ä".repeat(LONGEST_NAME) + "...");
    }
}
