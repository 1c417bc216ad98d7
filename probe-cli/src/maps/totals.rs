//! What a translation set comes to, in a few lines.

use std::io::{self, Write};

use super::Look;
use crate::{
    model::{
        diff::State,
        leaf::LeafKind,
        set::TranslationSet,
        statistics::{LeafTotal, Statistics, folio_bytes},
    },
    units,
};

/// Writes the totals of a set, and how it was read.
///
/// # Errors
/// When they cannot be written.
pub fn write(
    set: &TranslationSet,
    statistics: &Statistics,
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    write_statistics(statistics, set.maps().len(), look, out)?;
    let origin = set.origin();
    let read = format!(
        "{}, {}; {} read, {} of them again, {} torn",
        origin.source,
        crate::text::plain(&origin.precision),
        number(origin.tables, "table", "tables"),
        origin.retried,
        origin.torn,
    );
    line("source", &read, look, out)
}

/// Writes the totals of some VMAs, of one address space or of several.
///
/// # Errors
/// When they cannot be written.
pub fn write_statistics(
    statistics: &Statistics,
    vmas: usize,
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    let size = units::bytes;
    let total = format!(
        "RSS {}, hugetlb {}, mapped {} of {} in {}, {}",
        size(statistics.rss),
        size(statistics.hugetlb),
        size(statistics.mapped()),
        size(statistics.total),
        number(vmas as u64, "VMA", "VMAs"),
        number(statistics.runs, "run", "runs"),
    );
    line("total", &total, look, out)?;
    let leaves = |total: &LeafTotal| match total.kind {
        LeafKind::Hole => format!("hole {}", size(total.bytes)),
        kind => format!("{} {}", State::Leaf(total.size, kind), size(total.bytes)),
    };
    let (holes, others): (Vec<_>, Vec<_>) =
        statistics.leaves.iter().partition(|total| total.kind == LeafKind::Hole);
    line("leaves", &list(others.into_iter().chain(holes).map(leaves)), look, out)?;
    let coverage = match statistics.coverage() {
        Some(share) => format!("{} of what is mapped is in leaves of 2M and more", percent(share)),
        None => "nothing is mapped".to_owned(),
    };
    line("coverage", &coverage, look, out)?;
    let entries: u64 = statistics.tlb_entries().map(|(_, count)| count).sum();
    let by_size = statistics.tlb_entries().map(|(size, count)| format!("{count} of {size}"));
    line("TLB", &format!("{entries} entries cover it: {}", list(by_size)), look, out)?;
    if !statistics.folios.is_empty() {
        let huge = size(statistics.huge_by_ptes);
        let folios = format!("{}; huge folios mapped by PTEs: {huge}", folios(statistics));
        line("folios", &folios, look, out)?;
    }
    if let Some(marks) = statistics.marks {
        let marks = format!(
            "young {}, dirty {}, soft-dirty {}, writable {}, uffd write-protected {}",
            size(marks.young),
            size(marks.dirty),
            size(marks.soft_dirty),
            size(marks.writable),
            size(marks.uffd_wp),
        );
        line("marks", &marks, look, out)?;
    }
    Ok(())
}

/// Bytes by folio size, large folios first: `2M 22M, 4K 1M`.
#[must_use]
pub fn folios(statistics: &Statistics) -> String {
    let by_order = statistics.folios.iter().rev();
    list(by_order.map(|(&order, &bytes)| {
        format!("{} {}", units::bytes(folio_bytes(order)), units::bytes(bytes))
    }))
}

/// A share with one decimal, rounded down so that 100% is all of it.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1}%", (share * 1000.0).floor() / 10.0)
}

fn number(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn list(items: impl Iterator<Item = String>) -> String {
    let list = items.collect::<Vec<_>>().join(", ");
    if list.is_empty() { "none".to_owned() } else { list }
}

fn line(label: &str, text: &str, look: Look, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{} {text}", look.quiet(&format!("{label:<8}")))
}
