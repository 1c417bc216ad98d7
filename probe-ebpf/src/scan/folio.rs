//! The orders of the folios that the entries of an answer map.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_loop;
use probe_common::{
    entry::{ENTRIES, PTE_SHIFT, bits, frame, is_mapped, is_table},
    scan::{DONE, NO_ORDER, Scan},
};

use super::{ANSWER, GO_ON, ORDERS, STOP, TABLES, state};
use crate::{direct, kernel::read_at};

/// A word of a tail page with these bits is no pointer to the head but a mask for the pointer to the page
/// itself (`compound_info_has_mask`, include/linux/page-flags.h, Linux 7.1): no page struct lies in the last 2 GiB,
/// where the kernel's image is.
const MASKS: u64 = 0xffff_ffff_8000_0000;

/// More pages than this no folio has: 1 TiB.
const MOST_PAGES: u64 = 1 << 28;

/// Entries that one step looks at.
const GROUP: usize = 32;

/// Goes on with the entries of the answer, for so many steps.
#[inline(always)]
pub fn orders(steps: u64) -> u32 {
    unsafe {
        bpf_loop(steps as u32, step as *mut c_void, core::ptr::null_mut(), 0);
    }
    DONE
}

fn step(_number: u32, _context: *mut c_void) -> i64 {
    let Some(scan) = state() else {
        return STOP;
    };
    let (part, first) = (scan.folio_part, scan.folio_entry as usize & (ENTRIES - 1));
    if part >= scan.parts {
        return STOP;
    }
    let (Some(facts), Some(table), Some(orders)) =
        (ANSWER.get(part), TABLES.get_ptr(part), ORDERS.get_ptr_mut(part))
    else {
        return STOP;
    };
    let (shift, count) = (facts.shift & 63, facts.count as usize);
    let mut i = 0;
    while i < GROUP {
        let at = (first + i) & (ENTRIES - 1);
        i += 1;
        if at >= count {
            break;
        }
        let entry = unsafe { (*table)[at] };
        // Bare frames and pages of zeroes are special; a table is no page of the process.
        let folio = is_mapped(entry)
            && entry & bits::SPECIAL == 0
            && (shift == PTE_SHIFT || !is_table(entry));
        let order = if folio { order(scan, frame(entry, shift)) } else { NO_ORDER };
        unsafe { (*orders)[at] = order };
    }
    if first + GROUP < count {
        scan.folio_entry = (first + GROUP) as u32;
    } else {
        scan.folio_part = part + 1;
        scan.folio_entry = 0;
    }
    GO_ON
}

/// The order of the folio that a frame belongs to.
#[inline(always)]
fn order(scan: &Scan, frame: u64) -> u8 {
    if frame.wrapping_sub(scan.folio_first) < scan.folio_count {
        return scan.folio_order as u8;
    }
    // Most frames are folios of their own, and shall not cost a call.
    match direct::two_words(page(scan, frame) + u64::from(scan.page_flags)) {
        Some(words) if is_alone(scan, words) => 0,
        _ => scan_folio(frame) as u8,
    }
}

/// The address of a frame's page struct.
#[inline(always)]
fn page(scan: &Scan, frame: u64) -> u64 {
    scan.vmemmap + frame * u64::from(scan.page_size)
}

/// Whether a page struct, by its flags and the word behind them, is one of no compound page. What cannot be
/// read is 0, and the flags of a page in use never are.
#[inline(always)]
fn is_alone(scan: &Scan, [flags, compound]: [u64; 2]) -> bool {
    flags != 0 && compound & 1 == 0 && flags >> (scan.page_head & 63) & 1 == 0
}

/// The order of the folio that a frame belongs to, which is noted when it is a large one.
///
/// A global function, so that the verifier checks it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scan_folio(frame: u64) -> u32 {
    let Some(scan) = state() else {
        return u32::from(NO_ORDER);
    };
    let page = page(scan, frame);
    let Some(words) = read_at::<[u64; 2]>(page + u64::from(scan.page_flags)) else {
        return u32::from(NO_ORDER);
    };
    if is_alone(scan, words) {
        return 0;
    }
    let head = match words[1] {
        compound if compound & 1 == 0 => page,
        compound if compound >= MASKS => page & compound,
        compound => compound - 1,
    };
    if of_head(scan, head, frame) { scan.folio_order as u32 } else { u32::from(NO_ORDER) }
}

/// Notes the folio with this head page; false when it is none that has this frame, for instance
/// because it has just been freed.
#[inline(always)]
fn of_head(scan: &mut Scan, head: u64, frame: u64) -> bool {
    let Some(flags) = read_at::<u64>(head + u64::from(scan.page_flags)) else {
        return false;
    };
    let Some(pages) = read_at::<u32>(head + u64::from(scan.folio_pages)) else {
        return false;
    };
    let pages = u64::from(pages);
    let Some(first) = head.wrapping_sub(scan.vmemmap).checked_div(u64::from(scan.page_size)) else {
        return false;
    };
    let is_folio = flags >> (scan.page_head & 63) & 1 != 0
        && pages.wrapping_sub(1) < MOST_PAGES
        && pages & (pages - 1) == 0
        && frame.wrapping_sub(first) < pages;
    if is_folio {
        scan.folio_first = first;
        scan.folio_count = pages;
        scan.folio_order = trailing_zeros(pages);
    }
    is_folio
}

/// eBPF has no instruction for it: the lowest bit alone, times a de Bruijn number, has the
/// place in its upper bits.
#[inline(always)]
fn trailing_zeros(word: u64) -> u64 {
    let lowest = word & word.wrapping_neg();
    let place = (lowest.wrapping_mul(DE_BRUIJN) >> 58) as usize & 63;
    u64::from(PLACES[place])
}

const DE_BRUIJN: u64 = 0x0218_a392_cd3d_5dbf;

static PLACES: [u8; 64] = {
    let mut places = [0; 64];
    let mut bit = 0;
    while bit < 64 {
        places[((1_u64 << bit).wrapping_mul(DE_BRUIJN) >> 58) as usize] = bit;
        bit += 1;
    }
    places
};
