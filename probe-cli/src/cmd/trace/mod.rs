//! `walkprobe trace`: records what happens to the address spaces of processes.

mod args;
mod files;
mod launched;
mod progress;
mod source;
mod who;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;

pub use self::args::Args;
use self::{
    files::Files,
    launched::{Launched, shell_status},
    progress::Progress,
    source::Source,
    who::Who,
};
use crate::{
    clock,
    escape::escape,
    live::{
        collector::{Collector, TICK},
        reader::Reader,
        start::start,
    },
    output,
    probe::{Ended, Settings},
    stop::Stop,
    trace::{footer::End, header::Header},
};

/// How often the kernel's counters stand in the trace.
const SUMMARY: Duration = Duration::from_secs(1);

/// How long one wait for records lasts at most, so that other things are noticed.
const PAUSE: Duration = Duration::from_millis(100);

/// Records a trace.
///
/// # Errors
/// When a process does not exist, nothing can be attached, or the output cannot be written.
pub fn run(args: &Args, verbose: u8) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals().context("cannot listen to signals")?;
    let who = if args.command.is_empty() { Some(Who::find(args)?) } else { None };
    // The output before the work: a wrong path should not cost a trace.
    let mut files = Files::open(args.output.as_deref(), args.limits())?;
    let mut launched =
        if args.command.is_empty() { None } else { Some(Launched::spawn(&args.command)?) };
    let who = match (who, &launched) {
        (None, Some(launched)) => Who::command(args, launched.child.id())?,
        (who, _) => who.context("nobody was asked for")?,
    };
    let settings = Settings {
        families: args.families(),
        stream: args.streamed(),
        targets: who.pids(),
        later: who.later().clone(),
        ring_bytes: args.ring_bytes(),
        // For the summaries.
        statistics: true,
        stacks: args.stacks,
        log_level: if verbose == 0 { 0 } else { 5 },
    };
    let (facts, live) = start(&settings)?;
    let command = std::env::args_os().map(|word| escape(word.as_encoded_bytes())).collect();
    let header = Header::new(&facts, live.report(), command, who.pids());
    files.begin(&header)?;
    let mut source = if args.maps {
        Source::Maps(Box::new(Collector::new(live, Reader::open(), &who.pids(), TICK)))
    } else {
        Source::Events(Box::new(live))
    };
    // The maps at the beginning come before the first event.
    source.begin_anew(&mut files)?;
    if let Some(launched) = &mut launched {
        launched.go()?;
    }

    let progress = Progress::new(args, files.is_standard_output());
    let deadline = args.duration.map(|duration| Instant::now() + duration);
    let mut recording =
        Recording { source, files, header, who, launched, deadline, progress, status: None };
    let reason = recording.run(&stop)?;
    let status = recording.status;
    tell_losses(&recording.finish(reason)?);
    Ok(ExitCode::from(status.unwrap_or(0)))
}

/// A trace while it is recorded.
struct Recording {
    source: Source,
    files: Files,
    header: Header,
    who: Who,
    launched: Option<Launched>,
    deadline: Option<Instant>,
    progress: Progress,
    /// How the command ended.
    status: Option<u8>,
}

impl Recording {
    /// Writes events until there is a reason to end; gives it.
    fn run(&mut self, stop: &Stop) -> anyhow::Result<End> {
        let mut due = Instant::now();
        loop {
            if Instant::now() >= due {
                self.files.input(&self.source.sample()?.into())?;
                due = Instant::now() + SUMMARY;
            }
            let now = Instant::now();
            let left = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
            let mut written = Ok(());
            let files = &mut self.files;
            self.source.poll(left.unwrap_or(PAUSE).min(PAUSE), |input| {
                if written.is_ok() {
                    written = files.input(&input);
                }
            })?;
            written?;
            self.files.flush_in_time()?;
            let (size, events) = self.files.total();
            self.progress.tell(size, events);
            self.who.look_in_time(&mut self.source)?;
            if let Some(reason) = self.reason(stop, left)? {
                return Ok(reason);
            }
            if self.files.wants_next() {
                self.next()?;
            }
        }
    }

    /// Why it ends now, if it does.
    fn reason(&mut self, stop: &Stop, left: Option<Duration>) -> anyhow::Result<Option<End>> {
        if let Some(launched) = &mut self.launched
            && self.status.is_none()
            && let Some(status) = launched.child.try_wait()?
        {
            self.status = Some(shell_status(status));
        }
        let has_ended = match &self.launched {
            // Its children may go on.
            Some(_) if self.who.later().is_some() => {
                self.status.is_some() && self.who.has_ended(&mut self.source)?
            }
            Some(_) => self.status.is_some(),
            None => self.who.has_ended(&mut self.source)?,
        };
        Ok(match () {
            () if has_ended => Some(End::Exit),
            () if self.files.full().is_some() => self.files.full(),
            () if stop.requested() => Some(End::Signal),
            () if left.is_some_and(|left| left.is_zero()) => Some(End::Duration),
            () => None,
        })
    }

    /// Goes on in another file, which has all that is needed to read it.
    fn next(&mut self) -> anyhow::Result<()> {
        self.files.input(&self.source.sample()?.into())?;
        let so_far = self.source.live().so_far()?;
        let footer = self.files.footer(clock::monotonic(), End::Rotated, None, &so_far);
        self.files.next(&footer)?;
        self.header.begin_anew(self.who.pids());
        self.files.begin(&self.header)?;
        self.source.begin_anew(&mut self.files)?;
        self.files.input(&self.source.sample()?.into())?;
        Ok(())
    }

    /// Detaches everything, and writes what is left and the footer.
    fn finish(self, reason: End) -> anyhow::Result<Ended> {
        let Self { mut source, mut files, progress, status, .. } = self;
        drop(progress);
        let last = source.sample()?.into();
        files.input(&last)?;
        let not_followed = source.live().targets().map_or(Ok(0), |targets| targets.left_out())?;
        let time = clock::monotonic();
        let mut written = Ok(());
        let ended = source.finish(|input| {
            if written.is_ok() {
                written = files.input(&input);
            }
        })?;
        written?;
        let footer = files.footer(time, files.full().unwrap_or(reason), status, &ended);
        files.end(&last, &footer)?;
        if not_followed > 0 {
            output::say(&format!(
                "{not_followed} processes found no room among those that are followed"
            ));
        }
        Ok(ended)
    }
}

fn tell_losses(ended: &Ended) {
    let lost = ended.lost();
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
}
