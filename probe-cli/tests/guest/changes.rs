//! What changes leaves and VMAs, beside faults, splits and collapses: this process traces itself.

use std::{
    collections::BTreeSet,
    fs,
    process::{self, Child, Stdio},
};

use libtest_mimic::{Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use walkprobe::{
    change::{Change, Folio, UffdRequest, VmaChange},
    event::{Detail, Event},
};

use crate::{
    child::until,
    memory::{Area, PAGE, PMD},
    need::{self, Lack},
    nodes,
    run::{Trace, ensure, guest, is_accounted, run, scratch, wait, walkprobe},
    swap::{Swap, page_out},
    uffd::{Feature, Uffd},
};

const PROTECT: &[Feature] = &[Feature::PagefaultFlagWp];

pub(crate) fn trials() -> Vec<Trial> {
    // Where `fork` and the others have no function, doctor says so.
    let old = || {
        let is_old = guest().is_some_and(|series| series == "5.10");
        is_old.then(|| "no try_to_migrate_one (Linux 5.14)".to_owned())
    };
    [
        trial("migration", need::nodes().or_else(old), migration),
        trial("migration_of_thp", need::nodes().or_else(need::thp).or_else(old), migration_of_thp),
        trial("reclaim", need::swap(), reclaim),
        trial("userfaultfd", need::userfaultfd(PROTECT), userfaultfd),
        trial("splits", None, splits),
        trial("brk", None, brk),
        trial("exec_and_exit", None, exec_and_exit),
        trial("families", None, families),
    ]
    .into()
}

fn trial(
    name: &str,
    lack: Lack,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let lack = need::a_guest("it needs functions to be probed").or(lack);
    Trial::test(format!("changes::{name}"), test)
        .with_ignored_flag(lack.is_some())
        .with_kind(lack.unwrap_or_default())
}

const FAMILIES: &str = "change,migrate,vma";

/// What is traced of this process while `act` runs.
fn traced(name: &str, act: impl FnOnce() -> Result<(), Failed>) -> Result<Vec<Event>, Failed> {
    Ok(traced_with(name, &["--events", FAMILIES], act)?.events)
}

/// The same, with these options.
pub(crate) fn traced_with(
    name: &str,
    options: &[&str],
    act: impl FnOnce() -> Result<(), Failed>,
) -> Result<Trace, Failed> {
    let file = scratch(name);
    let mut command = walkprobe();
    command.arg("trace").args(options).args(["-p", &process::id().to_string(), "-o"]);
    let tracer =
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let tracer = tracer.spawn()?;
    // The header is written when everything is attached.
    let begun = until("the trace's header", || {
        fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')).then_some(())
    });
    let acted = begun.and_then(|()| act());
    let trace = end(tracer, &file);
    acted?;
    let trace = trace?;
    sums(&trace)?;
    Ok(trace)
}

fn end(tracer: Child, file: &std::path::Path) -> Result<Trace, Failed> {
    kill_process(Pid::from_child(&tracer), Signal::INT)?;
    let ended = wait(tracer)?;
    ensure(ended.code() == Some(0), || format!("{:?}: {}", ended.status, ended.stderr))?;
    let trace = Trace::parse(&fs::read_to_string(file)?)?;
    fs::remove_file(file)?;
    Ok(trace)
}

/// Nothing is lost, and what every probe has seen became something.
fn sums(trace: &Trace) -> Result<(), Failed> {
    ensure(trace.footer["lost"] == 0 && trace.footer["unreadable"] == 0, || {
        format!("events were lost: {}", trace.footer)
    })?;
    for probe in trace.footer["probes"].as_array().ok_or("no counts")? {
        ensure(is_accounted(probe), || format!("seen is not the sum of fates: {probe}"))?;
    }
    Ok(())
}

/// The changes that begin in an area.
fn within(events: &[Event], area: &Area) -> Vec<Change> {
    events
        .iter()
        .filter_map(|event| match &event.detail {
            Detail::Change(change) => Some(change.clone()),
            _ => None,
        })
        .filter(|change| change.start().is_some_and(|start| area.range().contains(&start.0)))
        .collect()
}

/// The folios, in order; all of this size, and all done.
fn folios(
    changes: &[Change],
    size: usize,
    which: impl Fn(&Change) -> Option<Folio>,
) -> Result<Vec<u64>, Failed> {
    let folios: Vec<Folio> = changes.iter().filter_map(which).collect();
    let is_whole =
        |folio: &Folio| folio.end.is_some_and(|end| end.0 - folio.start.0 == size as u64);
    ensure(folios.iter().all(|folio| folio.done && is_whole(folio)), || format!("{folios:?}"))?;
    Ok(folios.iter().map(|folio| folio.start.0).collect())
}

fn migrated(change: &Change) -> Option<Folio> {
    if let Change::Migrate(folio) = change { Some(*folio) } else { None }
}

fn restored(change: &Change) -> Option<Folio> {
    if let Change::Restore(folio) = change { Some(*folio) } else { None }
}

fn reclaimed(change: &Change) -> Option<Folio> {
    if let Change::Reclaim(folio) = change { Some(*folio) } else { None }
}

fn migrate(area: &Area, size: usize) -> Result<(), Failed> {
    nodes::move_to(area, size, 0)?;
    let events = traced("migrate.jsonl", || Ok(nodes::move_to(area, size, 1)?))?;
    let changes = within(&events, area);
    let expected: Vec<u64> = area.range().step_by(size).collect();
    for which in [migrated, restored] {
        let mut found = folios(&changes, size, which)?;
        found.sort_unstable();
        ensure(found == expected, || format!("{found:x?} and not {expected:x?}"))?;
    }
    Ok(())
}

fn migration() -> Result<(), Failed> {
    let area = Area::base(8 * PAGE)?;
    area.write(0..area.length());
    migrate(&area, PAGE)
}

fn migration_of_thp() -> Result<(), Failed> {
    let area = Area::huge(2 * PMD)?.ok_or("THP is switched off")?;
    area.write(0..area.length());
    migrate(&area, PMD)
}

/// A page that cannot be written now is tried again, so only the set of pages is known.
fn reclaim() -> Result<(), Failed> {
    let _swap = Swap::on()?;
    let area = Area::base(16 * PAGE)?;
    area.write(0..area.length());
    let events = traced("reclaim.jsonl", || page_out(&area, 0..area.length()))?;
    let found = within(&events, &area);
    let found: BTreeSet<u64> = if guest().is_some_and(|series| series == "5.10") {
        // No folios, and so no sizes.
        found.iter().filter_map(reclaimed).map(|folio| folio.start.0).collect()
    } else {
        folios(&found, PAGE, reclaimed)?.into_iter().collect()
    };
    let expected: BTreeSet<u64> = area.range().step_by(PAGE).collect();
    ensure(found == expected, || format!("{found:x?} and not {expected:x?}"))
}

fn userfaultfd() -> Result<(), Failed> {
    let area = Area::base(8 * PAGE)?;
    area.write(0..4 * PAGE);
    let uffd = Uffd::to_protect(&area, PROTECT)?;
    let events = traced("uffd.jsonl", || {
        uffd.protect(&area, PAGE..3 * PAGE)?;
        Ok(uffd.copy(&area, 5 * PAGE..7 * PAGE, &area.part(0..2 * PAGE))?)
    })?;
    let changes = within(&events, &area);
    let requests: Vec<_> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Uffd { request, start, end, from: None, errno: 0 } => {
                Some((*request, start.0 - area.range().start, end.0 - start.0))
            }
            _ => None,
        })
        .collect();
    let (first, second, length) = (PAGE as u64, 5 * PAGE as u64, 2 * PAGE as u64);
    let expected =
        [(UffdRequest::WriteProtect, first, length), (UffdRequest::Copy, second, length)];
    ensure(requests == expected, || format!("{changes:?}"))?;
    // The protection itself.
    let protected: Vec<_> = changes
        .iter()
        .filter(|change| matches!(change, Change::Protect { pages: Some(2), .. }))
        .collect();
    ensure(protected.len() == 1, || format!("{changes:?}"))
}

/// An mprotect in the middle of a VMA splits it at both ends.
fn splits() -> Result<(), Failed> {
    let area = Area::base(9 * PAGE)?;
    let events = traced("splits.jsonl", || Ok(area.forbid(4 * PAGE..5 * PAGE)?))?;
    let changes = within(&events, &area);
    let middle = area.part(4 * PAGE..5 * PAGE).range();
    let splits = changes
        .iter()
        .filter(|change| {
            matches!(change, Change::Vma { change: VmaChange::Split, start, end, errno: 0 }
                if start.0 <= middle.start && middle.end <= end.0)
        })
        .count();
    ensure(splits == 2, || format!("{changes:?}"))?;
    let protected = changes.iter().any(|change| {
        matches!(change, Change::Protect { start, end, pages: Some(0) }
            if (start.0..end.0) == middle)
    });
    ensure(protected, || format!("{changes:?}"))
}

/// The heap grows and shrinks by system calls that nothing else in this process makes.
#[expect(unsafe_code, reason = "brk has no safe interface")]
fn brk() -> Result<(), Failed> {
    // SAFETY: with 0 it only tells where the heap ends.
    let old = unsafe { libc::syscall(libc::SYS_brk, 0) }.cast_unsigned();
    let (start, end) = (old.next_multiple_of(PAGE as u64), old + 3 * PAGE as u64);
    let events = traced("brk.jsonl", || {
        // SAFETY: the pages that come are nobody's, and those that go are these.
        let ends = unsafe {
            let end = libc::syscall(libc::SYS_brk, end).cast_unsigned();
            (end, libc::syscall(libc::SYS_brk, old).cast_unsigned())
        };
        ensure(ends == (end, old), || format!("{ends:x?}"))
    })?;
    let end = end.next_multiple_of(PAGE as u64);
    let found: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.detail {
            Detail::Change(Change::Vma { change, start: from, end: to, errno: 0 })
                if (from.0, to.0) == (start, end) =>
            {
                Some(*change)
            }
            _ => None,
        })
        .collect();
    ensure(found == [VmaChange::Brk, VmaChange::Unmap], || format!("{events:?}"))
}

/// The waiting process becomes a shell, and the shell walkprobe. Zaps of an exit are not told.
fn exec_and_exit() -> Result<(), Failed> {
    let binary = walkprobe().get_program().to_owned();
    let mut command = walkprobe();
    command.args(["trace", "--events", FAMILIES, "--", "sh", "-c", "exec \"$0\" --version"]);
    let ended = run(command.arg(binary))?;
    // What the command says stands before the trace or in it.
    let lines: Vec<&str> = ended.stdout.lines().filter(|line| line.starts_with('{')).collect();
    let trace = Trace::parse(&lines.join("\n"))?;
    sums(&trace)?;
    let count = |which: &dyn Fn(&Change) -> bool| {
        let matches = |event: &&Event| matches!(&event.detail, Detail::Change(it) if which(it));
        trace.events.iter().filter(matches).count()
    };
    let execs = count(&|change| matches!(change, Change::Exec { errno: 0 }));
    let exits = count(&|change| matches!(change, Change::Exit));
    // `setup_arg_pages` (fs/exec.c) makes room for the stack.
    let grown = count(&|change| matches!(change, Change::Vma { change: VmaChange::Grow, .. }));
    // The address space that exec leaves may have no owner any more when it ends, and is then nobody's
    // (seen on 7.2); the last one is the process's own to the end.
    ensure(execs == 2 && (1..=3).contains(&exits) && grown >= 2, || {
        format!("{execs} execs, {exits} exits, {grown} grown: {}", ended.stdout)
    })?;
    for exit in trace.events.iter().filter(|event| event.detail == Detail::Change(Change::Exit)) {
        let until = exit.time + exit.duration.unwrap_or(0);
        let zapped = trace.events.iter().any(|event| {
            matches!(event.detail, Detail::Change(Change::Zap { .. }))
                && event.by.tid == exit.by.tid
                && (exit.time..until).contains(&event.time)
        });
        ensure(!zapped, || format!("zaps in {exit:?}"))?;
    }
    let ignored = trace.footer["probes"]
        .as_array()
        .and_then(|probes| probes.iter().find(|probe| probe["name"] == "zap"))
        .and_then(|zap| zap["ignored"].as_u64());
    ensure(ignored > Some(0), || format!("{}", trace.footer))
}

/// Only what is asked for is attached.
fn families() -> Result<(), Failed> {
    let ended = run(walkprobe().args(["trace", "--events", "vma", "--", "true"]))?;
    let trace = Trace::parse(&ended.stdout)?;
    let probes = trace.header["probes"].as_array().ok_or("no probes")?;
    ensure(probes.len() == 8, || format!("{probes:?}"))
}
