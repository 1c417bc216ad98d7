//! The trace as a feed of the view.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::clock::Clock;
use crate::{
    event::Event,
    input::{Input, Pace, Progress, Replay},
    tui::{Control, Feed, Request},
};

/// Where the inputs of a trace come from.
pub trait Source {
    /// The next input; `None` at the end.
    ///
    /// # Errors
    /// When the trace is damaged there.
    fn next(&mut self) -> Result<Option<Input>>;

    /// Begins anew.
    ///
    /// # Errors
    /// When that cannot be: standard input comes once.
    fn restart(&mut self) -> Result<()>;

    /// What should be said about a trace that was read to its end.
    fn at_the_end(&self) -> Option<String>;
}

/// Plays a trace.
pub struct Player<S> {
    source: S,
    next: Option<Input>,
    /// When the trace began, in ns of its clock.
    start: u64,
    /// The latest time that was shown, in ns of its clock.
    shown: u64,
    clock: Clock,
    is_paused: bool,
    has_ended: bool,
    goal: Option<Goal>,
    said: Option<String>,
    told: Option<Progress>,
    is_restarted: bool,
}

/// What is looked for.
#[derive(Debug)]
enum Goal {
    /// This moment, in ns of the trace's clock.
    Time(u64),
    /// An event.
    Event,
    /// An event with this text.
    Text(String),
}

/// Inputs that are brought at once: then the view may want something else.
const CHUNK: usize = 4096;

impl<S: Source> Player<S> {
    /// Plays from the beginning, at 2 to the power of `speed` times the pace of then.
    pub fn new(source: S, start: u64, speed: i8) -> Self {
        Self {
            source,
            next: None,
            start,
            shown: start,
            clock: Clock::new(Instant::now(), start, speed),
            is_paused: false,
            has_ended: false,
            goal: None,
            said: None,
            told: None,
            is_restarted: false,
        }
    }

    /// Waits when it has come so far, in ns since the beginning, which it reads as fast as it can.
    #[must_use]
    pub fn from(mut self, time: u64) -> Self {
        self.goal = Some(Goal::Time(self.start.saturating_add(time)));
        self
    }

    /// Does not begin to play.
    #[must_use]
    pub fn paused(self) -> Self {
        Self { is_paused: true, ..self }
    }

    /// The moment that is shown.
    fn now(&self, now: Instant) -> u64 {
        if self.is_paused || self.has_ended || self.goal.is_some() {
            self.shown
        } else {
            self.clock.time(now).max(self.shown)
        }
    }

    fn go_to(&mut self, time: u64) {
        if time < self.shown {
            match self.source.restart() {
                Ok(()) => {
                    self.next = None;
                    self.shown = self.start;
                    self.has_ended = false;
                    self.is_restarted = true;
                }
                Err(error) => {
                    self.said = Some(format!("{error:#}"));
                    return;
                }
            }
        }
        self.goal = Some(Goal::Time(time));
    }

    fn control(&mut self, control: Control) {
        let now = Instant::now();
        self.said = None;
        let shown = self.now(now);
        self.shown = shown;
        match control {
            Control::Toggle if self.has_ended => self.go_to(self.start),
            Control::Toggle => {
                // Whatever was looked for is given up.
                self.is_paused = self.goal.take().is_some() || !self.is_paused;
                self.clock.set(now, shown);
            }
            Control::Faster => self.clock.hurry(now, 1),
            Control::Slower => self.clock.hurry(now, -1),
            Control::Step => self.goal = Some(Goal::Event),
            Control::By(seconds) => {
                let ns = seconds.saturating_mul(1_000_000_000);
                self.go_to(shown.saturating_add_signed(ns).max(self.start));
            }
            Control::To(time) => self.go_to(self.start.saturating_add(time)),
            Control::Find(text) => self.goal = Some(Goal::Text(text)),
        }
    }

    /// Reads what is to be shown by now, a part of it at a time.
    fn bring(&mut self, inputs: &mut Vec<Input>, now: Instant) {
        let until = match self.goal {
            Some(Goal::Time(time)) => time,
            Some(_) => u64::MAX,
            None if self.is_paused => return,
            None => self.clock.time(now),
        };
        while inputs.len() < CHUNK && !self.has_ended {
            let Some(input) = self.next.take().or_else(|| self.read()) else { break };
            if input.time() > until {
                self.next = Some(input);
                self.arrive(until, now);
                return;
            }
            let is_goal = match (&self.goal, &input) {
                (Some(Goal::Event), Input::Event(_)) => true,
                (Some(Goal::Text(text)), Input::Event(event)) => has(event, text),
                _ => false,
            };
            self.shown = self.shown.max(input.time());
            inputs.push(input);
            if is_goal {
                self.is_paused = true;
                self.arrive(self.shown, now);
                return;
            }
        }
    }

    /// What was looked for is there, or it is time.
    fn arrive(&mut self, time: u64, now: Instant) {
        if self.goal.take().is_some() {
            self.shown = self.shown.max(time);
            self.clock.set(now, self.shown);
        }
    }

    /// The next input; none at the end, and where the trace is damaged.
    fn read(&mut self) -> Option<Input> {
        match self.source.next() {
            Ok(Some(input)) => return Some(input),
            Ok(None) => self.end(self.source.at_the_end()),
            Err(error) => self.end(Some(format!("{error:#}"))),
        }
        None
    }

    fn end(&mut self, said: Option<String>) {
        let missing = matches!(self.goal, Some(Goal::Text(_)));
        self.has_ended = true;
        self.goal = None;
        self.said = said.or_else(|| missing.then(|| "no more events with that text".to_owned()));
    }

    fn progress(&self, now: Instant) -> Progress {
        let pace = match () {
            () if self.has_ended => Pace::Ended,
            () if self.goal.is_some() => Pace::Seeks,
            () if self.is_paused => Pace::Paused,
            () => Pace::Plays,
        };
        let (time, speed) = (self.now(now), self.clock.speed());
        Progress { time, pace, speed, said: self.said.clone() }
    }
}

/// Whether the line about an event has a text, as the view shows it or as the trace has it.
fn has(event: &Event, text: &str) -> bool {
    event.probe.name().contains(text)
        || event.by.comm.contains(text)
        || event.pid.is_some_and(|pid| pid.to_string() == text)
        || event.detail.to_string().contains(text)
}

impl<S: Source> Feed for Player<S> {
    fn poll(&mut self, timeout: Duration) -> Result<Vec<Input>> {
        let mut inputs = Vec::new();
        if std::mem::take(&mut self.is_restarted) {
            inputs.push(Input::Replay(Replay::Restart));
        }
        let now = Instant::now();
        self.bring(&mut inputs, now);
        let progress = self.progress(now);
        if self.told.as_ref() != Some(&progress) {
            self.told = Some(progress.clone());
            inputs.push(Input::Replay(Replay::Progress(progress)));
        }
        // Where it plays, the time that is shown is another one with each look.
        let is_idle = inputs.iter().all(|input| matches!(input, Input::Replay(_)));
        if is_idle && self.goal.is_none() {
            let next = self.next.as_ref().filter(|_| !self.is_paused).map(Input::time);
            let due = next.map_or(timeout, |time| self.clock.until(time, now));
            std::thread::sleep(due.min(timeout));
        }
        Ok(inputs)
    }

    fn ask(&mut self, request: Request) {
        if let Request::Replay(control) = request {
            self.control(control);
        }
    }
}

#[cfg(test)]
#[path = "player_tests.rs"]
mod tests;
