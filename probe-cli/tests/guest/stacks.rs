//! Who called: the stacks of a thread that does something known.

use std::{env, process};

use libtest_mimic::{Failed, Trial};
use rustix::thread::gettid;
use walkprobe::{
    change::Change,
    event::{Detail, Event},
    stacks::{Stack, Stacks},
};

use crate::{
    changes::traced_with,
    memory::{Area, PAGE},
    need,
    run::{Trace, ensure, guest, run, walkprobe},
};

pub(crate) fn trials() -> Vec<Trial> {
    let functions = need::a_guest("it needs functions to be probed");
    vec![
        Trial::test("stacks::of_a_system_call", of_a_system_call)
            .with_ignored_flag(functions.is_some())
            .with_kind(functions.unwrap_or_default()),
        Trial::test("stacks::of_a_fault", of_a_fault),
        Trial::test("stacks::of_a_short_life", of_a_short_life),
        Trial::test("stacks::nobody_asked", nobody_asked),
    ]
}

fn of_a_system_call() -> Result<(), Failed> {
    let area = Area::base(9 * PAGE)?;
    area.write(0..area.length());
    let options = ["--stacks", "--events", "change"];
    let trace = traced_with("syscall.jsonl", &options, || Ok(area.forbid(4 * PAGE..5 * PAGE)?))?;
    let start = area.range().start + 4 * PAGE as u64;
    let stacks = stacks_of(
        &trace,
        |event| matches!(event.detail, Detail::Change(Change::Protect { start: it, .. }) if it.0 == start),
    )?;
    // libc's.
    is_of_this_program(&stacks.user, "mprotect")?;
    if guest().is_some_and(|series| series == "5.10") {
        // By a kretprobe, behind which that kernel cannot see.
        return ensure(stacks.kernel.cut && stacks.kernel.frames.is_empty(), || {
            format!("{:?}", stacks.kernel)
        });
    }
    let functions = functions(&stacks.kernel);
    let position = |name: &str| functions.iter().position(|function| function.contains(name));
    let (inner, outer) = (position("do_mprotect_pkey"), position("sys_mprotect"));
    ensure(inner.is_some() && inner < outer && !stacks.kernel.cut, || format!("{functions:?}"))?;
    ensure(!functions.iter().any(|function| function.starts_with("bpf_")), || {
        format!("the watcher is on the stack: {functions:?}")
    })?;
    let (line, innermost) = (stacks.to_string(), &stacks.user.frames[0]);
    ensure(
        line.contains("do_mprotect_pkey < ") && line.contains(&format!(" < {innermost}")),
        || line.clone(),
    )
}

fn of_a_fault() -> Result<(), Failed> {
    let area = Area::base(PAGE)?;
    let options = ["--stacks", "--events", "fault"];
    let trace = traced_with("fault.jsonl", &options, || {
        area.write(0..1);
        Ok(())
    })?;
    let stacks = stacks_of(
        &trace,
        |event| matches!(event.detail, Detail::Fault { address, .. } if area.range().contains(&address.0)),
    )?;
    // What is inlined into what is up to the compiler.
    is_of_this_program(&stacks.user, "")?;
    let functions = functions(&stacks.kernel);
    ensure(functions.iter().any(|function| function.contains("exc_page_fault")), || {
        format!("{functions:?}")
    })
}

/// What has no name any more has an address.
fn of_a_short_life() -> Result<(), Failed> {
    let ended = run(walkprobe().args(["trace", "--stacks", "--", "true"]))?;
    let trace = Trace::parse(&ended.stdout)?;
    ensure(!trace.events.is_empty() && trace.footer["stacks_lost"] == 0, || {
        format!("{}", trace.footer)
    })?;
    for event in &trace.events {
        let stacks = event.stacks.as_ref().ok_or_else(|| format!("no stacks: {event:?}"))?;
        ensure(stacks.kernel.cut || !stacks.kernel.frames.is_empty(), || format!("{event:?}"))?;
        let frames = stacks.user.frames.iter().chain(&stacks.kernel.frames);
        for frame in frames {
            let is_named = frame.symbol.is_some() == frame.offset.is_some();
            ensure(frame.address.0 != 0 && is_named, || format!("{frame:?}"))?;
        }
    }
    Ok(())
}

fn nobody_asked() -> Result<(), Failed> {
    let ended = run(walkprobe().args(["trace", "--", "true"]))?;
    ensure(!ended.stdout.contains("\"stacks"), || ended.stdout.clone())
}

/// The stacks of this thread's only event of a kind.
fn stacks_of(trace: &Trace, is_it: impl Fn(&Event) -> bool) -> Result<&Stacks, Failed> {
    ensure(trace.footer["stacks_lost"] == 0, || format!("{}", trace.footer))?;
    let thread = gettid().as_raw_nonzero().get().cast_unsigned();
    let events: Vec<&Event> = trace.events.iter().filter(|event| is_it(event)).collect();
    let [event] = events[..] else { return Err(format!("{events:?}").into()) };
    ensure((event.by.pid, event.by.tid) == (process::id(), thread), || format!("{event:?}"))?;
    Ok(event.stacks.as_ref().ok_or_else(|| format!("no stacks: {event:?}"))?)
}

/// The innermost frame is in this program, in a function whose name has these words.
fn is_of_this_program(stack: &Stack, words: &str) -> Result<(), Failed> {
    let program = env::current_exe()?;
    let frame = stack.frames.first().ok_or_else(|| format!("no frames: {stack:?}"))?;
    let is_named = frame.symbol.as_deref().is_some_and(|symbol| symbol.contains(words));
    ensure(is_named && frame.file.as_deref() == program.to_str(), || format!("{stack:?}"))
}

fn functions(stack: &Stack) -> Vec<&str> {
    stack.frames.iter().filter_map(|frame| frame.symbol.as_deref()).collect()
}
