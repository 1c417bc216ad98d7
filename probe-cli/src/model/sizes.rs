//! Bytes by the size of the leaves that map them: the few numbers that stand for an address space in a table.

use super::{
    diff::State,
    leaf::{LeafKind, LeafSize},
    statistics::Statistics,
};

/// A class of leaves that a table has a column for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeClass {
    /// Mapped by leaves of 1G and more.
    Pud,
    /// Mapped by leaves of 2M and more, below 1G.
    Pmd,
    /// Mapped by leaves between 4K and 2M: contiguous ones.
    Between,
    /// Mapped by single pages.
    Base,
    /// Not mapped, and no hole: swap, migration, markers.
    NotPresent,
}

impl SizeClass {
    /// Every class, the largest leaves first.
    pub const ALL: [Self; 5] = [Self::Pud, Self::Pmd, Self::Between, Self::Base, Self::NotPresent];

    /// The heading of its column.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Pud => "1G",
            Self::Pmd => "2M",
            Self::Between => "CONT",
            Self::Base => "4K",
            Self::NotPresent => "NOTPRES",
        }
    }

    /// The class of a leaf; holes have none.
    #[must_use]
    pub const fn of(size: LeafSize, kind: LeafKind) -> Option<Self> {
        Some(match kind {
            LeafKind::Hole => return None,
            kind if !kind.is_mapped() => Self::NotPresent,
            _ if size.shift() >= LeafSize::PUD.shift() => Self::Pud,
            _ if size.is_huge() => Self::Pmd,
            _ if size.shift() > LeafSize::BASE.shift() => Self::Between,
            _ => Self::Base,
        })
    }
}

/// Bytes by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes([u64; SizeClass::ALL.len()]);

impl Sizes {
    /// The bytes of a class.
    #[must_use]
    pub const fn get(&self, class: SizeClass) -> u64 {
        self.0[class as usize]
    }

    /// All that is mapped.
    #[must_use]
    pub fn mapped(&self) -> u64 {
        let mapped = SizeClass::ALL.into_iter().filter(|&class| class != SizeClass::NotPresent);
        mapped.fold(0, |sum, class| sum.saturating_add(self.get(class)))
    }

    /// Adds so many bytes of what stands somewhere.
    pub const fn add(&mut self, state: State, bytes: u64) {
        if let State::Leaf(size, kind) = state
            && let Some(class) = SizeClass::of(size, kind)
        {
            let sum = &mut self.0[class as usize];
            *sum = sum.saturating_add(bytes);
        }
    }

    /// Adds those of another part.
    pub fn merge(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(more);
        }
    }
}

impl From<&Statistics> for Sizes {
    fn from(statistics: &Statistics) -> Self {
        let mut sizes = Self::default();
        for total in &statistics.leaves {
            sizes.add(State::Leaf(total.size, total.kind), total.bytes);
        }
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::{SizeClass, Sizes};
    use crate::model::fixture;

    #[test]
    fn they_are_those_of_the_statistics() {
        let statistics = fixture::set().statistics();
        let sizes = Sizes::from(&statistics);
        assert_eq!(sizes.mapped(), statistics.mapped());
        assert_eq!(sizes.get(SizeClass::NotPresent), statistics.not_present());
        assert_eq!(sizes.get(SizeClass::Pud), 1 << 30);
        assert_eq!(sizes.get(SizeClass::Pmd), 13 << 21);
        let mut twice = sizes;
        twice.merge(&sizes);
        assert_eq!(twice.mapped(), 2 * sizes.mapped());
    }
}
