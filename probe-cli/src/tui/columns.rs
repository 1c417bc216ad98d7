//! Shares the width of a table between its columns.

/// What a column asks for, in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// With less than this it is not shown.
    pub(super) min: u16,
    /// More than this is of no use to it.
    pub(super) ideal: u16,
    /// 0 is the last that a narrow terminal drops.
    pub(super) importance: u8,
}

/// Cells between two columns.
pub(super) const GAP: u16 = 1;

/// The width of each column, 0 for those that found no room.
///
/// The least important columns go until the rest fits; what is left over goes round.
pub(super) fn share(wants: &[Want], width: u16) -> Vec<u16> {
    let mut widths: Vec<u16> = wants.iter().map(|want| want.min).collect();
    while needed(&widths) > u32::from(width) {
        let shown = (0..wants.len()).filter(|&i| widths[i] > 0);
        let Some(least) = shown.max_by_key(|&i| wants[i].importance) else { return widths };
        let last_one = widths.iter().filter(|&&width| width > 0).count() == 1;
        widths[least] = if last_one { width } else { 0 };
    }
    let mut left = u32::from(width) - needed(&widths);
    loop {
        let mut grown = false;
        for (column, want) in widths.iter_mut().zip(wants) {
            if left > 0 && *column > 0 && *column < want.ideal {
                *column += 1;
                left -= 1;
                grown = true;
            }
        }
        if !grown {
            return widths;
        }
    }
}

fn needed(widths: &[u16]) -> u32 {
    let shown = widths.iter().filter(|&&width| width > 0).count();
    let gaps = u32::try_from(shown.saturating_sub(1)).unwrap_or(u32::MAX) * u32::from(GAP);
    widths.iter().map(|&width| u32::from(width)).sum::<u32>() + gaps
}

/// The columns that are shown: number, first cell, and width.
pub(super) fn places(widths: &[u16]) -> impl Iterator<Item = (usize, u16, u16)> {
    let mut x = 0;
    widths.iter().enumerate().filter(|&(_, &width)| width > 0).map(move |(column, &width)| {
        let place = (column, x, width);
        x += width + GAP;
        place
    })
}

#[cfg(test)]
mod tests {
    use super::{Want, places, share};

    const WANTS: [Want; 3] = [
        Want { min: 4, ideal: 4, importance: 0 },
        Want { min: 5, ideal: 10, importance: 2 },
        Want { min: 6, ideal: u16::MAX, importance: 1 },
    ];

    #[test]
    fn the_least_important_column_goes_first() {
        assert_eq!(share(&WANTS, 17), [4, 5, 6]);
        assert_eq!(share(&WANTS, 16), [4, 0, 11]);
        assert_eq!(share(&WANTS, 10), [4, 0, 0]);
        assert_eq!(share(&WANTS, 2), [2, 0, 0]);
        assert_eq!(share(&WANTS, 0), [0, 0, 0]);
    }

    #[test]
    fn the_rest_goes_round_up_to_the_ideal() {
        assert_eq!(share(&WANTS, 20), [4, 7, 7]);
        assert_eq!(share(&WANTS, 100), [4, 10, 84]);
        assert_eq!(places(&[4, 0, 3]).collect::<Vec<_>>(), [(0, 0, 4), (2, 5, 3)]);
    }

    #[test]
    fn it_never_takes_more_than_there_is() {
        for width in 0..60 {
            let end = places(&share(&WANTS, width)).map(|(_, x, width)| x + width).max();
            assert!(end.unwrap_or(0) <= width);
        }
    }
}
