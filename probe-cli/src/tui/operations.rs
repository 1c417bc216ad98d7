//! The list of the operations that concern some addresses, the newest first.

use std::ops::Range;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    columns::{Want, places, share},
    rule,
    theme::Theme,
};
use crate::{
    maps::history,
    text::{Align, fit},
    track::{
        log::{Cause, Transaction},
        map::Tracked,
    },
    units,
};

/// What the user made of the list.
#[derive(Debug, Default)]
pub(super) struct Operations {
    /// The number of the first one in view; none: the newest.
    anchor: Option<u64>,
    page: usize,
}

/// The columns: heading, what they ask for, and which side they keep to.
const COLUMNS: [(&str, Want, Align); 6] = [
    ("TIME", Want { min: 9, ideal: 11, importance: 0 }, Align::Right),
    ("CAUSE", Want { min: 13, ideal: 16, importance: 1 }, Align::Left),
    ("BY", Want { min: 10, ideal: 24, importance: 3 }, Align::Left),
    ("CHANGES", Want { min: 16, ideal: 48, importance: 2 }, Align::Left),
    ("DETAIL", Want { min: 16, ideal: u16::MAX, importance: 4 }, Align::Left),
    ("TOOK", Want { min: 6, ideal: 6, importance: 5 }, Align::Right),
];

/// The operations that concern a range: that named it, or are among those that made what stands there, which are in
/// order. The newest first.
pub(super) fn concerning<'a>(
    log: &'a Tracked,
    range: &Range<u64>,
    makers: &[u64],
) -> Vec<&'a Transaction> {
    let is_of = |transaction: &&Transaction| {
        transaction.concerns(range) || makers.binary_search(&transaction.number).is_ok()
    };
    log.transactions().iter().rev().filter(is_of).collect()
}

impl Operations {
    /// Moves the view by rows, towards what is older.
    pub(super) fn step(&mut self, all: &[&Transaction], rows: isize) {
        let last = all.len().saturating_sub(self.page.max(1));
        let at = self.first(all).saturating_add_signed(rows).min(last);
        self.anchor = all.get(at).filter(|_| at > 0).map(|transaction| transaction.number);
    }

    /// Moves the view by pages.
    pub(super) fn page(&mut self, all: &[&Transaction], pages: isize) {
        let rows = isize::try_from(self.page.max(2) - 1).unwrap_or(isize::MAX);
        self.step(all, pages.saturating_mul(rows));
    }

    /// The place of the first one in view.
    fn first(&self, all: &[&Transaction]) -> usize {
        let last = all.len().saturating_sub(self.page.max(1));
        self.anchor
            .map_or(0, |anchor| all.partition_point(|transaction| transaction.number > anchor))
            .min(last)
    }

    /// Tells the list how much room it has; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, area: Rect) {
        self.page = usize::from(area.height.saturating_sub(2));
    }

    /// Draws it: a rule with the title, the headings, the operations.
    pub(super) fn render(
        &self,
        all: &[&Transaction],
        (pid, start, what): (u32, u64, &str),
        theme: Theme,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        if area.is_empty() {
            return;
        }
        let first = self.first(all);
        let place =
            if first > 0 { format!(", from the {}th on", first + 1) } else { String::new() };
        let title = format!("{} operations on {what}, newest first{place}", all.len());
        rule::render(&title, theme, area, buffer);
        let widths = share(&COLUMNS.map(|(_, want, _)| want), area.width);
        let mut line = |y: u16, cells: &[(String, Style)]| {
            for (i, x, width) in places(&widths) {
                let (text, style) = &cells[i];
                let text = fit(text, width.into(), COLUMNS[i].2);
                buffer.set_stringn(area.x + x, y, text, width.into(), *style);
            }
        };
        if area.height > 1 {
            line(area.y + 1, &COLUMNS.map(|(title, ..)| (title.to_owned(), Theme::value())));
        }
        for (y, transaction) in (area.y + 2..area.bottom()).zip(&all[first..]) {
            line(y, &cells(transaction, pid, start, theme));
        }
        if all.is_empty() && area.height > 2 {
            let text = fit("none yet", area.width.into(), Align::Left);
            buffer.set_stringn(area.x, area.y + 2, text, area.width.into(), theme.quiet());
        }
    }
}

/// What each column says about an operation, and how it looks.
fn cells(transaction: &Transaction, pid: u32, start: u64, theme: Theme) -> [(String, Style); 6] {
    let cause = &transaction.cause;
    let plain = Style::new();
    let (style, took, is_other) = match cause {
        Cause::Operation(event) => (
            theme.family(event.probe.family()),
            event.duration.map_or_else(String::new, units::duration),
            event.by.kernel || event.by.pid != pid,
        ),
        Cause::Unseen => (theme.quiet(), String::new(), false),
        Cause::Lost(_) => (theme.alarm(), String::new(), false),
    };
    let changed = if transaction.changes.is_empty() { theme.quiet() } else { plain };
    [
        (units::seconds_since(start, transaction.time), theme.quiet()),
        (history::name(cause).to_owned(), style),
        (history::by(cause, pid), if is_other { theme.notice() } else { plain }),
        (history::changes(transaction), changed),
        (history::detail(cause), plain),
        (took, plain),
    ]
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::{Operations, concerning};
    use crate::track::{fixture, map::Tracked};

    const M: u64 = 1 << 20;

    fn map(splits: u64) -> Tracked {
        let mut map = fixture::huge(0, 128 * M, 64);
        for i in 0..splits {
            map.event(fixture::split(100 * (i + 1), i * 2 * M));
        }
        map
    }

    fn numbers(list: &Operations, map: &Tracked) -> Vec<u64> {
        let all = concerning(map, &(0..128 * M), &[]);
        let first = list.first(&all);
        all[first..].iter().take(list.page).map(|transaction| transaction.number).collect()
    }

    #[test]
    fn only_those_that_concern_the_range() {
        let map = map(10);
        let some = concerning(&map, &(4 * M..8 * M), &[9]);
        assert_eq!(some.iter().map(|one| one.number).collect::<Vec<_>>(), [9, 4, 3]);
        assert_eq!(map.makers(&(4 * M..8 * M)), [3, 4]);
    }

    #[test]
    fn it_follows_the_newest_until_scrolled() {
        let mut list = Operations::default();
        list.make_fit(Rect::new(0, 0, 80, 5));
        let mut map = map(10);
        assert_eq!(numbers(&list, &map), [10, 9, 8]);
        list.step(&concerning(&map, &(0..128 * M), &[]), 2);
        map.event(fixture::split(5000, 40 * M));
        assert_eq!(numbers(&list, &map), [8, 7, 6]);
        list.page(&concerning(&map, &(0..128 * M), &[]), 9);
        assert_eq!(numbers(&list, &map), [3, 2, 1]);
        list.step(&concerning(&map, &(0..128 * M), &[]), isize::MIN);
        map.event(fixture::split(6000, 42 * M));
        assert_eq!(numbers(&list, &map), [12, 11, 10]);
    }
}
