//! `STEP[:N]` as people write it.

use std::{fmt, num::IntErrorKind, str::FromStr};

use super::catalogue::{Step, catalogue};

/// A step, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The step.
    pub step: &'static Step,
    /// How often: from 1 to the step's [`Step::most`].
    pub count: usize,
}

/// Why a text is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no such step.
    #[error("there is no step `{name}`; steps are: {}", names())]
    UnknownStep {
        /// What was written.
        name: String,
    },
    /// The number is none.
    #[error("`{text}` in `{name}:{text}` is not a whole number")]
    NotANumber {
        /// The step.
        name: &'static str,
        /// What was written.
        text: String,
    },
    /// The number is too small or too large.
    #[error("{name} takes a number from 1 to {most}, not {text}")]
    OutOfRange {
        /// The step.
        name: &'static str,
        /// What was written.
        text: String,
        /// The largest number.
        most: usize,
    },
}

fn names() -> String {
    catalogue().iter().map(|step| step.name).collect::<Vec<_>>().join(", ")
}

impl FromStr for Request {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        let (name, count) = text.split_once(':').map_or((text, "1"), |(name, count)| (name, count));
        let step = catalogue()
            .iter()
            .find(|step| step.name == name)
            .ok_or_else(|| RequestError::UnknownStep { name: name.to_owned() })?;
        let out_of_range = || RequestError::OutOfRange {
            name: step.name,
            text: count.to_owned(),
            most: step.most,
        };
        let count = match count.parse::<usize>() {
            Ok(count) if (1..=step.most).contains(&count) => count,
            Ok(_) => return Err(out_of_range()),
            Err(error) if *error.kind() == IntErrorKind::PosOverflow => return Err(out_of_range()),
            Err(_) => {
                return Err(RequestError::NotANumber { name: step.name, text: count.to_owned() });
            }
        };
        Ok(Self { step, count })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.step.name, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, catalogue};

    fn parsed(text: &str) -> String {
        text.parse::<Request>()
            .map_or_else(|error| format!("error: {error}"), |request| request.to_string())
    }

    #[test]
    fn a_request_is_a_step_and_a_number() {
        assert_eq!(parsed("thp:4"), "thp:4");
        assert_eq!(parsed("hugetlb-2m"), "hugetlb-2m:1");
        for step in catalogue() {
            let most = format!("{}:{}", step.name, step.most);
            assert_eq!(parsed(&most), most);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(parsed("thp:0"), "error: thp takes a number from 1 to 16384, not 0");
        assert_eq!(
            parsed("thp:99999999999999999999999"),
            "error: thp takes a number from 1 to 16384, not 99999999999999999999999"
        );
        assert_eq!(parsed("thp:-1"), "error: `-1` in `thp:-1` is not a whole number");
        assert_eq!(parsed("thp:"), "error: `` in `thp:` is not a whole number");
        assert_eq!(parsed("thp:1:2"), "error: `1:2` in `thp:1:2` is not a whole number");
        assert!(parsed("tph:1").starts_with("error: there is no step `tph`; steps are: base, "));
        assert!(parsed("").starts_with("error: there is no step ``"));
    }
}
