//! How often which operation was done, refused and skipped.

use std::io::{self, Write};

use super::{need::Lacks, table::table};

/// What came of an operation.
#[derive(Clone, Debug, Default)]
struct Count {
    done: u64,
    refused: u64,
    skipped: u64,
    /// Why it was skipped.
    lack: Option<String>,
}

/// What came of all of them, in the order of the table.
#[derive(Clone, Debug)]
pub struct Tally(Vec<Count>);

impl Tally {
    pub(super) fn new() -> Self {
        Self(vec![Count::default(); table().len()])
    }

    pub(super) fn did(&mut self, index: usize, outcome: &io::Result<()>) {
        match outcome {
            Ok(()) => self.0[index].done += 1,
            Err(_) => self.0[index].refused += 1,
        }
    }

    pub(super) fn skipped(&mut self, index: usize) {
        self.0[index].skipped += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (count, other) in self.0.iter_mut().zip(&other.0) {
            count.done += other.done;
            count.refused += other.refused;
            count.skipped += other.skipped;
        }
    }

    pub(super) fn explain(&mut self, lacks: &Lacks) {
        for (index, count) in self.0.iter_mut().enumerate() {
            count.lack = lacks.of(index).map(str::to_owned);
        }
    }

    /// How many operations the kernel did.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.0.iter().map(|count| count.done).sum()
    }

    /// How many there were, whatever came of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|count| count.done + count.refused + count.skipped).sum()
    }

    /// Writes a line for each operation: `did NAME DONE REFUSED`, or `skipped NAME TIMES REASON`.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for (operation, count) in table().iter().zip(&self.0) {
            let Count { done, refused, skipped, lack } = count;
            match lack {
                Some(lack) => writeln!(out, "skipped {} {skipped} {lack}", operation.name)?,
                None => writeln!(out, "did {} {done} {refused}", operation.name)?,
            }
        }
        Ok(())
    }
}

/// Writes what there is to do, a line for each operation.
///
/// # Errors
/// What writing fails with.
pub fn write_table(out: &mut impl Write) -> io::Result<()> {
    let width = table().iter().map(|operation| operation.name.len()).max().unwrap_or(0);
    for operation in table() {
        writeln!(out, "{:width$}  {}", operation.name, operation.about)?;
    }
    Ok(())
}
