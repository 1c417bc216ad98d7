//! What a run did, for people and for machines.

use std::io::{self, Write};

use serde::Serialize;

use super::{catalogue::catalogue, expected::Done, expected::Expected};
use crate::{event::Path, units};

/// What a run did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The process that did it, in its own PID namespace.
    pub pid: u32,
    /// The steps, in the order in which they were asked for.
    pub steps: Vec<StepReport>,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// The step's name.
    pub name: &'static str,
    /// How often it was asked for.
    pub count: usize,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// All of it was done.
    Done(Done),
    /// Nothing was done: this machine lacks something.
    Skipped {
        /// What it lacks, and what to do about it.
        reason: String,
    },
    /// It went wrong on the way: what it did is not known.
    Failed {
        /// What went wrong.
        reason: String,
    },
}

impl Report {
    /// Whether a step failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.outcome, Outcome::Failed { .. }))
    }

    /// Whether a step was skipped.
    #[must_use]
    pub fn has_skipped(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.outcome, Outcome::Skipped { .. }))
    }

    /// Writes it as one JSON object.
    ///
    /// # Errors
    /// The writer's own.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    /// Writes it as a table.
    ///
    /// # Errors
    /// The writer's own.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "process {}", self.pid)?;
        writeln!(out, "{:<20} {:>8}  WHAT", "STEP", "TIME")?;
        for step in &self.steps {
            let name = format!("{}:{}", step.name, step.count);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a duration that was measured"
            )]
            let time = units::duration((step.seconds * 1e9) as u64);
            match &step.outcome {
                Outcome::Done(done) => write_done(out, &name, &time, done)?,
                Outcome::Skipped { reason } => {
                    writeln!(out, "{name:<20} {:>8}  skipped: {reason}", "-")?;
                }
                Outcome::Failed { reason } => {
                    writeln!(out, "{name:<20} {time:>8}  failed: {reason}")?;
                }
            }
        }
        Ok(())
    }
}

fn write_done(out: &mut impl Write, name: &str, time: &str, done: &Done) -> io::Result<()> {
    let events: Vec<String> = done.expected.iter().map(event).collect();
    writeln!(out, "{name:<20} {time:>8}  {}", events.join("  "))?;
    let indent = " ".repeat(30);
    for area in &done.areas {
        writeln!(out, "{indent} at {}-{}", area.start, area.end)?;
    }
    if done.repeated > 0 {
        writeln!(out, "{indent} and {} failed collapses, repeated", done.repeated)?;
    }
    for part in &done.left_out {
        writeln!(out, "{indent} left out: {part}")?;
    }
    Ok(())
}

/// `walk_vma/hugetlb=4`
pub(super) fn event(expected: &Expected) -> String {
    let name = expected.probe.name();
    let number = expected.number;
    match (expected.page_size, expected.path) {
        (Some(size), _) => format!("{name}/{}={number}", units::bytes(size)),
        (None, Some(Path::Generic)) => format!("{name}/generic={number}"),
        (None, Some(Path::Hugetlb)) => format!("{name}/hugetlb={number}"),
        (None, None) => format!("{name}={number}"),
    }
}

/// Writes the catalogue as a table.
///
/// # Errors
/// The writer's own.
pub fn write_list(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:<15} {:>8}  WHAT IT DOES", "STEP", "N UP TO")?;
    for step in catalogue() {
        writeln!(out, "{:<15} {:>8}  {}", step.name, step.most, step.about)?;
        if !step.needs.is_empty() {
            let needs: Vec<_> = step.needs.iter().map(|need| need.name()).collect();
            writeln!(out, "{:<25} needs: {}", "", needs.join(", "))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use probe_common::probe::Probe;

    use super::{Done, Expected, Outcome, Report, StepReport, write_list};

    fn text(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_list_explains_each_step() {
        insta::assert_snapshot!(text(write_list));
    }

    #[test]
    fn a_report_tells_what_was_done_and_what_was_not() {
        let done = Done {
            areas: vec![(0x20_0000..0x40_0000).into()],
            expected: vec![Expected::of(Probe::MmFault, 1), Expected::hugetlb(1, 2 << 20)],
            repeated: 1,
            left_out: vec!["hugetlb area: none".to_owned()],
        };
        let steps = [
            ("hugetlb-2m", 0.001_5, Outcome::Done(done)),
            ("hugetlb-1g", 0.0, Outcome::Skipped { reason: "no pool".to_owned() }),
            ("thp", 0.2, Outcome::Failed { reason: "fragmented".to_owned() }),
        ];
        let steps = steps
            .map(|(name, seconds, outcome)| StepReport { name, count: 1, seconds, outcome })
            .to_vec();
        let report = Report { pid: 7, steps };
        insta::assert_snapshot!("report_text", text(|out| report.write_text(out)));
        insta::assert_snapshot!("report_json", text(|out| report.write_json(out)));
    }
}
