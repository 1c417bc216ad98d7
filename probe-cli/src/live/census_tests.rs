//! The turn over all processes, on a machine that is made up.

use super::{Census, LIMIT, Machine, Outcome, ROUND, STEP};
use crate::{
    census::{Count, Found},
    model::sizes::Sizes,
};

/// A machine whose time passes by reading only.
struct Made {
    now: u64,
    processes: u32,
    /// What reading a process takes.
    takes: u64,
    read: Vec<u32>,
}

impl Machine for Made {
    fn now(&self) -> u64 {
        self.now
    }

    fn processes(&mut self) -> Vec<u32> {
        (0..self.processes).collect()
    }

    fn count(&mut self, pid: u32) -> Outcome {
        self.now += self.takes;
        self.read.push(pid);
        match pid {
            0 => Outcome::Nothing,
            1 => Outcome::Refused,
            _ => Outcome::Count(Count {
                time: self.now,
                pid,
                comm: String::new(),
                sizes: Sizes::default(),
            }),
        }
    }

    fn is_counted(&mut self, pid: u32) -> bool {
        pid > 0
    }
}

fn made(processes: u32, takes: u64) -> Made {
    Made { now: 1_000_000_000, processes, takes, read: Vec::new() }
}

#[test]
fn it_takes_its_share_and_no_more() {
    let mut machine = made(100, 3_000_000);
    let mut census = Census::default();
    let start = machine.now;
    for _ in 0..400 {
        let _ = census.step(&mut machine);
        machine.now += 250_000_000;
    }
    let spent = machine.read.len() as u64 * machine.takes;
    let share = (machine.now - start) / spent;
    assert!((19..=21).contains(&share), "{share}");
    // In turn: none is read much more often than another.
    let times = |pid| machine.read.iter().filter(|&&read| read == pid).count();
    assert!(times(2).abs_diff(times(99)) <= 1);
}

#[test]
fn a_long_reading_is_followed_by_a_long_rest() {
    let mut machine = made(5, 1_000_000_000);
    let mut census = Census::default();
    for _ in 0..8 {
        let _ = census.step(&mut machine);
        machine.now += 250_000_000;
    }
    assert_eq!(machine.read.len(), 1);
}

#[test]
fn few_processes_are_not_read_all_the_time() {
    let mut machine = made(3, 1000);
    let mut census = Census::default();
    let found = census.step(&mut machine).unwrap();
    assert_eq!((found.counts.len(), found.left_out), (1, 1));
    machine.now += ROUND / 2;
    assert_eq!(census.step(&mut machine), None);
    machine.now += ROUND;
    machine.processes = 2;
    let found = census.step(&mut machine).unwrap();
    assert_eq!(found, Found { counts: vec![], gone: vec![2], left_out: 1 });
}

#[test]
fn new_processes_need_not_wait_for_a_round() {
    let mut machine = made(1000, 12_000_000);
    let mut census = Census::default();
    let step = |machine: &mut Made, census: &mut Census| {
        let _ = census.step(machine);
        machine.now += 250_000_000;
    };
    for _ in 0..20 {
        step(&mut machine, &mut census);
    }
    assert!(machine.read.len() < 100);
    machine.processes = 1001;
    for _ in 0..20 {
        step(&mut machine, &mut census);
    }
    assert!(machine.read.contains(&1000) && machine.read.len() < 100);
}

#[test]
fn the_old_are_read_however_many_new_ones_there_are() {
    let mut machine = made(10, 12_000_000);
    let mut census = Census::default();
    for _ in 0..100 {
        let _ = census.step(&mut machine);
        machine.now += 250_000_000;
        machine.processes += 10;
    }
    assert!((2..10).all(|pid| machine.read.contains(&pid)));
}

#[test]
fn what_is_too_much_is_left_out() {
    let limit = u32::try_from(LIMIT).unwrap();
    let mut machine = made(limit + 12, 1);
    let mut census = Census::default();
    let mut last = Found::default();
    for _ in 0..4 {
        if let Some(found) = census.step(&mut machine) {
            last = found;
        }
        machine.now += STEP * 100;
    }
    assert_eq!(last.left_out, 10 + 1);
    assert_eq!(census.known.len(), LIMIT);
}
