//! What a page is used for: free, page tables, page cache, anonymous memory, reserved.
//!
//! Sources: include/linux/page-flags.h (page types), include/linux/mm_types.h, mm/page_alloc.c
//! (`is_free_buddy_page()`, `struct per_cpu_pages`), include/linux/mm.h (`page_mapping()`), kernel/vmcore_info.c.
//!
//! **Invariant:** nothing is said but what something else in memory confirms: of a block of free pages its first page
//! has the mark and an order that reaches the page, a list of free pages leads back to the CPU's head, a mapping to its
//! inode, an anonymous page to an `anon_vma`. A page without references alone is not called free: later pages of a
//! block that was allocated as one have none either.

use crate::containers::list::list;
use crate::error::Result;
use crate::fs::inode::{self, AddressSpace, Inode};
use crate::mm::node;
use crate::mm::page::{PageStruct, flag_names};
use crate::mm::page_type::{Mark, PageTypes, is_type};
use crate::mm::slab;
use crate::mm::zone::{NodeStruct, ZoneStruct};
use crate::session::Session;
use base::{Pfn, VirtAddr, VirtRead};
use rustc_hash::FxHashSet;

bind! {
    /// `struct page`, what tells its use
    struct PageUse("page") { private: "private", lru: "lru" }
}
bind! {
    /// What a zone keeps for each CPU
    struct CpuLists("per_cpu_pageset" | "per_cpu_pages") {}
}

/// The largest order of a block of free pages that any kernel has.
const MAX_ORDER: u64 = 10;

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
    /// Of a type that the kernel marks pages with, by its name: `unaccepted` (memory of a confidential machine that is
    /// free and was never touched), `offline`, `hugetlb`, `zsmalloc` ...
    Typed(String),
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
        /// File system and device.
        system: Option<String>,
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

impl Layout {
    fn of(s: &Session) -> Option<Self> {
        let b = s.bind::<PageUse>();
        Some(Self {
            vmemmap: slab::vmemmap_base(s).ok()?,
            size: b.size.filter(|n| *n > 0)?,
            kind: s.bind::<PageTypes>().word.offset().ok()?,
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
    fn free_block(&self, mem: &dyn VirtRead, free: Option<Mark>, pfn: u64) -> Option<(u64, u64)> {
        let (private, free) = (self.private?, free?);
        (0..=MAX_ORDER).find_map(|order| {
            let first = pfn & !((1 << order) - 1);
            let page = self.page(first);
            let own = free.fits(0, self.kind(mem, page)?).then(|| mem.u64(page.add(private)).ok())??;
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
    let types = s.bind::<PageTypes>();
    let pfn = at.0.checked_sub(slab::direct_map_base(s).ok()?.0)? >> s.page_shift();
    let page = layout.page(pfn);
    let count = s.bind::<PageStruct>().refcount.i32(mem, head).ok()?;
    let said = |used| Some(PageState { at: page, head: Some(head).filter(|h| *h != page), count, used });
    let flags = s.bind::<PageStruct>().flags.num(mem, head).ok()?;
    let names = flag_names(s);
    if names.is_empty() {
        return None; // what a flag means is not known
    }
    let has = |name: &str| names.iter().any(|(bit, n)| n == name && flags >> bit & 1 == 1);
    if has("hwpoison") {
        return said(Use::Broken);
    }
    if head == page
        && let Some((first, order)) = layout.free_block(mem, types.free, pfn)
    {
        return said(Use::Free { first: Pfn(first), order });
    }
    let kind = layout.kind(mem, head)?;
    if types.slab.is_some_and(|mark| mark.fits(flags, kind)) {
        return None;
    }
    if is_type(kind) {
        if types.table.is_some_and(|mark| mark.fits(0, kind)) {
            return said(Use::Table);
        }
        let own = types.others.iter().find(|(mark, _)| mark.fits(0, kind));
        return own.and_then(|(_, name)| said(Use::Typed(name.clone())));
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
    let mapping = s.bind::<PageStruct>().mapping.ptr(mem, head).ok().filter(|m| s.arch().is_kernel(*m))?;
    match mapping.0 & 3 {
        0 => {
            let b = s.bind::<Inode>();
            let inode = s.bind::<AddressSpace>().host.ptr(mem, mapping).ok()?;
            let is_own = b.data.at(inode).ok()? == mapping;
            let number = b.number.num(mem, inode).ok().filter(|_| is_own)?;
            Some(Use::File { inode, number, system: inode::system(s, inode) })
        }
        1 => {
            let root = VirtAddr(mapping.0 & !3);
            (slab::cache_of(s, root)? == "anon_vma").then_some(Use::Anonymous)
        }
        _ => None,
    }
}

/// The CPU whose lists of free pages have a head at this address.
fn cpu_of(s: &Session, head: VirtAddr) -> Option<u32> {
    let size = s.bind::<CpuLists>().size?;
    zones(s).into_iter().find_map(|lists| {
        s.cpus().possible.iter().copied().find(|&cpu| {
            crate::sched::cpu::per_cpu_offset(s, cpu)
                .is_ok_and(|off| head.0.wrapping_sub(lists.add(off).0) < size)
        })
    })
}

/// The lists that each zone keeps for every CPU.
fn zones(s: &Session) -> FxHashSet<VirtAddr> {
    let mem = s.mem();
    let (node, zone) = (s.bind::<NodeStruct>(), s.bind::<ZoneStruct>());
    let mut out = FxHashSet::default();
    let (Some(size), Ok(all)) = (zone.size.filter(|n| *n > 0), node.zones.size()) else { return out };
    for at in node::nodes(s).unwrap_or_default() {
        let Ok(first) = node.zones.at(at) else { continue };
        let lists = (0..(all / size).min(16)).filter_map(|n| zone.lists.ptr(mem, first.add(n * size)).ok());
        out.extend(lists.filter(|at| !at.is_null()));
    }
    out
}

/// The address in the direct map where a frame begins.
///
/// # Errors
/// Where the direct map begins is not known.
pub fn begin(s: &Session, pfn: Pfn) -> Result<VirtAddr> {
    Ok(slab::direct_map_base(s)?.add(pfn.0.wrapping_mul(s.page_size())))
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
            let fault = || Fault::new(at, FaultKind::NotMapped("PTE"));
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
        for (mark, free) in [
            (!0x80_u32, Mark::Cleared(0x80)),
            (0xffff_ff80, Mark::Whole(0xffff_ff80)),
            (!0x4000_0000, Mark::Cleared(0x4000_0000)),
            (0xf0 << 24, Mark::Top(0xf0)),
        ] {
            let free = Some(free);
            let mut ram = Ram::new(32);
            ram.free(8, 2, mark);
            assert_eq!(LAYOUT.free_block(&ram, free, 8), Some((8, 2)), "{mark:x}");
            assert_eq!(LAYOUT.free_block(&ram, free, 11), Some((8, 2)));
            assert_eq!(LAYOUT.free_block(&ram, free, 12), None, "behind the block");
            assert_eq!(LAYOUT.free_block(&ram, free, 7), None, "before it");
            assert_eq!(LAYOUT.free_block(&ram, free, 40), None, "not in memory");
        }
    }

    #[test]
    fn an_order_that_does_not_fit_its_place_is_none() {
        let free = Some(Mark::Cleared(0x80));
        let mut ram = Ram::new(32);
        ram.free(4, 3, !0x80);
        assert_eq!(LAYOUT.free_block(&ram, free, 4), None);
        ram.free(4, u64::MAX, !0x80);
        assert_eq!(LAYOUT.free_block(&ram, free, 5), None);
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
