//! The functions of processes.

use std::{collections::HashMap, fs};

use super::files::{Code, Files};
use crate::{
    clock,
    escape::escape,
    event::Address,
    kernel::{
        program::Program,
        vmas::text::{Lines, decode_newlines, line},
    },
    stacks::Frame,
};

/// Whose stack it is, and of when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Thread group.
    pub(crate) pid: u32,
    /// Where the code of its program begins.
    pub(crate) code: u64,
    /// Where its stack began.
    pub(crate) stack: u64,
    /// When it was taken, in ns of `CLOCK_MONOTONIC`.
    pub(crate) time: u64,
}

/// What is known of the code of processes.
#[derive(Debug, Default)]
pub(super) struct Processes {
    by_pid: HashMap<u32, Process>,
    files: Files,
}

#[derive(Debug, Default)]
struct Process {
    now: Option<Look>,
    /// What it ran before it called exec: events from then may still come.
    before: Option<Look>,
}

/// What a program had mapped at one moment.
#[derive(Debug)]
struct Look {
    time: u64,
    program: Program,
    code: Vec<Code>,
    /// By address, and whether it is the innermost one.
    known: HashMap<(u64, bool), Frame>,
}

/// So many processes are remembered.
const MOST: usize = 512;

/// How old mappings may be, in ns. A stack that shows that they have changed does not wait for it.
const FRESH: u64 = 10_000_000;

/// No process has code from here on: with five levels of page tables, half of 57 bits are its own.
const USER_END: u64 = 1 << 56;

impl Processes {
    pub(super) fn frames(&mut self, origin: Origin, addresses: &[u64]) -> Vec<Frame> {
        let addresses = callers(addresses);
        let Some(&innermost) = addresses.first() else { return Vec::new() };
        if self.by_pid.len() >= MOST && !self.by_pid.contains_key(&origin.pid) {
            self.by_pid.clear();
        }
        let process = self.by_pid.entry(origin.pid).or_default();
        if process.is_outdated(origin, innermost) {
            process.look(origin.pid);
        }
        let Some(look) = process.of(origin) else {
            return addresses.iter().copied().map(bare).collect();
        };
        let files = &mut self.files;
        (0..)
            .zip(addresses)
            .map(|(number, &address)| look.frame(origin.pid, files, address, number == 0))
            .collect()
    }
}

/// The return address of a program's first function is 0. And code that was compiled without frame pointers
/// has other numbers in their place: what they lead to is no caller.
fn callers(addresses: &[u64]) -> &[u64] {
    let end = addresses.iter().position(|&address| address == 0 || address >= USER_END);
    &addresses[..end.unwrap_or(addresses.len())]
}

fn bare(address: u64) -> Frame {
    Frame { address: Address(address), ..Frame::default() }
}

impl Process {
    /// What the program of a stack had mapped, as far as it is known. Another program had other code there.
    fn of(&mut self, origin: Origin) -> Option<&mut Look> {
        let mut looks = self.now.iter_mut().chain(&mut self.before);
        looks.find(|look| look.program.began_with(origin.code, origin.stack))
    }

    fn is_outdated(&mut self, origin: Origin, innermost: u64) -> bool {
        if self.now.as_ref().is_some_and(|now| origin.time <= now.time) {
            return false;
        }
        self.of(origin)
            .is_none_or(|look| origin.time > look.time + FRESH || look.mapping(innermost).is_none())
    }

    fn look(&mut self, pid: u32) {
        let Some(look) = Look::at(pid) else {
            // It has ended: what it had is still true of the events that come.
            return;
        };
        match &mut self.now {
            Some(now) if now.program == look.program => {
                now.time = look.time;
                if now.code != look.code {
                    *now = look;
                }
            }
            now => self.before = now.replace(look),
        }
    }
}

impl Look {
    /// What a process has mapped; `None` when it has ended, or calls exec at this moment.
    fn at(pid: u32) -> Option<Self> {
        let time = clock::monotonic();
        let program = Program::of(pid).ok()?;
        let text = fs::read(format!("/proc/{pid}/maps")).ok()?;
        let code = code(&text);
        let is_one = Program::of(pid).ok()? == program;
        is_one.then(|| Self { time, program, code, known: HashMap::new() })
    }

    fn mapping(&self, address: u64) -> Option<&Code> {
        let behind = self.code.partition_point(|code| code.start <= address);
        self.code[..behind].last().filter(|code| address < code.end)
    }

    fn frame(&mut self, pid: u32, files: &mut Files, address: u64, is_innermost: bool) -> Frame {
        if let Some(frame) = self.known.get(&(address, is_innermost)) {
            return frame.clone();
        }
        let mut frame = bare(address);
        // An address to return to: the call stands before.
        let instruction = if is_innermost { address } else { address.saturating_sub(1) };
        // What is no code can be any number: it is not remembered.
        let Some(code) = self.mapping(instruction) else { return frame };
        frame.file = (!code.name.is_empty()).then(|| code.name.clone());
        if let Some((symbol, offset)) = files.function(pid, code, instruction) {
            frame.symbol = Some(symbol);
            frame.offset = Some(offset + (address - instruction));
        }
        self.known.insert((address, is_innermost), frame.clone());
        frame
    }
}

/// The mappings that can be executed, in order.
fn code(text: &[u8]) -> Vec<Code> {
    let mut code: Vec<Code> = Vec::new();
    Lines::default().feed(text, |text| {
        if let Some(line) = line(text)
            && line.permissions[2] == b'x'
        {
            code.push(Code {
                start: line.start,
                end: line.end,
                offset: line.offset,
                file: line.has_file().then_some((line.device, line.inode)),
                name: escape(&decode_newlines(line.name)),
            });
        }
    });
    code.sort_by_key(|code| code.start);
    code
}

#[cfg(test)]
mod tests {
    use super::{Origin, Processes, code};
    use crate::kernel::program::Program;

    #[inline(never)]
    fn address_of_this_function() -> u64 {
        address_of_this_function as fn() -> u64 as usize as u64
    }

    fn own() -> Origin {
        let (code, stack) = Program::of(std::process::id()).unwrap().beginnings();
        Origin { pid: std::process::id(), code, stack, time: 1 }
    }

    #[test]
    fn only_code_counts() {
        let text =
            b"1000-2000 r--p 00000000 08:01 7 /a\n2000-3000 r-xp 00001000 08:01 7 /a\\012b\n\
                     5000-6000 r-xp 00000000 00:00 0 \n";
        let code = code(text);
        assert_eq!(code.len(), 2);
        assert_eq!(
            (code[0].start, code[0].offset, code[0].name.as_str()),
            (0x2000, 0x1000, "/a\\x0ab")
        );
        assert!(code[0].file.is_some() && code[1].file.is_none());
    }

    #[test]
    fn this_process_is_known() {
        let mut processes = Processes::default();
        let address = address_of_this_function();
        let frames = processes.frames(own(), &[address, address + 1, 0, 5]);
        assert_eq!(frames.len(), 2);
        for (frame, offset) in frames.iter().zip([0, 1]) {
            let symbol = frame.symbol.as_deref().unwrap();
            assert!(symbol.contains("address_of_this_function"), "{symbol}");
            assert_eq!(frame.offset, Some(offset));
            assert!(frame.file.as_deref().unwrap().contains("walkprobe"), "{frame:?}");
        }
    }

    #[test]
    fn another_program_is_not() {
        let mut processes = Processes::default();
        let origin = Origin { stack: 1, ..own() };
        let frames = processes.frames(origin, &[address_of_this_function()]);
        assert_eq!((frames[0].symbol.as_ref(), frames[0].file.as_ref()), (None, None));
    }
}
