//! A gentle endless load for the live view.

use std::{
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::{
    Outcome, Request, Unavailable, catalogue,
    expected::Expected,
    let_khugepaged_pass,
    memory::Ground,
    one,
    report::{self, StepReport},
    sys::NoNumaBalancing,
};
use crate::{stop::Stop, units};

/// The name of the process, as `top` and walkprobe show it.
pub const COMM: &str = "walkprobe-demo";

/// Steps of a round and their numbers: different ones, so that rates can be told apart.
const MIX: &[(&str, usize)] = &[
    ("base", 100),
    ("hugetlb-2m", 5),
    ("thp", 4),
    ("thp-read", 2),
    ("thp-cow", 1),
    ("split-munmap", 3),
    ("split-mprotect", 2),
    ("folio-split", 2),
    ("collapse", 1),
    ("smaps", 1),
    ("pagemap", 2),
];

/// What the load is to do.
#[derive(Clone, Copy, Debug)]
pub struct Demo {
    /// Rounds per second.
    pub rate: f64,
    /// How long; `None`: until a signal asks it to stop.
    pub duration: Option<Duration>,
    /// Ends when the process that started it dies.
    pub with_parent: bool,
}

/// Why the load could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The rate is none.
    #[error("{0} rounds per second is not a rate: choose a number from 0.01 to 100")]
    Rate(f64),
    /// Signals could not be caught, or the process could not be named.
    #[error("cannot name the process or listen to signals")]
    Process(#[source] io::Error),
    /// The output could not be written.
    #[error("cannot write what the load does")]
    Output(#[from] io::Error),
}

impl Demo {
    /// Runs the load on the calling thread, and gives the number of rounds. Writes what it will do
    /// each second first.
    ///
    /// # Errors
    /// The rate is out of range, the process cannot be prepared, or `out` cannot be written.
    pub fn run(&self, out: &mut impl Write) -> Result<u64, DemoError> {
        if !(0.01..=100.0).contains(&self.rate) {
            return Err(DemoError::Rate(self.rate));
        }
        let Some(stop) = self.prepare().map_err(DemoError::Process)? else {
            return Ok(0);
        };
        let _policy = NoNumaBalancing::begin();
        let_khugepaged_pass(&mut Ground::new());
        let requests = requests();
        let interval = Duration::from_secs_f64(1.0 / self.rate);
        let start = Instant::now();
        let end = self.duration.and_then(|duration| start.checked_add(duration));
        let mut next = start;
        let mut rounds = 0;
        while !stop.requested() && end.is_none_or(|end| Instant::now() < end) {
            let steps = round(&requests);
            if rounds == 0 {
                introduce(out, &steps, self.rate)?;
            }
            rounds += 1;
            // Rounds that came too late are not made up for.
            next = (next + interval).max(Instant::now());
            let until = end.map_or(next, |end| end.min(next));
            sleep_until(until, &stop);
        }
        Ok(rounds)
    }

    /// Names the process and listens to signals; `None` when there is no parent left.
    fn prepare(&self) -> io::Result<Option<Stop>> {
        let stop = Stop::on_signals()?;
        rustix::thread::set_name(c"walkprobe-demo")?;
        if self.with_parent {
            let parent = getppid();
            set_parent_process_death_signal(Some(Signal::TERM))?;
            // It may have died before the kernel was told.
            if getppid() != parent {
                return Ok(None);
            }
        }
        Ok(Some(stop))
    }
}

fn requests() -> Vec<Request> {
    MIX.iter()
        .filter_map(|&(name, count)| {
            let step = catalogue().iter().find(|step| step.name == name)?;
            Some(Request { step, count })
        })
        .collect()
}

/// One round, on ground of its own: nothing is left of it.
fn round(requests: &[Request]) -> Vec<StepReport> {
    let mut ground = Ground::new();
    requests.iter().map(|request| one(&smaller(*request), &mut ground)).collect()
}

/// With fewer pages, where a pool has some but not enough.
fn smaller(mut request: Request) -> Request {
    for need in request.step.needs {
        if let Err(Unavailable::Pool { free, .. }) = need.check(request.count)
            && free > 0
        {
            request.count = free;
        }
    }
    request
}

/// Sleeps in short pieces: a signal does not end `thread::sleep`.
fn sleep_until(end: Instant, stop: &Stop) {
    const PIECE: Duration = Duration::from_millis(50);
    while !stop.requested() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(PIECE));
    }
}

/// Tells what a round does, and which rates that makes.
fn introduce(out: &mut impl Write, steps: &[StepReport], rate: f64) -> io::Result<()> {
    writeln!(
        out,
        "process {} ({COMM}), {} rounds/s; each round:",
        std::process::id(),
        units::rate(rate)
    )?;
    let mut total: Vec<Expected> = Vec::new();
    for step in steps {
        let name = format!("{}:{}", step.name, step.count);
        match &step.outcome {
            Outcome::Done(done) => {
                let events: Vec<_> = done.expected.iter().map(report::event).collect();
                writeln!(out, "  {name:<18} {}", events.join("  "))?;
                for expected in &done.expected {
                    add(&mut total, expected);
                }
            }
            Outcome::Skipped { reason } => writeln!(out, "  {name:<18} skipped: {reason}")?,
            Outcome::Failed { reason } => writeln!(out, "  {name:<18} failed: {reason}")?,
        }
    }
    writeln!(out, "per second, when it keeps up:")?;
    for expected in &total {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let per_second = expected.number as f64 * rate;
        writeln!(out, "  {:<22} {:>6}", expected.probe.name(), units::rate(per_second))?;
    }
    out.flush()
}

fn add(total: &mut Vec<Expected>, expected: &Expected) {
    match total.iter_mut().find(|sum| sum.probe == expected.probe) {
        Some(sum) => sum.number += expected.number,
        None => total.push(*expected),
    }
}

#[cfg(test)]
mod tests {
    use super::{Demo, DemoError, MIX, requests};

    #[test]
    fn the_mix_names_steps_of_the_catalogue() {
        assert_eq!(requests().len(), MIX.len());
    }

    #[test]
    fn a_rate_is_a_sensible_number() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            let demo = Demo { rate, duration: None, with_parent: false };
            assert!(matches!(demo.run(&mut Vec::new()), Err(DemoError::Rate(_))), "{rate}");
        }
    }
}
