//! The table of the VMAs of one process.

use std::collections::BTreeMap;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    cells::{self, Cell, Freshness},
    columns::{places, share},
    list::List,
    order::{Heading as _, Order},
    revision::Made,
    theme::Theme,
    vma_rows::{Column, Row, rows},
};
use crate::{
    model::sizes::Sizes,
    text::{Align, fit},
    track::map::Tracked,
};

/// The table: its rows in order, and what the user made of it.
#[derive(Debug)]
pub(super) struct Vmas {
    rows: Vec<Row>,
    whole: Sizes,
    order: Order<Column>,
    list: List<u64>,
    /// What the rows and the strips were made of.
    made: Option<Made>,
    /// The strips of the rows that have been in view, of this many cells.
    strips: BTreeMap<u64, Vec<Cell>>,
    cells: u16,
}

impl Default for Vmas {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            whole: Sizes::default(),
            order: Order::by(Column::Start),
            list: List::default(),
            made: None,
            strips: BTreeMap::new(),
            cells: 0,
        }
    }
}

impl Vmas {
    /// Of another process: only the order stays.
    pub(super) fn reset(&mut self) {
        *self = Self { order: self.order, ..Self::default() };
    }

    /// Takes the rows from the map, if that is another one than the last time.
    pub(super) fn refresh(&mut self, map: Option<&Tracked>, now: u64) {
        let Some(map) = map else {
            if self.made.is_some() {
                self.reset();
            }
            return;
        };
        if self.made.is_some_and(|made| made.still_holds(map, now)) {
            return;
        }
        self.made = Some(Made::of(map, now));
        self.strips.clear();
        self.rows = rows(map);
        self.whole = Sizes::default();
        for row in &self.rows {
            self.whole.merge(&row.sizes);
        }
        // What has grown, or been cut or joined, is the same to the user.
        if let Some(vma) = self.list.selected().and_then(|start| map.vma_at(start)) {
            self.list.rename(vma.start);
        }
        self.arrange();
    }

    fn arrange(&mut self) {
        self.order.sort(&mut self.rows);
        self.list.arrange(self.rows.iter().map(|row| row.start));
    }

    /// Sorts differently.
    pub(super) fn sort(&mut self, change: fn(Order<Column>) -> Order<Column>) {
        self.order = change(self.order);
        self.arrange();
    }

    /// The rows, to move among them.
    pub(super) fn list(&mut self) -> &mut List<u64> {
        &mut self.list
    }

    /// The first address of the selected VMA.
    pub(super) fn selected(&self) -> Option<u64> {
        self.list.selected()
    }

    /// The place of the selected row, from 1, if any, and the number of rows.
    pub(super) fn position(&self) -> (Option<usize>, usize) {
        self.list.position()
    }

    /// Bytes by leaf size, of all VMAs.
    pub(super) fn whole(&self) -> &Sizes {
        &self.whole
    }

    /// Tells the table how much room it has, and makes the strips in view; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, map: Option<&Tracked>, area: Rect) {
        self.list.make_fit(area);
        let widths = self.widths(area.width);
        let strip = places(&widths).find(|&(i, ..)| Column::EVERY[i] == Column::Strip);
        let cells = strip.map_or(0, |(.., width)| width);
        if cells != self.cells {
            self.strips.clear();
            self.cells = cells;
        }
        let rows = self.rows.get(self.list.in_view()).into_iter().flatten();
        for (row, map) in rows.zip(std::iter::repeat(map).flatten()) {
            let make = || cells::cells(map, &(row.start..row.end), cells.into());
            self.strips.entry(row.start).or_insert_with(make);
        }
    }

    /// The width of each column.
    fn widths(&self, width: u16) -> Vec<u16> {
        let wants =
            Column::EVERY.map(|column| column.want(&self.whole, column == self.order.column()));
        share(&wants, width)
    }

    /// Draws it.
    pub(super) fn render(
        &self,
        map: &Tracked,
        now: u64,
        theme: Theme,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        if area.is_empty() {
            return;
        }
        let sorts = |column| column == self.order.column();
        let widths = self.widths(area.width);
        for (i, x, width) in places(&widths) {
            let column = Column::EVERY[i];
            let style = if sorts(column) { Theme::value().underlined() } else { Theme::value() };
            let heading = fit(&self.order.heading(column), width.into(), column.align());
            buffer.set_stringn(area.x + x, area.y, heading, width.into(), style);
        }
        if self.rows.is_empty() && area.height > 1 {
            let text = fit("no VMA", area.width.into(), Align::Left);
            buffer.set_stringn(area.x, area.y + 1, text, area.width.into(), theme.quiet());
        }
        let rows = self.rows.get(self.list.in_view()).into_iter().flatten();
        for (y, row) in (area.y + 1..area.bottom()).zip(rows) {
            let place = Rect { y, height: 1, ..area };
            self.row(row, map, now, theme, &widths, place, buffer);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that a row is made of")]
    fn row(
        &self,
        row: &Row,
        map: &Tracked,
        now: u64,
        theme: Theme,
        widths: &[u16],
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let vma = map.vma_at(row.start);
        let fresh = Freshness::of(row.changed, now);
        if self.selected() == Some(row.start) {
            buffer.set_style(area, Theme::selected());
        }
        for (i, x, width) in places(widths) {
            let (column, x) = (Column::EVERY[i], area.x + x);
            if column == Column::Strip {
                for (x, cell) in (x..).zip(self.strips.get(&row.start).into_iter().flatten()) {
                    let style = cell.style(theme, now);
                    buffer.set_string(x, area.y, cell.glyph().to_string(), style);
                }
                continue;
            }
            let text = row.cell(column, vma, now, width.into());
            let style = match column {
                _ if text == "0" || text == "-" => theme.quiet(),
                Column::Changed if fresh <= Freshness::Recent => theme.notice(),
                Column::Changed if fresh == Freshness::Old => theme.quiet(),
                _ => Style::new(),
            };
            let text = fit(&text, width.into(), column.align());
            buffer.set_stringn(x, area.y, text, width.into(), style);
        }
    }
}
