//! A range of a map that lives in one line: each cell stands for a slice of it.

use std::ops::Range;

use ratatui::style::Style;

use super::theme::Theme;
use crate::{
    maps::{
        strip::Slices,
        tone::{TONES, Tone},
    },
    model::diff::State,
    track::{map::Tracked, pieces::Known},
};

/// What a cell shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// What most of the slice is; `None` where no VMA is.
    pub(super) tone: Option<Tone>,
    /// How it is known: the least that is known of any part of the slice.
    pub(super) known: Known,
    /// When something in it changed last, in ns; `None` when it is as it was at the beginning.
    pub(super) changed: Option<u64>,
}

/// How long ago something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Freshness {
    /// Within a second.
    Now,
    /// Within five.
    Recent,
    /// Within half a minute.
    Past,
    /// Longer ago, or never.
    Old,
}

impl Freshness {
    /// Of what changed then.
    pub(super) fn of(changed: Option<u64>, now: u64) -> Self {
        let Some(changed) = changed else { return Self::Old };
        match now.saturating_sub(changed) / 1_000_000_000 {
            0 => Self::Now,
            1..5 => Self::Recent,
            5..30 => Self::Past,
            _ => Self::Old,
        }
    }

    /// What marks it where colours do not.
    pub(super) const fn mark(self) -> &'static str {
        match self {
            Self::Now => "▼",
            Self::Recent => "▽",
            Self::Past => "▿",
            Self::Old => " ",
        }
    }
}

impl Cell {
    const NOTHING: Self = Self { tone: None, known: Known::Scanned, changed: None };

    /// Its glyph.
    pub(super) fn glyph(&self) -> char {
        self.tone.map_or(' ', |tone| tone.face().glyph)
    }

    /// How it looks at a moment.
    pub(super) fn style(&self, theme: Theme, now: u64) -> Style {
        let tone = self.tone.map_or(Style::new(), |tone| theme.tone(tone));
        tone.patch(Theme::known(self.known)).patch(Theme::fresh(Freshness::of(self.changed, now)))
    }
}

/// The cells of a range: at most so many, and never more than it has base pages. In O(pieces + cells).
pub(super) fn cells(map: &Tracked, range: &Range<u64>, cells: usize) -> Vec<Cell> {
    let slices = Slices::new(range, cells);
    let mut shown = vec![Cell::NOTHING; slices.len()];
    let mut bytes: Vec<Option<[u64; TONES]>> = vec![None; slices.len()];
    if shown.is_empty() {
        return shown;
    }
    for (part, piece) in map.pieces(range) {
        let tone = match piece.state {
            State::NoVma => continue,
            State::Hole => Tone::HOLE,
            State::Leaf(size, kind) => Tone::of(size, kind),
        };
        let changed = (piece.by != 0).then_some(piece.since);
        for at in slices.of(part.start)..=slices.of(part.end - 1) {
            let slice = slices.at(at);
            let overlap = part.end.min(slice.end).saturating_sub(part.start.max(slice.start));
            bytes[at].get_or_insert([0; TONES])[tone.index()] += overlap;
            shown[at].known = shown[at].known.max(piece.source);
            shown[at].changed = shown[at].changed.max(changed);
        }
    }
    for (cell, bytes) in shown.iter_mut().zip(&bytes) {
        cell.tone = bytes.as_ref().map(Tone::dominant);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{Freshness, cells};
    use crate::{
        model::{
            fixture::{run, vma},
            leaf::{LeafKind, LeafSize},
        },
        track::{fixture, map::Tracked, pieces::Known},
    };

    const M: u64 = 1 << 20;

    #[test]
    fn cells_show_what_is_there_how_it_is_known_and_what_changed() {
        let mut map = Tracked::new(fixture::PID);
        let huge = run(0, LeafSize::PMD, 2, LeafKind::Present);
        map.read(&fixture::start(100, vma(0..8 * M), vec![huge]));
        map.event(fixture::split(200, 2 * M));
        let shown = cells(&map, &(0..10 * M), 5);
        let glyphs: String = shown.iter().map(super::Cell::glyph).collect();
        assert_eq!(glyphs, "▆▂·· ");
        let known: Vec<_> = shown.iter().map(|cell| cell.known).collect();
        assert_eq!(known[..3], [Known::Scanned, Known::Observed, Known::Scanned]);
        let changed: Vec<_> = shown.iter().map(|cell| cell.changed).collect();
        assert_eq!(changed, [None, Some(210), None, None, None]);
        assert_eq!(cells(&map, &(0..4096), 5).len(), 1);
        assert!(cells(&map, &(0..0), 5).is_empty() && cells(&map, &(0..M), 0).is_empty());
    }

    #[test]
    fn changes_fade() {
        let at = |seconds: u64| Freshness::of(Some(5), 5 + seconds * 1_000_000_000);
        assert_eq!(at(0), Freshness::Now);
        assert_eq!([at(1), at(4)], [Freshness::Recent; 2]);
        assert_eq!([at(5), at(29)], [Freshness::Past; 2]);
        assert_eq!([at(30), Freshness::of(None, 0)], [Freshness::Old; 2]);
    }
}
