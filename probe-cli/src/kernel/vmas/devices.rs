//! Which device numbers mean hugetlb pages, and which mean shared memory.
//!
//! A mapping's name is chosen by its owner; the device number in `maps` is the kernel's. hugetlbfs
//! and tmpfs mounts are in the target's `mountinfo`. The kernel's own mounts are in nobody's:
//! tmpfs for memfd, SysV and shared anonymous memory (mm/shmem.c, `shm_mnt`), and one hugetlbfs
//! for each page size (fs/hugetlbfs/inode.c, `hugetlbfs_vfsmount`). An empty memfd on each of
//! them, never mapped, tells their numbers and reserves no page.

use std::{fs, sync::OnceLock};

use rustix::fs::{MemfdFlags, fstat, major, memfd_create, minor};

use super::text::{Device, decimal, decode_octal};
use crate::model::leaf::LeafSize;

/// What files on a device are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// hugetlb pages of this size.
    Hugetlb(LeafSize),
    /// tmpfs.
    Shmem,
    /// tmpfs or devtmpfs with the device files: what is mapped there is mostly a device.
    Dev,
    /// Any other.
    File,
}

/// What the devices that occur in one address space are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Devices {
    known: Vec<(Device, Storage)>,
}

impl Devices {
    /// The devices in a `mountinfo`, and the kernel's own.
    pub(crate) fn new(mountinfo: &[u8]) -> Self {
        let mut devices = Self { known: internal().to_vec() };
        for (device, storage) in mountinfo.split(|&b| b == b'\n').filter_map(mount) {
            // A tmpfs can be mounted on /dev and elsewhere; /dev says more.
            match devices.get(device) {
                None => devices.known.push((device, storage)),
                Some(_) if storage == Storage::Dev => devices.set(device, storage),
                Some(_) => {}
            }
        }
        devices
    }

    /// What is known about a device.
    pub(crate) fn get(&self, device: Device) -> Option<Storage> {
        self.known.iter().find(|known| known.0 == device).map(|known| known.1)
    }

    /// Keeps what was found out about a device.
    pub(crate) fn set(&mut self, device: Device, storage: Storage) {
        self.known.retain(|known| known.0 != device);
        // The next VMA is most often on the same device as this one.
        self.known.insert(0, (device, storage));
    }
}

/// Device and storage of one line of `mountinfo` (fs/proc_namespace.c, `show_mountinfo`).
fn mount(line: &[u8]) -> Option<(Device, Storage)> {
    let mut fields = line.split(|&b| b == b' ');
    let mut number = fields.nth(2)?;
    let major = u32::try_from(decimal(&mut number)?).ok()?;
    let mut number = number.strip_prefix(b":")?;
    let minor = u32::try_from(decimal(&mut number)?).ok()?;
    let point = decode_octal(fields.nth(1)?);
    fields.find(|field| *field == b"-")?;
    let (kind, options) = (fields.next()?, fields.nth(1)?);
    let storage = match kind {
        b"hugetlbfs" => Storage::Hugetlb(page_size(options)?),
        b"devtmpfs" => Storage::Dev,
        b"tmpfs" if point == b"/dev" => Storage::Dev,
        b"tmpfs" => Storage::Shmem,
        _ => Storage::File,
    };
    Some((Device { major, minor }, storage))
}

/// `pagesize=2M` (fs/hugetlbfs/inode.c, `hugetlbfs_show_options`: K or M, never G).
fn page_size(options: &[u8]) -> Option<LeafSize> {
    let text = options.split(|&b| b == b',').find_map(|o| o.strip_prefix(b"pagesize="))?;
    let mut rest = text;
    let number = decimal(&mut rest)?;
    let shift = match rest {
        b"K" => 10,
        b"M" => 20,
        b"G" => 30,
        _ => return None,
    };
    number.is_power_of_two().then(|| leaf_size(number.checked_mul(1 << shift)?)).flatten()
}

/// The leaf size of so many bytes.
pub(crate) fn leaf_size(bytes: u64) -> Option<LeafSize> {
    let shift = u8::try_from(bytes.trailing_zeros()).ok()?;
    bytes.is_power_of_two().then(|| LeafSize::from_shift(shift)).flatten()
}

/// The kernel's own mounts: they stay as long as the kernel runs.
fn internal() -> &'static [(Device, Storage)] {
    static INTERNAL: OnceLock<Vec<(Device, Storage)>> = OnceLock::new();
    INTERNAL.get_or_init(|| {
        let mut devices = Vec::new();
        devices.extend(memfd_device(MemfdFlags::empty()).map(|device| (device, Storage::Shmem)));
        for size in hugetlb_sizes() {
            let flags = u32::from(size.shift()) << libc::MAP_HUGE_SHIFT;
            let flags = MemfdFlags::HUGETLB | MemfdFlags::from_bits_retain(flags);
            devices.extend(memfd_device(flags).map(|device| (device, Storage::Hugetlb(size))));
        }
        devices
    })
}

fn memfd_device(flags: MemfdFlags) -> Option<Device> {
    let file = memfd_create("walkprobe", flags | MemfdFlags::CLOEXEC).ok()?;
    let device = fstat(&file).ok()?.st_dev;
    Some(Device { major: major(device), minor: minor(device) })
}

/// The hugetlb page sizes of this kernel.
pub(crate) fn hugetlb_sizes() -> Vec<LeafSize> {
    let Ok(entries) = fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    let size = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let kilobytes = name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?;
        leaf_size(kilobytes.parse::<u64>().ok()?.checked_mul(1024)?)
    };
    entries.flatten().filter_map(size).collect()
}

#[cfg(test)]
mod tests {
    use super::{Devices, Storage, page_size};
    use crate::{kernel::vmas::text::Device, model::leaf::LeafSize};

    const MOUNTINFO: &[u8] = br"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
24 27 0:600 / /dev rw,relatime - devtmpfs devtmpfs rw,mode=755
25 24 0:601 / /dev/shm rw shared:7 master:1 - tmpfs tmpfs rw,size=1k
26 27 0:602 / /mnt/a\040-\040hugetlbfs rw - hugetlbfs none rw,pagesize=1024M
28 27 0:603 / /mnt/b rw - hugetlbfs none rw,mode=700,pagesize=2M,size=4M
29 27 0:604 / /mnt/c rw - hugetlbfs none rw
30 27 0:605 / /tmp rw - tmpfs x rw
31 27 0:605 / /dev rw - tmpfs x rw
32 27 0:606 / /cut rw - tmpf
33 27 999999999999:1 / / rw - tmpfs x rw
34 27";

    #[test]
    fn mounts_are_told_apart() {
        let devices = Devices::new(MOUNTINFO);
        let get = |major, minor| devices.get(Device { major, minor });
        assert_eq!(get(254, 0), Some(Storage::File));
        assert_eq!(get(0, 600), Some(Storage::Dev));
        assert_eq!(get(0, 601), Some(Storage::Shmem));
        assert_eq!(get(0, 602), Some(Storage::Hugetlb(LeafSize::PUD)));
        assert_eq!(get(0, 603), Some(Storage::Hugetlb(LeafSize::PMD)));
        assert_eq!(get(0, 605), Some(Storage::Dev));
        for unknown in [604, 606] {
            assert_eq!(get(0, unknown), None);
        }
    }

    #[test]
    fn page_sizes_are_read_or_refused() {
        assert_eq!(page_size(b"rw,pagesize=64K"), LeafSize::from_shift(16));
        for wrong in [&b"pagesize="[..], b"pagesize=3M", b"pagesize=0M", b"pagesize=2", b"rw"] {
            assert_eq!(page_size(wrong), None);
        }
        assert_eq!(page_size(b"pagesize=18446744073709551615G"), None);
        assert_eq!(page_size(b"pagesize=9223372036854775808G"), None);
    }
}
