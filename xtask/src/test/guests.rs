//! The guest tests: the same program on each kernel, and at last on this machine's own.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use probe_lab::{Accelerator, AddedFile, Chosen, Error, Input, Streams};

use super::host;
use super::tally::{Counted, Tally};
use crate::context::Context;
use crate::guest::{self, Lab};
use crate::{build, say};

/// The path of the tests in a guest.
const TESTS: &str = "/bin/guest-tests";
/// Tells the tests which `walkprobe` to test.
const BINARY_VARIABLE: &str = "WALKPROBE_BIN";
/// Tells the tests on which kernel series they run; unset outside of guests.
const GUEST_VARIABLE: &str = "WALKPROBE_GUEST";
/// Tells the tests which seeds to try; what is set here is set in the guests.
const SEEDS_VARIABLE: &str = "WALKPROBE_SEEDS";
/// Tells the tests that the kernel was told to use so many levels of page tables; unset elsewhere.
const LEVELS_VARIABLE: &str = "WALKPROBE_LEVELS";
/// The tests of the page-table scan; they run a second time on page tables of four levels.
const SCAN_TESTS: &str = "leaves";
/// Tests of what depends on the kernel only by what it has or has not: kernels that are neither the first nor the last leave them
/// out, unless tests are chosen.
const AT_THE_ENDS: [&str; 7] =
    ["ends::", "export::", "follow::", "input::", "names::", "recording::", "terminal::"];
/// For one kernel with the tests that are run by default; more seeds take more.
const TIMEOUT: Duration = Duration::from_mins(40);
/// Two guests share two processors, so silence means less.
const HANG_AFTER: Duration = Duration::from_mins(3);
/// How often a guest is booted whose kernel panics. Emulated kernels do, rarely, in what no test is about; why is not known (seen on
/// 6.18: flags of the processor with bits that it does not have). What is wrong each time stays a failure.
const BOOTS: u32 = 2;
/// Guests that run at the same time.
const AT_ONCE: usize = 2;

/// Runs the tests on each kernel, then, when asked to and root, natively.
pub(super) fn run(
    cx: &Context,
    tally: &Tally,
    kernels: &[&str],
    native: bool,
    arguments: &[String],
) -> Result<()> {
    let prepared = say::plain_step("guest tests: building", || {
        Ok((Lab::open(cx)?, build::harness(cx, "--test", "guest")?))
    });
    let (lab, tests) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            tally.fail(format!("guest tests: {error:#}"));
            return Ok(());
        }
    };
    let chosen: Vec<Chosen> = kernels
        .iter()
        .filter_map(|series| match guest::choose(cx, series) {
            Ok(kernel) => Some(kernel),
            Err(error) => {
                tally.fail(format!("guest {series}: {error:#}"));
                None
            }
        })
        .collect();
    let Some(first) = chosen.first() else {
        natively(cx, tally, &lab, &tests, native, arguments);
        return Ok(());
    };
    let accelerator = lab.accelerator(first)?;
    let waiting = Mutex::new(boots(&chosen, arguments).into_iter());
    let interrupted = thread::scope(|scope| {
        let work = || -> Result<(), Error> {
            loop {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(boot) = next else { return Ok(()) };
                one(&lab, tally, &boot, accelerator, &tests)?;
            }
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().find_map(|worker| worker.join().ok()?.err())
    });
    if let Some(error) = interrupted {
        bail!(error);
    }
    natively(cx, tally, &lab, &tests, native, arguments);
    Ok(())
}

/// One guest.
struct Boot<'a> {
    name: String,
    kernel: &'a Chosen,
    four_levels: bool,
    arguments: Vec<String>,
}

/// Each kernel once, those at the ends first, for they take longest; and the last one a second time with page tables of four
/// levels: the processor of a guest has five, unless this machine's own executes its instructions.
fn boots<'a>(kernels: &'a [Chosen], arguments: &[String]) -> Vec<Boot<'a>> {
    let boot = |kernel: &'a Chosen, arguments: Vec<String>| Boot {
        name: kernel.name.clone(),
        kernel,
        four_levels: false,
        arguments,
    };
    let (ends, middle): (Vec<_>, Vec<_>) = kernels
        .iter()
        .enumerate()
        .partition(|&(place, _)| place == 0 || place + 1 == kernels.len());
    let in_the_middle: Vec<String> = if arguments.is_empty() {
        AT_THE_ENDS.iter().flat_map(|family| ["--skip", *family]).map(str::to_owned).collect()
    } else {
        arguments.to_vec()
    };
    let ends = ends.into_iter().map(|(_, kernel)| boot(kernel, arguments.to_vec()));
    let middle = middle.into_iter().map(|(_, kernel)| boot(kernel, in_the_middle.clone()));
    let scan = arguments.is_empty() || arguments.iter().any(|word| word.starts_with(SCAN_TESTS));
    let again = kernels.last().filter(|_| scan).map(|kernel| Boot {
        name: format!("{} no5lvl", kernel.name),
        four_levels: true,
        ..boot(
            kernel,
            if arguments.is_empty() { vec![SCAN_TESTS.to_owned()] } else { arguments.to_vec() },
        )
    });
    ends.chain(middle).chain(again).collect()
}

/// Boots one kernel with the tests, and once more when it panics; only an interruption is an error, all else a failure that is
/// counted.
fn one(
    lab: &Lab,
    tally: &Tally,
    boot: &Boot,
    accelerator: Accelerator,
    tests: &Path,
) -> Result<(), Error> {
    for number in 1..=BOOTS {
        let counted = Tally::default();
        if let Some(panic) = once(lab, &counted, boot, accelerator, tests, number)? {
            if number < BOOTS {
                say::result(format_args!("guest {}: {panic}; it is booted once more", boot.name));
                continue;
            }
            counted.fail(panic);
        }
        tally.add(counted);
        break;
    }
    Ok(())
}

/// One boot; gives what happened when the kernel panicked, for then there is no outcome.
fn once(
    lab: &Lab,
    tally: &Tally,
    boot: &Boot,
    accelerator: Accelerator,
    tests: &Path,
    number: u32,
) -> Result<Option<String>, Error> {
    let name = format!("guest {}", boot.name);
    let command = std::iter::once(TESTS.to_owned()).chain(boot.arguments.iter().cloned());
    let mut machine = lab.machine(boot.kernel, accelerator, command.collect());
    guest::for_tests(&mut machine);
    if boot.four_levels {
        machine.append.push_str(" no5lvl");
        machine.environment.push((LEVELS_VARIABLE.to_owned(), "4".to_owned()));
        // Beside the log of the same kernel's other guest.
        machine.kernel_log.set_extension("no5lvl.log");
    }
    if number > 1 {
        machine.kernel_log.set_extension(format!("{number}.log"));
    }
    machine.add.push(AddedFile { source: tests.to_owned(), destination: TESTS.into() });
    machine.environment.push((BINARY_VARIABLE.to_owned(), "/bin/walkprobe".to_owned()));
    machine.environment.push((GUEST_VARIABLE.to_owned(), boot.kernel.name.clone()));
    machine.timeout = Some(TIMEOUT);
    if let Ok(seeds) = std::env::var(SEEDS_VARIABLE) {
        machine.environment.push((SEEDS_VARIABLE.to_owned(), seeds));
        machine.timeout = None;
    }
    machine.hang_after = HANG_AFTER;

    let start = Instant::now();
    let shown_before = boot.name.clone();
    let (silent, silent_tally) = (String::new(), Tally::default());
    let mut counted = Counted::new(tally, &name, Some(&shown_before));
    let outcome = lab.boot(
        &machine,
        Streams {
            input: Input::None,
            stdout: &mut counted,
            // Shown, but what looks like a verdict there is none.
            stderr: &mut Counted::new(&silent_tally, &silent, Some(&shown_before)),
        },
    );
    match outcome {
        Ok(exit) => {
            say::note(format_args!(
                "{name}: {} ended with {} after {}",
                exit.release,
                exit.status,
                say::seconds(start.elapsed())
            ));
            if exit.status != 0 && tally.failed_in(&name) == 0 {
                tally.fail(format!("{name}: the tests ended with exit status {}", exit.status));
            }
        }
        Err(error @ Error::Interrupted(_)) => return Err(error),
        Err(error) => {
            let is_panic = matches!(error, Error::Panic { .. });
            let error = anyhow::Error::from(error);
            let under_way = match counted.under_way() {
                nothing if nothing.is_empty() => String::new(),
                test => format!(" (under way: `{test}`)"),
            };
            let what = format!("{name}: {error}{under_way}");
            if is_panic {
                return Ok(Some(what));
            }
            tally.fail(what);
        }
    }
    Ok(None)
}

/// Runs the tests under this machine's kernel, which may allow less: the reduced mode.
fn natively(
    cx: &Context,
    tally: &Tally,
    lab: &Lab,
    tests: &Path,
    wanted: bool,
    arguments: &[String],
) {
    if !wanted {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        say::note("tests on this kernel: left out, for they need root");
        return;
    }
    let mut command = Command::new(tests);
    command
        .args(arguments)
        .current_dir(&cx.workspace.root)
        .env(BINARY_VARIABLE, lab.walkprobe())
        .env_remove(GUEST_VARIABLE)
        .env_remove(LEVELS_VARIABLE);
    host::tests(tally, "tests on this kernel", "here", &mut command);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Vec<(String, Vec<String>)> {
        boots_of(&["6.1", "7.2"], arguments)
    }

    fn boots_of(kernels: &[&str], arguments: &[&str]) -> Vec<(String, Vec<String>)> {
        let kernels: Vec<Chosen> =
            kernels.iter().map(|name| Chosen::at(name, Path::new("vmlinuz"))).collect();
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        boots(&kernels, &arguments).into_iter().map(|boot| (boot.name, boot.arguments)).collect()
    }

    #[test]
    fn the_last_kernel_scans_four_levels_too() {
        let all = names(&[]);
        assert_eq!(all.len(), 3);
        assert_eq!(all[1], ("7.2".to_owned(), vec![]));
        assert_eq!(all[2], ("7.2 no5lvl".to_owned(), vec![SCAN_TESTS.to_owned()]));
        assert_eq!(names(&["leaves::swap"])[2].1, ["leaves::swap"]);
        assert_eq!(names(&["terminal"]).len(), 2);
    }

    #[test]
    fn a_kernel_in_the_middle_leaves_out_what_the_ends_show() {
        let three = ["6.1", "6.12", "7.2"];
        let all = boots_of(&three, &[]);
        let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["6.1", "7.2", "6.12", "7.2 no5lvl"]);
        assert!(all[0].1.is_empty() && all[1].1.is_empty());
        assert_eq!(all[2].1[..2], ["--skip", "ends::"]);
        assert_eq!(all[2].1.len(), 2 * AT_THE_ENDS.len());
        assert_eq!(boots_of(&three, &["input"])[2].1, ["input"]);
    }
}
