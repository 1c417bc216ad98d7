//! One VMA: a strip that can be zoomed, what is under the cursor, and what was done to it.

use ratatui::layout::Rect;

use super::{
    cells::{Cell, cells},
    keys::Action,
    operations::{Operations, concerning},
    revision::Made,
    zoom::Zoom,
};
use crate::{
    model::{diff::State, sizes::Sizes, vma::Vma},
    track::{log::Transaction, map::Tracked},
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
    pub(super) zoom: Zoom,
    /// The VMA when it was there last.
    pub(super) vma: Vma,
    pub(super) is_gone: bool,
    pub(super) operations: Operations,
    pub(super) strip: Rect,
    pub(super) list: Rect,
    /// What is in view was made of this, for this window.
    made: Option<(Made, Zoom)>,
    pub(super) shown: Vec<Cell>,
    makers: Vec<u64>,
    pub(super) sum: Sum,
}

/// What a VMA comes to.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) sizes: Sizes,
    pub(super) holes: u64,
    pub(super) changed: Option<u64>,
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
            made: None,
            shown: Vec::new(),
            makers: Vec::new(),
            sum: Sum::default(),
        }
    }

    /// Gives it its room, and follows the VMA; call it before [`Self::render`].
    pub(super) fn make_fit(&mut self, known: &Tracked, now: u64, area: Rect) {
        // Of two parts of what was one, the one with the cursor.
        let vma = known.vma_at(self.zoom.cursor()).or_else(|| known.vma_at(self.vma.start));
        self.is_gone = vma.is_none();
        if let Some(vma) = vma {
            self.vma = vma.clone();
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
        self.make(known, now);
    }

    /// Makes what is in view, if that is something else than the last time.
    fn make(&mut self, known: &Tracked, now: u64) {
        let holds =
            |(made, zoom): &(Made, Zoom)| *zoom == self.zoom && made.still_holds(known, now);
        if self.made.as_ref().is_some_and(holds) {
            return;
        }
        let window = self.zoom.window();
        self.made = Some((Made::of(known, now), self.zoom.clone()));
        self.shown = cells(known, &window, self.strip.width.into());
        self.makers = known.makers(&window);
        self.sum = Sum::default();
        let Sum { sizes, holes, changed } = &mut self.sum;
        for (range, piece) in known.pieces(&self.vma.range()) {
            let bytes = range.end - range.start;
            sizes.add(piece.state, bytes);
            *holes += if piece.state == State::Hole { bytes } else { 0 };
            *changed = (*changed).max((piece.by != 0).then_some(piece.since));
        }
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
    pub(super) fn all<'a>(&self, seen: Seen<'a>) -> Vec<&'a Transaction> {
        concerning(seen.log, &self.zoom.window(), &self.makers)
    }
}
