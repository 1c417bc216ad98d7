//! Records of changes, into events.

use probe_common::{
    change::{ChangeRecord, MERGE, SPLIT},
    probe::Probe,
};

use crate::{
    change::{Change, Folio, UffdRequest, VmaChange},
    event::Address,
};

/// A PUD entry maps 1 GiB on x86-64 (`PUD_SHIFT`, `arch/x86/include/asm/pgtable_64_types.h`).
const PUD_SIZE: u64 = 1 << 30;

/// The change that a record stands for; `None` when it is not one.
pub(super) fn change(probe: Probe, record: &ChangeRecord, page_size: u64) -> Option<Change> {
    let (start, end) = (Address(record.start), Address(record.end));
    let errno = int_errno(record.result);
    let vma = |change, errno| Change::Vma { change, start, end, errno };
    Some(match probe {
        Probe::Zap | Probe::ZapHugetlb => Change::Zap { start, end },
        Probe::Protect => {
            // `long`: pages, or a negative errno.
            let pages = u64::try_from(record.result.cast_signed()).ok();
            Change::Protect { start, end, pages }
        }
        Probe::Move => Change::Move { start, end, to: Address(record.other) },
        Probe::Fork => Change::Fork { start, end, errno },
        Probe::Share => {
            let (start, end) = pud_range(record);
            Change::Share { start, end }
        }
        Probe::Unshare => Change::Unshare { start, end },
        Probe::Retract => Change::Retract,
        Probe::Unuse => Change::Unuse { start, end, errno },
        Probe::KsmMerge => Change::KsmMerge { start, end },
        Probe::PudSplit => {
            let (start, end) = pud_range(record);
            Change::PudSplit { start, end }
        }
        Probe::Uffd => Change::Uffd {
            request: uffd_request(record.action)?,
            start,
            end,
            from: (record.other != 0).then_some(Address(record.other)),
            errno,
        },
        Probe::Migrate => Change::Migrate(folio(record, page_size)),
        Probe::Restore => Change::Restore(folio(record, page_size)),
        Probe::Reclaim => Change::Reclaim(folio(record, page_size)),
        Probe::Exec => Change::Exec { errno },
        Probe::Exit => Change::Exit,
        Probe::VmaMap => {
            let errno = address_errno(record.result);
            let (start, end) = if errno == 0 {
                let length = record.end.wrapping_sub(record.start);
                (record.result, record.result.wrapping_add(length))
            } else {
                (record.start, record.end)
            };
            let (start, end) = (Address(start), Address(end));
            Change::Vma { change: VmaChange::Map, start, end, errno }
        }
        // Until 5.10 the length comes as the process gave it.
        Probe::VmaUnmap => Change::Vma {
            change: VmaChange::Unmap,
            start,
            end: Address(record.end.checked_next_multiple_of(page_size).unwrap_or(record.end)),
            errno,
        },
        Probe::VmaBrk => vma(VmaChange::Brk, errno),
        Probe::VmaGrow => Change::Vma {
            change: VmaChange::Grow,
            start: Address(record.start & !(page_size - 1)),
            end,
            errno,
        },
        Probe::VmaLink => vma(VmaChange::Link, errno),
        Probe::VmaAdjust => match record.action {
            SPLIT => vma(VmaChange::Split, errno),
            MERGE => vma(VmaChange::Merge, errno),
            _ => vma(VmaChange::Resize, errno),
        },
        _ => return None,
    })
}

/// All that the PUD entry of a record's address maps.
fn pud_range(record: &ChangeRecord) -> (Address, Address) {
    let start = record.start & !(PUD_SIZE - 1);
    (Address(start), Address(start.saturating_add(PUD_SIZE)))
}

/// The record has the number of pages where others have the end.
fn folio(record: &ChangeRecord, page_size: u64) -> Folio {
    let end = record.end.checked_mul(page_size).and_then(|bytes| record.start.checked_add(bytes));
    Folio {
        start: Address(record.start),
        end: (record.end != 0).then_some(end).flatten().map(Address),
        // `bool`: one byte of the register.
        done: record.result & 0xff != 0,
    }
}

fn uffd_request(number: u32) -> Option<UffdRequest> {
    // `_UFFDIO_*` (`include/uapi/linux/userfaultfd.h`).
    Some(match number {
        3 => UffdRequest::Copy,
        4 => UffdRequest::Zeropage,
        5 => UffdRequest::Move,
        6 => UffdRequest::WriteProtect,
        7 => UffdRequest::Continue,
        8 => UffdRequest::Poison,
        _ => return None,
    })
}

/// The errno of a function that returns `int`, or `long` with an errno in it: half of the register
/// may be anything. Positive values are successes.
#[expect(clippy::cast_possible_truncation, reason = "an int is the lower half of the register")]
const fn int_errno(result: u64) -> i32 {
    let result = (result as u32).cast_signed();
    if result < 0 { result } else { 0 }
}

/// The errno in an address (`IS_ERR_VALUE`, `include/linux/err.h`).
fn address_errno(result: u64) -> i32 {
    match result.cast_signed() {
        errno @ -4095..0 => i32::try_from(errno).unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use probe_common::{
        change::ChangeRecord,
        probe::Probe,
        record::{COMM_LEN, Header},
    };

    use super::change;
    use crate::{
        change::{Change, Folio, VmaChange},
        event::Address,
    };

    fn record(start: u64, end: u64, result: i64) -> ChangeRecord {
        let header = Header {
            time: 0,
            duration: 0,
            actor_tgid: 1,
            actor_tid: 1,
            target_tgid: 1,
            probe: 0,
            flags: 0,
            cpu: 0,
            comm: [0; COMM_LEN],
        };
        let result = result.cast_unsigned();
        ChangeRecord { header, start, end, other: 0, result, action: 0, reserved: 0 }
    }

    #[test]
    fn a_mapping_is_where_the_kernel_says() {
        let mapped = |result| change(Probe::VmaMap, &record(0x1000, 0x3000, result), 4096);
        let map = |start, end, errno| {
            let (start, end) = (Address(start), Address(end));
            Some(Change::Vma { change: VmaChange::Map, start, end, errno })
        };
        assert_eq!(mapped(0x5000), map(0x5000, 0x7000, 0));
        assert_eq!(mapped(-12), map(0x1000, 0x3000, -12));
    }

    #[test]
    fn a_folio_of_unknown_size_has_no_end() {
        let folio = |pages, result| change(Probe::Migrate, &record(0x1000, pages, result), 4096);
        let start = Address(0x1000);
        let end = Some(Address(0x11000));
        assert_eq!(folio(16, 1), Some(Change::Migrate(Folio { start, end, done: true })));
        assert_eq!(folio(0, 0x100), Some(Change::Migrate(Folio { start, end: None, done: false })));
    }

    #[test]
    fn half_a_register_is_an_errno() {
        let errno = |result| change(Probe::Fork, &record(0, 0, result), 4096);
        let (start, end) = (Address(0), Address(0));
        assert_eq!(errno(0xffff_fff4), Some(Change::Fork { start, end, errno: -12 }));
        assert_eq!(errno(1), Some(Change::Fork { start, end, errno: 0 }));
    }
}
