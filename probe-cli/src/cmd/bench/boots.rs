//! Measures another kernel: a guest for each run, each of them a little different where that should not matter.

use std::{
    fs, iter,
    num::NonZero,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;
use probe_lab::{Accelerator, AddedFile, Chosen, CopiedFile, Input, Lab, Machine, Streams};

use super::Args;
use crate::{
    bench::results::Results,
    cmd::guest::{accelerator, count_instructions, failed, lab},
    escape::escape,
    exit::Failure,
};

/// The file in the guest.
const FILE: &str = "/root/results.json";

/// Boots as often as is wanted, and puts the runs together.
pub(super) fn measure(args: &Args, kernel: &str) -> anyhow::Result<Results> {
    let (lab, kernel) = lab(kernel, args.guests.qemu.clone())?;
    let accelerator = accelerator(&lab, &kernel, args.guests.deterministic)?;
    let bar = super::bar();
    bar.set_length(args.much.runs.into());
    let guests = Boots { args, lab: &lab, kernel: &kernel, accelerator, bar: &bar };
    let all = guests.all();
    bar.finish_and_clear();
    together(all?)
}

struct Boots<'a> {
    args: &'a Args,
    lab: &'a Lab,
    kernel: &'a Chosen,
    accelerator: Accelerator,
    bar: &'a ProgressBar,
}

impl Boots<'_> {
    /// Boots all, side by side where only instructions are counted.
    fn all(&self) -> anyhow::Result<Vec<Results>> {
        let side_by_side = if self.args.guests.deterministic {
            thread::available_parallelism().map_or(1, NonZero::get)
        } else {
            1
        };
        let next = AtomicU32::new(0);
        let work = || {
            let numbers = iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
            let numbers = numbers.take_while(|&number| number < self.args.much.runs);
            numbers
                .map(|number| Ok((number, self.boot(number)?)))
                .collect::<anyhow::Result<Vec<_>>>()
        };
        let done = thread::scope(|scope| {
            let threads: Vec<_> = (0..side_by_side).map(|_| scope.spawn(work)).collect();
            let ended = threads.into_iter().map(|thread| match thread.join() {
                Ok(done) => done,
                Err(_) => bail!("a thread that boots guests panicked"),
            });
            ended.collect::<anyhow::Result<Vec<_>>>()
        })?;
        let mut all: Vec<_> = done.into_iter().flatten().collect();
        all.sort_by_key(|(number, _)| *number);
        Ok(all.into_iter().map(|(_, results)| results).collect())
    }

    fn boot(&self, number: u32) -> anyhow::Result<Results> {
        let folder = tempfile::tempdir().context("cannot make a folder for a guest's files")?;
        let machine = self.machine(number, folder.path())?;
        let (mut said, mut error) = (Vec::new(), Vec::new());
        let streams = Streams { input: Input::None, stdout: &mut said, stderr: &mut error };
        let exit = self.lab.boot(&machine, streams).map_err(failed)?;
        let said = String::from_utf8_lossy(&error);
        // Its own sentence, without its own name.
        let said = said.trim().lines().last().unwrap_or_default();
        let said = escape(said.strip_prefix("walkprobe: ").unwrap_or(said).as_bytes());
        match exit.status {
            0 if exit.missing.is_empty() => {}
            0 => bail!("{}", exit.missing.join("; ")),
            4 => return Err(Failure::Impossible(format!("in the guest: {said}")).into()),
            status => bail!("bench in the guest ended with {status}: {said}"),
        }
        let text = fs::read_to_string(folder.path().join("results.json"))
            .context("cannot read what came out of a guest")?;
        self.bar.inc(1);
        serde_json::from_str(&text).context("what came out of a guest is no file of bench")
    }

    fn machine(&self, number: u32, folder: &Path) -> anyhow::Result<Machine> {
        let args = self.args;
        let much = args.much;
        let words = format!(
            "walkprobe bench --suite {} --samples {} --rounds {} --warm-up {} --blocks {} --runs 1 -o {FILE}",
            args.suite.name, much.samples, much.rounds, much.warm_up, much.size.blocks
        );
        let slow = args.slow.iter().map(|(name, rounds)| format!("--slow={name}={rounds}"));
        let command = words.split(' ').map(str::to_owned).chain(slow).collect();
        let log = folder.join("kernel.log");
        let mut machine = self.lab.machine(self.kernel, self.accelerator, log, command);
        machine.memory.clone_from(&args.guests.memory);
        machine.timeout = Some(args.guests.timeout);
        let unrelated = folder.join("unrelated");
        fs::write(&unrelated, vec![b'x'; file_length(number)])
            .context("cannot write a guest's file")?;
        machine.append = format!("{} {}", args.guests.append, word(number));
        machine.add.push(AddedFile { source: unrelated, destination: "/root/unrelated".into() });
        machine
            .copy_out
            .push(CopiedFile { source: FILE.to_owned(), destination: folder.join("results.json") });
        if args.guests.deterministic {
            count_instructions(&mut machine);
        }
        Ok(machine)
    }
}

/// A word of the kernel's command line that nobody reads, of another length in each boot of a few hundred.
fn word(number: u32) -> String {
    format!("unrelated={}", "x".repeat(1 + 37 * number as usize % 509))
}

/// The length of a file that nobody reads: another number of pages in each boot.
fn file_length(number: u32) -> usize {
    5000 * (1 + number as usize)
}

/// The runs of guests that are all the same kernel, and machine.
fn together(mut all: Vec<Results>) -> anyhow::Result<Results> {
    let mut results = all.pop().context("no guest was booted")?;
    let of_others: Vec<_> = all.iter_mut().flat_map(|other| other.runs.drain(..)).collect();
    for other in &all {
        let same = other.kernel == results.kernel && other.services == results.services;
        if !same || other.clock != results.clock {
            bail!("two boots of this kernel do not serve walkers by the same functions");
        }
    }
    results.runs.splice(0..0, of_others);
    Ok(results)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{file_length, word};

    #[test]
    fn each_boot_is_another_one() {
        let words: BTreeSet<_> = (0..500).map(word).collect();
        assert_eq!(words.len(), 500);
        assert!(words.iter().all(|word| word.len() < 600));
        assert_eq!((0..500).map(file_length).collect::<BTreeSet<_>>().len(), 500);
    }
}
