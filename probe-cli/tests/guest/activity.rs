//! What the kernel does while a process stands still, by its own counters: who looks for the cause of a difference begins
//! here.

use std::{collections::BTreeMap, fs};

/// Counters of what changes page tables of other processes, or tries to: reclaim, collapses, splits, migration,
/// compaction, KSM (mm/vmstat.c, `vmstat_text`). They only grow.
const COUNTERS: [&str; 8] =
    ["thp_", "pgmigrate_", "pgscan_", "pgsteal_", "compact_", "cow_ksm", "ksm_", "pswp"];

/// The counters at a moment.
pub(crate) struct Activity(BTreeMap<String, u64>);

impl Activity {
    /// None where the kernel has none.
    pub(crate) fn now() -> Self {
        let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
        let counter = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            let counts = COUNTERS.iter().any(|prefix| name.starts_with(prefix));
            counts.then_some((name.to_owned(), value.trim().parse().ok()?))
        };
        Self(text.lines().filter_map(counter).collect())
    }

    /// What has grown since then.
    pub(crate) fn since(&self) -> BTreeMap<String, u64> {
        let grown = |(name, now): (String, u64)| {
            let more = now.saturating_sub(*self.0.get(&name).unwrap_or(&0));
            (more > 0).then_some((name, more))
        };
        Self::now().0.into_iter().filter_map(grown).collect()
    }
}

/// Whether there is a process, or a thread of the kernel, of this name.
pub(crate) fn is_running(name: &str) -> bool {
    let is_called = |process: fs::DirEntry| {
        fs::read_to_string(process.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    fs::read_dir("/proc").is_ok_and(|all| all.flatten().any(is_called))
}

/// What each thread of a process does: its state, and the function in the kernel that it sleeps in.
pub(crate) fn of_threads(pid: u32) -> Vec<String> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let told = |thread: fs::DirEntry| {
        let read = |name| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let stat = read("stat");
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('?');
        format!("{} {state} {}", thread.file_name().display(), read("wchan"))
    };
    threads.flatten().map(told).collect()
}
