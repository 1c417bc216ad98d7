//! The arguments of `trace`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use probe_common::probe::{Family, Probe};

use super::files::{LEAST, Limits};
use crate::probe::{RING_BYTES, RING_BYTES_WITH_STACKS};

const EXAMPLES: &str = "Examples:
  walkprobe trace -p 1234 -o app.jsonl --duration 10
  walkprobe trace -o build.jsonl -- make -j8
  walkprobe trace -p 1234 --events change,migrate,vma
  walkprobe trace -p 1234 --events split --stacks
  walkprobe trace --follow --maps -o build.jsonl.zst -- make -j8
  walkprobe trace --cgroup system.slice/nginx.service -o web.jsonl --rotate 100M --max-size 10G
  walkprobe trace --comm postgres -o - | jq -c 'select(.kind == \"fault\") | .by.comm'
  walkprobe trace -p $(pidof postgres | tr ' ' ,) | jq -c 'select(.kind == \"pmd_split\")'";

/// Arguments of `trace`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Trace these processes; the trace ends when all of them have ended
    #[arg(
        short,
        long,
        value_name = "PID",
        value_delimiter = ',',
        required_unless_present_any = ["command", "comm", "cgroup"]
    )]
    pub(super) pid: Vec<u32>,
    /// Trace the processes with this name, and those that begin a program with it from then on, from the program's first
    /// instruction; a name has 15 bytes at most, as in /proc/PID/comm
    #[arg(long, value_name = "NAME")]
    pub(super) comm: Option<OsString>,
    /// Trace the processes in this cgroup and in those below it, their children, and those that are moved into it; may be
    /// given several times
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup: Vec<PathBuf>,
    /// Trace the children that processes get from now on too, from their first instruction; the trace ends when all of
    /// them have ended
    #[arg(long)]
    pub(super) follow: bool,
    /// Write to this file instead of standard output, which is also -; compressed when its name ends in .zst
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// End after this time, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = super::super::seconds)]
    pub(super) duration: Option<Duration>,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_events: Option<u64>,
    /// End before all files together are larger, such as 500M or 10G: 1M at least
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) max_size: Option<u64>,
    /// When the file has this size, go on in FILE.1, then in FILE.2, and so on; each can be read by itself
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "output")]
    pub(super) rotate: Option<u64>,
    /// Size of the ring buffer between kernel and user space, in KiB: a power of two [default: 8192,
    /// with --stacks 32768]
    #[arg(long, value_name = "KIB", value_parser = ring_kib)]
    pub(super) ring_size: Option<u32>,
    /// Attach only the probes of these families, which costs the kernel less
    #[arg(
        long,
        value_name = "FAMILY",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Family::ALL.map(Family::name)).try_map(|name| {
            Family::ALL.into_iter().find(|family| family.name() == name).ok_or("no such family")
        })
    )]
    pub(super) events: Vec<Family>,
    /// Keep leaf maps in the trace: at the beginning, and again what changed, so that each moment can be rebuilt
    #[arg(long)]
    pub(super) maps: bool,
    /// Add to each event who called: the user and the kernel stack of the thread that did it
    #[arg(long)]
    pub(super) stacks: bool,
    /// Make walks of page tables events; else they are only counted, but for those that --maps needs
    #[arg(long)]
    pub(super) walks: bool,
    /// Run this command and trace it
    #[arg(last = true, value_name = "CMD", conflicts_with_all = ["pid", "comm", "cgroup"])]
    pub(super) command: Vec<OsString>,
}

impl Args {
    pub(super) fn ring_bytes(&self) -> u32 {
        match self.ring_size {
            Some(kib) => kib << 10,
            None if self.stacks => RING_BYTES_WITH_STACKS,
            None => RING_BYTES,
        }
    }

    /// The families whose probes are attached.
    pub(super) fn families(&self) -> Vec<Family> {
        if self.events.is_empty() { Family::ALL.to_vec() } else { self.events.clone() }
    }

    /// The probes whose operations are events. Walks are frequent, and change nothing but for some that maps follow.
    pub(super) fn streamed(&self) -> Vec<Probe> {
        let all = self.walks || self.events.contains(&Family::Walk);
        let is_streamed = |probe: &Probe| {
            probe.family() != Family::Walk || all || self.maps && *probe == Probe::WalkVma
        };
        Probe::ALL.into_iter().filter(is_streamed).collect()
    }

    /// What the trace may take.
    pub(super) fn limits(&self) -> Limits {
        Limits { size: self.max_size, events: self.max_events, rotate: self.rotate }
    }
}

/// Bytes, with a binary unit.
fn size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K') => (text.strip_suffix('K'), 10),
        Some(b'M') => (text.strip_suffix('M'), 20),
        Some(b'G') => (text.strip_suffix('G'), 30),
        Some(b'T') => (text.strip_suffix('T'), 40),
        _ => (Some(text), 0),
    };
    digits
        .and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(1 << shift))
        .filter(|size| (LEAST..=1 << 60).contains(size))
        .ok_or_else(|| "a size of 1M at least is wanted, such as 500M or 10G".to_owned())
}

fn ring_kib(text: &str) -> Result<u32, String> {
    text.parse::<u32>()
        .ok()
        .filter(|kib| kib.is_power_of_two() && (4..=1 << 20).contains(kib))
        .ok_or_else(|| "a power of two from 4 to 1048576 is wanted".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{ring_kib, size};

    #[test]
    fn sizes_are_checked() {
        assert_eq!(
            (size("1M"), size("10G"), size("1048576")),
            (Ok(1 << 20), Ok(10 << 30), Ok(1 << 20))
        );
        for wrong in ["", "M", "1K", "-1M", "1.5G", "99999999999T", "1m"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(ring_kib("4").is_ok() && ring_kib("5").is_err() && ring_kib("2").is_err());
        assert!(ring_kib("2097152").is_err());
    }
}
