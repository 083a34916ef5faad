//! Page tables of 4, 16 and 64 KiB pages (Arm ARM, chapter D8; bits as arch/arm64/include/asm/pgtable-hwdef.h names them).
//!
//! Kernel and user addresses have tables of their own: TTBR1_EL1 and TTBR0_EL1. A table entry is taken as the kernel takes
//! it: a `PROT_NONE` page is there although the processor says that it is not.

use super::Arm64;
use crate::PageTables;
use crate::Pte;
use crate::capability::PageTableKinds;
use crate::space::{Entry, Level, Paging};
use base::{PhysAddr, VirtAddr};

/// Bit 0: the processor takes the entry.
const VALID: u64 = 1;
/// Bit 1: a table in all levels but the last, a page in the last one; a block without it.
const TABLE: u64 = 1 << 1;
/// `AP[1]`, `PTE_USER`.
const USER: u64 = 1 << 6;
/// `AP[2]`, `PTE_RDONLY`.
const READ_ONLY: u64 = 1 << 7;
/// `PXN`: the kernel runs no code in it.
const PXN: u64 = 1 << 53;
/// `UXN`: user mode runs no code in it.
pub(crate) const UXN: u64 = 1 << 54;
/// `SH`, inner shareable: `PTE_SHARED`.
const SHARED: u64 = 3 << 8;
/// What tells a block that is there although it is not valid: `PTE_PROT_NONE` and `PMD_PRESENT_INVALID` up to 6.9.
const KEPT_BLOCK: u64 = 1 << 58 | 1 << 59;
/// The same since 6.10, `PTE_PRESENT_INVALID`: not global, which no swap entry has there, and accessed.
const KEPT_BLOCK_6_10: u64 = 1 << 11 | 1 << 10;
/// Bits 12 to 47: the address of a table or page of 4 KiB.
const ADDRESS_48: u64 = 0x0000_ffff_ffff_f000;

/// The bits of a physical address in an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Width {
    /// 48 bits.
    Bits48,
    /// 52 bits with `LPA2` (4 and 16 KiB pages): bits 49 and 48 stand where they belong, 51 and 50 in bits 9 and 8.
    Lpa2,
    /// 52 bits with 64 KiB pages: bits 51 to 48 stand in bits 15 to 12.
    Large52,
}

/// The bits of a physical address in the entries of tables in this mode.
fn width(mode: &Paging) -> Width {
    match (mode.address_bits, mode.page_shift()) {
        (52, 16) => Width::Large52,
        (52, _) => Width::Lpa2,
        _ => Width::Bits48,
    }
}

fn address(entry: u64, width: Width) -> u64 {
    match width {
        Width::Bits48 => entry & ADDRESS_48,
        Width::Lpa2 => (entry & 0x0003_ffff_ffff_f000) | (entry & 0x300) << 42,
        Width::Large52 => (entry & 0x0000_ffff_ffff_0000) | (entry & 0xf000) << 36,
    }
}

/// The levels in which an entry can be a block: 1 GiB and 2 MiB of 4 KiB pages, 32 MiB of 16 KiB pages, 512 MiB of 64 KiB
/// pages; with 52-bit addresses one level more.
const fn may_be_block(shift: u32, page: u32) -> bool {
    match page {
        12 => matches!(shift, 21 | 30 | 39),
        14 => matches!(shift, 25 | 36),
        _ => matches!(shift, 29 | 42),
    }
}

fn entry(entry: u64, level: &Level, page: u32, width: Width) -> Entry {
    let leaf = || Entry::Leaf(PhysAddr(address(entry, width) & !((1 << level.shift) - 1)));
    let is_last = level.shift == page;
    if entry & VALID != 0 {
        let names_next = entry & TABLE != 0;
        return match (is_last, names_next) {
            (true, true) => leaf(),
            (false, true) => Entry::Table(PhysAddr(address(entry, width) & !((1 << page) - 1))),
            (false, false) if may_be_block(level.shift, page) => leaf(),
            _ => Entry::Empty,
        };
    }
    let can_map = is_last || may_be_block(level.shift, page);
    if can_map && is_kept(entry, is_last) {
        return leaf();
    }
    if entry != 0 && can_map { Entry::Swapped } else { Entry::Empty }
}

/// True for an entry that is not valid and yet maps a page. The kernel clears the valid bit alone of a page's entry, while
/// the low two bits of a swap entry are 0.
const fn is_kept(entry: u64, is_last: bool) -> bool {
    entry & VALID == 0
        && if is_last {
            entry & TABLE != 0
        } else {
            entry & KEPT_BLOCK != 0 || entry & KEPT_BLOCK_6_10 == KEPT_BLOCK_6_10
        }
}

const fn level(name: &'static str, shift: u32, bits: u32) -> Level {
    Level { name, shift, bits }
}

/// True for an address whose bits above `bits` are all 0 (user) or all 1 (kernel). Bits 56 to 63 of a user address may be
/// a tag, which the processor ignores.
const fn is_canonical(at: VirtAddr, bits: u32) -> bool {
    let above = u64::MAX << bits;
    let tagless = at.0 & 0x00ff_ffff_ffff_ffff;
    at.0 & above == above || tagless & above == 0
}

/// A mode: bits of a page's size, bits of an address, levels.
macro_rules! mode {
    ($name:ident, $page:literal, $bits:literal, $width:expr, [$($level:expr),+]) => {
        pub(crate) static $name: Paging = Paging {
            levels: &[$($level),+],
            address_bits: $bits,
            classify: |e, level, _| entry(e, level, $page, $width),
            is_canonical: |at| is_canonical(at, $bits),
            kernel_half: VirtAddr(u64::MAX << $bits),
        };
    };
}

use Width::{Bits48, Large52, Lpa2};
// the names are those of `<asm-generic/pgtable-nop4d.h>` and its like: a level that is not there is folded into the next
mode!(K4_39, 12, 39, Bits48, [level("PGD", 30, 9), level("PMD", 21, 9), level("PTE", 12, 9)]);
mode!(
    K4_48,
    12,
    48,
    Bits48,
    [level("PGD", 39, 9), level("PUD", 30, 9), level("PMD", 21, 9), level("PTE", 12, 9)]
);
mode!(
    K4_52,
    12,
    52,
    Lpa2,
    [level("PGD", 48, 4), level("P4D", 39, 9), level("PUD", 30, 9), level("PMD", 21, 9), level("PTE", 12, 9)]
);
mode!(K16_36, 14, 36, Bits48, [level("PGD", 25, 11), level("PTE", 14, 11)]);
mode!(K16_47, 14, 47, Bits48, [level("PGD", 36, 11), level("PMD", 25, 11), level("PTE", 14, 11)]);
mode!(
    K16_48,
    14,
    48,
    Bits48,
    [level("PGD", 47, 1), level("PUD", 36, 11), level("PMD", 25, 11), level("PTE", 14, 11)]
);
mode!(
    K16_52,
    14,
    52,
    Lpa2,
    [level("PGD", 47, 5), level("PUD", 36, 11), level("PMD", 25, 11), level("PTE", 14, 11)]
);
mode!(K64_42, 16, 42, Bits48, [level("PGD", 29, 13), level("PTE", 16, 13)]);
mode!(K64_48, 16, 48, Bits48, [level("PGD", 42, 6), level("PMD", 29, 13), level("PTE", 16, 13)]);
mode!(K64_52, 16, 52, Large52, [level("PGD", 42, 10), level("PMD", 29, 13), level("PTE", 16, 13)]);

/// All of them, the usual ones first.
pub(crate) static MODES: [&Paging; 10] =
    [&K4_48, &K4_39, &K4_52, &K16_47, &K16_48, &K16_52, &K64_48, &K64_52, &K64_42, &K16_36];

/// The mode of a page size and of the addresses that the processor translates (64 - TCR_EL1.T1SZ).
pub(crate) fn mode(page_shift: u32, bits: u32) -> Option<&'static Paging> {
    MODES.iter().copied().find(|mode| mode.page_shift() == page_shift && mode.address_bits == bits)
}

/// The flags of an entry, as crash names them (arm64_translate_pte), and PXN, UXN as the architecture does.
fn flag_names(entry: u64, width: Width) -> Vec<&'static str> {
    // with LPA2 the bits of the attribute are the address's, and all memory is shareable (TCR_EL1.SH1)
    let shared = if width == Width::Lpa2 { u64::MAX } else { SHARED };
    let flags: [(u64, &str); 9] = [
        (VALID, "VALID"),
        (USER, "USER"),
        (READ_ONLY, "RDONLY"),
        (shared, "SHARED"),
        (1 << 10, "AF"),
        (1 << 11, "NG"),
        (PXN, "PXN"),
        (UXN, "UXN"),
        (1 << 55, "DIRTY"),
    ];
    let mut names: Vec<_> =
        flags.into_iter().filter(|(bits, _)| entry & bits == *bits).map(|(_, name)| name).collect();
    if is_kept(entry, true) {
        names.push("PROTNONE");
    }
    names
}

/// The parts of an entry of tables in this mode.
pub(crate) fn pte(entry: u64, mode: &Paging) -> Pte {
    let width = width(mode);
    Pte {
        mapped: entry & (VALID | TABLE) != 0,
        phys: address(entry, width) & (u64::MAX << mode.page_shift()),
        flags: flag_names(entry, width),
    }
}

/// Whether the kernel or user mode runs code in a page.
pub(crate) const fn may_run(entry: u64) -> bool {
    entry & PXN == 0 || entry & UXN == 0
}

impl PageTableKinds for Arm64 {
    fn modes(&self) -> &'static [&'static Paging] {
        &MODES
    }
    fn may_run(&self, entry: u64) -> bool {
        may_run(entry)
    }
    fn pte(&self, entry: u64, tables: &PageTables) -> Pte {
        pte(entry, tables.paging)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::PageTables;
    use base::{FaultKind, Missing, PhysRange, PhysRead};
    use std::collections::BTreeMap;

    /// Words of memory; all others are 0.
    struct Ram(BTreeMap<u64, u64>, [PhysRange; 1]);
    impl PhysRead for Ram {
        fn read_phys(&self, at: PhysAddr, buf: &mut [u8]) -> Result<(), Missing> {
            for (i, part) in buf.chunks_mut(8).enumerate() {
                let word = self.0.get(&(at.0 + 8 * i as u64)).copied().unwrap_or(0);
                part.copy_from_slice(&word.to_le_bytes()[..part.len()]);
            }
            Ok(())
        }
        fn ranges(&self) -> &[PhysRange] {
            &self.1
        }
    }

    /// Maps `at` to `to` in all levels of a mode, through one table a level.
    fn map(mode: &'static Paging, at: u64, to: u64, leaf_level: usize) -> (Ram, PageTables) {
        let mut words = BTreeMap::new();
        let page = 1_u64 << mode.page_shift();
        let mut table = 0x100 * page;
        let root = PhysAddr(table);
        for (depth, level) in mode.levels.iter().enumerate() {
            let index = (at >> level.shift) & ((1 << level.bits) - 1);
            let last = depth + 1 == mode.levels.len();
            let kind = if last || depth < leaf_level { 3 } else { 1 };
            let next = if depth == leaf_level { to } else { table + 0x10 * page };
            words.insert(table + index * 8, next | kind | 1 << 10);
            if depth == leaf_level {
                break;
            }
            table = next;
        }
        let range = PhysRange { start: PhysAddr(0), end: PhysAddr(1 << 40) };
        (Ram(words, [range]), PageTables::of(root, mode))
    }

    #[test]
    fn every_page_size_and_width_leads_to_its_page() {
        for mode in MODES {
            let last = mode.levels.len() - 1;
            let top = u64::MAX << mode.page_shift();
            for at in [top, mode.kernel_half.0, mode.kernel_half.0 | 0x1234_0000] {
                let to = 0x40_0000_0000 & (u64::MAX << mode.page_shift());
                let (ram, tables) = map(mode, at, to, last);
                let found = tables.translate(&ram, VirtAddr(at | 0x123)).unwrap();
                let page = 1 << mode.page_shift();
                assert_eq!((found.phys.0, found.page_size), (to + ((at | 0x123) & (page - 1)), page));
                // a block, one level up
                let up = mode.levels[last - 1].shift;
                let (ram, tables) = map(mode, at, 0x40_0000_0000, last - 1);
                let found = tables.translate(&ram, VirtAddr(at)).unwrap();
                assert_eq!(
                    (found.phys.0, found.page_size),
                    (0x40_0000_0000 + (at & ((1 << up) - 1)), 1 << up)
                );
            }
        }
    }

    #[test]
    fn the_halves_have_roots_of_their_own() {
        let (ram, tables) = map(&K4_48, 0xffff_8000_0000_0000, 0x4000_0000, 3);
        let both = PageTables { user: Some(PhysAddr(0x9000)), ..tables };
        assert!(both.translate(&ram, VirtAddr(0xffff_8000_0000_0000)).is_ok());
        assert_eq!(both.translate(&ram, VirtAddr(0)), Err(FaultKind::NotMapped("PGD")));
        for at in [0x0001_0000_0000_0000, 0xfffe_ffff_ffff_f000, 0x80ff_0000_0000_0000] {
            assert_eq!(both.translate(&ram, VirtAddr(at)), Err(FaultKind::NonCanonical), "{at:#x}");
        }
        // the kernel alone has no tables for user addresses, whatever lies at physical address 0
        let none = PageTables { user: Some(crate::space::NO_TABLES), ..tables };
        assert_eq!(none.translate(&ram, VirtAddr(0)), Err(FaultKind::NotMapped("PGD")));
        assert!(none.translate(&ram, VirtAddr(0xffff_8000_0000_0000)).is_ok());
        // a tag in the top byte of a user address is no part of it
        assert_eq!(both.translate(&ram, VirtAddr(0x2a00_0000_0000_0000)), Err(FaultKind::NotMapped("PGD")));
    }

    #[test]
    fn wide_physical_addresses() {
        let page = level("PTE", 12, 9);
        let wide = entry(0x3 | 0x0003_0000_1234_5000 | 0x200, &page, 12, Lpa2);
        assert_eq!(wide, Entry::Leaf(PhysAddr(0x000b_0000_1234_5000)));
        let large = entry(0x3 | 0x1234_0000 | 0x5000, &level("PTE", 16, 13), 16, Large52);
        assert_eq!(large, Entry::Leaf(PhysAddr(0x0005_0000_1234_0000)));
    }

    #[test]
    fn pages_that_only_the_kernel_calls_present() {
        let page = level("PTE", 12, 9);
        let block = level("PMD", 21, 9);
        // PROT_NONE of 6.1 and of 6.12
        for kept in [1 << 58 | 0x1f42, 0x1f42] {
            assert_eq!(entry(kept | 0x20_0000, &page, 12, Bits48), Entry::Leaf(PhysAddr(0x20_1000)));
            let block_entry = (kept & !0x1042) | 0x20_0000;
            assert_eq!(entry(block_entry, &block, 12, Bits48), Entry::Leaf(PhysAddr(0x20_0000)));
        }
        assert_eq!(entry(0x0123_4508, &page, 12, Bits48), Entry::Swapped);
        assert_eq!(entry(0, &page, 12, Bits48), Entry::Empty);
        // a block is none in a level that has no blocks
        assert_eq!(entry(1, &level("PGD", 39, 9), 12, Bits48), Entry::Leaf(PhysAddr(0)));
        assert_eq!(entry(1, &level("PGD", 47, 1), 14, Bits48), Entry::Empty);
    }
}
