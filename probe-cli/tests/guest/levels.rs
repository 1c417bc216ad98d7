//! Page tables of four and of five levels.

use std::{env, fs};

use libtest_mimic::{Failed, Trial};
use walkprobe::model::leaf::{LeafKind, LeafSize};

use crate::{
    compare::{checked, expect},
    memory::{Area, PAGE, PMD},
    need::{self, Lack},
    run::ensure,
};

/// An address that only five levels have: with four, user space ends at 1 << 47.
const FAR: usize = 1 << 50;

pub(crate) fn trials() -> Vec<Trial> {
    [
        need::trial("five_levels", five(), five_levels),
        need::trial("four_levels", told_four(), four_levels),
    ]
    .into()
}

/// The processor's flag, which the kernel clears when it uses four (arch/x86/kernel/cpu/common.c).
fn has_five() -> bool {
    fs::read_to_string("/proc/cpuinfo")
        .is_ok_and(|text| text.split_ascii_whitespace().any(|flag| flag == "la57"))
}

fn five() -> Lack {
    (!has_five()).then(|| "four levels".to_owned())
}

/// The guest was booted so.
fn told_four() -> Lack {
    let told = env::var("WALKPROBE_LEVELS").is_ok_and(|levels| levels == "4");
    (!told).then(|| "not told no5lvl".to_owned())
}

fn five_levels() -> Result<(), Failed> {
    let area = Area::near(FAR, PMD)?;
    ensure(area.range().start >> 47 != 0, || format!("{:#x} is low", area.range().start))?;
    area.write(PAGE..5 * PAGE);
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::BASE), 4 * PAGE),
            ((LeafKind::Hole, LeafSize::BASE), PMD - 4 * PAGE),
        ],
    )
}

fn four_levels() -> Result<(), Failed> {
    let area = Area::near(FAR, PMD)?;
    ensure(area.range().start >> 47 == 0, || format!("{:#x} is high", area.range().start))?;
    area.write(PAGE..5 * PAGE);
    expect(
        &checked(&area)?,
        &[
            ((LeafKind::Present, LeafSize::BASE), 4 * PAGE),
            ((LeafKind::Hole, LeafSize::BASE), PMD - 4 * PAGE),
        ],
    )
}
