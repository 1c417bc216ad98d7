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

/// One line; the fields are the columns.
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
    /// Begins; holes are left out when asked.
    #[must_use]
    pub fn new(out: W, no_holes: bool) -> Self {
        Self { out: csv::Writer::from_writer(out), no_holes }
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
            self.out.serialize(Line {
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
            })?;
        }
        self.out.flush()
    }
}
