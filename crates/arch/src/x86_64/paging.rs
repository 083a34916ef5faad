//! Page tables of 4 and 5 levels (Intel SDM volume 3, chapter 5; bits as arch/x86/include/asm/pgtable_types.h
//! names them).
//!
//! A table entry is taken as the kernel takes it, not only as the processor does: `PROT_NONE` pages and huge
//! pages that are being split are there although their present bit is clear.

use super::X86_64;
use super::layout;
use crate::Pte;
use crate::capability::PageTableKinds;
use crate::space::{Entry, Level, PageTables, Paging};
use base::PhysAddr;

/// Bit 0, `_PAGE_PRESENT`.
pub(crate) const PRESENT: u64 = 1;
/// Bit 7, `_PAGE_PSE`: the entry maps a huge page (PMD and PUD only; in a PTE it is PAT).
pub(crate) const PSE: u64 = 1 << 7;
/// Bit 8, `_PAGE_GLOBAL`; in an entry that is not present, `_PAGE_PROTNONE`.
pub(crate) const GLOBAL: u64 = 1 << 8;
/// Bits 12 to 51.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

const fn level(name: &'static str, shift: u32) -> Level {
    Level { name, shift, bits: 9 }
}

/// The deepest levels, which both modes have.
const PUD: Level = level("PUD", 30);
const PMD: Level = level("PMD", 21);
const PTE: Level = level("PTE", 12);

/// Four levels: 48 bits of an address.
pub(crate) static LEVELS_4: Paging = Paging {
    levels: &[level("PGD", 39), PUD, PMD, PTE],
    classify,
    is_canonical: |at| layout::is_canonical(at, 4),
    kernel_half: layout::kernel_half(4),
    address_bits: 48,
};
/// Five levels (CR4.LA57): 57 bits.
pub(crate) static LEVELS_5: Paging = Paging {
    levels: &[level("PGD", 48), level("P4D", 39), PUD, PMD, PTE],
    classify,
    is_canonical: |at| layout::is_canonical(at, 5),
    kernel_half: layout::kernel_half(5),
    address_bits: 57,
};

/// Both.
pub(crate) static MODES: [&Paging; 2] = [&LEVELS_4, &LEVELS_5];

/// Tables of 4 or 5 levels.
pub(crate) fn tables(root: PhysAddr, levels: u8) -> PageTables {
    PageTables::of(root, if levels == 5 { &LEVELS_5 } else { &LEVELS_4 })
}

/// The flags of an entry, in the order in which crash's `vtop` and `pte` print them.
pub(crate) fn flag_names(entry: u64) -> impl Iterator<Item = &'static str> {
    const FLAGS: [(u32, &str); 10] = [
        (0, "PRESENT"),
        (1, "RW"),
        (2, "USER"),
        (3, "PWT"),
        (4, "PCD"),
        (5, "ACCESSED"),
        (6, "DIRTY"),
        (7, "PSE"),
        (8, "GLOBAL"),
        (63, "NX"),
    ];
    FLAGS.into_iter().filter(move |(bit, _)| entry & (1 << bit) != 0).map(|(_, name)| name)
}

/// The parts of an entry.
pub(crate) fn pte(entry: u64, encryption: u64) -> crate::Pte {
    let phys = entry & ADDRESS & !encryption;
    // in a huge page's entry bit 12 is PAT
    let phys = if entry & PSE != 0 { phys & !0x1000 } else { phys };
    crate::Pte { mapped: entry & (PRESENT | GLOBAL) != 0, phys, flags: flag_names(entry).collect() }
}

/// How a swap entry is packed into a PTE that is not present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SwapLayout {
    /// Since 4.18 (bcd11afa7ada): type in bits 59 to 63, offset inverted in bits 9 to 58.
    Inverted,
    /// 4.6 to 4.17 (ace7fab7a6cd): type in bits 9 to 13, offset from bit 14.
    Bit9,
    /// Before 4.6: type in bits 1 to 5, offset from bit 9.
    Bit1,
}

/// All of them, the newest first.
pub(crate) const SWAP_LAYOUTS: [SwapLayout; 3] = [SwapLayout::Inverted, SwapLayout::Bit9, SwapLayout::Bit1];

/// The swap type and offset of an entry that is not present; `None` where the entry is no swap entry.
#[must_use]
pub(crate) const fn swap_entry(entry: u64, layout: SwapLayout) -> Option<(u64, u64)> {
    if entry == 0 || entry & (PRESENT | GLOBAL) != 0 {
        return None;
    }
    Some(match layout {
        SwapLayout::Inverted => (entry >> 59, (!entry << 5) >> 14),
        SwapLayout::Bit9 => ((entry >> 9) & 0x1f, entry >> 14),
        SwapLayout::Bit1 => ((entry >> 1) & 0x1f, entry >> 9),
    })
}

/// Whether the processor runs code in a page: bit 63 of its entry forbids it.
pub(crate) const fn may_run(entry: u64) -> bool {
    entry >> 63 == 0
}

fn classify(entry: u64, level: &Level, encryption: u64) -> Entry {
    let size_mask = (1_u64 << level.shift) - 1;
    let address = |e: u64| e & ADDRESS & !encryption;
    let leaf = |e: u64| Entry::Leaf(PhysAddr(address(e) & !size_mask));
    let (is_last, is_pmd) = (level.shift == PTE.shift, level.shift == PMD.shift);
    let huge = entry & PSE != 0 && (is_pmd || level.shift == PUD.shift);
    if entry & PRESENT != 0 {
        return if is_last || huge { leaf(entry) } else { Entry::Table(PhysAddr(address(entry))) };
    }
    if entry == 0 {
        Entry::Empty
    } else if entry & GLOBAL != 0 && (is_last || huge) {
        // PROT_NONE; since 4.18 (6b28baca9b1f) the address is stored inverted, so that the top bit is set
        leaf(if entry & (1 << 51) != 0 { !entry } else { entry })
    } else if huge && is_pmd {
        leaf(entry)
    } else if is_last || is_pmd {
        Entry::Swapped
    } else {
        Entry::Empty
    }
}

impl PageTableKinds for X86_64 {
    fn modes(&self) -> &'static [&'static Paging] {
        &MODES
    }
    fn may_run(&self, entry: u64) -> bool {
        may_run(entry)
    }
    fn pte(&self, entry: u64, tables: &PageTables) -> Pte {
        pte(entry, tables.encryption)
    }
    fn swap_entries(&self, entry: u64) -> Vec<(u64, u64)> {
        SWAP_LAYOUTS.into_iter().filter_map(|layout| swap_entry(entry, layout)).collect()
    }
    /// The user's lies in the page behind the kernel's (arch/x86/include/asm/pgtable.h, `PTI_PGTABLE_SWITCH_BIT`).
    fn twin(&self, root: PhysAddr) -> Option<PhysAddr> {
        Some(PhysAddr(root.0 ^ 0x1000))
    }
}

#[cfg(test)]
#[path = "paging_tests.rs"]
mod tests;
