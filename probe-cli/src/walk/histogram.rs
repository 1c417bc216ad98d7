//! Durations in buckets of bounded relative error.

use probe_common::histogram::{BUCKETS, bounds};

/// How often something took how long, in ns; see [`probe_common::histogram`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram(Vec<u64>);

impl Default for Histogram {
    fn default() -> Self {
        Self(vec![0; BUCKETS])
    }
}

impl Histogram {
    /// Adds counts by bucket.
    pub fn add(&mut self, buckets: &[u64]) {
        for (sum, number) in self.0.iter_mut().zip(buckets) {
            *sum += number;
        }
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        self.add(&other.0);
    }

    /// What came since an earlier moment.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self(self.0.iter().zip(&before.0).map(|(now, then)| now.saturating_sub(*then)).collect())
    }

    /// How often in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The middle of each bucket that is not empty, in ns, and how often.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        self.0.iter().enumerate().filter(|(_, number)| **number > 0).map(|(index, number)| {
            let (first, width) = bounds(index);
            #[expect(clippy::cast_precision_loss, reason = "below 2^35")]
            let middle = first as f64 + (width - 1) as f64 / 2.0;
            (middle, *number)
        })
    }

    /// The duration in ns that a part of all does not exceed, with an error of 3.2 % at most; `None` when there
    /// are none.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank"
        )]
        let rank = (self.count() as f64 * part).ceil().max(1.0) as u64;
        let mut below = 0;
        self.buckets().find_map(|(middle, number)| {
            below += number;
            (below >= rank).then_some(middle)
        })
    }

    /// The variance around a mean in ns², of a sample; 0 for less than two.
    #[must_use]
    pub fn variance(&self, mean: f64) -> f64 {
        let count = self.count();
        if count < 2 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of calls")]
        let squares: f64 = self
            .buckets()
            .map(|(middle, number)| (middle - mean) * (middle - mean) * number as f64)
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "a number of calls")]
        let others = (count - 1) as f64;
        squares / others
    }
}

#[cfg(test)]
mod tests {
    use probe_common::histogram::bucket;

    use super::{BUCKETS, Histogram};

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut buckets = vec![0; BUCKETS];
        for value in values {
            buckets[usize::try_from(bucket(value)).unwrap()] += 1;
        }
        let mut histogram = Histogram::default();
        histogram.add(&buckets);
        histogram
    }

    #[test]
    fn quantiles_are_near() {
        let histogram = of((1..=1000).map(|number| number * 100));
        for (part, exact) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.001, 100.0), (1.0, 100_000.0)] {
            let told = histogram.quantile(part).unwrap();
            assert!((told / exact - 1.0_f64).abs() < 0.05, "{part}: {told}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn the_spread_is_near() {
        let histogram = of([1000, 2000, 3000]);
        let spread = histogram.variance(2000.0).sqrt();
        assert!((spread / 1000.0 - 1.0).abs() < 0.05, "{spread}");
        assert!(of([5]).variance(5.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_was_before_is_taken_off() {
        let before = of([10, 20]);
        let mut now = of([30]);
        now.merge(&before);
        assert_eq!(now.since(&before), of([30]));
    }
}
