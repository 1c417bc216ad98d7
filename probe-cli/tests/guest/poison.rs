//! Hardware poison. The kernel takes the frames out of use for good: in guests only.

use std::{
    io, mem, ptr,
    sync::atomic::{AtomicU64, Ordering},
};

use libtest_mimic::{Failed, Trial};
use walkprobe::model::leaf::{LeafKind, LeafSize};

use crate::{
    compare::{checked, expect},
    memory::{Area, PAGE, PMD},
    need,
    run::ensure,
};

pub(crate) fn trials() -> Vec<Trial> {
    let failure = need::memory_failure;
    let hugetlb = failure().or_else(|| need::hugetlb(PMD, 3));
    [
        need::trial("hw_poison", failure(), base_pages),
        need::trial("hw_poison_in_thp", failure().or_else(need::thp), in_thp),
        need::trial("hw_poison_of_hugetlb", hugetlb, of_hugetlb),
    ]
    .into()
}

/// Signals that were taken.
static SIGNALS: AtomicU64 = AtomicU64::new(0);

extern "C" fn take(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Poisons a part of an area. Who asks for that gets a SIGBUS, as if it had touched the page
/// (mm/madvise.c, `madvise_inject_error`: `MF_ACTION_REQUIRED`).
#[expect(unsafe_code, reason = "there is no safe interface")]
fn poison(area: &Area, range: std::ops::Range<usize>) -> Result<(), Failed> {
    // SAFETY: numbers and pointers that may be null.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    let mut before = action;
    action.sa_sigaction = take as *const () as usize;
    // SAFETY: both live during the call; the handler only adds to a number.
    if unsafe { libc::sigaction(libc::SIGBUS, &raw const action, &raw mut before) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    let signals = SIGNALS.load(Ordering::Relaxed);
    let poisoned = area.advise(range, libc::MADV_HWPOISON);
    // SAFETY: what was there before.
    unsafe { libc::sigaction(libc::SIGBUS, &raw const before, ptr::null_mut()) };
    poisoned?;
    // Those of one call become one.
    let signals = SIGNALS.load(Ordering::Relaxed) - signals;
    ensure(signals == 1, || format!("{signals} times SIGBUS"))
}

fn base_pages() -> Result<(), Failed> {
    let area = Area::base(2 * PMD)?;
    area.write(0..PMD);
    poison(&area, 3 * PAGE..6 * PAGE)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::HwPoison, LeafSize::BASE), 3 * PAGE),
            ((LeafKind::Present, LeafSize::BASE), PMD - 3 * PAGE),
            ((LeafKind::Hole, LeafSize::BASE), PMD),
        ],
    )
}

/// The THP is split, and only the one page is lost (mm/memory-failure.c, `try_to_split_thp_page`).
fn in_thp() -> Result<(), Failed> {
    let area = Area::huge(2 * PMD)?.ok_or("THP is switched off")?;
    area.write(0..2 * PMD);
    expect(&checked(&area)?, &[((LeafKind::Present, LeafSize::PMD), 2 * PMD)])?;
    poison(&area, 7 * PAGE..8 * PAGE)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::HwPoison, LeafSize::BASE), PAGE),
            ((LeafKind::Present, LeafSize::BASE), PMD - PAGE),
            ((LeafKind::Present, LeafSize::PMD), PMD),
        ],
    )
}

fn of_hugetlb() -> Result<(), Failed> {
    let area = Area::hugetlb(3 * PMD, PMD)?.ok_or("the pool is empty")?;
    area.write(0..2 * PMD);
    poison(&area, PMD..PMD + PAGE)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::PMD), PMD),
            ((LeafKind::HwPoison, LeafSize::PMD), PMD),
            ((LeafKind::Hole, LeafSize::BASE), PMD),
        ],
    )
}
