//! Every run, a line each.

use std::io::{self, Write};

use super::{Look, tone::Tone};
use crate::{
    model::{
        leaf::{LeafKind, Run},
        set::TranslationSet,
        statistics::folio_bytes,
    },
    text::{Align, fit, plain},
    units,
};

/// Writes every run: its addresses, leaf size, number of leaves, length, kind, folio size and marks
/// where known, and the name of its VMA.
///
/// # Errors
/// When they cannot be written.
pub fn write(
    set: &TranslationSet,
    no_holes: bool,
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    let folios = set.iter().any(|batch| batch.run.folio_order.is_some());
    let marks = set.iter().any(|batch| batch.run.marks.is_some());
    let line = |cells: [&str; 7], name: &str| {
        let [range, leaf, leaves, bytes, kind, folio, marks_text] = cells;
        let mut text = format!(
            "{} {} {} {} {}",
            fit(range, 33, Align::Left),
            fit(leaf, 5, Align::Right),
            fit(leaves, 11, Align::Right),
            fit(bytes, 7, Align::Right),
            fit(kind, 16, Align::Left),
        );
        if folios {
            text = format!("{text} {}", fit(folio, 5, Align::Right));
        }
        if marks {
            text = format!("{text} {}", fit(marks_text, 40, Align::Left));
        }
        format!("{text} {name}").trim_end().to_owned()
    };
    let headings = [
        "RANGE",
        "LEAF",
        "LEAVES",
        "SIZE",
        "KIND",
        "FOLIO",
        "YOUNG/DIRTY/SOFTDIRTY/WRITABLE/UFFDWP",
    ];
    writeln!(out, "{}", look.bold(&line(headings, "NAME")))?;
    for batch in set.iter().filter(|batch| !(no_holes && batch.run.kind == LeafKind::Hole)) {
        let Run { start, size, count, kind, .. } = batch.run;
        let hole = kind == LeafKind::Hole;
        let text = line(
            [
                &format!("{start:x}-{:x}", batch.run.end()),
                &if hole { "-".to_owned() } else { size.to_string() },
                &if hole { "-".to_owned() } else { count.to_string() },
                &units::bytes(batch.run.bytes()),
                kind.name(),
                &batch.run.folio_order.map_or("-".to_owned(), |o| units::bytes(folio_bytes(o))),
                &batch
                    .run
                    .marks
                    .map_or("-".to_owned(), |m| m.counts().map(|n| n.to_string()).join("/")),
            ],
            &plain(&batch.vma.name),
        );
        writeln!(out, "{}", look.paint(Tone::from(&batch.run).face().sgr, &text))?;
    }
    Ok(())
}
