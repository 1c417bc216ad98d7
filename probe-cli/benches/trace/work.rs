//! What is measured.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use walkprobe::{
    clock,
    input::Input,
    session::Session,
    trace::{open::open, writer::Writer},
};

use super::inputs;

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Events as lines into a file.
    Write,
    /// Lines of a file as events.
    Read,
    /// The same, into a session that keeps the map of the process.
    Replay,
}

/// What it took.
pub(crate) struct Took {
    /// CPU time in ns.
    pub(crate) cpu_ns: u64,
    /// Bytes of JSON Lines.
    pub(crate) bytes: u64,
    /// The most memory that was in use, in KiB.
    pub(crate) peak_kib: u64,
}

impl Task {
    const ALL: [Self; 3] = [Self::Write, Self::Read, Self::Replay];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Replay => "replay",
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name).context("no such task")
    }

    pub(crate) fn run(self, file: &Path, events: u64) -> Result<Took> {
        let before = clock::own_cpu();
        let bytes = match self {
            Self::Write => write(file, events)?,
            Self::Read => read(file, events, |_| {})?,
            Self::Replay => {
                let mut session = Session::default();
                let bytes = read(file, events, |input| session.take(input))?;
                ensure!(session.events() == events && session.maps().len() == 1, "another session");
                bytes
            }
        };
        Ok(Took { cpu_ns: clock::own_cpu() - before, bytes, peak_kib: peak()? })
    }
}

fn write(file: &Path, events: u64) -> Result<u64> {
    let mut writer = Writer::open(Some(file))?;
    // Any header will do.
    writer.line(open(Path::new(HEADER))?.header())?;
    inputs::each(events, |input| writer.input(input))?;
    writer.flush()?;
    ensure!(writer.events() == events, "events are missing");
    Ok(writer.bytes())
}

const HEADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces/v2.jsonl");

fn read(file: &Path, events: u64, mut take: impl FnMut(Input)) -> Result<u64> {
    let mut reader = open(file)?;
    let mut found = 0;
    while let Some(input) = reader.next_input()? {
        found += u64::from(matches!(input, Input::Event(_)));
        take(input);
    }
    ensure!(found == events && reader.left_out().lines() == 0, "{found} events");
    Ok(reader.bytes())
}

/// The most memory that this process had in use.
fn peak() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let digits = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(digits.context("no VmHWM")?.parse()?)
}

impl Took {
    /// So much of something, for each second.
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    pub(crate) fn rate(&self, number: u64) -> f64 {
        number as f64 / (self.cpu_ns as f64 / 1e9)
    }

    pub(crate) fn words(&self) -> String {
        format!("{} {} {}", self.cpu_ns, self.bytes, self.peak_kib)
    }

    pub(crate) fn parse(words: &str) -> Result<Self> {
        let numbers: Vec<u64> =
            words.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [cpu_ns, bytes, peak_kib] = numbers[..] else { bail!("it said {words:?}") };
        Ok(Self { cpu_ns, bytes, peak_kib })
    }
}
