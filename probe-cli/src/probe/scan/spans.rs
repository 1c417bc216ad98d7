//! What to ask for: ranges that lie near each other together.

use std::ops::Range;

/// A gap up to this costs less to read than another range to begin: 256 entries.
pub(super) const NEAR: u64 = 1 << 20;

/// Ranges that cover all of these, which are in order; those at most `near` bytes apart together.
pub(super) fn spans(ranges: &[Range<u64>], near: u64) -> Vec<Range<u64>> {
    let mut spans: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match spans.last_mut() {
            Some(last) if range.start.saturating_sub(last.end) <= near => last.end = range.end,
            _ => spans.push(range.clone()),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::spans;

    #[test]
    fn near_ranges_are_asked_for_together() {
        let ranges = [1..2, 2..5, 9..10];
        assert_eq!(spans(&ranges, 3), [1..5, 9..10]);
        assert_eq!(spans(&ranges, 4), vec![1..10]);
        assert_eq!(spans(&ranges, 0), [1..5, 9..10]);
        assert!(spans(&[], 1).is_empty());
    }
}
