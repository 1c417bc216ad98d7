//! Records of the kernel side, into events.

use std::{collections::BTreeMap, mem::size_of};

use probe_common::{
    collapse::{CollapseRecord, NO_ADDRESS, NO_RESULT},
    fault::{FaultRecord, NO_ORDER},
    probe::Probe,
    record::{Header, KERNEL_THREAD, TRACEPOINT},
    split::{FolioSplitRecord, PmdSplitRecord},
    walk::{HUGETLB, WalkRecord},
};

use super::changes::change;
use crate::{
    escape::escape_padded,
    event::{Actor, Address, Detail, Event, FaultOutcome, Path, SplitInto},
    kernel::{facts::Facts, symbols::Symbols},
};

/// What records mean on this kernel.
#[derive(Debug)]
pub(super) struct Decoder {
    fault_reasons: BTreeMap<String, i64>,
    scan_results: BTreeMap<i64, String>,
    symbols: Symbols,
    page_size: u64,
}

/// A PMD entry maps 2 MiB on x86-64 (`PMD_SHIFT`, `arch/x86/include/asm/pgtable_64_types.h`).
const PMD_SIZE: u64 = 2 << 20;

/// `FAULT_FLAG_WRITE` (`include/linux/mm_types.h`).
const FAULT_FLAG_WRITE: u32 = 1;
/// `X86_PF_WRITE` (`arch/x86/include/asm/trap_pf.h`).
const X86_PF_WRITE: u32 = 2;

impl Decoder {
    pub(super) fn new(facts: &Facts, symbols: Symbols) -> Self {
        let enumerators = |name| facts.enumerators.get(name).cloned().unwrap_or_default();
        Self {
            fault_reasons: enumerators("vm_fault_reason"),
            scan_results: enumerators("scan_result")
                .into_iter()
                .map(|(name, value)| {
                    (value, name.strip_prefix("SCAN_").unwrap_or(&name).to_lowercase())
                })
                .collect(),
            symbols,
            page_size: rustix::param::page_size() as u64,
        }
    }

    /// The event that a record stands for; `None` when it is not one of ours.
    pub(super) fn decode(&self, bytes: &[u8]) -> Option<Event> {
        let header: Header = read(bytes)?;
        let probe = Probe::from_number(header.probe)?;
        let detail = match probe {
            Probe::HugetlbFault
            | Probe::MmFault
            | Probe::ThpFault
            | Probe::ThpWpFault
            | Probe::ThpFileFault
            | Probe::ThpNumaFault => self.fault(&read(bytes)?),
            Probe::PmdSplit => pmd_split(&read(bytes)?),
            Probe::FolioSplit => folio_split(&read(bytes)?),
            Probe::Collapse | Probe::CollapseFile | Probe::CollapseMapped => {
                self.collapse(&read(bytes)?)
            }
            Probe::CollapseRequest => collapse_request(&read(bytes)?),
            Probe::WalkVma
            | Probe::WalkSmaps
            | Probe::WalkSmapsHugetlb
            | Probe::WalkPagemap
            | Probe::WalkPagemapHugetlb => self.walk(&read(bytes)?),
            _ => Detail::Change(change(probe, &read(bytes)?, self.page_size)?),
        };
        Some(Event {
            time: header.time,
            probe,
            duration: (header.flags & TRACEPOINT == 0).then_some(header.duration),
            pid: (header.target_tgid != 0).then_some(header.target_tgid),
            by: Actor {
                pid: header.actor_tgid,
                tid: header.actor_tid,
                comm: escape_padded(&header.comm),
                kernel: header.flags & KERNEL_THREAD != 0,
                cpu: header.cpu,
            },
            detail,
            stacks: None,
        })
    }

    fn fault(&self, record: &FaultRecord) -> Detail {
        let by_tracepoint = record.header.flags & TRACEPOINT != 0;
        let write = if by_tracepoint { X86_PF_WRITE } else { FAULT_FLAG_WRITE };
        Detail::Fault {
            address: Address(record.address),
            write: record.flags & write != 0,
            outcome: if by_tracepoint {
                FaultOutcome::Unknown
            } else {
                self.outcome(record.result)
            },
            page_size: (record.order != NO_ORDER)
                .then(|| self.page_size.checked_shl(record.order))
                .flatten(),
        }
    }

    fn outcome(&self, result: u32) -> FaultOutcome {
        let has = |name: &str| {
            self.fault_reasons.get(name).is_some_and(|&bits| i64::from(result) & bits != 0)
        };
        if self.fault_reasons.is_empty() && result != 0 {
            FaultOutcome::Unknown
        } else if has("VM_FAULT_OOM") {
            FaultOutcome::OutOfMemory
        } else if has("VM_FAULT_SIGSEGV") {
            FaultOutcome::Sigsegv
        } else if has("VM_FAULT_HWPOISON") || has("VM_FAULT_HWPOISON_LARGE") {
            FaultOutcome::HardwarePoison
        } else if has("VM_FAULT_SIGBUS") {
            FaultOutcome::Sigbus
        } else if has("VM_FAULT_RETRY") {
            FaultOutcome::Retry
        } else if has("VM_FAULT_FALLBACK") {
            FaultOutcome::Fallback
        } else {
            FaultOutcome::Done
        }
    }

    fn collapse(&self, record: &CollapseRecord) -> Detail {
        Detail::Collapse {
            address: (record.address != NO_ADDRESS).then_some(Address(record.address)),
            outcome: match record.result {
                NO_RESULT => "unknown".to_owned(),
                result => self
                    .scan_results
                    .get(&i64::from(result))
                    .cloned()
                    .unwrap_or_else(|| result.to_string()),
            },
            order: (record.order != NO_ORDER).then_some(record.order),
        }
    }

    fn walk(&self, record: &WalkRecord) -> Detail {
        Detail::Walk {
            start: Address(record.start),
            end: Address(record.end),
            path: if record.path == HUGETLB { Path::Hugetlb } else { Path::Generic },
            callback: self.symbols.at(record.callback).map(str::to_owned),
            result: record.result,
        }
    }
}

fn pmd_split(record: &PmdSplitRecord) -> Detail {
    Detail::PmdSplit {
        address: Address(record.address & !(PMD_SIZE - 1)),
        into: if record.after == 0 { SplitInto::Nothing } else { SplitInto::Table },
        freeze: record.freeze != 0,
    }
}

fn folio_split(record: &FolioSplitRecord) -> Detail {
    Detail::FolioSplit { new_order: record.new_order, errno: record.result }
}

fn collapse_request(record: &CollapseRecord) -> Detail {
    Detail::CollapseRequest {
        start: Address(record.address),
        end: Address(record.end),
        errno: record.result,
    }
}

/// The record at the beginning of the bytes; the ring buffer rounds sizes up to 8.
pub(super) fn read<R: aya::Pod>(bytes: &[u8]) -> Option<R> {
    let bytes = bytes.get(..size_of::<R>())?;
    #[expect(unsafe_code, reason = "bytes of the ring buffer become a record")]
    // SAFETY: the slice has the size of R, and `Pod` promises that any bytes are a valid R.
    Some(unsafe { bytes.as_ptr().cast::<R>().read_unaligned() })
}
