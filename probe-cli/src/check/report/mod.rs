//! A report on comparisons, in the forms that people and machines read.

mod github;
mod json;
mod junit;
mod markdown;
mod table;
mod text;

use std::{fmt::Write as _, path::Path};

use serde::Serialize;

use super::{compare::Comparison, finding::Verdict, identity::Identity};

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// All that was compared with a baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The version of this form.
    pub check: u32,
    /// The worst of all verdicts.
    pub verdict: Verdict,
    /// With what it was compared.
    pub baseline: Identity,
    /// The comparisons, in the order of the command line.
    pub comparisons: Vec<Comparison>,
}

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For a comment on a change
    Markdown,
    /// For what shows tests
    Junit,
    /// Annotations of GitHub's workflows
    Github,
}

impl Format {
    /// That of a file with this name.
    ///
    /// # Errors
    /// In words, when its ending tells none.
    pub fn of(path: &Path) -> Result<Self, String> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("txt") => Ok(Self::Text),
            Some("json") => Ok(Self::Json),
            Some("md") => Ok(Self::Markdown),
            Some("xml") => Ok(Self::Junit),
            _ => Err("a file that ends in .txt, .json, .md or .xml (JUnit) is wanted".to_owned()),
        }
    }
}

impl Report {
    /// Of these comparisons.
    #[must_use]
    pub fn new(baseline: Identity, comparisons: Vec<Comparison>) -> Self {
        let worst = comparisons.iter().map(|comparison| comparison.verdict).max();
        Self { check: VERSION, verdict: worst.unwrap_or(Verdict::Pass), baseline, comparisons }
    }

    /// In a form.
    #[must_use]
    pub fn write(&self, format: Format) -> String {
        match format {
            Format::Text => text::write(self),
            Format::Json => json::write(self),
            Format::Markdown => markdown::write(self),
            Format::Junit => junit::write(self),
            Format::Github => github::write(self),
        }
    }
}

/// By how much, in percent, with its sign.
fn percent(ratio: f64) -> String {
    format!("{:+.2} %", (ratio - 1.0) * 100.0)
}

impl Comparison {
    /// What follows, in a sentence.
    fn summary(&self) -> String {
        let number =
            |verdict| self.findings.iter().filter(|found| found.verdict == verdict).count();
        let mut text = format!(
            "{}: {} counts and {} times compared",
            self.verdict.name(),
            self.counted,
            self.times.len()
        );
        for (verdict, word) in [
            (Verdict::Regression, "regressions"),
            (Verdict::Inconclusive, "that cannot be told"),
            (Verdict::Accepted, "accepted"),
            (Verdict::Improvement, "faster"),
        ] {
            if number(verdict) > 0 {
                // A String takes everything.
                let _ = write!(text, ", {} {word}", number(verdict));
            }
        }
        if self.blurred > 0 {
            let _ = write!(
                text,
                "; {} of the times spread so much that twice the threshold need not show",
                self.blurred
            );
        }
        text
    }
}

#[cfg(test)]
mod tests;
