use std::{iter, ops::Range};

use probe_common::{
    entry::{ENTRIES, PMD_SHIFT, PTE_SHIFT, PUD_SHIFT, bits},
    scan::{NO_ORDER, Orders, Part, Table},
};
use proptest::prelude::*;

use super::{Answer, Decoder, Misplaced};
use crate::{
    kernel::facts::Facts,
    model::{
        leaf::{LeafKind, LeafSize, Marks, Run},
        set::Wants,
    },
    probe::scan::kinds::Kinds,
};

const PAGE: u64 = 1 << PTE_SHIFT;
const PMD: u64 = 1 << PMD_SHIFT;
/// Points to a table.
const TABLE: u64 = 0x1000 | bits::PRESENT;
const PLAIN: u64 = 0x5000 | bits::PRESENT;
const HUGE: u64 = bits::PRESENT | bits::PSE;
const NOTHING: Wants = Wants { marks: false, folios: false };

fn kinds() -> Kinds {
    let mut kinds = Kinds::new(&Facts::default(), None);
    kinds.zero_frame = Some(7);
    kinds
}

/// An answer being put together.
#[derive(Default)]
struct Made {
    parts: Vec<Part>,
    tables: Vec<Table>,
    orders: Vec<Orders>,
}

impl Made {
    fn part(mut self, start: u64, shift: u32, entries: &[u64]) -> Self {
        let mut table = [u64::MAX; ENTRIES];
        table[..entries.len()].copy_from_slice(entries);
        self.parts.push(Part { start, count: u32::try_from(entries.len()).unwrap(), shift });
        self.tables.push(table);
        self.orders.push([NO_ORDER; ENTRIES]);
        self
    }

    fn orders(mut self, orders: &[u8]) -> Self {
        self.orders.last_mut().unwrap()[..orders.len()].copy_from_slice(orders);
        self
    }

    fn decode_all(&self, range: Range<u64>, wants: Wants) -> (Vec<(usize, Run)>, Misplaced) {
        self.decode(std::slice::from_ref(&range), wants)
    }

    fn decode(&self, ranges: &[Range<u64>], wants: Wants) -> (Vec<(usize, Run)>, Misplaced) {
        let kinds = kinds();
        let mut runs = Vec::new();
        let mut decoder = Decoder::new(&kinds, ranges, wants, |range, run| runs.push((range, run)));
        let Self { parts, tables, orders } = self;
        decoder.answer(Answer { parts, tables, orders });
        let misplaced = decoder.finish();
        (runs, misplaced)
    }
}

fn brief(runs: &[(usize, Run)]) -> Vec<(usize, u64, u64, LeafKind)> {
    runs.iter().map(|(range, run)| (*range, run.start, run.bytes(), run.kind)).collect()
}

#[test]
fn tables_stand_behind_the_entries_that_point_to_them() {
    use LeafKind::{Present, Swap, Zero};
    let zero = 7 << 12 | bits::PRESENT | bits::SPECIAL;
    let swap = 1 << 59 | 0xfe00;
    let made = Made::default()
        .part(0, PMD_SHIFT, &[TABLE, HUGE, 0, TABLE, TABLE])
        .part(2 * PAGE, PTE_SHIFT, &[vec![PLAIN; 509], vec![zero]].concat())
        // The table of the fourth entry kept changing.
        .part(4 * PMD, PTE_SHIFT, &[0, PLAIN, swap, swap, 0, 0]);
    let (runs, misplaced) = made.decode_all(2 * PAGE..5 * PMD, NOTHING);
    assert_eq!(
        brief(&runs),
        [
            (0, 2 * PAGE, 509 * PAGE, Present),
            (0, 511 * PAGE, PAGE, Zero),
            (0, PMD, PMD, Present),
            (0, 4 * PMD + PAGE, PAGE, Present),
            (0, 4 * PMD + 2 * PAGE, 2 * PAGE, Swap),
        ]
    );
    let torn = iter::once(3 * PMD..4 * PMD).collect();
    assert_eq!(misplaced, Misplaced { torn, ..Misplaced::default() });
}

#[test]
fn runs_go_on_from_table_to_table_and_end_with_their_range() {
    let made = Made::default()
        .part(0, PUD_SHIFT, &[HUGE])
        .part(1 << 30, PMD_SHIFT, &[TABLE, TABLE])
        .part(1 << 30, PTE_SHIFT, &[PLAIN; ENTRIES])
        .part((1 << 30) + PMD, PTE_SHIFT, &[PLAIN; ENTRIES]);
    let border = (1 << 30) + PMD + 5 * PAGE;
    let (runs, misplaced) = made.decode(&[0..1 << 30, 1 << 30..border, border..1 << 31], NOTHING);
    let lengths: Vec<_> = runs.iter().map(|(range, run)| (*range, run.size, run.count)).collect();
    assert_eq!(
        lengths,
        [(0, LeafSize::PUD, 1), (1, LeafSize::BASE, 517), (2, LeafSize::BASE, 507)]
    );
    assert_eq!(misplaced, Misplaced::default());
}

#[test]
fn what_fits_no_range_is_counted() {
    let made = Made::default()
        .part(0, PMD_SHIFT, &[HUGE, TABLE])
        .part(PMD, PTE_SHIFT, &[PLAIN, 0, PLAIN, PLAIN, PLAIN])
        // The same once more.
        .part(PMD, PMD_SHIFT, &[TABLE])
        .part(PMD, PTE_SHIFT, &[0, PLAIN, PLAIN]);
    let (runs, misplaced) = made.decode(&[PAGE..2 * PAGE, PMD + 2 * PAGE..PMD + 4 * PAGE], NOTHING);
    assert_eq!(brief(&runs), [(1, PMD + 2 * PAGE, 2 * PAGE, LeafKind::Present)]);
    // The huge leaf, the first and the last page, and two pages told again.
    let across = iter::once(0..PMD).collect();
    assert_eq!(misplaced, Misplaced { across, twice: 2, beside: 2, ..Misplaced::default() });
}

#[test]
fn marks_are_counted_by_run() {
    let entries = [PLAIN | bits::YOUNG, PLAIN | bits::SAVED_DIRTY, PLAIN | bits::WRITABLE, 0];
    let made = Made::default().part(0, PMD_SHIFT, &[TABLE]).part(0, PTE_SHIFT, &entries);
    let (runs, _) = made.decode_all(0..PMD, Wants { marks: true, folios: false });
    let marks = Marks { young: 1, dirty: 1, writable: 1, ..Marks::default() };
    assert_eq!(runs.iter().map(|(_, run)| run.marks).collect::<Vec<_>>(), [Some(marks)]);
}

#[test]
fn folios_divide_runs_of_memory() {
    let made = Made::default()
        .part(0, PMD_SHIFT, &[TABLE, HUGE])
        .orders(&[NO_ORDER, 9])
        .part(0, PTE_SHIFT, &[PLAIN; 6])
        .orders(&[0, 0, 2, 2, 2, NO_ORDER]);
    let (runs, _) = made.decode_all(0..2 * PMD, Wants { marks: false, folios: true });
    let orders: Vec<_> = runs.iter().map(|(_, run)| (run.count, run.folio_order)).collect();
    assert_eq!(orders, [(2, Some(0)), (3, Some(2)), (1, None), (1, Some(9))]);
}

/// An entry, mostly of one of few kinds, so that runs come up.
fn any_entry() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => Just(0),
        4 => (0_u64..4).prop_map(|frame| PLAIN + (frame << 12)),
        1 => Just(7 << 12 | bits::PRESENT | bits::SPECIAL),
        1 => Just(8 << 12 | bits::PROT_NONE),
        1 => any::<u64>().prop_map(|entry| entry & !bits::PRESENT),
        1 => any::<u64>(),
    ]
}

proptest! {
    #[test]
    fn runs_say_of_each_page_what_its_entry_says(
        pieces in prop::collection::vec((any_entry(), 1_usize..80), 1..40),
        borders in prop::collection::btree_set(0_u64..512, 2..8),
        garbage in any::<bool>(),
    ) {
        let kinds = kinds();
        let mut entries: Vec<u64> =
            pieces.iter().flat_map(|&(entry, count)| std::iter::repeat_n(entry, count)).collect();
        entries.resize(ENTRIES, 0);
        let borders: Vec<u64> = borders.into_iter().collect();
        let ranges: Vec<_> =
            borders.windows(2).step_by(2).map(|w| w[0] * PAGE..w[1] * PAGE).collect();
        let upper = if garbage { HUGE } else { 0 };
        let made = Made::default()
            .part(0, PMD_SHIFT, &[TABLE, upper])
            .part(0, PTE_SHIFT, &entries);
        let (runs, misplaced) = made.decode(&ranges, NOTHING);
        let mut told = vec![None; ENTRIES];
        let mut end = 0;
        for (range, run) in &runs {
            prop_assert!(run.start >= end.max(ranges[*range].start));
            prop_assert!(run.end() <= ranges[*range].end);
            end = run.end();
            for page in run.start / PAGE..run.end() / PAGE {
                told[usize::try_from(page).unwrap()] = Some(run.kind);
            }
        }
        let mut beside = u64::from(garbage);
        for (page, &entry) in (0..).zip(&entries) {
            let inside = ranges.iter().any(|range| range.contains(&(page * PAGE)));
            let kind = kinds.base(entry);
            let expected = (inside && kind != LeafKind::Hole).then_some(kind);
            prop_assert_eq!(told[usize::try_from(page).unwrap()], expected);
            beside += u64::from(!inside && entry != 0);
        }
        prop_assert_eq!(misplaced.across.len() as u64 + misplaced.beside, beside);
        prop_assert!(misplaced.torn.is_empty() && misplaced.twice == 0);
    }
}
