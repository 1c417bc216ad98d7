//! The rows of the process table as values: what each column says, and their order.

use std::cmp::Ordering;

use probe_common::probe::Family;
use unicode_width::UnicodeWidthStr as _;

use super::{
    columns::Want,
    order::{Heading, Order},
};
use crate::text::Align;
use crate::{
    model::sizes::{SizeClass, Sizes},
    session::{Process, Session},
    units,
};

/// A column of the process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// Thread group.
    Pid,
    /// Name.
    Comm,
    /// Operations of one family per second.
    Rate(Family),
    /// Operations per second, none counted twice ([`Process::rate_of_all`]).
    All,
    /// Share of one CPU ([`Process::busy_of_all`]).
    Time,
    /// Operations since the beginning ([`Process::total_of_all`]).
    Total,
    /// Bytes by the size of the leaves that map them.
    Bytes(SizeClass),
}

impl Column {
    /// Every column, from left to right.
    pub(super) const EVERY: [Self; 16] = [
        Self::Pid,
        Self::Comm,
        Self::Rate(Family::Fault),
        Self::Rate(Family::Hugetlb),
        Self::Rate(Family::Thp),
        Self::Rate(Family::Split),
        Self::Rate(Family::Collapse),
        Self::Rate(Family::Walk),
        Self::All,
        Self::Time,
        Self::Total,
        Self::Bytes(SizeClass::Pud),
        Self::Bytes(SizeClass::Pmd),
        Self::Bytes(SizeClass::Between),
        Self::Bytes(SizeClass::Base),
        Self::Bytes(SizeClass::NotPresent),
    ];

    /// What it asks for. The column that sorts needs a cell more, for its mark, and goes last of
    /// the numbers, because an order whose reason cannot be seen is puzzling.
    pub(super) fn want(self, rows: &[Row], sorts: bool) -> Want {
        let longest = |text: fn(&Row) -> usize| {
            let longest = rows.iter().map(text).max().unwrap_or(0);
            u16::try_from(longest).unwrap_or(u16::MAX)
        };
        let any = |class| rows.iter().any(|row| row.bytes(class) > 0);
        let (min, ideal, importance) = match self {
            Self::Pid => {
                let width =
                    longest(|row| row.pid.checked_ilog10().unwrap_or(0) as usize + 1).max(5);
                (width, width, 0)
            }
            Self::Comm => {
                let longest = longest(|row| row.name().width());
                (longest.clamp(10, 15), longest.clamp(15, 64), 1)
            }
            Self::All => (5, 5, 3),
            Self::Bytes(SizeClass::Pmd) => (5, 5, 4),
            Self::Time => (5, 5, 5),
            Self::Bytes(SizeClass::Base) => (5, 5, 6),
            // These are 0 for most; where they are not, it matters.
            Self::Bytes(SizeClass::Pud) => (5, 5, if any(SizeClass::Pud) { 7 } else { 14 }),
            Self::Bytes(SizeClass::Between) => (5, 5, if any(SizeClass::Between) { 8 } else { 15 }),
            Self::Rate(Family::Split) => (7, 7, 9),
            Self::Bytes(SizeClass::NotPresent) => (7, 7, 10),
            Self::Rate(Family::Hugetlb) => (9, 9, 11),
            Self::Rate(Family::Thp) => (5, 5, 12),
            Self::Rate(Family::Walk) => (6, 6, 13),
            Self::Rate(Family::Collapse) => (10, 10, 16),
            Self::Rate(Family::Fault) => (7, 7, 17),
            Self::Rate(Family::Change | Family::Migrate | Family::Vma) => (9, 9, 18),
            Self::Total => (6, 6, 18),
        };
        if sorts {
            Want { min: min + 1, ideal: ideal + 1, importance: importance.min(2) }
        } else {
            Want { min, ideal, importance }
        }
    }
}

impl Heading for Column {
    const COLUMNS: &'static [Self] = &Self::EVERY;

    fn title(self) -> &'static str {
        match self {
            Self::Pid => "PID",
            Self::Comm => "COMM",
            Self::Rate(Family::Fault) => "FAULT/s",
            Self::Rate(Family::Hugetlb) => "HUGETLB/s",
            Self::Rate(Family::Thp) => "THP/s",
            Self::Rate(Family::Split) => "SPLIT/s",
            Self::Rate(Family::Collapse) => "COLLAPSE/s",
            Self::Rate(Family::Walk) => "WALK/s",
            // Watched for some processes only: they have no column yet, but are in the log.
            Self::Rate(Family::Change) => "CHANGE/s",
            Self::Rate(Family::Migrate) => "MIGRATE/s",
            Self::Rate(Family::Vma) => "VMA/s",
            Self::All => "ALL/s",
            Self::Time => "TIME%",
            Self::Total => "TOTAL",
            Self::Bytes(class) => class.title(),
        }
    }

    fn align(self) -> Align {
        if matches!(self, Self::Comm) { Align::Left } else { Align::Right }
    }

    fn falls(self) -> bool {
        !matches!(self, Self::Pid | Self::Comm)
    }
}

impl Order<Column> {
    fn compare(self, one: &Row, other: &Row) -> Ordering {
        let rising = match self.column() {
            Column::Pid => one.pid.cmp(&other.pid),
            Column::Comm => one.name().cmp(other.name()),
            Column::Rate(family) => one.rate(family).total_cmp(&other.rate(family)),
            Column::All => one.all.total_cmp(&other.all),
            Column::Time => one.time.total_cmp(&other.time),
            Column::Total => one.total.cmp(&other.total),
            Column::Bytes(class) => one.bytes(class).cmp(&other.bytes(class)),
        };
        let ordered = if self.falls() { rising.reverse() } else { rising };
        ordered.then(one.pid.cmp(&other.pid))
    }

    /// Brings rows into this order; equal ones by PID.
    pub(super) fn sort(self, rows: &mut [Row]) {
        rows.sort_unstable_by(|one, other| self.compare(one, other));
    }
}

impl Default for Order<Column> {
    fn default() -> Self {
        Self::by(Column::All)
    }
}

/// One process.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) pid: u32,
    comm: String,
    rates: [f64; Family::ALL.len()],
    all: f64,
    time: f64,
    total: u64,
    /// Not known of every process.
    sizes: Option<Sizes>,
}

/// A row for each process that something happened to, or whose size is known.
pub(super) fn rows(session: &Session) -> Vec<Row> {
    let (processes, census) = (session.processes(), session.census());
    let busy = processes.values().map(|process| {
        let counted = || census.get(process.pid).map_or("", |count| count.comm.as_str());
        let mut row = Row::from(process);
        if row.comm.is_empty() {
            counted().clone_into(&mut row.comm);
        }
        row
    });
    let mut rows: Vec<Row> = busy.collect();
    let is_new = |pid: &u32| !processes.contains_key(pid);
    let followed = session.maps().values().map(|map| (map.pid(), map.comm()));
    let followed = followed.filter(|(pid, _)| is_new(pid));
    rows.extend(followed.map(|(pid, comm)| Row::quiet(pid, comm)));
    let counted = census.iter().map(|count| (count.pid, count.comm.as_str()));
    let counted = counted.filter(|(pid, _)| is_new(pid) && !session.maps().contains_key(pid));
    rows.extend(counted.map(|(pid, comm)| Row::quiet(pid, comm)));
    for row in &mut rows {
        row.sizes = session.sizes(row.pid);
    }
    rows
}

impl From<&Process> for Row {
    fn from(process: &Process) -> Self {
        Self {
            pid: process.pid,
            comm: process.comm.clone(),
            rates: Family::ALL.map(|family| process.rate(family)),
            all: process.rate_of_all(),
            time: process.busy_of_all(),
            total: process.total_of_all(),
            sizes: None,
        }
    }
}

impl Row {
    /// A process that nothing has happened to.
    fn quiet(pid: u32, comm: &str) -> Self {
        Self::from(&Process { pid, comm: comm.to_owned(), ..Process::default() })
    }

    /// Bytes of a class; 0 where they are not known.
    fn bytes(&self, class: SizeClass) -> u64 {
        self.sizes.map_or(0, |sizes| sizes.get(class))
    }

    fn rate(&self, family: Family) -> f64 {
        let place = Family::ALL.iter().position(|&other| other == family);
        place.map_or(0.0, |place| self.rates[place])
    }

    /// The name, or what stands for one.
    pub(super) fn name(&self) -> &str {
        name(self.pid, &self.comm)
    }

    fn pid_text(&self) -> String {
        if self.pid == 0 { "-".to_owned() } else { self.pid.to_string() }
    }

    /// What a column says about this process.
    pub(super) fn cell(&self, column: Column) -> String {
        match column {
            Column::Pid => self.pid_text(),
            Column::Comm => self.name().to_owned(),
            Column::Rate(family) => units::rate(self.rate(family)),
            Column::All => units::rate(self.all),
            Column::Time => percent(self.time),
            Column::Total => units::count(self.total),
            Column::Bytes(class) => match self.sizes {
                Some(sizes) => units::short_bytes(sizes.get(class)),
                None => "-".to_owned(),
            },
        }
    }
}

/// A process's name, or what stands for one: PID 0 stands for operations whose process the
/// kernel does not tell, and a process may be gone before anybody could ask for its name.
pub(super) fn name(pid: u32, comm: &str) -> &str {
    match comm {
        _ if pid == 0 => "[unknown]",
        "" => "?",
        comm => comm,
    }
}

/// A share as percent in at most five cells: `0`, `0.05`, `12.3`, `1600`.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p <= 0.0 => "0".to_owned(),
        p if p < 0.01 => "<0.01".to_owned(),
        p if p < 9.995 => format!("{p:.2}"),
        p if p < 99.95 => format!("{p:.1}"),
        p => format!("{p:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Order, Row, percent};
    use crate::{model::sizes::SizeClass, tui::fixture};

    fn pids(order: Order<Column>, rows: &mut [Row]) -> Vec<u32> {
        order.sort(rows);
        rows.iter().map(|row| row.pid).collect()
    }

    #[test]
    fn the_busiest_first_and_equal_ones_by_pid() {
        let mut rows: Vec<Row> = [(9, 5), (3, 5), (4, 50), (0, 5)]
            .map(|(pid, rate)| Row::from(&fixture::process(pid, "x", rate)))
            .into();
        let order: Order<Column> = Order::default();
        assert_eq!(order.column(), Column::All);
        assert_eq!(pids(order, &mut rows), [4, 0, 3, 9]);
        assert_eq!(pids(order.reverse(), &mut rows), [0, 3, 9, 4]);
        assert_eq!(pids(order.reverse().right().left(), &mut rows), [4, 0, 3, 9]);
    }

    #[test]
    fn every_column_can_sort_and_both_ends_hold() {
        let mut rows: Vec<Row> = (1..20)
            .map(|pid| Row::from(&fixture::process(pid, &format!("p{}", 99 - pid), pid * 7 % 5)))
            .collect();
        let mut order: Order<Column> = Order::default();
        for _ in 0..20 {
            order = order.left();
        }
        for column in Column::EVERY {
            assert_eq!(order.column(), column);
            order.sort(&mut rows);
            let first = rows[0].clone();
            order.reverse().sort(&mut rows);
            assert!(order.compare(&first, &rows[0]).is_le(), "{column:?}");
            order = order.right();
        }
        assert_eq!(order.column(), Column::Bytes(SizeClass::NotPresent));
        assert_eq!(order.right(), order);
    }

    #[test]
    fn shares() {
        for (share, text) in [
            (0.0, "0"),
            (0.00001, "<0.01"),
            (0.0123, "1.23"),
            (0.5, "50.0"),
            (0.9999, "100"),
            (64.0, "6400"),
        ] {
            assert_eq!(percent(share), text);
        }
    }
}
