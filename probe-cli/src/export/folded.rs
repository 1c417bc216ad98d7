//! Folded stacks: a line for each stack, from the thread's name to the cause, with how often it was there.
//!
//! `flamegraph.pl` and `inferno-flamegraph` draw them; functions of the kernel end in `_[k]`, as those tools colour them.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use anyhow::bail;
use probe_common::probe::Family;

use super::{Exporter, Sink, number};
use crate::{
    event::Event,
    input::Input,
    stacks::{Frame, Stack},
};

/// Different stacks that are counted together. Of more there are several lines for one stack, which readers add up.
const MOST: usize = 1 << 16;

/// What they may take together, in bytes.
const BYTES: usize = 64 << 20;

/// Begins an export of the callers of a family's operations.
#[must_use]
pub fn exporter(family: Family, out: Sink) -> Box<dyn Exporter> {
    Box::new(Folded { family, out, stacks: BTreeMap::new(), bytes: 0, with: 0, without: 0 })
}

struct Folded {
    family: Family,
    out: Sink,
    stacks: BTreeMap<String, u64>,
    bytes: usize,
    with: u64,
    without: u64,
}

impl Folded {
    fn write(&mut self) -> io::Result<()> {
        self.bytes = 0;
        for (stack, number) in std::mem::take(&mut self.stacks) {
            writeln!(self.out, "{stack} {number}")?;
        }
        self.out.flush()
    }
}

impl Exporter for Folded {
    fn input(&mut self, input: Input) -> io::Result<()> {
        let Input::Event(event) = input else { return Ok(()) };
        if event.probe.family() != self.family {
            return Ok(());
        }
        let Some(line) = line(&event) else {
            self.without += 1;
            return Ok(());
        };
        self.with += 1;
        let length = line.len();
        let number = self.stacks.entry(line).or_default();
        *number += 1;
        self.bytes += if *number == 1 { length } else { 0 };
        if self.stacks.len() > MOST || self.bytes > BYTES { self.write() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>, _: &[String]) -> anyhow::Result<Vec<String>> {
        self.write()?;
        let name = self.family.name();
        let events = number(self.without, "event", "events");
        match (self.with, self.without) {
            (0, 0) => Ok(vec![format!("there is no {name} event in the trace")]),
            (0, _) => {
                bail!("{events} of {name}, and no stacks: `walkprobe trace --stacks` records them")
            }
            (_, 0) => Ok(Vec::new()),
            (_, _) => Ok(vec![format!("{events} of {name} without stacks left out")]),
        }
    }
}

/// The frames of an event from the outermost on; `None` without stacks.
fn line(event: &Event) -> Option<String> {
    let stacks = event.stacks.as_ref()?;
    let mut line = part(&event.by.comm);
    let mut add = |frame: &str, mark: &str| {
        line.push(';');
        line.push_str(&part(frame));
        line.push_str(mark);
    };
    for (stack, mark) in [(&stacks.user, ""), (&stacks.kernel, "_[k]")] {
        if let Some(lack) = lack(stack) {
            add(lack, mark);
        }
        stack.frames.iter().rev().for_each(|frame| add(&function(frame), mark));
    }
    add(event.probe.name(), "_[k]");
    Some(line)
}

/// What stands for frames that are not there.
fn lack(stack: &Stack) -> Option<&'static str> {
    match stack {
        Stack { errno: Some(_), .. } => Some("[not taken]"),
        Stack { cut: true, .. } => Some("[more]"),
        _ => None,
    }
}

/// The function; where it is not known, the file, so that its calls come together.
fn function(frame: &Frame) -> String {
    match (&frame.symbol, &frame.file) {
        (Some(symbol), _) => symbol.clone(),
        (None, Some(file)) => format!("[{}]", file.rsplit('/').next().unwrap_or_default()),
        (None, None) => "[unknown]".to_owned(),
    }
}

/// Text that is one part of a line.
fn part(text: &str) -> String {
    text.chars().map(|c| if c == ';' || c.is_control() { ':' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::line;
    use crate::{
        event::Event,
        stacks::{Frame, Stack, Stacks},
        track::fixture::split,
    };

    fn frame(symbol: Option<&str>, file: Option<&str>) -> Frame {
        Frame {
            symbol: symbol.map(str::to_owned),
            file: file.map(str::to_owned),
            ..Frame::default()
        }
    }

    #[test]
    fn frames_go_from_the_outermost_to_the_cause() {
        let user = Stack {
            frames: vec![
                frame(Some("a;b"), None),
                frame(None, Some("/lib/libc.so.6")),
                frame(None, None),
            ],
            cut: true,
            errno: None,
        };
        let kernel = Stack {
            frames: vec![frame(Some("__split"), None), frame(Some("sys"), None)],
            ..Stack::default()
        };
        let mut event = Event { stacks: Some(Box::new(Stacks { user, kernel })), ..split(1, 0) };
        event.by.comm = "a;p\np".to_owned();
        assert_eq!(
            line(&event).unwrap(),
            "a:p:p;[more];[unknown];[libc.so.6];a:b;sys_[k];__split_[k];pmd_split_[k]"
        );
        event.stacks.as_mut().unwrap().kernel = Stack { errno: Some(-14), ..Stack::default() };
        assert!(line(&event).unwrap().ends_with(";a:b;[not taken]_[k];pmd_split_[k]"));
        assert_eq!(line(&split(1, 0)), None);
    }
}
