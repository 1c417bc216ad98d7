//! Which functions serve a walker on each path of a kernel, or why none does.

use std::fmt;

use probe_common::config::Offsets;
use serde::Serialize;

use super::{
    Candidate, Reason,
    cure::cure,
    decide::{function_candidates, offsets},
    report::nearest,
};
use crate::{
    event::Path,
    kernel::facts::{Facts, Mechanism},
    walk::{
        registry::{WALKERS, Walker},
        site::{Over, Site},
        totals::Calibration,
    },
};

/// What can be attached to walkers on a kernel.
#[derive(Clone, Debug)]
pub struct WalkPlan {
    /// One for each walker, in the registry's order.
    pub walkers: Vec<WalkerPlan>,
    /// Offsets for the programs.
    pub offsets: Offsets,
}

/// A walker and its sites.
#[derive(Clone, Debug)]
pub struct WalkerPlan {
    /// Which.
    pub walker: &'static Walker,
    /// Its sites, in the registry's order.
    pub sites: Vec<SitePlan>,
}

/// A site and its candidates, the best first.
#[derive(Clone, Debug)]
pub struct SitePlan {
    /// Its number.
    pub number: usize,
    /// Which.
    pub site: &'static Site,
    /// The ways to watch it.
    pub candidates: Vec<Candidate>,
}

impl SitePlan {
    /// The first candidate that nothing speaks against.
    #[must_use]
    pub fn chosen(&self) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| candidate.rejected.is_none())
    }

    fn is_absent(&self) -> bool {
        self.candidates
            .iter()
            .all(|candidate| matches!(candidate.rejected, Some(Reason::NoFunction)))
    }
}

/// How a walker's path is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service<'a> {
    /// By functions that are this path's, or tell it.
    By(Vec<&'a SitePlan>),
    /// By a function of both paths that does not tell which one it is.
    Untold(&'a SitePlan),
    /// The hugetlb function is gone: the generic one does it.
    Unified(&'a SitePlan),
    /// The walker does not go there.
    Skipped(&'static str),
    /// It cannot be watched.
    Missing(&'static str, &'a Reason),
}

/// Decides what can be attached.
#[must_use]
pub fn plan(facts: &Facts) -> WalkPlan {
    let mut number = 0;
    let walkers = WALKERS
        .iter()
        .map(|walker| {
            let sites = walker.sites.iter().map(|site| {
                let candidates = function_candidates(facts, site.functions, site.needs()).collect();
                number += 1;
                SitePlan { number: number - 1, site, candidates }
            });
            WalkerPlan { walker, sites: sites.collect() }
        })
        .collect();
    WalkPlan { walkers, offsets: offsets(facts) }
}

impl WalkPlan {
    /// How many functions can be attached to.
    #[must_use]
    pub fn functions(&self) -> usize {
        let sites = self.walkers.iter().flat_map(|walker| &walker.sites);
        sites.filter(|site| site.chosen().is_some()).count()
    }

    /// Why no walker can be watched, and what would cure it; `None` when one can be.
    #[must_use]
    pub fn refusal(&self, facts: &Facts) -> Option<String> {
        let is_watched = |walker: &WalkerPlan| {
            [Path::Generic, Path::Hugetlb].into_iter().any(|path| {
                !matches!(walker.service(path), Service::Missing(..) | Service::Skipped(_))
            })
        };
        if self.walkers.iter().any(is_watched) {
            return None;
        }
        let why = self.walkers.first().map_or_else(String::new, |walker| {
            format!("{}: {}; ", walker.walker.name, walker.service(Path::Generic))
        });
        Some(format!("no walker can be watched ({why}{})", cure(facts)))
    }
}

impl WalkerPlan {
    /// What the programs take of each call of a path, in ns; 0 where it is not known.
    #[must_use]
    pub fn own(&self, path: Option<Path>, calibration: Calibration) -> f64 {
        let of_path = |site: &&SitePlan| site.site.rows().iter().any(|(of, _)| *of == path);
        let site = self.sites.iter().filter(|site| site.chosen().is_some()).find(of_path);
        let own = match site.and_then(SitePlan::chosen).map(|candidate| candidate.mechanism) {
            Some(Mechanism::Fentry) => calibration.fentry,
            Some(Mechanism::Kprobe) => calibration.kprobe,
            _ => None,
        };
        own.unwrap_or(0.0)
    }

    /// How a path is served.
    #[must_use]
    pub fn service(&self, path: Path) -> Service<'_> {
        let own = match path {
            Path::Generic => Over::Generic,
            Path::Hugetlb => Over::Hugetlb,
        };
        let served: Vec<&SitePlan> = self
            .sites
            .iter()
            .filter(|plan| plan.site.over == own || plan.site.over == Over::Both)
            .filter(|plan| plan.chosen().is_some())
            .collect();
        if !served.is_empty() {
            return Service::By(served);
        }
        let chosen =
            |over| self.sites.iter().find(|plan| plan.site.over == over && plan.chosen().is_some());
        if let Some(plan) = chosen(Over::Untold) {
            return Service::Untold(plan);
        }
        let mut owned = self.sites.iter().filter(|plan| plan.site.over == own).peekable();
        if path == Path::Hugetlb
            && let Some(generic) = chosen(Over::Generic)
        {
            if owned.peek().is_none() {
                return Service::Skipped(self.walker.no_hugetlb);
            }
            if owned.clone().all(SitePlan::is_absent) {
                return Service::Unified(generic);
            }
        }
        let mut sites = owned.chain(self.sites.iter().filter(|plan| plan.site.over != own));
        sites
            .find_map(|plan| nearest(&plan.candidates))
            .and_then(|(candidate, reason)| Some((candidate.targets.first().copied()?, reason)))
            .map_or(Service::Skipped(self.walker.no_hugetlb), |(function, reason)| {
                Service::Missing(function, reason)
            })
    }
}

impl SitePlan {
    /// The function that is attached to; empty when there is none.
    #[must_use]
    pub fn function(&self) -> &'static str {
        self.chosen().and_then(|candidate| candidate.targets.first().copied()).unwrap_or_default()
    }
}

impl PartialEq for SitePlan {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for SitePlan {}

impl fmt::Display for Service<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(sites) => {
                let names: Vec<_> = sites.iter().map(|site| site.function()).collect();
                f.write_str(&names.join(", "))
            }
            Self::Untold(site) => write!(f, "{} (of both paths, not told apart)", site.function()),
            Self::Unified(site) => {
                write!(f, "unified: served by the generic {}", site.function())
            }
            Self::Skipped(why) => f.write_str(why),
            Self::Missing(function, reason) => write!(f, "{function}: {reason}"),
        }
    }
}

/// How a path is served, for machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Served {
    /// `watched`, `untold`, `unified`, `skipped` or `missing`.
    pub service: &'static str,
    /// The functions that are attached to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<&'static str>,
    /// In words.
    pub text: String,
}

impl From<&Service<'_>> for Served {
    fn from(service: &Service<'_>) -> Self {
        let (name, functions) = match service {
            Service::By(sites) => ("watched", sites.iter().map(|site| site.function()).collect()),
            Service::Untold(site) => ("untold", vec![site.function()]),
            Service::Unified(site) => ("unified", vec![site.function()]),
            Service::Skipped(_) => ("skipped", Vec::new()),
            Service::Missing(..) => ("missing", Vec::new()),
        };
        Self { service: name, functions, text: service.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Service, WalkPlan, plan};
    use crate::{
        event::Path,
        kernel::{
            btf::{Parameter, Prototype},
            facts::{Facts, FunctionFacts},
        },
    };

    fn function(types: &[(&str, &str)]) -> FunctionFacts {
        let parameters = types
            .iter()
            .map(|(name, type_name)| Parameter {
                name: (*name).to_owned(),
                type_name: (*type_name).to_owned(),
                by_value: false,
            })
            .collect();
        let prototypes = vec![Prototype { parameters, returns: true }];
        FunctionFacts { prototypes, symbols: Some(1), traceable: Some(true) }
    }

    fn facts(functions: &[(&str, FunctionFacts)]) -> Facts {
        let members =
            ["task_struct.mm", "mm_walk.vma", "vm_area_struct.vm_mm", "vm_area_struct.vm_flags"];
        Facts {
            functions: functions.iter().map(|(n, f)| ((*n).to_owned(), f.clone())).collect(),
            offsets: members
                .map(|name| (name.to_owned(), 8))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            ..Facts::default()
        }
    }

    fn service(plan: &WalkPlan, walker: &str, path: Path) -> String {
        let walker = plan.walkers.iter().find(|plan| plan.walker.name == walker).unwrap();
        walker.service(path).to_string()
    }

    const WORD: &str = "long unsigned int";
    const WALK: (&str, &str) = ("walk", "struct mm_walk *");

    fn pmd_entry() -> FunctionFacts {
        function(&[("pmd", "pmd_t *"), ("addr", WORD), ("end", WORD), WALK])
    }

    #[test]
    fn a_hugetlb_callback_that_is_gone_is_unified() {
        let both = facts(&[
            ("smaps_pte_range", pmd_entry()),
            (
                "smaps_hugetlb_range",
                function(&[
                    ("pte", "pte_t *"),
                    ("hmask", WORD),
                    ("addr", WORD),
                    ("end", WORD),
                    WALK,
                ]),
            ),
        ]);
        assert_eq!(service(&plan(&both), "smaps", Path::Hugetlb), "smaps_hugetlb_range");
        let one = facts(&[("smaps_pte_range", pmd_entry())]);
        let plan = plan(&one);
        assert_eq!(service(&plan, "smaps", Path::Generic), "smaps_pte_range");
        assert_eq!(
            service(&plan, "smaps", Path::Hugetlb),
            "unified: served by the generic smaps_pte_range"
        );
        assert_eq!(
            service(&plan, "pagemap", Path::Generic),
            "pagemap_pmd_range: not in this kernel"
        );
    }

    #[test]
    fn a_callback_that_cannot_be_watched_is_not_unified() {
        let strange = function(&[("pte", "pte_t *"), ("addr", WORD), ("end", WORD), WALK]);
        let facts = facts(&[("smaps_pte_range", pmd_entry()), ("smaps_hugetlb_range", strange)]);
        assert_eq!(
            service(&plan(&facts), "smaps", Path::Hugetlb),
            "smaps_hugetlb_range: has no argument that tells the page mask"
        );
    }

    #[test]
    fn a_walker_without_a_hugetlb_side_says_why() {
        let facts = facts(&[("clear_refs_pte_range", pmd_entry())]);
        let plan = plan(&facts);
        let walker = plan.walkers.iter().find(|plan| plan.walker.name == "clear_refs").unwrap();
        assert!(matches!(walker.service(Path::Hugetlb), Service::Skipped(_)));
    }
}
