//! Where events and samples come from, and the thread that brings them.

use std::{
    sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, TrySendError, channel, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

pub use crate::input::Input;

/// A source of events and samples: the live probes, or a trace file.
pub trait Feed {
    /// Everything that is there; waits at most `timeout` for the first of it.
    ///
    /// # Errors
    /// When nothing more can come; the view ends with this error.
    fn poll(&mut self, timeout: Duration) -> Result<Vec<Input>>;

    /// Does what the view asks for, as far as it can.
    fn ask(&mut self, request: Request) {
        let _ = request;
    }
}

/// What the view asks of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Follow the map of a process.
    Watch(u32),
    /// Follow it no more.
    Unwatch(u32),
    /// Attach to the walkers, and count them from then on.
    Count,
    /// Count the walkers from now on.
    CountAnew,
    /// Where a trace is replayed.
    Replay(Control),
}

/// What the view asks of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Play, or pause.
    Toggle,
    /// Twice as fast.
    Faster,
    /// Half as fast.
    Slower,
    /// To the next event, and pause there.
    Step,
    /// So many seconds forward, or back.
    By(i64),
    /// To this time since the beginning, in ns.
    To(u64),
    /// To the next event whose line has this text, and pause there.
    Find(String),
}

/// The longest that a feed is asked to wait, so that the thread notices the end of the view.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// Batches that wait in the channel.
const BATCHES: usize = 8;

/// Inputs that are gathered while the channel is full. With this many the thread blocks: the
/// kernel's ring fills up, and what it loses is counted, instead of memory that grows.
const GATHERED: usize = 1 << 16;

/// Inputs taken between two looks at the clock.
const CHUNK: usize = 256;

/// The receiving end of a feed that runs in a thread of its own.
pub(super) struct Pump {
    batches: Receiver<Vec<Input>>,
    requests: Sender<Request>,
    current: std::vec::IntoIter<Input>,
    thread: JoinHandle<Result<()>>,
}

/// What a [`Pump`] has left after its share of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing for now.
    Nothing,
    /// More: come back soon.
    More,
    /// The feed has ended.
    Ended,
}

impl Pump {
    /// Starts the thread.
    pub(super) fn start(feed: Box<dyn Feed + Send>) -> Result<Self> {
        let (sender, batches) = sync_channel(BATCHES);
        let (requests, asked) = channel();
        let thread = std::thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || carry(feed, &sender, &asked))
            .context("cannot start the thread that reads the events")?;
        Ok(Self { batches, requests, current: Vec::new().into_iter(), thread })
    }

    /// Asks something of the feed, which hears of it when it has polled.
    pub(super) fn ask(&self, request: Request) {
        // A feed that has ended shows when the pump is drained.
        let _ = self.requests.send(request);
    }

    /// Hands what has arrived to `take`, for at most `budget`.
    pub(super) fn drain(&mut self, budget: Duration, mut take: impl FnMut(Input)) -> Left {
        let start = Instant::now();
        loop {
            self.current.by_ref().take(CHUNK).for_each(&mut take);
            if self.current.len() == 0 {
                match self.batches.try_recv() {
                    Ok(batch) => self.current = batch.into_iter(),
                    Err(TryRecvError::Empty) => return Left::Nothing,
                    Err(TryRecvError::Disconnected) => return Left::Ended,
                }
            }
            if start.elapsed() >= budget {
                return Left::More;
            }
        }
    }

    /// Ends the thread, and with it the feed, before it returns.
    ///
    /// # Errors
    /// Those of the feed.
    pub(super) fn finish(self) -> Result<()> {
        drop(self.batches);
        self.thread.join().map_err(|_| anyhow!("the thread that reads the events panicked"))?
    }
}

/// Carries batches from the feed to the channel until either end closes.
fn carry(
    mut feed: Box<dyn Feed + Send>,
    sender: &SyncSender<Vec<Input>>,
    asked: &Receiver<Request>,
) -> Result<()> {
    let mut gathered = Vec::new();
    loop {
        for request in asked.try_iter() {
            feed.ask(request);
        }
        let polled = feed.poll(PATIENCE);
        let end = match polled {
            Ok(inputs) => {
                gathered.extend(inputs);
                None
            }
            Err(error) => Some(error),
        };
        if end.is_some() || gathered.len() >= GATHERED {
            if sender.send(std::mem::take(&mut gathered)).is_err() {
                return Ok(());
            }
        } else {
            // Also when it is empty: that is how the thread learns that nobody listens any more.
            match sender.try_send(std::mem::take(&mut gathered)) {
                Ok(()) => {}
                Err(TrySendError::Full(back)) => gathered = back,
                Err(TrySendError::Disconnected(_)) => return Ok(()),
            }
        }
        if let Some(error) = end {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{CHUNK, GATHERED, Input, Left, Pump, Request};
    use crate::{
        input::Note,
        sample::Sample,
        tui::{
            Feed,
            fixture::{Flood, Script},
        },
    };

    #[test]
    fn a_flood_leaves_time_for_the_keys() {
        let mut pump = Pump::start(Box::new(Flood::default())).unwrap();
        let mut taken = 0;
        let started = Instant::now();
        while taken < 2 * GATHERED {
            let before = taken;
            pump.drain(Duration::ZERO, |_| taken += 1);
            // However much waits: it looks at the clock often, and then goes on to the keys.
            assert!(taken - before <= CHUNK);
            assert!(started.elapsed() < Duration::from_mins(1));
        }
        pump.finish().unwrap();
    }

    /// Brings back what it is asked for.
    struct Echo(Vec<Input>);

    impl Feed for Echo {
        fn poll(&mut self, timeout: Duration) -> anyhow::Result<Vec<Input>> {
            std::thread::sleep(timeout / 50);
            Ok(std::mem::take(&mut self.0))
        }

        fn ask(&mut self, request: Request) {
            let Request::Watch(pid) = request else { return };
            self.0.push(Input::Note(Note::Left { time: 1, pid }));
        }
    }

    #[test]
    fn requests_reach_the_feed() {
        let mut pump = Pump::start(Box::new(Echo(Vec::new()))).unwrap();
        pump.ask(Request::Watch(7));
        pump.ask(Request::Unwatch(7));
        let started = Instant::now();
        let mut came = Vec::new();
        while came.is_empty() {
            pump.drain(Duration::from_millis(1), |input| came.push(input));
            assert!(started.elapsed() < Duration::from_mins(1));
            std::thread::yield_now();
        }
        assert_eq!(came, [Input::Note(Note::Left { time: 1, pid: 7 })]);
        pump.finish().unwrap();
    }

    struct Broken;

    impl Feed for Broken {
        fn poll(&mut self, _: Duration) -> anyhow::Result<Vec<Input>> {
            panic!("on purpose")
        }
    }

    #[test]
    fn a_panic_of_the_feed_is_an_error_of_the_view() {
        let mut pump = Pump::start(Box::new(Broken)).unwrap();
        while pump.drain(Duration::from_millis(1), |_| unreachable!()) != Left::Ended {
            std::thread::yield_now();
        }
        assert!(pump.finish().unwrap_err().to_string().contains("panicked"));
    }

    #[test]
    fn nothing_is_lost_and_the_end_is_told() {
        let inputs: Vec<_> =
            (0..3000).map(|time| vec![Input::from(Sample { time, ..Sample::default() })]).collect();
        let mut pump = Pump::start(Box::new(Script::new(inputs).then_fail("the end"))).unwrap();
        let mut times = Vec::new();
        loop {
            let left = pump.drain(Duration::from_millis(1), |input| match input {
                Input::Sample(sample) => times.push(sample.time),
                _ => unreachable!(),
            });
            if left == Left::Ended {
                break;
            }
            std::thread::yield_now();
        }
        assert_eq!(times, (0..3000).collect::<Vec<_>>());
        assert_eq!(pump.finish().unwrap_err().to_string(), "the end");
    }
}
