//! A storm: random operations on an address space, from several threads, that can be repeated.
//!
//! What each thread does follows from the seed alone, whatever the kernel answers; what comes of it depends
//! on how the threads meet. All of it happens in an [arena](arena::Arena) of addresses that nothing else in the
//! process uses. At a quiet point all threads stand still, no child lives, and the process waits for a word.

mod arena;
mod faults;
mod need;
mod operations;
mod plan;
mod report;
mod sys;
mod table;
mod uffd;

use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
    sync::{Barrier, Mutex, PoisonError},
    thread,
};

use self::{arena::Arena, need::Lacks, plan::Plan};
pub use self::{
    report::{Tally, write_table},
    table::{Operation, table},
};

/// The most threads: the arena has room for as many.
pub const MOST_THREADS: usize = 16;

/// What to do.
#[derive(Clone, Debug)]
pub struct Storm {
    /// What the choices follow from.
    pub seed: u64,
    /// Operations of each thread.
    pub operations: u64,
    /// Threads, at most [`MOST_THREADS`].
    pub threads: usize,
    /// A quiet point after so many operations of each thread; 0 for none.
    pub quiet_every: u64,
    /// Where its file lies, which has no name.
    pub folder: PathBuf,
    /// Also what concerns the whole machine, such as compaction.
    pub whole_machine: bool,
}

/// Why there was no storm, or it ended early.
#[derive(Debug, thiserror::Error)]
pub enum StormError {
    /// The addresses, or the files, could not be had.
    #[error("the storm cannot begin: {0}")]
    Ground(io::Error),
    /// The other side of the pipe is gone.
    #[error("the storm ends at a quiet point: {0}")]
    Pipe(#[from] io::Error),
}

impl Storm {
    /// Does it all. At each quiet point writes `quiet K`, with K from 1 on, and waits for a line before it goes on.
    /// Nothing of it is left behind.
    ///
    /// # Errors
    /// When it cannot begin, or nobody answers at a quiet point.
    pub fn run(
        &self,
        words: &mut impl BufRead,
        answers: &mut impl Write,
    ) -> Result<Tally, StormError> {
        let threads = self.threads.clamp(1, MOST_THREADS);
        let arena = Arena::new(threads, &self.folder).map_err(StormError::Ground)?;
        let lacks = Lacks::find(&arena, self.whole_machine);
        faults::survive().map_err(StormError::Ground)?;
        // The threads and the one that talks: all meet before and after each quiet point.
        let meeting = Barrier::new(threads + 1);
        let total = Mutex::new(Tally::new());
        let quiet_points = self.operations.checked_div(self.quiet_every).unwrap_or(0);
        thread::scope(|scope| {
            for number in 0..threads {
                let (arena, lacks, meeting, total) = (&arena, &lacks, &meeting, &total);
                scope.spawn(move || {
                    let tally = self.thread(number, arena, lacks, meeting);
                    total.lock().unwrap_or_else(PoisonError::into_inner).add(&tally);
                });
            }
            let mut outcome = Ok(());
            for point in 1..=quiet_points {
                meeting.wait();
                // Whoever does not answer is gone: the rest is done without a stop, and told.
                if outcome.is_ok() {
                    outcome = pause(point, words, answers);
                }
                meeting.wait();
            }
            outcome
        })?;
        let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
        total.explain(&lacks);
        Ok(total)
    }

    fn thread(&self, number: usize, arena: &Arena, lacks: &Lacks, meeting: &Barrier) -> Tally {
        let mut plan = Plan::new(self.seed, number);
        let mut tally = Tally::new();
        for done in 1..=self.operations {
            let (index, mut dice) = plan.next_operation();
            let operation = &table()[index];
            if lacks.of(index).is_some() {
                tally.skipped(index);
            } else {
                let mut scene = arena.scene(number, &mut dice);
                let outcome = (operation.run)(&mut scene);
                log::trace!("storm {number}.{done}: {}: {outcome:?}", operation.name);
                tally.did(index, &outcome);
            }
            if self.quiet_every > 0 && done.is_multiple_of(self.quiet_every) {
                meeting.wait();
                meeting.wait();
            }
        }
        tally
    }
}

/// Says that all is quiet, and waits for a line.
fn pause(point: u64, words: &mut impl BufRead, answers: &mut impl Write) -> Result<(), StormError> {
    writeln!(answers, "quiet {point}")?;
    answers.flush()?;
    let mut line = String::with_capacity(64);
    match words.read_line(&mut line)? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Storm, plan::Plan, table};

    fn storm(seed: u64) -> Storm {
        Storm {
            seed,
            operations: 300,
            threads: 3,
            quiet_every: 100,
            folder: std::env::temp_dir(),
            whole_machine: false,
        }
    }

    #[test]
    fn it_stops_at_quiet_points_and_ends() {
        let mut said = Vec::new();
        let tally = storm(7).run(&mut &b"go\ngo\ngo\n"[..], &mut said).unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), "quiet 1\nquiet 2\nquiet 3\n");
        assert_eq!(tally.total(), 900);
        assert!(tally.done() > 300, "{tally:?}");
    }

    #[test]
    fn nobody_there_ends_it() {
        assert!(storm(7).run(&mut &b"go\n"[..], &mut Vec::new()).is_err());
    }

    #[test]
    fn a_seed_is_the_same_operations() {
        let names = |seed, thread| {
            let mut plan = Plan::new(seed, thread);
            (0..6).map(|_| table()[plan.next_operation().0].name).collect::<Vec<_>>()
        };
        assert_eq!(names(1, 0), names(1, 0));
        assert_ne!(names(1, 0), names(1, 1));
        assert_ne!(names(1, 0), names(2, 0));
    }
}
