//! The storm: random operations from several threads, and at each quiet point the leaf maps against all that the kernel
//! tells of the process.
//!
//! `WALKPROBE_SEEDS` says which seeds: `100` for 1 to 100, or `17-20`.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead as _, BufReader, Write as _},
    ops::RangeInclusive,
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::Instant,
};

use libtest_mimic::{Failed, Trial};
use walkprobe::{live::source::LiveSource, pagemap::Source};

use crate::{
    activity, need,
    quiet::{State, at_quiet},
    run::{PATIENCE, ensure, guest, note, walkprobe},
    setting::Setting,
    swap::{self, Swap},
};

/// Seeds that are tried unless told otherwise, by the scan and by the other sources.
const SEEDS: u64 = 8;
const SEEDS_OF_OTHERS: u64 = 2;

/// So many do every operation that can be done at all, also the rare ones.
const ENOUGH: u64 = 20;

/// Of each thread.
const OPERATIONS: u64 = 600;
const QUIET_EVERY: u64 = 100;

pub(crate) fn trials() -> Vec<Trial> {
    let lack = need::loops();
    let trial = |name: &str, test: fn() -> Result<(), Failed>| {
        Trial::test(format!("storm::{name}"), test)
            .with_ignored_flag(lack.is_some())
            .with_kind(lack.clone().unwrap_or_default())
    };
    vec![
        trial("the_scan_is_right_at_quiet_points", scan),
        trial("so_are_the_other_sources", others),
    ]
}

fn scan() -> Result<(), Failed> {
    storm(&seeds(SEEDS)?, Vec::new())
}

fn others() -> Result<(), Failed> {
    let mut others = vec![LiveSource::by(Source::Entries)];
    if walkprobe::pagemap::best() == Source::Scan {
        others.push(LiveSource::by(Source::Scan));
    } else {
        note("no PAGEMAP_SCAN (Linux 6.7): only pagemap is compared");
    }
    let seeds = seeds(SEEDS_OF_OTHERS)?;
    let few = *seeds.start()..=*seeds.end().min(&(seeds.start() + SEEDS_OF_OTHERS - 1));
    storm(&few, others)
}

pub(crate) fn seeds(default: u64) -> Result<RangeInclusive<u64>, Failed> {
    let Ok(text) = env::var("WALKPROBE_SEEDS") else { return Ok(1..=default) };
    Ok(match text.split_once('-') {
        Some((first, last)) => first.parse()?..=last.parse()?,
        None => 1..=text.parse()?,
    })
}

/// What makes the kernel busy by itself, and lets it swap: only in guests.
pub(crate) struct Weather {
    _settings: Vec<Setting>,
    swap: Option<Swap>,
}

impl Weather {
    pub(crate) fn new() -> Result<Self, Failed> {
        if guest().is_none() {
            note("natively: no swap space, no KSM, no compaction");
            return Ok(Self { _settings: Vec::new(), swap: None });
        }
        let huge = "/sys/kernel/mm/transparent_hugepage";
        let wanted = [
            ("/sys/kernel/mm/ksm/sleep_millisecs".to_owned(), "20"),
            ("/sys/kernel/mm/ksm/pages_to_scan".to_owned(), "1000"),
            ("/sys/kernel/mm/ksm/run".to_owned(), "1"),
            (format!("{huge}/khugepaged/scan_sleep_millisecs"), "100"),
            (format!("{huge}/shmem_enabled"), "advise"),
            (format!("{huge}/hugepages-64kB/enabled"), "inherit"),
            ("/proc/sys/kernel/numa_balancing".to_owned(), "1"),
        ];
        // There a storm would not move memory by userfaultfd otherwise, for fear of a panic.
        let series = guest().unwrap_or_default();
        let no_zero = ["6.16", "6.17", "6.18", "6.19"].contains(&series.as_str());
        let no_zero = no_zero.then(|| (format!("{huge}/use_zero_page"), "0"));
        let mut settings = Vec::new();
        for (file, value) in wanted.into_iter().chain(no_zero) {
            match Setting::change(&file, value) {
                Ok(setting) => settings.push(setting),
                Err(error) => note(&format!("{file} stays as it is: {error}")),
            }
        }
        let swap = match need::swap() {
            None => Some(Swap::on()?),
            Some(lack) => {
                note(&format!("without swap space: {lack}"));
                None
            }
        };
        Ok(Self { _settings: settings, swap })
    }
}

impl Weather {
    /// What to call the storm of a seed with, that does so many operations in each thread.
    pub(crate) fn arguments(&self, seed: u64, operations: u64) -> Vec<String> {
        // From two to four.
        let threads = 2 + seed % 3;
        let mut arguments = vec![
            format!("--seed={seed}"),
            format!("--threads={threads}"),
            format!("--operations={operations}"),
            format!("--quiet-every={QUIET_EVERY}"),
        ];
        if self.swap.is_some() {
            arguments.push(format!("--folder={}", swap::FOLDER));
        }
        if guest().is_some() {
            arguments.push("--whole-machine".to_owned());
        }
        arguments
    }
}

/// How often each operation was done and refused, and why others were skipped.
#[derive(Default)]
pub(crate) struct Summary {
    did: BTreeMap<String, (u64, u64)>,
    skipped: BTreeMap<String, String>,
}

impl Summary {
    fn add(&mut self, line: &str) -> Result<(), Failed> {
        let mut words = line.splitn(4, ' ');
        let mut next = || words.next().unwrap_or("");
        match (next(), next()) {
            ("did", name) => {
                let (done, refused) = (next().parse::<u64>()?, next().parse::<u64>()?);
                let counts = self.did.entry(name.to_owned()).or_default();
                (counts.0, counts.1) = (counts.0 + done, counts.1 + refused);
            }
            ("skipped", name) => {
                next();
                self.skipped.insert(name.to_owned(), next().to_owned());
            }
            _ => return Err(format!("an unknown word: {line:?}").into()),
        }
        Ok(())
    }
}

fn storm(seeds: &RangeInclusive<u64>, others: Vec<LiveSource>) -> Result<(), Failed> {
    let weather = Weather::new()?;
    let mut state = State::new(others);
    let mut summary = Summary::default();
    let start = Instant::now();
    for seed in seeds.clone() {
        let arguments = weather.arguments(seed, OPERATIONS);
        let points = state.points;
        one(&arguments, &mut summary, |_| Ok(()), |pid| at_quiet(pid, &mut state)).map_err(
            |failed| {
                let why = failed.message().unwrap_or_default();
                format!("walkprobe workload storm {}: {why}", arguments.join(" "))
            },
        )?;
        ensure(state.points - points == OPERATIONS / QUIET_EVERY, || {
            format!("seed {seed}: {} quiet points", state.points - points)
        })?;
        // Whoever waits sees that it goes on.
        note(&format!("seed {seed}: right at {} quiet points", state.points - points));
    }
    report(seeds, &state, &summary, start);
    // What was never done was not tested.
    let idle: Vec<_> = summary.did.iter().filter(|(_, counts)| counts.0 == 0).collect();
    ensure(seeds.end() - seeds.start() + 1 < ENOUGH || idle.is_empty(), || {
        format!("never done, only refused: {idle:?}")
    })
}

fn report(seeds: &RangeInclusive<u64>, state: &State, summary: &Summary, start: Instant) {
    let (done, refused) = summary
        .did
        .values()
        .fold((0, 0), |(done, refused), counts| (done + counts.0, refused + counts.1));
    note(&format!(
        "seeds {seeds:?}: {done} operations done, {refused} refused; {} quiet points, {} leaves in {} VMAs \
         compared, at most {} VMAs; {} times again; {:?}",
        state.points,
        state.pages,
        state.vmas,
        state.most_vmas,
        state.again,
        start.elapsed(),
    ));
    note(&format!("bytes by kind: {:?}", state.seen));
    let rows: Vec<String> = summary
        .did
        .iter()
        .map(|(name, (done, refused))| format!("{name} {done}/{refused}"))
        .collect();
    note(&format!("done/refused: {}", rows.join(", ")));
    for (name, reason) in &summary.skipped {
        note(&format!("skipped {name}: {reason}"));
    }
}

/// Ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One storm from its beginning to its end.
pub(crate) fn one(
    arguments: &[String],
    summary: &mut Summary,
    mut begin: impl FnMut(u32) -> Result<(), Failed>,
    mut at_quiet: impl FnMut(u32) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let mut command = walkprobe();
    command.args(["workload", "storm"]).args(arguments);
    let mut child = Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    let pid = child.0.id();
    begin(pid)?;
    let out = BufReader::new(child.0.stdout.take().ok_or("no output")?);
    let mut go_on = child.0.stdin.take().ok_or("no input")?;
    let (say, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        out.lines().map_while(Result::ok).try_for_each(|line| say.send(line))
    });
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) if line.starts_with("quiet ") => {
                at_quiet(pid).map_err(|failed| {
                    format!("{line}: {}", failed.message().unwrap_or_default())
                })?;
                go_on.write_all(b"\n")?;
            }
            Ok(line) => summary.add(&line)?,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let threads = activity::of_threads(pid);
                return Err(format!("it hung for {PATIENCE:?}: {threads:?}").into());
            }
        }
    }
    // It ends with the pipe.
    let _ = reader.join();
    let status = child.0.wait()?;
    ensure(status.success(), || format!("it ended with {status}"))
}
