//! The rows of the table of VMAs as values: what each column says, and their order.

use super::{
    columns::Want,
    order::{Heading, Order},
};
use crate::{
    model::{
        sizes::{SizeClass, Sizes},
        vma::Vma,
    },
    text::{Align, plain, width},
    track::map::Tracked,
    units,
};

/// A column of the table of VMAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// First address.
    Start,
    /// One past the last address.
    End,
    /// Length.
    Size,
    /// Its name, or its kind.
    What,
    /// What stands where.
    Strip,
    /// Bytes by the size of the leaves that map them.
    Bytes(SizeClass),
    /// How long ago a leaf of it changed.
    Changed,
}

impl Heading for Column {
    const COLUMNS: &'static [Self] = &Self::EVERY;

    fn title(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::End => "END",
            Self::Size => "SIZE",
            Self::What => "VMA",
            Self::Strip => "LEAVES",
            Self::Bytes(class) => class.title(),
            Self::Changed => "CHANGED",
        }
    }

    fn align(self) -> Align {
        match self {
            Self::What | Self::Strip => Align::Left,
            _ => Align::Right,
        }
    }

    fn falls(self) -> bool {
        !matches!(self, Self::Start)
    }

    fn sorts(self) -> bool {
        !matches!(self, Self::End | Self::What | Self::Strip)
    }
}

impl Column {
    /// Every column, from left to right.
    pub(super) const EVERY: [Self; 11] = [
        Self::Start,
        Self::End,
        Self::Size,
        Self::What,
        Self::Strip,
        Self::Bytes(SizeClass::Pud),
        Self::Bytes(SizeClass::Pmd),
        Self::Bytes(SizeClass::Between),
        Self::Bytes(SizeClass::Base),
        Self::Bytes(SizeClass::NotPresent),
        Self::Changed,
    ];

    /// What it asks for; the column that sorts needs a cell more, for its mark.
    pub(super) fn want(self, whole: &Sizes, sorts: bool) -> Want {
        // The kernel's own page above all others is cut rather than that all are wider for it.
        const ADDRESS: u16 = 12;
        let some = |class, importance| if whole.get(class) > 0 { importance } else { 12 };
        let (min, ideal, importance) = match self {
            Self::Start => (ADDRESS, ADDRESS, 0),
            Self::Size => (5, 5, 1),
            Self::What => (10, 40, 2),
            Self::Strip => (9, 64, 3),
            Self::Changed => (7, 7, 4),
            Self::Bytes(class @ SizeClass::Pmd) => (5, 5, some(class, 5)),
            Self::Bytes(class @ SizeClass::Base) => (5, 5, some(class, 6)),
            Self::Bytes(class @ SizeClass::Pud) => (5, 5, some(class, 7)),
            Self::End => (ADDRESS, ADDRESS, 8),
            Self::Bytes(class @ SizeClass::NotPresent) => (7, 7, some(class, 9)),
            Self::Bytes(class @ SizeClass::Between) => (5, 5, some(class, 10)),
        };
        if sorts {
            Want { min: min + 1, ideal: ideal + 1, importance: importance.min(2) }
        } else {
            Want { min, ideal, importance }
        }
    }
}

/// A VMA, as its row needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) sizes: Sizes,
    /// When a leaf of it changed last, in ns; `None` when all are as they were at the beginning.
    pub(super) changed: Option<u64>,
}

/// A row for each VMA, by address. In O(pieces + VMAs).
pub(super) fn rows(map: &Tracked) -> Vec<Row> {
    let pieces = map.pieces(&(0..u64::MAX));
    let mut first = 0;
    let row = |vma: &Vma| {
        while pieces.get(first).is_some_and(|(range, _)| range.end <= vma.start) {
            first += 1;
        }
        let (mut sizes, mut changed) = (Sizes::default(), None);
        for (range, piece) in pieces[first..].iter().take_while(|(range, _)| range.start < vma.end)
        {
            sizes.add(piece.state, range.end.min(vma.end) - range.start.max(vma.start));
            changed = changed.max((piece.by != 0).then_some(piece.since));
        }
        Row { start: vma.start, end: vma.end, sizes, changed }
    };
    map.vmas().map(row).collect()
}

impl Order<Column> {
    /// Brings rows into this order; equal ones by address.
    pub(super) fn sort(self, rows: &mut [Row]) {
        let key = |row: &Row| match self.column() {
            Column::Size => row.end - row.start,
            Column::Bytes(class) => row.sizes.get(class),
            Column::Changed => row.changed.unwrap_or(0),
            Column::Start | Column::End | Column::What | Column::Strip => row.start,
        };
        rows.sort_unstable_by(|one, other| {
            let rising = key(one).cmp(&key(other));
            let ordered = if self.falls() { rising.reverse() } else { rising };
            ordered.then(one.start.cmp(&other.start))
        });
    }
}

impl Row {
    /// What a column says, but for the strip; `cells` is its width.
    pub(super) fn cell(&self, column: Column, vma: Option<&Vma>, now: u64, cells: usize) -> String {
        match column {
            Column::Start => format!("{:x}", self.start),
            Column::End => format!("{:x}", self.end),
            Column::Size => units::short_bytes(self.end - self.start),
            Column::What => vma.map_or_else(String::new, |vma| what(vma, cells)),
            Column::Strip => String::new(),
            Column::Bytes(class) => units::short_bytes(self.sizes.get(class)),
            Column::Changed => self
                .changed
                .map_or_else(|| "-".to_owned(), |time| units::age(now.saturating_sub(time))),
        }
    }
}

/// A VMA's name, or its kind where it has none; of a path that is too long the end.
pub(super) fn what(vma: &Vma, cells: usize) -> String {
    let kind = vma.kind.to_string();
    let name = plain(&vma.name);
    if name.is_empty() {
        return kind;
    }
    let text = if vma.kind.is_hugetlb() { format!("{kind} {name}") } else { name };
    match text.rsplit_once('/') {
        Some((_, last)) if width(&text) > cells && !last.is_empty() => last.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, rows, what};
    use crate::{
        model::{
            fixture::{named, run},
            leaf::{LeafKind, LeafSize},
            sizes::SizeClass,
            vma::{Vma, VmaKind},
        },
        track::{
            fixture,
            map::Tracked,
            reading::{Reading, Span},
        },
        tui::order::{Heading as _, Order},
    };

    const M: u64 = 1 << 20;

    /// Neighbours whose leaves are alike.
    fn map() -> Tracked {
        let vmas: Vec<Vma> = [0..2 * M, 2 * M..8 * M, 16 * M..20 * M]
            .map(|range| named(range, VmaKind::Anonymous, ""))
            .into();
        let ranges: Vec<Span> = vmas.iter().map(|vma| vma.range().into()).collect();
        let huge = |start| run(start, LeafSize::PMD, 1, LeafKind::Present);
        let runs = vec![huge(0), huge(2 * M)];
        let mut map = Tracked::new(fixture::PID);
        let first = fixture::start(100, vmas[0].clone(), runs);
        map.read(&Reading { vmas: Some(vmas), ranges, ..first });
        map.event(fixture::split(200, 2 * M));
        map
    }

    #[test]
    fn each_row_is_of_its_vma() {
        let rows = rows(&map());
        let huge: Vec<_> = rows.iter().map(|row| row.sizes.get(SizeClass::Pmd)).collect();
        assert_eq!(huge, [2 * M, 0, 0]);
        let base: Vec<_> = rows.iter().map(|row| row.sizes.get(SizeClass::Base)).collect();
        assert_eq!(base, [0, 2 * M, 0]);
        let changed: Vec<_> = rows.iter().map(|row| row.changed).collect();
        assert_eq!(changed, [None, Some(210), None]);
    }

    #[test]
    fn by_address_or_by_the_last_change() {
        let starts = |order: Order<Column>| {
            let mut rows = rows(&map());
            order.sort(&mut rows);
            rows.iter().map(|row| row.start / M).collect::<Vec<_>>()
        };
        let mut order = Order::by(Column::Start);
        assert_eq!(starts(order), [0, 2, 16]);
        assert_eq!(starts(order.reverse()), [16, 2, 0]);
        order = order.right();
        assert_eq!((order.column(), starts(order)), (Column::Size, vec![2, 16, 0]));
        for _ in 0..20 {
            order = order.right();
        }
        assert_eq!((order.column(), starts(order)), (Column::Changed, vec![2, 0, 16]));
        assert!(!Column::Strip.sorts());
    }

    #[test]
    fn the_end_of_a_path_tells_more_than_its_beginning() {
        let vma = named(0..4096, VmaKind::File, "/usr/lib/x86_64-linux-gnu/libc.so.6");
        assert_eq!(what(&vma, 12), "libc.so.6");
        assert_eq!(what(&vma, 60), vma.name);
        let pool = named(0..4096, VmaKind::Hugetlb(LeafSize::PMD), "");
        assert_eq!(what(&pool, 12), "hugetlb 2M");
    }
}
