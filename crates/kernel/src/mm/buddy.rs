//! The buddy allocator's lists of free blocks (`struct free_area` of each zone, mm/page_alloc.c).
//!
//! **Invariant:** a block is one only where its first page has the mark of free pages and the order of the list it is in.

use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::mm::page_type::PageTypes;
use crate::mm::slab;
use crate::mm::zone::ZoneStruct;
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct free_area`
    struct FreeArea("free_area") { lists: "free_list", count: "nr_free" }
}
bind! {
    /// `struct page` as a free block's first
    struct FreePage("page") { link: "buddy_list" | "lru", order: "private", flags: "flags" } // 5.18 (bf75f200569d)
}

/// More orders than any allocator has.
const MAX_ORDERS: u64 = 64;
/// More kinds of blocks than any allocator has.
const MAX_KINDS: u64 = 16;
/// Two pointers.
const LIST_HEAD: u64 = 16;

/// The free blocks of one size in a zone.
#[derive(Clone, Debug)]
pub struct Area {
    /// A block has 2^order pages.
    pub order: u32,
    /// `struct free_area`
    pub at: VirtAddr,
    /// How many blocks the zone counts.
    pub counted: Result<u64>,
    /// The blocks of each kind (`enum migratetype`).
    pub kinds: Vec<FreeList>,
    /// Why there may be more.
    pub problems: Vec<KernelError>,
}

/// The free blocks of one size and kind.
#[derive(Clone, Debug)]
pub struct FreeList {
    /// The list's head.
    pub at: VirtAddr,
    /// The blocks, by the `struct page` of their first page.
    pub blocks: Vec<VirtAddr>,
    /// Why there may be more.
    pub problem: Option<KernelError>,
}

impl Area {
    /// The blocks that were found.
    pub fn blocks(&self) -> impl Iterator<Item = VirtAddr> {
        self.kinds.iter().flat_map(|list| list.blocks.iter().copied())
    }
    /// Pages in the blocks that were found.
    #[must_use]
    pub fn pages(&self) -> u64 {
        (self.blocks().count() as u64).checked_shl(self.order).unwrap_or(u64::MAX)
    }
}

/// The free blocks of a zone, the smallest first.
///
/// # Errors
/// Where they are is not known.
pub fn areas(s: &Session, zone: VirtAddr) -> Result<Vec<Area>> {
    let (b, area) = (s.bind::<ZoneStruct>(), s.bind::<FreeArea>());
    let first = b.free_area.at(zone)?;
    let size = area.size.filter(|n| *n > 0).ok_or(KernelError::NoType("free_area"))?;
    area.lists.offset()?;
    let orders = (b.free_area.size()? / size).min(MAX_ORDERS);
    (0..orders).map(|n| read(s, n as u32, first.add(n * size))).collect()
}

fn read(s: &Session, order: u32, at: VirtAddr) -> Result<Area> {
    let mem = s.mem();
    let (b, page, types) = (s.bind::<FreeArea>(), s.bind::<FreePage>(), s.bind::<PageTypes>());
    let (pages, size) =
        (slab::vmemmap_base(s)?, page.size.filter(|n| *n > 0).ok_or(KernelError::NoType("page"))?);
    let mark = types.free;
    let first = b.lists.at(at)?;
    let mut out = Area { order, at, counted: b.count.u64(mem, at), kinds: Vec::new(), problems: Vec::new() };
    for kind in 0..(b.lists.size()? / LIST_HEAD).min(MAX_KINDS) {
        let mut blocks = Vec::new();
        let mut add = |link| {
            let at = page.link.container(link)?;
            let is_free = || -> Result<bool> {
                let word = types.word.u32(mem, at)?;
                let own = page.order.u64(mem, at)?;
                Ok(mark.is_none_or(|mark| mark.fits(0, word)) && own == u64::from(order))
            };
            let is_page = at.0.checked_sub(pages.0).is_some_and(|offset| offset % size == 0);
            if !is_page || !is_free()? {
                let why = format!("it is in a list of free blocks of order {order}, and is none");
                return Err(KernelError::Damaged { what: "page", at, why });
            }
            blocks.push(at);
            Ok(())
        };
        let at = first.add(kind * LIST_HEAD);
        let problems = both_ways(mem, at, &mut add);
        out.kinds.push(FreeList { at, blocks, problem: problems.first().cloned() });
        out.problems.extend(problems);
    }
    let found = out.blocks().count() as u64;
    match &out.counted {
        Ok(counted) if *counted != found && out.problems.is_empty() => {
            out.problems.push(KernelError::Damaged {
                what: "free_area",
                at,
                why: format!("it counts {counted} blocks, and its lists have {found}"),
            })
        }
        _ => {}
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// A zone of three orders with two kinds of blocks; the pages in each list.
    fn machine(member: &str, lists: &[(u64, u64, &[u64])], counts: [u64; 3]) -> (Kernel, u64) {
        let mut k = Kernel::new();
        k.list_head();
        k.structure("free_area", 40, &[("free_list", 0, "list_head[2]"), ("nr_free", 32, "u64")]);
        k.structure("zone", 256, &[("free_area", 16, "free_area[3]")]);
        let members =
            [(member, 8, "list_head"), ("private", 40, "u64"), ("_mapcount", 48, "u32"), ("flags", 0, "u64")];
        k.structure("page", 64, &members);
        let zone = k.object("zone");
        for order in 0..3 {
            for kind in 0..2 {
                let pages = lists.iter().find(|(o, n, _)| (*o, *n) == (order, kind)).map_or(&[][..], |l| l.2);
                let links: Vec<u64> = pages
                    .iter()
                    .map(|pfn| {
                        let page = k.page(*pfn);
                        k.word(page + 40, order).half(page + 48, (-128_i32).cast_unsigned());
                        page + 8
                    })
                    .collect();
                k.link(zone + 16 + order * 40 + kind * 16, &links);
            }
            k.word(zone + 16 + order * 40 + 32, counts[order as usize]);
        }
        (k, zone)
    }

    #[test]
    fn blocks_by_order_and_kind() {
        for member in ["lru", "buddy_list"] {
            let (k, zone) = machine(member, &[(0, 1, &[5, 9]), (2, 0, &[16])], [2, 0, 1]);
            let all = areas(&session(&k), VirtAddr(zone)).unwrap();
            assert!(all.iter().all(|area| area.problems.is_empty()), "{all:?}");
            let pages: Vec<u64> = all.iter().map(Area::pages).collect();
            assert_eq!(pages, [2, 0, 4]);
            assert_eq!((all[0].kinds[0].blocks.len(), all[0].kinds[1].blocks.len()), (0, 2));
        }
    }

    #[test]
    fn a_block_that_is_none_and_a_count_that_differs_are_told() {
        let (mut k, zone) = machine("lru", &[(1, 0, &[4, 8, 12])], [0, 3, 0]);
        let page = k.page(8);
        k.half(page + 48, 3);
        let all = areas(&session(&k), VirtAddr(zone)).unwrap();
        assert!(all[1].problems[0].to_string().contains("and is none"), "{:?}", all[1].problems);
        assert_eq!(all[1].blocks().count(), 2, "one from each end");
        let (k, zone) = machine("lru", &[(1, 0, &[4])], [0, 3, 0]);
        let all = areas(&session(&k), VirtAddr(zone)).unwrap();
        assert!(all[1].problems[0].to_string().contains("it counts 3 blocks, and its lists have 1"));
    }
}
