//! Whether what a line says can be: a session takes what comes from the kernel, and a file is anybody's.

use crate::{
    change::Change,
    event::{Address, Detail, Event},
    model::{leaf::Run, vma::Vma},
    sample::Sample,
    track::reading::{Reading, Span},
};

/// Above every address that is mapped, `[vsyscall]` included, and far enough from the end of the numbers for the
/// largest leaf behind it.
const TOP: u64 = u64::MAX - (1 << 20);

/// The longest name of a VMA, in bytes: a path, each byte of it escaped, and what the kernel adds.
const NAME: usize = 5 * 4096;

/// The most flags of a VMA.
const FLAGS: usize = 64;

/// The most processes that the kernel side counts.
const PROCESSES: usize = 16384;

/// Whether a sample has as many processes as can be.
pub(super) fn sample(sample: &Sample) -> bool {
    sample.processes.len() <= PROCESSES
}

/// Whether an event names addresses that can be.
pub(super) fn event(event: &Event) -> bool {
    match &event.detail {
        // A fault can be at any address.
        Detail::Fault { page_size, .. } => page_size.is_none_or(u64::is_power_of_two),
        Detail::PmdSplit { .. } | Detail::FolioSplit { .. } | Detail::Collapse { .. } => true,
        Detail::CollapseRequest { start, end, .. } | Detail::Walk { start, end, .. } => {
            range(*start, *end)
        }
        Detail::Change(change) => self::change(change),
    }
}

fn change(change: &Change) -> bool {
    let (Some(start), end) = (change.start(), change.end()) else { return true };
    let there = match change {
        Change::Move { to, .. } => to.0 <= TOP,
        Change::Uffd { from: Some(from), .. } => from.0 <= TOP,
        _ => true,
    };
    there && end.map_or(start.0 <= TOP, |end| range(start, end))
}

/// Whether a reading can be one of an address space: everything in order, nothing twice.
pub(super) fn reading(reading: &Reading) -> bool {
    let vmas = reading.vmas.iter().flatten().map(|vma: &Vma| (vma.start, vma.end));
    let ranges = reading.ranges.iter().map(|&Span(start, end)| (start.0, end.0));
    let mut sizes = reading.runs.iter();
    reading.vmas.iter().flatten().all(is_named)
        && ordered(vmas)
        && ordered(ranges)
        && sizes.all(is_run)
        && ordered(reading.runs.iter().map(|run| (run.start, run.end())))
}

/// Whether its texts are as long as they can be.
fn is_named(vma: &Vma) -> bool {
    let flags = || vma.flags.iter().flatten();
    vma.name.len() <= NAME && flags().count() <= FLAGS && flags().all(|flag| flag.len() <= 16)
}

/// Whether its end is a number, and its leaves are where such leaves can be.
fn is_run(run: &Run) -> bool {
    let bytes = run.count.checked_mul(run.size.bytes());
    let has_end = bytes.and_then(|bytes| run.start.checked_add(bytes)).is_some();
    let marks = run.marks.is_none_or(|marks| marks.counts().iter().all(|&n| n <= run.count));
    has_end && marks && run.count > 0 && run.start.is_multiple_of(run.size.bytes())
}

fn ordered(mut ranges: impl Iterator<Item = (u64, u64)>) -> bool {
    let mut before = 0;
    ranges.all(|(start, end)| {
        let follows = before <= start && start < end && end <= TOP;
        let whole = start.is_multiple_of(4096) && end.is_multiple_of(4096);
        before = end;
        follows && whole
    })
}

fn range(start: Address, end: Address) -> bool {
    start <= end && end.0 <= TOP
}

#[cfg(test)]
mod tests {
    use super::{event, reading};
    use crate::{
        change::Change,
        event::Address,
        model::{
            fixture::{run, vma},
            leaf::{LeafKind, LeafSize, Run},
        },
        track::fixture,
    };

    #[test]
    fn what_cannot_be_is_refused() {
        let whole = || vec![run(0, LeafSize::PMD, 2, LeafKind::Present)];
        let good = fixture::start(1, vma(0..4 << 20), whole());
        assert!(reading(&good));
        let with = |change: &dyn Fn(&mut Run)| {
            let mut runs = whole();
            change(&mut runs[0]);
            reading(&fixture::start(1, vma(0..4 << 20), runs))
        };
        assert!(!with(&|run| run.count = u64::MAX));
        assert!(!with(&|run| run.count = 0));
        assert!(!with(&|run| run.start = 4096));
        let twice = [whole(), whole()].concat();
        assert!(!reading(&fixture::start(1, vma(0..4 << 20), twice)));
        let backwards = Change::Zap { start: Address(8192), end: Address(4096) };
        assert!(!event(&fixture::change(1, backwards)));
        let wide = Change::Zap { start: Address(0), end: Address(u64::MAX) };
        assert!(!event(&fixture::change(1, wide)));
    }
}
