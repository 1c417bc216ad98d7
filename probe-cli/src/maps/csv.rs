//! Every run as comma-separated values (RFC 4180), a line each.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    event::Address,
    model::{
        leaf::{LeafKind, Marks},
        set::TranslationSet,
    },
};

/// The columns: the fields of [`Line`].
const HEADINGS: [&str; 18] = [
    "pid",
    "vma_start",
    "vma_end",
    "vma_kind",
    "permissions",
    "name",
    "start",
    "end",
    "leaf_bytes",
    "leaves",
    "bytes",
    "kind",
    "folio_order",
    "young",
    "dirty",
    "soft_dirty",
    "writable",
    "uffd_wp",
];

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    pid: u32,
    vma_start: Address,
    vma_end: Address,
    vma_kind: String,
    permissions: String,
    name: &'a str,
    start: Address,
    end: Address,
    leaf_bytes: u64,
    leaves: u64,
    bytes: u64,
    kind: &'static str,
    folio_order: Option<u8>,
    young: Option<u64>,
    dirty: Option<u64>,
    soft_dirty: Option<u64>,
    writable: Option<u64>,
    uffd_wp: Option<u64>,
}

/// Writes the runs of one set after another under one line of headings.
pub struct Csv<W: Write> {
    out: csv::Writer<W>,
    no_holes: bool,
}

impl<W: Write> Csv<W> {
    /// Writes the headings; holes are left out when asked.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn new(out: W, no_holes: bool) -> io::Result<Self> {
        // Not from the first line: where there is none, there still are columns.
        let mut out = csv::WriterBuilder::new().has_headers(false).from_writer(out);
        out.write_record(HEADINGS).map_err(io_error)?;
        out.flush()?;
        Ok(Self { out, no_holes })
    }

    /// Writes the runs of a set.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, set: &TranslationSet) -> io::Result<()> {
        for batch in set {
            let (vma, run) = (batch.vma, batch.run);
            if self.no_holes && run.kind == LeafKind::Hole {
                continue;
            }
            let mark = |of: fn(&Marks) -> u64| run.marks.as_ref().map(of);
            self.out
                .serialize(Line {
                    pid: set.origin().pid,
                    vma_start: Address(vma.start),
                    vma_end: Address(vma.end),
                    vma_kind: vma.kind.to_string(),
                    permissions: vma.permissions.to_string(),
                    name: &vma.name,
                    start: Address(run.start),
                    end: Address(run.end()),
                    leaf_bytes: run.size.bytes(),
                    leaves: run.count,
                    bytes: run.bytes(),
                    kind: run.kind.name(),
                    folio_order: run.folio_order,
                    young: mark(|marks| marks.young),
                    dirty: mark(|marks| marks.dirty),
                    soft_dirty: mark(|marks| marks.soft_dirty),
                    writable: mark(|marks| marks.writable),
                    uffd_wp: mark(|marks| marks.uffd_wp),
                })
                .map_err(io_error)?;
        }
        self.out.flush()
    }
}

/// The error of the file itself, whose kind tells a closed pipe and a full disk.
pub(crate) fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{fixture, set::TranslationSet};

    #[test]
    fn headings_are_the_fields() {
        let mut out = Vec::new();
        let mut csv = super::Csv::new(&mut out, false).unwrap();
        csv.write(&TranslationSet::default()).unwrap();
        csv.write(&fixture::set()).unwrap();
        drop(csv);
        let mut reader = csv::Reader::from_reader(out.as_slice());
        assert_eq!(reader.headers().unwrap().len(), super::HEADINGS.len());
        // A line of another length would be an error.
        assert!(reader.records().all(|line| line.is_ok()));
    }
}
