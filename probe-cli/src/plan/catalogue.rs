//! The logical probes as data: under which names the kernel has had each, and what it needs.
//!
//! Adding a name that a later kernel uses is adding a word here.

use probe_common::{config::Offsets, probe::Probe};

use super::changes;

/// What an argument means to the handlers. Found by type and name in the function's prototype,
/// because positions differ between versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The address space.
    Mm,
    /// The VMA.
    Vma,
    /// The fault's description.
    Vmf,
    /// The walk's description.
    Walk,
    /// The first virtual address.
    Address,
    /// One past the last virtual address.
    End,
    /// `FAULT_FLAG_*`.
    Flags,
    /// The PMD entry.
    Pmd,
    /// Whether migration entries are made.
    Freeze,
    /// The order of the folios to be made.
    Order,
    /// A tracepoint's result.
    Status,
    /// The length of the range.
    Len,
    /// The first virtual address of the second range.
    NewAddress,
    /// The VMA of the parent at a fork.
    Source,
    /// The VMA that is inserted.
    Insert,
    /// The description of a move.
    Control,
    /// The description of a change of VMAs.
    Prepare,
    /// The folio.
    Folio,
    /// The page.
    Page,
    /// The page that is mapped instead.
    OtherPage,
    /// The file.
    File,
    /// The command of an ioctl.
    Command,
    /// The argument of an ioctl.
    Argument,
    /// The mask of a hugetlb page's address.
    Mask,
    /// How many base pages from the address on.
    Pages,
}

impl Role {
    /// What the parameter may be called and what its type is; no names: any name.
    #[must_use]
    pub const fn looks(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Mm => (&[], &["struct mm_struct *"]),
            Self::Vma => (&[], &["struct vm_area_struct *"]),
            Self::Vmf => (&[], &["struct vm_fault *"]),
            Self::Walk => (&[], &["struct mm_walk *"]),
            // The name differs by function: `Logical::address`.
            Self::Address => (&[], &["long unsigned int"]),
            Self::End => (&["end", "next"], &["long unsigned int"]),
            Self::Flags => (&["flags"], &["unsigned int", "enum fault_flag"]),
            Self::Pmd => (&[], &["pmd_t *"]),
            Self::Freeze => (&["freeze"], &["bool", "_Bool"]),
            Self::Order => (&["order", "new_order"], &["unsigned int"]),
            Self::Status => (&[], &["int"]),
            Self::Len => (&["len", "old_len"], &["long unsigned int", "size_t"]),
            Self::NewAddress => (&["new_addr"], &["long unsigned int"]),
            Self::Source => (&["src_vma"], &["struct vm_area_struct *"]),
            Self::Insert => (&["insert"], &["struct vm_area_struct *"]),
            Self::Control => (&[], &["struct pagetable_move_control *"]),
            Self::Prepare => (&[], &["struct vma_prepare *"]),
            Self::Folio => (&[], &["struct folio *"]),
            Self::Page => (&["page"], &["struct page *"]),
            Self::OtherPage => (&["kpage"], &["struct page *"]),
            Self::File => (&[], &["struct file *"]),
            Self::Command => (&["cmd"], &["unsigned int"]),
            Self::Argument => (&["arg"], &["long unsigned int"]),
            Self::Mask => (&["hmask"], &["long unsigned int"]),
            Self::Pages => (&["nr_pages"], &["long unsigned int"]),
        }
    }

    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mm => "mm",
            Self::Vma => "vma",
            Self::Vmf => "vmf",
            Self::Walk => "walk",
            Self::Address => "address",
            Self::End => "end",
            Self::Flags => "flags",
            Self::Pmd => "pmd",
            Self::Freeze => "freeze",
            Self::Order => "order",
            Self::Status => "status",
            Self::Len => "length",
            Self::NewAddress => "new address",
            Self::Source => "source",
            Self::Insert => "inserted VMA",
            Self::Control => "move control",
            Self::Prepare => "prepared VMAs",
            Self::Folio => "folio",
            Self::Page => "page",
            Self::OtherPage => "other page",
            Self::File => "file",
            Self::Command => "command",
            Self::Argument => "argument",
            Self::Mask => "page mask",
            Self::Pages => "number of pages",
        }
    }
}

/// One logical probe.
#[derive(Clone, Copy, Debug)]
pub struct Logical {
    /// Which.
    pub probe: Probe,
    /// What people lose without it.
    pub feature: &'static str,
    /// The kernel's functions that do it, the best first.
    pub functions: &'static [&'static str],
    /// Arguments without which a function is of no use.
    pub required: &'static [Role],
    /// What the first virtual address is called: in another function the same name can be a page
    /// offset.
    pub address: &'static [&'static str],
    /// Arguments that some versions have.
    pub optional: &'static [Role],
    /// The return value is needed.
    pub needs_result: bool,
    /// Offsets without which it is of no use.
    pub offsets: &'static [Member],
    /// Tracepoints that tell a part of it.
    pub tracepoints: &'static [Tracepoint],
    /// What some versions have instead of the required arguments.
    pub packed: Option<Packed>,
}

/// What a function must tell to be of use.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Arguments without which it is of no use.
    pub required: &'static [Role],
    /// What the first virtual address is called.
    pub address: &'static [&'static str],
    /// Arguments that some versions have.
    pub optional: &'static [Role],
    /// The return value is needed.
    pub result: bool,
    /// Offsets without which it is of no use.
    pub offsets: &'static [Member],
    /// What some versions have instead of the required arguments.
    pub packed: Option<Packed>,
}

impl Logical {
    /// What its functions must tell.
    #[must_use]
    pub const fn needs(&self) -> Needs {
        Needs {
            required: self.required,
            address: self.address,
            optional: self.optional,
            result: self.needs_result,
            offsets: self.offsets,
            packed: self.packed,
        }
    }
}

/// Arguments that stand in a structure, and what must be known of it.
#[derive(Clone, Copy, Debug)]
pub struct Packed {
    /// The arguments that such a version has.
    pub required: &'static [Role],
    /// The offsets without which they are of no use.
    pub offsets: &'static [Member],
}

/// Tracepoints that together stand in for a function.
#[derive(Clone, Copy, Debug)]
pub struct Tracepoint {
    /// Their names; all have the same arguments.
    pub names: &'static [&'static str],
    /// The types that the arguments must begin with: tracepoints' arguments have no names.
    pub types: &'static [&'static str],
    /// Which of them mean what.
    pub roles: &'static [(Role, u8)],
    /// What is missing against the function.
    pub limits: &'static str,
}

/// A structure member whose offset the programs need.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The structure.
    pub structure: &'static str,
    /// The member, and what it was called in other versions.
    pub members: &'static [&'static str],
    /// Where the programs look for it.
    pub set: fn(&mut Offsets, u16),
}

macro_rules! member {
    ($name:ident, $structure:ident . $($member:ident)|+) => {
        /// The offset of the member that bears its name.
        pub const $name: Member = Member {
            structure: stringify!($structure),
            members: &[$(stringify!($member)),+],
            set: |offsets, value| member!(@field offsets, $name) = value,
        };
    };
    (@field $offsets:ident, TASK_MM) => { $offsets.task_struct_mm };
    (@field $offsets:ident, TASK_FLAGS) => { $offsets.task_struct_flags };
    (@field $offsets:ident, TASK_TGID) => { $offsets.task_struct_tgid };
    (@field $offsets:ident, MM_OWNER) => { $offsets.mm_struct_owner };
    (@field $offsets:ident, VMA_MM) => { $offsets.vm_area_struct_vm_mm };
    (@field $offsets:ident, VMA_FLAGS) => { $offsets.vm_area_struct_vm_flags };
    (@field $offsets:ident, VMA_FILE) => { $offsets.vm_area_struct_vm_file };
    (@field $offsets:ident, VMF_VMA) => { $offsets.vm_fault_vma };
    (@field $offsets:ident, VMF_ADDRESS) => { $offsets.vm_fault_address };
    (@field $offsets:ident, VMF_FLAGS) => { $offsets.vm_fault_flags };
    (@field $offsets:ident, WALK_OPS) => { $offsets.mm_walk_ops };
    (@field $offsets:ident, WALK_VMA) => { $offsets.mm_walk_vma };
    (@field $offsets:ident, OPS_PUD) => { $offsets.mm_walk_ops_pud_entry };
    (@field $offsets:ident, OPS_PMD) => { $offsets.mm_walk_ops_pmd_entry };
    (@field $offsets:ident, OPS_PTE) => { $offsets.mm_walk_ops_pte_entry };
    (@field $offsets:ident, OPS_HUGETLB) => { $offsets.mm_walk_ops_hugetlb_entry };
    (@field $offsets:ident, FILE_INODE) => { $offsets.file_f_inode };
    (@field $offsets:ident, INODE_SB) => { $offsets.inode_i_sb };
    (@field $offsets:ident, SB_FS_INFO) => { $offsets.super_block_s_fs_info };
    (@field $offsets:ident, HUGETLBFS_HSTATE) => { $offsets.hugetlbfs_sb_info_hstate };
    (@field $offsets:ident, HSTATE_ORDER) => { $offsets.hstate_order };
    (@field $offsets:ident, VMA_START) => { $offsets.vm_area_struct_vm_start };
    (@field $offsets:ident, VMA_END) => { $offsets.vm_area_struct_vm_end };
    (@field $offsets:ident, MOVE_OLD) => { $offsets.pagetable_move_control_old };
    (@field $offsets:ident, MOVE_OLD_ADDR) => { $offsets.pagetable_move_control_old_addr };
    (@field $offsets:ident, MOVE_OLD_END) => { $offsets.pagetable_move_control_old_end };
    (@field $offsets:ident, MOVE_NEW_ADDR) => { $offsets.pagetable_move_control_new_addr };
    (@field $offsets:ident, PREPARE_VMA) => { $offsets.vma_prepare_vma };
    (@field $offsets:ident, PREPARE_NEXT) => { $offsets.vma_prepare_adj_next };
    (@field $offsets:ident, PREPARE_INSERT) => { $offsets.vma_prepare_insert };
    (@field $offsets:ident, PREPARE_REMOVE) => { $offsets.vma_prepare_remove };
    (@field $offsets:ident, PAGE_FLAGS) => { $offsets.page_flags };
    (@field $offsets:ident, FOLIO_PAGES) => { $offsets.folio_nr_pages };
    (@field $offsets:ident, FILE_DATA) => { $offsets.file_private_data };
    (@field $offsets:ident, UFFD_MM) => { $offsets.userfaultfd_ctx_mm };
    (@field $offsets:ident, MM_CODE) => { $offsets.mm_struct_start_code };
    (@field $offsets:ident, MM_STACK) => { $offsets.mm_struct_start_stack };
    (@field $offsets:ident, PAGE_INDEX) => { $offsets.page_index };
    (@field $offsets:ident, VMA_PGOFF) => { $offsets.vm_area_struct_vm_pgoff };
}

member!(TASK_MM, task_struct.mm);
member!(TASK_FLAGS, task_struct.flags);
member!(TASK_TGID, task_struct.tgid);
member!(MM_OWNER, mm_struct.owner);
member!(VMA_MM, vm_area_struct.vm_mm);
member!(VMA_FLAGS, vm_area_struct.vm_flags | flags);
member!(VMA_FILE, vm_area_struct.vm_file);
member!(VMF_VMA, vm_fault.vma);
member!(VMF_ADDRESS, vm_fault.address);
member!(VMF_FLAGS, vm_fault.flags);
member!(WALK_OPS, mm_walk.ops);
member!(WALK_VMA, mm_walk.vma);
member!(OPS_PUD, mm_walk_ops.pud_entry);
member!(OPS_PMD, mm_walk_ops.pmd_entry);
member!(OPS_PTE, mm_walk_ops.pte_entry);
member!(OPS_HUGETLB, mm_walk_ops.hugetlb_entry);
member!(FILE_INODE, file.f_inode);
member!(INODE_SB, inode.i_sb);
member!(SB_FS_INFO, super_block.s_fs_info);
member!(HUGETLBFS_HSTATE, hugetlbfs_sb_info.hstate);
member!(HSTATE_ORDER, hstate.order);
member!(VMA_START, vm_area_struct.vm_start);
member!(VMA_END, vm_area_struct.vm_end);
member!(MOVE_OLD, pagetable_move_control.old);
member!(MOVE_OLD_ADDR, pagetable_move_control.old_addr);
member!(MOVE_OLD_END, pagetable_move_control.old_end);
member!(MOVE_NEW_ADDR, pagetable_move_control.new_addr);
member!(PREPARE_VMA, vma_prepare.vma);
member!(PREPARE_NEXT, vma_prepare.adj_next);
member!(PREPARE_INSERT, vma_prepare.insert);
member!(PREPARE_REMOVE, vma_prepare.remove);
member!(PAGE_FLAGS, page.flags);
member!(FOLIO_PAGES, folio._nr_pages | _folio_nr_pages);
member!(FILE_DATA, file.private_data);
member!(UFFD_MM, userfaultfd_ctx.mm);
member!(MM_CODE, mm_struct.start_code);
member!(MM_STACK, mm_struct.start_stack);
member!(PAGE_INDEX, page.index | __folio_index);
member!(VMA_PGOFF, vm_area_struct.vm_pgoff);

/// Every offset that is looked up.
pub const MEMBERS: [Member; 39] = [
    TASK_MM,
    TASK_FLAGS,
    TASK_TGID,
    MM_OWNER,
    VMA_MM,
    VMA_FLAGS,
    VMA_FILE,
    VMF_VMA,
    VMF_ADDRESS,
    VMF_FLAGS,
    WALK_OPS,
    WALK_VMA,
    OPS_PUD,
    OPS_PMD,
    OPS_PTE,
    OPS_HUGETLB,
    FILE_INODE,
    INODE_SB,
    SB_FS_INFO,
    HUGETLBFS_HSTATE,
    HSTATE_ORDER,
    VMA_START,
    VMA_END,
    MOVE_OLD,
    MOVE_OLD_ADDR,
    MOVE_OLD_END,
    MOVE_NEW_ADDR,
    PREPARE_VMA,
    PREPARE_NEXT,
    PREPARE_INSERT,
    PREPARE_REMOVE,
    PAGE_FLAGS,
    FOLIO_PAGES,
    FILE_DATA,
    UFFD_MM,
    MM_CODE,
    MM_STACK,
    PAGE_INDEX,
    VMA_PGOFF,
];

/// Members that the scan needs, as structure and member.
pub const SCAN_MEMBERS: [(&str, &str); 13] = [
    ("task_struct", "files"),
    ("files_struct", "fdt"),
    ("fdtable", "fd"),
    ("file", "private_data"),
    ("file", "f_mapping"),
    ("address_space", "i_pages"),
    ("xarray", "xa_head"),
    ("mm_struct", "pgd"),
    ("page", "flags"),
    // The second name is that of 7.1.
    ("page", "compound_head"),
    ("page", "compound_info"),
    // The first name is that of 6.16.
    ("folio", "_nr_pages"),
    ("folio", "_folio_nr_pages"),
];

/// Structures whose sizes the scan needs.
pub const SCAN_STRUCTURES: [&str; 1] = ["page"];

/// Functions that tell what a kernel's page tables can hold: they are there when the option is.
pub const SCAN_FUNCTIONS: [&str; 5] = [
    LOOP_FUNCTION,
    "memory_failure",
    "migrate_pages",
    "make_device_exclusive_range",
    "make_device_exclusive",
];

/// Parts of functions: where there is one, callers may go past the function itself.
pub const PARTS: [&str; 1] = ["move_page_tables.part.0"];

/// The helper that the scan loops with (Linux 5.17).
pub const LOOP_FUNCTION: &str = "bpf_loop";

/// Enumerations whose values records or page structs hold.
pub const ENUMERATIONS: [&str; 3] = ["scan_result", "vm_fault_reason", "pageflags"];

/// A function of which every kernel with networking has a copy that it never calls
/// (net/bpf/test_run.c): it shows whether functions can be probed at all.
pub const TRIAL_FUNCTION: &str = "bpf_fentry_test1";

const THP_FAULT: Logical = Logical {
    probe: Probe::ThpFault,
    feature: "anonymous THP faults",
    functions: &["do_huge_pmd_anonymous_page"],
    required: &[Role::Vmf],
    address: &[],
    optional: &[],
    needs_result: true,
    offsets: &[TASK_MM, VMF_VMA, VMF_ADDRESS, VMF_FLAGS, VMA_MM],
    tracepoints: &[],
    packed: None,
};

const WALK_CALLBACK: Logical = Logical {
    probe: Probe::WalkSmaps,
    feature: "smaps walks on the generic path, by PMD",
    functions: &["smaps_pte_range"],
    required: &[Role::Walk, Role::Address, Role::End],
    address: &["addr"],
    optional: &[],
    needs_result: true,
    offsets: &[TASK_MM, WALK_VMA, VMA_MM],
    tracepoints: &[],
    packed: None,
};

/// Every logical probe, by number.
pub const CATALOGUE: [Logical; probe_common::probe::PROBES] = [
    Logical {
        probe: Probe::HugetlbFault,
        feature: "hugetlb faults",
        functions: &["hugetlb_fault"],
        required: &[Role::Vma, Role::Address, Role::Flags],
        address: &["address"],
        optional: &[],
        needs_result: true,
        offsets: &[TASK_MM, VMA_MM],
        tracepoints: &[],
        packed: None,
    },
    Logical {
        probe: Probe::MmFault,
        feature: "page faults",
        functions: &["handle_mm_fault"],
        required: &[Role::Vma, Role::Address, Role::Flags],
        address: &["address"],
        optional: &[],
        needs_result: true,
        offsets: &[TASK_MM, VMA_MM],
        tracepoints: &[Tracepoint {
            names: &["page_fault_user", "page_fault_kernel"],
            types: &["long unsigned int", "struct pt_regs *", "long unsigned int"],
            roles: &[(Role::Address, 0), (Role::Flags, 2)],
            limits: "no duration, no result, none for another process's memory",
        }],
        packed: None,
    },
    THP_FAULT,
    Logical {
        probe: Probe::ThpWpFault,
        feature: "copy-on-write faults on THPs",
        functions: &["do_huge_pmd_wp_page"],
        ..THP_FAULT
    },
    Logical {
        probe: Probe::ThpFileFault,
        feature: "file and shmem faults that map a PMD",
        functions: &["do_set_pmd"],
        ..THP_FAULT
    },
    Logical {
        probe: Probe::ThpNumaFault,
        feature: "NUMA hinting faults on THPs",
        functions: &["do_huge_pmd_numa_page"],
        ..THP_FAULT
    },
    Logical {
        probe: Probe::PmdSplit,
        feature: "PMD splits",
        // The later ones are also entered when nothing is split, and from 6.17 on they have
        // copies that are inlined into their callers.
        functions: &["__split_huge_pmd_locked", "split_huge_pmd_locked", "__split_huge_pmd"],
        required: &[Role::Vma, Role::Pmd, Role::Address],
        address: &["address", "haddr"],
        optional: &[Role::Freeze],
        needs_result: false,
        offsets: &[TASK_MM, VMA_MM],
        tracepoints: &[],
        packed: None,
    },
    Logical {
        probe: Probe::FolioSplit,
        feature: "folio splits",
        functions: &[
            "__folio_split",
            "split_huge_page_to_list_to_order",
            "split_huge_page_to_list",
        ],
        required: &[],
        address: &[],
        optional: &[Role::Order],
        needs_result: true,
        offsets: &[TASK_MM],
        tracepoints: &[],
        packed: None,
    },
    Logical {
        probe: Probe::Collapse,
        feature: "collapses of anonymous memory",
        functions: &["collapse_huge_page"],
        required: &[Role::Mm, Role::Address],
        address: &["address", "start_addr"],
        optional: &[Role::Order],
        needs_result: true,
        offsets: &[TASK_MM],
        tracepoints: &[Tracepoint {
            names: &["mm_collapse_huge_page"],
            types: &["struct mm_struct *", "int", "int"],
            roles: &[(Role::Mm, 0), (Role::Status, 2)],
            limits: "no address, no duration",
        }],
        packed: None,
    },
    Logical {
        probe: Probe::CollapseFile,
        feature: "collapses of file and shmem memory",
        functions: &["collapse_file"],
        required: &[Role::Mm, Role::Address],
        address: &["addr"],
        optional: &[],
        needs_result: false,
        offsets: &[TASK_MM],
        tracepoints: &[Tracepoint {
            names: &["mm_khugepaged_collapse_file"],
            types: &[
                "struct mm_struct *",
                "",
                "long unsigned int",
                "long unsigned int",
                "bool",
                "struct file *",
                "int",
                "int",
            ],
            roles: &[(Role::Mm, 0), (Role::Address, 3), (Role::Status, 7)],
            limits: "no duration",
        }],
        packed: None,
    },
    Logical {
        probe: Probe::CollapseRequest,
        feature: "MADV_COLLAPSE requests",
        functions: &["madvise_collapse"],
        required: &[Role::Vma, Role::Address, Role::End],
        address: &["start"],
        optional: &[],
        needs_result: true,
        offsets: &[TASK_MM, VMA_MM],
        tracepoints: &[],
        packed: None,
    },
    Logical {
        probe: Probe::WalkVma,
        feature: "page-table walks by VMA",
        functions: &["__walk_page_range"],
        required: &[Role::Walk, Role::Address, Role::End],
        address: &["start"],
        optional: &[],
        needs_result: true,
        offsets: &[
            TASK_MM,
            WALK_OPS,
            WALK_VMA,
            VMA_MM,
            VMA_FLAGS,
            OPS_PUD,
            OPS_PMD,
            OPS_PTE,
            OPS_HUGETLB,
        ],
        tracepoints: &[],
        packed: None,
    },
    WALK_CALLBACK,
    Logical {
        probe: Probe::WalkSmapsHugetlb,
        feature: "smaps walks on the hugetlb path, by entry",
        functions: &["smaps_hugetlb_range"],
        ..WALK_CALLBACK
    },
    Logical {
        probe: Probe::WalkPagemap,
        feature: "pagemap walks on the generic path, by PMD",
        functions: &["pagemap_pmd_range"],
        ..WALK_CALLBACK
    },
    Logical {
        probe: Probe::WalkPagemapHugetlb,
        feature: "pagemap walks on the hugetlb path, by entry",
        functions: &["pagemap_hugetlb_range"],
        ..WALK_CALLBACK
    },
    changes::ZAP,
    changes::ZAP_HUGETLB,
    changes::PROTECT,
    changes::MOVE,
    changes::FORK,
    changes::SHARE,
    changes::UNSHARE,
    changes::UFFD,
    changes::MIGRATE,
    changes::RESTORE,
    changes::RECLAIM,
    changes::EXEC,
    changes::EXIT,
    changes::VMA_MAP,
    changes::VMA_UNMAP,
    changes::VMA_BRK,
    changes::VMA_GROW,
    changes::VMA_LINK,
    changes::VMA_ADJUST,
    changes::COLLAPSE_MAPPED,
    changes::RETRACT,
    changes::UNUSE,
    changes::KSM_MERGE,
    changes::PUD_SPLIT,
];

#[cfg(test)]
mod tests {
    use super::{CATALOGUE, MEMBERS, Role};
    use probe_common::{config::Offsets, probe::Probe};

    #[test]
    fn each_probe_has_its_row() {
        for (logical, probe) in CATALOGUE.iter().zip(Probe::ALL) {
            assert_eq!(logical.probe, probe);
            assert!(!logical.functions.is_empty() && !logical.feature.is_empty());
            let by_address = logical.required.contains(&Role::Address);
            assert_eq!(by_address, !logical.address.is_empty(), "{}", probe.name());
        }
    }

    #[test]
    fn each_member_sets_a_field_of_its_own() {
        let mut offsets = Offsets::NONE;
        for (number, member) in (0..).zip(MEMBERS) {
            (member.set)(&mut offsets, number);
        }
        let text = format!("{offsets:?}");
        for number in 0..MEMBERS.len() {
            let found = text.matches(&format!(": {number},")).count();
            assert_eq!(found, 1, "offset {number} in {text}");
        }
    }

    #[test]
    fn every_required_role_can_be_recognised() {
        for logical in CATALOGUE {
            for role in logical
                .required
                .iter()
                .chain(logical.optional)
                .chain(logical.packed.map_or(&[][..], |packed| packed.required))
            {
                assert!(!role.looks().1.is_empty(), "{}", Role::name(*role));
            }
        }
    }
}
