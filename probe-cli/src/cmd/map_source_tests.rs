use std::process::Command;

use proptest::{
    collection::{btree_set, vec},
    prelude::*,
};

use super::{Sorter, of_one_program, spans};
use crate::{
    kernel::program::Program,
    maps::source::MapError,
    model::{
        leaf::{LeafKind, LeafSize, Marks, Run},
        map::LeafMap,
        vma::{Permissions, Vma, VmaKind},
    },
};

const PAGE: u64 = 4096;

fn vma(start: u64, end: u64) -> Vma {
    Vma {
        start: start * PAGE,
        end: end * PAGE,
        permissions: Permissions::default(),
        kind: VmaKind::Anonymous,
        name: String::new(),
        offset: 0,
        flags: None,
    }
}

fn run(start: u64, count: u64, size: LeafSize) -> Run {
    let start = start * PAGE;
    Run { start, size, count, kind: LeafKind::Present, folio_order: None, marks: None }
}

#[test]
fn near_vmas_are_scanned_together() {
    let vmas = [vma(1, 2), vma(2, 5), vma(9, 10)];
    assert_eq!(spans(&vmas, 3 * PAGE).len(), 2);
    let together = spans(&vmas, 4 * PAGE);
    assert_eq!((together.len(), &together[0]), (1, &(PAGE..10 * PAGE)));
    assert_eq!(spans(&vmas, 0).len(), 3);
    assert!(spans(&[], PAGE).is_empty());
}

#[test]
fn a_run_over_several_vmas_is_divided() {
    let vmas = [vma(1, 3), vma(3, 5), vma(7, 9)];
    let mut sorter = Sorter::new(&vmas);
    sorter.take(run(1, 3, LeafSize::BASE));
    sorter.take(run(7, 2, LeafSize::BASE));
    let starts: Vec<Vec<(u64, u64)>> = sorter
        .runs
        .iter()
        .map(|runs| runs.iter().map(|run| (run.start / PAGE, run.count)).collect())
        .collect();
    assert_eq!(starts, [vec![(1, 2)], vec![(3, 1)], vec![(7, 2)]]);
    assert_eq!(sorter.straddling, 0);
}

#[test]
fn leaves_that_fit_no_vma_are_counted() {
    let vmas = [vma(512, 1000), vma(2000, 2001)];
    let mut sorter = Sorter::new(&vmas);
    sorter.take(run(0, 1, LeafSize::BASE)); // before
    sorter.take(run(512, 1, LeafSize::PMD)); // reaches out
    sorter.take(run(1500, 1, LeafSize::BASE)); // between
    sorter.take(run(3000, 1, LeafSize::BASE)); // behind
    assert!(sorter.runs.iter().all(Vec::is_empty));
    assert!(sorter.straddling >= 4, "{}", sorter.straddling);
}

#[test]
fn only_the_leaves_at_a_border_are_lost() {
    let vmas = [vma(512, 3 * 512 + 1), vma(3 * 512 + 1, 6 * 512)];
    let mut sorter = Sorter::new(&vmas);
    let marks = Some(Marks { young: 5, ..Marks::default() });
    sorter.take(Run { marks, ..run(512, 5, LeafSize::PMD) });
    let found: Vec<_> =
        sorter.runs.iter().map(|runs| (runs.len(), runs[0].start / PAGE, runs[0].count)).collect();
    assert_eq!(found, [(1, 512, 2), (1, 4 * 512, 2)]);
    assert_eq!((sorter.straddling, sorter.runs[0][0].marks), (1, None));
}

#[test]
fn what_is_told_again_does_not_overlap() {
    let vmas = [vma(0, 512), vma(512, 1 << 20)];
    let mut sorter = Sorter::new(&vmas);
    sorter.take(run(0, 1, LeafSize::BASE));
    sorter.take(run(512, 1, LeafSize::PMD));
    // All of it has become one huge leaf, and then two.
    sorter.take(run(0, 1, LeafSize::PUD));
    sorter.take(run(0, 2, LeafSize::PUD));
    sorter.take(run(0, 2, LeafSize::PUD));
    assert_eq!(sorter.straddling, 3);
    for (vma, runs) in vmas.iter().zip(sorter.runs) {
        LeafMap::from_runs(vma.clone(), runs).unwrap();
    }
}

proptest! {
    /// Whatever changes between the list of VMAs and the requests, the runs are possible ones.
    #[test]
    fn the_runs_of_every_vma_are_possible(
        borders in btree_set(0_u64..1 << 20, 2..12),
        told in vec((0_u64..1 << 20, 1_u64..2000, 0_usize..3), 0..30),
    ) {
        let borders: Vec<u64> = borders.into_iter().collect();
        let vmas: Vec<Vma> = borders.windows(2).map(|pair| vma(pair[0], pair[1])).collect();
        let mut sorter = Sorter::new(&vmas);
        for (start, count, size) in told {
            let size = [LeafSize::BASE, LeafSize::PMD, LeafSize::PUD][size];
            let pages = size.bytes() / PAGE;
            let marks = Some(Marks { dirty: count, ..Marks::default() });
            sorter.take(Run { marks, ..run(start / pages * pages, count, size) });
        }
        for (vma, runs) in vmas.iter().zip(sorter.runs) {
            prop_assert!(LeafMap::from_runs(vma.clone(), runs).is_ok());
        }
    }
}

#[test]
fn an_answer_counts_only_for_the_program_that_was_asked_for() {
    let own = std::process::id();
    let now = Program::of(own).unwrap();
    let gone = || Err::<(), _>(MapError::Exited { pid: own });
    assert!(of_one_program(own, &now, Ok(())).is_ok());
    assert!(matches!(of_one_program(own, &now, gone()), Err(MapError::Executed { .. })));
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    // It may not have begun yet.
    let other = std::iter::repeat_with(|| Program::of(child.id())).find_map(Result::ok).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let ended = of_one_program(child.id(), &other, Ok(()));
    assert!(matches!(ended, Err(MapError::Exited { .. })));
}
