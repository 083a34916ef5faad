//! Slab caches (`struct kmem_cache`): which there are, and which one an address belongs to.

use crate::list::list;
use crate::session::Session;
use base::{PAGE_SHIFT, VirtAddr};
use rustc_hash::FxHashMap;

bind! {
    /// `struct kmem_cache` (mm/slab.h; SLUB: include/linux/slub_def.h)
    pub struct KmemCache("kmem_cache") {
        name: "name",
        list: "list" | "next", // SLAB before 3.7 called it next
        object_size: "object_size" | "objsize",
        slot_size: "size" | "buffer_size",
        offset: "offset",
    }
}
bind! {
    /// `struct page` as slab code sees it, `struct slab` since 5.17 (d122019bf061)
    struct SlabPage("slab" | "page") {
        cache: "slab_cache" | "slab",
    }
}
bind! {
    /// `struct page`
    struct Page("page") { compound_head: "compound_head", first_page: "first_page" }
}

/// The direct map's base: KASLR moves it (`page_offset_base`, 4.8), before it was fixed.
pub fn direct_map_base(s: &Session) -> VirtAddr {
    let moved = s.symbol("page_offset_base").and_then(|at| s.mem().ptr(at).ok());
    moved.filter(|at| at.0 >> 63 == 1).unwrap_or_else(|| {
        // 4.20 (d52888aa2753) moved it up by 8 TiB: the page tables tell which
        let bases = s.arch().direct_map_bases().iter().copied().map(VirtAddr);
        let mapped = bases.clone().skip(1).find(|at| s.map().translate(*at).is_ok());
        mapped.or_else(|| bases.clone().next()).unwrap_or_default()
    })
}

/// The array of `struct page`s.
pub fn vmemmap_base(s: &Session) -> VirtAddr {
    let moved = s.symbol("vmemmap_base").and_then(|at| s.mem().ptr(at).ok());
    moved.filter(|at| at.0 >> 63 == 1).unwrap_or(VirtAddr(0xffff_ea00_0000_0000))
}

/// The names of all caches, by their address.
pub fn cache_names(s: &Session) -> &FxHashMap<VirtAddr, String> {
    s.slab_caches.get_or_init(|| {
        let mut out = FxHashMap::default();
        let b = s.bind::<KmemCache>();
        let Some(head) = s.symbol("slab_caches").or_else(|| s.symbol("cache_chain")) else { return out };
        for entry in list(s.mem(), head) {
            let Ok(at) = entry.and_then(|e| b.list.container(e)) else { break };
            let name = b.name.string(s.mem(), at, 64).unwrap_or_default();
            out.insert(at, name);
        }
        out
    })
}

/// The name of the cache whose slab holds the address; `None` for any other memory.
pub fn cache_of(s: &Session, at: VirtAddr) -> Option<&str> {
    let base = direct_map_base(s);
    let phys = at.0.checked_sub(base.0)?;
    let end = s.phys().ranges().last()?.end;
    if phys >= end.0 {
        return None;
    }
    let page_size = s.bind::<Page>().size?;
    let mem = s.mem();
    let mut page = vmemmap_base(s).add((phys >> PAGE_SHIFT).wrapping_mul(page_size));
    let head = s.bind::<Page>().compound_head.u64(mem, page).ok()?;
    if head & 1 == 1 {
        page = VirtAddr(head & !1);
    }
    let cache = s.bind::<SlabPage>().cache.ptr(mem, page).ok()?;
    cache_names(s).get(&cache).map(String::as_str)
}
