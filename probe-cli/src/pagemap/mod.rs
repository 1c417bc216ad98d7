//! Leaf maps from the kernel's own interfaces, where the eBPF scan cannot run.
//!
//! | fact | eBPF scan | `PAGEMAP_SCAN` | `pagemap` with frames | `pagemap` without |
//! |---|---|---|---|---|
//! | right beyond reading the process | CAP_BPF, CAP_PERFMON | none | CAP_SYS_ADMIN | none |
//! | present, hole | yes | yes | yes | yes |
//! | PMD leaf of a THP | yes | yes | number per VMA; place mostly | number per VMA |
//! | hugetlb leaf size | yes | from the VMA | from the VMA | from the VMA |
//! | base zero page | yes | yes | yes | as present |
//! | huge zero page | yes | yes | yes | as base pages |
//! | PROT_NONE | yes | from the VMA | from the VMA | from the VMA |
//! | NUMA hint | yes | as present | as present | as present |
//! | swap | yes | yes, with frames; else with all below | yes | with all below |
//! | guard region | yes | yes (category, bit 58 or frames) | yes | since 6.15 (bit 58) |
//! | uffd-wp and poison markers | yes | with frames | yes | as swap |
//! | migration, hwpoison, device entries | yes | PMD migration; else `other`, as swap without frames | `other` | as swap |
//! | non-present hugetlb | yes | `other`, uffd-wp markers | uffd-wp markers; else as hole | as with frames |
//! | PFN mappings of devices | yes | as hole | as hole | as hole |
//! | soft-dirty, uffd-wp marks | yes | yes | yes; soft-dirty of hugetlb only by VMA | as with frames |
//! | young, dirty, writable marks | yes | no: 0 | no: 0 | no: 0 |
//!
//! All of them hold the process's mmap_lock for reading, for as much as one call covers.
//! `docs/sources.md` has what these interfaces get wrong.

mod by_entries;
mod by_scan;
mod entry;
#[cfg(test)]
pub(crate) mod fixture;
mod runs;
pub mod scan;
#[cfg(test)]
mod tests;
mod zero;

use std::{collections::VecDeque, fmt::Write as _, fs::File, io};

use self::{
    by_entries::{Certainty, LARGEST_READ_WHEN_EMPTY},
    by_scan::Abilities,
    entry::FrameFlags,
};
pub use crate::kernel::vmas::Error;
use crate::{
    kernel::vmas::{AddressSpace, smaps},
    model::{
        leaf::{LeafSize, Run},
        vma::Vma,
    },
    units,
};

/// Where leaf maps come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `ioctl(PAGEMAP_SCAN)`, since 6.7.
    Scan,
    /// Reading `/proc/PID/pagemap` and `/proc/PID/smaps`.
    Entries,
}

impl Source {
    /// The name for people and for the `source` field.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scan => "pagemap_scan",
            Self::Entries => "pagemap+smaps",
        }
    }
}

/// The leaf maps of one address space.
#[derive(Debug)]
pub struct Answer {
    /// Every VMA in order of address, each with runs that cover it whole, holes included.
    pub maps: Vec<(Vma, Vec<Run>)>,
    /// Where they come from.
    pub source: Source,
    /// In sentences: what the source could not tell.
    pub precision: String,
    /// VMAs and leaves that were cut or left out because the process changed them meanwhile.
    pub torn: u64,
}

/// Reads the leaf maps of a process with the best source that this kernel has. Marks are counted
/// when `wants_marks`.
///
/// # Errors
/// When there is no such process, it has no address space, its files may not be read, or it ends
/// or calls exec meanwhile.
pub fn read(pid: u32, wants_marks: bool) -> Result<Answer, Error> {
    read_with(pid, wants_marks, best())
}

/// The best source that this kernel has.
#[must_use]
pub fn best() -> Source {
    if Abilities::find().is_some() { Source::Scan } else { Source::Entries }
}

/// Reads them with this source.
///
/// # Errors
/// As [`read`]; also when this kernel does not have the source.
pub fn read_with(pid: u32, wants_marks: bool, source: Source) -> Result<Answer, Error> {
    let space = AddressSpace::open(pid)?;
    let pagemap = File::open(format!("/proc/{pid}/pagemap"))
        .map_err(|error| Error::from_io(pid, "pagemap", error))?;
    let list = space.list(false)?;
    let result = match source {
        Source::Scan => scan(&pagemap, &list.vmas, wants_marks),
        Source::Entries => entries(pid, &pagemap, &list.vmas, wants_marks),
    };
    // An address space that is gone reads as empty, or the kernel's answer is an error.
    if !list.space().is_alive() {
        return Err(Error::Changed { pid });
    }
    let (runs, mut precision, cut) =
        result.map_err(|error| Error::from_io(pid, "pagemap", error))?;
    if wants_marks {
        precision.push_str(" Young, dirty and writable are not known and count as 0.");
        // Every new VMA is marked, on kernels with CONFIG_MEM_SOFT_DIRTY.
        if !entry::own().is_some_and(entry::Entry::is_soft_dirty) {
            precision.push_str(" This kernel does not track soft-dirty: it counts as 0.");
        }
    }
    let maps = list.vmas.into_iter().zip(runs).collect();
    Ok(Answer { maps, source, precision, torn: list.torn + cut })
}

/// The runs of each VMA, what could not be told, and how many leaves were cut.
type Found = (Vec<Vec<Run>>, String, u64);

fn scan(pagemap: &File, vmas: &[Vma], marks: bool) -> io::Result<Found> {
    let abilities = Abilities::find()
        .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "no PAGEMAP_SCAN (Linux 6.7)"))?;
    let (runs, cut) = by_scan::read(pagemap, vmas, marks, abilities)?;
    let mut precision = "Sizes of leaves are exact. NUMA hints count as present; device mappings \
                         (VM_PFNMAP) count as holes."
        .to_owned();
    precision.push_str(non_present_precision(sees_frames()));
    if marks && !abilities.written {
        precision.push_str(" Write protection by userfaultfd is not known and counts as 0.");
    }
    Ok((runs, precision, cut))
}

fn entries(pid: u32, pagemap: &File, vmas: &[Vma], marks: bool) -> io::Result<Found> {
    let mut counts = VecDeque::with_capacity(vmas.len());
    smaps::read(File::open(format!("/proc/{pid}/smaps"))?, |vma| counts.push_back(vma))?;
    let sees_frames = sees_frames();
    let frames = if sees_frames { FrameFlags::open() } else { None };
    let has_flags = frames.is_some();
    let mut reader = by_entries::Reader::new(pagemap, marks, frames);
    let mut all = Vec::with_capacity(vmas.len());
    for vma in vmas {
        while counts.front().is_some_and(|counts| counts.end <= vma.start) {
            counts.pop_front();
        }
        let same =
            counts.front().filter(|counts| (counts.start, counts.end) == (vma.start, vma.end));
        all.push(reader.read(vma, same)?);
    }
    let precision = entries_precision(reader.certainty, sees_frames, has_flags);
    // A block that is not whole is none.
    Ok((all, precision, 0))
}

fn entries_precision(certainty: Certainty, sees_frames: bool, has_flags: bool) -> String {
    let mut text = "How many PMD leaves a VMA has is what smaps counts.".to_owned();
    if certainty.unplaced > 0 {
        let bytes = units::bytes(certainty.unplaced);
        let _ = write!(
            text,
            " Which blocks they map is not known for {bytes}: the first ones are shown as such."
        );
    } else {
        text.push_str(" Here it settles every block.");
    }
    if certainty.uncounted > 0 {
        let _ = write!(
            text,
            " {} VMAs changed meanwhile: their leaves are shown as base pages.",
            certainty.uncounted
        );
    }
    if certainty.skipped > 0 {
        let _ = write!(
            text,
            " {} in VMAs above {} where smaps counts nothing were not read.",
            units::bytes(certainty.skipped),
            units::bytes(LARGEST_READ_WHEN_EMPTY)
        );
    }
    if !has_flags {
        text.push_str(
            " Pages of zeroes count as present, the huge one as base pages: telling needs \
             CAP_SYS_ADMIN and /proc/kpageflags.",
        );
    }
    text.push_str(
        " NUMA hints count as present; device mappings (VM_PFNMAP) and non-present hugetlb \
         entries count as holes.",
    );
    text.push_str(non_present_precision(sees_frames));
    text
}

/// Whether this process sees page frame numbers (CAP_SYS_ADMIN in the first user namespace).
fn sees_frames() -> bool {
    entry::own().is_some_and(|entry| entry.frame() != 0)
}

const fn non_present_precision(sees_frames: bool) -> &'static str {
    if sees_frames {
        " Migration, poison and device entries are shown as other."
    } else {
        " Migration, poison, device and marker entries count as swap: telling needs CAP_SYS_ADMIN."
    }
}

const _: () = assert!(LeafSize::BASE.bytes() == 4096);
