//! Listing VMAs.

use std::{fs, hint::black_box, io, io::Write, time::Instant};

use anyhow::Result;
use walkprobe::kernel::vmas;

use super::{
    ROUNDS,
    measure::{median, nanoseconds},
    subjects,
};

/// Lists 10,000 VMAs.
pub(crate) fn table(out: &mut impl Write) -> Result<()> {
    let made = subjects::vmas()?.map_err(io::Error::other)?;
    let (mut text, mut listed) = (Vec::new(), Vec::new());
    let mut number = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        black_box(fs::read_to_string("/proc/self/maps")?);
        text.push(nanoseconds(start.elapsed()));
        let start = Instant::now();
        let list = vmas::list(std::process::id(), false)?;
        listed.push(nanoseconds(start.elapsed()));
        number = list.vmas.len();
        black_box(list);
    }
    drop(made);
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let per_vma = |times| median(times).unwrap_or(0.0) / number as f64;
    writeln!(out, "\n## Listing {number} VMAs\n")?;
    writeln!(out, "| what | ns per VMA |\n|---|---|")?;
    writeln!(out, "| the kernel's part: reading `/proc/PID/maps` | {:.0} |", per_vma(text))?;
    writeln!(out, "| read and parsed into VMAs | {:.0} |", per_vma(listed))?;
    Ok(())
}
