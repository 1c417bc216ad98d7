//! What changed between two leaf maps, as text.

use std::{
    fmt::Display,
    io::{self, Write},
};

use super::Look;
use crate::{
    model::{
        diff::{Change, Diff, State, diff},
        set::{Origin, TranslationSet},
        vma::Vma,
    },
    text::plain,
    units,
};

/// Writes what changed: VMAs that came and went, ranges, and totals by kind of change.
///
/// # Errors
/// When it cannot be written.
pub fn write(
    before: &TranslationSet,
    after: &TranslationSet,
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    let (old, new) = (before.origin(), after.origin());
    if who(old) == who(new) {
        writeln!(out, "{}", look.bold(&who(old)))?;
    } else {
        writeln!(out, "{}", look.bold(&format!("{} -> {}", who(old), who(new))))?;
    }
    if (old.source, &old.precision) != (new.source, &new.precision) {
        let how = |origin: &Origin| format!("{}, {}", origin.source, plain(&origin.precision));
        writeln!(out, "not read in the same way: {} -> {}", how(old), how(new))?;
    }
    if old.torn + new.torn > 0 {
        writeln!(out, "torn tables, which may show as changes: {} -> {}", old.torn, new.torn)?;
    }
    let diff = diff(before, after);
    if diff.is_empty() {
        return writeln!(out, "no leaf changed its size or kind");
    }
    for vma in &diff.disappeared {
        writeln!(out, "{}", look.paint("31", &format!("- {}", about(vma))))?;
    }
    for vma in &diff.appeared {
        writeln!(out, "{}", look.paint("32", &format!("+ {}", about(vma))))?;
    }
    for change in diff.changes.iter().filter(|change| !is_whole(&diff, change)) {
        let range = format!("{:x}-{:x}", change.range.start, change.range.end);
        let bytes = units::bytes(change.range.end - change.range.start);
        let text = format!("  {range:<25} {bytes:>7}  {}", arrow(change.before, change.after));
        writeln!(out, "{}", format!("{text:<60} {}", plain(&change.vma.name)).trim_end())?;
    }
    writeln!(out)?;
    for ((before, after), bytes) in &diff.totals {
        writeln!(out, "{}: {}", arrow(*before, *after), units::bytes(*bytes))?;
    }
    Ok(())
}

/// Whether it belongs to a VMA that came or went as a whole, which has a line of its own.
fn is_whole(diff: &Diff<'_>, change: &Change<'_>) -> bool {
    let is_in = |vmas: &[&Vma]| {
        vmas.binary_search_by_key(&change.vma.start, |vma| vma.start)
            .is_ok_and(|at| vmas[at] == change.vma)
    };
    match (change.before, change.after) {
        (State::NoVma, _) => is_in(&diff.appeared),
        (_, State::NoVma) => is_in(&diff.disappeared),
        _ => false,
    }
}

fn who(origin: &Origin) -> String {
    format!("process {} ({})", origin.pid, plain(&origin.comm))
}

fn about(vma: &Vma) -> String {
    let Vma { start, end, permissions, kind, .. } = vma;
    let range = format!("{start:x}-{end:x}");
    let text = format!(
        "{range:<25} {:>7}  {permissions} {kind} {}",
        units::bytes(vma.bytes()),
        plain(&vma.name)
    );
    text.trim_end().to_owned()
}

fn arrow(before: impl Display, after: impl Display) -> String {
    format!("{before} -> {after}")
}
