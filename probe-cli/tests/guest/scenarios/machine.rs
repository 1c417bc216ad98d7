//! What scenarios ask of the kernel as a whole, and of this process.

use std::{fs, io};

use libtest_mimic::Failed;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{child::until, run::ensure, setting::Setting, threads};

/// khugepaged looks at all that it may at once, and again and again.
pub(super) fn hurry_khugepaged() -> io::Result<Vec<Setting>> {
    let folder = "/sys/kernel/mm/transparent_hugepage/khugepaged";
    change(folder, &[("scan_sleep_millisecs", "10"), ("pages_to_scan", "100000")])
}

/// Faults in memory that may have huge pages get folios of 64 KiB.
pub(super) fn folios() -> io::Result<Vec<Setting>> {
    let folder = "/sys/kernel/mm/transparent_hugepage";
    change(folder, &[("hugepages-64kB/enabled", "always"), ("hugepages-2048kB/enabled", "never")])
}

/// ksmd maps the page of zeroes in the place of pages that have nothing else.
pub(super) fn merge_with_zero() -> io::Result<Vec<Setting>> {
    change("/sys/kernel/mm/ksm", &[("use_zero_pages", "1")])
}

/// So does ksmd.
pub(super) fn hurry_ksmd() -> io::Result<Vec<Setting>> {
    let folder = "/sys/kernel/mm/ksm";
    change(folder, &[("sleep_millisecs", "10"), ("pages_to_scan", "1000"), ("run", "1")])
}

fn change(folder: &str, values: &[(&str, &str)]) -> io::Result<Vec<Setting>> {
    values.iter().map(|(file, value)| Setting::change(&format!("{folder}/{file}"), value)).collect()
}

/// The kernel drops what it can do without: `mm/shrinker.c`, by `drop_slab`.
pub(super) fn shrink() -> Result<(), Failed> {
    let split = || -> Result<u64, Failed> {
        let text = fs::read_to_string("/proc/vmstat")?;
        let mut values = text.lines().filter_map(|line| line.strip_prefix("thp_split_page "));
        Ok(values.next().ok_or("no thp_split_page")?.parse()?)
    };
    let before = split()?;
    // A folio that somebody holds at this moment stays whole.
    until("a split", || {
        fs::write("/proc/sys/vm/drop_caches", "2").ok()?;
        split().is_ok_and(|now| now > before).then_some(())
    })
}

/// Where a thread may run until this is dropped.
pub(super) struct Place(CpuSet);

impl Place {
    /// The first CPU, which is the only one of the first memory node.
    pub(super) fn first() -> io::Result<Self> {
        let before = sched_getaffinity(None)?;
        threads::pin(0)?;
        Ok(Self(before))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It ran there before.
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// A child that ends at once.
pub(super) fn fork() -> Result<(), Failed> {
    #[expect(unsafe_code, reason = "the child of std has another address space at once")]
    // SAFETY: the child calls nothing but _exit.
    let child = unsafe { libc::fork() };
    match child {
        0 => {
            #[expect(unsafe_code, reason = "no destructors in the child")]
            // SAFETY: ends the child.
            unsafe {
                libc::_exit(0)
            }
        }
        -1 => Err(io::Error::last_os_error().into()),
        child => {
            let mut status = 0;
            #[expect(unsafe_code, reason = "waits for what fork gave")]
            // SAFETY: our own child, and a place for its status.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            ensure(waited == child && status == 0, || format!("{waited}: {status}"))
        }
    }
}
