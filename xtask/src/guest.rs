//! Puts together a guest: kernel, init, shell, programs. Shared by `vm`, `top` and `test`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use probe_lab::{Accelerator, AddedFile, Machine, Qemu, kvm_works};

use crate::context::Context;
use crate::kernels::{self, Kernel};
use crate::{build, say, series, setup};

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

/// All that guests of one command have in common.
#[derive(Debug)]
pub(crate) struct Lab {
    /// The QEMU that runs them.
    pub(crate) qemu: Qemu,
    init: PathBuf,
    busybox: Option<PathBuf>,
    walkprobe: PathBuf,
    logs: PathBuf,
}

/// A kernel to boot.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// Its series, or the file's name.
    pub(crate) name: String,
    image: PathBuf,
    modules: Option<PathBuf>,
}

impl Lab {
    /// Sets up and builds what is missing.
    pub(crate) fn open(cx: &Context) -> Result<Self> {
        let qemu = setup::qemu(cx)?;
        let busybox = setup::busybox(cx)?;
        let walkprobe = build::walkprobe(cx)?;
        let init = build::guest_init(cx)?;
        let logs = cx.workspace.target.join("guests");
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        Ok(Self { qemu, init, busybox, walkprobe, logs })
    }

    /// The static `walkprobe`.
    pub(crate) fn walkprobe(&self) -> &Path {
        &self.walkprobe
    }

    /// A guest with `walkprobe` on its PATH.
    pub(crate) fn machine(
        &self,
        kernel: &Chosen,
        accelerator: Accelerator,
        command: Vec<String>,
    ) -> Machine {
        let log = self.logs.join(format!("{}-{}.log", kernel.name, std::process::id()));
        let mut machine = Machine::new(kernel.image.clone(), self.init.clone(), log, command);
        machine.modules.clone_from(&kernel.modules);
        machine.accelerator = accelerator;
        machine.busybox.clone_from(&self.busybox);
        machine.add.push(AddedFile::program(self.walkprobe.clone(), "walkprobe"));
        let term = std::env::var("TERM").unwrap_or_else(|_| "linux".to_owned());
        machine.environment.push(("TERM".to_owned(), term));
        machine
    }

    /// KVM where it boots this kernel, else software emulation. Tried once for each start of this machine.
    pub(crate) fn accelerator(&self, cx: &Context, kernel: &Chosen) -> Result<Accelerator> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let verdict = cx.cache.path("kvm");
        let known = fs::read_to_string(&verdict).unwrap_or_default();
        let works = match known.split_once(' ') {
            Some((id, works)) if id == boot_id.trim() => works == "works",
            _ => {
                let works = kvm_works(&self.qemu, &kernel.image)?;
                let word = if works { "works" } else { "fails" };
                fs::write(&verdict, format!("{} {word}", boot_id.trim()))?;
                works
            }
        };
        Ok(if works { Accelerator::Kvm } else { Accelerator::Tcg })
    }
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
    if series::ALL.contains(&kernel) {
        return Ok(kernels::ensure(cx, kernel)?.into());
    }
    let image = Path::new(kernel);
    if !image.is_file() {
        bail!("`{kernel}` is no file and none of the series {}", series::ALL.join(", "));
    }
    Ok(Chosen::at(&image.file_name().unwrap_or_default().to_string_lossy(), image))
}

impl Chosen {
    /// An image without modules.
    pub(crate) fn at(name: &str, image: &Path) -> Self {
        Self { name: name.to_owned(), image: image.to_owned(), modules: None }
    }
}

/// The newest of the kernels that `setup` fetches.
pub(crate) fn default_series() -> &'static str {
    series::DEFAULT[series::DEFAULT.len() - 1]
}

impl From<Kernel> for Chosen {
    fn from(kernel: Kernel) -> Self {
        Self { image: kernel.image(), modules: kernel.modules(), name: kernel.series }
    }
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
