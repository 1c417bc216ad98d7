//! Whether times of two sides differ by more than chance makes them.
//!
//! The unit is a run, since samples of one run have more in common than samples of two (T. Kalibera and R. Jones,
//! "Rigorous Benchmarking in Reasonable Time", ISMM 2013). The logarithms of the runs' times are compared by Welch's t interval (B. L. Welch,
//! "The generalization of 'Student's' problem when several different population variances are involved", Biometrika 34, 1947), which
//! does not want both sides to spread alike; its ends are those of a ratio.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, StudentsT};
use statrs::statistics::Statistics as _;

/// A ratio, and the interval that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// After by before; above 1 when it takes longer.
    pub ratio: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// With fewer runs on a side, how much they spread is not known.
pub(super) const LEAST: usize = 3;

/// Compares times; `error` is the probability that the interval does not hold the ratio. `None` where there are fewer
/// than [`LEAST`] runs, or one took no time at all.
pub(super) fn ratio(before: &[f64], after: &[f64], error: f64) -> Option<Interval> {
    let (before, after) = (Side::of(before)?, Side::of(after)?);
    let variance = before.variance + after.variance;
    let difference = after.mean - before.mean;
    let half = if variance > 0.0 {
        // Welch and Satterthwaite.
        let part = |side: &Side| side.variance * side.variance / (side.runs - 1.0);
        let freedom = variance * variance / (part(&before) + part(&after));
        let t = StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(1.0 - error / 2.0);
        t * variance.sqrt()
    } else {
        0.0
    };
    Some(Interval {
        ratio: difference.exp(),
        low: (difference - half).exp(),
        high: (difference + half).exp(),
    })
}

/// The logarithms of one side.
struct Side {
    runs: f64,
    mean: f64,
    /// Of the mean.
    variance: f64,
}

impl Side {
    fn of(times: &[f64]) -> Option<Self> {
        if times.len() < LEAST || times.iter().any(|time| *time <= 0.0) {
            return None;
        }
        let logarithms: Vec<f64> = times.iter().map(|time| time.ln()).collect();
        #[expect(clippy::cast_precision_loss, reason = "a number of runs")]
        let runs = times.len() as f64;
        // Equal times have no spread, whatever rounding makes of their mean.
        let is_still = times.iter().all(|time| time.to_bits() == times[0].to_bits());
        let variance = if is_still { 0.0 } else { (&logarithms).variance() / runs };
        Some(Self { runs, mean: (&logarithms).mean(), variance })
    }
}

#[cfg(test)]
mod tests {
    use super::ratio;

    /// By hand: the logarithms differ by 0.09705, with a standard error of 0.009048 and 3.14 degrees of freedom; tables of t have
    /// 3.18 for 3, 2.78 for 4.
    #[test]
    fn the_interval_is_welchs() {
        let before = [100.0, 101.0, 99.0, 100.5];
        let after = [110.0, 112.0, 109.0];
        let found = ratio(&before, &after, 0.05).unwrap();
        assert!((found.ratio - 1.10192).abs() < 1e-5, "{found:?}");
        let half = (found.high / found.ratio).ln() / 0.009_048;
        assert!(half > 3.05 && half < 3.18, "{found:?}: {half}");
        assert!((found.ratio / found.low - found.high / found.ratio).abs() < 1e-9, "{found:?}");
        let sure = ratio(&before, &after, 0.0001).unwrap();
        assert!(sure.low < found.low && sure.high > found.high, "{sure:?}");
    }

    #[test]
    fn what_does_not_spread_is_a_point() {
        let found = ratio(&[7.0; 5], &[14.0; 3], 0.001).unwrap();
        assert!((found.low - 2.0).abs() < 1e-9 && (found.high - 2.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn too_little_gives_nothing() {
        assert_eq!(ratio(&[1.0, 2.0], &[1.0, 2.0, 3.0], 0.01), None);
        assert_eq!(ratio(&[1.0, 2.0, 0.0], &[1.0, 2.0, 3.0], 0.01), None);
    }

    /// One time out of many that is far off makes the interval wide, and no finding.
    #[test]
    fn an_outlier_is_no_difference() {
        let found = ratio(&[100.0; 5], &[100.0, 100.0, 100.0, 100.0, 130.0], 0.01).unwrap();
        assert!(found.low < 1.0 && found.high > 1.0, "{found:?}");
    }
}
