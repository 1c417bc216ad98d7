//! Which part of a VMA is in view, and where the cursor is.

use std::ops::Range;

use crate::{maps::strip::Slices, model::leaf::LeafSize};

/// A window on a range of whole pages. The cursor is always in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zoom {
    whole: Range<u64>,
    start: u64,
    span: u64,
    cursor: u64,
    /// Cells that the window is shown in.
    cells: usize,
}

impl Zoom {
    /// All of a range, with the cursor at its beginning.
    pub(super) fn new(whole: Range<u64>) -> Self {
        let (start, span) = (whole.start, whole.end - whole.start);
        Self { whole, start, span, cursor: start, cells: 1 }
    }

    /// The range may be another one now, and the width too.
    pub(super) fn fit(&mut self, whole: Range<u64>, cells: usize) {
        let shows_all = self.span == self.whole.end - self.whole.start;
        self.whole = whole;
        self.cells = cells.max(1);
        let span = if shows_all { u64::MAX } else { self.span };
        self.show(self.start, span);
        self.put(self.cursor);
    }

    /// What is in view.
    pub(super) fn window(&self) -> Range<u64> {
        self.start..self.start + self.span
    }

    /// Whether it is all of the range.
    pub(super) fn is_whole(&self) -> bool {
        self.window() == self.whole
    }

    /// The address that the cursor is on: the first one of its cell.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The slices that the cells stand for.
    pub(super) fn slices(&self) -> Slices {
        Slices::new(&self.window(), self.cells)
    }

    /// Shows half as much, around the cursor, down to single pages.
    pub(super) fn zoom_in(&mut self) {
        self.scale(self.span / 2);
    }

    /// Shows twice as much, around the cursor.
    pub(super) fn zoom_out(&mut self) {
        self.scale(self.span.saturating_mul(2));
    }

    /// Shows all of it.
    pub(super) fn zoom_whole(&mut self) {
        self.show(self.whole.start, u64::MAX);
    }

    /// The cursor keeps its place on the screen.
    fn scale(&mut self, span: u64) {
        let span = self.possible(span);
        let ahead = u128::from(self.cursor - self.start) * u128::from(span);
        let ahead = ahead / u128::from(self.span.max(1));
        let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
        self.show(self.cursor.saturating_sub(ahead), span);
        self.put(self.cursor);
    }

    /// Moves the cursor by cells; at the edge the window moves.
    pub(super) fn step(&mut self, cells: isize) {
        let slices = self.slices();
        let last = slices.len().saturating_sub(1);
        let at = slices.of(self.cursor);
        let beyond = match at.checked_add_signed(cells) {
            Some(to) if to <= last => {
                self.cursor = slices.at(to).start;
                return;
            }
            Some(to) => to - last,
            None => cells.unsigned_abs() - at,
        };
        let cell = (self.span / self.cells as u64).max(LeafSize::BASE.bytes());
        self.shift(cells < 0, cell.saturating_mul(beyond as u64));
        self.put(if cells < 0 { self.start } else { self.window().end - 1 });
    }

    /// Moves the window by halves of itself; the cursor goes with it.
    pub(super) fn pan(&mut self, halves: isize) {
        let before = self.start;
        self.shift(halves < 0, (self.span / 2).saturating_mul(halves.unsigned_abs() as u64));
        let cursor = (self.cursor - before).saturating_add(self.start);
        self.put(cursor);
    }

    fn shift(&mut self, back: bool, bytes: u64) {
        let start =
            if back { self.start.saturating_sub(bytes) } else { self.start.saturating_add(bytes) };
        self.show(start, self.span);
    }

    /// Puts the cursor on the cell of an address; the window moves there.
    pub(super) fn go(&mut self, address: u64) {
        if !self.window().contains(&address) {
            self.show(address.saturating_sub(self.span / 2), self.span);
        }
        self.put(address);
    }

    fn put(&mut self, address: u64) {
        let slices = self.slices();
        self.cursor = slices.at(slices.of(address)).start;
    }

    /// A window of whole pages that lies in the range, and is not smaller than its cells.
    fn show(&mut self, start: u64, span: u64) {
        let page = LeafSize::BASE.bytes();
        self.span = self.possible(span);
        let last = self.whole.end - self.span;
        self.start = (start & !(page - 1)).clamp(self.whole.start, last);
    }

    fn possible(&self, span: u64) -> u64 {
        let page = LeafSize::BASE.bytes();
        let least = page.saturating_mul(self.cells as u64);
        (span & !(page - 1)).max(least).min(self.whole.end - self.whole.start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Zoom;

    const PAGE: u64 = 4096;

    fn zoom() -> Zoom {
        let mut zoom = Zoom::new(100 * PAGE..740 * PAGE);
        zoom.fit(100 * PAGE..740 * PAGE, 10);
        zoom
    }

    #[test]
    fn down_to_single_pages_and_back() {
        let mut zoom = zoom();
        zoom.step(5);
        assert_eq!(zoom.cursor(), 420 * PAGE);
        zoom.zoom_in();
        assert_eq!(zoom.window(), 260 * PAGE..580 * PAGE);
        for _ in 0..9 {
            zoom.zoom_in();
        }
        assert_eq!(zoom.window().end - zoom.window().start, 10 * PAGE);
        assert_eq!(zoom.cursor(), 420 * PAGE);
        zoom.step(-7);
        assert_eq!(zoom.cursor(), 413 * PAGE);
        zoom.zoom_whole();
        assert!(zoom.is_whole());
    }

    #[test]
    fn the_ends_hold() {
        let mut zoom = zoom();
        zoom.zoom_in();
        zoom.pan(99);
        zoom.step(99);
        assert_eq!((zoom.window().end, zoom.cursor()), (740 * PAGE, 708 * PAGE));
        zoom.step(-99);
        zoom.pan(-99);
        zoom.step(-99);
        assert_eq!((zoom.window().start, zoom.cursor()), (100 * PAGE, 100 * PAGE));
        zoom.go(500 * PAGE);
        assert!(zoom.window().contains(&(500 * PAGE)));
    }

    #[test]
    fn what_shows_all_goes_on_showing_all() {
        let mut zoom = zoom();
        zoom.fit(50 * PAGE..900 * PAGE, 10);
        assert!(zoom.is_whole());
        zoom.fit(50 * PAGE..52 * PAGE, 10);
        assert_eq!(zoom.window(), 50 * PAGE..52 * PAGE);
        zoom.step(1);
        assert_eq!(zoom.cursor(), 51 * PAGE);
    }

    proptest! {
        #[test]
        fn the_window_is_in_the_range_and_the_cursor_in_the_window(
            keys in prop::collection::vec((0_u8..7, -40_isize..40, 1_u64..900, 1_usize..200), 0..40),
        ) {
            let mut zoom = zoom();
            let mut whole = 100 * PAGE..740 * PAGE;
            for (key, by, pages, cells) in keys {
                match key {
                    0 => zoom.zoom_in(),
                    1 => zoom.zoom_out(),
                    2 => zoom.zoom_whole(),
                    3 => zoom.step(by),
                    4 => zoom.pan(by),
                    5 => zoom.go(pages * PAGE),
                    _ => {
                        whole = pages * PAGE..(pages + 3) * PAGE * 2;
                        zoom.fit(whole.clone(), cells);
                    }
                }
                let window = zoom.window();
                prop_assert!(whole.start <= window.start && window.end <= whole.end);
                prop_assert!(window.start.is_multiple_of(PAGE) && !window.is_empty());
                prop_assert!(window.contains(&zoom.cursor()) && zoom.cursor().is_multiple_of(PAGE));
            }
        }
    }
}
