//! Who called: the stacks of the thread that did an operation.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Address;

/// The stacks of the thread that did an operation, as they were at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stacks {
    /// In the thread's program; without frames for a kernel thread.
    pub user: Stack,
    /// In the kernel, from the caller of the watched function on, or from the function that has the tracepoint.
    pub kernel: Stack,
}

/// The callers of one another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stack {
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// There are more frames, or may be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Why the kernel could not take it, as a negative errno; absent when it could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}

/// One call that was under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Where it goes on when the inner one returns; of the innermost frame of a program, the instruction
    /// that faulted or the one after the system call.
    pub address: Address,
    /// The function, demangled and escaped; absent when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// How many bytes the address is behind the function's beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The file that is mapped there, as the process names it, or the kernel's name in brackets, escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The kernel module, escaped; absent in the kernel itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
}

impl Stacks {
    /// How much memory they take, about, in units of 100 bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let frames = self.user.frames.iter().chain(&self.kernel.frames);
        let texts = |frame: &Frame| {
            let texts = [&frame.symbol, &frame.file, &frame.module];
            texts.into_iter().flatten().map(String::len).sum::<usize>()
        };
        frames.map(|frame| 1 + texts(frame) / 100).sum()
    }

    /// How many of the two the kernel could not take.
    #[must_use]
    pub fn lost(&self) -> u64 {
        [&self.user, &self.kernel].map(|stack| u64::from(stack.errno.is_some())).iter().sum()
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.symbol {
            Some(symbol) => f.write_str(symbol),
            None => self.address.fmt(f),
        }
    }
}

impl fmt::Display for Stacks {
    /// One line for people: each function and who called it, from the kernel into the program.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frames = self.kernel.frames.iter().chain(&self.user.frames);
        for (number, frame) in frames.enumerate() {
            write!(f, "{}{frame}", if number == 0 { "" } else { " < " })?;
        }
        if self.user.cut { f.write_str(" < ...") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Stack, Stacks};
    use crate::event::Address;

    fn stacks() -> Stacks {
        let frame = |address, symbol: Option<&str>| Frame {
            address: Address(address),
            symbol: symbol.map(str::to_owned),
            offset: symbol.map(|_| 5),
            ..Frame::default()
        };
        Stacks {
            user: Stack { frames: vec![frame(0x1000, None)], cut: true, errno: None },
            kernel: Stack {
                frames: vec![frame(u64::MAX, Some("zap")), frame(u64::MAX - 9, Some("munmap"))],
                ..Stack::default()
            },
        }
    }

    #[test]
    fn people_read_one_line() {
        assert_eq!(stacks().to_string(), "zap < munmap < 0x1000 < ...");
        assert_eq!(Stacks::default().to_string(), "");
    }

    #[test]
    fn what_is_not_known_is_absent() {
        let json = serde_json::to_string(&stacks()).unwrap();
        assert!(
            json.starts_with("{\"user\":{\"frames\":[{\"address\":\"0x1000\"}],\"cut\":true},")
        );
        assert_eq!(serde_json::from_str::<Stacks>(&json).unwrap(), stacks());
    }
}
