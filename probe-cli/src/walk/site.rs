//! Functions of walkers: which path they serve, what they tell, and what must be known of them.

pub use probe_common::site::{Over, Shape};
use serde::{Deserialize, Serialize};

use crate::{
    event::Path,
    plan::catalogue::{
        FILE_INODE, HSTATE_ORDER, HUGETLBFS_HSTATE, INODE_SB, MOVE_NEW_ADDR, MOVE_OLD,
        MOVE_OLD_ADDR, MOVE_OLD_END, Member, Needs, Packed, Role, SB_FS_INFO, TASK_MM, VMA_END,
        VMA_FILE, VMA_FLAGS, VMA_MM, VMA_START, WALK_VMA,
    },
};

/// A function of a walker that is counted and timed, under the names that it has had.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Which VMAs it serves.
    pub over: Over,
    /// What it is given, and what a call covers.
    pub shape: Shape,
    /// Its names, the best first.
    pub functions: &'static [&'static str],
}

/// The level of a leaf, as far as the function tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A PTE; of hugetlb, a page that is smaller than what a PMD entry maps.
    Pte,
    /// A PMD leaf.
    Pmd,
    /// A PUD leaf.
    Pud,
    /// The function does not tell.
    Any,
}

impl Level {
    /// Every level, by its number in the kernel's tables.
    pub const ALL: [Self; 4] = [Self::Pte, Self::Pmd, Self::Pud, Self::Any];

    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pte => "PTE",
            Self::Pmd => "PMD",
            Self::Pud => "PUD",
            Self::Any => "any",
        }
    }
}

const ADDRESS: &[&str] = &["addr", "start", "address"];
const WALK: &[Member] = &[TASK_MM, WALK_VMA, VMA_MM];
const VMA: &[Member] = &[TASK_MM, VMA_MM, VMA_FLAGS];
const WHOLE: &[Member] = &[TASK_MM, VMA_MM, VMA_FLAGS, VMA_START, VMA_END];

/// What leads from a hugetlb VMA to its page size; without it the level is not told.
pub const PAGE_SIZE: [Member; 6] =
    [VMA_FILE, FILE_INODE, INODE_SB, SB_FS_INFO, HUGETLBFS_HSTATE, HSTATE_ORDER];

impl Site {
    /// What its functions must tell.
    #[must_use]
    pub const fn needs(&self) -> Needs {
        let (required, optional, offsets): (&[Role], &[Role], &[Member]) = match self.shape {
            Shape::Pmd => (&[Role::Walk, Role::Address, Role::End, Role::Pmd], &[], WALK),
            Shape::Pte | Shape::Walk => (&[Role::Walk, Role::Address, Role::End], &[], WALK),
            Shape::Hugetlb => (&[Role::Walk, Role::Address, Role::End, Role::Mask], &[], WALK),
            Shape::Range => (&[Role::Vma, Role::Address, Role::End], &[], VMA),
            Shape::Move => (&[Role::Vma, Role::Address, Role::Len], &[], VMA),
            Shape::Whole => (&[Role::Source], &[], WHOLE),
            Shape::Leaf => (&[Role::Vma, Role::Address], &[], VMA),
            Shape::Vma => (&[Role::Vma], &[], VMA),
            Shape::Pages => (&[Role::Mm, Role::Pages], &[], &[TASK_MM]),
            Shape::OwnPages => (&[Role::Pages], &[], &[TASK_MM]),
            Shape::Span => (&[Role::Mm, Role::Address, Role::End], &[], &[TASK_MM]),
            Shape::OwnSpan => (&[Role::Address, Role::End], &[], &[TASK_MM]),
            Shape::Nothing => (&[], &[], &[]),
        };
        let packed = match self.shape {
            Shape::Move => Some(Packed {
                required: &[Role::Control],
                offsets: &[MOVE_OLD, MOVE_OLD_ADDR, MOVE_OLD_END, MOVE_NEW_ADDR],
            }),
            _ => None,
        };
        let address = match self.shape {
            Shape::Move => &["old_addr"],
            _ => ADDRESS,
        };
        Needs { required, address, optional, result: false, offsets, packed }
    }

    /// What it tells apart: the path, which is `None` where it is not told, and the level of the leaves. In the order
    /// of the rows that the programs add to.
    #[must_use]
    pub const fn rows(&self) -> &'static [(Option<Path>, Level)] {
        const HUGETLB: Option<Path> = Some(Path::Hugetlb);
        const GENERIC: Option<Path> = Some(Path::Generic);
        match (self.shape, self.over) {
            (Shape::Pmd, _) => &[(GENERIC, Level::Pte), (GENERIC, Level::Pmd)],
            (Shape::Pte, _) => &[(GENERIC, Level::Pte)],
            (Shape::Hugetlb, _) => {
                &[(HUGETLB, Level::Pte), (HUGETLB, Level::Pmd), (HUGETLB, Level::Pud)]
            }
            (_, Over::Generic) => &[(GENERIC, Level::Any)],
            (_, Over::Hugetlb) => &[
                (HUGETLB, Level::Pte),
                (HUGETLB, Level::Pmd),
                (HUGETLB, Level::Pud),
                (HUGETLB, Level::Any),
            ],
            (_, Over::Both) => &[
                (HUGETLB, Level::Pte),
                (HUGETLB, Level::Pmd),
                (HUGETLB, Level::Pud),
                (HUGETLB, Level::Any),
                (GENERIC, Level::Any),
            ],
            (_, Over::Untold) => &[(None, Level::Any)],
        }
    }
}

#[cfg(test)]
mod tests {
    use probe_common::site::{ANY, GENERIC, PMD, PTE, PUD};

    use super::{Level, Over, Path, Shape, Site};

    #[test]
    fn rows_stand_where_the_programs_add() {
        let rows = |shape, over| Site { over, shape, functions: &[] }.rows();
        let at = |rows: &[(Option<Path>, Level)], place: u32| rows[place as usize];
        let pmd = rows(Shape::Pmd, Over::Generic);
        assert_eq!(at(pmd, PTE), (Some(Path::Generic), Level::Pte));
        assert_eq!(at(pmd, PMD), (Some(Path::Generic), Level::Pmd));
        for rows in [rows(Shape::Hugetlb, Over::Hugetlb), rows(Shape::Range, Over::Both)] {
            assert_eq!(at(rows, PMD), (Some(Path::Hugetlb), Level::Pmd));
            assert_eq!(at(rows, PUD), (Some(Path::Hugetlb), Level::Pud));
        }
        let both = rows(Shape::Range, Over::Both);
        assert_eq!(at(both, ANY), (Some(Path::Hugetlb), Level::Any));
        assert_eq!(at(both, GENERIC), (Some(Path::Generic), Level::Any));
        for over in [Over::Generic, Over::Untold] {
            assert_eq!(rows(Shape::Range, over).len(), 1);
        }
    }
}
