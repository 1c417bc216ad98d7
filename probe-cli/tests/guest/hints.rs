//! NUMA hints: PTEs without access in a VMA that may be read, which the kernel leaves to find out who
//! uses a page from where.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use walkprobe::model::leaf::LeafKind;

use crate::{
    compare::{Bytes, bytes, checked},
    leaves::scan,
    memory::PAGE,
    memory::{Area, PMD},
    need, nodes,
    run::ensure,
};

const SWITCH: &str = "/proc/sys/kernel/numa_balancing";
/// Hints come within seconds of the CPU time of a process.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn trials() -> Vec<Trial> {
    [need::trial("numa_hints", need::hints(), numa_hints)].into()
}

/// NUMA balancing that is switched on until this is dropped; the guest boots without.
struct Balancing;

impl Balancing {
    fn on() -> Result<Self, Failed> {
        fs::write(SWITCH, "1")?;
        Ok(Self)
    }
}

impl Drop for Balancing {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, "0");
    }
}

fn numa_hints() -> Result<(), Failed> {
    let area = Area::base(4 * PMD)?;
    area.write(0..4 * PMD);
    nodes::move_to(&area, PAGE, 1)?;
    wait_for_hints(&area, |kinds| kinds.keys().any(|(kind, _)| *kind == LeafKind::ProtNone))?;
    // Nothing makes hints any more, and nothing touches the pages that have one.
    let found = checked(&area)?;
    let hints: u64 =
        found.iter().filter(|((kind, _), _)| *kind == LeafKind::ProtNone).map(|(_, b)| b).sum();
    ensure(hints > 0, || format!("the hints are gone: {found:?}"))?;
    let mapped: u64 = found.iter().filter(|((kind, _), _)| kind.is_mapped()).map(|(_, b)| b).sum();
    ensure(mapped == 4 * PMD as u64, || format!("{found:?}"))
}

/// Waits until each page that an area maps has a hint.
pub(crate) fn wait_for_all(area: &Area) -> Result<(), Failed> {
    wait_for_hints(area, |kinds| {
        kinds.keys().all(|(kind, _)| matches!(kind, LeafKind::ProtNone | LeafKind::Hole))
    })
}

/// A thread that does nothing but run lets the kernel look at the address space again and again
/// (kernel/sched/fair.c, `task_tick_numa`, `task_numa_work`).
fn wait_for_hints(area: &Area, enough: impl Fn(&Bytes) -> bool) -> Result<(), Failed> {
    let stop = AtomicBool::new(false);
    let _on = Balancing::on()?;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let end = Instant::now() + PATIENCE;
        let found = loop {
            thread::sleep(Duration::from_millis(100));
            let found = scan(area).map(|runs| bytes(&runs));
            match &found {
                Ok(kinds) if !enough(kinds) => {}
                _ => break found,
            }
            if Instant::now() > end {
                break Err("no hint came".into());
            }
        };
        stop.store(true, Ordering::Relaxed);
        found.map(drop)
    })
}
