//! `/proc/kallsyms` by address: which function of the kernel a piece of code belongs to.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};

use super::symbols::KALLSYMS;

/// All symbols of the kernel and of its modules; those of eBPF programs too, in the module `bpf`.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    /// In order of address.
    symbols: Vec<Symbol>,
    names: String,
    modules: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    address: u64,
    /// Where in `names`.
    name: (u32, u32),
    /// Which of `modules`, counted from 1.
    module: u32,
}

/// A place in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// As the kernel has it: text that a module's author chose.
    pub(crate) function: &'a str,
    /// Bytes from its beginning.
    pub(crate) offset: u64,
    /// Without its brackets.
    pub(crate) module: Option<&'a str>,
}

/// The kernel's half of the addresses. Below are per-CPU symbols, which are offsets.
const KERNEL: u64 = 1 << 63;

/// No function is so long. kallsyms has no lengths: behind the last symbol of a module lies nothing.
const LONGEST: u64 = 1 << 20;

impl Functions {
    /// All there are now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read() -> io::Result<Self> {
        Self::parse(BufReader::with_capacity(1 << 16, File::open(KALLSYMS)?))
    }

    pub(crate) fn parse(mut lines: impl BufRead) -> io::Result<Self> {
        let mut all = Self::default();
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? != 0 {
            if let Ok(line) = str::from_utf8(&line) {
                all.add(line);
            }
            line.clear();
        }
        // Stable: of symbols at one address the kernel, too, shows the first
        // (`get_symbol_pos`, kernel/kallsyms.c).
        all.symbols.sort_by_key(|symbol| symbol.address);
        all.symbols.dedup_by_key(|symbol| symbol.address);
        Ok(all)
    }

    /// Address, type letter, name, and the module in brackets.
    fn add(&mut self, line: &str) -> Option<()> {
        let mut words = line.split_ascii_whitespace();
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        let name = words.nth(1)?;
        if address < KERNEL {
            return None;
        }
        let module = words.next().map(|word| word.trim_matches(['[', ']']));
        let module = match module {
            None => 0,
            Some(module) => {
                // The symbols of a module stand together.
                if self.modules.last().is_none_or(|last| last != module) {
                    self.modules.push(module.to_owned());
                }
                u32::try_from(self.modules.len()).ok()?
            }
        };
        let start = u32::try_from(self.names.len()).ok()?;
        self.names.push_str(name);
        let end = u32::try_from(self.names.len()).ok()?;
        self.symbols.push(Symbol { address, name: (start, end), module });
        Some(())
    }

    /// The function that an address lies in.
    pub(crate) fn at(&self, address: u64) -> Option<Place<'_>> {
        let behind = self.symbols.partition_point(|symbol| symbol.address <= address);
        let symbol = self.symbols.get(behind.checked_sub(1)?)?;
        let function = self.names.get(symbol.name.0 as usize..symbol.name.1 as usize)?;
        let offset = address - symbol.address;
        let module = symbol.module.checked_sub(1).and_then(|at| self.modules.get(at as usize));
        // The end of the kernel's own code (arch/x86/kernel/vmlinux.lds.S).
        let is_code = function != "_etext" && offset < LONGEST;
        is_code.then_some(Place { function, offset, module: module.map(String::as_str) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Functions, Place};

    const KALLSYMS: &str = "0000000000001000 A per_cpu\n\
                            ffffffff81000010 T first\n\
                            ffffffff81000010 T alias\n\
                            ffffffff81000020 t second\n\
                            ffffffff81000100 T _etext\n\
                            ffffffffc0000000 t of_module\t[module]\n\
                            ffffffffc0000800 t bpf_prog_0_x\t[bpf]\n\
                            damaged\n";

    #[test]
    fn an_address_belongs_to_the_symbol_before() {
        let functions = Functions::parse(KALLSYMS.as_bytes()).unwrap();
        let place = |function, offset, module| Some(Place { function, offset, module });
        assert_eq!(functions.at(0xffff_ffff_8100_0010), place("first", 0, None));
        assert_eq!(functions.at(0xffff_ffff_8100_0024), place("second", 4, None));
        assert_eq!(functions.at(0xffff_ffff_c000_0008), place("of_module", 8, Some("module")));
        assert_eq!(functions.at(0xffff_ffff_c000_0801), place("bpf_prog_0_x", 1, Some("bpf")));
    }

    #[test]
    fn what_lies_between_belongs_to_none() {
        let functions = Functions::parse(KALLSYMS.as_bytes()).unwrap();
        for address in [0x1000, 0xffff_ffff_8100_0000, 0xffff_ffff_8100_0100, u64::MAX] {
            assert_eq!(functions.at(address), None, "{address:#x}");
        }
    }
}
