//! What leaves look like: a class of leaves has a glyph, a colour, and a word in the legend.

use crate::model::{
    leaf::{LeafKind, LeafSize, Run},
    sizes::SizeClass,
};

/// A class of leaves that look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tone(usize);

/// How a class of leaves looks, and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Face {
    /// A character of one cell.
    pub glyph: char,
    /// The same from ASCII.
    pub ascii: char,
    /// SGR parameter of one of the 16 colours.
    pub sgr: &'static str,
    /// Colour in pictures.
    pub rgb: &'static str,
    /// Height in pictures, in tenths: the smaller the leaf, the lower.
    pub tenths: u32,
    /// What it means.
    pub word: &'static str,
}

/// Present leaves by size, then the other kinds in the order of [`LeafKind`]. No two have the same
/// glyph or the same colour. Where bytes are equal, the first one wins a cell.
const FACES: [Face; TONES] = [
    face('█', 'G', "95", "#a21caf", 10, "1G"),
    face('▆', 'M', "32", "#15803d", 8, "2M"),
    face('▄', 'C', "36", "#0891b2", 6, "16K to 1M"),
    face('▂', 'k', "33", "#ca8a04", 4, "4K"),
    face('0', '0', "34", "#1d4ed8", 10, "zero page"),
    face('x', 'x', "94", "#60a5fa", 10, "PROT_NONE"),
    face('s', 's', "31", "#b91c1c", 10, "swap"),
    face('~', '~', "96", "#67e8f9", 10, "migration"),
    face('!', '!', "91", "#f87171", 10, "hardware poison"),
    face('w', 'w', "93", "#fde047", 10, "uffd write-protect marker"),
    face('p', 'p', "35", "#7e22ce", 10, "uffd poison marker"),
    face('g', 'g', "37", "#a8a29e", 10, "guard"),
    face('d', 'd', "92", "#86efac", 10, "device private"),
    face('e', 'e', "97", "#e7e5e4", 10, "device exclusive"),
    face('?', '?', "39", "#44403c", 10, "unknown"),
    face('·', '.', "90", "#f5f5f4", 10, "hole"),
];

/// How many classes there are.
pub const TONES: usize = 16;

const fn face(
    glyph: char,
    ascii: char,
    sgr: &'static str,
    rgb: &'static str,
    tenths: u32,
    word: &'static str,
) -> Face {
    Face { glyph, ascii, sgr, rgb, tenths, word }
}

impl Tone {
    /// Nothing.
    pub const HOLE: Self = Self(TONES - 1);

    /// Every class, in the order of the legend.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..TONES).map(Self)
    }

    /// The class of leaves of a size and kind.
    #[must_use]
    pub const fn of(size: LeafSize, kind: LeafKind) -> Self {
        Self(match kind {
            LeafKind::Present if size.shift() >= LeafSize::PUD.shift() => 0,
            LeafKind::Present if size.is_huge() => 1,
            LeafKind::Present if size.shift() > LeafSize::BASE.shift() => 2,
            LeafKind::Present => 3,
            LeafKind::Zero => 4,
            LeafKind::ProtNone => 5,
            LeafKind::Swap => 6,
            LeafKind::Migration => 7,
            LeafKind::HwPoison => 8,
            LeafKind::UffdWp => 9,
            LeafKind::UffdPoison => 10,
            LeafKind::Guard => 11,
            LeafKind::DevicePrivate => 12,
            LeafKind::DeviceExclusive => 13,
            LeafKind::Other => 14,
            LeafKind::Hole => return Self::HOLE,
        })
    }

    /// The class that stands for a column of a table.
    #[must_use]
    pub const fn of_column(class: SizeClass) -> Self {
        match class {
            SizeClass::Pud => Self(0),
            SizeClass::Pmd => Self(1),
            SizeClass::Between => Self(2),
            SizeClass::Base => Self(3),
            SizeClass::NotPresent => Self::of(LeafSize::BASE, LeafKind::Swap),
        }
    }

    /// How it looks.
    #[must_use]
    pub const fn face(self) -> &'static Face {
        &FACES[self.0]
    }

    /// A number below [`TONES`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }

    /// What a slice of memory looks like that has this many bytes of each class: the class with
    /// the most bytes. Holes give way to whatever else there is, so that a little memory in a large
    /// hole is not overlooked. Of equals the first in the legend wins.
    #[must_use]
    pub fn dominant(bytes: &[u64; TONES]) -> Self {
        let mut best = Self::HOLE;
        for tone in Self::all().filter(|&tone| tone != Self::HOLE && bytes[tone.0] > 0) {
            if best == Self::HOLE || bytes[tone.0] > bytes[best.0] {
                best = tone;
            }
        }
        best
    }
}

impl From<&Run> for Tone {
    fn from(run: &Run) -> Self {
        Self::of(run.size, run.kind)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{TONES, Tone};
    use crate::{
        model::leaf::{LeafKind, LeafSize},
        text::width,
    };

    #[test]
    fn each_class_has_its_own_glyph_and_colour() {
        let distinct = |of: &dyn Fn(Tone) -> String| Tone::all().map(of).collect::<BTreeSet<_>>();
        assert_eq!(distinct(&|tone| tone.face().glyph.to_string()).len(), TONES);
        assert_eq!(distinct(&|tone| tone.face().ascii.to_string()).len(), TONES);
        assert_eq!(distinct(&|tone| tone.face().sgr.to_owned()).len(), TONES);
        assert_eq!(distinct(&|tone| tone.face().rgb.to_owned()).len(), TONES);
        for tone in Tone::all() {
            assert!(tone.face().ascii.is_ascii_graphic());
            assert_eq!(width(&tone.face().glyph.to_string()), 1);
        }
    }

    #[test]
    fn the_page_about_leaf_maps_has_every_glyph() {
        let page = include_str!("../../../docs/maps.md");
        for tone in Tone::all() {
            let row = format!("\n| `{}` | `{}` | `", tone.face().glyph, tone.face().ascii);
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn each_kind_has_its_class() {
        let tones: BTreeSet<_> =
            LeafKind::ALL.iter().map(|&kind| Tone::of(LeafSize::BASE, kind)).collect();
        assert_eq!(tones.len(), LeafKind::ALL.len());
        let size = LeafSize::from_shift(34).unwrap();
        assert_eq!(Tone::of(size, LeafKind::Present).face().word, "1G");
    }

    #[test]
    fn a_mixed_cell_shows_most_of_it_but_never_only_its_holes() {
        let mut bytes = [0; TONES];
        assert_eq!(Tone::dominant(&bytes), Tone::HOLE);
        bytes[Tone::HOLE.index()] = 100;
        bytes[3] = 1;
        assert_eq!(Tone::dominant(&bytes).face().word, "4K");
        bytes[1] = 1;
        assert_eq!(Tone::dominant(&bytes).face().word, "2M");
        bytes[6] = 2;
        assert_eq!(Tone::dominant(&bytes).face().word, "swap");
    }
}
