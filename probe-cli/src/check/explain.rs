//! One finding, or any place, in full: what each run came to, and how long calls took before and after.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    compare::{Comparison, Named, mean, time},
    finding::Place,
    material::{Material, Measured},
};
use crate::bench::results::Clock;

/// Lines of a histogram.
const LINES: usize = 24;
/// Letters of its longest bar.
const BAR: usize = 30;

/// Explains a finding of a comparison, or the times of a place that has none; `None` where there is no such thing.
#[must_use]
pub fn explain(id: &str, before: &Named, after: &Named, comparison: &Comparison) -> Option<String> {
    let mut out = String::new();
    let found = comparison.findings.iter().find(|found| found.id == id);
    let (was, is) = (Material::of(&before.results), Material::of(&after.results));
    let place = if let Some(found) = found {
        say(&mut out, &format!("{}: {}", found.verdict.name(), found.id));
        say(&mut out, &format!("before: {}", found.before));
        say(&mut out, &format!("after:  {}", found.after));
        say(&mut out, &format!("rule:   {}", found.rule));
        found.place.clone()
    } else {
        let mut known = was.places.keys().chain(is.places.keys());
        let place = known.find(|place| id == format!("time:{place}"))?;
        say(&mut out, &format!("{id}: no finding"));
        Some(place.clone())
    };
    let Some(place) = place else { return Some(out) };
    let none = Measured::default();
    let sides = [&was, &is].map(|side| side.places.get(&place).unwrap_or(&none));
    about(&place, sides, after.results.clock, &mut out);
    Some(out)
}

fn about(place: &Place, sides: [&Measured; 2], clock: Clock, out: &mut String) {
    say(
        out,
        &format!(
            "\n{} driven over {}; calls of {} on the {} path, leaves: {}",
            place.driven,
            place.space,
            place.walker,
            super::finding::path_name(place.path),
            place.level.name()
        ),
    );
    say(out, "\nA sample's time, in each run (without what the programs that count take):");
    for (word, side) in ["before", "after"].into_iter().zip(sides) {
        let runs: Vec<String> = side.times.iter().map(|time| format!("{time:.0}")).collect();
        say(
            out,
            &format!("  {word:<7} {}; mean {}", runs.join(" "), time(mean(&side.times), clock)),
        );
    }
    say(out, "\nCalls by duration (with what the programs take, in ns):\n");
    say(out, &format!("  {:>9}  {:>9} {:<BAR$}  {:>9} {}", "up to", "before", "", "after", ""));
    let all = sides.map(|side| side.durations.values().copied().fold(0, u64::saturating_add));
    for (end, calls) in lines(sides) {
        let [before, after] = [0, 1].map(|side| bar(calls[side], all[side]));
        let text = format!("  {end:>9}  {:>9} {before:<BAR$}  {:>9} {after}", calls[0], calls[1]);
        say(out, text.trim_end());
    }
}

/// Buckets of both sides, as many next to each other put together as make no more than [`LINES`]: the last one's middle, and calls.
fn lines(sides: [&Measured; 2]) -> Vec<(u64, [u64; 2])> {
    let mut all: BTreeMap<u64, [u64; 2]> = BTreeMap::new();
    for (number, side) in sides.into_iter().enumerate() {
        for (&middle, &calls) in &side.durations {
            all.entry(middle).or_default()[number] = calls;
        }
    }
    let all: Vec<(u64, [u64; 2])> = all.into_iter().collect();
    let together = all.len().div_ceil(LINES).max(1);
    let sum = |lines: &[(u64, [u64; 2])]| {
        let of_side = |side: usize| lines.iter().map(move |(_, calls)| calls[side]);
        let calls = |side| of_side(side).fold(0, u64::saturating_add);
        (lines.last().map_or(0, |(middle, _)| *middle), [calls(0), calls(1)])
    };
    all.chunks(together).map(sum).collect()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a few letters"
)]
fn bar(calls: u64, all: u64) -> String {
    let part = calls as f64 / all.max(1) as f64;
    let letters = (part * BAR as f64).ceil() as usize;
    "#".repeat(letters.min(BAR))
}

fn say(out: &mut String, text: &str) {
    // A String takes everything.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::explain;
    use crate::check::{
        compare::{
            compare,
            tests::{named, results},
        },
        rules::Rules,
    };

    #[test]
    fn a_place_is_shown_in_full() {
        let before = named("a.json", results(&[10_000, 10_001, 10_002]));
        let after = named("b.json", results(&[11_000, 11_001, 11_002]));
        let comparison = compare(&before, &after, &Rules::default()).unwrap();
        let id = "time:thp/smaps/generic/pmd";
        insta::assert_snapshot!(explain(id, &before, &after, &comparison).unwrap());
        assert_eq!(explain("time:thp/smaps/generic/pud", &before, &after, &comparison), None);
    }
}
