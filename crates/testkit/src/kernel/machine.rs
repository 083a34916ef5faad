//! What the kernels of a machine are like: where things lie, and the shape of page tables.

use super::{DIRECT_MAP, TEXT, VMALLOC, VMEMMAP};
use crate::dump::Target;

/// The levels of page tables, and how entries look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    /// The lowest bit that a level's index has, and how many; the topmost level first.
    pub(super) levels: &'static [(u32, u32)],
    /// The smallest page that is not of the last level.
    pub(super) block: u32,
    /// Bits of an entry that names a table, maps a page, maps a block, and forbids code.
    pub(super) table: u64,
    pub(super) leaf: u64,
    pub(super) large: u64,
    pub(super) forbidden: u64,
    /// Bits of a user's entry that names a table, and of one that maps a page.
    pub(super) user_table: u64,
    pub(super) user: u64,
}

impl Mode {
    /// Bits of an address within a page.
    pub(super) const fn page(&self) -> u32 {
        self.levels[self.levels.len() - 1].0
    }

    /// Bytes of the topmost table.
    pub(super) const fn root_len(&self) -> u64 {
        8 << self.levels[0].1
    }

    /// Where in a table of a level with these bits the entry for an address is.
    pub(super) const fn slot(virt: u64, level: u32, bits: u32) -> u64 {
        (virt >> level & ((1 << bits) - 1)) * 8
    }

    /// True for an entry that maps a page or block, in a level.
    pub(super) const fn is_leaf(&self, entry: u64, shift: u32) -> bool {
        shift == self.page()
            || (shift == self.block || shift == 30) && entry & self.kind() == self.large & self.kind()
    }

    /// The bits that tell blocks from tables.
    const fn kind(&self) -> u64 {
        self.table ^ self.large & 0xfff
    }

    /// The address in an entry.
    pub(super) const fn address(&self, entry: u64) -> u64 {
        entry & 0x0000_ffff_ffff_f000 & !((1 << self.page()) - 1)
    }
}

/// A machine and its kernel's address space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    pub(super) target: Target,
    pub(super) text: u64,
    pub(super) direct_map: u64,
    pub(super) vmemmap: u64,
    pub(super) vmalloc: u64,
    /// Where its memory begins.
    pub(super) memory: u64,
    /// Bits of an address.
    bits: u32,
    pub(super) mode: Mode,
}

pub(super) const X86_64: Machine = Machine {
    target: Target::X86_64,
    text: TEXT,
    direct_map: DIRECT_MAP,
    vmemmap: VMEMMAP,
    vmalloc: VMALLOC,
    memory: 0,
    bits: 48,
    mode: Mode {
        levels: &[(39, 9), (30, 9), (21, 9), (12, 9)],
        block: 21,
        table: 0x63,
        leaf: 0x63,
        large: 0xe3,
        forbidden: 1 << 63,
        user_table: 0x67,
        user: 0x67,
    },
};

/// arm64 with pages of `1 << page` bytes.
pub(super) fn arm64(page: u32, bits: u32) -> Machine {
    let levels: &[(u32, u32)] = match (page, bits) {
        (12, 39) => &[(30, 9), (21, 9), (12, 9)],
        (12, 48) => &[(39, 9), (30, 9), (21, 9), (12, 9)],
        (12, 52) => &[(48, 4), (39, 9), (30, 9), (21, 9), (12, 9)],
        (14, 47) => &[(36, 11), (25, 11), (14, 11)],
        (14, 48) => &[(47, 1), (36, 11), (25, 11), (14, 11)],
        (14, 52) => &[(47, 5), (36, 11), (25, 11), (14, 11)],
        (16, 48) => &[(42, 6), (29, 13), (16, 13)],
        (16, 52) => &[(42, 10), (29, 13), (16, 13)],
        _ => panic!("no arm64 kernel has pages of {page} bits and addresses of {bits}"),
    };
    // `_PAGE_END(VA_BITS_MIN)`, and the modules' 128 MiB
    let text = (u64::MAX << (bits.min(48) - 1)) + 0x0800_0000;
    // UXN and the accessed bit; with LPA2 bits 8 and 9 are the address's
    let leaf = 1 << 54 | 0x403;
    Machine {
        target: Target::ARM64,
        text,
        direct_map: u64::MAX << bits,
        vmemmap: text + (64 << 30),
        vmalloc: text + (1 << 30),
        memory: 1 << 30,
        bits,
        mode: Mode {
            levels,
            block: levels[levels.len() - 2].0,
            table: 3,
            leaf,
            large: leaf & !2,
            forbidden: 1 << 53,
            user_table: 3,
            // not global, accessed, for user mode
            user: 1 << 53 | 0xc43,
        },
    }
}

impl Machine {
    /// The lines of VMCOREINFO that only this machine has: an image at `phys` of a memory that is `moved`.
    pub(super) fn info(&self, phys: u64, moved: u64) -> String {
        if self.target == Target::X86_64 {
            return format!("NUMBER(phys_base)={moved}\n");
        }
        format!(
            "NUMBER(kimage_voffset)=0x{:x}\nNUMBER(PHYS_OFFSET)=0x{moved:x}\nNUMBER(VA_BITS)={}\n\
             NUMBER(TCR_EL1_T1SZ)=0x{:x}\nNUMBER(VMEMMAP_START)=0x{:x}\nSIZE(page)=64\n",
            self.text.wrapping_sub(phys + moved),
            self.bits,
            64 - self.bits,
            self.vmemmap,
        )
    }
}
