//! What only a real kernel can show: run by `cargo xtask test` in guests with different kernels, and
//! on the machine at hand.
//!
//! `WALKPROBE_BIN` is the walkprobe under test; `WALKPROBE_GUEST` is the guest's kernel series, and
//! absent on a machine at hand, whose kernel may refuse fentry and kprobes.

mod child;
mod churn;
mod ends;
mod exact;
mod input;
mod leaves;
mod lost;
mod many;
mod maps;
mod memory;
mod modes;
mod names;
mod namespace;
mod restless;
mod roles;
mod run;
mod terminal;

use libtest_mimic::{Arguments, Trial};

fn main() {
    child::play();
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = [
        exact::trials(),
        leaves::trials(),
        maps::trials(),
        churn::trials(),
        many::trials(),
        ends::trials(),
        names::trials(),
        lost::trials(),
        modes::trials(),
        input::trials(),
        terminal::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    // One at a time: a test that counts must not see another one's walks of its address space.
    libtest_mimic::run(&Arguments { test_threads: Some(1), ..arguments }, trials).exit();
}
