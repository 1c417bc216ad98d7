//! What only a real kernel can show: run by `cargo xtask test` in guests with different kernels, and
//! on the machine at hand.
//!
//! `WALKPROBE_BIN` is the walkprobe under test; `WALKPROBE_GUEST` is the guest's kernel series, and
//! absent on a machine at hand, whose kernel may refuse fentry and kprobes.

mod activity;
mod bench;
mod changes;
mod child;
mod churn;
mod compare;
mod damon;
mod ends;
mod exact;
mod export;
mod files;
mod folios;
mod follow;
mod frames;
mod hints;
mod input;
mod leaves;
mod levels;
mod live;
mod lost;
mod many;
mod maps;
mod marked;
mod memory;
mod migration;
mod missed;
mod modes;
mod names;
mod namespace;
mod need;
mod nodes;
mod poison;
mod protobuf;
mod quiet;
mod recording;
mod restless;
mod roles;
mod run;
mod scenarios;
mod setting;
mod shared;
mod smaps;
mod stacks;
mod storm;
mod sums;
mod swap;
mod terminal;
mod threads;
mod uffd;
mod vfio;
mod walks;
mod watcher;
mod why;

use libtest_mimic::{Arguments, Trial};

fn main() {
    roles::can_be_interrupted();
    child::play();
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = [
        exact::trials(),
        walks::trials(),
        damon::trials(),
        bench::trials(),
        changes::trials(),
        stacks::trials(),
        leaves::trials(),
        folios::trials(),
        levels::trials(),
        shared::trials(),
        marked::trials(),
        swap::trials(),
        migration::trials(),
        hints::trials(),
        poison::trials(),
        maps::trials(),
        churn::trials(),
        storm::trials(),
        live::trials(),
        scenarios::trials(),
        why::trials(),
        export::trials(),
        many::trials(),
        ends::trials(),
        names::trials(),
        lost::trials(),
        modes::trials(),
        input::trials(),
        follow::trials(),
        recording::trials(),
        terminal::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    // One at a time: a test that counts must not see another one's walks of its address space.
    libtest_mimic::run(&Arguments { test_threads: Some(1), ..arguments }, trials).exit();
}
