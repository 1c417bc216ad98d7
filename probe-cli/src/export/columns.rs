//! The tables of an export as comma-separated values, and their columns.
//!
//! Columns of events are called as the fields of their lines in a trace, and mean the same.

use probe_common::probe::Family;

use crate::model::sizes::SizeClass;

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The events of a family, a row each.
    Family(Family),
    /// What operations did to maps, a row for each operation and what it made of what.
    Effects,
    /// Bytes by leaf size, a row for each change.
    Sizes,
}

/// Columns of every event: when, what, whose, and who did it.
pub const EVENT: [&str; 10] = [
    "time",
    "duration",
    "probe",
    "kind",
    "pid",
    "by_pid",
    "by_tid",
    "by_comm",
    "by_kernel",
    "by_cpu",
];

/// Columns of what operations did to maps.
const EFFECT: [&str; 9] =
    ["time", "pid", "number", "cause", "start", "end", "before", "after", "bytes"];

/// The last column of every event: functions, the innermost first.
pub const CALLERS: &str = "called_by";

impl Table {
    /// Every table.
    pub const ALL: [Self; Family::ALL.len() + 2] = {
        let mut all = [Self::Sizes; Family::ALL.len() + 2];
        let mut at = 0;
        while at < Family::ALL.len() {
            all[at] = Self::Family(Family::ALL[at]);
            at += 1;
        }
        all[at] = Self::Effects;
        all
    };

    /// Its name on the command line, and that of its file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Family(family) => family.name(),
            Self::Effects => "effects",
            Self::Sizes => "sizes",
        }
    }

    /// The fields of its events that are columns between [`EVENT`] and [`CALLERS`].
    #[must_use]
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Family(Family::Fault | Family::Hugetlb | Family::Thp) => {
                &["address", "write", "outcome", "page_size"]
            }
            Self::Family(Family::Split) => {
                &["address", "start", "end", "into", "freeze", "new_order", "errno"]
            }
            Self::Family(Family::Collapse) => {
                &["address", "start", "end", "outcome", "order", "errno"]
            }
            Self::Family(Family::Walk) => &["start", "end", "path", "callback", "result"],
            Self::Family(Family::Change) => {
                &["start", "end", "to", "from", "pages", "request", "errno"]
            }
            Self::Family(Family::Migrate) => &["start", "end", "done"],
            Self::Family(Family::Vma) => &["change", "start", "end", "errno"],
            Self::Effects | Self::Sizes => &[],
        }
    }

    /// All columns, in order.
    #[must_use]
    pub fn columns(self) -> Vec<&'static str> {
        match self {
            Self::Family(_) => {
                EVENT.into_iter().chain(self.fields().iter().copied()).chain([CALLERS]).collect()
            }
            Self::Effects => EFFECT.to_vec(),
            Self::Sizes => {
                let classes = SizeClass::ALL.into_iter().map(SizeClass::title);
                ["time", "pid", "comm"].into_iter().chain(classes).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{EVENT, Table};
    use crate::trace::schema;

    /// The names of all fields that lines of a kind can have.
    fn fields(of: &Value, all: &Value, names: &mut BTreeSet<String>) {
        names.extend(
            of["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()),
        );
        for variant in ["oneOf", "anyOf"].into_iter().filter_map(|key| of[key].as_array()).flatten()
        {
            fields(variant, all, names);
        }
        if let Some(name) = of["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            fields(&all[name], all, names);
        }
    }

    #[test]
    fn every_field_of_an_event_has_a_column() {
        let schema: Value = serde_json::from_str(&schema::text()).unwrap();
        let definitions = &schema["$defs"];
        let mut wanted = BTreeSet::new();
        fields(&definitions["Event"], definitions, &mut wanted);
        // Those of structures: the actor's are columns, the stacks are one.
        wanted.retain(|name| {
            !["by", "stacks"].contains(&name.as_str()) && !EVENT.contains(&name.as_str())
        });
        let tables = Table::ALL.iter().flat_map(|table| table.fields());
        let columns: BTreeSet<String> = tables.map(|&name| name.to_owned()).collect();
        assert_eq!(columns, wanted);
    }

    #[test]
    fn the_page_about_exports_has_every_table() {
        let page = include_str!("../../../docs/export.md");
        for table in Table::ALL {
            let columns: Vec<_> = match table {
                Table::Family(_) => table.fields().to_vec(),
                Table::Effects | Table::Sizes => table.columns(),
            };
            let columns: Vec<_> = columns.iter().map(|name| format!("`{name}`")).collect();
            let row = format!("\n| `{}` | {} |", table.name(), columns.join(", "));
            assert!(page.contains(&row), "{row}");
        }
    }
}
