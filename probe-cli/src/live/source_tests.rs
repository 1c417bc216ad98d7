use std::process::Command;

use super::of_one_program;
use crate::{kernel::program::Program, maps::source::MapError};

#[test]
fn an_answer_counts_only_for_the_program_that_was_asked_for() {
    let own = std::process::id();
    let now = Program::of(own).unwrap();
    let gone = || Err::<(), _>(MapError::Exited { pid: own });
    assert!(of_one_program(own, &now, Ok(())).is_ok());
    assert!(matches!(of_one_program(own, &now, gone()), Err(MapError::Executed { .. })));
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    // It may not have begun yet.
    let other = std::iter::repeat_with(|| Program::of(child.id())).find_map(Result::ok).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let ended = of_one_program(child.id(), &other, Ok(()));
    assert!(matches!(ended, Err(MapError::Exited { .. })));
}
