//! A VMA in one line: each cell stands for a slice of it.

use std::ops::Range;

use super::{
    Look,
    tone::{TONES, Tone},
};
use crate::model::{leaf::LeafSize, map::LeafMap};

/// Which classes of leaves have been shown; the legend explains these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown(u32);

impl Shown {
    /// Remembers a class.
    pub fn insert(&mut self, tone: Tone) {
        self.0 |= 1 << tone.index();
    }

    /// The classes, in the order of the legend.
    pub fn tones(self) -> impl Iterator<Item = Tone> {
        Tone::all().filter(move |tone| self.0 & (1 << tone.index()) != 0)
    }
}

/// What each cell shows: at most `cells` of them, and never more than the VMA has base pages.
///
/// Slices have the same number of base pages, or one more or less. A leaf larger than a slice is in
/// each of the slices that it reaches into. A mixed slice looks like [`Tone::dominant`] says.
/// In O(runs + cells).
#[must_use]
pub fn tones(map: &LeafMap, cells: usize) -> Vec<Tone> {
    let slices = Slices::new(&map.vma().range(), cells);
    let mut tones = Vec::with_capacity(slices.cells);
    let mut bytes = [0; TONES];
    let mut slice = slices.at(0);
    for batch in map {
        let tone = Tone::from(&batch.run);
        bytes[tone.index()] += batch.run.overlap(&slice);
        while slice.end <= batch.run.end() && tones.len() < slices.cells {
            tones.push(Tone::dominant(&bytes));
            slice = slices.at(tones.len());
            bytes = [0; TONES];
            bytes[tone.index()] = batch.run.overlap(&slice);
        }
    }
    tones
}

/// The addresses that a cell stands for; see [`tones`].
#[must_use]
pub fn slice(map: &LeafMap, cells: usize, cell: usize) -> Range<u64> {
    Slices::new(&map.vma().range(), cells).at(cell)
}

/// A range of whole base pages cut into slices, which have the same number of pages, or one more or less.
#[derive(Clone, Debug)]
pub(crate) struct Slices {
    start: u64,
    pages: u64,
    cells: usize,
}

impl Slices {
    /// At most `cells` of them, and never more than the range has base pages.
    pub(crate) fn new(range: &Range<u64>, cells: usize) -> Self {
        let pages = (range.end - range.start) >> LeafSize::BASE.shift();
        let cells = usize::try_from(pages).unwrap_or(usize::MAX).min(cells);
        Self { start: range.start, pages, cells }
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.cells
    }

    /// The addresses of one.
    pub(crate) fn at(&self, cell: usize) -> Range<u64> {
        self.border(cell)..self.border(cell + 1)
    }

    /// The one that an address lies in; of those outside of the range, the nearest.
    pub(crate) fn of(&self, address: u64) -> usize {
        let page = address.saturating_sub(self.start) >> LeafSize::BASE.shift();
        // The last cell that begins at the page or before it: `border` rounds down.
        let cell = (u128::from(page) + 1) * self.cells as u128;
        let cell = cell.div_ceil(u128::from(self.pages.max(1))).saturating_sub(1);
        usize::try_from(cell).unwrap_or(usize::MAX).min(self.cells.saturating_sub(1))
    }

    fn border(&self, cell: usize) -> u64 {
        let pages = u128::from(self.pages) * cell as u128 / self.cells.max(1) as u128;
        // Not beyond the end of the range; the slice after the last one is empty.
        let pages = u64::try_from(pages).unwrap_or(u64::MAX).min(self.pages);
        self.start + (pages << LeafSize::BASE.shift())
    }
}

/// The strip as text of at most `cells` cells; remembers what is shown.
#[must_use]
pub fn strip(map: &LeafMap, cells: usize, look: Look, shown: &mut Shown) -> String {
    let tones = tones(map, cells);
    let mut text = String::new();
    for same in tones.chunk_by(|a, b| a == b) {
        shown.insert(same[0]);
        let glyphs: String = same.iter().map(|&tone| glyph(tone, look)).collect();
        text += &look.paint(same[0].face().sgr, &glyphs);
    }
    text
}

/// What the glyphs mean: `▆ 2M   ▂ 4K   · hole`.
#[must_use]
pub fn legend(shown: Shown, look: Look) -> String {
    let entry = |tone: Tone| {
        let glyph = glyph(tone, look).to_string();
        format!("{} {}", look.paint(tone.face().sgr, &glyph), tone.face().word)
    };
    shown.tones().map(entry).collect::<Vec<_>>().join("   ")
}

const fn glyph(tone: Tone, look: Look) -> char {
    if look.ascii { tone.face().ascii } else { tone.face().glyph }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Shown, Slices, legend, slice, strip, tones};
    use crate::{
        maps::{Look, tone::Tone},
        model::{
            fixture::{any_set, run, set_of, vma},
            leaf::{LeafKind, LeafSize},
        },
    };

    #[test]
    fn slices_show_what_is_in_them() {
        let leaves = [
            run(0, LeafSize::PMD, 2, LeafKind::Present),
            run(4 << 20, LeafSize::BASE, 512, LeafKind::Present),
            run(6 << 20, LeafSize::BASE, 1, LeafKind::Swap),
        ];
        let set =
            set_of([(vma(0..16 << 20), leaves.to_vec()), (vma(1 << 30..(1 << 30) + 8192), vec![])]);
        let mut shown = Shown::default();
        assert_eq!(strip(&set.maps()[0], 16, Look::PLAIN, &mut shown), "▆▆▆▆▂▂s·········");
        let ascii = Look { ascii: true, ..Look::PLAIN };
        assert_eq!(strip(&set.maps()[0], 4, ascii, &mut shown), "Mk..");
        assert_eq!(strip(&set.maps()[1], 16, ascii, &mut shown), "..");
        assert_eq!(strip(&set.maps()[1], 0, ascii, &mut shown), "");
        assert_eq!(legend(shown, ascii), "M 2M   k 4K   s swap   . hole");
        let color = Look { color: true, ..ascii };
        let text = strip(&set.maps()[0], 4, color, &mut shown);
        assert_eq!(text, "\x1b[32mM\x1b[0m\x1b[33mk\x1b[0m\x1b[90m..\x1b[0m");
    }

    proptest! {
        #[test]
        fn each_page_is_in_its_slice(start in 0_u64..100, pages in 1_u64..500, cells in 1_usize..90) {
            let slices = Slices::new(&(start << 12..(start + pages) << 12), cells);
            for page in start..start + pages {
                let address = (page << 12) + 17;
                prop_assert!(slices.at(slices.of(address)).contains(&address));
            }
            prop_assert_eq!(slices.of(0), 0);
            prop_assert_eq!(slices.of(u64::MAX), slices.len() - 1);
        }

        #[test]
        fn one_pass_is_the_same_as_a_walk_for_each_cell(set in any_set(), cells in 1_usize..40) {
            for map in set.maps() {
                let tones = tones(map, cells);
                prop_assert!(tones.len() <= cells);
                let mut end = map.vma().start;
                for (cell, tone) in tones.iter().enumerate() {
                    let range = slice(map, cells, cell);
                    prop_assert_eq!(range.start, end);
                    end = range.end;
                    let mut bytes = [0; super::TONES];
                    for batch in map.walk(range.clone()) {
                        bytes[Tone::from(&batch.run).index()] += batch.run.overlap(&range);
                    }
                    prop_assert_eq!(*tone, Tone::dominant(&bytes));
                }
                prop_assert_eq!(end, map.vma().end);
            }
        }
    }
}
