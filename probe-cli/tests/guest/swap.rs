//! Pages in swap space: a swap file on a loop device, in guests only.

use std::{
    ffi::CStr,
    fs::{self, File},
    io,
    os::fd::AsFd as _,
    process::Command,
    sync::OnceLock,
};

use libtest_mimic::{Failed, Trial};
use rustix::mount::{MountFlags, mount};
use walkprobe::model::leaf::{LeafKind, LeafSize};

use crate::{
    compare::{Bytes, checked, expect, pagemap, smaps},
    files,
    marked::protected,
    memory::{Area, Backing, PAGE, PMD},
    need,
    run::{ensure, run},
    uffd::{Feature, Uffd},
};

const PROTECT: &[Feature] = &[Feature::PagefaultFlagWp];
const SHARED: &[Feature] = &[Feature::PagefaultFlagWp, Feature::WpHugetlbfsShmem];

pub(crate) fn trials() -> Vec<Trial> {
    let protect = need::swap().or_else(|| need::userfaultfd(PROTECT));
    let shared = need::swap().or_else(|| need::userfaultfd(SHARED));
    [
        need::trial("swap", need::swap(), swapped),
        need::trial("swap_of_thp", need::swap().or_else(need::thp), swapped_thp),
        need::trial("swap_of_shmem", need::swap(), swapped_shmem),
        need::trial("swap_with_uffd_wp", protect, swapped_protected),
        need::trial("swap_of_shmem_with_uffd_wp", shared, swapped_protected_shmem),
    ]
    .into()
}

/// Swap space that is in use until it is dropped.
pub(crate) struct Swap;

impl Swap {
    pub(crate) fn on() -> Result<Self, Failed> {
        /// The file with the swap space.
        static FILE: OnceLock<Result<(), String>> = OnceLock::new();
        FILE.get_or_init(|| make().map_err(|error| error.message().unwrap_or("").to_owned()))
            .clone()?;
        #[expect(unsafe_code, reason = "there is no safe interface")]
        // SAFETY: the path is a string with an end.
        match unsafe { libc::swapon(PATH.as_ptr(), 0) } {
            0 => Ok(Self),
            _ => Err(io::Error::last_os_error().into()),
        }
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "there is no safe interface")]
        // SAFETY: the path is a string with an end.
        unsafe {
            libc::swapoff(PATH.as_ptr());
        }
    }
}

/// Memory that is not swapped itself: to write to the disk must not want memory back.
const RAM: &str = "/tmp/swap-ram";
const DISK: &str = "/tmp/swap-ram/disk";
const DEVICE: &str = "/dev/loop0";
/// Where the file system is that holds the swap space.
pub(crate) const FOLDER: &str = "/tmp/swap";
const PATH: &CStr = c"/tmp/swap/space";

/// The file lies on ext2 on a loop device on a file in memory: ramfs takes none.
fn make() -> Result<(), Failed> {
    let tool = |name: &str, arguments: &[&str]| -> Result<(), Failed> {
        let ended = run(Command::new(name).args(arguments))?;
        ensure(ended.code() == Some(0), || format!("{name}: {}", ended.stderr))
    };
    fs::create_dir_all(RAM)?;
    mount("none", RAM, "ramfs", MountFlags::empty(), None::<&CStr>)?;
    File::create(DISK)?.set_len(96 << 20)?;
    tool("losetup", &[DEVICE, DISK])?;
    tool("mke2fs", &["-b", "4096", DEVICE])?;
    fs::create_dir_all(FOLDER)?;
    // The driver of ext4 takes ext2 too.
    mount(DEVICE, FOLDER, "ext4", MountFlags::empty(), None::<&CStr>)?;
    let path = PATH.to_str()?;
    // A swap file has no holes.
    fs::write(path, vec![0; 64 << 20])?;
    tool("mkswap", &[path])
}

/// Swaps a part of an area out, until none of it is present.
pub(crate) fn page_out(area: &Area, range: std::ops::Range<usize>) -> Result<(), Failed> {
    let part = area.part(range.clone());
    // Pages that are on their way to a list of the reclaim, or being written, are passed over.
    for _ in 0..100 {
        area.advise(range.clone(), libc::MADV_PAGEOUT)?;
        if pagemap(&part.range())?.iter().all(|page| !page.is_present()) {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Err("MADV_PAGEOUT leaves pages".into())
}

/// Checks an area, and that smaps counts the swapped bytes that the scan found.
fn checked_swap(area: &Area) -> Result<Bytes, Failed> {
    let found = checked(area)?;
    let swapped = found.get(&(LeafKind::Swap, LeafSize::BASE)).copied().unwrap_or(0);
    let told = smaps(area, &["Swap"])?;
    ensure(swapped == told, || format!("{found:?}, but smaps says {told}"))?;
    Ok(found)
}

fn swapped() -> Result<(), Failed> {
    let _swap = Swap::on()?;
    let area = Area::base(3 * PMD)?;
    area.write(0..2 * PMD);
    page_out(&area, PAGE..PMD + 5 * PAGE)?;
    expect(
        &checked_swap(&area)?,
        &[
            ((LeafKind::Swap, LeafSize::BASE), PMD + 4 * PAGE),
            ((LeafKind::Present, LeafSize::BASE), PMD - 4 * PAGE),
            ((LeafKind::Hole, LeafSize::BASE), PMD),
        ],
    )?;
    // What is read comes back, and nothing else does: read-ahead only fills the swap cache.
    area.read(8 * PAGE..11 * PAGE);
    expect(
        &checked_swap(&area)?,
        &[
            ((LeafKind::Swap, LeafSize::BASE), PMD + PAGE),
            ((LeafKind::Present, LeafSize::BASE), PMD - PAGE),
            ((LeafKind::Hole, LeafSize::BASE), PMD),
        ],
    )
}

/// A THP in swap is 512 entries: a PMD entry only ever refers to swap for migration.
fn swapped_thp() -> Result<(), Failed> {
    let _swap = Swap::on()?;
    let area = Area::huge(2 * PMD)?.ok_or("THP is switched off")?;
    area.write(0..2 * PMD);
    expect(&checked_swap(&area)?, &[((LeafKind::Present, LeafSize::PMD), 2 * PMD)])?;
    page_out(&area, 0..PMD)?;
    expect(
        &checked_swap(&area)?,
        &[((LeafKind::Swap, LeafSize::BASE), PMD), ((LeafKind::Present, LeafSize::PMD), PMD)],
    )
}

/// Where a shared page is stands in the file and not in the page tables.
fn swapped_shmem() -> Result<(), Failed> {
    let _swap = Swap::on()?;
    let memfd = files::memfd(PMD, 0)?;
    let area = Area::new(PMD, Backing::Shared(memfd.as_fd()))?;
    area.write(0..PMD);
    page_out(&area, 0..PMD / 2)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::BASE), PMD / 2),
            ((LeafKind::Hole, LeafSize::BASE), PMD / 2),
        ],
    )?;
    let told = smaps(&area, &["Swap"])?;
    ensure(told == PMD as u64 / 2, || format!("smaps says {told} are in swap"))
}

/// The mark stays on an entry that refers to swap, and the kind is the same with it.
fn swapped_protected() -> Result<(), Failed> {
    let _swap = Swap::on()?;
    let area = Area::base(PMD)?;
    area.write(0..PMD);
    let uffd = Uffd::to_protect(&area, PROTECT)?;
    uffd.protect(&area, 0..32 * PAGE)?;
    page_out(&area, 16 * PAGE..64 * PAGE)?;
    expect(
        &checked_swap(&area)?,
        &[
            ((LeafKind::Swap, LeafSize::BASE), 48 * PAGE),
            ((LeafKind::Present, LeafSize::BASE), PMD - 48 * PAGE),
        ],
    )?;
    let marked = pagemap(&area.range())?.iter().filter(|page| page.is_write_protected()).count();
    ensure(marked == 32, || format!("{marked} pages are marked"))
}

fn swapped_protected_shmem() -> Result<(), Failed> {
    let _swap = Swap::on()?;
    let memfd = files::memfd(PMD, 0)?;
    let area = Area::new(PMD, Backing::Shared(memfd.as_fd()))?;
    area.write(0..PMD);
    let uffd = Uffd::to_protect(&area, SHARED)?;
    uffd.protect(&area, 0..32 * PAGE)?;
    page_out(&area, 16 * PAGE..64 * PAGE)?;
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::UffdWp, LeafSize::BASE), 16 * PAGE),
            ((LeafKind::Hole, LeafSize::BASE), 32 * PAGE),
            ((LeafKind::Present, LeafSize::BASE), PMD - 48 * PAGE),
        ],
    )?;
    let found = protected(&area)?;
    ensure(found == 16 * PAGE as u64, || format!("{found} bytes are marked"))
}
