//! The table "hugetlb against generic" in docs/walks.md, from what `cargo xtask report walks` recorded.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::PathBuf};

use serde_json::Value;
use walkprobe::{
    units,
    walk::{
        compare::{Ratio, Side, ratio},
        registry::WALKERS,
    },
};

use crate::recorded::by_series;

const BEGIN: &str = "<!-- made by `cargo xtask report walks`: do not edit -->\n";
const END: &str = "<!-- end -->\n";

/// What was measured on one kernel.
struct Measured {
    series: String,
    release: String,
    spaces: Value,
}

fn measured() -> Vec<Measured> {
    let measured = by_series("walks").into_iter().map(|(series, record)| Measured {
        series,
        release: record["release"].as_str().unwrap().to_owned(),
        spaces: record["spaces"].clone(),
    });
    measured.collect()
}

#[test]
fn the_table_of_both_paths_is_up_to_date() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/walks.md");
    let document = fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let made = format!("{before}{BEGIN}{}{END}{after}", tables(&measured()));
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &made).unwrap();
    } else {
        assert!(document == made, "docs/walks.md is old: run `cargo xtask report walks`");
    }
}

/// 2 MiB of a walker on each path, where it was driven over them.
type Sides = (Option<Side>, Option<Side>);

/// Callbacks see both paths in one space; functions that are given a range see one path in each.
fn sides(kernel: &Measured, walker: &str) -> Sides {
    let find = |space: &str, path: &str, level: &str| {
        let rows = kernel.spaces[space].as_array().into_iter().flatten();
        let mut rows = rows.filter(|row| row["walker"] == walker);
        rows.find(|row| row["path"] == path && row["level"] == level).and_then(side)
    };
    let generic = find("mixed", "generic", "pmd").or_else(|| find("thp", "generic", "any"));
    let hugetlb = find("mixed", "hugetlb", "pmd").or_else(|| find("hugetlb-2m", "hugetlb", "pmd"));
    (generic, hugetlb)
}

/// The time of 2 MiB: of a leaf, or of so much of a range.
fn side(row: &Value) -> Option<Side> {
    let number = |name: &str| row[name].as_f64().unwrap_or(0.0);
    let (calls, leaves, bytes) = (number("calls"), number("leaves"), number("bytes"));
    let scale = if row["level"] == "pmd" || bytes == 0.0 {
        calls / leaves
    } else {
        calls * 2_097_152.0 / bytes
    };
    let (mean, deviation) = (number("mean_ns") * scale, number("deviation_ns") * scale);
    Some(Side { calls: row["calls"].as_u64()?, mean, deviation }).filter(|_| scale.is_finite())
}

fn tables(all: &[Measured]) -> String {
    let mut text = String::new();
    let heading = |text: &mut String| {
        let series: Vec<_> = all.iter().map(|kernel| kernel.series.as_str()).collect();
        let _ = writeln!(
            text,
            "| walker | {} |\n|---|{}",
            series.join(" | "),
            "---|".repeat(all.len())
        );
    };
    let driven: Vec<(&str, Vec<Sides>)> = WALKERS
        .iter()
        .map(|walker| {
            (walker.name, all.iter().map(|kernel| sides(kernel, walker.name)).collect::<Vec<_>>())
        })
        .filter(|(_, sides)| sides.iter().any(|(generic, _)| generic.is_some()))
        .collect();
    text.push_str("Generic by hugetlb, with the half width of its interval:\n\n");
    heading(&mut text);
    for (walker, sides) in &driven {
        let cells: Vec<_> = sides.iter().map(|sides| ratio_cell(*sides)).collect();
        if cells.iter().any(|cell| cell != "-") {
            let _ = writeln!(text, "| {walker} | {} |", cells.join(" | "));
        }
    }
    text.push_str("\nThe time of 2 MiB in ns, generic / hugetlb:\n\n");
    heading(&mut text);
    for (walker, sides) in &driven {
        let cells: Vec<_> = sides
            .iter()
            .map(|(generic, hugetlb)| format!("{} / {}", time(*generic), time(*hugetlb)))
            .collect();
        let _ = writeln!(text, "| {walker} | {} |", cells.join(" | "));
    }
    let releases: BTreeMap<&str, &str> =
        all.iter().map(|kernel| (kernel.series.as_str(), kernel.release.as_str())).collect();
    let kernels: Vec<_> =
        all.iter().filter_map(|kernel| releases.get(kernel.series.as_str())).collect();
    let kernels: Vec<_> = kernels.into_iter().map(|release| format!("`{release}`")).collect();
    let _ = writeln!(text, "\nKernels: {}.", kernels.join(", "));
    text
}

fn ratio_cell((generic, hugetlb): Sides) -> String {
    let found = generic.zip(hugetlb).and_then(|(generic, hugetlb)| ratio(generic, hugetlb));
    match found {
        Some(Ratio { ratio, interval: Some((low, high)) }) => {
            format!("{ratio:.2} ±{:.2}", (high - low) / 2.0)
        }
        Some(Ratio { ratio, interval: None }) => format!("{ratio:.2} ±?"),
        None => "-".to_owned(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration")]
fn time(side: Option<Side>) -> String {
    side.map_or_else(|| "-".to_owned(), |side| units::count(side.mean.round() as u64))
}
