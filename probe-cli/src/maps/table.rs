//! The table: a line for each VMA.

use std::{
    cmp::Reverse,
    io::{self, Write},
};

use super::{
    Look,
    strip::{self, Shown},
    totals::{self, percent},
};
use crate::{
    model::{
        leaf::{LeafKind, LeafSize},
        map::LeafMap,
        set::TranslationSet,
        statistics::Statistics,
    },
    text::{Align, fit, plain, width},
    units,
};

/// What goes into the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The order of the lines.
    pub sort: Sort,
    /// Leave out VMAs that consist of one hole.
    pub no_holes: bool,
}

/// The order of lines; the largest first but for addresses and names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// By address
    #[default]
    Address,
    /// By length
    Size,
    /// By resident set size, and hugetlb
    Rss,
    /// By coverage with huge leaves, the least first; what maps nothing comes last
    Coverage,
    /// By number of runs
    Runs,
    /// By name
    Name,
}

/// Cells of a strip where the line's width does not matter, and the least and most elsewhere.
const STRIP: (usize, usize, usize) = (24, 16, 64);

/// One line.
struct Row<'a> {
    map: &'a LeafMap,
    statistics: Statistics,
}

/// A column: its heading, its side, and what it says of a VMA.
type Column = (String, Align, Box<dyn Fn(&Row<'_>) -> String>);

/// Writes the table and its legend, and returns the statistics of the whole set.
///
/// # Errors
/// When it cannot be written.
pub fn write(
    set: &TranslationSet,
    options: Options,
    look: Look,
    out: &mut impl Write,
) -> io::Result<Statistics> {
    let mut rows: Vec<_> =
        set.maps().iter().map(|map| Row { map, statistics: map.iter().collect() }).collect();
    let mut whole = Statistics::default();
    for row in &rows {
        whole.merge(&row.statistics);
    }
    if options.no_holes {
        rows.retain(|row| row.map.runs().iter().any(|run| run.kind != LeafKind::Hole));
    }
    sort(&mut rows, options.sort);
    if !rows.is_empty() {
        write_rows(&rows, &columns(&whole), look, out)?;
    }
    Ok(whole)
}

fn write_rows(
    rows: &[Row<'_>],
    columns: &[Column],
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|(.., cell)| cell(row)).collect()).collect();
    let mut widths: Vec<_> = columns.iter().map(|(heading, ..)| width(heading)).collect();
    for line in &cells {
        for (widest, cell) in widths.iter_mut().zip(line) {
            *widest = (*widest).max(width(cell));
        }
    }
    let fixed: usize = widths.iter().map(|width| width + 1).sum();
    let longest = rows.iter().map(|row| width(&row.map.vma().name)).max().unwrap_or(0);
    let strip_width = match look.width {
        Some(line) => usize::from(line).saturating_sub(fixed + longest + 1).clamp(STRIP.1, STRIP.2),
        None => STRIP.0,
    };
    let line = |cells: &[&str]| {
        let fitted = columns.iter().zip(&widths).zip(cells);
        fitted.map(|(((_, side, _), &width), cell)| fit(cell, width, *side) + " ").collect()
    };
    let headings: Vec<_> = columns.iter().map(|(heading, ..)| heading.as_str()).collect();
    let heading: String = line(&headings);
    let strip_heading = fit("STRIP", strip_width, Align::Left);
    writeln!(out, "{}", look.bold(&format!("{heading}{strip_heading} NAME")))?;
    let mut shown = Shown::default();
    for (row, cells) in rows.iter().zip(&cells) {
        let cells: Vec<_> = cells.iter().map(String::as_str).collect();
        let text: String = line(&cells);
        let strip = strip::strip(row.map, strip_width, look, &mut shown);
        let name = plain(&row.map.vma().name);
        if name.is_empty() {
            writeln!(out, "{text}{strip}")?;
        } else {
            let pages = row.map.vma().bytes() >> LeafSize::BASE.shift();
            let used = usize::try_from(pages).unwrap_or(usize::MAX).min(strip_width);
            writeln!(out, "{text}{strip}{} {name}", " ".repeat(strip_width - used))?;
        }
    }
    writeln!(out, "{}", strip::legend(shown, look))
}

/// The columns before the strip: those for leaf sizes, folios and marks only where there are any.
fn columns(whole: &Statistics) -> Vec<Column> {
    fn bytes(heading: &str, bytes: impl Fn(&Statistics) -> u64 + 'static) -> Column {
        let cell = move |row: &Row<'_>| match bytes(&row.statistics) {
            0 => "-".to_owned(),
            bytes => units::bytes(bytes),
        };
        (heading.to_owned(), Align::Right, Box::new(cell))
    }
    fn text(heading: &str, cell: impl Fn(&Row<'_>) -> String + 'static) -> Column {
        (heading.to_owned(), Align::Left, Box::new(cell))
    }
    let range = |row: &Row<'_>| format!("{:x}-{:x}", row.map.vma().start, row.map.vma().end);
    let mut columns = vec![
        text("RANGE", range),
        text("KIND", |row| row.map.vma().kind.to_string()),
        text("PERM", |row| row.map.vma().permissions.to_string()),
        bytes("SIZE", |statistics| statistics.total),
        bytes("RSS", |statistics| statistics.rss),
    ];
    for (size, _) in whole.tlb_entries() {
        let of_size =
            move |s: &Statistics| s.bytes_where(|of, kind| of == size && kind.is_mapped());
        columns.push(bytes(&size.to_string(), of_size));
    }
    if whole.not_present() > 0 {
        columns.push(bytes("NOTPRES", Statistics::not_present));
    }
    let coverage = |row: &Row<'_>| row.statistics.coverage().map_or("-".to_owned(), percent);
    columns.push(("HUGE".to_owned(), Align::Right, Box::new(coverage)));
    let runs = |row: &Row<'_>| units::count(row.statistics.runs);
    columns.push(("RUNS".to_owned(), Align::Right, Box::new(runs)));
    if !whole.folios.is_empty() {
        columns.push(bytes("BYPTE", |statistics| statistics.huge_by_ptes));
        columns.push(text("FOLIOS", |row| {
            if row.statistics.folios.is_empty() {
                "-".to_owned()
            } else {
                totals::folios(&row.statistics)
            }
        }));
    }
    if let Some(all) = whole.marks {
        let marks = |statistics: &Statistics| statistics.marks.unwrap_or_default();
        columns.push(bytes("YOUNG", move |s| marks(s).young));
        columns.push(bytes("DIRTY", move |s| marks(s).dirty));
        columns.push(bytes("SOFTDIRTY", move |s| marks(s).soft_dirty));
        columns.push(bytes("WRITABLE", move |s| marks(s).writable));
        if all.uffd_wp > 0 {
            columns.push(bytes("UFFDWP", move |s| marks(s).uffd_wp));
        }
    }
    columns
}

/// Sorts lines; those that are equal stay in the order of their addresses.
fn sort(rows: &mut [Row<'_>], order: Sort) {
    match order {
        Sort::Address => {}
        Sort::Size => rows.sort_by_key(|row| Reverse(row.statistics.total)),
        Sort::Rss => rows.sort_by_key(|row| Reverse(row.statistics.rss + row.statistics.hugetlb)),
        Sort::Coverage => rows.sort_by(|a, b| {
            // Nothing mapped: more than everything.
            let key = |row: &Row<'_>| row.statistics.coverage().unwrap_or(2.0);
            key(a).total_cmp(&key(b))
        }),
        Sort::Runs => rows.sort_by_key(|row| Reverse(row.statistics.runs)),
        Sort::Name => rows.sort_by(|a, b| a.map.vma().name.cmp(&b.map.vma().name)),
    }
}
