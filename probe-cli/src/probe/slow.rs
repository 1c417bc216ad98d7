//! A function that is made slower on purpose, for tests.

use aya::{Btf, Ebpf, maps::Array, programs::FEntry};
use probe_common::{config::Config, site::Sites};

use super::{
    ProbeError,
    error::brief_program_error,
    instructions::Instructions,
    live::opening,
    object::{self, Sizes},
};

/// Where it stands by how much.
const MAP: &str = "SLOWER";

/// By how much each call of a function is slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slower {
    /// Rounds of a loop that does nothing: the same number of instructions each time.
    Rounds(u32),
    /// Time in ns, and what it takes to look at the clock.
    Ns(u64),
}

/// A function that is slower until this is dropped.
pub struct Slow {
    _ebpf: Ebpf,
}

impl Slow {
    /// Makes each call of a function take so much more. What is attached to it later is entered before that time.
    ///
    /// # Errors
    /// When the kernel does not take the maps, or, in words, the program.
    pub fn begin(function: &str, slower: Slower) -> Result<Result<Self, String>, ProbeError> {
        let mut ebpf =
            object::load(&Config::NONE, &Sites::NONE, Sizes::SMALLEST, 0, Instructions::default())?;
        if let Some(map) = ebpf.map_mut(MAP) {
            let mut map = Array::try_from(map).map_err(opening(MAP))?;
            let (place, number) = match slower {
                Slower::Rounds(rounds) => (0, rounds.into()),
                Slower::Ns(ns) => (1, ns),
            };
            map.set(place, number, 0).map_err(opening(MAP))?;
        }
        Ok(attach(&mut ebpf, function).map(|()| Self { _ebpf: ebpf }))
    }
}

fn attach(ebpf: &mut Ebpf, function: &str) -> Result<(), String> {
    let btf = Btf::from_sys_fs().map_err(|error| error.to_string())?;
    let program: &mut FEntry = ebpf
        .program_mut("slow_fentry")
        .and_then(|program| program.try_into().ok())
        .ok_or("no such program in the object")?;
    let attached = program.load(function, &btf).and_then(|()| program.attach().map(drop));
    attached.map_err(|error| brief_program_error(&error))
}
