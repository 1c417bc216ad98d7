//! One that watches a process: keeps its map up to date, and a trace of all that this took.

use std::{
    collections::BTreeMap,
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
    time::Duration,
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
    session::Session,
    trace::{self, format::FORMAT, writer::Writer},
    track::{log::Cause, map::Tracked},
};

use crate::run::PATIENCE;

/// After how many ticks a map must be right.
const TICKS: usize = 2;

/// What is asked of the one that watches.
enum Ask {
    /// The map after so many ticks.
    Map(Sender<Result<Tracked, String>>),
    /// What it saw.
    End,
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
}

pub(crate) struct Watcher {
    ask: Sender<Ask>,
    thread: JoinHandle<Result<Seen, String>>,
}

impl Watcher {
    pub(crate) fn begin(pid: u32, ring_bytes: u32) -> Result<Self, Failed> {
        let (ask, asked) = mpsc::channel();
        let thread = thread::spawn(move || {
            watch(pid, ring_bytes, &asked).map_err(|error| format!("{error:#}"))
        });
        let watcher = Self { ask, thread };
        // What comes later is all seen.
        watcher.map()?;
        Ok(watcher)
    }

    pub(crate) fn map(&self) -> Result<Tracked, Failed> {
        let (answer, answered) = mpsc::channel();
        self.ask.send(Ask::Map(answer)).map_err(|_| "the watcher has ended")?;
        Ok(answered.recv_timeout(PATIENCE)??)
    }

    pub(crate) fn end(self) -> Result<Seen, Failed> {
        // It has ended by itself when it failed.
        let _ = self.ask.send(Ask::End);
        Ok(self.thread.join().map_err(|_| "the watcher panicked")??)
    }
}

fn watch(pid: u32, ring_bytes: u32, asked: &Receiver<Ask>) -> anyhow::Result<Seen> {
    let settings = Settings {
        families: Family::ALL.to_vec(),
        targets: vec![pid],
        ring_bytes,
        ..Settings::default()
    };
    let (_, live) = start(&settings)?;
    let mut collector = Collector::new(live, Reader::open(), &[pid], TICK).without_turns();
    let mut recording = Recording::new();
    let mut seen = Seen::default();
    let mut last = 0;
    loop {
        match asked.try_recv() {
            Ok(Ask::Map(answer)) => {
                for _ in 0..TICKS {
                    collector.tick(|input| recording.take(input))?;
                }
                let map = recording.session.maps().get(&pid).ok_or_else(|| "no map".to_owned());
                let _ = answer.send(map.cloned());
            }
            Ok(Ask::End) => break,
            Err(_) => collector.poll(Duration::from_millis(20), |input| recording.take(input))?,
        }
        last = seen.add(&recording.session, pid, last);
    }
    recording.replay(pid)?;
    Ok(seen)
}

/// A session, and a trace of all that it took in.
struct Recording {
    session: Session,
    trace: String,
}

impl Recording {
    fn new() -> Self {
        let trace = format!("{{\"kind\":\"header\",\"format\":{FORMAT}}}\n");
        Self { session: Session::default(), trace }
    }

    fn take(&mut self, input: Input) {
        // An input that cannot be written is missing when it is replayed.
        self.trace.push_str(&Writer::text(&input).unwrap_or_default());
        self.session.take(input);
    }

    /// Reads the trace into another session, whose map must be the same to the last byte.
    fn replay(&self, pid: u32) -> anyhow::Result<()> {
        let mut reader = trace::reader::Reader::new(self.trace.as_bytes())?;
        let mut session = Session::default();
        while let Some(input) = reader.next_input()? {
            session.take(input);
        }
        let maps = [&self.session, &session].map(|session| session.maps().get(&pid));
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
        anyhow::ensure!(live.transactions() == again.transactions(), "other transactions");
        Ok(())
    }
}

impl Seen {
    /// Adds the transactions that were settled since.
    fn add(&mut self, session: &Session, pid: u32, last: u64) -> u64 {
        let Some(map) = session.maps().get(&pid) else { return last };
        self.readings = map.readings();
        let mut told = last;
        for transaction in map.transactions().iter().filter(|one| one.number > last) {
            let Some(settled) = transaction.settled else { break };
            told = transaction.number;
            self.transactions += 1;
            match &transaction.cause {
                Cause::Unseen => {
                    *self.unseen.entry(history::changes(transaction)).or_default() += 1;
                }
                Cause::Lost(number) => self.lost += number,
                Cause::Operation(_) => self.delays.push(settled.saturating_sub(transaction.end())),
            }
        }
        told
    }
}

impl Seen {
    /// Adds what was seen of another one.
    pub(crate) fn join(&mut self, other: Self) {
        self.transactions += other.transactions;
        self.lost += other.lost;
        self.readings += other.readings;
        self.delays.extend(other.delays);
        for (change, number) in other.unseen {
            *self.unseen.entry(change).or_default() += number;
        }
    }
}
