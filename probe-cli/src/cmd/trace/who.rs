//! Whose operations are recorded: processes that were asked for, and those that come later.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use probe_common::record::COMM_LEN;

use super::{args::Args, source::Source};
use crate::{
    cmd::target::{Target, pids},
    exit::Failure,
    output,
    probe::{Later, ProbeError},
};

/// Where cgroups are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The processes of a cgroup, and of those below it, one a line.
const PROCESSES: &str = "cgroup.procs";

/// The processes that are recorded.
pub(super) struct Who {
    running: BTreeMap<u32, Target>,
    cgroups: Vec<PathBuf>,
    later: Later,
    /// Others may come although none is there.
    is_open: bool,
    /// When it is looked for others again.
    due: Instant,
}

/// How often it is looked for processes that have come or ended.
const OFTEN: Duration = Duration::from_millis(100);

impl Who {
    /// Finds those that the arguments ask for.
    ///
    /// # Errors
    /// [`Failure::NoProcess`] when a process or a cgroup does not exist.
    pub(super) fn find(args: &Args) -> anyhow::Result<Self> {
        let name = args.comm.as_ref().map(|name| padded(name.as_encoded_bytes()));
        let cgroups: Vec<PathBuf> = args.cgroup.iter().map(|path| cgroup(path)).collect();
        let mut who = Self {
            running: BTreeMap::new(),
            due: Instant::now(),
            is_open: name.is_some() || !cgroups.is_empty(),
            later: Later { children: args.follow || !cgroups.is_empty(), name },
            cgroups,
        };
        for target in Target::open_all(&args.pid)? {
            who.running.insert(target.pid(), target);
        }
        let mut others = who.in_cgroups()?;
        if let Some(name) = name {
            others.extend(named(name)?);
        }
        others.remove(&std::process::id());
        for pid in others {
            who.add(pid);
        }
        Ok(who)
    }

    /// A command that has been started and waits.
    pub(super) fn command(args: &Args, pid: u32) -> Result<Self, Failure> {
        let running = Target::open_all(&[pid])?.into_iter().map(|target| (pid, target)).collect();
        let later = Later { children: args.follow, name: None };
        Ok(Self { running, cgroups: Vec::new(), later, is_open: false, due: Instant::now() })
    }

    /// Their PIDs.
    pub(super) fn pids(&self) -> Vec<u32> {
        pids(self.running.values())
    }

    /// What the kernel side has to find.
    pub(super) fn later(&self) -> &Later {
        &self.later
    }

    /// Whether nothing can come any more.
    ///
    /// # Errors
    /// When the kernel side does not answer.
    pub(super) fn has_ended(&mut self, source: &mut Source) -> Result<bool, ProbeError> {
        let have_ended = |who: &Self| !who.is_open && who.running.values().all(Target::has_ended);
        if have_ended(self) && self.later.is_some() {
            // They may have left children.
            self.look(source)?;
        }
        Ok(have_ended(self))
    }

    /// Looks for processes that have come, and lets those go that have ended, when it is time.
    ///
    /// # Errors
    /// When the kernel side does not answer.
    pub(super) fn look_in_time(&mut self, source: &mut Source) -> Result<(), ProbeError> {
        if self.later.is_some() && Instant::now() >= self.due {
            self.look(source)?;
            self.due = Instant::now() + OFTEN;
        }
        Ok(())
    }

    fn look(&mut self, source: &mut Source) -> Result<(), ProbeError> {
        // A cgroup that is gone has no processes.
        let members = self.in_cgroups().unwrap_or_default();
        let Some(targets) = source.live().targets() else { return Ok(()) };
        let found = targets.all()?;
        let ended: Vec<u32> =
            self.running.iter().filter(|(_, one)| one.has_ended()).map(|(&pid, _)| pid).collect();
        for pid in &ended {
            self.running.remove(pid);
            targets.remove(*pid)?;
        }
        let mut new = Vec::new();
        for pid in found.union(&members).copied().filter(|pid| !ended.contains(pid)) {
            if self.running.contains_key(&pid) {
                continue;
            }
            if self.add(pid) {
                if !found.contains(&pid) {
                    targets.add(pid)?;
                }
                new.push(pid);
            } else if found.contains(&pid) {
                targets.remove(pid)?;
            }
        }
        for pid in new {
            source.watch(pid);
        }
        Ok(())
    }

    /// False when it has ended already, or has no address space.
    fn add(&mut self, pid: u32) -> bool {
        let target = Target::open(pid).ok();
        target.map(|target| self.running.insert(target.pid(), target)).is_some()
    }

    fn in_cgroups(&self) -> Result<BTreeSet<u32>, Failure> {
        let mut pids = BTreeSet::new();
        for cgroup in &self.cgroups {
            members(cgroup, &mut pids).map_err(|error| {
                let path = output::name(cgroup);
                Failure::NoProcess(format!(
                    "{path} is no cgroup: {error}; `systemd-cgls`, or `find {CGROUPS} -name {PROCESSES}`, lists them"
                ))
            })?;
        }
        Ok(pids)
    }
}

/// The cgroup of a path, which may begin below the place of all of them, as in `/proc/PID/cgroup`.
fn cgroup(path: &Path) -> PathBuf {
    let below = path.strip_prefix("/").unwrap_or(path);
    let inside = Path::new(CGROUPS).join(below);
    if !path.join(PROCESSES).is_file() && inside.is_dir() { inside } else { path.to_owned() }
}

/// Adds the processes of a cgroup and of those below it.
fn members(cgroup: &Path, pids: &mut BTreeSet<u32>) -> io::Result<()> {
    let text = fs::read_to_string(cgroup.join(PROCESSES))?;
    // 0 is a process of another PID namespace.
    let numbers = text.lines().filter_map(|line| line.parse::<u32>().ok());
    pids.extend(numbers.filter(|&pid| pid != 0));
    for entry in fs::read_dir(cgroup)?.filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // It can go at any time.
            let _ = members(&entry.path(), pids);
        }
    }
    Ok(())
}

/// A name as the kernel has it.
fn padded(name: &[u8]) -> [u8; COMM_LEN] {
    let mut padded = [0; COMM_LEN];
    padded.iter_mut().zip(name.iter().take(COMM_LEN - 1)).for_each(|(to, from)| *to = *from);
    padded
}

/// The processes that have a name now.
fn named(name: [u8; COMM_LEN]) -> Result<BTreeSet<u32>, Failure> {
    let failed = |error| Failure::NoProcess(format!("the processes cannot be listed: {error}"));
    let entries = fs::read_dir("/proc").map_err(failed)?.filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has_name = |pid: &u32| {
        let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        padded(comm.strip_suffix(b"\n").unwrap_or(&comm)) == name && !comm.is_empty()
    };
    Ok(pids.filter(has_name).collect())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::{cgroup, members, named, padded};

    #[test]
    fn names_are_cut_as_the_kernel_cuts_them() {
        assert_eq!(&padded(b"app"), b"app\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(&padded(b"a-name-that-is-too-long"), b"a-name-that-is-\0");
        let own = fs::read("/proc/self/comm").unwrap();
        assert!(named(padded(own.trim_ascii_end())).unwrap().contains(&std::process::id()));
        assert!(named(padded(b"no such program")).unwrap().is_empty());
    }

    #[test]
    fn a_cgroup_has_those_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::write(folder.path().join("cgroup.procs"), "12\n0\n").unwrap();
        fs::write(below.join("cgroup.procs"), "345\n").unwrap();
        let mut pids = BTreeSet::new();
        members(&cgroup(folder.path()), &mut pids).unwrap();
        assert_eq!(pids, BTreeSet::from([12, 345]));
        assert!(members(&folder.path().join("none"), &mut pids).is_err());
    }
}
