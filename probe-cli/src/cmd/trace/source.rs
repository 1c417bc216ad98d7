//! The probes, alone or with readings of the maps.

use std::time::Duration;

use super::files::Files;
use crate::{
    input::Input,
    live::collector::Collector,
    probe::{Ended, Live, ProbeError},
    sample::Sample,
};

/// What is recorded.
pub(super) enum Source {
    Events(Box<Live>),
    Maps(Box<Collector>),
}

impl Source {
    pub(super) fn poll(
        &mut self,
        timeout: Duration,
        mut take: impl FnMut(Input),
    ) -> Result<(), ProbeError> {
        match self {
            Self::Events(live) => live.poll(timeout, |event| take(event.into())).map(|_| ()),
            Self::Maps(collector) => collector.poll(timeout, take),
        }
    }

    /// The probes.
    pub(super) fn live(&mut self) -> &mut Live {
        match self {
            Self::Events(live) => live,
            Self::Maps(collector) => collector.live(),
        }
    }

    /// Keeps the map of one more process up to date, where maps are kept.
    pub(super) fn watch(&mut self, pid: u32) {
        if let Self::Maps(collector) = self {
            collector.watch(pid);
        }
    }

    /// Reads everything, for a file that begins.
    pub(super) fn begin_anew(&mut self, files: &mut Files) -> anyhow::Result<()> {
        let mut written = Ok(());
        if let Self::Maps(collector) = self {
            collector.begin_anew(|input| {
                if written.is_ok() {
                    written = files.input(&input);
                }
            })?;
        }
        Ok(written?)
    }

    /// What the kernel side has counted until now.
    pub(super) fn sample(&mut self) -> Result<Sample, ProbeError> {
        match self {
            Self::Events(live) => live.sample(),
            Self::Maps(collector) => collector.sample(),
        }
    }

    pub(super) fn finish(self, mut take: impl FnMut(Input)) -> Result<Ended, ProbeError> {
        match self {
            Self::Events(live) => live.finish(|event| take(event.into())),
            Self::Maps(collector) => collector.finish(take),
        }
    }
}
