//! Page tables of any shape: one walk, one iteration, one cache of translations, for every architecture's levels.
//!
//! An architecture describes its tables by a [`Paging`]: the levels, and what an entry means. Kernel and user addresses may
//! have roots of their own.

use base::{Fault, FaultKind, Missing, PhysAddr, PhysRead, VirtAddr, VirtRead};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// One level of page tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level {
    /// `PGD`, `P4D`, `PUD`, `PMD` or `PTE`, as Linux calls it.
    pub name: &'static str,
    /// The lowest bit of an address that is a part of its index: one entry spans `1 << shift` bytes.
    pub shift: u32,
    /// Bits of its index: a table has `1 << bits` entries.
    pub bits: u32,
}

impl Level {
    const fn entry_at(&self, table: PhysAddr, at: VirtAddr) -> PhysAddr {
        PhysAddr(table.0.wrapping_add(((at.0 >> self.shift) & ((1 << self.bits) - 1)) * 8))
    }
}

/// What an entry means to a walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// It maps a page, which begins here.
    Leaf(PhysAddr),
    /// It names the next table.
    Table(PhysAddr),
    /// Nothing is mapped.
    Empty,
    /// Nothing is mapped, and the entry says where the contents went.
    Swapped,
}

/// The shape of an architecture's page tables in one of its modes.
#[derive(Debug)]
pub struct Paging {
    /// The levels from the root down.
    pub levels: &'static [Level],
    /// What an entry of a level means. The last argument are bits that are no part of an address (memory encryption).
    pub classify: fn(u64, &Level, u64) -> Entry,
    /// True for an address that the hardware can translate.
    pub is_canonical: fn(VirtAddr) -> bool,
    /// The first address of the kernel's half.
    pub kernel_half: VirtAddr,
    /// Bits of an address that the tables translate, both halves together where they share a root.
    pub address_bits: u32,
}

impl PartialEq for Paging {
    fn eq(&self, other: &Self) -> bool {
        self.levels == other.levels && self.kernel_half == other.kernel_half
    }
}
impl Eq for Paging {}

impl Paging {
    /// Bytes of the smallest page, as a shift.
    #[must_use]
    pub fn page_shift(&self) -> u32 {
        self.levels.last().map_or(12, |level| level.shift)
    }
    /// Bytes that a table of the last level spans, as a shift.
    fn region_shift(&self) -> u32 {
        self.levels.last().map_or(21, |level| level.shift + level.bits)
    }
    /// True for an address of the kernel's half.
    #[must_use]
    pub fn is_kernel(&self, at: VirtAddr) -> bool {
        at >= self.kernel_half
    }
}

/// The page tables of an address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageTables {
    /// Physical address of the topmost table of the kernel's half, and of the user's half where it has none of its own.
    pub root: PhysAddr,
    /// The topmost table of the user's half, where it is another one.
    pub user: Option<PhysAddr>,
    /// The shape of the tables.
    pub paging: &'static Paging,
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

/// What an entry with contents that is not present says: the kernel's own pages are not swapped, but taken away
/// (its initial data, once it is freed).
fn absent(paging: &Paging, at: VirtAddr, level: &'static str) -> FaultKind {
    if paging.is_kernel(at) { FaultKind::NotMapped(level) } else { FaultKind::Swapped }
}

impl PageTables {
    /// Tables with one root and without memory encryption.
    #[must_use]
    pub const fn of(root: PhysAddr, paging: &'static Paging) -> Self {
        Self { root, user: None, paging, encryption: 0 }
    }

    /// The first address of the kernel's half.
    #[must_use]
    pub const fn kernel_half(&self) -> VirtAddr {
        self.paging.kernel_half
    }

    /// How many levels they have.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.paging.levels.len()
    }

    /// The same shape with another process's half for the user.
    #[must_use]
    pub fn with_user(mut self, root: PhysAddr) -> Self {
        if self.user.is_some() {
            self.user = Some(root);
        } else {
            self.root = root;
        }
        self
    }

    fn classify(&self, entry: u64, level: &Level) -> Entry {
        (self.paging.classify)(entry, level, self.encryption)
    }

    /// The topmost table for an address; `None` for a user's where there is no process.
    fn root_of(&self, at: VirtAddr) -> Option<PhysAddr> {
        let root = self.user.filter(|_| !self.paging.is_kernel(at));
        root.map_or(Some(self.root), |user| Some(user).filter(|user| *user != NO_TABLES))
    }

    /// Translates with entries that `read` gives, by the depth of their table; hands each to `visit`.
    fn descend(
        &self,
        at: VirtAddr,
        mut read: impl FnMut(usize, PhysAddr) -> Result<u64, Missing>,
        mut visit: impl FnMut(Step),
    ) -> Result<Translation, FaultKind> {
        if !(self.paging.is_canonical)(at) {
            return Err(FaultKind::NonCanonical);
        }
        let top = self.paging.levels.first().map_or("PGD", |level| level.name);
        let mut table = self.root_of(at).ok_or(FaultKind::NotMapped(top))?;
        for (depth, level) in self.paging.levels.iter().enumerate() {
            let entry_at = level.entry_at(table, at);
            let entry = read(depth, entry_at).map_err(FaultKind::Table)?;
            visit(Step { level: level.name, entry_at, entry });
            match self.classify(entry, level) {
                Entry::Leaf(page) => {
                    let page_size = 1 << level.shift;
                    return Ok(Translation { phys: page.add(at.0 & (page_size - 1)), page_size, entry });
                }
                Entry::Table(next) => table = next,
                Entry::Empty => return Err(FaultKind::NotMapped(level.name)),
                Entry::Swapped => return Err(absent(self.paging, at, level.name)),
            }
        }
        Err(FaultKind::NotMapped("PTE"))
    }

    /// Where a virtual address leads.
    ///
    /// # Errors
    /// It is not mapped, or a table on the way is missing.
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
        let held = self.paging.levels.iter().map(|level| Table::new(level.bits)).collect();
        Mapped { tables: *self, phys, held, at: start, end, done: false }
    }
}

/// Where the tables of a process are that is none: nothing is mapped for it.
pub(crate) const NO_TABLES: PhysAddr = PhysAddr(0);

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
struct Table {
    at: Option<PhysAddr>,
    bytes: Vec<u8>,
    len: u64,
}

impl Table {
    fn new(bits: u32) -> Self {
        Self { at: None, bytes: Vec::new(), len: 8 << bits }
    }

    /// An entry; its whole table is read, as those beside it will be asked for next.
    fn entry(&mut self, phys: &dyn PhysRead, at: PhysAddr) -> Result<u64, Missing> {
        let table = PhysAddr(at.0 & !(self.len - 1));
        if self.at != Some(table) {
            self.at = None;
            self.bytes.resize(self.len as usize, 0);
            // one that the dump has a part of is read entry by entry
            if phys.read_phys(table, &mut self.bytes).is_err() {
                return read_entry(phys, at);
            }
            self.at = Some(table);
        }
        let word = self.bytes.get((at.0 - table.0) as usize..).and_then(|rest| rest.first_chunk());
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

    /// The next page that is mapped, or how many bytes a table spans that is missing.
    fn step(&mut self) -> Option<(VirtAddr, Result<Translation, u64>)> {
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
                    return Some((here, Ok(t)));
                }
                // only the hole between the halves is not canonical
                Err(FaultKind::NonCanonical) => self.at = self.tables.paging.kernel_half,
                Err(fault) => {
                    // the last entry read is empty, or names a table that is missing: skip all that it spans
                    let depth = usize::saturating_sub(read, 1);
                    let size = self.tables.paging.levels.get(depth).map_or(1 << 48, |level| 1 << level.shift);
                    self.skip(size);
                    if matches!(fault, FaultKind::Table(_)) {
                        return Some((here, Err(size - (here.0 & (size - 1)))));
                    }
                }
            }
        }
        None
    }

    /// The pages in the order of their addresses; where a table is missing, how many bytes from that address on it maps.
    pub fn and_lost(mut self) -> impl Iterator<Item = (VirtAddr, Result<Translation, u64>)> {
        std::iter::from_fn(move || self.step())
    }
}

impl Iterator for Mapped<'_> {
    type Item = (VirtAddr, Translation);
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let (at, Ok(page)) = self.step()? {
                return Some((at, page));
            }
        }
    }
}

/// Slots of the cache of translations of pages, and of regions that a table of the last level spans; powers of two.
const PAGES: usize = 2048;
const REGIONS: usize = 1024;
/// In the low bits of a cached address, which is one of a page or of a table: what it is.
const IS_LEAF: u64 = 1;
const IS_TABLE: u64 = 2;
const TAGS: u64 = IS_LEAF | IS_TABLE;
/// In every key, so that none is 0.
const KEY: u64 = 1 << 63;

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

/// A range of virtual addresses that lie in physical memory in one piece: physical = virtual - `offset`, wrapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Linear {
    /// Its first address.
    pub start: VirtAddr,
    /// The first address behind it.
    pub end: VirtAddr,
    /// Virtual minus physical address.
    pub offset: u64,
}

impl Linear {
    /// The physical address of one that lies in it.
    #[must_use]
    pub fn phys(&self, at: VirtAddr) -> Option<PhysAddr> {
        (at >= self.start && at < self.end).then(|| PhysAddr(at.0.wrapping_sub(self.offset)))
    }
}

/// Virtual memory through page tables: the kernel's, or with a process's root that process's.
pub struct KernelMap {
    phys: Arc<dyn PhysRead>,
    tables: PageTables,
    /// The kernel's image, to reach it where a table page is missing from the dump.
    image: Option<Linear>,
    /// The direct map of all memory, to reach it likewise.
    direct: OnceLock<Linear>,
    page_shift: u32,
    region_shift: u32,
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
            page_shift: tables.paging.page_shift(),
            region_shift: tables.paging.region_shift(),
            pages: Cache::new(PAGES),
            regions: Cache::new(REGIONS),
        }
    }
    /// The same, knowing where the kernel's image lies: its addresses can then be read even when the dump
    /// lacks the page tables for them.
    #[must_use]
    pub fn with_image(mut self, image: Linear) -> Self {
        self.image = Some(image);
        self
    }
    /// Tells where the direct map lies: its addresses can then be read even when the dump lacks the page tables for them.
    /// The first call counts.
    pub fn set_direct_map(&self, direct: Linear) {
        let _ = self.direct.set(direct); // a second call says the same
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
    ///
    /// # Errors
    /// It is not mapped, or a table on the way is missing.
    pub fn translate(&self, at: VirtAddr) -> Result<(PhysAddr, u64), Fault> {
        let page = 1 << self.page_shift;
        let (page_key, offset) = ((at.0 >> self.page_shift) | KEY, at.0 & (page - 1));
        if let Some(hit) = self.pages.get(page_key) {
            return Ok((PhysAddr(hit & !TAGS).add(offset), page - offset));
        }
        let region = 1_u64 << self.region_shift;
        let (region_key, offset) = ((at.0 >> self.region_shift) | KEY, at.0 & (region - 1));
        match self.regions.get(region_key) {
            Some(hit) if hit & IS_LEAF != 0 => Ok((PhysAddr(hit & !TAGS).add(offset), region - offset)),
            Some(table) => self.last_level(at, PhysAddr(table & !TAGS), page_key),
            None => self.first_time(at, page_key, region_key),
        }
    }

    /// What lies in a page from `at` on, in one piece with it.
    const fn in_page(&self, at: VirtAddr) -> (u64, u64) {
        let page = 1 << self.page_shift;
        (at.0 & (page - 1), page - (at.0 & (page - 1)))
    }

    /// The table of the last level is known: one entry to read.
    fn last_level(&self, at: VirtAddr, table: PhysAddr, page_key: u64) -> Result<(PhysAddr, u64), Fault> {
        let fault = |kind| Fault::new(at, kind);
        let Some(level) = self.tables.paging.levels.last() else {
            return Err(fault(FaultKind::NotMapped("PTE")));
        };
        let entry = match read_entry(&*self.phys, level.entry_at(table, at)) {
            Ok(entry) => entry,
            Err(m) => return self.without_table(at).ok_or(fault(FaultKind::Table(m))),
        };
        match self.tables.classify(entry, level) {
            Entry::Leaf(page) => {
                self.pages.put(page_key, page.0 | IS_LEAF);
                let (offset, rest) = self.in_page(at);
                Ok((page.add(offset), rest))
            }
            Entry::Swapped => Err(fault(absent(self.tables.paging, at, level.name))),
            _ => Err(fault(FaultKind::NotMapped(level.name))),
        }
    }

    fn first_time(&self, at: VirtAddr, page_key: u64, region_key: u64) -> Result<(PhysAddr, u64), Fault> {
        let mut last = None;
        let result =
            self.tables.descend(at, |_, entry| read_entry(&*self.phys, entry), |step| last = Some(step));
        let found = match result {
            Ok(found) => found,
            Err(kind @ FaultKind::Table(_)) => {
                return self.without_table(at).ok_or(Fault::new(at, kind));
            }
            Err(kind) => return Err(Fault::new(at, kind)),
        };
        let (in_page, rest) = self.in_page(at);
        if found.page_size >> self.page_shift == 1 {
            self.pages.put(page_key, found.phys.0.wrapping_sub(in_page) | IS_LEAF);
            if let (Some(step), Some(level)) = (last, self.tables.paging.levels.last()) {
                let table = step.entry_at.0 & !((8 << level.bits) - 1);
                self.regions.put(region_key, table | IS_TABLE);
            }
            return Ok((found.phys, rest));
        }
        let region = 1_u64 << self.region_shift;
        let offset = at.0 & (region - 1);
        self.regions.put(region_key, (found.phys.0 - offset.min(found.phys.0)) | IS_LEAF);
        Ok((found.phys, region - offset))
    }
}

impl KernelMap {
    /// Where an address of the image or of the direct map leads by plain arithmetic, for a dump that lacks the
    /// page tables.
    fn without_table(&self, at: VirtAddr) -> Option<(PhysAddr, u64)> {
        let image = self.image.and_then(|image| image.phys(at));
        let direct = || self.direct.get().and_then(|direct| direct.phys(at));
        let phys = image.or_else(direct)?;
        Some((phys, self.in_page(at).1))
    }
}

impl VirtRead for KernelMap {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
        let mut at = at;
        let mut rest = buf;
        while !rest.is_empty() {
            let (phys, run) = self.translate(at)?;
            let len = rest.len().min(run as usize);
            let Some((part, after)) = rest.split_at_mut_checked(len) else { break };
            self.phys.read_phys(phys, part).map_err(|missing| {
                Fault::new(at.add(missing.at.0.saturating_sub(phys.0)), FaultKind::Page(missing))
            })?;
            at = at.add(len as u64);
            rest = after;
        }
        Ok(())
    }
}
