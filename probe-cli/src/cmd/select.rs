//! Processes chosen by name or cgroup, or all of them.

use std::{fs, io};

use anyhow::Context as _;

use crate::escape::{escape, escape_padded};

/// Which processes.
pub(super) enum Choice<'a> {
    /// Every one.
    All,
    /// Those with this name (`comm`), as they set it or as this tool shows it.
    Comm(&'a str),
    /// Those in this cgroup or below it: `/system.slice/x.service`, also with the mount point.
    Cgroup(&'a str),
}

/// The PIDs of the chosen processes, ascending, but for this process. Processes that end meanwhile
/// are none.
///
/// # Errors
/// When `/proc` cannot be read.
pub(super) fn pids(choice: &Choice<'_>) -> anyhow::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let name = entry.context("cannot read /proc")?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}"));
        let is_chosen = |read: io::Result<Vec<u8>>, is: &dyn Fn(&[u8]) -> bool| {
            read.is_ok_and(|content| is(&content))
        };
        let chosen = match choice {
            Choice::All => true,
            Choice::Comm(comm) => is_chosen(read("comm"), &|content| is_called(content, comm)),
            Choice::Cgroup(path) => is_chosen(read("cgroup"), &|content| is_in(content, path)),
        };
        if chosen && pid != std::process::id() {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    Ok(pids)
}

/// Whether the content of `/proc/PID/comm` is this name.
fn is_called(content: &[u8], comm: &str) -> bool {
    let name = content.strip_suffix(b"\n").unwrap_or(content);
    name == comm.as_bytes() || escape_padded(name) == comm
}

/// Whether the content of `/proc/PID/cgroup` names this cgroup, or one below it.
fn is_in(content: &[u8], cgroup: &str) -> bool {
    let wanted = cgroup.strip_prefix("/sys/fs/cgroup").unwrap_or(cgroup).trim_matches('/');
    content.split(|&byte| byte == b'\n').any(|line| {
        // ID, controllers, path; only the path can have more colons.
        let Some(path) = line.splitn(3, |&byte| byte == b':').nth(2) else { return false };
        let path = escape(path.strip_prefix(b"/").unwrap_or(path));
        wanted.is_empty()
            || path
                .strip_prefix(wanted)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::{Choice, is_called, is_in, pids};

    #[test]
    fn names_match_raw_and_as_shown() {
        assert!(is_called(b"cat\n", "cat") && !is_called(b"cats\n", "cat"));
        assert!(is_called(b"a\x1b\n", "a\x1b") && is_called(b"a\x1b\n", "a\\x1b"));
    }

    #[test]
    fn cgroups_match_with_what_is_below() {
        let content = b"1:name=systemd:/x\n0::/system.slice/db.service/worker\n";
        for path in
            ["/system.slice/db.service", "system.slice/", "/sys/fs/cgroup/system.slice", "/"]
        {
            assert!(is_in(content, path), "{path}");
        }
        assert!(!is_in(content, "/system.slice/db") && !is_in(b"junk\n", "/"));
    }

    #[test]
    fn this_process_is_not_among_all() {
        let all = pids(&Choice::All).unwrap();
        assert!(!all.contains(&std::process::id()));
        assert!(all.is_sorted());
    }
}
