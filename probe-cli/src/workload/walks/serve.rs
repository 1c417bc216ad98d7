//! Spaces and walkers on request: one process for a whole suite, so that it is always the same one that is walked.
//!
//! A request is a line, its answer a line of JSON: `space NAME BLOCKS` builds a space in the place of the one before
//! (`none` for no space), `drive WALKER ROUNDS` drives a walker over it.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

use super::{
    super::memory::Ground,
    DRIVERS, Driver, SPACES, Space, WalksError,
    space::{self, Place},
    still::Still,
};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The space is there: the first address of each of its areas, and one past the last.
    Built(Vec<(u64, u64)>),
    /// The walker was driven.
    Driven(Driven),
    /// It cannot be done here, and why.
    Refused(String),
}

/// What driving a walker came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driven {
    /// The time of all rounds together, in ns.
    pub ns: u64,
    /// The walkers whose functions are called for it, itself among them.
    pub walkers: Vec<String>,
}

/// Answers requests until they end.
///
/// # Errors
/// When a request is none, or nobody takes the answer.
pub fn serve(requests: impl BufRead, answers: &mut impl Write) -> Result<(), WalksError> {
    let _still = Still::begin();
    let mut subject = Subject { ground: Ground::new(), land: space::Land::default() };
    for line in requests.lines() {
        let answer = subject.answer(&line?)?;
        serde_json::to_writer(&mut *answers, &answer).map_err(std::io::Error::from)?;
        writeln!(answers)?;
        answers.flush()?;
    }
    subject.clear()
}

/// What there is of a space.
struct Subject {
    ground: Ground,
    land: space::Land,
}

impl Subject {
    fn answer(&mut self, line: &str) -> Result<Answer, WalksError> {
        let no_request = || WalksError::Request(line.to_owned());
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            ["space", "none", _] => {
                self.clear()?;
                Ok(Answer::Built(Vec::new()))
            }
            ["space", name, blocks] => {
                let space = SPACES.iter().find(|space| space.name == name);
                self.build(space.ok_or_else(no_request)?, number(blocks, line)?)
            }
            ["drive", walker, rounds] => {
                let driver = DRIVERS.iter().find(|driver| driver.walker == walker);
                Ok(self.drive(driver.ok_or_else(no_request)?, number(rounds, line)?))
            }
            _ => Err(no_request()),
        }
    }

    fn build(&mut self, space: &Space, blocks: usize) -> Result<Answer, WalksError> {
        self.clear()?;
        match space.build(&self.ground, blocks) {
            Ok(land) => {
                self.land = land;
                let areas = self.land.places.iter().map(Place::range);
                Ok(Answer::Built(areas.map(|at| (at.start as u64, at.end as u64)).collect()))
            }
            Err(error) => Ok(Answer::Refused(error.to_string())),
        }
    }

    fn drive(&self, driver: &Driver, rounds: u64) -> Answer {
        let outcome = driver.drive(&self.land, &self.ground, rounds);
        if let Some(reason) = outcome.skipped {
            return Answer::Refused(reason);
        }
        let others = outcome.expected.iter().map(|row| row.walker);
        let mut walkers: Vec<String> = others.chain([driver.walker]).map(str::to_owned).collect();
        walkers.sort_unstable();
        walkers.dedup();
        Answer::Driven(Driven { ns: outcome.ns, walkers })
    }

    fn clear(&mut self) -> Result<(), WalksError> {
        Ok(std::mem::take(&mut self.land).retire(&mut self.ground)?)
    }
}

fn number<T: std::str::FromStr>(word: &str, line: &str) -> Result<T, WalksError> {
    word.parse().map_err(|_| WalksError::Request(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Answer, serve};
    use crate::workload::walks::WalksError;

    fn answers(requests: &str) -> Result<Vec<Answer>, WalksError> {
        let mut out = Vec::new();
        serve(requests.as_bytes(), &mut out)?;
        let text = String::from_utf8(out).unwrap();
        Ok(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    #[test]
    fn spaces_are_built_and_walkers_driven() {
        let answers = answers("space 4k 2\ndrive mincore 3\ndrive guard_install 0\n").unwrap();
        let [Answer::Built(areas), Answer::Driven(mincore), _] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!(areas.iter().map(|(start, end)| end - start).sum::<u64>(), 4 << 20);
        assert!(mincore.ns > 0 && mincore.walkers == ["mincore"], "{mincore:?}");
    }

    #[test]
    fn what_a_space_has_nothing_of_is_refused() {
        let answers = answers("drive mincore 1\n").unwrap();
        assert!(matches!(&answers[..], [Answer::Refused(_)]), "{answers:?}");
    }

    #[test]
    fn what_is_no_request_ends_it() {
        for line in ["space 5k 2\n", "drive nothing 1\n", "drive mincore x\n", "\n"] {
            assert!(matches!(answers(line), Err(WalksError::Request(_))), "{line}");
        }
    }
}
