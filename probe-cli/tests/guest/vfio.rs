//! Memory of a PCI device, which the kernel maps by leaves as large as fit (`drivers/vfio/pci/vfio_pci_core.c`, Linux
//! 6.12): the only ones of 1 GiB outside of hugetlb that these guests have. The device is QEMU's `ivshmem-plain`.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, RawFd},
        unix::fs::FileExt as _,
    },
    path::{Path, PathBuf},
};

use libtest_mimic::Failed;

use crate::run::ensure;

const DEVICES: &str = "/sys/bus/pci/devices";
const VENDOR: &str = "0x1af4";
const DEVICE: &str = "0x1110";
/// The BAR with the memory (docs/specs/ivshmem-spec.rst of QEMU).
const MEMORY: u32 = 2;

/// `VFIO_*` requests (include/uapi/linux/vfio.h): no direction, no size.
const SET_IOMMU: u64 = 0x3b66;
const SET_CONTAINER: u64 = 0x3b68;
const GET_DEVICE_FD: u64 = 0x3b6a;
const GET_REGION_INFO: u64 = 0x3b6c;
/// `VFIO_TYPE1_IOMMU`.
const TYPE1: u64 = 1;
/// `VFIO_PCI_CONFIG_REGION_INDEX`.
const CONFIG: u32 = 7;
/// `PCI_COMMAND`, and in it the bit that lets the memory be accessed (include/uapi/linux/pci_regs.h).
const COMMAND: u64 = 4;
const ANSWERS: u8 = 2;

/// `struct vfio_region_info`.
#[derive(Default)]
#[repr(C)]
struct Region {
    size_of_this: u32,
    flags: u32,
    index: u32,
    capabilities: u32,
    size: u64,
    offset: u64,
}

/// A device that is ours until it is dropped.
pub(crate) struct Device {
    _container: File,
    _group: File,
    file: File,
    memory: Region,
}

/// The device, if this guest has it.
pub(crate) fn find() -> Option<PathBuf> {
    let is = |path: &Path, file: &str, value: &str| {
        fs::read_to_string(path.join(file)).is_ok_and(|text| text.trim() == value)
    };
    let devices = fs::read_dir(DEVICES).ok()?.flatten().map(|device| device.path());
    devices.into_iter().find(|path| is(path, "vendor", VENDOR) && is(path, "device", DEVICE))
}

impl Device {
    /// Takes the device.
    pub(crate) fn open() -> Result<Self, Failed> {
        let path = find().ok_or("no such device")?;
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("no name")?;
        if !path.join("driver").exists() {
            fs::write(path.join("driver_override"), "vfio-pci")?;
            fs::write("/sys/bus/pci/drivers_probe", name)?;
        }
        let group = fs::read_link(path.join("iommu_group"))?;
        let group = Path::new("/dev/vfio").join(group.file_name().ok_or("no group")?);
        let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path);
        // The interrupts that the device could fake are an emulated guest's.
        fs::write("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "1")?;
        let (container, group) = (open(Path::new("/dev/vfio/vfio"))?, open(&group)?);
        let number = container.as_raw_fd();
        ask(group.as_fd(), SET_CONTAINER, (&raw const number) as u64)?;
        ask(container.as_fd(), SET_IOMMU, TYPE1)?;
        let name = CString::new(name)?;
        let device = ask(group.as_fd(), GET_DEVICE_FD, name.as_ptr() as u64)?;
        #[expect(unsafe_code, reason = "the ioctl gives a new descriptor")]
        // SAFETY: it is new, and nobody else's.
        let file = unsafe { File::from_raw_fd(device) };
        let config = region(&file, CONFIG)?;
        file.write_all_at(&[ANSWERS, 0], config.offset + COMMAND)?;
        let memory = region(&file, MEMORY)?;
        ensure(memory.size > 0, || "the device has no memory".to_owned())?;
        Ok(Self { _container: container, _group: group, file, memory })
    }

    /// The file to map, and where in it the memory begins.
    pub(crate) fn memory(&self) -> (BorrowedFd<'_>, u64) {
        (self.file.as_fd(), self.memory.offset)
    }
}

fn region(device: &File, index: u32) -> io::Result<Region> {
    let size_of_this = u32::try_from(size_of::<Region>()).unwrap_or(0);
    let mut region = Region { size_of_this, index, ..Region::default() };
    ask(device.as_fd(), GET_REGION_INFO, (&raw mut region) as u64)?;
    Ok(region)
}

#[expect(unsafe_code, reason = "vfio has no safe interface")]
fn ask(file: BorrowedFd<'_>, request: u64, argument: u64) -> io::Result<RawFd> {
    // SAFETY: the argument is a number, or points to what the request wants.
    match unsafe { libc::ioctl(file.as_raw_fd(), request, argument) } {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(answer),
    }
}
