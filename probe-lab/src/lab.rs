//! Puts guests together: QEMU, a kernel, the program that is their init, a shell.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fetch::kernels::{self, Kernel};
use crate::fetch::{self, Cache, FetchError, series};
use crate::host::accel::{Accelerator, kvm_works};
use crate::host::boot::{Exit, Streams, boot};
use crate::host::check::check_kernel;
use crate::host::error::Error;
use crate::host::qemu::Qemu;
use crate::machine::Machine;

/// All that guests have in common.
#[derive(Debug)]
pub struct Lab {
    cache: Cache,
    qemu: Qemu,
    busybox: Option<PathBuf>,
    walkprobe: PathBuf,
}

/// A kernel to boot.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Its series, or the file's name.
    pub name: String,
    image: PathBuf,
    modules: Option<PathBuf>,
}

impl Lab {
    /// Finds QEMU (this one, or any) and busybox, or fetches them. `walkprobe` is the static program that is the guests'
    /// init, see [`Machine::walkprobe`].
    ///
    /// # Errors
    ///
    /// QEMU is not there and cannot be fetched, or the cache cannot be locked.
    pub fn open(
        cache: Cache,
        walkprobe: PathBuf,
        qemu: Option<PathBuf>,
    ) -> Result<Self, FetchError> {
        let qemu = match qemu {
            Some(binary) => Qemu::at(binary),
            None => fetch::qemu(&cache)?,
        };
        let busybox = fetch::busybox(&cache)?;
        Ok(Self { cache, qemu, busybox, walkprobe })
    }

    /// The program that is the guests' init.
    #[must_use]
    pub fn walkprobe(&self) -> &Path {
        &self.walkprobe
    }

    /// A guest that runs this command; the kernel's log goes to `log`.
    #[must_use]
    pub fn machine(
        &self,
        kernel: &Chosen,
        accelerator: Accelerator,
        log: PathBuf,
        command: Vec<String>,
    ) -> Machine {
        let mut machine = Machine::new(kernel.image.clone(), self.walkprobe.clone(), log, command);
        machine.modules.clone_from(&kernel.modules);
        machine.accelerator = accelerator;
        machine.busybox.clone_from(&self.busybox);
        let term = std::env::var("TERM").unwrap_or_else(|_| "linux".to_owned());
        machine.environment.push(("TERM".to_owned(), term));
        machine
    }

    /// KVM where it boots this kernel, else software emulation. Tried once for each start of this machine.
    ///
    /// # Errors
    ///
    /// The kernel is none, QEMU cannot be started, or the verdict cannot be kept in the cache.
    pub fn accelerator(&self, kernel: &Chosen) -> Result<Accelerator, Error> {
        check_kernel(&kernel.image)?;
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let verdict = self.cache.path("kvm");
        let known = fs::read_to_string(&verdict).unwrap_or_default();
        let works = match known.split_once(' ') {
            Some((id, works)) if id == boot_id.trim() => works == "works",
            _ => {
                let works = kvm_works(&self.qemu, &kernel.image)?;
                let word = if works { "works" } else { "fails" };
                fs::write(&verdict, format!("{} {word}", boot_id.trim()))
                    .map_err(Error::file("write", verdict))?;
                works
            }
        };
        Ok(if works { Accelerator::Kvm } else { Accelerator::Tcg })
    }

    /// Boots a guest; see [`boot`].
    ///
    /// # Errors
    ///
    /// Those of [`boot`].
    pub fn boot(&self, machine: &Machine, streams: Streams) -> Result<Exit, Error> {
        boot(&self.qemu, machine, streams)
    }
}

impl Chosen {
    /// A kernel by its series, which is fetched if need be, or by the path of its image.
    ///
    /// # Errors
    ///
    /// There is no such file, or the series cannot be had.
    pub fn find(cache: &Cache, kernel: &str) -> Result<Self, FetchError> {
        if series::ALL.contains(&kernel) {
            return Ok(kernels::ensure(cache, kernel)?.into());
        }
        let image = Path::new(kernel);
        if !image.is_file() {
            return Err(FetchError::NoKernel { name: kernel.to_owned() });
        }
        Ok(Self::at(&image.file_name().unwrap_or_default().to_string_lossy(), image))
    }

    /// An image without modules.
    #[must_use]
    pub fn at(name: &str, image: &Path) -> Self {
        Self { name: name.to_owned(), image: image.to_owned(), modules: None }
    }
}

impl From<Kernel> for Chosen {
    fn from(kernel: Kernel) -> Self {
        Self { image: kernel.image(), modules: kernel.modules(), name: kernel.series }
    }
}
