//! One VMA: a strip that can be zoomed, what is under the cursor, and what was done to it.

use std::ops::Range;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    cells::{Cell, Freshness, cells},
    keys::Action,
    operations::{Operations, concerning},
    theme::Theme,
    zoom::Zoom,
};
use crate::{
    maps::{
        history,
        tone::{TONES, Tone},
    },
    model::{
        diff::State,
        sizes::{SizeClass, Sizes},
        vma::Vma,
    },
    text::{Align, fit, plain},
    track::{log::Transaction, map::Tracked, pieces::Known},
    units,
};

/// What is shown at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// The map; of a process that has ended, the last one before that.
    pub(super) known: &'a Tracked,
    /// The map as it goes on, for its operations.
    pub(super) log: &'a Tracked,
    /// In ns of `CLOCK_MONOTONIC`.
    pub(super) now: u64,
    /// The moment that the operations call 0.
    pub(super) start: u64,
}

/// The view of one VMA, and what the user made of it.
#[derive(Debug)]
pub(super) struct OneVma {
    zoom: Zoom,
    /// The VMA when it was there last.
    vma: Vma,
    is_gone: bool,
    operations: Operations,
    strip: Rect,
    list: Rect,
}

impl OneVma {
    /// All of it.
    pub(super) fn new(vma: Vma) -> Self {
        Self {
            zoom: Zoom::new(vma.range()),
            vma,
            is_gone: false,
            operations: Operations::default(),
            strip: Rect::ZERO,
            list: Rect::ZERO,
        }
    }

    /// Gives it its room, and follows the VMA; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, known: &Tracked, area: Rect) {
        // Of two parts of what was one, the one with the cursor.
        let now = known.vma_at(self.zoom.cursor()).or_else(|| known.vma_at(self.vma.start));
        self.is_gone = now.is_none();
        if let Some(now) = now {
            self.vma = now.clone();
        }
        self.zoom.fit(self.vma.range(), area.width.into());
        let above = match area.height {
            0..6 => area.height,
            6..10 => 4,
            10..14 => 6,
            _ => 9,
        };
        self.strip = Rect { height: above, ..area };
        self.list = Rect { y: area.y + above, height: area.height - above, ..area };
        self.operations.make_fit(self.list);
    }

    /// Does what a key asks for; says whether it was one of this view.
    pub(super) fn act(&mut self, action: Action, seen: Seen<'_>) -> bool {
        match action {
            Action::Left => self.zoom.step(-1),
            Action::Right => self.zoom.step(1),
            Action::PanLeft => self.zoom.pan(-1),
            Action::PanRight => self.zoom.pan(1),
            Action::ZoomIn => self.zoom.zoom_in(),
            Action::ZoomOut => self.zoom.zoom_out(),
            Action::ZoomWhole => self.zoom.zoom_whole(),
            Action::LastChange => {
                let pieces = seen.known.pieces(&self.vma.range());
                let changed = pieces.iter().filter(|(_, piece)| piece.by != 0);
                if let Some((range, _)) = changed.max_by_key(|(_, piece)| piece.since) {
                    self.zoom.go(range.start);
                }
            }
            Action::Up => self.operations.step(&self.all(seen), -1),
            Action::Down => self.operations.step(&self.all(seen), 1),
            Action::PageUp => self.operations.page(&self.all(seen), -1),
            Action::PageDown => self.operations.page(&self.all(seen), 1),
            Action::First => self.operations.step(&self.all(seen), isize::MIN),
            Action::Last => self.operations.step(&self.all(seen), isize::MAX),
            _ => return false,
        }
        true
    }

    /// The operations on what is in view.
    fn all<'a>(&self, seen: Seen<'a>) -> Vec<&'a Transaction> {
        concerning(seen.log, seen.known, &self.zoom.window())
    }

    /// Draws it.
    pub(super) fn render(
        &self,
        seen: Seen<'_>,
        (follows, follows_style): &(String, Style),
        theme: Theme,
        buffer: &mut Buffer,
    ) {
        let area = self.strip;
        let shown = cells(seen.known, &self.zoom.window(), area.width.into());
        let mut y = area.y;
        let mut text = |text: &str, style: Style, buffer: &mut Buffer| {
            if y < area.bottom() {
                let text = fit(text, area.width.into(), Align::Left);
                buffer.set_stringn(area.x, y, text, area.width.into(), style);
            }
            y += 1;
        };
        text(&self.title(seen), theme.title(), buffer);
        if area.height >= 9 {
            text(&self.totals(seen), Style::new(), buffer);
            text(follows, *follows_style, buffer);
        }
        if area.height >= 6 {
            text(&self.window(), Style::new(), buffer);
            let marks: String =
                shown.iter().map(|cell| Freshness::of(cell.changed, seen.now).mark()).collect();
            text(&marks, theme.notice(), buffer);
        }
        text("", Style::new(), buffer);
        text(&self.below(&shown), Theme::value(), buffer);
        text(&self.under_cursor(seen), Theme::value(), buffer);
        text(&legend(&shown), theme.quiet(), buffer);
        self.strip(&shown, seen.now, theme, buffer);
        let what = if self.zoom.is_whole() { "this VMA" } else { "the part in view" };
        let about = (seen.known.pid(), seen.start, what);
        self.operations.render(&self.all(seen), about, theme, self.list, buffer);
    }

    /// The strip itself, with the cell of the cursor reversed.
    fn strip(&self, shown: &[Cell], now: u64, theme: Theme, buffer: &mut Buffer) {
        let above = match self.strip.height {
            0..6 => 1,
            6..9 => 3,
            _ => 5,
        };
        let y = self.strip.y + above;
        if y >= self.strip.bottom() {
            return;
        }
        let cursor = self.zoom.slices().of(self.zoom.cursor());
        for ((at, cell), x) in shown.iter().enumerate().zip(self.strip.x..self.strip.right()) {
            let style = cell.style(theme, now);
            let style = if at == cursor { style.patch(Theme::selected()) } else { style };
            buffer.set_string(x, y, cell.glyph().to_string(), style);
        }
    }

    fn title(&self, seen: Seen<'_>) -> String {
        let vma = &self.vma;
        let gone = if self.is_gone { "  GONE" } else { "" };
        format!(
            "{:x}-{:x}  {} {} {} {}{gone}  of {} {}",
            vma.start,
            vma.end,
            units::bytes(vma.bytes()),
            vma.permissions,
            vma.kind,
            plain(&vma.name),
            seen.known.pid(),
            plain(seen.known.comm()),
        )
    }

    fn totals(&self, seen: Seen<'_>) -> String {
        let (mut sizes, mut holes, mut changed) = (Sizes::default(), 0, None);
        for (range, piece) in seen.known.pieces(&self.vma.range()) {
            let bytes = range.end - range.start;
            sizes.add(piece.state, bytes);
            holes += if piece.state == State::Hole { bytes } else { 0 };
            changed = changed.max((piece.by != 0).then_some(piece.since));
        }
        let changed = changed.map_or_else(
            || "no leaf changed".to_owned(),
            |time| format!("changed {} ago", units::age(seen.now.saturating_sub(time))),
        );
        format!("{}, hole {}; {changed}", totals(&sizes), units::bytes(holes))
    }

    fn window(&self) -> String {
        let Range { start, end } = self.zoom.window();
        let slice = self.zoom.slices().at(0);
        let part = if self.zoom.is_whole() {
            "all of it".to_owned()
        } else {
            format!("{} of {}", units::bytes(end - start), units::bytes(self.vma.bytes()))
        };
        let cell = units::bytes(slice.end - slice.start);
        format!("{part} in view, a cell is {cell}: {start:x}-{end:x}")
    }

    /// What is not certain, and where the cursor is.
    fn below(&self, shown: &[Cell]) -> String {
        let cursor = self.zoom.slices().of(self.zoom.cursor());
        let mark = |(at, cell): (usize, &Cell)| match cell.known {
            _ if at == cursor => '^',
            Known::Stale => '?',
            Known::Inferred => '~',
            Known::Scanned | Known::Observed => ' ',
        };
        shown.iter().enumerate().map(mark).collect()
    }

    fn under_cursor(&self, seen: Seen<'_>) -> String {
        let cursor = self.zoom.cursor();
        let piece = seen.known.pieces(&(cursor..cursor + 1)).into_iter().next();
        let standing = piece.map_or_else(
            || "no VMA".to_owned(),
            |(_, piece)| plain(&history::standing(seen.known, &piece, seen.now)),
        );
        format!("{cursor:x}: {standing}")
    }
}

/// Bytes by leaf size in words: `2M 40M, 4K 3M, not present 1M`.
pub(super) fn totals(sizes: &Sizes) -> String {
    let name = |class| match class {
        SizeClass::Between => "contiguous",
        SizeClass::NotPresent => "not present",
        class => class.title(),
    };
    let some = SizeClass::ALL.into_iter().filter(|&class| sizes.get(class) > 0);
    let text: Vec<_> =
        some.map(|class| format!("{} {}", name(class), units::bytes(sizes.get(class)))).collect();
    if text.is_empty() { "nothing mapped".to_owned() } else { text.join(", ") }
}

/// What the glyphs in view mean, and the marks.
fn legend(shown: &[Cell]) -> String {
    let mut is_shown = [false; TONES];
    for tone in shown.iter().filter_map(|cell| cell.tone) {
        is_shown[tone.index()] = true;
    }
    let tones = Tone::all().filter(|tone| is_shown[tone.index()]);
    let mut legend: Vec<String> =
        tones.map(|tone| format!("{} {}", tone.face().glyph, tone.face().word)).collect();
    legend.push("▼▽▿ changed within 1, 5, 30 s  ~ inferred  ? stale".to_owned());
    legend.join("  ")
}
