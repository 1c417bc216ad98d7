//! Files that change under the mappings.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use crate::workload::storm::{
    arena::{Pages, Scene, unit},
    sys,
    table::Operation,
};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("truncate", 8, &[], "make a file shorter", truncate),
    Operation::new("extend", 16, &[], "make a file as long as it was", extend),
    Operation::new("punch", 6, &[], "free a part of a file", punch),
    Operation::new("write-file", 6, &[], "write a page of a file", write),
];

/// One of the files and the pages that it has.
fn file<'a>(scene: &mut Scene<'a>) -> io::Result<(&'a File, Pages)> {
    let files = &scene.arena.files;
    let missing = || io::Error::from(io::ErrorKind::Unsupported);
    match scene.dice.u8(..4) {
        0 => Ok((&files.disk, Pages::Base)),
        1 => Ok((&files.shmem, Pages::Base)),
        2 => Ok((files.huge_shmem.as_ref().map_err(|_| missing())?, Pages::Base)),
        _ => Ok((files.hugetlb.as_ref().map_err(|_| missing())?, Pages::Hugetlb2M)),
    }
}

fn truncate(scene: &mut Scene<'_>) -> io::Result<()> {
    let (file, pages) = file(scene)?;
    let slot = scene.slot(pages);
    let length = scene.dice.usize(0..=slot.len() / unit(pages)) * unit(pages);
    file.set_len(length as u64)
}

fn extend(scene: &mut Scene<'_>) -> io::Result<()> {
    let (file, pages) = file(scene)?;
    file.set_len(scene.slot(pages).len() as u64)
}

fn punch(scene: &mut Scene<'_>) -> io::Result<()> {
    let (file, pages) = file(scene)?;
    let slot = scene.slot(pages);
    let part = scene.within(&slot);
    sys::punch(file, part.offset..part.offset + part.len())
}

fn write(scene: &mut Scene<'_>) -> io::Result<()> {
    let (file, pages) = file(scene)?;
    let slot = scene.slot(pages);
    let part = scene.within(&slot);
    file.write_all_at(&[7; 4096], part.offset as u64)
}
