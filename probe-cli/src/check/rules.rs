//! The rules of a comparison: thresholds, limits, and changes that are accepted, from a TOML file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::finding::Place;
use crate::{bench::results::Clock, event::Path, walk::site::Level};

/// All rules.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// How often, in percent, a comparison without any difference may find one.
    pub false_alarms: f64,
    /// By how much a walker may get slower.
    pub threshold: Thresholds,
    /// What a walker may come to at the most.
    pub limit: Vec<Limit>,
    /// Changes that are no regressions.
    pub accepted: Vec<Accepted>,
}

/// By how many percent a walker may get slower.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// In time.
    pub time: f64,
    /// In instructions.
    pub instructions: f64,
    /// Of walkers that have their own.
    pub walker: BTreeMap<String, Threshold>,
}

/// By how many percent one walker may get slower; what is absent is that of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Threshold {
    /// In time.
    pub time: Option<f64>,
    /// In instructions.
    pub instructions: Option<f64>,
}

/// What a walker's calls may come to, in each sample.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The walker.
    pub walker: String,
    /// Only over this space.
    pub space: Option<String>,
    /// Only on this path.
    pub path: Option<Path>,
    /// Only of leaves of this level.
    pub level: Option<Level>,
    /// Calls.
    pub max_calls: Option<u64>,
    /// Leaves.
    pub max_leaves: Option<u64>,
    /// ns of each call, without what the programs that count take.
    pub max_ns_per_call: Option<f64>,
    /// ns of each leaf.
    pub max_ns_per_leaf: Option<f64>,
}

/// A change that is known.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// The finding's name.
    pub finding: String,
    /// Why it is no regression.
    pub reason: String,
    /// Only of kernels whose release begins so.
    pub kernel: Option<String>,
    /// Of times: only as long as the ratio is not above this.
    pub up_to: Option<f64>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            false_alarms: 1.0,
            threshold: Thresholds::default(),
            limit: Vec::new(),
            accepted: Vec::new(),
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { time: 5.0, instructions: 0.5, walker: BTreeMap::new() }
    }
}

impl Rules {
    /// Reads them.
    ///
    /// # Errors
    /// In words, with the place: when it is no TOML, or has rules that there are not.
    pub fn read(text: &str) -> Result<Self, String> {
        let rules: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let is_percentage = |number: f64| number > 0.0 && number < 100.0;
        if !is_percentage(rules.false_alarms) {
            return Err("`false_alarms` is a percentage between 0 and 100".to_owned());
        }
        let own = rules.threshold.walker.values();
        let own = own.flat_map(|own| [own.time, own.instructions]).flatten();
        let mut thresholds = own.chain([rules.threshold.time, rules.threshold.instructions]);
        if !thresholds.all(is_percentage) {
            return Err("a threshold is a percentage between 0 and 100".to_owned());
        }
        if let Some(limit) = rules.limit.iter().find(|limit| limit.is_empty()) {
            return Err(format!(
                "the limit of {} limits nothing: max_calls, max_leaves, max_ns_per_call or max_ns_per_leaf is wanted",
                limit.walker
            ));
        }
        if let Some(accepted) = rules.accepted.iter().find(|known| known.reason.trim().is_empty()) {
            return Err(format!("{} is accepted without a reason", accepted.finding));
        }
        Ok(rules)
    }

    /// By how much a walker may get slower, as a part of 1.
    #[must_use]
    pub fn threshold(&self, walker: &str, clock: Clock) -> f64 {
        let own = self.threshold.walker.get(walker).copied().unwrap_or_default();
        let percent = match clock {
            Clock::Time => own.time.unwrap_or(self.threshold.time),
            Clock::Instructions => own.instructions.unwrap_or(self.threshold.instructions),
        };
        percent / 100.0
    }

    /// What accepts a finding; `ratio` is that of times.
    #[must_use]
    pub fn accepts(&self, finding: &str, kernel: &str, ratio: Option<f64>) -> Option<&Accepted> {
        self.accepted.iter().find(|accepted| {
            accepted.finding == finding
                && accepted.kernel.as_ref().is_none_or(|series| is_of_series(kernel, series))
                && accepted.up_to.is_none_or(|most| ratio.is_some_and(|ratio| ratio <= most))
        })
    }
}

/// Whether `7.2.13` is a `7.2`, and `7.20` is none.
fn is_of_series(release: &str, series: &str) -> bool {
    release
        .strip_prefix(series)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}

impl Limit {
    /// Whether it is about these calls.
    #[must_use]
    pub fn concerns(&self, place: &Place) -> bool {
        self.walker == place.walker
            && self.space.as_ref().is_none_or(|space| *space == place.space)
            && self.path.is_none_or(|path| Some(path) == place.path)
            && self.level.is_none_or(|level| level == place.level)
    }

    const fn is_empty(&self) -> bool {
        self.max_calls.is_none()
            && self.max_leaves.is_none()
            && self.max_ns_per_call.is_none()
            && self.max_ns_per_leaf.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::Rules;
    use crate::bench::results::Clock;

    const ALL: &str = r#"
        false_alarms = 0.5
        [threshold]
        time = 8
        [threshold.walker.smaps]
        instructions = 2.5
        [[limit]]
        walker = "smaps"
        path = "hugetlb"
        level = "pmd"
        max_ns_per_leaf = 900
        [[accepted]]
        finding = "time:thp/smaps/generic/pmd"
        reason = "counts folios by itself now"
        kernel = "7.2"
        up_to = 1.2
    "#;

    #[test]
    fn walkers_have_their_own_thresholds() {
        let rules = Rules::read(ALL).unwrap();
        assert!((rules.threshold("smaps", Clock::Instructions) - 0.025).abs() < 1e-9);
        assert!((rules.threshold("smaps", Clock::Time) - 0.08).abs() < 1e-9);
        assert!((rules.threshold("pagemap", Clock::Instructions) - 0.005).abs() < 1e-9);
    }

    #[test]
    fn what_is_accepted_has_bounds() {
        let rules = Rules::read(ALL).unwrap();
        let id = "time:thp/smaps/generic/pmd";
        assert!(rules.accepts(id, "7.2.13+deb14", Some(1.1)).is_some());
        assert!(rules.accepts(id, "7.2.13+deb14", Some(1.3)).is_none());
        assert!(rules.accepts(id, "7.20.1", Some(1.1)).is_none());
        assert!(rules.accepts("time:thp/smaps/hugetlb/pmd", "7.2.13", Some(1.1)).is_none());
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for (text, word) in [
            ("thresholds = 1", "thresholds"),
            ("[threshold]\ntime = 0", "percentage"),
            ("[threshold.walker.smaps]\ntime = 500", "percentage"),
            ("false_alarms = 100", "false_alarms"),
            ("[[limit]]\nwalker = \"smaps\"", "limits nothing"),
            ("[[accepted]]\nfinding = \"x\"\nreason = \" \"", "without a reason"),
            ("[[accepted]]\nfinding = \"x\"", "reason"),
            ("x", "TOML"),
        ] {
            let error = Rules::read(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        assert_eq!(Rules::read("").unwrap(), Rules::default());
    }
}
