//! Small loads that do exactly known numbers of kernel operations, for demos, tests and checks.
//!
//! A [`Step`] works on memory of its own, between guards, and reports where it is and which events
//! walkprobe should see there. Nothing here needs eBPF or, but for hugetlb pools, privileges.
//!
//! The numbers are exact because the rest of the kernel is kept away from the memory: NUMA
//! balancing by a memory policy, khugepaged by `MADV_NOHUGEPAGE` (and see [`run`]), and each step's
//! memory is touched by the calling thread only. What can still disturb them is memory pressure
//! (swap, migration), which a machine under test should not have.

mod catalogue;
mod demo;
mod error;
mod expected;
mod machine;
mod memory;
pub mod nodes;
mod report;
mod request;
mod steps;
pub mod storm;
mod sys;
#[cfg(test)]
mod tests;
pub mod walks;

use std::{
    thread,
    time::{Duration, Instant},
};

pub use self::{
    catalogue::{Step, catalogue},
    demo::{COMM, Demo, DemoError},
    error::{StepError, Unavailable},
    expected::{Done, Expected, Span},
    machine::{Machine, Need},
    report::{Outcome, Report, StepReport, write_list},
    request::{Request, RequestError},
};
use self::{memory::Ground, sys::NoNumaBalancing};

/// Does `requests` one after the other, on the calling thread.
///
/// A step that cannot be done does not keep the others from being done. Memory is freed after each
/// step. The addresses of the report are not used twice.
#[must_use]
pub fn run(requests: &[Request]) -> Report {
    let _policy = NoNumaBalancing::begin();
    let mut ground = Ground::new();
    // Before any step, so that it finds nothing of theirs.
    if requests.iter().any(|request| request.step.needs.contains(&Need::Collapse)) {
        let_khugepaged_pass(&mut ground);
    }
    let steps = requests.iter().map(|request| one(request, &mut ground)).collect();
    Report { pid: std::process::id(), steps }
}

fn one(request: &Request, ground: &mut Ground) -> StepReport {
    let Request { step, count } = *request;
    let start = Instant::now();
    let result = step
        .needs
        .iter()
        .try_for_each(|need| need.check(count))
        .map_err(StepError::from)
        .and_then(|()| (step.run)(ground, count));
    let outcome = match result {
        Ok(done) => Outcome::Done(done),
        Err(StepError::Unavailable(missing)) => Outcome::Skipped { reason: missing.to_string() },
        Err(error) => Outcome::Failed { reason: error.to_string() },
    };
    StepReport { name: step.name, count, seconds: start.elapsed().as_secs_f64(), outcome }
}

/// Waits until khugepaged has seen this process, after which it sleeps
/// (`scan_sleep_millisecs`, 10 s by default).
///
/// It wakes at once for the first process that asks for THPs (mm/khugepaged.c,
/// `__khugepaged_enter`), and could then collapse a range just before `MADV_COLLAPSE` does.
/// Where other processes have asked before, it is asleep: then this waits in vain, but not long.
fn let_khugepaged_pass(ground: &mut Ground) {
    const PATIENCE: Duration = Duration::from_millis(100);
    let Some(before) = machine::khugepaged_scans() else {
        return;
    };
    let Ok(bait) = ground.thps(1) else {
        return;
    };
    let start = Instant::now();
    while start.elapsed() < PATIENCE && machine::khugepaged_scans() == Some(before) {
        thread::sleep(Duration::from_millis(1));
    }
    // The counter moves at the end of the list; up to one pass more may follow.
    thread::sleep(Duration::from_millis(5));
    // Its fault must not be counted for an area that gets its addresses; if it cannot be kept, the
    // steps' areas cannot be had either.
    let _ = ground.retire(bait);
}
