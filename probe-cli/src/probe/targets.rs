//! The thread groups that are wanted, where they come and go.

use std::collections::BTreeSet;

use aya::maps::{HashMap, MapData, MapError, PerCpuArray};

use super::ProbeError;

/// The thread groups that are wanted.
pub struct Targets {
    map: HashMap<MapData, u32, u8>,
    left_out: PerCpuArray<MapData, u64>,
}

impl Targets {
    pub(super) fn new(map: HashMap<MapData, u32, u8>, left_out: PerCpuArray<MapData, u64>) -> Self {
        Self { map, left_out }
    }

    /// Those that are wanted now, with those that the kernel side has found.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn all(&self) -> Result<BTreeSet<u32>, ProbeError> {
        self.map.keys().collect::<Result<_, _>>().map_err(failed("read"))
    }

    /// Adds one.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn add(&mut self, tgid: u32) -> Result<(), ProbeError> {
        self.map.insert(tgid, 1, 0).map_err(failed("fill"))
    }

    /// Takes one away that has ended: its number may be another one's soon.
    ///
    /// # Errors
    /// When the kernel does not do it.
    pub fn remove(&mut self, tgid: u32) -> Result<(), ProbeError> {
        match self.map.remove(&tgid) {
            Err(MapError::SyscallError(error))
                if error.io_error.kind() != std::io::ErrorKind::NotFound =>
            {
                Err(failed("change")(MapError::SyscallError(error)))
            }
            _ => Ok(()),
        }
    }

    /// Processes that the kernel side found no room for.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn left_out(&self) -> Result<u64, ProbeError> {
        let values = self.left_out.get(&0, 0).map_err(failed("read"))?;
        Ok(values.iter().sum())
    }
}

fn failed(action: &'static str) -> impl Fn(MapError) -> ProbeError {
    move |error| ProbeError::Map { action, map: "TARGETS", error }
}
