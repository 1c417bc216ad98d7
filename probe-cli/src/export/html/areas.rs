//! The picture of an address space: areas, each as wide as all VMAs that overlapped each other at any time. Pure.

use std::{collections::BTreeSet, ops::Range, rc::Rc};

use serde::Serialize;

use super::history::{CELLS, Column, Shot, Strip, number, spread};
use crate::{
    event::Address,
    maps::{
        strip::Slices,
        tone::{TONES, Tone},
    },
};

/// Areas of a process that are shown; those that changed the most.
const AREAS: usize = 128;

/// Names of an area that are shown.
const NAMES: usize = 3;

/// Stands for a slice that no VMA covers.
const NOTHING: char = '.';

/// Addresses that belong together, over time.
#[derive(Debug, Serialize)]
pub(super) struct Area {
    start: Address,
    end: Address,
    /// What its VMAs were called.
    #[serde(serialize_with = "texts")]
    names: Vec<Rc<str>>,
    /// Columns that are other ones than those before; the beginning and the end of everything in the area do not count.
    changes: usize,
    /// A text for each column: a letter for each slice, from the lowest address on; nothing when it is as before.
    picture: Vec<Option<String>>,
}

/// serde has no `Rc` unless it is asked to.
fn texts<S: serde::Serializer>(texts: &[Rc<str>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(texts.iter().map(|text| &**text))
}

/// The letter that stands for a class of leaves in a picture.
pub(super) fn letter(tone: Tone) -> char {
    char::from(b'A'.saturating_add(number(tone)))
}

/// The areas of a process, by address, and how many were left out.
pub(super) fn areas(columns: &[Column], pid: u32) -> (Vec<Area>, usize) {
    let shots: Vec<Option<&Rc<Shot>>> =
        columns.iter().map(|column| column.shots.get(&pid)).collect();
    let mut areas: Vec<Area> =
        ranges(&shots).into_iter().map(|range| area(&range, &shots)).collect();
    let left_out = areas.len().saturating_sub(AREAS);
    if left_out > 0 {
        areas.sort_by_key(|area| std::cmp::Reverse((area.changes, area.end.0 - area.start.0)));
        areas.truncate(AREAS);
        areas.sort_by_key(|area| area.start);
    }
    (areas, left_out)
}

/// All VMAs of all times, those that overlap joined.
fn ranges(shots: &[Option<&Rc<Shot>>]) -> Vec<Range<u64>> {
    let mut all = BTreeSet::new();
    for shot in distinct(shots) {
        all.extend(shot.vmas.iter().map(|vma| (vma.start, vma.end)));
    }
    let mut joined: Vec<Range<u64>> = Vec::new();
    for (start, end) in all {
        match joined.last_mut() {
            Some(last) if start < last.end => last.end = last.end.max(end),
            _ => joined.push(start..end),
        }
    }
    joined
}

/// Those that are not the one of the column before.
fn distinct<'a>(shots: &'a [Option<&'a Rc<Shot>>]) -> impl Iterator<Item = &'a Rc<Shot>> {
    let before = [None].into_iter().chain(shots.iter().copied());
    shots.iter().copied().zip(before).filter_map(|(shot, before)| {
        let shot = shot?;
        before.is_none_or(|before| !Rc::ptr_eq(before, shot)).then_some(shot)
    })
}

fn area(range: &Range<u64>, shots: &[Option<&Rc<Shot>>]) -> Area {
    let slices = Slices::new(range, CELLS);
    let mut names: Vec<Rc<str>> = Vec::new();
    for vma in distinct(shots).flat_map(|shot| within(shot, range)) {
        if names.len() < NAMES && !names.contains(&vma.name) {
            names.push(Rc::clone(&vma.name));
        }
    }
    let mut picture = Vec::with_capacity(shots.len());
    let mut last: Option<(Option<&Rc<Shot>>, String)> = None;
    let mut changes = 0;
    for &shot in shots {
        let is_same_shot = last.as_ref().is_some_and(|(before, _)| match (before, shot) {
            (Some(before), Some(shot)) => Rc::ptr_eq(before, shot),
            (None, None) => true,
            _ => false,
        });
        if is_same_shot {
            picture.push(None);
            continue;
        }
        let column = column(shot.map(|shot| within(shot, range)).unwrap_or_default(), &slices);
        match last {
            Some((_, before)) if before == column => picture.push(None),
            _ => {
                let is_there = |column: &str| column.chars().any(|letter| letter != NOTHING);
                let was_there = last.as_ref().is_some_and(|(_, before)| is_there(before));
                changes += usize::from(was_there && is_there(&column));
                picture.push(Some(column.clone()));
            }
        }
        last = Some((shot, column));
    }
    Area { start: Address(range.start), end: Address(range.end), names, changes, picture }
}

/// The VMAs of a shot that a range touches.
fn within<'a>(shot: &'a Shot, range: &Range<u64>) -> &'a [Strip] {
    let first = shot.vmas.partition_point(|vma| vma.end <= range.start);
    let end = shot.vmas.partition_point(|vma| vma.start < range.end);
    shot.vmas.get(first..end).unwrap_or_default()
}

/// What each slice shows: as [`Tone::dominant`] says, of the slices of the VMAs in it.
fn column(vmas: &[Strip], slices: &Slices) -> String {
    let parts = vmas.iter().flat_map(|vma| {
        let own = Slices::new(&(vma.start..vma.end), CELLS);
        vma.tones.iter().enumerate().map(move |(slice, &tone)| (own.at(slice), tone))
    });
    let bytes = spread(slices, parts);
    let shown = |sums: &[u64; TONES]| {
        if sums.iter().all(|&sum| sum == 0) { NOTHING } else { letter(Tone::dominant(sums)) }
    };
    bytes.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, rc::Rc};

    use super::areas;
    use crate::{
        export::html::history::{Column, Shot, Strip, number},
        maps::tone::Tone,
        model::leaf::{LeafKind, LeafSize},
    };

    const P: u64 = 4096;

    fn strip(start: u64, tones: &[Tone]) -> Strip {
        let end = start + tones.len() as u64 * P;
        let tones = tones.iter().copied().map(number).collect();
        Strip { start, end, name: format!("vma {start:x}").into(), tones }
    }

    fn columns(times: Vec<Vec<Strip>>) -> Vec<Column> {
        let column = |vmas| {
            let shot = Rc::new(Shot { vmas, ..Shot::default() });
            Column { shots: BTreeMap::from([(7, shot)]), ..Column::default() }
        };
        times.into_iter().map(column).collect()
    }

    #[test]
    fn what_overlapped_at_any_time_is_one_area() {
        let base = Tone::of(LeafSize::BASE, LeafKind::Present);
        let huge = Tone::of(LeafSize::PMD, LeafKind::Present);
        let (found, left_out) = areas(
            &columns(vec![
                vec![strip(0, &[huge; 4]), strip(8 * P, &[base])],
                vec![
                    strip(0, &[base, Tone::HOLE]),
                    strip(2 * P, &[base; 2]),
                    strip(8 * P, &[base]),
                ],
                vec![strip(3 * P, &[base; 2]), strip(8 * P, &[base])],
                vec![strip(3 * P, &[base; 2]), strip(8 * P, &[base])],
            ]),
            7,
        );
        assert_eq!(left_out, 0);
        let picture =
            |area: usize| found[area].picture.iter().map(Option::as_deref).collect::<Vec<_>>();
        assert_eq!(picture(0), [Some("BBBB."), Some("DPDD."), Some("...DD"), None]);
        assert_eq!(picture(1), [Some("D"), None, None, None]);
        assert_eq!((found[0].changes, found[1].changes), (2, 0));
        assert_eq!((found[0].start.0, found[0].end.0), (0, 5 * P));
        assert_eq!(found[0].names, ["vma 0", "vma 2000", "vma 3000"].map(Into::into));
        assert!(areas(&columns(vec![]), 7).0.is_empty());
    }

    #[test]
    fn the_areas_that_changed_the_most_are_shown() {
        let base = Tone::of(LeafSize::BASE, LeafKind::Present);
        let many = |last| {
            (0..200).map(|n| strip(n * 2 * P, &[if n < 100 { base } else { last }])).collect()
        };
        let (found, left_out) = areas(&columns(vec![many(base), many(Tone::HOLE)]), 7);
        assert_eq!((found.len(), left_out), (128, 72));
        assert_eq!(found.iter().filter(|area| area.changes == 1).count(), 100);
        assert!(found.is_sorted_by_key(|area| area.start));
    }
}
