//! Page tables of 4 and 5 levels (Intel SDM volume 3, chapter 5; bits as arch/x86/include/asm/pgtable_types.h
//! names them), and the virtual memory that reads through them.
//!
//! A table entry is taken as the kernel takes it, not only as the processor does: `PROT_NONE` pages and huge
//! pages that are being split are there although their present bit is clear.

use super::layout;
use base::{Fault, FaultKind, Missing, PAGE_SIZE, PhysAddr, PhysRead, VirtAddr, VirtRead};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Bit 0, `_PAGE_PRESENT`.
pub(crate) const PRESENT: u64 = 1;
/// Bit 7, `_PAGE_PSE`: the entry maps a huge page (PMD and PUD only; in a PTE it is PAT).
pub(crate) const PSE: u64 = 1 << 7;
/// Bit 8, `_PAGE_GLOBAL`; in an entry that is not present, `_PAGE_PROTNONE`.
pub(crate) const GLOBAL: u64 = 1 << 8;
/// Bits 12 to 51.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The levels from the root down, with the lowest address bit that each one's index takes.
const LEVELS: [(&str, u32); 5] = [("PGD", 48), ("P4D", 39), ("PUD", 30), ("PMD", 21), ("PTE", 12)];

/// The levels that a walk visits; with four, the root takes the index of the P4D and keeps the name PGD.
fn levels(count: u8) -> impl Iterator<Item = (&'static str, u32)> {
    let skip = usize::from(count != 5);
    LEVELS
        .into_iter()
        .skip(skip)
        .enumerate()
        .map(|(i, (name, shift))| (if i == 0 { "PGD" } else { name }, shift))
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
pub enum SwapLayout {
    /// Since 4.18 (bcd11afa7ada): type in bits 59 to 63, offset inverted in bits 9 to 58.
    Inverted,
    /// 4.6 to 4.17 (ace7fab7a6cd): type in bits 9 to 13, offset from bit 14.
    Bit9,
    /// Before 4.6: type in bits 1 to 5, offset from bit 9.
    Bit1,
}

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

/// The root of an address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageTables {
    /// Physical address of the topmost table.
    pub root: PhysAddr,
    /// 4 or 5.
    pub levels: u8,
    /// The bits of an entry that mark memory encryption (`sme_me_mask`); 0 without encryption.
    pub encryption: u64,
}

/// Where a virtual address leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translation {
    /// The physical address.
    pub phys: PhysAddr,
    /// Bytes in the page: 4 KiB, 2 MiB or 1 GiB.
    pub page_size: u64,
    /// The entry that maps the page, as it is in memory.
    pub entry: u64,
}

/// One table entry on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// `PGD`, `P4D`, `PUD`, `PMD` or `PTE`.
    pub level: &'static str,
    /// Physical address of the entry.
    pub entry_at: PhysAddr,
    /// The entry, as it is in memory.
    pub entry: u64,
}

/// A translation with every entry that it read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Walk {
    /// The entries from the root down, the last one read being the last.
    pub steps: Vec<Step>,
    /// Where it ended.
    pub result: Result<Translation, FaultKind>,
}

/// What an entry means to the walk.
enum Entry {
    Leaf(PhysAddr),
    Table(PhysAddr),
    Empty,
    Swapped,
}

/// What an entry with contents that is not present says: the kernel's own pages are not swapped, but taken away
/// (its initial data, once it is freed).
const fn absent(at: VirtAddr, level: &'static str) -> FaultKind {
    if at.0 >> 63 == 1 { FaultKind::NotMapped(level) } else { FaultKind::Swapped }
}

impl PageTables {
    /// Tables without memory encryption.
    #[must_use]
    pub const fn new(root: PhysAddr, levels: u8) -> Self {
        Self { root, levels, encryption: 0 }
    }

    /// The physical address that an entry holds.
    const fn address(&self, entry: u64) -> u64 {
        entry & ADDRESS & !self.encryption
    }

    fn classify(&self, entry: u64, shift: u32) -> Entry {
        let size_mask = (1_u64 << shift) - 1;
        let leaf = |e: u64| Entry::Leaf(PhysAddr(self.address(e) & !size_mask));
        let huge = entry & PSE != 0 && (shift == 21 || shift == 30);
        if entry & PRESENT != 0 {
            return if shift == 12 || huge {
                leaf(entry)
            } else {
                Entry::Table(PhysAddr(self.address(entry)))
            };
        }
        if entry == 0 {
            Entry::Empty
        } else if entry & GLOBAL != 0 && (shift == 12 || huge) {
            // PROT_NONE; since 4.18 (6b28baca9b1f) the address is stored inverted, so that the top bit is set
            leaf(if entry & (1 << 51) != 0 { !entry } else { entry })
        } else if huge && shift == 21 {
            leaf(entry)
        } else if shift == 12 || shift == 21 {
            Entry::Swapped
        } else {
            Entry::Empty
        }
    }

    /// Translates with entries that `read` gives, by the depth of their table; hands each to `visit`.
    fn descend(
        &self,
        at: VirtAddr,
        mut read: impl FnMut(usize, PhysAddr) -> Result<u64, Missing>,
        mut visit: impl FnMut(Step),
    ) -> Result<Translation, FaultKind> {
        if !layout::is_canonical(at, self.levels) {
            return Err(FaultKind::NonCanonical);
        }
        let mut table = self.root;
        for (depth, (level, shift)) in levels(self.levels).enumerate() {
            let entry_at = table.add(((at.0 >> shift) & 0x1ff) * 8);
            let entry = read(depth, entry_at).map_err(FaultKind::Table)?;
            visit(Step { level, entry_at, entry });
            match self.classify(entry, shift) {
                Entry::Leaf(page) => {
                    let page_size = 1 << shift;
                    return Ok(Translation { phys: page.add(at.0 & (page_size - 1)), page_size, entry });
                }
                Entry::Table(next) => table = next,
                Entry::Empty => return Err(FaultKind::NotMapped(level)),
                Entry::Swapped => return Err(absent(at, level)),
            }
        }
        Err(FaultKind::NotMapped("PTE"))
    }

    /// Where a virtual address leads.
    pub fn translate(&self, phys: &dyn PhysRead, at: VirtAddr) -> Result<Translation, FaultKind> {
        self.descend(at, |_, entry| read_entry(phys, entry), |_| {})
    }

    /// The same, keeping every entry on the way.
    pub fn walk(&self, phys: &dyn PhysRead, at: VirtAddr) -> Walk {
        let mut steps = Vec::with_capacity(5);
        let result = self.descend(at, |_, entry| read_entry(phys, entry), |step| steps.push(step));
        Walk { steps, result }
    }

    /// The pages mapped in `start..end`, ascending. Holes are skipped a whole table at a time; a table that is
    /// missing counts as a hole.
    pub fn mapped<'a>(&self, phys: &'a dyn PhysRead, start: VirtAddr, end: VirtAddr) -> Mapped<'a> {
        let held = (0..self.levels).map(|_| Table::default()).collect();
        Mapped { tables: *self, phys, held, at: start, end, done: false }
    }
}

fn read_entry(phys: &dyn PhysRead, at: PhysAddr) -> Result<u64, Missing> {
    let mut bytes = [0; 8];
    phys.read_phys(at, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Iterates over mapped pages: [`PageTables::mapped`].
pub struct Mapped<'a> {
    tables: PageTables,
    phys: &'a dyn PhysRead,
    /// The table of each depth that was read last.
    held: Vec<Table>,
    at: VirtAddr,
    end: VirtAddr,
    done: bool,
}

/// A table of entries, or none at first.
#[derive(Default)]
struct Table {
    at: Option<PhysAddr>,
    bytes: Vec<u8>,
}

impl Table {
    /// An entry; its whole table is read, as those beside it will be asked for next.
    fn entry(&mut self, phys: &dyn PhysRead, at: PhysAddr) -> Result<u64, Missing> {
        let table = at.page_base();
        if self.at != Some(table) {
            self.at = None;
            self.bytes.resize(PAGE_SIZE as usize, 0);
            // one that the dump has a part of is read entry by entry
            if phys.read_phys(table, &mut self.bytes).is_err() {
                return read_entry(phys, at);
            }
            self.at = Some(table);
        }
        let word = self.bytes.get(at.page_offset() as usize..).and_then(|rest| rest.first_chunk());
        word.map_or_else(|| read_entry(phys, at), |bytes| Ok(u64::from_le_bytes(*bytes)))
    }
}

impl Mapped<'_> {
    /// To the next multiple of `size`, or to the end of the address space.
    fn skip(&mut self, size: u64) {
        match (self.at.0 & !(size - 1)).checked_add(size) {
            Some(next) => self.at = VirtAddr(next),
            None => self.done = true,
        }
    }
}

impl Iterator for Mapped<'_> {
    type Item = (VirtAddr, Translation);
    fn next(&mut self) -> Option<Self::Item> {
        while !self.done && self.at < self.end {
            let here = self.at;
            let mut read = 0;
            let (phys, held) = (self.phys, &mut self.held);
            let entry = |depth: usize, at| match held.get_mut(depth) {
                Some(table) => table.entry(phys, at),
                None => read_entry(phys, at),
            };
            let result = self.tables.descend(here, entry, |_| read += 1);
            match result {
                Ok(t) => {
                    self.skip(t.page_size);
                    return Some((here, t));
                }
                // only the hole between the halves is not canonical
                Err(FaultKind::NonCanonical) => self.at = layout::kernel_half(self.tables.levels),
                Err(_) => {
                    // the last entry read is empty, or names a table that is missing: skip all that it spans
                    let depth = usize::saturating_sub(read, 1);
                    self.skip(levels(self.tables.levels).nth(depth).map_or(1 << 48, |(_, shift)| 1 << shift));
                }
            }
        }
        None
    }
}

/// Slots of the cache of 4 KiB translations, and of those a PMD entry wide; powers of two.
const PAGES: usize = 2048;
const REGIONS: usize = 1024;
/// In the low bits of a cached address: what it is.
const IS_LEAF: u64 = 1;
const IS_TABLE: u64 = 2;

/// A direct-mapped cache that threads share without locks: each slot holds `key ^ value` and `value`, so that
/// a slot torn between two writers matches no key.
struct Cache(Box<[(AtomicU64, AtomicU64)]>);

impl Cache {
    fn new(slots: usize) -> Self {
        Self((0..slots).map(|_| (AtomicU64::new(0), AtomicU64::new(0))).collect())
    }
    fn slot(&self, key: u64) -> Option<&(AtomicU64, AtomicU64)> {
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        self.0.get(hash as usize & (self.0.len() - 1))
    }
    /// 0 is no value.
    fn get(&self, key: u64) -> Option<u64> {
        let (check, value) = self.slot(key)?;
        let value = value.load(Ordering::Relaxed);
        (value != 0 && check.load(Ordering::Relaxed) ^ value == key).then_some(value)
    }
    fn put(&self, key: u64, value: u64) {
        if let Some((check, slot)) = self.slot(key) {
            check.store(key ^ value, Ordering::Relaxed);
            slot.store(value, Ordering::Relaxed);
        }
    }
}

/// Virtual memory through page tables: the kernel's, or with a process's root that process's.
pub struct KernelMap {
    phys: Arc<dyn PhysRead>,
    tables: PageTables,
    /// `phys_base`, to reach the kernel's image where a table page is missing from the dump.
    image: Option<i64>,
    /// Where the direct map of all memory begins, to reach it likewise.
    direct: OnceLock<u64>,
    pages: Cache,
    regions: Cache,
}

/// The memory of a process: the same thing with another root.
pub type UserMap = KernelMap;

impl std::fmt::Debug for KernelMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelMap").field("tables", &self.tables).finish_non_exhaustive()
    }
}

impl KernelMap {
    /// Memory as these tables map it.
    #[must_use]
    pub fn new(phys: Arc<dyn PhysRead>, tables: PageTables) -> Self {
        Self {
            phys,
            tables,
            image: None,
            direct: OnceLock::new(),
            pages: Cache::new(PAGES),
            regions: Cache::new(REGIONS),
        }
    }
    /// The same, knowing where the kernel's image lies: its addresses can then be read even when the dump
    /// lacks the page tables for them.
    #[must_use]
    pub fn with_image(mut self, phys_base: i64) -> Self {
        self.image = Some(phys_base);
        self
    }
    /// Tells where the direct map begins (`page_offset_base`): its addresses can then be read even when the
    /// dump lacks the page tables for them. The first call counts.
    pub fn set_direct_map(&self, base: VirtAddr) {
        let _ = self.direct.set(base.0); // a second call says the same
    }
    /// The tables.
    #[must_use]
    pub const fn tables(&self) -> &PageTables {
        &self.tables
    }
    /// The physical memory behind.
    #[must_use]
    pub fn phys(&self) -> &Arc<dyn PhysRead> {
        &self.phys
    }
    /// The walk of the tables for `vtop`.
    #[must_use]
    pub fn walk(&self, at: VirtAddr) -> Walk {
        self.tables.walk(&*self.phys, at)
    }

    /// Where a virtual address leads, and how many bytes from it on are in one piece.
    pub fn translate(&self, at: VirtAddr) -> Result<(PhysAddr, u64), Fault> {
        let page_key = (at.0 >> 12) | (1 << 63);
        if let Some(hit) = self.pages.get(page_key) {
            return Ok((PhysAddr(hit & ADDRESS).add(at.page_offset()), 0x1000 - at.page_offset()));
        }
        let region_key = (at.0 >> 21) | (1 << 63);
        let offset = at.0 & 0x1f_ffff;
        match self.regions.get(region_key) {
            Some(hit) if hit & IS_LEAF != 0 => Ok((PhysAddr(hit & ADDRESS).add(offset), 0x20_0000 - offset)),
            Some(table) => self.last_level(at, PhysAddr(table & ADDRESS), page_key),
            None => self.first_time(at, page_key, region_key),
        }
    }

    /// The PTE table is known: one entry to read.
    fn last_level(&self, at: VirtAddr, table: PhysAddr, page_key: u64) -> Result<(PhysAddr, u64), Fault> {
        let fault = |kind| Fault { at, kind };
        let entry = match read_entry(&*self.phys, table.add(((at.0 >> 12) & 0x1ff) * 8)) {
            Ok(entry) => entry,
            Err(m) => return self.without_table(at).ok_or(fault(FaultKind::Table(m))),
        };
        match self.tables.classify(entry, 12) {
            Entry::Leaf(page) => {
                self.pages.put(page_key, page.0 | IS_LEAF);
                Ok((page.add(at.page_offset()), 0x1000 - at.page_offset()))
            }
            Entry::Swapped => Err(fault(absent(at, "PTE"))),
            _ => Err(fault(FaultKind::NotMapped("PTE"))),
        }
    }

    fn first_time(&self, at: VirtAddr, page_key: u64, region_key: u64) -> Result<(PhysAddr, u64), Fault> {
        let mut last = None;
        let result =
            self.tables.descend(at, |_, entry| read_entry(&*self.phys, entry), |step| last = Some(step));
        let found = match result {
            Ok(found) => found,
            Err(kind @ FaultKind::Table(_)) => {
                return self.without_table(at).ok_or(Fault { at, kind });
            }
            Err(kind) => return Err(Fault { at, kind }),
        };
        if found.page_size == 0x1000 {
            self.pages.put(page_key, found.phys.page_base().0 | IS_LEAF);
            if let Some(step) = last {
                self.regions.put(region_key, step.entry_at.page_base().0 | IS_TABLE);
            }
            return Ok((found.phys, 0x1000 - at.page_offset()));
        }
        let offset = at.0 & 0x1f_ffff;
        self.regions.put(region_key, (found.phys.0 - offset.min(found.phys.0)) | IS_LEAF);
        Ok((found.phys, 0x20_0000 - offset))
    }
}

impl KernelMap {
    /// Where an address of the image or of the direct map leads by plain arithmetic, for a dump that lacks the
    /// page tables: `phys = virt - __START_KERNEL_map + phys_base`, `phys = virt - page_offset_base`.
    fn without_table(&self, at: VirtAddr) -> Option<(PhysAddr, u64)> {
        let phys = if in_image(at) {
            at.sub(layout::START_KERNEL_MAP).0.wrapping_add_signed(self.image?)
        } else {
            let phys = at.0.checked_sub(*self.direct.get()?)?;
            self.phys.ranges().last().filter(|r| phys < r.end.0)?;
            phys
        };
        Some((PhysAddr(phys), 0x1000 - at.page_offset()))
    }
}

const fn in_image(at: VirtAddr) -> bool {
    at.0 >= layout::START_KERNEL_MAP && at.0 < layout::KERNEL_MAP_END
}

impl VirtRead for KernelMap {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let mut at = at;
        let mut rest = buf;
        while !rest.is_empty() {
            let (phys, run) = self.translate(at)?;
            let len = rest.len().min(run as usize);
            let Some((part, after)) = rest.split_at_mut_checked(len) else { break };
            self.phys.read_phys(phys, part).map_err(|missing| Fault {
                at: at.add(missing.at.0.saturating_sub(phys.0)),
                kind: FaultKind::Page(missing),
            })?;
            at = at.add(len as u64);
            rest = after;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "paging_tests.rs"]
mod tests;
