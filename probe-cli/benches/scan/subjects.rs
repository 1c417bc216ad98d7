//! Memory that is known.

use std::{any::Any, io, ops::Range};

use super::{
    memory::{Area, Backing, PAGE, PMD},
    settings::{HugePages, Swap},
};

const M: usize = 1 << 20;
const G: usize = 1 << 30;

/// Memory to be made, or why it cannot be had here.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) make: fn() -> io::Result<Result<Made, String>>,
}

/// Memory to be read, and what it holds on to.
pub(crate) struct Made {
    /// From the beginning of the first range to the end of the last one.
    pub(crate) span: Range<u64>,
    /// The VMAs.
    pub(crate) ranges: Vec<Range<u64>>,
    _area: Area,
    _settings: Option<Box<dyn Any>>,
}

impl Made {
    fn of(area: Area) -> Self {
        Self { span: area.range(), ranges: vec![area.range()], _area: area, _settings: None }
    }
}

pub(crate) const ALL: [Subject; 8] = [
    Subject {
        name: "dense 4K, 1 GiB",
        make: || {
            let area = Area::base(G)?;
            area.write(0..G);
            Ok(Ok(Made::of(area)))
        },
    },
    Subject { name: "THP, 1 GiB", make: || thp(G, |_| Ok(())) },
    Subject {
        name: "THP mapped by PTEs, 256 MiB",
        make: || {
            thp(256 * M, |area| {
                (0..256 * M)
                    .step_by(PMD)
                    .try_for_each(|pmd| area.forbid(pmd + PAGE..pmd + 2 * PAGE))
            })
        },
    },
    Subject { name: "hugetlb 2M, 128 MiB", make: hugetlb },
    Subject {
        name: "every 16th page, 1 GiB",
        make: || {
            let area = Area::base(G)?;
            (0..G).step_by(16 * PAGE).for_each(|page| area.write(page..page + PAGE));
            Ok(Ok(Made::of(area)))
        },
    },
    Subject { name: "nothing, 64 GiB", make: || Ok(Ok(Made::of(Area::base(64 * G)?))) },
    Subject { name: "10,000 VMAs of 16 KiB", make: vmas },
    Subject { name: "swap, 128 MiB", make: swap },
];

fn thp(
    length: usize,
    change: impl FnOnce(&Area) -> io::Result<()>,
) -> io::Result<Result<Made, String>> {
    let Some(area) = Area::huge(length)? else { return Ok(Err("THP is switched off".to_owned())) };
    area.write(0..length);
    change(&area)?;
    Ok(Ok(Made::of(area)))
}

fn hugetlb() -> io::Result<Result<Made, String>> {
    const LENGTH: usize = 128 * M;
    let settings = HugePages::add(LENGTH / PMD)?;
    let Some(area) = Area::hugetlb(LENGTH, PMD)? else {
        return Ok(Err("there is no room for so many huge pages".to_owned()));
    };
    area.write(0..LENGTH);
    Ok(Ok(Made { _settings: Some(Box::new(settings)), ..Made::of(area) }))
}

/// Every other one can only be read, so that they stay apart.
pub(crate) fn vmas() -> io::Result<Result<Made, String>> {
    const NUMBER: usize = 10_000;
    const LENGTH: usize = 4 * PAGE;
    let area = Area::base(NUMBER * LENGTH)?;
    area.write(0..NUMBER * LENGTH);
    for number in (0..NUMBER).step_by(2) {
        area.protect(number * LENGTH..(number + 1) * LENGTH, libc::PROT_READ)?;
    }
    let start = area.range().start;
    let ranges = (0..NUMBER as u64)
        .map(|number| start + number * LENGTH as u64..start + (number + 1) * LENGTH as u64);
    Ok(Ok(Made { ranges: ranges.collect(), ..Made::of(area) }))
}

fn swap() -> io::Result<Result<Made, String>> {
    const LENGTH: usize = 128 * M;
    let settings = match Swap::on(LENGTH + 16 * M) {
        Ok(settings) => settings,
        Err(error) => return Ok(Err(format!("there is no swap file: {error}"))),
    };
    let area = Area::new(LENGTH, Backing::Anonymous)?;
    area.write(0..LENGTH);
    // What is being written, or on its way to a list of the reclaim, is passed over the first time.
    for _ in 0..20 {
        area.advise(0..LENGTH, libc::MADV_PAGEOUT)?;
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(Ok(Made { _settings: Some(Box::new(settings)), ..Made::of(area) }))
}
