//! The page cache of a file (mm/filemap.c): which pages of it are in memory, by their place in the file.
//!
//! Shape decides how a large page stands in the tree: one entry for the whole of it (XArray, 5.17 for files), the first page
//! at each of its places (5.3, 5fd4ca2d84b2), or each page at its own (4.8). Values are no pages: they remember what was
//! swapped out or dropped, or name memory of a device.
//!
//! **Invariant:** a page is told only where it names the file's `address_space` and its own place.

use crate::containers::xarray;
use crate::error::{KernelError, Result};
use crate::fs::inode::{self, AddressSpace, Inode};
use crate::mm::page::{PageStruct, Pages, flag_names};
use crate::mm::page_type::PageTypes;
use crate::session::Session;
use base::{PhysAddr, VirtAddr};

bind! {
    /// `struct folio`
    struct FolioOrder("folio") {
        order: "_folio_order", // 6.3 (1c5509be58f6) to 6.5
        flags_1: "_flags_1", // its low byte since 6.6 (ebc1baf5c9b4)
    }
}
bind! {
    /// The second `struct page` of a large page
    struct SecondPage("page") { order: "compound_order" } // to 6.2
}

/// The largest order of a page: 16 GiB in pages of 4 KiB.
const MAX_ORDER: u64 = 22;

/// A page of a file that is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Its place in the file, in pages.
    pub index: u64,
    /// Its `struct page`.
    pub page: VirtAddr,
    /// The first `struct page` of the large page that it is of; its own where it is of none.
    pub head: VirtAddr,
}

/// Why a cached page's bytes are not the file's: what to say, and whether the dump lost them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotThere {
    /// A sentence.
    pub why: String,
    /// True where the dump should have them.
    pub is_loss: bool,
}

impl From<KernelError> for NotThere {
    fn from(e: KernelError) -> Self {
        Self { why: e.to_string(), is_loss: e.is_loss() }
    }
}

/// Where the bytes of cached pages are.
pub struct CachedBytes<'s> {
    pages: Pages<'s>,
    page_shift: u32,
    uptodate: Option<u32>,
}

impl std::fmt::Debug for CachedBytes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedBytes").field("uptodate", &self.uptodate).finish_non_exhaustive()
    }
}

impl<'s> CachedBytes<'s> {
    /// Of a session's pages.
    #[must_use]
    pub fn of(s: &'s Session) -> Self {
        let uptodate = flag_names(s).into_iter().find(|(_, name)| name == "uptodate").map(|(bit, _)| bit);
        Self { pages: Pages::new(s), page_shift: s.page_shift(), uptodate }
    }

    /// Where a page's bytes are.
    ///
    /// # Errors
    /// The page is not known, or does not have the file's bytes yet.
    pub fn place(&self, one: &Cached) -> std::result::Result<PhysAddr, NotThere> {
        // what a large page has once for all stands in its first one
        let head = self.pages.read(self.pages.frame(one.head)?)?;
        // a page that is still being read holds what was in memory before
        if self.uptodate.is_some_and(|bit| head.flags >> bit.min(63) & 1 == 0) {
            let why = "in the page cache, and not read from the disk yet".to_owned();
            return Err(NotThere { why, is_loss: false });
        }
        Ok(PhysAddr(self.pages.frame(one.page)?.0.wrapping_shl(self.page_shift)))
    }
}

/// The pages of a file that are in memory, ascending.
#[derive(Clone, Debug, Default)]
pub struct PageCache {
    /// The pages.
    pub pages: Vec<Cached>,
    /// How many entries are no pages.
    pub values: u64,
    /// Why there may be other pages.
    pub problems: Vec<KernelError>,
}

/// Where the kernel keeps the pages of an inode (`address_space`), and how many it says there are.
///
/// # Errors
/// The inode is not in the dump, or no inode.
pub fn mapping(s: &Session, inode: VirtAddr) -> Result<(VirtAddr, Result<u64>)> {
    let mapping = s.bind::<Inode>().mapping.ptr(s.mem(), inode)?;
    if !s.arch().is_kernel(mapping) {
        let why = format!("its i_mapping is {mapping:#x}");
        return Err(KernelError::Damaged { what: "inode", at: inode, why });
    }
    Ok((mapping, s.bind::<AddressSpace>().count.num(s.mem(), mapping)))
}

/// The pages of an inode that are in memory.
///
/// # Errors
/// The inode is not in the dump, or no inode.
pub fn pages(s: &Session, inode: VirtAddr) -> Result<PageCache> {
    let (mapping, _) = mapping(s, inode)?;
    let tree = s.bind::<AddressSpace>().pages.at(mapping)?;
    let found = xarray::entries(s.mem(), xarray::Layout::of(s)?, xarray::head(s, tree)?);
    let is_huge = inode::kind(s, inode).is_ok_and(|kind| kind == "hugetlbfs");
    let mut out = PageCache { problems: found.problems, ..PageCache::default() };
    let mut entries = found.all.iter().peekable();
    while let Some(entry) = entries.next() {
        if entry.value & 3 != 0 {
            out.values = out.values.saturating_add(1);
            continue;
        }
        let head = VirtAddr(entry.value);
        // huge pages of their own file system are counted as one each
        let order = if is_huge { Ok(0) } else { order(s, head) };
        let checked = order.and_then(|order| checked(s, mapping, head, entry.index, order, is_huge));
        match checked {
            Ok(order) => {
                let next = entries.peek().map(|next| next.index);
                push(s, &mut out, (head, entry.index), order, next);
            }
            Err(e) => out.problems.push(e),
        }
    }
    Ok(out)
}

/// Adds what an entry stands for: the page, all of a large one, or the one of it that has this place.
fn push(s: &Session, out: &mut PageCache, (head, index): (VirtAddr, u64), order: u64, next: Option<u64>) {
    let Some(size) = s.bind::<PageStruct>().size else {
        out.problems.push(KernelError::NoType("page"));
        return;
    };
    let count = 1_u64 << order;
    let place = index & (count - 1);
    let is_whole = place == 0 && next.is_none_or(|next| next.checked_sub(index).is_none_or(|d| d >= count));
    let pages = if is_whole { 0..count } else { place..place.saturating_add(1) };
    for n in pages {
        let page = head.add(n.wrapping_mul(size));
        out.pages.push(Cached { index: index.wrapping_sub(place).wrapping_add(n), page, head });
    }
}

/// The order of a large page by its first `struct page`; 0 of one that is none.
fn order(s: &Session, head: VirtAddr) -> Result<u64> {
    let mem = s.mem();
    let b = s.bind::<PageStruct>();
    let size = b.size.ok_or(KernelError::NoType("page"))?;
    let flags = b.flags.u64(mem, head)?;
    let is_head = s.bind::<PageTypes>().head.is_some_and(|bit| bit < 64 && flags >> bit & 1 == 1);
    if !is_head {
        return Ok(0);
    }
    let folio = s.bind::<FolioOrder>();
    let second = s.bind::<SecondPage>();
    let order = if folio.order.exists() {
        folio.order.num(mem, head)?
    } else if second.order.exists() {
        second.order.num(mem, head.add(size))?
    } else {
        folio.flags_1.u64(mem, head)? & 0xff
    };
    match order {
        1..=MAX_ORDER => Ok(order),
        _ => Err(not_of("page", head, format!("its order is {order}"))),
    }
}

fn not_of(what: &'static str, at: VirtAddr, why: String) -> KernelError {
    KernelError::Damaged { what, at, why }
}

/// The order, where the page is one of this file at this place.
fn checked(
    s: &Session,
    mapping: VirtAddr,
    head: VirtAddr,
    index: u64,
    order: u64,
    is_huge: bool,
) -> Result<u64> {
    let b = s.bind::<PageStruct>();
    let own = b.mapping.u64(s.mem(), head)?;
    if own != mapping.0 {
        return Err(not_of("page", head, format!("it is in the cache of {mapping:#x}, and says {own:#x}")));
    }
    let at = b.index.u64(s.mem(), head)?;
    let wanted = index & !((1_u64 << order) - 1);
    // how hugetlbfs counts places changed in 6.7 (a08c7193e4f1)
    if at != wanted && !is_huge {
        return Err(not_of("page", head, format!("it is page {wanted} of its file, and says {at}")));
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    const MAPPING: u64 = 24;

    /// A file of so many pages; the tree's entries are made by `entries` of the address of the first `struct page`.
    fn made(second: bool, entries: &dyn Fn(u64) -> Vec<(u64, u64)>) -> (Kernel, u64, u64) {
        let mut k = Kernel::new();
        k.idr("xarray");
        k.enumeration("pageflags", &[("PG_locked", 0), ("PG_head", 6), ("__NR_PAGEFLAGS", 20)]);
        let page =
            [("flags", 0, "u64"), ("mapping", 24, "*void"), ("index", 32, "u64"), ("_refcount", 52, "s32")];
        k.structure("page", 64, &page);
        k.structure("folio", 128, &[("page", 0, "page")]);
        if second {
            k.member("page", ("compound_order", 17, "u8"));
        } else {
            k.member("folio", ("_flags_1", 64, "u64"));
        }
        k.structure("address_space", 64, &[("i_pages", 0, "xarray"), ("nrpages", 48, "u64")]);
        k.structure("inode", 128, &[("i_mapping", 8, "*void"), ("i_data", MAPPING, "address_space")]);
        let inode = k.object("inode");
        k.set(inode, "inode", "i_mapping", inode + MAPPING);
        let first = k.memory(64 * 64);
        let all = entries(first);
        k.fill_idr(inode + MAPPING, &all);
        (k, inode, first)
    }

    /// Makes a `struct page` one of the file.
    fn page(k: &mut Kernel, second: bool, inode: u64, (at, index, order): (u64, u64, u8)) {
        k.set(at, "page", "mapping", inode + MAPPING).set(at, "page", "index", index);
        if order > 0 {
            k.set(at, "page", "flags", 1 << 6);
            k.put(at + if second { 64 + 17 } else { 64 }, &[order]);
        }
    }

    fn shown(k: &Kernel, inode: u64, first: u64) -> (Vec<(u64, u64)>, u64, Vec<String>) {
        let found = pages(&session(k), VirtAddr(inode)).unwrap();
        let all = found.pages.iter().map(|one| (one.index, (one.page.0 - first) / 64)).collect();
        (all, found.values, found.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn pages_by_their_place_and_values_beside_them() {
        let (mut k, inode, first) = made(true, &|first| vec![(0, first), (5, 0x13), (70, first + 64)]);
        page(&mut k, true, inode, (first, 0, 0));
        page(&mut k, true, inode, (first + 64, 70, 0));
        assert_eq!(shown(&k, inode, first), (vec![(0, 0), (70, 1)], 1, vec![]));
        // a page of another file, and one of another place
        k.set(first, "page", "mapping", 0x1234).set(first + 64, "page", "index", 71);
        let (all, _, problems) = shown(&k, inode, first);
        assert!(all.is_empty() && problems.len() == 2, "{problems:?}");
        assert!(problems[1].contains("it is page 70 of its file, and says 71"), "{problems:?}");
    }

    #[test]
    fn a_large_page_is_all_its_pages_however_it_stands_in_the_tree() {
        let whole: Vec<(u64, u64)> = (0..4).map(|n| (n + 4, n)).collect();
        for second in [true, false] {
            // one entry; the first page at each place
            let (mut k, inode, first) = made(second, &|first| vec![(4, first), (9, first + 8 * 64)]);
            page(&mut k, second, inode, (first, 4, 2));
            page(&mut k, second, inode, (first + 8 * 64, 9, 0));
            let mut want = whole.clone();
            want.push((9, 8));
            assert_eq!(shown(&k, inode, first), (want, 0, vec![]), "{second}");
            let (mut k, inode, first) = made(second, &|first| (4..8).map(|n| (n, first)).collect());
            page(&mut k, second, inode, (first, 4, 2));
            assert_eq!(shown(&k, inode, first), (whole.clone(), 0, vec![]), "{second}");
        }
        let (mut k, inode, first) = made(true, &|first| vec![(4, first)]);
        page(&mut k, true, inode, (first, 4, 60));
        assert!(shown(&k, inode, first).2[0].contains("its order is 60"));
    }
}
