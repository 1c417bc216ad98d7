//! The tracks of processes and threads that have been told of.

use std::collections::HashMap;

/// Tracks that are remembered. A trace can name threads without end; when there are so many, all are forgotten, and
/// told again.
const MOST: usize = 1 << 16;

/// What their names may take together, in bytes.
const NAMES: usize = 16 << 20;

/// A process, or a thread of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// The process.
    Process(u32),
    /// A thread: process and thread.
    Thread(u32, u32),
    /// What happened to a process, whoever did it.
    Changes(u32),
    /// A number of a process that changes with time.
    Counter(u32, &'static str),
    /// How many operations were lost.
    Lost,
    /// What concerns everything.
    Notes,
}

/// Tracks and their numbers.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    known: HashMap<Whose, Track>,
    names: usize,
    last: u64,
}

#[derive(Debug)]
struct Track {
    number: u64,
    name: String,
}

impl Tracks {
    /// The number of a track, from 1 on; and whether it, or its name, has to be told first.
    pub(super) fn number(&mut self, whose: Whose, name: &str) -> (u64, bool) {
        if let Some(track) = self.known.get_mut(&whose) {
            let is_new = !name.is_empty() && track.name != name;
            if is_new {
                self.names += name.len();
                name.clone_into(&mut track.name);
            }
            return (track.number, is_new);
        }
        if self.known.len() == MOST || self.names > NAMES {
            self.known.clear();
            self.names = 0;
        }
        self.names += name.len();
        self.last += 1;
        self.known.insert(whose, Track { number: self.last, name: name.to_owned() });
        (self.last, true)
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Tracks, Whose};

    #[test]
    fn a_name_is_told_once_and_when_it_changes() {
        let mut tracks = Tracks::default();
        assert_eq!(tracks.number(Whose::Thread(1, 2), "a"), (1, true));
        assert_eq!(tracks.number(Whose::Thread(1, 2), "a"), (1, false));
        assert_eq!(tracks.number(Whose::Thread(1, 2), "b"), (1, true));
        // A name that nobody knows is no other name.
        assert_eq!(tracks.number(Whose::Thread(1, 2), ""), (1, false));
        assert_eq!(tracks.number(Whose::Process(1), "b"), (2, true));
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let mut tracks = Tracks::default();
        for pid in 0..=u32::try_from(MOST).unwrap() {
            tracks.number(Whose::Process(pid), "");
        }
        assert_eq!(tracks.known.len(), 1);
        assert_eq!(tracks.number(Whose::Process(0), ""), (MOST as u64 + 2, true));
    }
}
