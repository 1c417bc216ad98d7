//! One that watches processes, one after another: keeps the map up to date, and a trace of all that this took.

use std::{
    collections::BTreeMap,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use libtest_mimic::Failed;
use probe_common::probe::Family;
use walkprobe::{
    input::Input,
    live::{
        collector::{Collector, TICK},
        reader::Reader,
        start::start,
    },
    maps::{history, json},
    probe::Settings,
    sample::Sample,
    session::Session,
    trace::{self, header::Header, writer::Writer},
    track::{log::Cause, map::Tracked},
};

use crate::run::PATIENCE;

/// After how many ticks a map must be right.
pub(crate) const TICKS: usize = 2;

/// Readings that begin within this time are of one tick: what was torn is read again in it, and a tick that was late is
/// followed by the next one at once. In ns.
const ONE_TICK: u64 = 125_000_000;

/// How many that are late are told.
const LATE: usize = 4;

/// What is asked of the one that watches.
enum Ask {
    /// To watch a process from now on.
    Watch(u32),
    /// The map after so many ticks, and after what heals it when calls were missed.
    Map(Sender<Result<Tracked, String>>),
    /// What it saw of the process, which it does not watch any more.
    Leave(Sender<Result<Seen, String>>),
}

/// What was seen of a process.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) transactions: u64,
    /// Bytes that changed without an event, by what changed.
    pub(crate) unseen: BTreeMap<String, u64>,
    pub(crate) lost: u64,
    pub(crate) readings: u64,
    /// How long after its end what an operation did was read, in ns.
    pub(crate) delays: Vec<u64>,
    /// Of operations: by the number of ticks after their end at which what they did was read.
    pub(crate) ticks: BTreeMap<usize, u64>,
    /// The latest ones, as a history has them.
    pub(crate) late: Vec<String>,
}

/// The probes are attached once: where they are many, that takes longer than a storm.
pub(crate) struct Watcher {
    /// Taken when it ends.
    ask: Option<Sender<Ask>>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Watcher {
    /// Sees operations on these processes; on all when there are none.
    pub(crate) fn begin(targets: Vec<u32>, ring_bytes: u32) -> Self {
        let (ask, asked) = mpsc::channel();
        let thread = thread::spawn(move || {
            watch(targets, ring_bytes, &asked).map_err(|error| format!("{error:#}"))
        });
        Self { ask: Some(ask), thread: Some(thread) }
    }

    /// Watches a process: what comes later is all seen.
    pub(crate) fn watch(&mut self, pid: u32) -> Result<(), Failed> {
        self.ask(Ask::Watch(pid))?;
        self.map().map(drop)
    }

    /// The map of the process.
    pub(crate) fn map(&mut self) -> Result<Tracked, Failed> {
        let (answer, answered) = mpsc::channel();
        self.ask(Ask::Map(answer))?;
        self.answer(&answered)
    }

    /// Watches the process no more. Gives what was seen of it, when a replay of it all is the same.
    pub(crate) fn leave(&mut self) -> Result<Seen, Failed> {
        let (answer, answered) = mpsc::channel();
        self.ask(Ask::Leave(answer))?;
        self.answer(&answered)
    }

    fn ask(&mut self, what: Ask) -> Result<(), Failed> {
        let asked = self.ask.as_ref().is_some_and(|ask| ask.send(what).is_ok());
        if asked { Ok(()) } else { Err(self.why_it_ended()) }
    }

    fn answer<T>(&mut self, answered: &Receiver<Result<T, String>>) -> Result<T, Failed> {
        match answered.recv_timeout(PATIENCE) {
            Ok(answer) => Ok(answer?),
            Err(RecvTimeoutError::Timeout) => Err(format!("no answer in {PATIENCE:?}").into()),
            Err(RecvTimeoutError::Disconnected) => Err(self.why_it_ended()),
        }
    }

    fn why_it_ended(&mut self) -> Failed {
        self.ask = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => error.into(),
            _ => "the watcher has ended".into(),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(targets: Vec<u32>, ring_bytes: u32, asked: &Receiver<Ask>) -> anyhow::Result<()> {
    let settings = Settings {
        families: Family::ALL.to_vec(),
        targets,
        ring_bytes,
        statistics: true,
        ..Settings::default()
    };
    let (facts, live) = start(&settings)?;
    let header = Header::new(&facts, live.report(), Vec::new(), settings.targets.clone());
    let mut collector = Collector::new(live, Reader::open(), &[], TICK).without_turns();
    let mut recording = Recording::new(&header, 0)?;
    loop {
        match asked.try_recv() {
            Ok(Ask::Watch(pid)) => {
                recording = Recording::new(&header, pid)?;
                collector.watch(pid);
                // It may be in the middle of exec.
                let end = Instant::now() + PATIENCE;
                while recording.map().is_none() {
                    anyhow::ensure!(Instant::now() < end, "process {pid} is not read");
                    collector.tick(|input| recording.take(input))?;
                }
            }
            Ok(Ask::Map(answer)) => {
                for _ in 0..TICKS {
                    collector.tick(|input| recording.take(input))?;
                }
                // What the kernel did not show is read when everything has rested. Nobody waits for that here.
                if collector.is_behind() {
                    collector.hurry();
                    collector.tick(|input| recording.take(input))?;
                }
                recording.take(collector.sample()?.into());
                let _ = answer.send(recording.map().cloned().ok_or_else(|| "no map".to_owned()));
            }
            Ok(Ask::Leave(answer)) => {
                recording.take(collector.sample()?.into());
                let same = recording.replay().map_err(|error| format!("{error:#}"));
                let _ = answer.send(same.map(|()| std::mem::take(&mut recording.seen)));
                let pid = recording.pid;
                recording = Recording::new(&header, 0)?;
                collector.unwatch(pid, |input| recording.take(input));
            }
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {
                collector.poll(Duration::from_millis(20), |input| recording.take(input))?;
            }
        }
        recording.see();
    }
}

/// A session, and a trace of all that it took in, since a process is watched.
struct Recording {
    /// 0 while none is watched: then nothing is taken in.
    pid: u32,
    seen: Seen,
    /// The number of the last transaction that was seen.
    last: u64,
    session: Session,
    trace: String,
    /// When the ticks began, in ns of `CLOCK_MONOTONIC`.
    ticks: Vec<u64>,
}

impl Recording {
    fn new(header: &Header, pid: u32) -> anyhow::Result<Self> {
        let trace = format!("{}\n", serde_json::to_string(header)?);
        let (seen, session) = (Seen::default(), Session::default());
        Ok(Self { pid, seen, last: 0, session, trace, ticks: Vec::new() })
    }

    fn map(&self) -> Option<&Tracked> {
        self.session.maps().get(&self.pid)
    }

    fn take(&mut self, input: Input) {
        if self.pid == 0 {
            return;
        }
        // An input that cannot be written is missing when it is replayed.
        self.trace.push_str(&Writer::text(&input).unwrap_or_default());
        if let Input::Reading(reading) = &input
            && self.ticks.last().is_none_or(|tick| reading.time >= tick + ONE_TICK)
        {
            self.ticks.push(reading.time);
        }
        self.session.take(input);
    }

    /// Reads the trace into another session, which must be the same: its map to the last byte, its log, its numbers.
    fn replay(&self) -> anyhow::Result<()> {
        let mut reader = trace::reader::Reader::new(self.trace.as_bytes())?;
        let mut session = Session::default();
        while let Some(input) = reader.next_input()? {
            session.take(input);
        }
        let left_out = reader.left_out();
        let first = left_out.first_impossible.and_then(|line| usize::try_from(line).ok());
        let text = first.and_then(|number| self.trace.lines().nth(number - 1));
        anyhow::ensure!(left_out.lines() == 0, "lines were left out: {left_out:?} {text:?}");
        let maps = [&self.session, &session].map(|session| session.maps().get(&self.pid));
        let [Some(live), Some(again)] = maps else { anyhow::bail!("no map") };
        let json = |map: &Tracked| -> anyhow::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            json::write(&map.snapshot(), false, &mut bytes)?;
            Ok(bytes)
        };
        anyhow::ensure!(json(live)? == json(again)?, "another map when it is replayed");
        let all = 0..u64::MAX;
        anyhow::ensure!(
            live.pieces(&all) == again.pieces(&all),
            "another history when it is replayed"
        );
        let mut both = live.transactions().iter().zip(again.transactions());
        let first = both.find(|(one, other)| one != other);
        anyhow::ensure!(
            live.transactions() == again.transactions(),
            "other transactions: {first:x?}"
        );
        same_log_and_numbers(&self.session, &session)
    }
}

/// What a session knows beside its maps.
fn same_log_and_numbers(live: &Session, again: &Session) -> anyhow::Result<()> {
    let mut both = live.log().iter().zip(again.log());
    let first = both.find(|(one, other)| one != other);
    anyhow::ensure!(live.log() == again.log(), "another log when it is replayed: {first:x?}");
    anyhow::ensure!(live.events() == again.events(), "other events");
    let samples = (live.last_sample(), again.last_sample());
    anyhow::ensure!(samples.0 == samples.1, "other counters when it is replayed: {samples:?}");
    let operations = live.last_sample().map_or(0, Sample::seen);
    anyhow::ensure!(operations > 0, "nothing was counted");
    anyhow::ensure!(
        !live.processes().is_empty() && live.processes() == again.processes(),
        "other processes when it is replayed: {:?}, {:?}",
        live.processes(),
        again.processes()
    );
    let rest = |session: &Session| {
        (session.now(), session.events_per_second().to_bits(), *session.left_out())
    };
    anyhow::ensure!(rest(live) == rest(again), "{:?}, {:?}", rest(live), rest(again));
    Ok(())
}

impl Recording {
    /// Adds the transactions that were settled since to what was seen.
    fn see(&mut self) {
        let Some(map) = self.session.maps().get(&self.pid) else { return };
        let seen = &mut self.seen;
        seen.readings = map.readings();
        for transaction in map.settled_after(self.last) {
            let settled = transaction.settled.unwrap_or(u64::MAX);
            self.last = transaction.number;
            seen.transactions += 1;
            match &transaction.cause {
                Cause::Unseen => {
                    *seen.unseen.entry(history::changes(transaction)).or_default() += 1;
                }
                Cause::Lost(number) => seen.lost += number,
                Cause::Operation(_) => {
                    let end = transaction.end();
                    seen.delays.push(settled.saturating_sub(end));
                    let before = |time| self.ticks.partition_point(|&tick| tick < time);
                    let ticks = before(settled) - before(end);
                    *seen.ticks.entry(ticks).or_default() += 1;
                    if ticks > TICKS && seen.late.len() < LATE {
                        seen.late.push(history::line(transaction, self.pid, 0));
                    }
                }
            }
        }
    }
}

impl Seen {
    /// Adds what was seen of another one.
    pub(crate) fn join(&mut self, other: Self) {
        self.transactions += other.transactions;
        self.lost += other.lost;
        self.readings += other.readings;
        self.delays.extend(other.delays);
        self.late.extend(other.late);
        for (ticks, number) in other.ticks {
            *self.ticks.entry(ticks).or_default() += number;
        }
        for (change, number) in other.unseen {
            *self.unseen.entry(change).or_default() += number;
        }
    }
}
