//! By which column a table is sorted, and which way round.

use crate::text::Align;

/// A column of a table.
pub(super) trait Heading: Copy + PartialEq + 'static {
    /// Every column, from left to right.
    const COLUMNS: &'static [Self];

    /// The heading.
    fn title(self) -> &'static str;

    /// Which side its text keeps to.
    fn align(self) -> Align;

    /// Numbers are looked at from the largest down, names and addresses from the first on.
    fn falls(self) -> bool;

    /// Whether a table can be sorted by it.
    fn sorts(self) -> bool {
        true
    }
}

/// By which column, and which way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order<C> {
    column: C,
    reversed: bool,
}

impl<C: Heading> Order<C> {
    /// By a column, in its usual direction.
    pub(super) const fn by(column: C) -> Self {
        Self { column, reversed: false }
    }

    /// The column.
    pub(super) fn column(self) -> C {
        self.column
    }

    /// From the largest down.
    pub(super) fn falls(self) -> bool {
        self.column.falls() != self.reversed
    }

    /// By the column to the left, in its usual direction.
    pub(super) fn left(self) -> Self {
        let before = C::COLUMNS.iter().take_while(|&&column| column != self.column);
        let left = before.filter(|column| column.sorts()).last();
        Self::by(left.copied().unwrap_or(self.column))
    }

    /// By the column to the right, in its usual direction.
    pub(super) fn right(self) -> Self {
        let behind = C::COLUMNS.iter().skip_while(|&&column| column != self.column).skip(1);
        let right = behind.copied().find(|column| column.sorts());
        Self::by(right.unwrap_or(self.column))
    }

    /// The other way round.
    pub(super) fn reverse(self) -> Self {
        Self { reversed: !self.reversed, ..self }
    }

    /// A column's heading; that of the column that sorts is marked, on its inner side.
    pub(super) fn heading(self, column: C) -> String {
        let title = column.title();
        let mark = if self.falls() { "▼" } else { "▲" };
        match column.align() {
            _ if column != self.column => title.to_owned(),
            Align::Left => format!("{title}{mark}"),
            Align::Right => format!("{mark}{title}"),
        }
    }
}
