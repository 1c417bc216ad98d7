//! How one VMA looks.

use std::ops::Range;

use ratatui::{buffer::Buffer, style::Style};

use super::{
    cells::{Cell, Freshness},
    theme::Theme,
    vma::{OneVma, Seen, Sum},
};
use crate::{
    maps::{
        history,
        tone::{TONES, Tone},
    },
    model::sizes::{SizeClass, Sizes},
    text::{Align, fit, plain},
    track::pieces::Known,
    units,
};

impl OneVma {
    /// Draws it.
    pub(super) fn render(
        &self,
        seen: Seen<'_>,
        (follows, follows_style): &(String, Style),
        theme: Theme,
        buffer: &mut Buffer,
    ) {
        let area = self.strip;
        let shown = self.shown.as_slice();
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
        text(&self.below(shown), Theme::value(), buffer);
        text(&self.under_cursor(seen), Theme::value(), buffer);
        text(&legend(shown), theme.quiet(), buffer);
        self.strip(shown, seen.now, theme, buffer);
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
        let Sum { sizes, holes, changed } = &self.sum;
        let changed = changed.map_or_else(
            || "no leaf changed".to_owned(),
            |time| format!("changed {} ago", units::age(seen.now.saturating_sub(time))),
        );
        format!("{}, hole {}; {changed}", totals(sizes), units::bytes(*holes))
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
