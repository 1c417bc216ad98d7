//! What user space tells the programs before they are loaded: read-only globals.
//!
//! The verifier knows their values, so that a branch that a kernel does not need is not even
//! checked.

use crate::{plain, probe::PROBES};

/// A position or an offset that this kernel does not have.
pub const NONE8: u8 = u8::MAX;
/// An offset that this kernel does not have.
pub const NONE16: u16 = u16::MAX;

/// Bits of a slot's number that are the probe's; the others are the last ones of the thread's number.
pub const SLOT_PROBE_BITS: u32 = 6;
/// Slots for operations that are under way: threads whose numbers follow one another share none, up to 512 of them.
pub const SLOTS: u32 = 512 << SLOT_PROBE_BITS;
const _: () = assert!(PROBES < 1 << SLOT_PROBE_BITS);

/// Where the arguments of a probed function stand, from the function's BTF prototype.
///
/// Positions count from 0; [`NONE8`] where the function has no such argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Arguments {
    /// Number of arguments: the slot of the return value for fexit.
    pub count: u8,
    /// 1 when the function returns a value.
    pub returns: u8,
    /// `struct mm_struct *`.
    pub mm: u8,
    /// `struct vm_area_struct *`.
    pub vma: u8,
    /// `struct vm_fault *`.
    pub vmf: u8,
    /// `struct mm_walk *`.
    pub walk: u8,
    /// The first virtual address.
    pub address: u8,
    /// One past the last virtual address.
    pub end: u8,
    /// `FAULT_FLAG_*`, or the error code of a page-fault tracepoint.
    pub flags: u8,
    /// `pmd_t *`.
    pub pmd: u8,
    /// `bool freeze`.
    pub freeze: u8,
    /// The order of the folio to be made.
    pub order: u8,
    /// A tracepoint's result field.
    pub status: u8,
    /// The structure that holds the rest: `struct pagetable_move_control *`, `struct vma_prepare *`,
    /// `struct folio *`, `struct page *` or `struct file *`.
    pub object: u8,
    /// The length of the range in bytes.
    pub len: u8,
    /// The first address of the second range, the VMA that is inserted, the page that is mapped instead, or the
    /// argument of an ioctl.
    pub other: u8,
}

impl Arguments {
    /// No argument is known.
    pub const NONE: Self = Self {
        count: 0,
        returns: 0,
        mm: NONE8,
        vma: NONE8,
        vmf: NONE8,
        walk: NONE8,
        address: NONE8,
        end: NONE8,
        flags: NONE8,
        pmd: NONE8,
        freeze: NONE8,
        order: NONE8,
        status: NONE8,
        object: NONE8,
        len: NONE8,
        other: NONE8,
    };
}

/// Byte offsets of kernel structure members, from the kernel's BTF; [`NONE16`] where missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
#[expect(missing_docs, reason = "each field is the offset of the member whose name it bears")]
pub struct Offsets {
    pub task_struct_mm: u16,
    pub task_struct_flags: u16,
    pub task_struct_tgid: u16,
    pub mm_struct_owner: u16,
    pub vm_area_struct_vm_mm: u16,
    pub vm_area_struct_vm_flags: u16,
    pub vm_area_struct_vm_file: u16,
    pub vm_fault_vma: u16,
    pub vm_fault_address: u16,
    pub vm_fault_flags: u16,
    pub mm_walk_ops: u16,
    pub mm_walk_vma: u16,
    pub mm_walk_ops_pud_entry: u16,
    pub mm_walk_ops_pmd_entry: u16,
    pub mm_walk_ops_pte_entry: u16,
    pub mm_walk_ops_hugetlb_entry: u16,
    pub file_f_inode: u16,
    pub inode_i_sb: u16,
    pub super_block_s_fs_info: u16,
    pub hugetlbfs_sb_info_hstate: u16,
    pub hstate_order: u16,
    pub vm_area_struct_vm_start: u16,
    pub vm_area_struct_vm_end: u16,
    pub pagetable_move_control_old: u16,
    pub pagetable_move_control_old_addr: u16,
    pub pagetable_move_control_old_end: u16,
    pub pagetable_move_control_new_addr: u16,
    pub vma_prepare_vma: u16,
    pub vma_prepare_adj_next: u16,
    pub vma_prepare_insert: u16,
    pub vma_prepare_remove: u16,
    pub page_flags: u16,
    pub folio_nr_pages: u16,
    pub file_private_data: u16,
    pub userfaultfd_ctx_mm: u16,
    pub mm_struct_start_code: u16,
    pub mm_struct_start_stack: u16,
    pub page_index: u16,
    pub vm_area_struct_vm_pgoff: u16,
    pub reserved: [u16; 1],
}

impl Offsets {
    /// No offset is known.
    pub const NONE: Self = Self {
        task_struct_mm: NONE16,
        task_struct_flags: NONE16,
        task_struct_tgid: NONE16,
        mm_struct_owner: NONE16,
        vm_area_struct_vm_mm: NONE16,
        vm_area_struct_vm_flags: NONE16,
        vm_area_struct_vm_file: NONE16,
        vm_fault_vma: NONE16,
        vm_fault_address: NONE16,
        vm_fault_flags: NONE16,
        mm_walk_ops: NONE16,
        mm_walk_vma: NONE16,
        mm_walk_ops_pud_entry: NONE16,
        mm_walk_ops_pmd_entry: NONE16,
        mm_walk_ops_pte_entry: NONE16,
        mm_walk_ops_hugetlb_entry: NONE16,
        file_f_inode: NONE16,
        inode_i_sb: NONE16,
        super_block_s_fs_info: NONE16,
        hugetlbfs_sb_info_hstate: NONE16,
        hstate_order: NONE16,
        vm_area_struct_vm_start: NONE16,
        vm_area_struct_vm_end: NONE16,
        pagetable_move_control_old: NONE16,
        pagetable_move_control_old_addr: NONE16,
        pagetable_move_control_old_end: NONE16,
        pagetable_move_control_new_addr: NONE16,
        vma_prepare_vma: NONE16,
        vma_prepare_adj_next: NONE16,
        vma_prepare_insert: NONE16,
        vma_prepare_remove: NONE16,
        page_flags: NONE16,
        folio_nr_pages: NONE16,
        file_private_data: NONE16,
        userfaultfd_ctx_mm: NONE16,
        mm_struct_start_code: NONE16,
        mm_struct_start_stack: NONE16,
        page_index: NONE16,
        vm_area_struct_vm_pgoff: NONE16,
        reserved: [0; 1],
    };
}

/// Everything that the programs are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// Probes whose operations are sent as records, by [`Probe::bit`](crate::probe::Probe::bit).
    pub stream: u64,
    /// 1: only operations on processes in the map `TARGETS`.
    pub filter: u8,
    /// 1: add each operation to the statistics of its process.
    pub statistics: u8,
    /// The bit in `folio.flags` that says that the folio is large; [`NONE8`] when it is not known.
    pub page_head: u8,
    /// 1: send the stacks of the thread with each record.
    pub stacks: u8,
    /// The only thread group in the map `TARGETS`; 0 when there are others. Its statistics are the
    /// counters of the probes.
    pub target: u32,
    /// From so many bytes in the ring buffer on the reader is woken.
    pub hurry: u32,
    /// Keeps the size a multiple of 8.
    pub reserved: u32,
    /// Processes that begin a program of this name are added to the map `TARGETS`; zeroes for none.
    pub name: [u64; 2],
    /// Offsets of structure members.
    pub offsets: Offsets,
    /// Arguments of each probe, by probe number.
    pub arguments: [Arguments; PROBES],
}

impl Config {
    /// Nothing is known and nothing is sent.
    pub const NONE: Self = Self {
        stream: 0,
        filter: 0,
        statistics: 0,
        page_head: NONE8,
        stacks: 0,
        target: 0,
        hurry: 0,
        reserved: 0,
        name: [0; 2],
        offsets: Offsets::NONE,
        arguments: [Arguments::NONE; PROBES],
    };
}

plain!(Arguments: 16, Offsets: 80, Config: 120 + 16 * PROBES);
