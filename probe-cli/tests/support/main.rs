//! The plan against the recorded facts of eleven kernels, and docs/support.md, which is made of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compared;
mod recorded;
mod walkers;

use std::fmt::Write as _;

use recorded::recorded;
use walkprobe::plan::{Row, plan};

/// The candidate that the plan would try first.
fn first(row: &Row) -> Option<&walkprobe::plan::Candidate> {
    row.candidates.iter().find(|candidate| candidate.rejected.is_none())
}

#[test]
fn the_plan_foresees_what_the_kernels_accept() {
    let all = recorded();
    assert_eq!(all.len(), 11);
    for kernel in all {
        for row in plan(&kernel.facts).rows {
            let attached = &kernel.attached[row.probe.name()];
            let foreseen = serde_json::to_value(first(&row)).unwrap();
            // fentry on functions with many arguments, or with structures by value, is refused by
            // older kernels in their own way; then the next candidate has the kernel's answer.
            if ["5.10", "6.1"].contains(&kernel.series.as_str())
                && attached["mechanism"] == "kprobe"
            {
                assert_eq!(foreseen["targets"], attached["targets"], "{}", row.probe.name());
                continue;
            }
            assert_eq!(&foreseen, attached, "{} on {}", row.probe.name(), kernel.series);
        }
    }
}

#[test]
fn a_kernel_without_a_function_says_so() {
    for kernel in recorded() {
        for row in plan(&kernel.facts).rows {
            if first(&row).is_none() {
                assert!(row.candidates.iter().all(|candidate| candidate.rejected.is_some()));
                assert!(!row.candidates.is_empty(), "{} has no candidates", row.probe.name());
            }
        }
    }
}

#[test]
fn the_support_table_is_up_to_date() {
    recorded::is_up_to_date("support.md", &support());
}

fn support() -> String {
    let all = recorded();
    let mut text = String::from(
        "# Supported kernels\n\n\
         What `walkprobe doctor` attached on each kernel, in a guest with all rights. Made by\n\
         `cargo xtask report support`, which boots every one of them; do not edit.\n\n\
         **F** fentry, **K** kprobe, **T** tracepoint (which tells less), **-** not available. Where the kernel's\n\
         functions differ, a number says which one it is.\n\n",
    );
    let _ = writeln!(
        text,
        "| probe | {} |",
        all.iter().map(|kernel| kernel.series.as_str()).collect::<Vec<_>>().join(" | ")
    );
    let _ = writeln!(text, "|---|{}", "---|".repeat(all.len()));
    let mut names = String::new();
    for row in plan(&all[0].facts).rows {
        let probe = row.probe.name();
        let mut targets: Vec<String> = Vec::new();
        let mut cells = Vec::new();
        for kernel in &all {
            let candidate = &kernel.attached[probe];
            if candidate.is_null() {
                cells.push("-".to_owned());
                continue;
            }
            let letter = match candidate["mechanism"].as_str().unwrap() {
                "fentry" => "F",
                "kprobe" => "K",
                _ => "T",
            };
            let target = serde_json::from_value::<Vec<String>>(candidate["targets"].clone())
                .unwrap()
                .join("`, `");
            let number = targets.iter().position(|known| *known == target).unwrap_or_else(|| {
                targets.push(target);
                targets.len() - 1
            });
            cells.push(format!("{letter}{}", number + 1));
        }
        if targets.len() == 1 {
            for cell in &mut cells {
                cell.retain(|character| !character.is_ascii_digit());
            }
        }
        let _ = writeln!(text, "| {probe} | {} |", cells.join(" | "));
        let list: Vec<_> = (1..)
            .zip(&targets)
            .map(|(number, target)| match targets.len() {
                1 => format!("`{target}`"),
                _ => format!("{number} `{target}`"),
            })
            .collect();
        let _ = writeln!(names, "| {probe} | {} | {} |", row.feature, list.join("; "));
    }
    text.push_str("\n## Functions\n\n| probe | what it shows | attached to |\n|---|---|---|\n");
    text.push_str(&names);
    text.push_str("\n## Kernels\n\n| series | release |\n|---|---|\n");
    for kernel in &all {
        let _ = writeln!(text, "| {} | {} |", kernel.series, kernel.facts.release);
    }
    text.push_str(
        "\nOne distribution and configuration (Debian, cloud, x86-64). Other kernels can inline differently;\n\
         `walkprobe doctor` tells what it finds. The facts above are in `probe-cli/tests/facts/`, and the tests\n\
         check the attach plan against them.\n",
    );
    text
}
