//! The help that lies over the view, made from the key table.

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Rect},
    text::{Line, Span, Text},
    widgets::{Block, Clear, Paragraph, Widget as _},
};

use super::{keys::groups, theme::Theme};
use crate::text::{Align, fit, wrap};

/// What the numbers mean, as far as their headings do not say it.
const ABOUT: &[(&str, &str)] = &[
    ("events/s", "Operations that the probes see; one that lies within another counts too."),
    ("FAULT/s", "All page faults; hugetlb and THP faults are among them."),
    ("ALL/s", "All operations, none counted twice. The table is sorted by it at first."),
    (
        "TIME%",
        "Share of one CPU that the kernel spent on the address space, by whomever: faults, \
         collapses and walks; splits only where they alone took longer.",
    ),
    ("TOTAL", "Operations since the beginning, none counted twice."),
    (
        "1G 2M … 4K",
        "Bytes mapped by leaves of this size; CONT: of sizes between 4K and 2M; NOTPRES: in swap, \
         under migration, or markers. The header tells how old they are.",
    ),
    ("CHANGED", "How long ago a leaf of the VMA changed last."),
    (
        "CHANGES",
        "Bytes by what they were before an operation and after it; unseen: no event told of it.",
    ),
    (
        "G … H …",
        "Of walkers: on the generic path, and on the hugetlb path. Rates are the last ones; TIME, times and ratios are of \
         all calls since the counting began.",
    ),
    (
        "G/H",
        "How many times as long generic takes for a leaf, with its 95 % interval; ? without one: too few calls.",
    ),
    ("BY", "Who did it, when it was not the process itself; [name] is a kernel thread."),
];

/// The help, and how far it is scrolled.
#[derive(Debug, Default)]
pub(super) struct Help {
    open: bool,
    offset: u16,
    last: u16,
}

impl Help {
    /// It is shown.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Shows it from its beginning, or hides it.
    pub(super) fn toggle(&mut self) {
        *self = Self { open: !self.open, offset: 0, ..*self };
    }

    /// Scrolls by lines.
    pub(super) fn step(&mut self, lines: i16) {
        self.offset = self.offset.saturating_add_signed(lines).min(self.last);
    }

    /// Scrolls by pages: a good part of what any terminal shows.
    pub(super) fn page(&mut self, pages: i16) {
        self.step(pages.saturating_mul(5));
    }

    /// Tells the help how much room it has; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, area: Rect) {
        let inner = block().inner(place(area));
        let lines = lines(Theme::new(false), inner.width).len();
        let last = lines.saturating_sub(inner.height.into());
        self.last = u16::try_from(last).unwrap_or(u16::MAX);
        self.offset = self.offset.min(self.last);
    }

    /// Draws it, when it is open.
    pub(super) fn render(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        if !self.open {
            return;
        }
        let area = place(area);
        let below = if self.offset < self.last { " ↓ more " } else { "" };
        let block = block().border_style(theme.quiet()).title_bottom(Line::raw(below).centered());
        let inner = block.inner(area);
        Clear.render(area, buffer);
        Paragraph::new(Text::from(lines(theme, inner.width)))
            .block(block)
            .scroll((self.offset, 0))
            .render(area, buffer);
    }
}

fn block() -> Block<'static> {
    Block::bordered().title(" Keys ")
}

/// In the middle, no wider than can be read well and no higher than needed.
fn place(area: Rect) -> Rect {
    let width = area.width.min(80);
    let lines = lines(Theme::new(false), width.saturating_sub(2)).len();
    let height = area.height.min(u16::try_from(lines + 2).unwrap_or(u16::MAX));
    area.centered(Constraint::Length(width), Constraint::Length(height))
}

/// The text in lines of this width.
fn lines(theme: Theme, room: u16) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (heading, bindings) in groups() {
        lines.push(Line::styled(heading, theme.title()));
        for binding in bindings {
            entry(&mut lines, theme, room, &binding.names(), binding.help);
        }
        lines.push(Line::default());
    }
    lines.push(Line::styled("Columns", theme.title()));
    for (name, text) in ABOUT {
        entry(&mut lines, theme, room, name, text);
    }
    lines
}

/// A name on the left and its text, broken into lines, on the right.
fn entry(lines: &mut Vec<Line<'static>>, theme: Theme, room: u16, name: &str, text: &str) {
    const NAME: usize = 12;
    let mut name = name;
    for text in wrap(text, usize::from(room).saturating_sub(NAME + 1).max(8)) {
        lines.push(Line::from(vec![
            Span::styled(fit(name, NAME, Align::Left), theme.key()),
            Span::raw(format!(" {text}")),
        ]));
        name = "";
    }
}
