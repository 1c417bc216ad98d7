//! What a trace looks like in a viewer of timelines: operations on the tracks of their threads, splits and collapses
//! beside the processes that they happened to, and bytes by leaf size as numbers that change.

use std::io;

use probe_common::probe::{Family, Probe};
use serde_json::{Map, Value};

use super::{
    Exporter,
    counters::{Count, Counters, Touched},
    number,
    slices::{Edge, Slices, Thread},
};
use crate::{
    event::{Detail, Event},
    input::{Input, Note},
    session::Session,
};

/// A format of timelines.
pub(super) trait Draw {
    /// An operation begins on the track of its thread. `end` is when it will be over; absent for a tracepoint, which is a
    /// moment and has no end of its own.
    fn begin(&mut self, event: &Event, end: Option<u64>) -> io::Result<()>;
    /// The innermost operation of a thread that is under way is over.
    fn end(&mut self, thread: Thread, time: u64) -> io::Result<()>;
    /// Leaves of a process got another size.
    fn change(&mut self, event: &Event, pid: u32) -> io::Result<()>;
    /// What a process comes to.
    fn count(&mut self, count: &Count) -> io::Result<()>;
    /// Operations lost since the beginning.
    fn lost(&mut self, time: u64, number: u64) -> io::Result<()>;
    /// Something that concerns all processes.
    fn note(&mut self, time: u64, text: &str) -> io::Result<()>;
    /// Nothing more comes.
    fn finish(&mut self) -> io::Result<()>;
}

/// Draws a trace.
pub(super) struct Timeline<D> {
    draw: D,
    session: Session,
    counters: Counters,
    slices: Slices,
    lost: u64,
}

impl<D: Draw> Timeline<D> {
    pub(super) fn new(draw: D) -> Self {
        Self {
            draw,
            session: Session::default(),
            counters: Counters::default(),
            slices: Slices::default(),
            lost: 0,
        }
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.slices.push(Box::new(event.clone()));
        let due = self.slices.due();
        self.draw_all(due)?;
        match event.pid.or((event.by.pid > 0).then_some(event.by.pid)) {
            Some(pid) if is_change_of_size(event) => self.draw.change(event, pid),
            _ => Ok(()),
        }
    }

    fn draw_all(&mut self, edges: Vec<Edge>) -> io::Result<()> {
        edges.into_iter().try_for_each(|edge| match edge {
            Edge::Begin(event, end) => self.draw.begin(&event, end),
            Edge::End(thread, time) => self.draw.end(thread, time),
        })
    }
}

impl<D: Draw> Exporter for Timeline<D> {
    fn input(&mut self, mut input: Input) -> io::Result<()> {
        match &mut input {
            Input::Event(event) => {
                // They would be most of what waits; folded stacks have them.
                event.stacks = None;
                self.event(event)?;
            }
            Input::Sample(sample) if self.lost != sample.lost() => {
                self.lost = sample.lost();
                self.draw.lost(sample.time, self.lost)?;
            }
            Input::Note(Note::Lost { time, number }) => {
                self.draw.note(*time, &format!("{number} events lost: maps are read again"))?;
            }
            _ => {}
        }
        let touched = Touched::by(&input);
        self.session.take(input);
        let counts = self.counters.look(&self.session, touched);
        counts.iter().try_for_each(|count| self.draw.count(count))
    }

    fn finish(mut self: Box<Self>, _: &[String]) -> anyhow::Result<Vec<String>> {
        loop {
            let edges = self.slices.rest();
            if edges.is_empty() {
                break;
            }
            self.draw_all(edges)?;
        }
        let counts = self.counters.last(&self.session);
        counts.iter().try_for_each(|count| self.draw.count(count))?;
        self.draw.finish()?;
        let mut said = self.session.left_out().complaints();
        match self.slices.cut() {
            0 => {}
            cut => said.push(format!(
                "{} shortened: they overlap others of their thread without being inside of them",
                number(cut, "operation was", "operations were")
            )),
        }
        Ok(said)
    }
}

/// Whether an operation gives leaves another size; a request for it does not by itself.
fn is_change_of_size(event: &Event) -> bool {
    matches!(event.probe.family(), Family::Split | Family::Collapse)
        && event.probe != Probe::CollapseRequest
}

/// What a slice or a moment is called: the probe, and what tells two of its operations apart at a glance.
pub(super) fn title(event: &Event) -> String {
    let name = event.probe.name();
    match &event.detail {
        Detail::Walk { callback: Some(callback), .. } if event.probe == Probe::WalkVma => {
            format!("{name} {callback}")
        }
        Detail::Collapse { outcome, .. } => format!("{name} {outcome}"),
        _ => name.to_owned(),
    }
}

/// What is told of an operation: the fields that its line in the trace has.
pub(super) fn arguments(event: &Event) -> Map<String, Value> {
    let mut fields = fields(event);
    if let Some(pid) = event.pid {
        fields.insert("target".to_owned(), pid.into());
    }
    fields.insert("cpu".to_owned(), event.by.cpu.into());
    fields
}

/// The fields of what an operation was, as in a trace.
pub(super) fn fields(event: &Event) -> Map<String, Value> {
    match serde_json::to_value(&event.detail) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}
