//! The address spaces as data: adding one is adding a row.

use std::ops::Range;

use super::super::{
    error::StepError,
    machine::Need,
    memory::{Area, Ground, Kind},
};
use crate::walk::site::Level;

/// Memory whose leaves are known.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// What people call it.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// What it cannot do without.
    pub needs: &'static [Need],
    build: fn(&Ground, usize) -> Result<Vec<Place>, StepError>,
}

const HUGE: usize = 2 << 20;
const GIGANTIC: usize = 1 << 30;

/// Every space, in the order in which people should read them.
pub const SPACES: &[Space] = &[
    Space { name: "4k", about: "base pages", needs: &[], build: base },
    Space {
        name: "sparse",
        about: "a base page in what each PMD entry maps",
        needs: &[],
        build: sparse,
    },
    Space {
        name: "shared",
        about: "base pages of shared anonymous memory",
        needs: &[],
        build: shared,
    },
    Space { name: "thp", about: "THPs, mapped by PMD leaves", needs: &[Need::Thp], build: thp },
    Space {
        name: "pte-thp",
        about: "THPs, mapped by tables of PTEs",
        needs: &[Need::Thp],
        build: split,
    },
    Space {
        name: "hugetlb-2m",
        about: "hugetlb pages of 2 MiB",
        needs: &[Need::Hugetlb2M],
        build: |ground, blocks| hugetlb(ground, HUGE, blocks),
    },
    Space {
        name: "hugetlb-1g",
        about: "a hugetlb page of 1 GiB",
        needs: &[Need::Hugetlb1G],
        build: |ground, _| hugetlb(ground, GIGANTIC, 1),
    },
    Space {
        name: "mixed",
        about: "base pages, THPs and hugetlb pages of 2 MiB, side by side",
        needs: &[Need::Thp, Need::Hugetlb2M],
        build: mixed,
    },
];

/// What maps an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    /// Tables of PTEs.
    Ptes,
    /// PMD leaves of generic mm.
    Pmds,
    /// Hugetlb pages of so many bytes.
    Hugetlb(usize),
}

/// An area and its leaves.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) area: Area,
    pub(super) leaves: Leaves,
    /// Private and anonymous.
    pub(super) private: bool,
    /// Each page is there.
    pub(super) full: bool,
}

/// All areas of a space.
#[derive(Debug, Default)]
pub(super) struct Land {
    pub(super) places: Vec<Place>,
}

impl Space {
    /// Builds it of so many PMD entries' worth of memory.
    pub(super) fn build(&self, ground: &Ground, blocks: usize) -> Result<Land, StepError> {
        let count = if self.needs.contains(&Need::Hugetlb1G) { 1 } else { blocks };
        self.needs.iter().try_for_each(|need| need.check(count))?;
        Ok(Land { places: (self.build)(ground, blocks)? })
    }
}

impl Land {
    pub(super) fn retire(self, ground: &mut Ground) -> Result<(), StepError> {
        self.places.into_iter().try_for_each(|place| ground.retire(place.area))
    }
}

impl Place {
    fn new(area: Area, leaves: Leaves) -> Self {
        Self { area, leaves, private: true, full: true }
    }

    pub(super) fn is_hugetlb(&self) -> bool {
        matches!(self.leaves, Leaves::Hugetlb(_))
    }

    pub(super) fn range(&self) -> Range<usize> {
        self.area.range()
    }

    /// What a PMD entry maps, so many times.
    pub(super) fn pmds(&self) -> u64 {
        self.area.pmds().count() as u64
    }

    /// Where each of its folios begins.
    pub(super) fn folios(&self) -> impl Iterator<Item = usize> + use<> {
        let unit = if self.full { self.area.unit() } else { self.area.range().len().min(HUGE) };
        self.area.range().step_by(unit)
    }

    /// The level of its leaves.
    pub(super) fn level(&self) -> Level {
        match self.leaves {
            Leaves::Ptes => Level::Pte,
            Leaves::Hugetlb(size) if size >= GIGANTIC => Level::Pud,
            Leaves::Pmds | Leaves::Hugetlb(_) => Level::Pmd,
        }
    }
}

fn base(ground: &Ground, blocks: usize) -> Result<Vec<Place>, StepError> {
    let area = ground.area(Kind::Base, blocks * ground.machine.pages_per_pmd())?;
    area.write_all();
    Ok(vec![Place::new(area, Leaves::Ptes)])
}

fn sparse(ground: &Ground, blocks: usize) -> Result<Vec<Place>, StepError> {
    let area = ground.area(Kind::Base, blocks * ground.machine.pages_per_pmd())?;
    area.write_sparsely();
    Ok(vec![Place { full: false, ..Place::new(area, Leaves::Ptes) }])
}

fn shared(ground: &Ground, blocks: usize) -> Result<Vec<Place>, StepError> {
    let area = ground.area(Kind::Shared, blocks * ground.machine.pages_per_pmd())?;
    area.write_all();
    Ok(vec![Place { private: false, ..Place::new(area, Leaves::Ptes) }])
}

fn thp(ground: &Ground, blocks: usize) -> Result<Vec<Place>, StepError> {
    Ok(vec![Place::new(ground.thps(blocks)?, Leaves::Pmds)])
}

/// An mprotect of one page splits the PMD and not the folio; when it is taken back, the VMAs are one again.
fn split(ground: &Ground, blocks: usize) -> Result<Vec<Place>, StepError> {
    let area = ground.thps(blocks)?;
    for pmd in area.pmds() {
        let page = area.page_inside(&pmd);
        area.protect(&page)?;
        area.unprotect(&page)?;
    }
    Ok(vec![Place::new(area, Leaves::Ptes)])
}

fn hugetlb(ground: &Ground, size: usize, count: usize) -> Result<Vec<Place>, StepError> {
    let area = ground.area(Kind::Hugetlb(size), count)?;
    area.write_all();
    Ok(vec![Place::new(area, Leaves::Hugetlb(size))])
}

fn mixed(ground: &Ground, blocks: usize) -> Result<Vec<Place>, StepError> {
    let mut places = base(ground, blocks)?;
    places.extend(thp(ground, blocks)?);
    places.extend(hugetlb(ground, HUGE, blocks)?);
    Ok(places)
}
