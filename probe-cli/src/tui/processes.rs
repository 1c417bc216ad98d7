//! The process table.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    columns::{places, share},
    rows::{Column, Order, Row},
    theme::Theme,
};
use crate::session::Session;
use crate::text::{Align, fit};

/// The table: its rows in order, and what the user made of it.
#[derive(Debug, Default)]
pub(super) struct Processes {
    rows: Vec<Row>,
    order: Order,
    selected: Option<u32>,
    /// Where the selected row is, or was last.
    cursor: usize,
    offset: usize,
    page: usize,
}

impl Processes {
    /// Takes the rows from the session.
    pub(super) fn refresh(&mut self, session: &Session) {
        self.rows.clear();
        self.rows.extend(session.processes().values().map(Row::from));
        self.arrange();
    }

    /// Orders the rows and finds the selected process again; when it is gone, whoever stands in
    /// its place is selected.
    fn arrange(&mut self) {
        self.order.sort(&mut self.rows);
        if let Some(pid) = self.selected {
            match self.rows.iter().position(|row| row.pid == pid) {
                Some(place) => self.cursor = place,
                None => self.select(self.cursor),
            }
        }
        self.scroll();
    }

    /// Sorts differently.
    pub(super) fn sort(&mut self, change: fn(Order) -> Order) {
        self.order = change(self.order);
        self.arrange();
    }

    /// Moves the selection by rows; the first move selects the row in view.
    pub(super) fn step(&mut self, rows: isize) {
        match self.selected {
            None => self.select(self.offset),
            Some(_) => self.select(self.cursor.saturating_add_signed(rows)),
        }
    }

    /// Moves the selection by pages.
    pub(super) fn page(&mut self, pages: isize) {
        let rows = isize::try_from(self.page.max(2) - 1).unwrap_or(isize::MAX);
        self.step(pages.saturating_mul(rows));
    }

    /// Selects the row at a place, or the last one.
    pub(super) fn select(&mut self, place: usize) {
        self.cursor = place.min(self.rows.len().saturating_sub(1));
        self.selected = self.rows.get(self.cursor).map(|row| row.pid);
        self.scroll();
    }

    /// Selects nothing.
    pub(super) fn deselect(&mut self) {
        self.selected = None;
        self.offset = 0;
    }

    /// The PID of the selected process.
    pub(super) fn selected(&self) -> Option<u32> {
        self.selected
    }

    /// The place of the selected row, from 1, if any, and the number of rows.
    pub(super) fn position(&self) -> (Option<usize>, usize) {
        (self.selected.map(|_| self.cursor + 1), self.rows.len())
    }

    /// Tells the table how much room it has; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, area: Rect) {
        self.page = usize::from(area.height.saturating_sub(1));
        self.scroll();
    }

    /// Brings the selected row into view, and no empty rows when there are enough.
    fn scroll(&mut self) {
        if self.selected.is_some() {
            self.offset =
                self.offset.min(self.cursor).max((self.cursor + 1).saturating_sub(self.page));
        }
        self.offset = self.offset.min(self.rows.len().saturating_sub(self.page));
    }

    fn in_view(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().skip(self.offset).take(self.page)
    }

    /// Draws it.
    pub(super) fn render(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        if area.is_empty() {
            return;
        }
        let widths = widths(&self.rows, self.order, area.width);
        for (i, x, width) in places(&widths) {
            let column = Column::EVERY[i];
            let mut style = Theme::value();
            if let Column::Rate(family) = column {
                style = style.patch(theme.family(family));
            }
            if column == self.order.column() {
                style = style.underlined();
            }
            let heading = fit(&self.order.heading(column), width.into(), column.align());
            buffer.set_stringn(area.x + x, area.y, heading, width.into(), style);
        }
        for (y, row) in (area.y + 1..area.bottom()).zip(self.in_view()) {
            for (i, x, width) in places(&widths) {
                let column = Column::EVERY[i];
                let text = row.cell(column);
                let style = if text == "0" { theme.quiet() } else { Style::new() };
                let text = fit(&text, width.into(), column.align());
                buffer.set_stringn(area.x + x, y, text, width.into(), style);
            }
            if self.selected == Some(row.pid) {
                buffer.set_style(Rect { y, height: 1, ..area }, Theme::selected());
            }
        }
        if self.rows.is_empty() && area.height > 1 {
            let text = fit("no process yet", area.width.into(), Align::Left);
            buffer.set_stringn(area.x, area.y + 1, text, area.width.into(), theme.quiet());
        }
    }
}

/// The width of each column.
pub(super) fn widths(rows: &[Row], order: Order, width: u16) -> Vec<u16> {
    let wants = Column::EVERY.map(|column| column.want(rows, column == order.column()));
    share(&wants, width)
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::Processes;
    use crate::{session::Session, tui::fixture};

    fn table(session: &Session, rows: u16) -> Processes {
        let mut table = Processes::default();
        table.refresh(session);
        table.make_fit(Rect::new(0, 0, 80, rows + 1));
        table
    }

    fn first_in_view(table: &Processes) -> u32 {
        table.in_view().next().unwrap().pid
    }

    #[test]
    fn the_selection_follows_its_process() {
        let mut session = Session::default();
        fixture::two_samples(&mut session, &[(1, 30), (2, 20), (3, 10)]);
        let mut table = table(&session, 5);
        assert_eq!(table.selected(), None);
        table.step(1);
        table.step(1);
        assert_eq!((table.selected(), table.position()), (Some(2), (Some(2), 3)));
        fixture::two_samples(&mut session, &[(1, 3), (2, 20), (3, 1)]);
        table.refresh(&session);
        assert_eq!((table.selected(), table.position()), (Some(2), (Some(1), 3)));
        fixture::two_samples(&mut session, &[(1, 3), (3, 1)]);
        table.refresh(&session);
        assert_eq!((table.selected(), table.position()), (Some(1), (Some(1), 2)));
        table.refresh(&Session::default());
        assert_eq!((table.selected(), table.position()), (None, (None, 0)));
    }

    #[test]
    fn the_view_follows_the_selection() {
        let mut session = Session::default();
        let rates: Vec<_> = (1..=100).map(|pid| (pid, 1000 - pid)).collect();
        fixture::two_samples(&mut session, &rates);
        let mut table = table(&session, 10);
        table.select(usize::MAX);
        assert_eq!((table.selected(), first_in_view(&table)), (Some(100), 91));
        table.page(-1);
        assert_eq!((table.selected(), first_in_view(&table)), (Some(91), 91));
        table.page(-1);
        assert_eq!((table.selected(), first_in_view(&table)), (Some(82), 82));
        table.make_fit(Rect::new(0, 0, 80, 4));
        assert_eq!(first_in_view(&table), 82);
        table.select(0);
        table.step(-1);
        assert_eq!((table.selected(), first_in_view(&table)), (Some(1), 1));
        table.make_fit(Rect::new(0, 0, 80, 0));
        table.page(1);
        assert_eq!(table.selected(), Some(2));
        table.deselect();
        table.make_fit(Rect::new(0, 0, 80, 11));
        assert_eq!((table.selected(), first_in_view(&table)), (None, 1));
    }
}
