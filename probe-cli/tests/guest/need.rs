//! What a test needs of the kernel and its machine. A test that cannot run is ignored, and its line
//! says why: `test [no guard regions (Linux 6.13)] leaves::guard_regions ... ignored`.

use std::{env, fs, path::Path};

use libtest_mimic::{Failed, Trial};

use crate::{
    memory::{Area, PAGE, PMD},
    run::guest,
    uffd::{self, Feature},
    vfio,
};

/// What is missing; `None` when nothing is.
pub(crate) type Lack = Option<String>;

/// A test of the scan.
pub(crate) fn trial(
    name: &str,
    lack: Lack,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let lack = loops().or(lack);
    Trial::test(format!("leaves::{name}"), test)
        .with_ignored_flag(lack.is_some())
        .with_kind(lack.unwrap_or_default())
}

fn lack(missing: bool, what: &str) -> Lack {
    missing.then(|| what.to_owned())
}

/// The scan itself needs the loop helper.
pub(crate) fn loops() -> Lack {
    lack(guest().is_some_and(|series| series == "5.10"), "no bpf_loop (Linux 5.17)")
}

/// A test that harms the kernel it runs on, or changes settings of the whole machine.
pub(crate) fn a_guest(harm: &str) -> Lack {
    guest().is_none().then(|| format!("only in a guest: {harm}"))
}

pub(crate) fn thp() -> Lack {
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    lack(enabled.is_ok_and(|text| text.contains("[never]")), "THP is switched off")
}

/// Anonymous folios smaller than a PMD leaf; asking for them changes a setting of the machine.
pub(crate) fn small_thp() -> Lack {
    let switch = Path::new("/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled");
    a_guest("it switches folios of 64 KiB on")
        .or_else(|| lack(!switch.exists(), "no folios of 64 KiB (Linux 6.8)"))
}

/// So many free hugetlb pages of `size` bytes.
pub(crate) fn hugetlb(size: usize, pages: usize) -> Lack {
    let pool = format!("/sys/kernel/mm/hugepages/hugepages-{}kB/free_hugepages", size >> 10);
    let free = fs::read_to_string(pool).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    (free < pages).then(|| format!("{free} of {pages} hugetlb pages of {} MiB", size >> 20))
}

pub(crate) fn guard() -> Lack {
    let works = Area::base(PMD).and_then(|area| area.guard(0..PAGE)).is_ok();
    lack(!works, "no guard regions (Linux 6.13)")
}

pub(crate) fn userfaultfd(features: &[Feature]) -> Lack {
    let Ok(known) = uffd::features() else { return Some("no userfaultfd".to_owned()) };
    features
        .iter()
        .find(|feature| known & feature.bit() == 0)
        .map(|feature| format!("userfaultfd has no {feature:?} ({})", feature.since()))
}

/// Pages of the same contents are merged on request.
pub(crate) fn ksm() -> Lack {
    a_guest("it lets ksmd run")
        .or_else(|| lack(!Path::new("/sys/kernel/mm/ksm/run").exists(), "no CONFIG_KSM"))
}

/// A disk to swap to: a loop device, and the tools that make a file system and swap space.
pub(crate) fn swap() -> Lack {
    let found = |tool: &str| {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).any(|folder| folder.join(tool).is_file())
    };
    a_guest("it swaps")
        .or_else(|| lack(!Path::new("/dev/loop-control").exists(), "no loop devices"))
        .or_else(|| lack(!Path::new("/proc/swaps").exists(), "no CONFIG_SWAP"))
        .or_else(|| {
            let tool = ["losetup", "mke2fs", "mkswap"].into_iter().find(|tool| !found(tool))?;
            Some(format!("no {tool}"))
        })
}

/// Memory of a device, mapped by leaves of 1 GiB.
pub(crate) fn device() -> Lack {
    let no_device = vfio::find().is_none() || !Path::new("/dev/vfio/vfio").exists();
    a_guest("it takes a device")
        .or_else(|| lack(no_device, "no device to lend, or no module for it"))
        .or_else(|| {
            let before = guest().is_some_and(|series| matches!(&*series, "5.10" | "6.1"));
            lack(before, "device memory is mapped by base pages (before Linux 6.12)")
        })
}

/// Two memory nodes, between which pages can move.
pub(crate) fn nodes() -> Lack {
    let second = Path::new("/sys/devices/system/node/node1");
    lack(!second.exists(), "one memory node: nowhere to migrate to")
}

/// The kernel makes NUMA hints.
pub(crate) fn hints() -> Lack {
    let switch = Path::new("/proc/sys/kernel/numa_balancing");
    a_guest("it switches NUMA balancing on")
        .or_else(nodes)
        .or_else(|| lack(!switch.exists(), "no CONFIG_NUMA_BALANCING"))
}

pub(crate) fn memory_failure() -> Lack {
    let switch = Path::new("/proc/sys/vm/memory_failure_early_kill");
    a_guest("it poisons memory").or_else(|| lack(!switch.exists(), "no CONFIG_MEMORY_FAILURE"))
}
