//! The process table.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    columns::{places, share},
    list::List,
    order::{Heading as _, Order},
    rows::{Column, Row, rows},
    theme::Theme,
};
use crate::session::Session;
use crate::text::{Align, fit};

/// The table: its rows in order, and what the user made of it.
#[derive(Debug, Default)]
pub(super) struct Processes {
    rows: Vec<Row>,
    order: Order<Column>,
    list: List<u32>,
}

impl Processes {
    /// Takes the rows from the session.
    pub(super) fn refresh(&mut self, session: &Session) {
        self.rows = rows(session);
        self.arrange();
    }

    fn arrange(&mut self) {
        self.order.sort(&mut self.rows);
        self.list.arrange(self.rows.iter().map(|row| row.pid));
    }

    /// Sorts differently.
    pub(super) fn sort(&mut self, change: fn(Order<Column>) -> Order<Column>) {
        self.order = change(self.order);
        self.arrange();
    }

    /// The rows, to move among them.
    pub(super) fn list(&mut self) -> &mut List<u32> {
        &mut self.list
    }

    /// The PID of the selected process.
    pub(super) fn selected(&self) -> Option<u32> {
        self.list.selected()
    }

    /// The place of the selected row, from 1, if any, and the number of rows.
    pub(super) fn position(&self) -> (Option<usize>, usize) {
        self.list.position()
    }

    /// Tells the table how much room it has; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, area: Rect) {
        self.list.make_fit(area);
    }

    fn in_view(&self) -> impl Iterator<Item = &Row> {
        self.rows.get(self.list.in_view()).into_iter().flatten()
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
                let style = if text == "0" || text == "-" { theme.quiet() } else { Style::new() };
                let text = fit(&text, width.into(), column.align());
                buffer.set_stringn(area.x + x, y, text, width.into(), style);
            }
            if self.selected() == Some(row.pid) {
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
pub(super) fn widths(rows: &[Row], order: Order<Column>, width: u16) -> Vec<u16> {
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
        table.list().step(1);
        table.list().step(1);
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
        table.list().select(usize::MAX);
        assert_eq!((table.selected(), first_in_view(&table)), (Some(100), 91));
        table.list().page(-1);
        assert_eq!((table.selected(), first_in_view(&table)), (Some(91), 91));
        table.list().page(-1);
        assert_eq!((table.selected(), first_in_view(&table)), (Some(82), 82));
        table.make_fit(Rect::new(0, 0, 80, 4));
        assert_eq!(first_in_view(&table), 82);
        table.list().select(0);
        table.list().step(-1);
        assert_eq!((table.selected(), first_in_view(&table)), (Some(1), 1));
        table.make_fit(Rect::new(0, 0, 80, 0));
        table.list().page(1);
        assert_eq!(table.selected(), Some(2));
        table.list().deselect();
        table.make_fit(Rect::new(0, 0, 80, 11));
        assert_eq!((table.selected(), first_in_view(&table)), (None, 1));
    }
}
