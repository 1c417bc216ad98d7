//! DAMON's walks: in each interval it looks at one page of each region, first to clear its accessed bit, then to read
//! it. The regions are told to it, so that how many calls an interval makes, and over which leaves, is known.

use std::{fs, io, ops::Range, path::Path, thread, time::Duration};

use libtest_mimic::{Failed, Trial};

use crate::{
    memory::{Area, PMD},
    need,
    run::{ensure, guest},
    walks::{Counting, counted},
};

pub(crate) fn trials() -> Vec<Trial> {
    if guest().is_none() {
        // A machine at hand may refuse fentry, and need not be watched by DAMON.
        return Vec::new();
    }
    let damon = || {
        let missing = !Path::new(ADMIN).exists();
        missing.then(|| "no DAMON (CONFIG_DAMON_SYSFS)".to_owned())
    };
    let hugetlb = damon().or_else(|| need::hugetlb(PMD, LENGTH / PMD));
    [("damon::base_pages", damon(), base as fn() -> _), ("damon::hugetlb", hugetlb, huge)]
        .map(|(name, lack, test)| {
            Trial::test(name, test)
                .with_ignored_flag(lack.is_some())
                .with_kind(lack.unwrap_or_default())
        })
        .into()
}

const ADMIN: &str = "/sys/kernel/mm/damon/admin";
/// As few as DAMON accepts (`damon_set_attrs`).
const REGIONS: usize = 3;
/// What a PMD entry maps is a region, and beside it there is none: regions that touch each other may become one.
const LENGTH: usize = (2 * REGIONS - 1) * PMD;
/// So long DAMON looks, at an interval of 5 ms.
const TIME: Duration = Duration::from_secs(1);

fn base() -> Result<(), Failed> {
    let area = Area::base(LENGTH)?;
    exact(&area, ("generic", "pte"), ("hugetlb", "pmd"))
}

fn huge() -> Result<(), Failed> {
    let area = Area::hugetlb(LENGTH, PMD)?.ok_or("the pool is empty")?;
    exact(&area, ("hugetlb", "pmd"), ("generic", "pmd"))
}

/// Each interval is a call for each region, of one leaf, on one path.
fn exact(area: &Area, here: (&str, &str), elsewhere: (&str, &str)) -> Result<(), Failed> {
    area.write(0..LENGTH);
    let pid = std::process::id().to_string();
    let counting =
        Counting::begin(&["-p", &pid, "--walker", "damon_prepare", "--walker", "damon_check"])?;
    let start = area.range().start;
    let region = |number: usize| {
        let start = start + (2 * number * PMD) as u64;
        start..start + PMD as u64
    };
    let damon = Damon::begin(&pid, &(0..REGIONS).map(region).collect::<Vec<_>>())?;
    thread::sleep(TIME);
    drop(damon);
    let report = counting.end()?;
    let of = |walker, (path, level)| counted(&report, walker, path, level);
    let (prepared, checked) = (of("damon_prepare", here), of("damon_check", here));
    for (name, (calls, leaves)) in [("prepared", prepared), ("checked", checked)] {
        ensure(calls > 0 && calls % REGIONS as u64 == 0 && leaves == calls, || {
            format!("{name}: {calls} calls, {leaves} leaves, of {REGIONS} regions")
        })?;
    }
    // It ends after it has checked, or between the two.
    let open = prepared.0.checked_sub(checked.0);
    ensure(open.is_some_and(|open| open == 0 || open == REGIONS as u64), || {
        format!("{prepared:?} calls and leaves prepared, {checked:?} checked")
    })?;
    for walker in ["damon_prepare", "damon_check"] {
        let found = of(walker, elsewhere);
        ensure(found == (0, 0), || format!("{walker} on the other path: {found:?}"))?;
    }
    Ok(())
}

/// A process that DAMON watches; until this is dropped.
struct Damon;

impl Damon {
    /// Watches these regions, and no others (`Documentation/admin-guide/mm/damon/usage.rst`).
    fn begin(pid: &str, regions: &[Range<u64>]) -> io::Result<Self> {
        // Where the kernel watches all of its memory by default, nobody else may use DAMON.
        let all = Path::new("/sys/module/damon_stat/parameters/enabled");
        if all.exists() {
            fs::write(all, "N")?;
        }
        let write = |file: &str, text: &str| fs::write(format!("{ADMIN}/kdamonds/{file}"), text);
        write("nr_kdamonds", "1")?;
        write("0/contexts/nr_contexts", "1")?;
        let context = |file: &str, text: &str| write(&format!("0/contexts/0/{file}"), text);
        context("operations", "fvaddr")?;
        // At twice as many regions as there are, and more, it would cut them.
        let most = (2 * regions.len() - 1).to_string();
        context("monitoring_attrs/nr_regions/max", &most)?;
        context("monitoring_attrs/nr_regions/min", &regions.len().to_string())?;
        context("targets/nr_targets", "1")?;
        context("targets/0/pid_target", pid)?;
        context("targets/0/regions/nr_regions", &regions.len().to_string())?;
        for (number, region) in regions.iter().enumerate() {
            let region_file = |end: &str| format!("targets/0/regions/{number}/{end}");
            context(&region_file("start"), &region.start.to_string())?;
            context(&region_file("end"), &region.end.to_string())?;
        }
        write("0/state", "on")?;
        Ok(Self)
    }
}

impl Drop for Damon {
    fn drop(&mut self) {
        let kdamonds = format!("{ADMIN}/kdamonds");
        // Nobody is there to be told.
        let _ = fs::write(format!("{kdamonds}/0/state"), "off");
        let _ = fs::write(format!("{kdamonds}/nr_kdamonds"), "0");
    }
}
