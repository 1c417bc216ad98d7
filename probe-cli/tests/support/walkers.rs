//! Which functions serve the walkers on eleven kernels, and docs/walkers.md, which tells it.

use std::fmt::Write as _;

use walkprobe::{
    event::Path,
    kernel::facts::Facts,
    plan::walks::{Service, WalkPlan, plan},
    walk::{registry::WALKERS, site::Level},
};

use crate::recorded::{is_up_to_date, recorded};

fn plans() -> Vec<(String, WalkPlan)> {
    recorded().into_iter().map(|kernel| (kernel.series, plan(&kernel.facts))).collect()
}

#[test]
fn the_table_of_walkers_is_up_to_date() {
    is_up_to_date("walkers.md", &table(&plans()));
}

#[test]
fn every_kernel_has_the_walkers_that_all_have() {
    for (series, plan) in plans() {
        for name in ["smaps", "pagemap", "numa_maps", "mincore", "mempolicy", "zap", "fork"] {
            let walker = plan.walkers.iter().find(|plan| plan.walker.name == name).unwrap();
            for path in [Path::Generic, Path::Hugetlb] {
                let service = walker.service(path);
                assert!(matches!(service, Service::By(_)), "{name} on {series}: {service}");
            }
        }
    }
}

#[test]
fn a_kernel_that_loses_its_hugetlb_callbacks_is_unified() {
    for kernel in recorded() {
        let mut facts: Facts = kernel.facts;
        facts.functions.retain(|name, _| !name.contains("hugetlb"));
        for walker in plan(&facts).walkers {
            let service = walker.service(Path::Hugetlb);
            if ["smaps", "pagemap", "mincore", "numa_maps"].contains(&walker.walker.name) {
                assert!(matches!(service, Service::Unified(_)), "{}: {service}", kernel.series);
            }
        }
    }
}

fn levels(levels: &[Level]) -> String {
    levels.iter().map(|level| level.name()).collect::<Vec<_>>().join(", ")
}

/// How a path is served, with the levels that are told apart.
fn cell(plan: &WalkPlan, number: usize, path: Path) -> String {
    let service = plan.walkers[number].service(path);
    match &service {
        Service::By(sites) => {
            let mut all: Vec<Level> = sites
                .iter()
                .flat_map(|plan| plan.site.rows())
                .filter(|(of, _)| *of == Some(path))
                .map(|(_, level)| *level)
                .collect();
            all.sort_unstable();
            all.dedup();
            format!("`{}` ({})", service.to_string().replace(", ", "`, `"), levels(&all))
        }
        _ => service.to_string(),
    }
}

/// What the kernels say, the same one once: `5.10-6.1: this; 6.12-7.3: that`.
fn over_kernels(plans: &[(String, WalkPlan)], number: usize, path: Path) -> String {
    let mut groups: Vec<(String, String, String)> = Vec::new();
    for (series, plan) in plans {
        let text = cell(plan, number, path);
        match groups.last_mut() {
            Some((_, last, said)) if *said == text => last.clone_from(series),
            _ => groups.push((series.clone(), series.clone(), text)),
        }
    }
    if let [(_, _, text)] = groups.as_slice() {
        return text.clone();
    }
    let groups = groups.into_iter().map(|(first, last, text)| {
        if first == last {
            format!("{first}: {text}")
        } else {
            format!("{first} to {last}: {text}")
        }
    });
    groups.collect::<Vec<_>>().join("; ")
}

fn table(plans: &[(String, WalkPlan)]) -> String {
    let mut text = String::from(
        "# Walkers\n\n\
         The users of the page tables that walkprobe knows, what makes the kernel run them, and which of its functions serve\n\
         each path on eleven kernels. In brackets stand the levels of leaves that the function tells apart. Made from the\n\
         recorded facts of these kernels (`cargo xtask report support`); do not edit: a walker is a row in\n\
         `probe-cli/src/walk/registry.rs`.\n\n\
         | walker | what triggers it | generic path | hugetlb path |\n|---|---|---|---|\n",
    );
    for (number, walker) in WALKERS.iter().enumerate() {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            walker.name,
            walker.trigger,
            over_kernels(plans, number, Path::Generic),
            over_kernels(plans, number, Path::Hugetlb)
        );
    }
    let series: Vec<_> = plans.iter().map(|(series, _)| series.as_str()).collect();
    let _ = writeln!(
        text,
        "\nKernels: {}. \"Not in this kernel\" also stands for what its configuration leaves out, and for what the compiler\n\
         has put into the callers. \"Unified\" would be told of a kernel whose generic callback serves hugetlb VMAs too, in the\n\
         place of zeroes.",
        series.join(", ")
    );
    text
}
