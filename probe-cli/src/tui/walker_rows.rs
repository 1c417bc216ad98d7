//! The rows of the table of walkers as values: what each column says, and their order.

use std::cmp::Ordering;

use super::{
    columns::{Want, share},
    order::{Heading, Order},
};
use crate::{
    event::Path,
    plan::walks::Served,
    text::Align,
    units,
    walk::{
        compare::Ratio,
        report::{Report, RowReport, WalkerReport},
        site::Level,
    },
};

/// A column of the table of walkers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// The walker.
    Walker,
    /// The level of the leaves.
    Leaf,
    /// Time in all calls of both paths.
    Time,
    /// Calls in a second.
    Calls(Path),
    /// Entries in a second.
    Leaves(Path),
    /// Median time of a call.
    Median(Path),
    /// 99 of 100 calls take no longer.
    Slow(Path),
    /// Mean time of an entry.
    PerLeaf(Path),
    /// Mean time of a MiB.
    PerMib(Path),
    /// Generic by hugetlb.
    Ratio,
    /// Which functions serve it, or why none does.
    Note,
}

impl Heading for Column {
    const COLUMNS: &'static [Self] = &Self::EVERY;

    fn title(self) -> &'static str {
        match self {
            Self::Walker => "WALKER",
            Self::Leaf => "LEAF",
            Self::Time => "TIME",
            Self::Calls(Path::Generic) => "G CALL/s",
            Self::Calls(Path::Hugetlb) => "H CALL/s",
            Self::Leaves(Path::Generic) => "G LEAF/s",
            Self::Leaves(Path::Hugetlb) => "H LEAF/s",
            Self::Median(Path::Generic) => "G P50",
            Self::Median(Path::Hugetlb) => "H P50",
            Self::Slow(Path::Generic) => "G P99",
            Self::Slow(Path::Hugetlb) => "H P99",
            Self::PerLeaf(Path::Generic) => "G /LEAF",
            Self::PerLeaf(Path::Hugetlb) => "H /LEAF",
            Self::PerMib(Path::Generic) => "G /MIB",
            Self::PerMib(Path::Hugetlb) => "H /MIB",
            Self::Ratio => "G/H",
            Self::Note => "SERVED BY",
        }
    }

    fn align(self) -> Align {
        match self {
            Self::Walker | Self::Leaf | Self::Ratio | Self::Note => Align::Left,
            _ => Align::Right,
        }
    }

    fn falls(self) -> bool {
        !matches!(self, Self::Walker)
    }

    fn sorts(self) -> bool {
        !matches!(self, Self::Leaf | Self::Note)
    }
}

/// With less room the interval of a ratio is left out.
const WIDE: u16 = 72;
/// `12.34 (10.23-14.56)`.
const RATIO: u16 = 19;

impl Column {
    /// Every column, from left to right.
    pub(super) const EVERY: [Self; 17] = [
        Self::Walker,
        Self::Leaf,
        Self::Time,
        Self::Calls(Path::Generic),
        Self::Calls(Path::Hugetlb),
        Self::Leaves(Path::Generic),
        Self::Leaves(Path::Hugetlb),
        Self::Median(Path::Generic),
        Self::Median(Path::Hugetlb),
        Self::Slow(Path::Generic),
        Self::Slow(Path::Hugetlb),
        Self::PerLeaf(Path::Generic),
        Self::PerLeaf(Path::Hugetlb),
        Self::PerMib(Path::Generic),
        Self::PerMib(Path::Hugetlb),
        Self::Ratio,
        Self::Note,
    ];

    /// What it asks for in a table of this width; the column that sorts needs a cell more, for its mark.
    fn want(self, width: u16, sorts: bool) -> Want {
        let ratio = if width < WIDE { 6 } else { RATIO };
        let (min, ideal, importance) = match self {
            Self::Walker => (10, 16, 0),
            Self::Ratio => (ratio, RATIO, 1),
            Self::Leaf => (4, 4, 2),
            Self::Calls(_) => (8, 8, 3),
            Self::PerLeaf(_) => (7, 7, 4),
            Self::Time => (6, 6, 5),
            Self::Median(_) => (6, 7, 6),
            Self::Leaves(_) => (8, 8, 7),
            Self::Slow(_) => (6, 7, 8),
            Self::PerMib(_) => (6, 7, 9),
            Self::Note => (24, u16::MAX, 10),
        };
        let mark = u16::from(sorts);
        let importance = if sorts { importance.min(2) } else { importance };
        Want { min: min + mark, ideal: ideal.saturating_add(mark), importance }
    }

    /// The same of the other path.
    fn other(self) -> Option<Self> {
        let other = |path| match path {
            Path::Generic => Path::Hugetlb,
            Path::Hugetlb => Path::Generic,
        };
        Some(match self {
            Self::Calls(path) => Self::Calls(other(path)),
            Self::Leaves(path) => Self::Leaves(other(path)),
            Self::Median(path) => Self::Median(other(path)),
            Self::Slow(path) => Self::Slow(other(path)),
            Self::PerLeaf(path) => Self::PerLeaf(other(path)),
            Self::PerMib(path) => Self::PerMib(other(path)),
            Self::Walker | Self::Leaf | Self::Time | Self::Ratio | Self::Note => return None,
        })
    }
}

/// The width of each column. What is compared is shown of both paths, or of none.
pub(super) fn widths(order: Order<Column>, width: u16) -> Vec<u16> {
    let mut wants = Column::EVERY.map(|column| column.want(width, column == order.column()));
    loop {
        let widths = share(&wants, width);
        let of = |column| Column::EVERY.iter().position(|&other| other == column);
        let alone = Column::EVERY.iter().zip(&widths).position(|(column, &width)| {
            let other = column.other().and_then(of).and_then(|at| widths.get(at));
            width > 0 && other == Some(&0)
        });
        let Some(want) = alone.and_then(|at| wants.get_mut(at)) else { return widths };
        *want = Want { min: 0, ideal: 0, ..*want };
    }
}

/// What tells rows apart: the walker's place in the report, and the level of the leaves.
pub(super) type Key = (usize, Option<Level>);

/// A walker, at one level of leaves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) key: Key,
    name: &'static str,
    generic: Side,
    hugetlb: Side,
    ns: u64,
    ratio: Option<Ratio>,
    pub(super) note: String,
}

/// One path.
#[derive(Clone, Debug, PartialEq)]
enum Side {
    /// It could have been called.
    Idle,
    /// It is not there: why, in one word.
    Absent(&'static str),
    Numbers(Numbers),
}

#[derive(Clone, Debug, PartialEq)]
struct Numbers {
    calls: f64,
    leaves: Option<f64>,
    p50: f64,
    p99: f64,
    leaf: Option<f64>,
    mib: Option<f64>,
}

/// A row for each walker, and one more for each further level at which it was called.
pub(super) fn rows(report: &Report) -> Vec<Row> {
    let of_walker = |(at, walker)| {
        let mut levels = levels(walker);
        if levels.is_empty() {
            levels.push(None);
        }
        levels.into_iter().map(move |level| Row::new((at, level), walker))
    };
    report.walkers.iter().enumerate().flat_map(of_walker).collect()
}

/// The levels at which a walker was called.
fn levels(walker: &WalkerReport) -> Vec<Option<Level>> {
    let is_called = |level: &Level| walker.rows.iter().any(|row| row.level == *level);
    Level::ALL.into_iter().filter(is_called).map(Some).collect()
}

impl Row {
    fn new(key: Key, walker: &WalkerReport) -> Self {
        let at = |path| {
            let is_own = |row: &&RowReport| Some(row.level) == key.1 && row.path == path;
            walker.rows.iter().find(is_own)
        };
        let untold = at(None);
        let generic = at(Some(Path::Generic)).or(untold);
        let hugetlb = at(Some(Path::Hugetlb));
        let ratio = walker.ratios.iter().find(|ratio| Some(ratio.level) == key.1);
        Self {
            key,
            name: walker.name,
            generic: side(generic, &walker.generic),
            hugetlb: side(hugetlb, &walker.hugetlb),
            ns: generic.into_iter().chain(hugetlb).map(|row| row.ns).sum(),
            ratio: ratio.map(|ratio| ratio.ratio),
            note: note(walker),
        }
    }

    /// What a column says; `cells` is its width.
    pub(super) fn cell(&self, column: Column, cells: usize) -> String {
        let none = || "-".to_owned();
        let numbers = |path| match self.side(path) {
            Side::Numbers(numbers) => Some(numbers),
            Side::Idle | Side::Absent(_) => None,
        };
        let time = |ns: Option<f64>| ns.map_or_else(none, units::mean);
        match column {
            Column::Walker => self.name.to_owned(),
            Column::Leaf => self.key.1.map_or_else(none, |level| level.name().to_owned()),
            Column::Time if self.ns == 0 => none(),
            Column::Time => units::duration(self.ns),
            Column::Calls(path) => match self.side(path) {
                Side::Idle => none(),
                Side::Absent(why) => (*why).to_owned(),
                Side::Numbers(numbers) => units::rate(numbers.calls),
            },
            Column::Leaves(path) => {
                numbers(path).and_then(|numbers| numbers.leaves).map_or_else(none, units::rate)
            }
            Column::Median(path) => time(numbers(path).map(|numbers| numbers.p50)),
            Column::Slow(path) => time(numbers(path).map(|numbers| numbers.p99)),
            Column::PerLeaf(path) => time(numbers(path).and_then(|numbers| numbers.leaf)),
            Column::PerMib(path) => time(numbers(path).and_then(|numbers| numbers.mib)),
            Column::Ratio => self.ratio.map_or_else(none, |found| ratio(found, cells)),
            Column::Note => self.note.clone(),
        }
    }

    fn side(&self, path: Path) -> &Side {
        match path {
            Path::Generic => &self.generic,
            Path::Hugetlb => &self.hugetlb,
        }
    }

    /// What the order by a column looks at; below 0 where there is nothing.
    fn value(&self, column: Column) -> f64 {
        let of = |path, value: fn(&Numbers) -> Option<f64>| match self.side(path) {
            Side::Numbers(numbers) => value(numbers).unwrap_or(-1.0),
            Side::Idle | Side::Absent(_) => -1.0,
        };
        match column {
            Column::Walker | Column::Leaf | Column::Note => 0.0,
            #[expect(clippy::cast_precision_loss, reason = "which of two is larger")]
            Column::Time => self.ns as f64,
            Column::Calls(path) => of(path, |numbers| Some(numbers.calls)),
            Column::Leaves(path) => of(path, |numbers| numbers.leaves),
            Column::Median(path) => of(path, |numbers| Some(numbers.p50)),
            Column::Slow(path) => of(path, |numbers| Some(numbers.p99)),
            Column::PerLeaf(path) => of(path, |numbers| numbers.leaf),
            Column::PerMib(path) => of(path, |numbers| numbers.mib),
            Column::Ratio => self.ratio.map_or(-1.0, |ratio| ratio.ratio),
        }
    }
}

fn side(row: Option<&RowReport>, served: &Served) -> Side {
    match row {
        Some(row) => Side::Numbers(Numbers {
            calls: row.calls_per_second,
            leaves: (row.leaves > 0).then_some(row.leaves_per_second),
            p50: row.p50_ns,
            p99: row.p99_ns,
            leaf: row.ns_per_leaf,
            mib: row.ns_per_mib,
        }),
        None if served.service == "watched" => Side::Idle,
        None => Side::Absent(served.service),
    }
}

/// `2.08 (2.07-2.09)`, as far as there is room; a question mark where there were too few calls.
fn ratio(found: Ratio, cells: usize) -> String {
    let short = format!("{:.2}", found.ratio);
    match found.interval {
        None => short + "?",
        Some((low, high)) => {
            let full = format!("{short} ({low:.2}-{high:.2})");
            if full.len() <= cells { full } else { short }
        }
    }
}

/// Which functions serve both paths, or why none does.
fn note(walker: &WalkerReport) -> String {
    let (generic, hugetlb) = (&walker.generic, &walker.hugetlb);
    if generic.text == hugetlb.text {
        return generic.text.clone();
    }
    format!("G {}; H {}", generic.text, hugetlb.text)
}

impl Order<Column> {
    /// Sorts the rows; what is equal keeps the order of the registry.
    pub(super) fn sort(self, rows: &mut [Row]) {
        rows.sort_by(|one, other| {
            let rising = match self.column() {
                Column::Walker => one.name.cmp(other.name),
                column => one.value(column).total_cmp(&other.value(column)),
            };
            let ordered = if self.falls() { rising.reverse() } else { rising };
            match ordered {
                Ordering::Equal => one.key.cmp(&other.key),
                ordered => ordered,
            }
        });
    }
}

impl Default for Order<Column> {
    fn default() -> Self {
        Self::by(Column::Time)
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Order, ratio, widths};
    use crate::walk::compare::Ratio;

    #[test]
    fn what_is_compared_is_shown_of_both_paths_or_of_none() {
        for width in 0..240 {
            for column in Column::EVERY {
                let widths = widths(Order::by(column), width);
                for (column, &width) in Column::EVERY.iter().zip(&widths) {
                    let at = |other| Column::EVERY.iter().position(|&column| column == other);
                    let other = column.other().and_then(at).map(|at| widths[at] > 0);
                    assert_ne!(other, Some(width == 0), "{column:?}: {widths:?}");
                }
            }
        }
    }

    #[test]
    fn a_ratio_tells_its_interval_where_there_is_room() {
        let sure = Ratio { ratio: 2.081, interval: Some((2.07, 2.094)) };
        assert_eq!(ratio(sure, 19), "2.08 (2.07-2.09)");
        assert_eq!(ratio(sure, 10), "2.08");
        assert_eq!(ratio(Ratio { interval: None, ..sure }, 19), "2.08?");
    }
}
