//! From copies of tables to runs of leaves.

use std::ops::Range;

use probe_common::{
    entry::{self, PMD_SHIFT, PTE_SHIFT, bits},
    scan::{NO_ORDER, Orders, Part, Table},
};

use super::kinds::{Kinds, is_special};
use crate::model::{
    leaf::{LeafKind, LeafSize, Marks, Run},
    set::Wants,
};

/// An answer of the kernel side.
#[derive(Clone, Copy)]
pub(super) struct Answer<'a> {
    /// What the tables are.
    pub(super) parts: &'a [Part],
    /// One for each part.
    pub(super) tables: &'a [Table],
    /// One for each part; they only mean something when they were asked for.
    pub(super) orders: &'a [Orders],
}

/// Some entries of a table of the last level, side by side.
#[derive(Clone, Copy)]
struct Entries<'a> {
    start: u64,
    values: &'a [u64],
    orders: &'a [u8],
}

/// Leaves that are alike, side by side.
#[derive(Clone, Copy)]
struct Leaves {
    start: u64,
    count: u64,
    size: LeafSize,
    kind: LeafKind,
    /// [`NO_ORDER`] when nobody asked.
    order: u8,
}

/// Hands out the runs of some ranges of addresses, in order, each with the number of its range.
///
/// Holes are what lies between runs. What was read beside the ranges is not told; leaves that are there, or
/// that reach out of their range, are counted: the process has changed its VMAs meanwhile.
pub(super) struct Decoder<'a, F> {
    kinds: &'a Kinds,
    ranges: &'a [Range<u64>],
    wants: Wants,
    /// Nothing is wanted but sizes and kinds.
    plain: bool,
    take: F,
    /// The range that the next leaf may be in.
    current: usize,
    /// The leaves that are not handed out yet, and which range they are in; none when the count is 0.
    open: Leaves,
    open_in: usize,
    open_marks: Marks,
    /// One past the last address that was looked at.
    covered: u64,
    misplaced: Misplaced,
}

/// What is not told, because it changed meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Misplaced {
    /// Where a table of the last level kept changing.
    pub(super) torn: Vec<Range<u64>>,
    /// Leaves that reach across the border of a range.
    pub(super) across: Vec<Range<u64>>,
    /// Leaves where another one had been told already.
    pub(super) twice: u64,
    /// Leaves in no range.
    pub(super) beside: u64,
}

impl<'a, F: FnMut(usize, Run)> Decoder<'a, F> {
    /// The ranges are in order and do not overlap.
    pub(super) fn new(kinds: &'a Kinds, ranges: &'a [Range<u64>], wants: Wants, take: F) -> Self {
        Self {
            kinds,
            ranges,
            wants,
            plain: wants == Wants::default(),
            take,
            current: 0,
            open: Leaves {
                start: 0,
                count: 0,
                size: LeafSize::BASE,
                kind: LeafKind::Hole,
                order: 0,
            },
            open_in: 0,
            open_marks: Marks::default(),
            covered: 0,
            misplaced: Misplaced::default(),
        }
    }

    /// Decodes an answer, which follows on the one before.
    pub(super) fn answer(&mut self, answer: Answer<'_>) {
        let all = answer.parts.iter().zip(answer.tables).zip(answer.orders);
        let mut all = all.map(|((part, table), orders)| {
            let count = usize::try_from(part.count).unwrap_or(0).min(table.len());
            (part, &table[..count], &orders[..count])
        });
        let mut next = all.next();
        while let Some((part, entries, orders)) = next {
            next = all.next();
            for (i, (&entry, &order)) in (0..).zip(entries.iter().zip(orders)) {
                let start = part.start + (i << part.shift);
                if !entry::is_table(entry) {
                    self.huge(start, part.shift, entry, order);
                    continue;
                }
                // The table that the entry points to, unless it kept changing.
                if let Some((below, entries, orders)) = next
                    && below.shift == PTE_SHIFT
                    && below.start >> PMD_SHIFT == start >> PMD_SHIFT
                {
                    self.table(Entries { start: below.start, values: entries, orders });
                    next = all.next();
                } else {
                    self.misplaced.torn.push(start..start + (1 << part.shift));
                }
            }
        }
    }

    /// Hands out the last run; gives what was not told.
    pub(super) fn finish(mut self) -> Misplaced {
        self.flush();
        self.misplaced
    }

    /// An entry above the last level that points to no table.
    fn huge(&mut self, start: u64, shift: u32, entry: u64, order: u8) {
        let Some(size) = u8::try_from(shift).ok().and_then(LeafSize::from_shift) else { return };
        let kind = self.kinds.huge(entry, shift);
        if kind == LeafKind::Hole {
            return;
        }
        let end = start + size.bytes();
        let range = self.range_at(start).filter(|range| range.start < end);
        if range.is_none() && start >= self.covered {
            self.misplaced.beside += 1;
            return;
        }
        if start < self.covered {
            self.misplaced.twice += 1;
            return;
        }
        if range.is_none_or(|range| range.start > start || range.end < end) {
            self.misplaced.across.push(start..end);
            return;
        }
        self.covered = end;
        let order = if self.has_folios(kind) { order } else { NO_ORDER };
        self.add(Leaves { start, count: 1, size, kind, order });
        self.mark(std::slice::from_ref(&entry), kind);
    }

    /// Entries of the last level, some of which may lie in no range.
    fn table(&mut self, mut rest: Entries<'_>) {
        if rest.start < self.covered {
            let twice = rest.take_until(self.covered);
            self.misplaced.twice += twice.occupied();
        }
        while !rest.values.is_empty() {
            let range = self.range_at(rest.start);
            let (from, to) = range.map_or((u64::MAX, u64::MAX), |range| (range.start, range.end));
            if from > rest.start {
                self.misplaced.beside += rest.take_until(from).occupied();
                continue;
            }
            let inside = rest.take_until(to);
            self.covered = inside.end();
            self.leaves(inside);
        }
    }

    /// Entries of the last level in the current range.
    fn leaves(&mut self, part: Entries<'_>) {
        let (all, any) =
            part.values.iter().fold((u64::MAX, 0), |(all, any), &entry| (all & entry, any | entry));
        match self.kinds.alike(all, any) {
            Some(LeafKind::Hole) => {}
            Some(kind) => self.alike(part, kind),
            None => self.mixed(part),
        }
    }

    fn mixed(&mut self, part: Entries<'_>) {
        let mut at = 0;
        while let Some((first, rest)) = part.values.get(at..).and_then(<[u64]>::split_first) {
            if *first == 0 {
                at += 1 + holes(rest);
                continue;
            }
            let kind = self.kinds.base(*first);
            let more = if entry::is_mapped(*first) && !is_special(*first) {
                let class = first & bits::CLASS;
                length(rest, |entry| entry & bits::CLASS == class)
            } else {
                length(rest, |entry| self.kinds.base(entry) == kind)
            };
            let end = at + 1 + more;
            if self.plain {
                let start = part.start + ((at as u64) << PTE_SHIFT);
                self.add(Leaves { start, count: 1 + more as u64, ..Leaves::base(kind) });
            } else {
                self.alike(part.part(at..end), kind);
            }
            at = end;
        }
    }

    /// Entries that hold the same.
    fn alike(&mut self, mut rest: Entries<'_>, kind: LeafKind) {
        let has_folios = self.has_folios(kind);
        while let Some(&order) = rest.orders.first() {
            let (order, count) = if has_folios {
                (order, rest.orders.iter().take_while(|&&other| other == order).count())
            } else {
                (NO_ORDER, rest.orders.len())
            };
            let part = rest.take(count);
            let leaves =
                Leaves { start: part.start, count: count as u64, order, ..Leaves::base(kind) };
            self.add(leaves);
            self.mark(part.values, kind);
        }
    }

    /// Whether leaves of this kind map folios of the process whose orders are wanted; nobody owns the pages of
    /// zeroes.
    fn has_folios(&self, kind: LeafKind) -> bool {
        self.wants.folios && matches!(kind, LeafKind::Present | LeafKind::ProtNone)
    }

    /// Adds leaves to the open ones, or hands those out and begins anew.
    #[inline]
    fn add(&mut self, leaves: Leaves) {
        let open = &mut self.open;
        let goes_on = open.end() == leaves.start
            && (open.size, open.kind, open.order) == (leaves.size, leaves.kind, leaves.order)
            && self.open_in == self.current;
        if goes_on {
            open.count += leaves.count;
        } else {
            self.flush();
            self.open = leaves;
            self.open_in = self.current;
        }
    }

    /// Adds the marks of the entries that were added last.
    fn mark(&mut self, entries: &[u64], kind: LeafKind) {
        if self.wants.marks && kind.is_mapped() {
            self.open_marks = self.open_marks.plus(marks(entries));
        }
    }

    #[inline]
    fn flush(&mut self) {
        let Leaves { start, count, size, kind, order } = self.open;
        if count == 0 {
            return;
        }
        let mut run = Run { start, size, count, kind, folio_order: None, marks: None };
        if !self.plain {
            run.folio_order = (order != NO_ORDER).then_some(order);
            run.marks = self.wants.marks.then(|| std::mem::take(&mut self.open_marks));
        }
        (self.take)(self.open_in, run);
    }

    /// The first range that ends behind an address; addresses come in order.
    fn range_at(&mut self, address: u64) -> Option<Range<u64>> {
        while self.ranges.get(self.current).is_some_and(|range| range.end <= address) {
            self.current += 1;
        }
        self.ranges.get(self.current).cloned()
    }
}

impl Leaves {
    /// No leaves yet, of the last level.
    const fn base(kind: LeafKind) -> Self {
        Self { start: 0, count: 0, size: LeafSize::BASE, kind, order: NO_ORDER }
    }

    const fn end(&self) -> u64 {
        self.start + (self.count << self.size.shift())
    }
}

impl Entries<'_> {
    const fn end(&self) -> u64 {
        self.start + ((self.values.len() as u64) << PTE_SHIFT)
    }

    fn part(&self, range: Range<usize>) -> Self {
        Self {
            start: self.start + ((range.start as u64) << PTE_SHIFT),
            values: &self.values[range.clone()],
            orders: &self.orders[range],
        }
    }

    /// Splits off the first ones.
    fn take(&mut self, count: usize) -> Self {
        let count = count.min(self.values.len());
        let (values, rest) = self.values.split_at(count);
        let (orders, rest_orders) = self.orders.split_at(count);
        let first = Self { start: self.start, values, orders };
        *self = Self { start: first.end(), values: rest, orders: rest_orders };
        first
    }

    /// Splits off those before an address.
    fn take_until(&mut self, address: u64) -> Self {
        let count = (address - self.start) >> PTE_SHIFT;
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn occupied(&self) -> u64 {
        self.values.iter().filter(|&&entry| entry != 0).count() as u64
    }
}

/// How many entries at the beginning are so.
#[inline]
fn length(entries: &[u64], is_so: impl Fn(u64) -> bool) -> usize {
    entries.iter().take_while(|&&entry| is_so(entry)).count()
}

/// How many entries at the beginning are empty; eight at a time, for there can be many.
#[inline]
fn holes(entries: &[u64]) -> usize {
    let (eights, _) = entries.as_chunks::<8>();
    let empty = |[a, b, c, d, e, f, g, h]: &&[u64; 8]| a | b | c | d | e | f | g | h == 0;
    let skip = 8 * eights.iter().take_while(empty).count();
    skip + entries.get(skip..).map_or(0, |rest| length(rest, |entry| entry == 0))
}

/// How many entries, all of memory, have which mark.
fn marks(entries: &[u64]) -> Marks {
    if let [entry] = entries {
        let has = |mask| u64::from(entry & mask != 0);
        return Marks {
            young: has(bits::YOUNG),
            dirty: has(bits::DIRTY | bits::SAVED_DIRTY),
            soft_dirty: has(bits::SOFT_DIRTY),
            writable: has(bits::WRITABLE),
            uffd_wp: has(bits::UFFD_WP),
        };
    }
    let all = entries.iter().fold(u64::MAX, |all, entry| all & entry);
    let any = entries.iter().fold(0, |any, entry| any | entry);
    let count = |mask: u64| {
        if all & mask == mask {
            entries.len() as u64
        } else if any & mask == 0 {
            0
        } else {
            entries.iter().map(|entry| u64::from(entry & mask != 0)).sum()
        }
    };
    Marks {
        young: count(bits::YOUNG),
        // Two bits, of which one is enough.
        dirty: if any & bits::SAVED_DIRTY == 0 {
            count(bits::DIRTY)
        } else {
            count(bits::DIRTY | bits::SAVED_DIRTY)
        },
        soft_dirty: count(bits::SOFT_DIRTY),
        writable: count(bits::WRITABLE),
        uffd_wp: count(bits::UFFD_WP),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
