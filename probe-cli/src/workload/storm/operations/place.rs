//! Where pages are: migration and compaction.

use std::{fs, io};

use crate::workload::{
    nodes,
    storm::{arena::Scene, need::Need, table::Operation},
};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("migrate", 12, &[Need::Nodes], "move_pages to one of two memory nodes", migrate),
    Operation::new(
        "compact",
        1,
        &[Need::WholeMachine],
        "compact the memory of the machine",
        compact,
    ),
];

fn migrate(scene: &mut Scene<'_>) -> io::Result<()> {
    let node = scene.dice.i32(0..2);
    let pages: Vec<usize> = scene.part().addresses().collect();
    nodes::move_to(&pages, node).map(drop)
}

fn compact(_: &mut Scene<'_>) -> io::Result<()> {
    fs::write("/proc/sys/vm/compact_memory", "1")
}
