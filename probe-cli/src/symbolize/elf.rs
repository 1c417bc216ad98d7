//! blazesym, on a thread of its own.
//!
//! It cannot move to another thread, as whoever reads events does. And what it reads are files that anybody
//! made: one at which it panics costs that one name.

use std::{
    io,
    path::PathBuf,
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
};

use blazesym::symbolize::{
    Input, Symbolized, Symbolizer,
    source::{Elf, Source},
};

use super::name;

/// Where in which file.
type Question = (PathBuf, u64);
/// A function, and how far in.
type Answer = Option<(String, u64)>;

/// Asks a thread that reads the symbols of files. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Reader {
    questions: SyncSender<Question>,
    answers: Receiver<Answer>,
}

impl Reader {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(super) fn start() -> io::Result<Self> {
        let (questions, asked) = mpsc::sync_channel(1);
        let (reply, answers) = mpsc::sync_channel(1);
        thread::Builder::new().name("symbols".to_owned()).spawn(move || answer(&asked, &reply))?;
        Ok(Self { questions, answers })
    }

    /// The function at an offset of a file; `Err` when the thread has come to harm.
    pub(super) fn ask(&self, path: PathBuf, offset: u64) -> Result<Answer, ()> {
        self.questions.send((path, offset)).map_err(|_| ())?;
        self.answers.recv().map_err(|_| ())
    }
}

fn answer(asked: &Receiver<Question>, reply: &SyncSender<Answer>) {
    // The paths are those of open files, which do not become other files.
    let symbolizer = Symbolizer::builder().enable_auto_reload(false).build();
    for (path, offset) in asked {
        if reply.send(function(&symbolizer, path, offset)).is_err() {
            return;
        }
    }
}

fn function(symbolizer: &Symbolizer, path: PathBuf, offset: u64) -> Answer {
    let mut elf = Elf::new(path);
    elf.debug_syms = false;
    match symbolizer.symbolize_single(&Source::Elf(elf), Input::FileOffset(offset)) {
        Ok(Symbolized::Sym(symbol)) => Some((name(&symbol.name), symbol.offset as u64)),
        Ok(Symbolized::Unknown(reason)) => {
            log::debug!("no symbol at {offset:#x}: {reason}");
            None
        }
        Err(error) => {
            log::debug!("no symbols: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reader;

    #[test]
    fn what_is_no_program_has_no_functions() {
        let reader = Reader::start().unwrap();
        assert_eq!(reader.ask("/proc/self/status".into(), 0), Ok(None));
        assert_eq!(reader.ask("/nowhere".into(), 0), Ok(None));
        assert_eq!(reader.ask("/proc/self/exe".into(), u64::MAX), Ok(None));
    }
}
