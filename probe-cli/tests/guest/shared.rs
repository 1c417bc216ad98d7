//! Leaves of memory that others can map too: files, shmem, shared hugetlb, and what the kernel maps
//! into every process.

use std::{
    fs::{self, File},
    os::{fd::AsFd as _, unix::fs::FileExt as _},
    time::Instant,
};

use libtest_mimic::{Failed, Trial};
use walkprobe::model::leaf::{LeafKind, LeafSize};

use crate::{
    compare::{bytes, checked, expect, pagemap, smaps},
    files,
    leaves::scan,
    memory::{Area, Backing, PAGE, PMD, PUD},
    need,
    run::ensure,
};

pub(crate) fn trials() -> Vec<Trial> {
    let both = need::hugetlb(PUD, 1).or_else(|| need::hugetlb(PMD, 4));
    [
        need::trial("shmem_base_pages", None, shmem_base_pages),
        need::trial("shmem_thp", None, shmem_thp),
        need::trial("page_cache", None, page_cache),
        need::trial("own_program", None, own_program),
        need::trial("hugetlb_shared", need::hugetlb(PMD, 4), hugetlb_shared),
        need::trial("hugetlb_shared_table", need::hugetlb(PMD, 4), hugetlb_shared_table),
        need::trial("hugetlb_1g_beside_2m", both, hugetlb_side_by_side),
        need::trial("kernel_mappings", None, kernel_mappings),
    ]
    .into()
}

fn shmem_base_pages() -> Result<(), Failed> {
    let memfd = files::memfd(2 * PMD, 0)?;
    let area = Area::new(2 * PMD, Backing::Shared(memfd.as_fd()))?;
    area.advise(0..2 * PMD, libc::MADV_NOHUGEPAGE)?;
    area.write(PAGE..8 * PAGE);
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::BASE), 7 * PAGE),
            ((LeafKind::Hole, LeafSize::BASE), 2 * PMD - 7 * PAGE),
        ],
    )
}

fn shmem_thp() -> Result<(), Failed> {
    let file = files::in_tmpfs(4 * PMD, "always")?;
    let area = Area::new(4 * PMD, Backing::Shared(file.as_fd()))?;
    area.advise(0..4 * PMD, libc::MADV_HUGEPAGE)?;
    area.write(0..2 * PMD);
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::PMD), 2 * PMD),
            ((LeafKind::Hole, LeafSize::BASE), 2 * PMD),
        ],
    )?;
    let huge = smaps(&area, &["ShmemPmdMapped"])?;
    ensure(huge == 2 * PMD as u64, || format!("ShmemPmdMapped is {huge}"))?;
    // A file's PMD leaf is not split into PTEs: it is taken away (`__split_huge_pmd_locked`).
    area.forbid(PAGE..2 * PAGE)?;
    expect(
        &checked(&area)?,
        &[((LeafKind::Present, LeafSize::PMD), PMD), ((LeafKind::Hole, LeafSize::BASE), 3 * PMD)],
    )?;
    // Read again, PTEs map the same THP.
    area.read(2 * PAGE..3 * PAGE);
    let found = checked(&area)?;
    let by_ptes = found.get(&(LeafKind::Present, LeafSize::BASE)).copied().unwrap_or(0);
    ensure(by_ptes >= PAGE as u64, || format!("{found:?}"))
}

fn page_cache() -> Result<(), Failed> {
    let file = files::in_tmpfs(2 * PMD, "never")?;
    file.write_all_at(&vec![1; 40 * PAGE], 0)?;
    let area = Area::new(2 * PMD, Backing::Shared(file.as_fd()))?;
    expect(&checked(&area)?, &[((LeafKind::Hole, LeafSize::BASE), 2 * PMD)])?;
    // A fault maps pages of the file that are in memory around it, up to 64 KiB (`do_fault_around`);
    // behind the 40 pages nothing is.
    area.read(0..PMD);
    let found = checked(&area)?;
    // A read maps the rest with pages of the file too, for shmem knows no shared page of zeroes.
    expect(
        &found,
        &[((LeafKind::Present, LeafSize::BASE), PMD), ((LeafKind::Hole, LeafSize::BASE), PMD)],
    )
}

/// The test program itself: private mappings of a file, read-only and written to.
fn own_program() -> Result<(), Failed> {
    let program = fs::read_link("/proc/self/exe")?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mut present = 0;
    for line in maps.lines().filter(|line| line.ends_with(&*program.to_string_lossy())) {
        let area = Area::existing(range_of(line)?)?;
        let found = bytes(&scan(&area)?);
        let again = checked(&area)?;
        ensure(found == again, || format!("{line}: {found:?}, then {again:?}"))?;
        present += found
            .iter()
            .filter(|((kind, _), _)| *kind == LeafKind::Present)
            .map(|(_, bytes)| bytes)
            .sum::<u64>();
    }
    ensure(present > 0, || format!("nothing of {} is present", program.display()))
}

fn hugetlb_memfd(pages: usize) -> Result<File, Failed> {
    Ok(files::memfd(pages * PMD, libc::MFD_HUGETLB | libc::MFD_HUGE_2MB)?)
}

fn hugetlb_shared() -> Result<(), Failed> {
    let memfd = hugetlb_memfd(4)?;
    let one = Area::new(4 * PMD, Backing::SharedHugetlb(memfd.as_fd(), PMD))?;
    let other = Area::new(4 * PMD, Backing::SharedHugetlb(memfd.as_fd(), PMD))?;
    one.write(0..2 * PMD);
    other.read(PMD..PMD + PAGE);
    let (present, hole) = ((LeafKind::Present, LeafSize::PMD), (LeafKind::Hole, LeafSize::BASE));
    expect(&checked(&one)?, &[(present, 2 * PMD), (hole, 2 * PMD)])?;
    expect(&checked(&other)?, &[(present, PMD), (hole, 3 * PMD)])
}

/// Two mappings of 1 GiB of one hugetlb file share their table (mm/hugetlb.c, `huge_pmd_share`): what
/// is touched through one is in the other.
fn hugetlb_shared_table() -> Result<(), Failed> {
    let memfd = hugetlb_memfd(512)?;
    let one = Area::new(PUD, Backing::SharedHugetlb(memfd.as_fd(), PUD))?;
    let other = Area::new(PUD, Backing::SharedHugetlb(memfd.as_fd(), PUD))?;
    one.write(0..3 * PMD);
    other.read(0..PAGE);
    let expected = [
        ((LeafKind::Present, LeafSize::PMD), 3 * PMD),
        ((LeafKind::Hole, LeafSize::BASE), PUD - 3 * PMD),
    ];
    expect(&checked(&one)?, &expected)?;
    expect(&checked(&other)?, &expected)
}

fn hugetlb_side_by_side() -> Result<(), Failed> {
    let area =
        Area::side_by_side(&[(PUD, Backing::Hugetlb(PUD)), (4 * PMD, Backing::Hugetlb(PMD))])?;
    area.write(0..PAGE);
    area.write(PUD + PMD..PUD + 2 * PMD);
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::PUD), PUD),
            ((LeafKind::Present, LeafSize::PMD), PMD),
            ((LeafKind::Hole, LeafSize::BASE), 3 * PMD),
        ],
    )
}

/// `[vdso]` and the data that it reads. The pages of a VMA with `VM_PFNMAP` read as holes in
/// pagemap (mm/pagewalk.c, `walk_page_test`), but the leaves are there.
fn kernel_mappings() -> Result<(), Failed> {
    // The clock is read in the vDSO, which maps its data.
    std::hint::black_box(Instant::now());
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let mut names = Vec::new();
    let mut lines = smaps.lines();
    while let Some(head) = lines.find(|line| line.ends_with(']') && line.contains("[v")) {
        let name = head.rsplit(' ').next().unwrap_or("");
        let flags = lines.find(|line| line.starts_with("VmFlags:")).unwrap_or("");
        if name == "[vsyscall]" {
            continue; // the kernel's half of the address space
        }
        let area = Area::existing(range_of(head)?)?;
        let found = if flags.contains(" pf") {
            ensure(pagemap(&area.range())?.iter().all(|page| !page.is_present()), || {
                format!("{head}: pagemap shows pages of VM_PFNMAP")
            })?;
            bytes(&scan(&area)?)
        } else {
            checked(&area)?
        };
        let present = found.contains_key(&(LeafKind::Present, LeafSize::BASE));
        names.push((name, present));
    }
    let has = |name| names.contains(&(name, true));
    ensure(has("[vdso]") && has("[vvar]"), || format!("with leaves: {names:?}"))
}

/// The addresses at the beginning of a line of maps or smaps.
fn range_of(line: &str) -> Result<std::ops::Range<u64>, Failed> {
    let range = line.split(' ').next().and_then(|range| range.split_once('-'));
    let (start, end) = range.ok_or_else(|| format!("no addresses in `{line}`"))?;
    Ok(u64::from_str_radix(start, 16)?..u64::from_str_radix(end, 16)?)
}
