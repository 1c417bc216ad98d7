//! Reading in turn: a slice of the address space at each tick, to find what no event told of.

use std::{ops::Range, time::Duration};

/// What a slice may cost.
const MOST: Duration = Duration::from_micros(500);
/// Addresses in the first slice, and in the smallest: 64 MiB.
const SMALLEST: u64 = 64 << 20;
/// Addresses in the largest slice: all that there are on x86-64 with four levels.
const LARGEST: u64 = 1 << 47;

/// Where the turn is.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    at: u64,
    length: u64,
}

impl Default for Turn {
    fn default() -> Self {
        Self { at: 0, length: SMALLEST }
    }
}

impl Turn {
    /// The next slice of some VMAs, which are in order; begins anew behind the last.
    pub(super) fn next(&mut self, vmas: &[Range<u64>]) -> Vec<Range<u64>> {
        let first = vmas.partition_point(|vma| vma.end <= self.at);
        let mut left = self.length;
        let mut slice = Vec::new();
        for vma in vmas.get(first..).unwrap_or_default() {
            let start = vma.start.max(self.at);
            let length = left.min(vma.end.saturating_sub(start));
            // Whole tables, so that no leaf is cut.
            let end = vma.end.min((start + length).next_multiple_of(1 << 30));
            slice.push(start..end);
            self.at = end;
            left = left.saturating_sub(end - start);
            if left == 0 {
                break;
            }
        }
        if first == vmas.len() || vmas.last().is_some_and(|last| self.at >= last.end) {
            self.at = 0;
        }
        slice
    }

    /// How long the last slice took: the next one is as long as it may be.
    pub(super) fn took(&mut self, time: Duration) {
        if time > MOST {
            self.length = (self.length / 2).max(SMALLEST);
        } else if time < MOST / 4 {
            self.length = (self.length * 2).min(LARGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Turn;

    #[test]
    fn all_of_it_comes_in_turn() {
        let vmas = [4096..8192, (1 << 30)..(5 << 30), (6 << 30)..(6 << 30) + 4096];
        let mut turn = Turn::default();
        let mut slices = Vec::new();
        for _ in 0..6 {
            slices.extend(turn.next(&vmas));
        }
        let gib = |from: u64, to: u64| (from << 30)..(to << 30);
        assert_eq!(slices[0], vmas[0]);
        assert_eq!(&slices[1..5], [gib(1, 2), gib(2, 3), gib(3, 4), gib(4, 5)]);
        assert_eq!(slices[5..7], [vmas[2].clone(), vmas[0].clone()]);
        assert!(Turn::default().next(&[]).is_empty());
    }
}
