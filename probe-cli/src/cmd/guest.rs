//! What the commands that boot guests have in common.

use std::{path::PathBuf, sync::Arc};

use probe_lab::{
    Accelerator, Chosen, Error, Lab, Machine, check_static,
    fetch::{Cache, FetchError, Progress},
};

use crate::{bench::measure::CLOCK_VARIABLE, exit::Failure, output};

/// The exit status when no guest ran, or not all came out of it; as of [`Error::exit_status`].
pub(super) const TROUBLE: u8 = 125;

/// Finds, or fetches, what the guests of a kernel are made of; this program is their init.
pub(super) fn lab(kernel: &str, qemu: Option<PathBuf>) -> anyhow::Result<(Lab, Chosen)> {
    let program = PathBuf::from("/proc/self/exe");
    check_static(&program).map_err(failed)?;
    let cache = Cache::open(Arc::new(Say)).map_err(not_found)?;
    let kernel = Chosen::find(&cache, kernel).map_err(not_found)?;
    let lab = Lab::open(cache, program, qemu).map_err(not_found)?;
    Ok((lab, kernel))
}

/// What executes the instructions of a guest with this kernel.
pub(super) fn accelerator(
    lab: &Lab,
    kernel: &Chosen,
    deterministic: bool,
) -> anyhow::Result<Accelerator> {
    if deterministic {
        return Ok(Accelerator::Tcg);
    }
    lab.accelerator(kernel).map_err(failed)
}

/// Makes a guest count instructions, and tells walkprobe there that it does.
pub(super) fn count_instructions(machine: &mut Machine) {
    machine.make_deterministic();
    machine.environment.push((CLOCK_VARIABLE.to_owned(), "instructions".to_owned()));
}

/// A size as QEMU spells it.
pub(super) fn memory(text: &str) -> Result<String, String> {
    let digits = text.strip_suffix(['M', 'G', 'T']).unwrap_or_default();
    if digits.parse::<u32>().is_ok_and(|size| size > 0) {
        return Ok(text.to_owned());
    }
    Err("a size with its unit is wanted, such as 512M or 2G".to_owned())
}

fn not_found(error: FetchError) -> anyhow::Error {
    let message = format!("{:#}", anyhow::Error::from(error));
    Failure::Guest { message, status: TROUBLE }.into()
}

/// An error of a guest, with its exit status.
pub(super) fn failed(error: Error) -> anyhow::Error {
    match error {
        Error::Output(error) => {
            Failure::Output { target: "standard output".to_owned(), error }.into()
        }
        error => {
            let status = error.exit_status();
            Failure::Guest { message: format!("{:#}", anyhow::Error::from(error)), status }.into()
        }
    }
}

/// Tells of what is fetched.
#[derive(Debug)]
struct Say;

impl Progress for Say {
    fn begin(&self, what: &str) -> Box<dyn FnOnce(bool)> {
        output::say(&format!("{what} ..."));
        Box::new(|_| {})
    }

    fn note(&self, text: &str) {
        output::say(text);
    }
}

#[cfg(test)]
mod tests {
    use super::memory;

    #[test]
    fn sizes_of_memory_are_checked() {
        assert!(memory("512M").is_ok() && memory("4G").is_ok());
        for text in ["", "2", "G", "0G", "-1G", "2G,slots=3", "2 G"] {
            assert!(memory(text).is_err(), "{text}");
        }
    }
}
