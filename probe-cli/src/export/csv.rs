//! Comma-separated values (RFC 4180): a table for each event family, one of what operations did to maps, and one of bytes
//! by leaf size.

use std::{
    borrow::Cow,
    io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    Exporter, Sink,
    columns::{EVENT, Table},
    counters::{Count, Counters, Touched},
    timeline::fields,
};
use crate::{
    event::{Address, Event},
    exit::Failure,
    input::Input,
    maps::{csv::io_error, history},
    model::sizes::SizeClass,
    output,
    session::{Session, Settled},
    track::{log::Transaction, map::Tracked},
};

/// Writes every table into a file of its own.
///
/// # Errors
/// When the folder or a file cannot be made.
pub fn folder(path: &Path) -> Result<Box<dyn Exporter>, Failure> {
    let failure = |error| Failure::Output { target: output::name(path), error };
    output::create_folder(path)?;
    let open = |table: Table| {
        let file = output::create(&file(path, table))?;
        Rows::new(table, Sink::new(Box::new(file))).map_err(failure)
    };
    let tables = Table::ALL.into_iter().map(open).collect::<Result<_, _>>()?;
    Ok(Box::new(Csv::new(tables)))
}

/// The file of a table in a folder.
#[must_use]
pub fn file(folder: &Path, table: Table) -> PathBuf {
    folder.join(format!("{}.csv", table.name()))
}

/// Writes one table.
///
/// # Errors
/// When it cannot be written.
pub fn table(table: Table, out: Sink) -> io::Result<Box<dyn Exporter>> {
    Ok(Box::new(Csv::new(vec![Rows::new(table, out)?])))
}

struct Csv {
    tables: Vec<Rows>,
    /// Where maps are followed.
    session: Option<Box<Session>>,
    settled: Settled,
    counters: Counters,
}

impl Csv {
    fn new(tables: Vec<Rows>) -> Self {
        let has_maps = tables.iter().any(|rows| !matches!(rows.table, Table::Family(_)));
        Self {
            tables,
            session: has_maps.then(Box::default),
            settled: Settled::default(),
            counters: Counters::default(),
        }
    }

    fn counts(&mut self, counts: &[Count]) -> io::Result<()> {
        let tables = self.tables.iter_mut().filter(|rows| rows.table == Table::Sizes);
        for rows in tables {
            counts.iter().try_for_each(|count| rows.count(count))?;
        }
        Ok(())
    }
}

impl Exporter for Csv {
    fn input(&mut self, input: Input) -> io::Result<()> {
        if let Input::Event(event) = &input {
            let family = Table::Family(event.probe.family());
            if let Some(rows) = self.tables.iter_mut().find(|rows| rows.table == family) {
                rows.event(event)?;
            }
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        let touched = Touched::by(&input);
        let mut effects = Effects::of(&mut self.tables);
        self.settled.take(session, input, |map, transaction| effects.write(map, transaction));
        effects.written?;
        let counts = self.counters.look(session, touched);
        self.counts(&counts)
    }

    fn finish(mut self: Box<Self>, _: &[String]) -> anyhow::Result<Vec<String>> {
        if let Some(session) = &self.session {
            let mut effects = Effects::of(&mut self.tables);
            self.settled.rest(session, |map, transaction| effects.write(map, transaction));
            effects.written?;
            let counts = self.counters.last(session);
            self.counts(&counts)?;
        }
        self.tables.iter_mut().try_for_each(|rows| rows.out.flush())?;
        Ok(self.session.map(|session| session.left_out().complaints()).unwrap_or_default())
    }
}

/// Where effects go, if anywhere, and how that went.
struct Effects<'a> {
    rows: Option<&'a mut Rows>,
    written: io::Result<()>,
}

impl<'a> Effects<'a> {
    fn of(tables: &'a mut [Rows]) -> Self {
        let rows = tables.iter_mut().find(|rows| rows.table == Table::Effects);
        Self { rows, written: Ok(()) }
    }

    fn write(&mut self, map: &Tracked, transaction: &Transaction) {
        if let (Some(rows), Ok(())) = (&mut self.rows, &self.written) {
            self.written = rows.effects(map, transaction);
        }
    }
}

/// A table that is being written.
struct Rows {
    table: Table,
    out: csv::Writer<Sink>,
}

impl Rows {
    fn new(table: Table, out: Sink) -> io::Result<Self> {
        let mut rows = Self { table, out: csv::Writer::from_writer(out) };
        rows.record(table.columns().into_iter().map(Cow::Borrowed))?;
        Ok(rows)
    }

    fn record<'a>(&mut self, cells: impl Iterator<Item = Cow<'a, str>>) -> io::Result<()> {
        for cell in cells {
            self.out.write_field(cell.as_bytes()).map_err(io_error)?;
        }
        self.out.write_record(None::<&[u8]>).map_err(io_error)
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        let fields = fields(event);
        let optional =
            |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let own = |name: &str| fields.get(name).map_or(Cow::Borrowed(""), cell);
        let by = &event.by;
        let beginning: [Cow<'_, str>; EVENT.len()] = [
            event.time.to_string().into(),
            optional(event.duration).into(),
            event.probe.name().into(),
            own("kind"),
            optional(event.pid.map(u64::from)).into(),
            by.pid.to_string().into(),
            by.tid.to_string().into(),
            text(&by.comm),
            by.kernel.to_string().into(),
            by.cpu.to_string().into(),
        ];
        let callers = event.stacks.as_ref().map(ToString::to_string).unwrap_or_default();
        let names = self.table.fields().iter();
        self.record(
            beginning.into_iter().chain(names.map(|name| own(name))).chain([text(&callers)]),
        )
    }

    fn effects(&mut self, map: &Tracked, transaction: &Transaction) -> io::Result<()> {
        let [range, _] = &transaction.ranges;
        let of_range = |address: u64| {
            if range.is_empty() { String::new() } else { Address(address).to_string() }
        };
        for (&(before, after), bytes) in &transaction.changes {
            let cells = [
                transaction.time.to_string(),
                map.pid().to_string(),
                transaction.number.to_string(),
                history::name(&transaction.cause).to_owned(),
                of_range(range.start),
                of_range(range.end),
                before.to_string(),
                after.to_string(),
                bytes.to_string(),
            ];
            self.record(cells.into_iter().map(Cow::Owned))?;
        }
        Ok(())
    }

    fn count(&mut self, count: &Count) -> io::Result<()> {
        let beginning: [Cow<'_, str>; 3] =
            [count.time.to_string().into(), count.pid.to_string().into(), text(&count.comm)];
        let bytes = |class| Cow::Owned(count.sizes.get(class).to_string());
        self.record(beginning.into_iter().chain(SizeClass::ALL.map(bytes)))
    }
}

/// A field of a trace as a cell.
fn cell(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(own) => text(own),
        other => Cow::Owned(other.to_string()),
    }
}

/// Text that other processes may have chosen: what a spreadsheet would take for a formula begins with an apostrophe.
fn text(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn no_name_is_a_formula() {
        for (name, safe) in [
            ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(1)", "'@SUM(1)"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(text(name), safe);
        }
    }
}
