//! `walkprobe trace`: records what happens to the address space of a process.

use std::{
    ffi::OsString,
    io::{self, PipeWriter, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use probe_common::probe::Family;
use rustix::io::{FdFlags, fcntl_setfd};

use super::target::{Target, pids};
use crate::{
    clock,
    escape::escape,
    input::Input,
    live::{
        collector::{Collector, TICK},
        reader::Reader,
        start::start,
    },
    output,
    probe::{Ended, Live, ProbeError, RING_BYTES, RING_BYTES_WITH_STACKS, Settings},
    stop::Stop,
    trace::{
        format::{Counts, End, Footer, Header},
        writer::Writer,
    },
};

const EXAMPLES: &str = "Examples:
  walkprobe trace -p 1234 -o app.jsonl --duration 10
  walkprobe trace -o build.jsonl -- make -j8
  walkprobe trace -p 1234 --events change,migrate,vma
  walkprobe trace -p 1234 --events split --stacks
  walkprobe trace -p $(pidof postgres | tr ' ' ,) | jq -c 'select(.kind == \"pmd_split\")'";

/// Arguments of `trace`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Trace these processes; the trace ends when all of them have ended
    #[arg(
        short,
        long,
        value_name = "PID",
        value_delimiter = ',',
        required_unless_present = "command"
    )]
    pid: Vec<u32>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// End after this time, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    duration: Option<Duration>,
    /// Size of the ring buffer between kernel and user space, in KiB: a power of two [default: 8192,
    /// with --stacks 32768]
    #[arg(long, value_name = "KIB", value_parser = ring_kib)]
    ring_size: Option<u32>,
    /// Attach only the probes of these families, which costs the kernel less
    #[arg(
        long,
        value_name = "FAMILY",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Family::ALL.map(Family::name)).try_map(|name| {
            Family::ALL.into_iter().find(|family| family.name() == name).ok_or("no such family")
        })
    )]
    events: Vec<Family>,
    /// Keep leaf maps in the trace: at the beginning, and again what changed, so that each moment can be rebuilt
    #[arg(long)]
    maps: bool,
    /// Add to each event who called: the user and the kernel stack of the thread that did it
    #[arg(long)]
    stacks: bool,
    /// Run this command and trace it
    #[arg(last = true, value_name = "CMD", conflicts_with = "pid")]
    command: Vec<OsString>,
}

impl Args {
    fn ring_bytes(&self) -> u32 {
        match self.ring_size {
            Some(kib) => kib << 10,
            None if self.stacks => RING_BYTES_WITH_STACKS,
            None => RING_BYTES,
        }
    }
}

fn ring_kib(text: &str) -> Result<u32, String> {
    text.parse::<u32>()
        .ok()
        .filter(|kib| kib.is_power_of_two() && (4..=1 << 20).contains(kib))
        .ok_or_else(|| "a power of two from 4 to 1048576 is wanted".to_owned())
}

/// How long one wait for records lasts at most, so that other things are noticed.
const PAUSE: Duration = Duration::from_millis(100);

/// Records a trace.
///
/// # Errors
/// When a process does not exist, nothing can be attached, or the output cannot be written.
pub fn run(args: &Args, verbose: u8) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let targets = Target::open_all(&args.pid)?;
    // The output before the work: a wrong path should not cost a trace.
    let mut writer = Writer::open(args.output.as_deref())?;
    let mut launched =
        if args.command.is_empty() { None } else { Some(Launched::spawn(&args.command)?) };
    let pids: Vec<u32> = match &launched {
        Some(launched) => vec![launched.child.id()],
        None => pids(&targets),
    };
    let settings = Settings {
        families: if args.events.is_empty() { Family::ALL.to_vec() } else { args.events.clone() },
        targets: pids.clone(),
        ring_bytes: args.ring_bytes(),
        stacks: args.stacks,
        log_level: if verbose == 0 { 0 } else { 5 },
        ..Settings::default()
    };
    let (facts, live) = start(&settings)?;
    let command = std::env::args_os().map(|word| escape(word.as_encoded_bytes())).collect();
    writer.line(&Header::new(&facts, live.report(), command, pids.clone()))?;
    writer.flush()?;
    let mut source = if args.maps {
        Source::Maps(Box::new(Collector::new(live, Reader::open(), &pids, TICK)))
    } else {
        Source::Events(Box::new(live))
    };
    // The maps at the beginning come before the first event.
    source.tick(&mut writer)?;
    if let Some(launched) = &mut launched {
        launched.go()?;
    }

    let deadline = args.duration.map(|duration| Instant::now() + duration);
    let (reason, status) =
        record(&mut source, &mut writer, &stop, deadline, &targets, &mut launched)?;

    let mut written = Ok(());
    let time = clock::monotonic();
    let ended = source.finish(|input| {
        if written.is_ok() {
            written = writer.input(&input);
        }
    })?;
    written?;
    let lost = ended.counters.iter().map(|c| c.lost_ring + c.lost_state).sum();
    writer.line(&Footer {
        time,
        reason,
        command_status: status.map(i32::from),
        events: writer.events(),
        lost,
        missed: ended.missed.iter().sum(),
        unreadable: ended.unreadable,
        stacks_lost: ended.stacks_lost,
        probes: Counts::all(&ended.counters, &ended.missed),
    })?;
    writer.flush()?;
    if lost > 0 {
        output::say(&format!("{lost} events were lost; a larger --ring-size may help"));
    }
    let missed: u64 = ended.missed.iter().sum();
    if missed > 0 {
        output::say(&format!(
            "{missed} calls, of whatever process, were not shown by the kernel: threads were preempted in a probe"
        ));
    }
    if let Some(lost @ 1..) = ended.stacks_lost {
        output::say(&format!("{lost} stacks could not be taken; their events have the errno"));
    }
    Ok(ExitCode::from(status.unwrap_or(0)))
}

/// What is recorded.
enum Source {
    Events(Box<Live>),
    Maps(Box<Collector>),
}

impl Source {
    fn poll(&mut self, timeout: Duration, mut take: impl FnMut(Input)) -> Result<(), ProbeError> {
        match self {
            Self::Events(live) => live.poll(timeout, |event| take(event.into())).map(|_| ()),
            Self::Maps(collector) => collector.poll(timeout, take),
        }
    }

    /// Reads what is marked, and at the beginning everything.
    fn tick(&mut self, writer: &mut Writer) -> anyhow::Result<()> {
        let mut written = Ok(());
        if let Self::Maps(collector) = self {
            collector.tick(|input| {
                if written.is_ok() {
                    written = writer.input(&input);
                }
            })?;
        }
        Ok(written?)
    }

    fn finish(self, mut take: impl FnMut(Input)) -> Result<Ended, ProbeError> {
        match self {
            Self::Events(live) => live.finish(|event| take(event.into())),
            Self::Maps(collector) => collector.finish(take),
        }
    }
}

/// Writes events until there is a reason to end; gives it, and the status of the command.
fn record(
    source: &mut Source,
    writer: &mut Writer,
    stop: &Stop,
    deadline: Option<Instant>,
    targets: &[Target],
    launched: &mut Option<Launched>,
) -> anyhow::Result<(End, Option<u8>)> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let mut written = Ok(());
        source.poll(left.unwrap_or(PAUSE).min(PAUSE), |input| {
            if written.is_ok() {
                written = writer.input(&input);
            }
        })?;
        written?;
        writer.flush()?;
        if let Some(launched) = launched
            && let Some(status) = launched.child.try_wait()?
        {
            return Ok((End::Exit, Some(shell_status(status))));
        }
        if stop.requested() {
            return Ok((End::Signal, None));
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Ok((End::Duration, None));
        }
        if launched.is_none() && targets.iter().all(Target::has_ended) {
            return Ok((End::Exit, None));
        }
    }
}

/// A command that waits to be told before it begins.
struct Launched {
    child: Child,
    go: Option<PipeWriter>,
}

impl Launched {
    fn spawn(command: &[OsString]) -> anyhow::Result<Self> {
        use std::os::fd::AsRawFd as _;
        let (reader, writer) = io::pipe().context("cannot make a pipe")?;
        // The child inherits this end.
        fcntl_setfd(&reader, FdFlags::empty()).context("cannot share a pipe")?;
        // By its path, because its last part is the name until the command begins.
        let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let child = Command::new(program)
            .arg("__exec")
            .arg(reader.as_raw_fd().to_string())
            .arg("--")
            .args(command)
            .spawn()
            .context("cannot start a process")?;
        Ok(Self { child, go: Some(writer) })
    }

    fn go(&mut self) -> anyhow::Result<()> {
        match self.go.take() {
            Some(mut pipe) => pipe.write_all(b"!").context("the command ended before it began"),
            None => Ok(()),
        }
    }
}

/// The status as a shell shows it: 128 and the signal's number when a signal ended it.
fn shell_status(status: std::process::ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    u8::try_from(code.unwrap_or(1)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::ring_kib;

    #[test]
    fn sizes_are_checked() {
        assert!(ring_kib("4").is_ok() && ring_kib("5").is_err() && ring_kib("2").is_err());
        assert!(ring_kib("2097152").is_err());
    }
}
