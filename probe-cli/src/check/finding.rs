//! What a comparison finds.

use std::fmt;

use serde::Serialize;

use super::ratio::Interval;
use crate::{event::Path, walk::site::Level};

/// Calls of a walker's functions, where it was driven: what is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The address space.
    pub space: String,
    /// The walker that was driven over it.
    pub driven: String,
    /// The walker whose calls these are: that one, or one that it brings with it.
    pub walker: String,
    /// The path; absent where the function does not tell.
    pub path: Option<Path>,
    /// The level of the leaves.
    pub level: Level,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.space, self.driven)?;
        if self.walker != self.driven {
            write!(f, "+{}", self.walker)?;
        }
        write!(f, "/{}/{}", path_name(self.path), self.level.name().to_lowercase())
    }
}

/// For people, and in the names of findings.
pub(super) const fn path_name(path: Option<Path>) -> &'static str {
    match path {
        Some(Path::Generic) => "generic",
        Some(Path::Hugetlb) => "hugetlb",
        None => "untold",
    }
}

/// Which rule it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// How a walker's path is served, and by which functions: exact.
    Service,
    /// Whether a walker can be driven over a space: exact.
    Driven,
    /// Calls, leaves and bytes: exact.
    Counts,
    /// What maps a space when all walkers have been over it: exact.
    Leaves,
    /// Time: by its threshold.
    Time,
    /// An absolute limit of the rules.
    Limit,
}

impl Kind {
    /// What the names of its findings begin with.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Driven => "driven",
            Self::Counts => "counts",
            Self::Leaves => "leaves",
            Self::Time => "time",
            Self::Limit => "limit",
        }
    }
}

/// What follows from a finding, or from all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing got worse.
    Pass,
    /// It got faster.
    Improvement,
    /// It changed, and the rules accept that.
    Accepted,
    /// It cannot be told.
    Inconclusive,
    /// It got slower, or does other things.
    Regression,
}

impl Verdict {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Improvement => "improvement",
            Self::Accepted => "accepted",
            Self::Inconclusive => "inconclusive",
            Self::Regression => "regression",
        }
    }
}

/// A difference, or something that cannot be told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Its name: the same for the same thing in every comparison.
    pub id: String,
    /// Which rule.
    pub kind: Kind,
    /// What follows.
    pub verdict: Verdict,
    /// The calls that it is about; absent for [`Kind::Service`], [`Kind::Driven`] and [`Kind::Leaves`].
    pub place: Option<Place>,
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
    /// The times compared, of [`Kind::Time`].
    pub interval: Option<Interval>,
    /// What the rules say: the threshold, the limit, or why it is accepted.
    pub rule: String,
    /// A command that does it again.
    pub reproduce: String,
}
