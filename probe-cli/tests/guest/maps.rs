//! `walkprobe maps` against smaps, on a process at rest.

use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::run::{PATIENCE, ensure, guest, run, scratch, walkprobe};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("maps::rss_is_that_of_smaps", rss_is_that_of_smaps),
        Trial::test("maps::what_is_saved_can_be_compared", what_is_saved_can_be_compared),
    ]
}

/// A process that does nothing; ended when dropped.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Result<Self, Failed> {
        let sleeper = Self(Command::new("sleep").arg("1000").spawn()?);
        let state = || fs::read_to_string(format!("/proc/{}/stat", sleeper.pid()));
        let end = Instant::now() + PATIENCE;
        // It has begun its own program, and waits.
        while !state()?.contains("(sleep) S") {
            ensure(Instant::now() < end, || "it does not sleep".to_owned())?;
            thread::sleep(Duration::from_millis(10));
        }
        Ok(sleeper)
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // Fails when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rss_is_that_of_smaps() -> Result<(), Failed> {
    let sleeper = Sleeper::new()?;
    let ended = run(walkprobe().args(["maps", "--json", &sleeper.pid()]))?;
    let map: Value = serde_json::from_str(&ended.stdout)?;
    let source = map["source"].as_str().unwrap_or_default();
    let old = guest().is_some_and(|series| series == "5.10");
    ensure(source == if old { "pagemap" } else { "page_tables" }, || format!("from {source}"))?;
    let mut shown = BTreeMap::new();
    for vma in map["vmas"].as_array().ok_or("no VMAs")? {
        let runs = vma["runs"].as_array().ok_or("no runs")?;
        let rss: u64 = runs
            .iter()
            .filter(|run| run["kind"] == "present" || run["kind"] == "prot_none")
            .filter_map(|run| Some(run["size"].as_u64()? * run["count"].as_u64()?))
            .sum();
        let start = vma["start"].as_str().ok_or("no start")?.trim_start_matches("0x").to_owned();
        shown.insert(start, rss);
    }
    let smaps = fs::read_to_string(format!("/proc/{}/smaps", sleeper.pid()))?;
    let (mut start, mut name, mut compared) = (String::new(), String::new(), 0);
    for line in smaps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some((first, _)) = words[0].split_once('-') {
            first.trim_start_matches('0').clone_into(&mut start);
            words.get(5).copied().unwrap_or("").clone_into(&mut name);
        } else if words[0] == "Rss:" && !name.starts_with("[v") {
            // The kernel's own pages, [vvar] and the like, are no memory of the process.
            let expected = words[1].parse::<u64>()? << 10;
            let found = shown.get(&start);
            ensure(found == Some(&expected), || format!("{start} {name}: {found:?}, {expected}"))?;
            compared += 1;
        }
    }
    ensure(compared > 4, || format!("only {compared} VMAs"))
}

fn what_is_saved_can_be_compared() -> Result<(), Failed> {
    let sleeper = Sleeper::new()?;
    let files = [scratch("before.json"), scratch("after.json")];
    for file in &files {
        fs::write(file, run(walkprobe().args(["maps", "--json", &sleeper.pid()]))?.stdout)?;
    }
    let same = run(walkprobe().arg("diff").args(&files))?;
    fs::write(&files[1], "{\"format\":1,\"vmas\":[")?;
    let damaged = run(walkprobe().arg("diff").args(&files))?;
    for file in &files {
        fs::remove_file(file)?;
    }
    ensure(same.code() == Some(0), || format!("{:?}: {}", same.status, same.stderr))?;
    ensure(!same.stdout.contains("->") && !same.stdout.contains('→'), || same.stdout.clone())?;
    ensure(damaged.code() == Some(1) && damaged.stderr.lines().count() == 1, || {
        format!("{:?}: {}", damaged.status, damaged.stderr)
    })
}
