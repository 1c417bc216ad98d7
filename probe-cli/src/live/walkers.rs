//! The walkers, counted beside the probes. They are attached on a thread of their own, because that takes a while.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, TryRecvError, channel},
    thread,
};

use crate::{
    clock,
    input::Walkers as News,
    kernel::facts::Facts,
    plan::{cure::cure, walks::plan},
    probe::{ProbeError, WalkSettings, Walks, current_comm},
    walk::{
        report::{Material, Report},
        totals::Sample,
    },
};

/// The walkers, counted since somebody asked for it. Dropping it detaches the programs.
pub struct Walkers {
    facts: Facts,
    settings: WalkSettings,
    state: State,
    /// Names of processes that have walked, or were walked, and may have ended since.
    names: BTreeMap<u32, String>,
}

enum State {
    /// Nobody asked.
    Idle,
    /// The thread that attaches will send them.
    Attaching(Receiver<Result<Walks, String>>),
    Counting(Box<Counting>),
    /// It could not be done.
    Refused,
}

struct Counting {
    walks: Walks,
    /// What was counted before the counting began anew.
    before: Sample,
    /// When it began, in ns of `CLOCK_MONOTONIC`.
    begin: u64,
}

impl Walkers {
    /// Nothing is attached yet. With targets only the walks of these processes' address spaces will be counted.
    #[must_use]
    pub fn new(facts: Facts, targets: Vec<u32>) -> Self {
        let settings = WalkSettings { targets };
        Self { facts, settings, state: State::Idle, names: BTreeMap::new() }
    }

    /// Begins to attach, unless that has been done; gives what is to be told of it.
    pub fn count(&mut self) -> Option<News> {
        if !matches!(self.state, State::Idle) {
            return None;
        }
        let plan = plan(&self.facts);
        if let Some(why) = plan.refusal(&self.facts) {
            self.state = State::Refused;
            return Some(News::Refused(why));
        }
        let functions = plan.functions();
        let (sender, receiver) = channel();
        let (facts, settings) = (self.facts.clone(), self.settings.clone());
        let attach = move || {
            let walks = Walks::start(&facts, plan, &settings);
            let walks = walks.map_err(|error| format!("{error}; {}", cure(&facts)));
            let walks = walks.and_then(|walks| match walks.plan().refusal(&facts) {
                Some(why) => Err(why),
                None => Ok(walks),
            });
            // Nobody listens any more when the view has ended: then they are detached here.
            let _ = sender.send(walks);
        };
        let thread = thread::Builder::new().name("attach".to_owned()).spawn(attach);
        if let Err(error) = thread {
            self.state = State::Refused;
            return Some(News::Refused(format!("there is no room for another thread: {error}")));
        }
        self.state = State::Attaching(receiver);
        Some(News::Attaching(functions))
    }

    /// Counts from now on.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn count_anew(&mut self) -> Result<Option<News>, ProbeError> {
        if let State::Counting(counting) = &mut self.state {
            counting.before = counting.walks.sample()?;
            counting.begin = clock::monotonic();
        }
        self.look(true)
    }

    /// What is new: whether attaching has ended, and what was counted, where that `is_due`.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn look(&mut self, is_due: bool) -> Result<Option<News>, ProbeError> {
        match &mut self.state {
            State::Attaching(receiver) => match receiver.try_recv() {
                Ok(Ok(walks)) => {
                    let begin = clock::monotonic();
                    let before = walks.sample()?;
                    let counting = Box::new(Counting { walks, before, begin });
                    let report = counting.report(&self.facts.release, &mut self.names)?;
                    self.state = State::Counting(counting);
                    Ok(Some(News::Counted(Box::new(report))))
                }
                Ok(Err(why)) => {
                    self.state = State::Refused;
                    Ok(Some(News::Refused(why)))
                }
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => {
                    self.state = State::Refused;
                    Ok(Some(News::Refused("the thread that attaches has panicked".to_owned())))
                }
            },
            State::Counting(counting) if is_due => {
                let report = counting.report(&self.facts.release, &mut self.names)?;
                Ok(Some(News::Counted(Box::new(report))))
            }
            State::Idle | State::Counting(_) | State::Refused => Ok(None),
        }
    }
}

impl Counting {
    /// What was counted since the beginning. `known` has the names of the report before.
    fn report(
        &self,
        kernel: &str,
        known: &mut BTreeMap<u32, String>,
    ) -> Result<Report, ProbeError> {
        let sample = self.walks.sample()?.since(&self.before);
        let mut report = Report::new(&Material {
            kernel,
            plan: self.walks.plan(),
            sample: &sample,
            duration: sample.time.saturating_sub(self.begin),
            calibration: self.walks.calibration(),
        });
        let mut names = BTreeMap::new();
        report.name(|pid| {
            let name = current_comm(pid).or_else(|| known.get(&pid).cloned())?;
            names.insert(pid, name.clone());
            Some(name)
        });
        *known = names;
        Ok(report)
    }
}
