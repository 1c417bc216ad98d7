//! Translation sets for tests: small ones that have everything, and random ones.

use std::ops::Range;

use proptest::prelude::*;

use super::{
    leaf::{LeafKind, LeafSize, Marks, Run},
    map::LeafMap,
    set::{Origin, TranslationSet},
    vma::{Permissions, Vma, VmaKind},
};

/// One past the addresses of random sets.
pub(crate) const TOP: u64 = 1 << 32;

/// Some leaves.
pub(crate) fn run(start: u64, size: LeafSize, count: u64, kind: LeafKind) -> Run {
    Run { start, size, count, kind, folio_order: None, marks: None }
}

/// Anonymous memory.
pub(crate) fn vma(range: Range<u64>) -> Vma {
    named(range, VmaKind::Anonymous, "")
}

/// A VMA with a name.
pub(crate) fn named(range: Range<u64>, kind: VmaKind, name: &str) -> Vma {
    Vma {
        start: range.start,
        end: range.end,
        permissions: Permissions { read: true, write: true, ..Permissions::default() },
        kind,
        name: name.to_owned(),
        offset: 0,
        flags: None,
    }
}

/// A set of possible leaf maps.
pub(crate) fn set_of(maps: impl IntoIterator<Item = (Vma, Vec<Run>)>) -> TranslationSet {
    let origin = Origin {
        pid: 4242,
        comm: "postgres".to_owned(),
        precision: "exact".to_owned(),
        tables: 31,
        retried: 2,
        ..Origin::default()
    };
    let maps = maps.into_iter().map(|(vma, runs)| LeafMap::from_runs(vma, runs).unwrap());
    TranslationSet::new(origin, maps.collect()).unwrap()
}

/// A process that has leaves of every size and kind, and a file with a hostile name.
pub(crate) fn set() -> TranslationSet {
    use LeafKind::{Migration, Present, ProtNone, Swap, Zero};
    const M: u64 = 1 << 20;
    let folio = |order, run| Run { folio_order: Some(order), ..run };
    let text = named(0x55_5540_0000..0x55_5548_0000, VmaKind::File, "/usr/lib/表🦀\\x1b[31m.so");
    let heap = named(0x55_5600_0000..0x55_5800_0000, VmaKind::Heap, "[heap]");
    let anon = vma(0x7f00_0000_0000..0x7f00_0200_0000);
    let hugetlb = VmaKind::Hugetlb(LeafSize::PUD);
    let small = VmaKind::Hugetlb(LeafSize::PMD);
    let stack = named(0x7ffc_0000_0000..0x7ffc_0002_1000, VmaKind::Stack, "[stack]");
    let vvar = named(0x7ffc_0002_2000..0x7ffc_0002_6000, VmaKind::Special, "[vvar]");
    let (t, h, a) = (text.start, heap.start, anon.start);
    let kinds = [
        LeafKind::HwPoison,
        LeafKind::UffdWp,
        LeafKind::UffdPoison,
        LeafKind::Guard,
        LeafKind::Other,
    ];
    let odd = (0..).zip(kinds).map(|(i, kind)| run(a + 28 * M + i * 4096, LeafSize::BASE, 1, kind));
    let anon_runs = [
        folio(9, run(a, LeafSize::PMD, 10, Present)),
        folio(9, run(a + 20 * M, LeafSize::BASE, 512, Present)),
        run(a + 22 * M, LeafSize::PMD, 1, Zero),
        run(a + 24 * M, LeafSize::BASE, 256, Swap),
        run(a + 26 * M, LeafSize::BASE, 1, Migration),
        folio(0, run(a + 27 * M, LeafSize::BASE, 256, ProtNone)),
    ];
    let high = vec![run(0x7f40_0000_0000, LeafSize::PUD, 1, Present)];
    let some = vec![run(0x7f80_0000_0000, LeafSize::PMD, 2, Present)];
    set_of([
        (text, vec![run(t, LeafSize::BASE, 8, Present)]),
        (heap, vec![run(h, LeafSize::BASE, 1, Zero)]),
        (anon, anon_runs.into_iter().chain(odd).collect()),
        (named(0x7f40_0000_0000..0x7f40_8000_0000, hugetlb, "/dev/hugepages/pool <&>\""), high),
        (named(0x7f80_0000_0000..0x7f80_0100_0000, small, "/anon_hugepage (deleted)"), some),
        (stack, vec![run(0x7ffc_0001_f000, LeafSize::BASE, 2, Present)]),
        (vvar, vec![run(0x7ffc_0002_2000, LeafSize::BASE, 1, Present)]),
    ])
}

/// Random sets, some with marks.
pub(crate) fn any_set() -> impl Strategy<Value = TranslationSet> {
    let size = prop::sample::select(vec![12_u8, 16, 21, 25]);
    let run = (size, 0_u64..2048, 1_u64..64, prop::sample::select(LeafKind::ALL.to_vec()));
    let folio = prop::option::of(0_u8..19);
    let runs = prop::collection::vec((run, folio, any::<bool>()), 0..12);
    // The gap before it in base pages, and how much of the last leaf the VMA is longer.
    let map = (runs, 0_u64..600, 1_u64..600);
    prop::collection::vec(map, 0..6).prop_map(|maps| {
        let mut at = 0;
        set_of(maps.into_iter().map(|(runs, gap, rest)| {
            let start = at + gap * 4096;
            at = start;
            let runs: Vec<_> = runs.into_iter().map(|parts| random(&mut at, parts)).collect();
            at += rest * 4096;
            (vma(start..at), runs)
        }))
    })
}

type Parts = ((u8, u64, u64, LeafKind), Option<u8>, bool);

/// A run behind `at`; moves `at` to its end.
fn random(at: &mut u64, ((shift, skip, count, kind), folio_order, marked): Parts) -> Run {
    let size = LeafSize::from_shift(shift).unwrap();
    // Half of the runs follow the one before them as closely as their alignment lets them.
    let skip = if skip % 2 == 0 { 0 } else { skip * 4096 };
    let start = (*at + skip).next_multiple_of(size.bytes());
    *at = start + count * size.bytes();
    let marks = marked.then_some(Marks { young: count, dirty: count / 2, ..Marks::default() });
    Run { folio_order, marks, ..run(start, size, count, kind) }
}
