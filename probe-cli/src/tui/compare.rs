//! The walkers compared: a table with both paths, and one walker of it.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    Info, Scope,
    columns::places,
    keys::Action,
    list::List,
    order::{Heading as _, Order},
    theme::Theme,
    walker::OneWalker,
    walker_rows::{Column, Key, Row, rows, widths},
};
use crate::{
    input::Walkers,
    session::Session,
    text::{Align, fit, plain, wrap},
    walk::{report::Report, text},
};

/// What the user made of the table, and of the walker that is open.
#[derive(Debug, Default)]
pub(super) struct Compare {
    rows: Vec<Row>,
    order: Order<Column>,
    list: List<Key>,
    one: Option<OneWalker>,
    area: Rect,
}

/// Lines above the table.
const TITLES: u16 = 2;

/// With fewer lines the one about the selected walker is left out.
const ABOUT: u16 = 8;

impl Compare {
    /// Opens the selected walker; where none is, the first one in view.
    pub(super) fn open(&mut self) {
        if self.one.is_none() {
            self.one = self.list.choose().map(OneWalker::new);
        }
    }

    /// Leaves the walker that is open; false when none is.
    pub(super) fn back(&mut self) -> bool {
        self.one.take().is_some()
    }

    /// Does what a key asks for.
    pub(super) fn act(&mut self, action: Action) {
        if let Some(one) = &mut self.one {
            one.act(action);
            return;
        }
        match action {
            Action::Up => self.list.step(-1),
            Action::Down => self.list.step(1),
            Action::PageUp => self.list.page(-1),
            Action::PageDown => self.list.page(1),
            Action::First => self.list.select(0),
            Action::Last => self.list.select(usize::MAX),
            Action::SortLeft => self.sort(Order::left),
            Action::SortRight => self.sort(Order::right),
            Action::Reverse => self.sort(Order::reverse),
            _ => {}
        }
    }

    fn sort(&mut self, change: fn(Order<Column>) -> Order<Column>) {
        self.order = change(self.order);
        self.arrange();
    }

    fn arrange(&mut self) {
        self.order.sort(&mut self.rows);
        self.list.arrange(self.rows.iter().map(|row| row.key));
    }

    /// Takes what is new, and its room; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, session: &Session, area: Rect) {
        self.area = area;
        let report = counted(session);
        self.rows = report.map(rows).unwrap_or_default();
        self.arrange();
        self.list.make_fit(self.table());
        if let (Some(one), Some(report)) = (&mut self.one, report) {
            one.make_fit(report, area);
        }
    }

    fn table(&self) -> Rect {
        let area = self.area;
        let titles = TITLES.min(area.height);
        let about = u16::from(area.height >= ABOUT);
        Rect { y: area.y + titles, height: area.height - titles - about, ..area }
    }

    /// Draws it.
    pub(super) fn render(&self, session: &Session, info: &Info, theme: Theme, buffer: &mut Buffer) {
        let Some(report) = counted(session) else {
            self.say(&why_not(session, info), theme, buffer);
            return;
        };
        if let Some(one) = &self.one {
            one.render(report, theme, buffer);
            return;
        }
        self.titles(report, info, theme, buffer);
        let table = self.table();
        let widths = widths(self.order, table.width);
        for (i, x, width) in places(&widths).filter(|_| !table.is_empty()) {
            let column = Column::EVERY[i];
            let style = Theme::value();
            let sorts = column == self.order.column();
            let style = if sorts { style.underlined() } else { style };
            let heading = fit(&self.order.heading(column), width.into(), column.align());
            buffer.set_stringn(table.x + x, table.y, heading, width.into(), style);
        }
        let rows = self.rows.get(self.list.in_view()).into_iter().flatten();
        for (y, row) in (table.y + 1..table.bottom()).zip(rows) {
            for (i, x, width) in places(&widths) {
                let column = Column::EVERY[i];
                let text = row.cell(column, width.into());
                let is_quiet = text == "-" || text == "0" || column == Column::Note;
                let style = if is_quiet { theme.quiet() } else { Style::new() };
                let text = fit(&text, width.into(), column.align());
                buffer.set_stringn(table.x + x, y, text, width.into(), style);
            }
            if self.list.selected() == Some(row.key) {
                buffer.set_style(Rect { y, height: 1, ..table }, Theme::selected());
            }
        }
        if self.area.height >= ABOUT {
            let about = self.about();
            let text = fit(&about, table.width.into(), Align::Left);
            buffer.set_stringn(table.x, table.bottom(), text, table.width.into(), theme.quiet());
        }
    }

    /// Since when it is counted, and what is missing or taken off.
    fn titles(&self, report: &Report, info: &Info, theme: Theme, buffer: &mut Buffer) {
        let (place, all) = self.list.position();
        let place = place.map_or_else(String::new, |place| format!("{place}/"));
        let whose = match info.scope {
            Scope::All => "",
            Scope::Chosen => " of the chosen processes",
        };
        let title = format!("Walkers {place}{all}  counted for {:.0} s{whose}", report.seconds);
        let missing = text::uncounted(report);
        let (second, style) = if missing.is_empty() {
            (text::own(report.calibration), Style::new())
        } else {
            (missing.join("; "), theme.alarm())
        };
        let lines = [(title, theme.title()), (second, style)];
        let area = self.area;
        for (y, (text, style)) in (area.y..area.bottom()).zip(lines) {
            let text = fit(&text, area.width.into(), Align::Left);
            buffer.set_stringn(area.x, y, text, area.width.into(), style);
        }
    }

    /// The functions of the selected walker.
    fn about(&self) -> String {
        let selected = self.list.selected();
        let row = self.rows.iter().find(|row| Some(row.key) == selected);
        row.map_or_else(
            || {
                "G: generic path, H: hugetlb path. Enter shows both histograms, and who walks"
                    .to_owned()
            },
            |row| row.note.clone(),
        )
    }

    /// A sentence in the place of the table.
    fn say(&self, text: &str, theme: Theme, buffer: &mut Buffer) {
        let area = self.area;
        let lines = wrap(&plain(text), area.width.into());
        let lines = lines.iter().map(|line| (line.as_str(), Style::new()));
        let title = [("Walkers", theme.title())];
        for (y, (text, style)) in (area.y..area.bottom()).zip(title.into_iter().chain(lines)) {
            let text = fit(text, area.width.into(), Align::Left);
            buffer.set_stringn(area.x, y, text, area.width.into(), style);
        }
    }
}

fn counted(session: &Session) -> Option<&Report> {
    match session.walkers() {
        Some(Walkers::Counted(report)) => Some(report),
        _ => None,
    }
}

/// Why there is no table.
fn why_not(session: &Session, info: &Info) -> String {
    match session.walkers() {
        _ if info.is_replay => {
            "A trace does not have the calls of walkers: `walkprobe top` and `walkprobe walks` \
                                count them while they happen."
                .to_owned()
        }
        Some(Walkers::Refused(why)) => format!("The walkers cannot be counted here: {why}."),
        Some(Walkers::Attaching(functions)) => format!(
            "Attaching to {functions} functions of walkers. From then on, and until this view ends, each of their \
             calls takes a little longer, on the whole machine; docs/bench-walks.md tells how much."
        ),
        Some(Walkers::Counted(_)) | None => "Nothing is attached to the walkers yet.".to_owned(),
    }
}
