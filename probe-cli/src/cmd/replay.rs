//! `walkprobe replay`: the view of `top`, of a trace.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use probe_common::probe::Probe;

use crate::{
    input::Input,
    kernel::facts::Mechanism,
    output,
    plan::report,
    replay::{Player, SPEEDS, Source},
    stop::Stop,
    trace::{
        header::Header,
        open::{FileReader, open},
    },
    tui::{self, Info, Scope},
    units,
};

const EXAMPLES: &str = "Examples:
  walkprobe replay app.jsonl
  walkprobe replay app.jsonl.zst --start 12.5 --speed 4
  walkprobe replay app.jsonl --batch --interval 1 > frames.txt

It wants no rights. Keys are shown by `?`, and in docs/keys.md.";

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A trace, compressed or not; - stands for standard input, with --batch
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Begin this long after the beginning of the trace, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    start: Option<Duration>,
    /// So many times as fast as it was: a power of two from 1/64 to 4096
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed, allow_hyphen_values = true)]
    speed: i8,
    /// Wait for a key before it plays
    #[arg(long)]
    paused: bool,
    /// Print frames as text instead of opening the view
    #[arg(long, conflicts_with_all = ["speed", "paused", "start"])]
    batch: bool,
    /// With --batch: end after this many frames
    #[arg(short = 'n', long, value_name = "N", requires = "batch", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// With --batch: time of the trace between two frames, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "1", requires = "batch", value_parser = super::seconds)]
    interval: Duration,
}

/// The power of two that a number is.
fn speed(text: &str) -> Result<i8, String> {
    SPEEDS
        .into_iter()
        .find(|&power| text == units::times(power))
        .ok_or_else(|| "a power of two is wanted: 1/64 to 1/2, or 1 to 4096".to_owned())
}

/// Opens the view, or prints frames.
///
/// # Errors
/// When the trace cannot be read, there is no terminal, or the output cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let reader = open(&args.file)?;
    let info = info(reader.header());
    let mut source = File { path: args.file.clone(), reader };
    if args.batch {
        let out = std::io::stdout().lock();
        tui::recorded(|| source.next(), &info, args.frames, args.interval, out)?;
        if let Some(said) = source.at_the_end() {
            output::say(&format!("{}: {said}", output::name(&args.file)));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.file == Path::new("-") {
        bail!("standard input has the keys: give the name of a file, or --batch");
    }
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let mut player = Player::new(source, info.start, args.speed);
    if let Some(start) = args.start {
        player = player.from(u64::try_from(start.as_nanos()).unwrap_or(u64::MAX));
    }
    if args.paused {
        player = player.paused();
    }
    tui::run(Box::new(player), info, tui::Options::from_environment(), &stop)?;
    Ok(ExitCode::SUCCESS)
}

/// What the header of a trace tells about where it was made.
fn info(header: &Header) -> Info {
    let by_function = |probe: Probe| {
        let own = header.probes.iter().find(|state| state.name == probe.name());
        let by = own.and_then(|state| state.by.as_deref());
        by.is_some_and(|by| by != Mechanism::Tracepoint.name())
    };
    Info {
        release: header.kernel.clone(),
        mode: match header.mode {
            report::Mode::Full => tui::Mode::Full,
            _ => tui::Mode::Reduced("the trace has the reasons in its header".to_owned()),
        },
        attached: header.probes.iter().filter(|probe| probe.by.is_some()).count(),
        wanted: header.probes.len(),
        start: header.clock.start,
        scope: Scope::Chosen,
        is_replay: true,
        is_blind: !report::tells_of_changes(by_function),
    }
}

/// A trace in a file.
struct File {
    path: PathBuf,
    reader: FileReader,
}

impl Source for File {
    fn next(&mut self) -> Result<Option<Input>> {
        let name = output::name(&self.path);
        self.reader.next_input().with_context(|| format!("cannot read {name}"))
    }

    fn restart(&mut self) -> Result<()> {
        self.reader = open(&self.path)?;
        Ok(())
    }

    fn at_the_end(&self) -> Option<String> {
        let complaints = self.reader.complaints();
        (!complaints.is_empty()).then(|| complaints.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::speed;

    #[test]
    fn speeds_are_powers_of_two() {
        assert_eq!((speed("1/64"), speed("1"), speed("4096")), (Ok(-6), Ok(0), Ok(12)));
        for wrong in ["0", "3", "-2", "8192", "1/128", "x", ""] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }
}
