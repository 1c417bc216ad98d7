//! How much a map may cost: a trace is anybody's, and a few bytes of it can ask for much.

/// What a map may cost at once, and at most has in reserve, in looks at pieces: about a second or two.
const RESERVE: u64 = 1 << 28;

/// What each operation and each reading adds.
const EACH: u64 = 256;

/// What each run and each range of a reading adds: it is read again what operations have marked.
const RUN: u64 = 64;

/// What each table of the last level adds that a reading is about, of [`TABLES`] at most: there can be many pieces in a
/// table, and one run be all of it.
const TABLE: u64 = 16;
const TABLES: u64 = 4096;

/// What is left of that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort(u64);

impl Default for Effort {
    fn default() -> Self {
        Self(RESERVE)
    }
}

impl Effort {
    /// Something came.
    pub(super) fn gain(&mut self) {
        self.add(EACH);
    }

    /// A reading came, of so many runs and ranges, about so many tables.
    pub(super) fn gain_by_reading(&mut self, rows: usize, tables: u64) {
        let rows = (rows as u64).saturating_mul(RUN);
        self.add(rows.saturating_add(EACH + tables.min(TABLES) * TABLE));
    }

    fn add(&mut self, looks: u64) {
        self.0 = self.0.saturating_add(looks).min(RESERVE);
    }

    /// So many pieces, or what takes as long, are looked at.
    pub(super) fn spend(&mut self, looks: usize) {
        self.0 = self.0.saturating_sub(looks as u64);
    }

    /// Whether nothing is left: the map is given up.
    pub(super) const fn is_spent(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{EACH, Effort, RESERVE};
    use crate::{
        change::Change,
        event::Address,
        model::{
            fixture::{run, vma},
            leaf::{LeafKind, LeafSize},
        },
        track::{
            fixture::{PID, change, start},
            map::Tracked,
        },
    };

    /// A map of a leaf in every other page.
    fn map(pages: u64) -> Tracked {
        let runs = (0..pages).step_by(2);
        let runs = runs.map(|page| run(page << 12, LeafSize::BASE, 1, LeafKind::Present)).collect();
        let mut map = Tracked::new(PID);
        map.read(&start(1, vma(0..pages << 12), runs));
        map
    }

    #[test]
    fn what_is_looked_at_again_and_again_is_paid_for() {
        let mut map = map(4096);
        let before = map.effort.0;
        map.lost(1, 1);
        map.lost(2, 1);
        let gained = (RESERVE - before).min(EACH) + EACH;
        assert_eq!(before + gained - map.effort.0, 2 * 4096);
        let all = Change::Protect { start: Address(0), end: Address(4096 << 12), pages: None };
        let before = map.effort.0;
        map.event(change(3, all));
        assert_eq!(before + EACH - map.effort.0, 4 * 4096);
        map.effort.spend(usize::MAX);
        assert!(map.is_too_much());
    }

    #[test]
    fn a_reading_pays_for_what_it_has() {
        let mut effort = Effort::default();
        effort.spend(usize::MAX);
        effort.gain_by_reading(1000, u64::MAX);
        assert_eq!(effort.0, EACH + 64_000 + 4096 * 16);
        effort.gain_by_reading(usize::MAX, u64::MAX);
        assert_eq!(effort.0, RESERVE);
    }
}
