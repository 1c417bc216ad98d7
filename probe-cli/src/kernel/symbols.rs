//! `/proc/kallsyms`: which functions the kernel has, and where.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufReader},
};

/// Where the kernel's symbols are listed.
pub const KALLSYMS: &str = "/proc/kallsyms";

/// The symbols of certain names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    by_name: BTreeMap<String, Vec<u64>>,
    by_address: BTreeMap<u64, String>,
}

impl Symbols {
    /// Reads the symbols with these names from kallsyms; those of modules too.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(names: &BTreeSet<&str>) -> io::Result<Self> {
        Self::parse(BufReader::with_capacity(1 << 16, File::open(KALLSYMS)?), names)
    }

    fn parse(mut lines: impl io::BufRead, names: &BTreeSet<&str>) -> io::Result<Self> {
        let mut symbols = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line)? == 0 {
                return Ok(symbols);
            }
            if let Some((address, name)) = std::str::from_utf8(&line).ok().and_then(parse_line)
                && names.contains(name)
            {
                symbols.by_name.entry(name.to_owned()).or_default().push(address);
                // Without the right to see addresses they are all 0.
                if address != 0 {
                    symbols.by_address.insert(address, name.to_owned());
                }
            }
        }
    }

    /// How many symbols have this name.
    #[must_use]
    pub fn count(&self, name: &str) -> u32 {
        self.by_name.get(name).map_or(0, |all| u32::try_from(all.len()).unwrap_or(u32::MAX))
    }

    /// Where a symbol of this name begins; `None` when there is none, or addresses are hidden.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<u64> {
        self.by_name.get(name)?.first().copied().filter(|&address| address != 0)
    }

    /// The symbol that begins at this address.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<&str> {
        self.by_address.get(&address).map(String::as_str)
    }
}

/// Address, type letter, name, and the module in brackets. Data symbols too, because the letters are
/// not reliable on x86 from 6.16 on.
fn parse_line(line: &str) -> Option<(u64, &str)> {
    let mut words = line.split_ascii_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let _type = words.next()?;
    Some((address, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::Symbols;

    #[test]
    fn only_the_names_asked_for_are_kept() {
        let kallsyms = "ffffffff81000010 T walk_page_range\n\
                        ffffffff81000020 t smaps_pte_range\n\
                        ffffffffc0000030 t smaps_pte_range\t[module]\n\
                        damaged\n";
        let names = ["smaps_pte_range", "gone"].into();
        let symbols = Symbols::parse(kallsyms.as_bytes(), &names).unwrap();
        assert_eq!(symbols.count("smaps_pte_range"), 2);
        assert_eq!(symbols.count("walk_page_range"), 0);
        assert_eq!(symbols.at(0xffff_ffff_8100_0020), Some("smaps_pte_range"));
        assert_eq!(symbols.at(0xffff_ffff_8100_0010), None);
        assert_eq!(symbols.address("smaps_pte_range"), Some(0xffff_ffff_8100_0020));
    }

    #[test]
    fn hidden_addresses_are_no_addresses() {
        let names = ["a"].into();
        let symbols = Symbols::parse(&b"0000000000000000 T a\n"[..], &names).unwrap();
        assert_eq!((symbols.count("a"), symbols.at(0)), (1, None));
    }
}
