//! Children: they share memory for a while, and end within the operation.

use std::{ffi::CStr, io};

use crate::workload::{
    storm::{arena::Scene, faults, need::Need, sys, table::Operation},
    sys::SleepingChild,
};

const PROGRAM: &str = "/bin/true";
const PROGRAM_PATH: &CStr = c"/bin/true";

/// Pages that are touched while a child lives.
const MOST: usize = 64;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("fork", 4, &[], "a child writes some pages, unmaps some, and ends", fork),
    Operation::new(
        "fork-and-write",
        4,
        &[],
        "write some pages while a child has them too",
        fork_and_write,
    ),
    Operation::new("exec", 2, &[Need::Program(PROGRAM)], "a child becomes another program", exec),
];

fn fork(scene: &mut Scene<'_>) -> io::Result<()> {
    let (written, unmapped) = (scene.part(), scene.part());
    sys::child(|| {
        for page in written.addresses().take(MOST) {
            let _ = faults::write(page);
        }
        let _ = sys::unmap(&unmapped);
    })
}

fn fork_and_write(scene: &mut Scene<'_>) -> io::Result<()> {
    let part = scene.part();
    let _child = SleepingChild::new()?;
    for page in part.addresses().take(MOST) {
        let _ = faults::write(page);
    }
    Ok(())
}

fn exec(scene: &mut Scene<'_>) -> io::Result<()> {
    let sink = &scene.arena.files.sink;
    sys::child(|| sys::become_program(PROGRAM_PATH, sink))
}
