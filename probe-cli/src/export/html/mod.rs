//! A report for a browser: one file that needs nothing else, without a network.

mod areas;
mod document;
mod history;
mod page;

use std::io::{self, Write as _};

use self::{document::Document, history::History};
use super::{Exporter, Sink, counters::Touched};
use crate::{input::Input, stats::Stats, trace::header::Header};

/// Begins a report.
#[must_use]
pub fn exporter(header: &Header, out: Sink) -> Box<dyn Exporter> {
    let (stats, history) = (Stats::default(), History::default());
    Box::new(Report { header: header.clone(), out, stats, history })
}

struct Report {
    header: Header,
    out: Sink,
    stats: Stats,
    history: History,
}

impl Exporter for Report {
    fn input(&mut self, input: Input) -> io::Result<()> {
        if input.time() > 0 {
            self.history.until(input.time(), self.stats.session());
        }
        if let Input::Event(event) = &input {
            self.history.event(event);
        }
        self.history.touch(Touched::by(&input));
        self.stats.take(input);
        Ok(())
    }

    fn finish(mut self: Box<Self>, complaints: &[String]) -> anyhow::Result<Vec<String>> {
        self.history.finish(self.stats.session());
        let left_out = self.stats.session().left_out().complaints();
        let summary = self.stats.finish();
        let document = Document::new(&self.header, &self.history, summary, complaints, left_out);
        page::write(&document, &mut self.out)?;
        self.out.flush()?;
        Ok(document.left_out)
    }
}
