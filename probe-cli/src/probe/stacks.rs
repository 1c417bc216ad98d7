//! The stacks behind a record.

use std::mem::size_of;

use probe_common::stacks::Stacks as Record;

use super::{ProbeError, decode::read};
use crate::{
    event::Event,
    stacks::{Frame, Stack, Stacks},
    symbolize::{Origin, Symbolizer},
};

/// Adds stacks to events.
#[derive(Debug)]
pub(super) struct Namer {
    symbolizer: Symbolizer,
    lost: u64,
}

impl Namer {
    /// When the programs are attached: they are on the stacks, and are known by their names.
    ///
    /// # Errors
    /// When the kernel's functions cannot be listed.
    pub(super) fn new() -> Result<Self, ProbeError> {
        let symbolizer = Symbolizer::new().map_err(ProbeError::Functions)?;
        Ok(Self { symbolizer, lost: 0 })
    }

    /// Adds to an event the stacks behind its record.
    pub(super) fn add_to(&mut self, event: &mut Event, record: &[u8]) {
        event.stacks = named(&mut self.symbolizer, event, record).map(Box::new);
        self.lost += event.stacks.as_ref().map_or(0, |stacks| stacks.lost());
    }

    /// How many stacks the kernel could not take.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

/// The stacks behind an event's record, with names; `None` when there are none.
fn named(symbolizer: &mut Symbolizer, event: &Event, record: &[u8]) -> Option<Stacks> {
    let found = behind(record)?;
    let origin = Origin {
        pid: event.by.pid,
        code: found.program_code,
        stack: found.program_stack,
        time: event.time + event.duration.unwrap_or(0),
    };
    let user = stack(found.user_bytes, &found.user, |found| symbolizer.user(origin, found));
    let mut kernel = stack(found.kernel_bytes, &found.kernel, |found| symbolizer.kernel(found));
    // Somebody called: it was lost (5.10, from a kretprobe on).
    kernel.cut |= kernel.frames.is_empty() && kernel.errno.is_none();
    Some(Stacks { user, kernel })
}

fn behind(bytes: &[u8]) -> Option<Record> {
    let start = bytes.len().checked_sub(size_of::<Record>())?;
    read(&bytes[start..])
}

fn stack(bytes: i32, all: &[u64], name: impl FnOnce(&[u64]) -> Vec<Frame>) -> Stack {
    match addresses(bytes, all) {
        Ok(found) => Stack { frames: name(found), cut: found.len() == all.len(), errno: None },
        Err(errno) => Stack { errno: Some(errno), ..Stack::default() },
    }
}

/// The addresses of one stack, innermost frame first, or the negative errno with which the kernel said
/// that it could not take it.
fn addresses(bytes: i32, all: &[u64]) -> Result<&[u64], i32> {
    let bytes = usize::try_from(bytes).map_err(|_| bytes)?;
    Ok(&all[..(bytes / size_of::<u64>()).min(all.len())])
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use probe_common::stacks::{KERNEL_FRAMES, Stacks};

    use super::{addresses, behind};

    /// A record of 16 bytes, and stacks.
    fn bytes(user_bytes: i32, kernel_bytes: i32) -> Vec<u8> {
        let mut bytes = vec![0xff; 16];
        bytes.extend(user_bytes.to_ne_bytes());
        bytes.extend(kernel_bytes.to_ne_bytes());
        bytes.resize(16 + offset_of!(Stacks, kernel), 0);
        for number in 0.. {
            if bytes.len() == 16 + size_of::<Stacks>() {
                return bytes;
            }
            bytes.extend(u64::to_ne_bytes(number));
        }
        bytes
    }

    #[test]
    fn they_stand_behind_the_record() {
        let stacks = behind(&bytes(16, 24)).unwrap();
        let first = KERNEL_FRAMES as u64;
        assert_eq!(addresses(stacks.user_bytes, &stacks.user), Ok(&[first, first + 1][..]));
        assert_eq!(addresses(stacks.kernel_bytes, &stacks.kernel), Ok(&[0, 1, 2][..]));
        assert!(behind(&[0; 48]).is_none());
    }

    #[test]
    fn a_stack_that_could_not_be_taken_is_not_an_empty_one() {
        let stacks = behind(&bytes(0, -16)).unwrap();
        assert_eq!(addresses(stacks.user_bytes, &stacks.user), Ok(&[][..]));
        assert_eq!(addresses(stacks.kernel_bytes, &stacks.kernel), Err(-16));
        let stacks = behind(&bytes(i32::MAX, 0)).unwrap();
        assert_eq!(
            addresses(stacks.user_bytes, &stacks.user).map(<[u64]>::len),
            Ok(stacks.user.len())
        );
    }
}
