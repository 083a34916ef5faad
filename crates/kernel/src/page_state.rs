//! What a page is used for: free, page tables, page cache, anonymous memory, reserved.
//!
//! Sources: include/linux/page-flags.h (page types), include/linux/mm_types.h, mm/page_alloc.c
//! (`is_free_buddy_page()`, `struct per_cpu_pages`), include/linux/mm.h (`page_mapping()`), kernel/vmcore_info.c.
//!
//! A page's type stands where other pages count their mappings: -128 of free ones until 4.17, a bit cleared of all ones
//! since 4.18, a number in the top byte since 6.12. Which number means what is read from the kernel's own enumeration
//! (6.11) or VMCOREINFO.
//!
//! **Invariant:** nothing is said but what something else in memory confirms: of a block of free pages its first page
//! has the mark and an order that reaches the page, a list of free pages leads back to the CPU's head, a mapping to its
//! inode, an anonymous page to an `anon_vma`. A page without references alone is not called free: later pages of a
//! block that was allocated as one have none either.

use crate::list::list;
use crate::page::{PageStruct, flag_names};
use crate::session::Session;
use crate::slab;
use base::{PAGE_SHIFT, PAGE_SIZE, Pfn, VirtAddr, VirtRead};
use debuginfo::types::Type;
use rustc_hash::FxHashSet;

bind! {
    /// `struct page`, what tells its use
    struct PageUse("page") { kind: "page_type" | "_mapcount", typed: "page_type", private: "private", lru: "lru", memcg: "memcg_data", older_memcg: "mem_cgroup" }
}
bind! {
    /// `struct address_space`
    struct Mapping("address_space") { host: "host" }
}
bind! {
    /// `struct inode`
    struct InodeOf("inode") { data: "i_data", number: "i_ino", sb: "i_sb" }
}
bind! {
    /// `struct super_block`
    struct SuperOf("super_block") { id: "s_id", kind: "s_type" }
}
bind! {
    /// `struct file_system_type`
    struct FileSystem("file_system_type") { name: "name" }
}
bind! {
    /// `struct pglist_data`
    struct Node("pglist_data") { zones: "node_zones" }
}
bind! {
    /// `struct zone`
    struct Zone("zone") { lists: "per_cpu_pageset" | "pageset" } // 5.14
}
bind! {
    /// What a zone keeps for each CPU
    struct CpuLists("per_cpu_pageset" | "per_cpu_pages") {}
}

/// The largest order of a block of free pages that any kernel has.
const MAX_ORDER: u64 = 10;
/// NUMA nodes that are looked at.
const MAX_NODES: u64 = 64;

/// What a page is used for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Use {
    /// Free: in a block of 2^`order` free pages that begins at frame `first`.
    Free {
        /// The block's first frame.
        first: Pfn,
        /// The order of its size.
        order: u64,
    },
    /// Free, in the list that this CPU keeps for itself.
    FreeOfCpu(u32),
    /// Page tables.
    Table,
    /// Never to be touched (a memory error).
    Broken,
    /// Reserved: firmware's, or the kernel's since it began.
    Reserved,
    /// Of a file, in the page cache.
    File {
        /// `struct inode`
        inode: VirtAddr,
        /// Its number.
        number: u64,
        /// File system and device, as far as they can be read.
        system: String,
    },
    /// Memory of a process that is of no file.
    Anonymous,
    /// In use, and nothing says for what.
    InUse,
}

/// A page and what it is used for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageState {
    /// The `struct page` of the address.
    pub at: VirtAddr,
    /// The first one, of a later page of a compound.
    pub head: Option<VirtAddr>,
    /// References to it.
    pub count: i32,
    /// What it is used for.
    pub used: Use,
}

/// Where a `struct page` has what.
#[derive(Clone, Copy, Debug)]
struct Layout {
    vmemmap: VirtAddr,
    size: u64,
    kind: u64,
    private: Option<u64>,
    lru: Option<u64>,
}

/// The numbers by which pages say their type.
#[derive(Clone, Copy, Default, Debug)]
struct Marks {
    free: Option<u32>,
    table: Option<u32>,
    /// The top byte alone is the type.
    top: bool,
}

impl Marks {
    fn of(s: &Session) -> Self {
        let value =
            |name: &str| s.types().find_enumerator(name).into_iter().find_map(|(_, v)| u32::try_from(v).ok());
        // a number of the top byte (6.12), a bit that is cleared (6.11)
        if let Some(free) = value("PGTY_buddy") {
            let top = |v: u32| v.checked_shl(24).filter(|_| v < 0x100);
            return Self { free: top(free), table: value("PGTY_table").and_then(top), top: true };
        }
        if let Some(free) = page_type(s, "PG_buddy") {
            return Self { free: Some(!free), table: page_type(s, "PG_table").map(|v| !v), top: false };
        }
        let b = s.bind::<PageUse>();
        let said = s.vmcoreinfo().number("PAGE_BUDDY_MAPCOUNT_VALUE").map(|n| n as u32);
        let by_shape = match (b.typed.exists(), b.kind.exists()) {
            (true, _) => Some(!0x80),
            (false, true) => Some((-128_i32).cast_unsigned()),
            _ => None,
        };
        let free = said.or(by_shape);
        // 5.11 gave the bit of memory that is accounted to page tables, and pages memcg_data
        let table = match (b.memcg.exists(), b.older_memcg.exists()) {
            _ if free != Some(!0x80) => None,
            (true, _) => Some(!0x200),
            (false, true) => Some(!0x400),
            (false, false) => None,
        };
        Self { free, table, top: free.is_some_and(|v| v & 0x00ff_ffff == 0) }
    }

    fn is(&self, kind: u32, mark: Option<u32>) -> bool {
        let mask = if self.top { 0xff00_0000 } else { u32::MAX };
        mark.is_some_and(|mark| kind & mask == mark & mask)
    }

    /// True where the number is a type, not a count of mappings, which is -1 or more.
    const fn is_type(kind: u32) -> bool {
        kind.cast_signed() < -1
    }
}

/// A value of `enum pagetype`; other enumerations have had members of these names.
fn page_type(s: &Session, name: &str) -> Option<u32> {
    let types = s.types();
    types.find_enumerator(name).into_iter().find_map(|(at, value)| {
        let Type::Enum { name, .. } = &*types.get(at).ok()? else { return None };
        let is_type = name.as_deref() == Some("pagetype");
        u32::try_from(value).ok().filter(|v| is_type && v.is_power_of_two())
    })
}

impl Layout {
    fn of(s: &Session) -> Option<Self> {
        let b = s.bind::<PageUse>();
        Some(Self {
            vmemmap: slab::vmemmap_base(s),
            size: b.size.filter(|n| *n > 0)?,
            kind: b.kind.offset().ok()?,
            private: b.private.offset().ok(),
            lru: b.lru.offset().ok(),
        })
    }

    const fn page(&self, pfn: u64) -> VirtAddr {
        VirtAddr(self.vmemmap.0.wrapping_add(pfn.wrapping_mul(self.size)))
    }

    fn kind(&self, mem: &dyn VirtRead, page: VirtAddr) -> Option<u32> {
        mem.u32(page.add(self.kind)).ok()
    }

    /// The block of free pages that a frame lies in: its first frame and its order.
    fn free_block(&self, mem: &dyn VirtRead, marks: &Marks, pfn: u64) -> Option<(u64, u64)> {
        let private = self.private?;
        (0..=MAX_ORDER).find_map(|order| {
            let first = pfn & !((1 << order) - 1);
            let page = self.page(first);
            let own =
                marks.is(self.kind(mem, page)?, marks.free).then(|| mem.u64(page.add(private)).ok())??;
            // the first page of a block lies at a multiple of its size
            let whole = own <= MAX_ORDER && first & ((1 << own) - 1) == 0;
            (whole && own >= order).then_some((first, own))
        })
    }

    /// What is no page in the list that a page is in: its head. `None` where the page is in no list.
    fn list_head(&self, mem: &dyn VirtRead, page: VirtAddr) -> Option<VirtAddr> {
        let link = page.add(self.lru?);
        let next = mem.ptr(link).ok()?;
        let prev = mem.ptr(link.add(8)).ok()?;
        if mem.ptr(next.add(8)).ok()? != link || mem.ptr(prev).ok()? != link {
            return None;
        }
        // 16 TiB of memory have 256 GiB of `struct page`
        let is_page = |at: VirtAddr| at.0.wrapping_sub(self.vmemmap.0) < 1 << 38;
        list(mem, link).map_while(Result::ok).find(|at| !is_page(*at))
    }
}

/// What the page at an address of the direct map is used for; `None` for other memory, for slabs, and where the dump
/// does not tell.
#[must_use]
pub fn state_at(s: &Session, at: VirtAddr) -> Option<PageState> {
    let (head, _) = slab::head_page(s, at)?;
    let mem = s.mem();
    let layout = Layout::of(s)?;
    let marks = Marks::of(s);
    let pfn = at.0.checked_sub(slab::direct_map_base(s).0)? >> PAGE_SHIFT;
    let page = layout.page(pfn);
    let count = s.bind::<PageStruct>().refcount.i32(mem, head).ok()?;
    let said = |used| Some(PageState { at: page, head: Some(head).filter(|h| *h != page), count, used });
    let flags = s.bind::<PageStruct>().flags.num(mem, head).ok()?;
    let names = flag_names(s);
    let has = |name: &str| names.iter().any(|(bit, n)| n == name && flags >> bit & 1 == 1);
    if has("hwpoison") {
        return said(Use::Broken);
    }
    if head == page
        && let Some((first, order)) = layout.free_block(mem, &marks, pfn)
    {
        return said(Use::Free { first: Pfn(first), order });
    }
    let kind = layout.kind(mem, head)?;
    if Marks::is_type(kind) {
        return if marks.is(kind, marks.table) { said(Use::Table) } else { None };
    }
    if has("slab") {
        return None;
    }
    if count == 0 && head == page {
        let cpu = layout.list_head(mem, page).and_then(|list| cpu_of(s, list))?;
        return said(Use::FreeOfCpu(cpu));
    }
    if has("reserved") {
        return said(Use::Reserved);
    }
    if count <= 0 {
        return None;
    }
    said(mapped(s, head).unwrap_or(Use::InUse))
}

/// What a page's `mapping` says.
fn mapped(s: &Session, head: VirtAddr) -> Option<Use> {
    let mem = s.mem();
    let mapping = s.bind::<PageStruct>().mapping.ptr(mem, head).ok().filter(|m| m.0 >> 63 == 1)?;
    match mapping.0 & 3 {
        0 => {
            let b = s.bind::<InodeOf>();
            let inode = s.bind::<Mapping>().host.ptr(mem, mapping).ok()?;
            let is_own = b.data.at(inode).ok()? == mapping;
            let number = b.number.num(mem, inode).ok().filter(|_| is_own)?;
            Some(Use::File { inode, number, system: system(s, inode).unwrap_or_default() })
        }
        1 => {
            let root = VirtAddr(mapping.0 & !3);
            (slab::cache_of(s, root)? == "anon_vma").then_some(Use::Anonymous)
        }
        _ => None,
    }
}

/// `ext4 on vda1`
fn system(s: &Session, inode: VirtAddr) -> Option<String> {
    let mem = s.mem();
    let sb = s.bind::<InodeOf>().sb.ptr(mem, inode).ok()?;
    let b = s.bind::<SuperOf>();
    let kind = b.kind.ptr(mem, sb).ok()?;
    let kind = s.bind::<FileSystem>().name.string(mem, kind, 32).ok()?;
    let id = b.id.text(mem, sb).unwrap_or_default();
    Some(if id.is_empty() || id == kind { kind } else { format!("{kind} on {id}") })
}

/// The CPU whose lists of free pages have a head at this address.
fn cpu_of(s: &Session, head: VirtAddr) -> Option<u32> {
    let size = s.bind::<CpuLists>().size?;
    zones(s).into_iter().find_map(|lists| {
        s.cpus().possible.iter().copied().find(|&cpu| {
            crate::cpu::per_cpu_offset(s, cpu).is_ok_and(|off| head.0.wrapping_sub(lists.add(off).0) < size)
        })
    })
}

/// The lists that each zone keeps for every CPU.
fn zones(s: &Session) -> FxHashSet<VirtAddr> {
    let mem = s.mem();
    let (node, zone) = (s.bind::<Node>(), s.bind::<Zone>());
    let mut nodes = Vec::new();
    if let Some(table) = s.symbol("node_data") {
        let count = s.symbol("nr_node_ids").and_then(|at| mem.u32(at).ok()).map_or(1, u64::from);
        nodes.extend((0..count.min(MAX_NODES)).filter_map(|n| mem.ptr(table.add(n * 8)).ok()));
    }
    nodes.extend(s.symbol("contig_page_data"));
    let mut out = FxHashSet::default();
    let (Some(size), Ok(all)) = (zone.size.filter(|n| *n > 0), node.zones.size()) else { return out };
    for at in nodes.into_iter().filter(|at| !at.is_null()) {
        let Ok(first) = node.zones.at(at) else { continue };
        let lists = (0..(all / size).min(16)).filter_map(|n| zone.lists.ptr(mem, first.add(n * size)).ok());
        out.extend(lists.filter(|at| !at.is_null()));
    }
    out
}

/// The address in the direct map where a frame begins.
#[must_use]
pub fn begin(s: &Session, pfn: Pfn) -> VirtAddr {
    slab::direct_map_base(s).add(pfn.0.wrapping_mul(PAGE_SIZE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Fault, FaultKind};

    const VMEMMAP: VirtAddr = VirtAddr(0xffff_ea00_0000_0000);
    const LAYOUT: Layout = Layout { vmemmap: VMEMMAP, size: 64, kind: 48, private: Some(40), lru: Some(8) };

    /// Pages from frame 0 on, and a list's head far from them.
    struct Ram {
        pages: Vec<u8>,
        head: [u8; 16],
    }
    const HEAD: u64 = 0xffff_8880_0002_0000;

    impl Ram {
        fn new(pages: usize) -> Self {
            let mut out = Self { pages: vec![0; pages * 64], head: [0; 16] };
            for pfn in 0..pages {
                out.kind(pfn, u32::MAX);
            }
            out
        }
        fn kind(&mut self, pfn: usize, kind: u32) {
            self.pages[pfn * 64 + 48..][..4].copy_from_slice(&kind.to_le_bytes());
        }
        fn word(&mut self, at: u64, value: u64) {
            let place = match at.checked_sub(HEAD) {
                Some(off) if off < 16 => &mut self.head[off as usize..],
                _ => &mut self.pages[(at - VMEMMAP.0) as usize..],
            };
            place[..8].copy_from_slice(&value.to_le_bytes());
        }
        /// Marks a block as free.
        fn free(&mut self, pfn: usize, order: u64, mark: u32) {
            self.kind(pfn, mark);
            self.word(LAYOUT.page(pfn as u64).0 + 40, order);
        }
    }

    impl VirtRead for Ram {
        fn read(&self, at: VirtAddr, buf: &mut [u8]) -> Result<(), Fault> {
            let fault = || Fault { at, kind: FaultKind::NotMapped("PTE") };
            let (from, of) = match at.0.checked_sub(HEAD) {
                Some(off) if off < 16 => (off, &self.head[..]),
                _ => (at.0.wrapping_sub(VMEMMAP.0), &self.pages[..]),
            };
            let from = usize::try_from(from).map_err(|_| fault())?;
            let part = from.checked_add(buf.len()).and_then(|to| of.get(from..to)).ok_or_else(fault)?;
            buf.copy_from_slice(part);
            Ok(())
        }
    }

    #[test]
    fn a_page_is_free_where_the_block_around_it_is() {
        for (mark, top) in
            [(!0x80_u32, false), (0xffff_ff80, false), (!0x4000_0000, false), (0xf0 << 24, true)]
        {
            let marks = Marks { free: Some(mark), table: None, top };
            let mut ram = Ram::new(32);
            ram.free(8, 2, mark);
            assert_eq!(LAYOUT.free_block(&ram, &marks, 8), Some((8, 2)), "{mark:x}");
            assert_eq!(LAYOUT.free_block(&ram, &marks, 11), Some((8, 2)));
            assert_eq!(LAYOUT.free_block(&ram, &marks, 12), None, "behind the block");
            assert_eq!(LAYOUT.free_block(&ram, &marks, 7), None, "before it");
            assert_eq!(LAYOUT.free_block(&ram, &marks, 40), None, "not in memory");
        }
    }

    #[test]
    fn an_order_that_does_not_fit_its_place_is_none() {
        let marks = Marks { free: Some(!0x80), table: None, top: false };
        let mut ram = Ram::new(32);
        ram.free(4, 3, !0x80);
        assert_eq!(LAYOUT.free_block(&ram, &marks, 4), None);
        ram.free(4, u64::MAX, !0x80);
        assert_eq!(LAYOUT.free_block(&ram, &marks, 5), None);
    }

    #[test]
    fn types_are_told_from_counts() {
        let marks = Marks { free: Some(0xf0 << 24), table: Some(0xf2 << 24), top: true };
        assert!(marks.is(0xf200_0001, marks.table) && !marks.is(0xf200_0001, marks.free));
        assert!(Marks::is_type(0xf200_0001) && Marks::is_type(!0x80));
        assert!(!Marks::is_type(u32::MAX) && !Marks::is_type(0) && !Marks::is_type(3));
        assert!(!Marks::default().is(0, None));
    }

    #[test]
    fn a_list_of_pages_leads_to_its_head() {
        let mut ram = Ram::new(4);
        let link = |pfn: u64| LAYOUT.page(pfn).0 + 8;
        let ring = [HEAD, link(1), link(3)];
        for n in 0..3 {
            ram.word(ring[n], ring[(n + 1) % 3]);
            ram.word(ring[n] + 8, ring[(n + 2) % 3]);
        }
        assert_eq!(LAYOUT.list_head(&ram, LAYOUT.page(3)), Some(VirtAddr(HEAD)));
        assert_eq!(LAYOUT.list_head(&ram, LAYOUT.page(1)), Some(VirtAddr(HEAD)));
        assert_eq!(LAYOUT.list_head(&ram, LAYOUT.page(2)), None, "in no list");
        // what a page was linked with once does not point back to it
        ram.word(link(2), link(1));
        ram.word(link(2) + 8, HEAD);
        assert_eq!(LAYOUT.list_head(&ram, LAYOUT.page(2)), None);
        // a ring of pages alone has no head
        ram.word(link(2), link(2));
        ram.word(link(2) + 8, link(2));
        assert_eq!(LAYOUT.list_head(&ram, LAYOUT.page(2)), None);
    }
}
