//! Results in the form in which they are compared: by place, without what the rest of the process adds.

use std::collections::BTreeMap;

use statrs::statistics::{Data, OrderStatistics as _};

use super::finding::Place;
use crate::bench::{
    results::{Clock, Counts, Results, Row, Run},
    suite::NO_SPACE,
};

/// What the calls at a place came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Calls, leaves and bytes of each sample, where it is the same in all.
    pub counts: Option<Counts>,
    /// The time of a sample in each run, in ns, without what the programs that count take: the median of the run's samples; of
    /// instructions the least, since an interrupt adds some to one sample or another.
    pub times: Vec<f64>,
    /// All calls by duration: the middle of a bucket in ns, and how many.
    pub durations: BTreeMap<u64, u64>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Material {
    /// What was measured.
    pub places: BTreeMap<Place, Measured>,
    /// Which walkers were not driven over which spaces, and why.
    pub skipped: BTreeMap<(String, String), String>,
}

impl Material {
    /// Of these results.
    #[must_use]
    pub fn of(results: &Results) -> Self {
        let mut material = Self::default();
        for (number, run) in results.runs.iter().enumerate() {
            material.add(run, number, results.clock);
        }
        // What was never called is nothing.
        let is_called = |counts: Counts| counts.calls > 0;
        material.places.retain(|_, measured| measured.counts.is_none_or(is_called));
        material
    }

    fn add(&mut self, run: &Run, number: usize, clock: Clock) {
        let rest: BTreeMap<_, _> = run
            .cases
            .iter()
            .filter(|case| case.space == NO_SPACE)
            .flat_map(|case| case.rows.iter().map(|row| (key(&case.walker, row), row)))
            .collect();
        for case in run.cases.iter().filter(|case| case.space != NO_SPACE) {
            if let Some(reason) = &case.skipped {
                let case = (case.space.clone(), case.walker.clone());
                self.skipped.insert(case, reason.clone());
            }
            for row in &case.rows {
                let rest = rest.get(&key(&case.walker, row)).copied();
                let place = Place {
                    space: case.space.clone(),
                    driven: case.walker.clone(),
                    walker: row.walker.clone(),
                    path: row.path,
                    level: row.level,
                };
                let counts = counts(row, rest);
                let measured = self.places.entry(place).or_insert_with(|| Measured {
                    counts: counts.filter(|_| number == 0),
                    times: vec![0.0; number],
                    durations: BTreeMap::new(),
                });
                if measured.counts != counts {
                    measured.counts = None;
                }
                let time = |row| time(row, clock);
                measured.times.push(time(row) - rest.map_or(0.0, time));
                for &(middle, calls) in &row.durations {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a duration in ns"
                    )]
                    let middle = middle.max(0.0) as u64;
                    let sum = measured.durations.entry(middle).or_default();
                    *sum = sum.saturating_add(calls);
                }
            }
        }
        for measured in self.places.values_mut().filter(|place| place.times.len() <= number) {
            measured.counts = None;
            measured.times.push(0.0);
        }
    }
}

/// Walker that was driven, and whose calls they are.
fn key<'a>(driven: &'a str, row: &'a Row) -> impl Ord + use<'a> {
    (driven, row.walker.as_str(), row.path, row.level)
}

/// What each sample came to, less what the rest of the process adds.
fn counts(row: &Row, rest: Option<&Row>) -> Option<Counts> {
    let counts = row.counts()?;
    let Some(rest) = rest else { return Some(counts) };
    let rest = rest.counts()?;
    Some(Counts {
        calls: counts.calls.checked_sub(rest.calls)?,
        leaves: counts.leaves.checked_sub(rest.leaves)?,
        bytes: counts.bytes.checked_sub(rest.bytes)?,
        ns: 0,
    })
}

/// That of a run, in ns.
fn time(row: &Row, clock: Clock) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "numbers of calls and ns")]
    let net = |sample: &Counts| sample.ns as f64 - row.own * sample.calls as f64;
    let samples: Vec<f64> = row.samples.iter().map(net).collect();
    if samples.is_empty() {
        return 0.0;
    }
    match clock {
        Clock::Time => Data::new(samples).median(),
        Clock::Instructions => samples.into_iter().fold(f64::INFINITY, f64::min),
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Counts, Material, Place, Row, Run, counts, time};
    use crate::{
        bench::results::Case,
        event::Path,
        walk::{
            site::Level,
            totals::{Calibration, Uncounted},
        },
    };

    fn row(level: Level, samples: &[(u64, u64)]) -> Row {
        let sample = |&(calls, ns)| Counts { calls, leaves: calls, bytes: 0, ns };
        Row {
            walker: "smaps".to_owned(),
            path: Some(Path::Generic),
            level,
            own: 10.0,
            samples: samples.iter().map(sample).collect(),
            durations: vec![(99.5, 3)],
        }
    }

    fn run(cases: Vec<(&str, Vec<Row>)>) -> Run {
        let case = |(space, rows): (&str, Vec<Row>)| Case {
            space: space.to_owned(),
            walker: "smaps".to_owned(),
            skipped: None,
            loops: Vec::new(),
            rows,
        };
        Run {
            calibration: Calibration::default(),
            uncounted: Uncounted::default(),
            cases: cases.into_iter().map(case).collect(),
            leaves: Vec::new(),
        }
    }

    fn of(runs: &[Run]) -> Material {
        let mut material = Material::default();
        runs.iter().enumerate().for_each(|(number, run)| material.add(run, number, Clock::Time));
        material
    }

    fn place(level: Level) -> Place {
        Place {
            space: "thp".to_owned(),
            driven: "smaps".to_owned(),
            walker: "smaps".to_owned(),
            path: Some(Path::Generic),
            level,
        }
    }

    #[test]
    fn what_the_rest_adds_is_taken_off() {
        let rest = row(Level::Pte, &[(5, 550), (5, 560), (5, 570)]);
        let all = row(Level::Pte, &[(9, 1090), (9, 1100), (9, 9000)]);
        let thps = row(Level::Pmd, &[(4, 440); 3]);
        let material = of(&[run(vec![("none", vec![rest]), ("thp", vec![all, thps])])]);
        let ptes = &material.places[&place(Level::Pte)];
        assert_eq!(ptes.counts.map(|counts| counts.calls), Some(4));
        assert_eq!(ptes.times, [(1100.0 - 90.0) - (560.0 - 50.0)]);
        assert_eq!(material.places[&place(Level::Pmd)].times, [400.0]);
    }

    #[test]
    fn counts_that_differ_are_none() {
        let steady = |calls| run(vec![("thp", vec![row(Level::Pmd, &[(calls, 100); 2])])]);
        let calls =
            |runs: &[Run]| of(runs).places[&place(Level::Pmd)].counts.map(|counts| counts.calls);
        assert_eq!(calls(&[steady(4), steady(4)]), Some(4));
        assert_eq!(calls(&[steady(4), steady(5)]), None);
        assert_eq!(calls(&[steady(4), run(Vec::new())]), None);
        assert_eq!(calls(&[run(Vec::new()), steady(4)]), None);
        assert_eq!(counts(&row(Level::Pmd, &[(4, 1), (5, 1)]), None), None);
    }

    #[test]
    fn a_run_without_samples_takes_no_time() {
        assert!(time(&row(Level::Pmd, &[]), Clock::Time).abs() < f64::EPSILON);
    }

    #[test]
    fn an_interrupt_is_no_instruction_of_a_walker() {
        let row = row(Level::Pmd, &[(4, 440), (4, 1140), (4, 440), (4, 1140)]);
        assert!((time(&row, Clock::Instructions) - 400.0).abs() < f64::EPSILON);
        assert!((time(&row, Clock::Time) - 750.0).abs() < f64::EPSILON);
    }
}
