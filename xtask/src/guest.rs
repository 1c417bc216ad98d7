//! The guests of xtask: built here, put together by `probe_lab`. Shared by all that boots one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use probe_lab::{Accelerator, Chosen, Machine, Streams};

use crate::context::Context;
use crate::{build, say};

/// Two pages of 1 GiB and 128 of 2 MiB leave some of [`HUGE_MEMORY`] for transparent ones.
const HUGE_PAGES: &str =
    "hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=128 transparent_hugepage=always";
const HUGE_MEMORY: &str = "4G";

/// Two memory nodes with a CPU each; the first one is larger, for gaps in it cost a page of 1 GiB.
const NODES: [&str; 8] = [
    "-object",
    "memory-backend-ram,id=near,size=3G",
    "-object",
    "memory-backend-ram,id=far,size=2G",
    "-numa",
    "node,nodeid=0,cpus=0,memdev=near",
    "-numa",
    "node,nodeid=1,cpus=1,memdev=far",
];
const NODES_MEMORY: &str = "5G";

/// A device with memory of its own, which a process can have mapped, and the IOMMU that this takes.
const DEVICE: [&str; 6] = [
    "-object",
    "memory-backend-ram,id=device,size=2G,share=on",
    "-device",
    "intel-iommu",
    "-device",
    "ivshmem-plain,memdev=device",
];

/// The guests of one command, and where their logs go.
#[derive(Debug)]
pub(crate) struct Lab {
    lab: probe_lab::Lab,
    logs: PathBuf,
}

impl Lab {
    /// Sets up and builds what is missing.
    pub(crate) fn open(cx: &Context) -> Result<Self> {
        let walkprobe = build::walkprobe(cx)?;
        let lab = probe_lab::Lab::open(cx.cache.clone(), walkprobe, None)?;
        let logs = logs(cx)?;
        Ok(Self { lab, logs })
    }

    /// The static `walkprobe`.
    pub(crate) fn walkprobe(&self) -> &Path {
        self.lab.walkprobe()
    }

    /// A guest with `walkprobe` on its PATH.
    pub(crate) fn machine(
        &self,
        kernel: &Chosen,
        accelerator: Accelerator,
        command: Vec<String>,
    ) -> Machine {
        let log = self.logs.join(format!("{}-{}.log", kernel.name, std::process::id()));
        self.lab.machine(kernel, accelerator, log, command)
    }

    /// What executes the instructions of this kernel's guests here.
    pub(crate) fn accelerator(&self, kernel: &Chosen) -> Result<Accelerator> {
        Ok(self.lab.accelerator(kernel)?)
    }

    /// Boots a guest, see [`probe_lab::boot`].
    pub(crate) fn boot(
        &self,
        machine: &Machine,
        streams: Streams,
    ) -> Result<probe_lab::Exit, probe_lab::Error> {
        self.lab.boot(machine, streams)
    }
}

/// The folder of the kernels' logs.
pub(crate) fn logs(cx: &Context) -> Result<PathBuf> {
    let logs = cx.workspace.target.join("guests");
    fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
    Ok(logs)
}

/// Gives a guest enough huge pages of both sizes for the demo load and the tests.
pub(crate) fn with_huge_pages(machine: &mut Machine) {
    HUGE_PAGES.clone_into(&mut machine.append);
    HUGE_MEMORY.clone_into(&mut machine.memory);
}

/// Gives a guest all that the tests want of it.
pub(crate) fn for_tests(machine: &mut Machine) {
    with_huge_pages(machine);
    // Pages migrate on request from one memory node to another one, and where there are two the
    // kernel would move them, and leave hints, on its own.
    machine.append.push_str(" numa_balancing=disable");
    // A thread can be interrupted for another one while it is in the kernel, in the middle of a move.
    machine.append.push_str(" preempt=full");
    NODES_MEMORY.clone_into(&mut machine.memory);
    machine.cpus = 2;
    machine.qemu_options.extend(NODES.map(str::to_owned));
    machine.qemu_options.extend(DEVICE.map(str::to_owned));
    machine.append.push_str(" intel_iommu=on");
    // What swap space lies on, and what lends the device.
    if machine.modules.is_some() {
        machine.load.extend(["loop", "vfio_iommu_type1", "vfio_pci"].map(str::to_owned));
    }
}

/// A kernel by series or path.
pub(crate) fn choose(cx: &Context, kernel: &str) -> Result<Chosen> {
    Ok(Chosen::find(&cx.cache, kernel)?)
}

/// A command's exit status as this process's own, and a failed guest's as the status that stands for its failure.
pub(crate) fn exit_code(
    outcome: Result<probe_lab::Exit, probe_lab::Error>,
) -> std::process::ExitCode {
    match outcome {
        Ok(exit) => exit.status.into(),
        Err(probe_lab::Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            0.into()
        }
        Err(error) => {
            let status = error.exit_status();
            say::error(&error.into());
            status.into()
        }
    }
}
