//! Keeps all of the process but its space as it is, so that what walks the whole process finds the same with each space.

use procfs::process::{MMPermissions, Process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use super::{super::sys::NoNumaBalancing, sys};

/// As long as it lives, this thread stays on its CPU, whose memory node all its pages come from, and no NUMA hints
/// come into the page tables.
pub(super) struct Still {
    /// Where it could be before.
    cpus: Option<CpuSet>,
    _policy: NoNumaBalancing,
}

impl Still {
    /// Best effort: what the kernel refuses is left as it is.
    pub(super) fn begin() -> Self {
        let cpus = sched_getaffinity(None).ok();
        let mut here = CpuSet::new();
        here.set(sched_getcpu());
        let pinned = sched_setaffinity(None, &here).is_ok();
        map_files();
        Self { cpus: cpus.filter(|_| pinned), _policy: NoNumaBalancing::begin() }
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        if let Some(cpus) = &self.cpus {
            let _ = sched_setaffinity(None, cpus);
        }
    }
}

/// Maps all of the program and its libraries: which parts of them have been used until a walk, and so have page tables,
/// depends on what was done before.
fn map_files() {
    let Ok(maps) = Process::myself().and_then(|process| process.maps()) else { return };
    for map in maps.into_iter().filter(|map| map.inode != 0) {
        if map.perms.contains(MMPermissions::READ)
            && let (Ok(start), Ok(end)) = (map.address.0.try_into(), map.address.1.try_into())
        {
            let _ = sys::map_for_reading(&(start..end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Still;
    use rustix::thread::sched_getaffinity;

    #[test]
    fn it_stays_on_a_cpu_until_it_need_not() {
        let before = sched_getaffinity(None).unwrap();
        let still = Still::begin();
        assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
        drop(still);
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
