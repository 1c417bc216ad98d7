//! mprotect, mlock and munlock.

use std::io;

use crate::workload::storm::{arena::Scene, sys, table::Operation};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("protect", 15, &[], "mprotect: read only", read_only),
    Operation::new("forbid", 10, &[], "mprotect: no access", none),
    Operation::new("allow", 30, &[], "mprotect: read and write", all),
    Operation::new("lock", 6, &[], "mlock", lock),
    Operation::new("lock-on-fault", 6, &[], "mlock2: only what comes (MLOCK_ONFAULT)", on_fault),
    Operation::new("unlock", 12, &[], "munlock", unlock),
];

fn read_only(scene: &mut Scene<'_>) -> io::Result<()> {
    sys::protect(&scene.part(), libc::PROT_READ)
}

fn none(scene: &mut Scene<'_>) -> io::Result<()> {
    sys::protect(&scene.part(), libc::PROT_NONE)
}

fn all(scene: &mut Scene<'_>) -> io::Result<()> {
    sys::protect(&scene.part(), libc::PROT_READ | libc::PROT_WRITE)
}

fn lock(scene: &mut Scene<'_>) -> io::Result<()> {
    sys::lock(&scene.part(), 0)
}

fn on_fault(scene: &mut Scene<'_>) -> io::Result<()> {
    sys::lock(&scene.part(), libc::MLOCK_ONFAULT)
}

fn unlock(scene: &mut Scene<'_>) -> io::Result<()> {
    sys::unlock(&scene.part())
}
