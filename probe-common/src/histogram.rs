//! Histograms of durations: buckets whose width grows with what they hold, so that the relative error is bounded.
//!
//! Below 16 each number has its bucket; above, each power of two has 16 of one width. What stands in a bucket is
//! told as its middle, which is at most 1/32 (3.2 %) away from it.

/// Buckets of each power of two, as a binary logarithm.
const BITS: u32 = 4;
/// The number of buckets: a power of two.
pub const BUCKETS: usize = 512;

/// The bucket of a number; the last one has all that is larger than 2^35.
#[inline]
#[must_use]
pub const fn bucket(value: u64) -> u64 {
    if value < 1 << BITS {
        return value;
    }
    let log = value.ilog2();
    let index = ((log - BITS + 1) as u64) << BITS | (value >> (log - BITS)) & ((1 << BITS) - 1);
    if index < BUCKETS as u64 { index } else { BUCKETS as u64 - 1 }
}

/// The least number of a bucket, and how many numbers it has.
#[must_use]
pub const fn bounds(index: usize) -> (u64, u64) {
    let one = 1 << BITS;
    if index < one {
        return (index as u64, 1);
    }
    let shift = (index >> BITS) - 1;
    (((one + index % one) as u64) << shift, 1 << shift)
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, bounds, bucket};

    #[test]
    fn buckets_follow_one_another() {
        let mut next = 0;
        for index in 0..BUCKETS {
            let (first, width) = bounds(index);
            assert_eq!(first, next, "bucket {index}");
            assert_eq!(bucket(first), index as u64);
            assert_eq!(bucket(first + width - 1), index as u64);
            next = first + width;
        }
        assert_eq!(next, 1 << 35);
        assert_eq!(bucket(u64::MAX), BUCKETS as u64 - 1);
    }

    #[test]
    fn the_middle_is_near() {
        for value in (0..1 << 35).step_by(9_999_991).chain(0..100_000) {
            let (first, width) = bounds(usize::try_from(bucket(value)).unwrap());
            // In halves, so that the middle is a whole number.
            let middle = 2 * first + width - 1;
            assert!(middle.abs_diff(2 * value) * 32 <= 2 * value, "{value}");
        }
    }
}
