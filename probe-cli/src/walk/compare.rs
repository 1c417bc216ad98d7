//! The two paths of a walker, at equal leaf size.

use serde::Serialize;

use super::totals::Totals;

/// Time of the generic path by time of the hugetlb path, for each leaf.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Above 1: generic takes longer.
    pub ratio: f64,
    /// The interval that holds it in 95 of 100 cases; absent where there are too few calls, or they differ too much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<(f64, f64)>,
}

/// The quantile of the normal distribution that leaves 2.5 % at each end.
const Z: f64 = 1.96;

/// With fewer calls on one side their mean is not normally distributed.
const LEAST: u64 = 30;

/// Calls of one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side {
    /// How many.
    pub calls: u64,
    /// The mean time of what is compared, in ns, without what the programs take.
    pub mean: f64,
    /// The standard deviation of one call, for what is compared, in ns.
    pub deviation: f64,
}

impl Side {
    /// By leaf, of calls whose own part, in ns, is taken off; `None` where the leaves are not told.
    #[must_use]
    pub fn by_leaf(totals: &Totals, own: f64) -> Option<Self> {
        if totals.calls == 0 || totals.entries == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "numbers of calls and ns")]
        let (calls, entries, ns) = (totals.calls as f64, totals.entries as f64, totals.ns as f64);
        let by_leaf = calls / entries;
        Some(Self {
            calls: totals.calls,
            mean: (ns / calls - own).max(0.0) * by_leaf,
            deviation: totals.durations.variance(ns / calls).sqrt() * by_leaf,
        })
    }

    /// The variance of the mean.
    fn variance(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a number of calls")]
        let calls = self.calls.max(1) as f64;
        self.deviation * self.deviation / calls
    }
}

/// Compares the means; `None` where one of them is 0.
///
/// The interval is Fieller's for the ratio of two independent means (E. C. Fieller, Some problems in interval
/// estimation, Journal of the Royal Statistical Society B 16, 1954).
#[must_use]
pub fn ratio(generic: Side, hugetlb: Side) -> Option<Ratio> {
    let (a, b) = (generic.mean, hugetlb.mean);
    if a <= 0.0 || b <= 0.0 {
        return None;
    }
    let (var_a, var_b) = (generic.variance(), hugetlb.variance());
    let ratio = a / b;
    let g = Z * Z * var_b / (b * b);
    let enough = generic.calls >= LEAST && hugetlb.calls >= LEAST && g < 1.0;
    let half = Z / b * (var_a * (1.0 - g) + ratio * ratio * var_b).sqrt();
    let interval =
        enough.then(|| (((ratio - half) / (1.0 - g)).max(0.0), (ratio + half) / (1.0 - g)));
    Some(Ratio { ratio, interval })
}

#[cfg(test)]
mod tests {
    use probe_common::histogram::{BUCKETS, bucket};

    use super::{Ratio, Side, Totals};
    use crate::walk::histogram::Histogram;

    fn totals(durations: &[u64]) -> Totals {
        let mut buckets = vec![0; BUCKETS];
        for duration in durations {
            buckets[usize::try_from(bucket(*duration)).unwrap()] += 1;
        }
        let mut histogram = Histogram::default();
        histogram.add(&buckets);
        Totals {
            calls: durations.len() as u64,
            entries: durations.len() as u64,
            bytes: 0,
            ns: durations.iter().sum(),
            durations: histogram,
        }
    }

    fn ratio(generic: &Totals, hugetlb: &Totals, own: (f64, f64)) -> Option<Ratio> {
        super::ratio(Side::by_leaf(generic, own.0)?, Side::by_leaf(hugetlb, own.1)?)
    }

    /// Numbers around a mean that look random and are the same each time.
    fn spread(mean: u64, number: usize, seed: u64) -> Vec<u64> {
        let mut state = seed;
        let next = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            mean / 2 + (state >> 33) % mean
        };
        (0..number).map(next).collect()
    }

    #[test]
    fn the_ratio_is_of_what_is_left() {
        let (generic, hugetlb) = (totals(&[300; 40]), totals(&[200; 40]));
        let found = ratio(&generic, &hugetlb, (100.0, 100.0)).unwrap();
        assert!((found.ratio - 2.0).abs() < 1e-9, "{found:?}");
        assert_eq!(ratio(&generic, &hugetlb, (400.0, 0.0)), None);
        assert_eq!(ratio(&generic, &Totals::default(), (0.0, 0.0)), None);
    }

    #[test]
    fn few_calls_have_no_interval() {
        let few = totals(&spread(1000, 10, 1));
        assert_eq!(ratio(&few, &few, (0.0, 0.0)).unwrap().interval, None);
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        let mut held = 0;
        let mut width = 0.0;
        for seed in 0..400 {
            let a = totals(&spread(2000, 200, 2 * seed + 1));
            let b = totals(&spread(1000, 200, 77_777 * seed + 5));
            let (low, high) = ratio(&a, &b, (0.0, 0.0)).unwrap().interval.unwrap();
            assert!(low < high);
            held += usize::from(low <= 2.0 && 2.0 <= high);
            width += high - low;
        }
        assert!((370..=396).contains(&held), "{held} of 400");
        // Uniform over one mean: the spread of each mean is 0.29/sqrt(200), of the ratio 2 * sqrt(2) of it.
        let expected = 2.0 * 1.96 * 2.0 * std::f64::consts::SQRT_2 * 0.2887 / 200.0_f64.sqrt();
        assert!((width / 400.0 / expected - 1.0).abs() < 0.1, "{width}");
    }
}
