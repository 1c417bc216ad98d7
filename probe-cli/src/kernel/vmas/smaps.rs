//! `/proc/PID/smaps`: what the kernel counts in each VMA.
//!
//! The kernel walks all page tables to write it, with mmap_lock held for reading; so it is only
//! read when a fact is wanted that nothing cheaper tells.

use std::io::{self, Read};

use super::text::{self, Lines};

/// The counts of one VMA; sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The hugetlb page size, or the base page size.
    pub(crate) page_size: u64,
    /// 0 for hugetlb, and without pages of zeroes.
    pub(crate) rss: u64,
    pub(crate) swap: u64,
    /// Memory mapped by PMD leaves: anonymous, shared memory and files together.
    pub(crate) pmd_mapped: u64,
    pub(crate) hugetlb: u64,
    /// The two-letter flags.
    pub(crate) flags: Vec<String>,
}

impl Counts {
    /// Nothing is mapped or swapped out, as far as the kernel counts.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rss == 0 && self.swap == 0 && self.hugetlb == 0
    }

    fn line(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|&b| b == b':') else { return };
        let (key, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if key == b"VmFlags" {
            let flags = value.split(|&b| b == b' ').filter(|flag| flag.len() == 2);
            self.flags = flags.map(crate::escape::escape).collect();
            return;
        }
        let mut number = value;
        let Some(kilobytes) = text::decimal(&mut number) else { return };
        let bytes = kilobytes.saturating_mul(1024);
        match key {
            b"KernelPageSize" => self.page_size = bytes,
            b"Rss" => self.rss = bytes,
            b"Swap" => self.swap = bytes,
            b"AnonHugePages" | b"ShmemPmdMapped" | b"FilePmdMapped" => {
                self.pmd_mapped = self.pmd_mapped.saturating_add(bytes);
            }
            b"Shared_Hugetlb" | b"Private_Hugetlb" => {
                self.hugetlb = self.hugetlb.saturating_add(bytes);
            }
            _ => {}
        }
    }
}

/// Reads all of it, and gives each VMA's counts to `each`.
pub(crate) fn read(mut source: impl Read, mut each: impl FnMut(Counts)) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut lines = Lines::default();
    let mut current: Option<Counts> = None;
    loop {
        let length = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        lines.feed(&buffer[..length], |line| {
            // The keys begin with a capital letter, addresses with a small digit.
            if let Some(header) = text::line(line) {
                let next = Counts { start: header.start, end: header.end, ..Counts::default() };
                current.replace(next).map(&mut each);
            } else if let Some(counts) = &mut current {
                counts.line(line);
            }
        });
    }
    current.map(each);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::read;

    const SMAPS: &[u8] = b"00400000-00600000 rw-p 00000000 00:00 0                          [heap]
Size:               2048 kB
KernelPageSize:        4 kB
Rss:                2044 kB
Swap:                  4 kB
AnonHugePages:      1024 kB
ShmemPmdMapped:        0 kB
FilePmdMapped:         1 kB
THPeligible:           1
ProtectionKey:         0
VmFlags: rd wr mr mw me ac sd hg
00600000-00800000 rw-s 00000000 00:11 5                  /a\\012Rss: 9 kB
KernelPageSize:     2048 kB
Rss:                   0 kB
Private_Hugetlb:    2048 kB
Swap: 99999999999999999999999 kB
VmFlags: rd \x1b[ ht
00800000-00900000 r--p 00000000 00:00 0
Rss:        ";

    #[test]
    fn counts_are_read_vma_by_vma() {
        let mut seen = Vec::new();
        read(SMAPS, |counts| seen.push(counts)).unwrap();
        assert_eq!(seen.len(), 3);
        assert_eq!((seen[0].rss, seen[0].swap, seen[0].pmd_mapped), (2044 << 10, 4096, 1025 << 10));
        assert_eq!(seen[0].flags, ["rd", "wr", "mr", "mw", "me", "ac", "sd", "hg"]);
        assert_eq!((seen[1].page_size, seen[1].hugetlb, seen[1].swap), (2 << 20, 2 << 20, 0));
        assert_eq!(seen[1].flags, ["rd", "\\x1b[", "ht"]);
        assert!(!seen[1].is_empty() && seen[2].is_empty());
        assert_eq!((seen[2].start, seen[2].end), (0x80_0000, 0x90_0000));
    }
}
