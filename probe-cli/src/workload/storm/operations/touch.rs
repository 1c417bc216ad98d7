//! Reading and writing memory, by the processor and by the kernel.

use std::io;

use crate::workload::storm::{arena::Scene, faults, sys, table::Operation};

/// Buffers of one system call (`UIO_MAXIOV`).
const AT_ONCE: usize = 1024;
/// Each one is a signal, which takes as long as many faults.
const MOST_FAILURES: u32 = 64;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("read-page", 60, &[], "read one page", read_page),
    Operation::new("write-page", 60, &[], "write one page", write_page),
    Operation::new("read", 30, &[], "read each page of a part", read),
    Operation::new("write", 60, &[], "write each page of a part", write),
    Operation::new("write-some", 20, &[], "write every so many-th page of a part", write_some),
    Operation::new("kernel-reads", 10, &[], "pwritev from each page of a part", kernel_reads),
    Operation::new("kernel-writes", 10, &[], "preadv into each page of a part", kernel_writes),
    Operation::new("fill", 10, &[], "fill a part with zeroes by read(2)", fill),
];

fn read_page(scene: &mut Scene<'_>) -> io::Result<()> {
    let part = scene.part();
    faults::read(scene.page(&part))
}

fn write_page(scene: &mut Scene<'_>) -> io::Result<()> {
    let part = scene.part();
    faults::write(scene.page(&part))
}

/// Touches them all, until [`MOST_FAILURES`] cannot be; fails when not one could.
fn all(
    mut addresses: impl Iterator<Item = usize>,
    touch: fn(usize) -> io::Result<()>,
) -> io::Result<()> {
    let mut outcome = Err(io::ErrorKind::InvalidInput.into());
    let mut failures = 0;
    while failures < MOST_FAILURES
        && let Some(address) = addresses.next()
    {
        let this = touch(address);
        failures += u32::from(this.is_err());
        if outcome.is_err() {
            outcome = this;
        }
    }
    outcome
}

fn read(scene: &mut Scene<'_>) -> io::Result<()> {
    all(scene.part().addresses().take(AT_ONCE), faults::read)
}

fn write(scene: &mut Scene<'_>) -> io::Result<()> {
    all(scene.part().addresses().take(2 * AT_ONCE), faults::write)
}

fn write_some(scene: &mut Scene<'_>) -> io::Result<()> {
    let step = scene.dice.usize(2..40);
    all(scene.part().addresses().step_by(step).take(AT_ONCE), faults::write)
}

fn kernel_reads(scene: &mut Scene<'_>) -> io::Result<()> {
    let addresses: Vec<usize> = scene.part().addresses().take(AT_ONCE).collect();
    sys::kernel_reads(&addresses, &scene.arena.files.sink)
}

fn kernel_writes(scene: &mut Scene<'_>) -> io::Result<()> {
    let addresses: Vec<usize> = scene.part().addresses().take(AT_ONCE).collect();
    sys::kernel_writes(&addresses, &scene.arena.files.source)
}

fn fill(scene: &mut Scene<'_>) -> io::Result<()> {
    sys::fill(&scene.part(), &scene.arena.files.zeroes)
}
