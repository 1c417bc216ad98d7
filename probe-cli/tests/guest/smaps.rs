//! What smaps says of the VMAs of a process.

use std::{collections::BTreeMap, fs, ops::Range};

use libtest_mimic::Failed;

/// The numbers that are compared; others, such as the referenced bytes, change by being read.
const FIELDS: [&str; 8] = [
    "Rss",
    "AnonHugePages",
    "ShmemPmdMapped",
    "FilePmdMapped",
    "Private_Hugetlb",
    "Shared_Hugetlb",
    "Swap",
    "KernelPageSize",
];

/// A VMA as smaps tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) range: Range<u64>,
    pub(crate) name: String,
    /// `VmFlags`, of two letters.
    pub(crate) flags: Vec<String>,
    /// Bytes, by the name of the field.
    fields: BTreeMap<String, u64>,
}

impl Told {
    /// The sum of some fields in bytes; one that the kernel does not have is zero.
    pub(crate) fn sum(&self, fields: &[&str]) -> u64 {
        fields.iter().filter_map(|&field| self.fields.get(field)).sum()
    }

    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|other| other == flag)
    }
}

/// All VMAs of a process, or of `self`, but those of the kernel's own half.
pub(crate) fn of(process: &str) -> Result<Vec<Told>, Failed> {
    let text = fs::read(format!("/proc/{process}/smaps"))?;
    let mut vmas: Vec<Told> = Vec::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or("");
        if let Some(field) = first.strip_suffix(':') {
            let Some(vma) = vmas.last_mut() else { continue };
            if field == "VmFlags" {
                vma.flags = words.map(str::to_owned).collect();
            } else if FIELDS.contains(&field) {
                let bytes = words.next().unwrap_or("").parse::<u64>()? << 10;
                vma.fields.insert(field.to_owned(), bytes);
            }
        } else if let Some((start, end)) = first.split_once('-') {
            let range = u64::from_str_radix(start, 16)?..u64::from_str_radix(end, 16)?;
            let name = words.nth(4).unwrap_or("").to_owned();
            vmas.push(Told { range, name, ..Told::default() });
        }
    }
    vmas.retain(|vma| vma.range.start >> 63 == 0);
    Ok(vmas)
}
