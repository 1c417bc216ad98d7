//! The process that walks, and how many calls that makes.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::FileExt as _,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::watchers;

/// How often smaps is read in a batch.
pub(crate) const READS: u64 = 100;

/// 2 MiB of base pages, of THPs and of hugetlb pages each, so many times.
const BLOCKS: &str = "32";

const PAGE_SHIFT: u64 = 12;
const PMD_SHIFT: u64 = 21;

/// Calls of both functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) generic: u64,
    pub(crate) hugetlb: u64,
}

impl Calls {
    pub(crate) fn sum(self) -> u64 {
        self.generic + self.hugetlb
    }
}

/// What a batch took.
#[derive(Clone, Copy)]
pub(crate) struct Done {
    /// CPU time of the process that walks.
    pub(crate) cpu: Duration,
    pub(crate) made: Calls,
}

/// The process, when its memory is there.
pub(crate) struct Load {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Load {
    pub(crate) fn start() -> Result<Self> {
        let [program, first @ ..] = &watchers::walkprobe()?[..] else { bail!("no walkprobe") };
        let mut command = Command::new(program);
        command.args(first).args(["workload", "walks", "mixed", "--walker", "smaps", "--wait"]);
        command.args(["--rounds", &READS.to_string(), "--blocks", BLOCKS]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take().context("no standard input")?;
        let stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut load = Self { child, stdin, stdout };
        let said = load.line()?;
        if !said.starts_with("ready") {
            bail!("the process that walks said `{said}`");
        }
        Ok(load)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// A batch.
    pub(crate) fn run(mut self) -> Result<Done> {
        let pid = self.child.id();
        let generic = tables(pid)? * READS;
        let before = cpu(pid)?;
        self.stdin.write_all(b"go\n")?;
        let driven: Value = serde_json::from_str(&self.line()?)?;
        let cpu = cpu(pid)?.saturating_sub(before);
        drop(self.stdin);
        self.child.wait()?;
        let rows = driven["walkers"][0]["expected"].as_array().context("nothing was driven")?;
        let hugetlb = rows.iter().find(|row| row["path"] == "hugetlb");
        let hugetlb = hugetlb.and_then(|row| row["calls"].as_u64()).context("no hugetlb page")?;
        Ok(Done { cpu, made: Calls { generic, hugetlb } })
    }
}

/// The CPU time of a process that is waiting (Documentation/scheduler/sched-stats.rst).
fn cpu(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok()).context("schedstat")?;
    Ok(Duration::from_nanos(ns))
}

/// How often a reading of smaps calls the generic function: for each VMA without hugetlb pages, once for each 2 MiB in
/// which something stands, of whatever VMA (`walk_pmd_range`, mm/pagewalk.c).
///
/// Found by way of pagemap, which calls neither function.
fn tables(pid: u32) -> Result<u64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let pagemap = File::open(format!("/proc/{pid}/pagemap"))?;
    // The last one is shown beside the VMAs, and has no address space.
    let others = ["/anon_hugepage", "[vsyscall]"];
    let vmas = maps.lines().filter(|line| !others.iter().any(|other| line.contains(other)));
    let ranges: Option<Vec<(u64, u64)>> = vmas
        .map(|line| {
            let (start, end) = line.split_once(' ')?.0.split_once('-')?;
            let address = |text| u64::from_str_radix(text, 16).ok();
            Some((address(start)?, address(end)?))
        })
        .collect();
    let ranges = ranges.context("maps has another form")?;
    let mut standing = BTreeSet::new();
    for &(start, end) in &ranges {
        let pages = usize::try_from((end - start) >> PAGE_SHIFT)?;
        let mut entries = vec![0; 8 * pages];
        pagemap.read_exact_at(&mut entries, 8 * (start >> PAGE_SHIFT))?;
        for (page, entry) in (start >> PAGE_SHIFT..).zip(entries.as_chunks::<8>().0) {
            // Present, or in swap (Documentation/admin-guide/mm/pagemap.rst).
            if u64::from_ne_bytes(*entry) >> 62 != 0 {
                standing.insert(page >> (PMD_SHIFT - PAGE_SHIFT));
            }
        }
    }
    let of_vma = |(start, end): &(u64, u64)| {
        standing.range(start >> PMD_SHIFT..=(end - 1) >> PMD_SHIFT).count() as u64
    };
    Ok(ranges.iter().map(of_vma).sum())
}
