//! Slab caches (`struct kmem_cache`): which there are, and which one an address belongs to.

use crate::bind::{Binding, Field, Layouts, find_struct};
use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::mm::direct_map;
use crate::mm::page_type::{self, PageTypes};
use crate::session::{Fact, Session};
use base::VirtAddr;
use debuginfo::types::TypeRef;
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
    /// `struct kmem_cache`: what it keeps for each NUMA node
    struct CacheNodes("kmem_cache") { node: "node", per_node: "per_node" }
}
bind! {
    /// `struct kmem_cache_per_node_ptrs` (7.1, 5ba6bc27b1f9)
    struct PerNode("kmem_cache_per_node_ptrs") { node: "node", barn: "barn" }
}
bind! {
    /// `struct kmem_cache_node`; SLAB called it `kmem_list3` before 3.7
    struct CacheNode("kmem_cache_node") { barn: "barn" }
}

/// A page of a slab: `struct slab` since 5.17 (d122019bf061), before it `struct page`. SLAB of 3.x has a `struct slab` too
/// that is something else: it does not name its cache.
#[derive(Debug)]
pub(crate) struct SlabPage {
    pub(crate) cache: Field,
    pub(crate) freelist: Field,
    /// Bits 16 to 30: how many objects.
    pub(crate) counters: Field,
    /// The same as a bit-field.
    pub(crate) objects: Field,
    /// The first object (SLAB, 3.13 to 6.7).
    pub(crate) first: Field,
}

/// The struct in which a kernel describes a slab, by name and type: `slab`, until 5.17 (d122019bf061) a part of `page`. A `slab`
/// without a cache is another struct of that name.
pub(crate) fn struct_of_slab(layouts: &Layouts<'_>) -> (&'static str, Option<TypeRef>) {
    let own = find_struct(layouts.types, &["slab"])
        .filter(|ty| layouts.types.member(*ty, "slab_cache").is_ok_and(|m| m.is_some()));
    match own {
        Some(_) => ("slab", own),
        None => ("page", find_struct(layouts.types, &["page"])),
    }
}

impl Binding for SlabPage {
    fn bind(layouts: &Layouts<'_>) -> Self {
        let (of, ty) = struct_of_slab(layouts);
        let field = |member, paths: &[&'static str]| Field::bind(layouts, of, ty, member, paths);
        Self {
            cache: field("slab_cache", &["slab_cache", "slab"]),
            freelist: field("freelist", &["freelist"]),
            counters: field("counters", &["counters"]),
            objects: field("objects", &["objects"]),
            first: field("s_mem", &["s_mem"]),
        }
    }
}
bind! {
    /// `struct page`
    struct Page("page") { flags: "flags", compound_head: "compound_head" | "compound_info", first_page: "first_page" }
}

/// What a variable says that KASLR moves; nothing where this kernel has no such variable, and an error where it cannot be
/// read or holds no kernel address: then it is not known what KASLR made of it.
fn moved(s: &Session, name: &'static str) -> Result<Option<VirtAddr>> {
    let Some(at) = s.landmark(name) else {
        return match s.no_symbol(name) {
            KernelError::NoSymbol(_) => Ok(None),
            lack => Err(lack),
        };
    };
    match s.mem().ptr(at)? {
        base if s.arch().is_kernel(base) => Ok(Some(base)),
        base => Err(KernelError::Damaged { what: name, at, why: format!("it holds {base:#x}") }),
    }
}

/// The direct map's base: KASLR moves it (`page_offset_base`, 4.8), before it was fixed. Where the variable is lost, the
/// page tables tell.
///
/// # Errors
/// When neither is in the dump.
pub fn direct_map_base(s: &Session) -> Result<VirtAddr> {
    s.fact::<DirectMap>().0.clone()
}

/// The direct map's base, or why it is not known.
struct DirectMap(Result<VirtAddr>);

impl Default for DirectMap {
    fn default() -> Self {
        Self(Err(KernelError::NoSymbol("page_offset_base".to_owned())))
    }
}

impl Fact for DirectMap {
    const STAYS: bool = true;
    fn read(s: &Session) -> Self {
        Self(find_direct_map(s))
    }
}

fn find_direct_map(s: &Session) -> Result<VirtAddr> {
    match moved(s, "page_offset_base") {
        Ok(Some(base)) => Ok(base),
        Ok(None) => {
            // 4.20 (d52888aa2753) moved x86's up by 512 GiB: the page tables tell which. With more memory than that the older
            // map covers the newer base as well, so that the older one is tried first
            let fixed = s.arch().layout.direct_map_bases();
            let mapped = fixed.iter().rev().find(|base| s.map().translate(VirtAddr(**base)).is_ok());
            match mapped.or(fixed.first()) {
                Some(base) => Ok(VirtAddr(*base)),
                None => direct_map::base(&s.opened().machine).ok_or_else(|| s.no_symbol("page_offset_base")),
            }
        }
        Err(e) => direct_map::base(&s.opened().machine).ok_or(e),
    }
}

/// The array of `struct page`s.
///
/// # Errors
/// When the variable that tells where it is (`vmemmap_base`) is not in the dump.
pub fn vmemmap_base(s: &Session) -> Result<VirtAddr> {
    s.fact::<Vmemmap>().0.clone()
}

/// Where the array of `struct page`s is, or why that is not known.
struct Vmemmap(Result<VirtAddr>);

impl Default for Vmemmap {
    fn default() -> Self {
        Self(Err(KernelError::NoSymbol("vmemmap_base".to_owned())))
    }
}

impl Fact for Vmemmap {
    const STAYS: bool = true;
    fn read(s: &Session) -> Self {
        Self(find_vmemmap(s))
    }
}

fn find_vmemmap(s: &Session) -> Result<VirtAddr> {
    if let Some(told) = s.arch().layout.vmemmap_of_info(s.vmcoreinfo(), s.boot().tables.paging) {
        return Ok(told);
    }
    let at = moved(s, "vmemmap_base")?.or_else(|| s.arch().layout.vmemmap());
    at.ok_or_else(|| s.no_symbol("vmemmap_base"))
}

/// The caches that are known.
#[derive(Debug, Default)]
pub struct Caches {
    /// All of them, in the list's order.
    pub all: Vec<VirtAddr>,
    /// Their names, by their address. A cache whose name is lost has none here.
    pub names: FxHashMap<VirtAddr, String>,
    /// Why there may be more.
    pub problems: Vec<KernelError>,
}

/// The names of all caches, by their address.
pub fn cache_names(s: &Session) -> &FxHashMap<VirtAddr, String> {
    &caches(s).names
}

/// All caches, and where their list is damaged.
pub fn caches(s: &Session) -> &Caches {
    s.fact()
}

impl Fact for Caches {
    fn read(s: &Session) -> Self {
        let mut out = Self::default();
        let b = s.bind::<KmemCache>();
        let Some(head) = s.symbol("slab_caches").or_else(|| s.symbol("cache_chain")) else { return out };
        // those behind a gap are found from the list's other end
        let (names, all) = (&mut out.names, &mut out.all);
        out.problems = both_ways(s.mem(), head, &mut |entry| {
            let at = b.list.container(entry)?;
            all.push(at);
            if let Ok(name) = b.name.string(s.mem(), at, 64) {
                names.insert(at, name);
            }
            Ok(())
        });
        out
    }
}

/// The `struct page` of an address in the direct map; `None` for other addresses.
///
/// # Errors
/// Where the direct map or the array of pages begins is not known.
pub(super) fn page_at(s: &Session, at: VirtAddr) -> Result<Option<VirtAddr>> {
    let base = direct_map_base(s)?;
    let Some(phys) = at.0.checked_sub(base.0) else { return Ok(None) };
    if s.phys().ranges().last().is_none_or(|last| phys >= last.end.0) {
        return Ok(None);
    }
    let Some(size) = s.bind::<Page>().size.filter(|n| *n > 0) else { return Ok(None) };
    Ok(Some(vmemmap_base(s)?.add((phys >> s.page_shift()).wrapping_mul(size))))
}

/// The `struct page` of an address in the direct map, or the first one of the compound that it is part of, and
/// that one's frame number.
pub(crate) fn head_page(s: &Session, at: VirtAddr) -> Option<(VirtAddr, u64)> {
    let page = page_at(s, at).ok()??;
    let b = s.bind::<Page>();
    let page_size = b.size.filter(|n| *n > 0)?;
    let (pages, end) = (vmemmap_base(s).ok()?, s.phys().ranges().last()?.end);
    let head = match b.compound_head.u64(s.mem(), page) {
        Ok(word) if word & 1 == 0 => true_head(s, page, page_size),
        Ok(word) => head_of(page, word),
        // before 4.4 (1d798ca3f164) tail pages pointed to the first one in another way
        Err(_) => {
            let tail = is_tail(s, b.flags.u64(s.mem(), page).ok()?);
            if tail { b.first_page.ptr(s.mem(), page).ok()? } else { page }
        }
    };
    let pfn = head.0.checked_sub(pages.0)? / page_size;
    (pfn <= end.0 >> s.page_shift()).then_some((head, pfn))
}

/// The first page of the compound that a page is in, by its word: the first one's address with bit 0 set, or a mask that
/// leads there from the page's own (7.1, where a `struct page` has a power of two bytes).
const fn head_of(page: VirtAddr, word: u64) -> VirtAddr {
    let rest = word & !1;
    match (word & 1, rest.leading_ones() + rest.trailing_zeros()) {
        (0, _) => page,
        (_, 64) => VirtAddr(page.0 & rest),
        _ => VirtAddr(rest),
    }
}

/// The first page of the compound of a page that says itself that it is the first one. Of a huge page with a shared
/// `vmemmap` (5.18 e7d324850bfc, to 7.0) the pages of `struct page` behind the first show the first one's contents: the
/// `struct page` that follows knows the true one.
fn true_head(s: &Session, page: VirtAddr, page_size: u64) -> VirtAddr {
    // only the first `struct page` of a whole page of them can be such a copy
    if page.0 & (s.page_size() - 1) != 0 {
        return page;
    }
    let b = s.bind::<Page>();
    let bit = s.bind::<PageTypes>().head.filter(|bit| *bit < 64);
    let is_head = bit.zip(b.flags.u64(s.mem(), page).ok()).is_some_and(|(bit, flags)| flags >> bit & 1 == 1);
    let next = b.compound_head.u64(s.mem(), page.add(page_size));
    match next {
        Ok(word) if is_head && word & 1 == 1 => head_of(page, word),
        _ => page,
    }
}

/// Where the memory of a `struct page` begins in the direct map; `None` for what is no `struct page`.
#[must_use]
pub fn data_of(s: &Session, page: VirtAddr) -> Option<VirtAddr> {
    let size = s.bind::<Page>().size.filter(|n| *n > 0)?;
    let offset = page.0.checked_sub(vmemmap_base(s).ok()?.0)?;
    let end = s.phys().ranges().last()?.end;
    let pfn = (offset % size == 0).then_some(offset / size)?;
    (pfn <= end.0 >> s.page_shift()).then_some(())?;
    direct_map_base(s).ok()?.0.checked_add(pfn << s.page_shift()).map(VirtAddr)
}

/// True where the flags are of a compound's later page (`PG_tail`; before 4.4).
fn is_tail(s: &Session, flags: u64) -> bool {
    let bit = s.types().find_enumerator("PG_tail").into_iter().find_map(|(_, v)| u32::try_from(v).ok());
    bit.is_some_and(|bit| bit < 64 && flags >> bit & 1 == 1)
}

/// The `struct slab` (or `struct page`) of an address of a slab, and its cache; `None` for any other memory.
#[must_use]
pub fn slab_of(s: &Session, at: VirtAddr) -> Option<(VirtAddr, VirtAddr)> {
    let (page, _) = head_page(s, at)?;
    let cache = s.bind::<SlabPage>().cache.ptr(s.mem(), page).ok()?;
    let is_known = caches(s).all.contains(&cache);
    (is_known && page_type::is_slab(s, page) != Some(false)).then_some((page, cache))
}

/// The name of the cache whose slab holds the address; `None` for any other memory.
pub fn cache_of(s: &Session, at: VirtAddr) -> Option<&str> {
    let (page, _) = head_page(s, at)?;
    let cache = s.bind::<SlabPage>().cache.ptr(s.mem(), page).ok()?;
    let name = cache_names(s).get(&cache)?;
    (page_type::is_slab(s, page) != Some(false)).then_some(name.as_str())
}

bind! {
    /// `struct kmem_cache` of a kernel in which groups of processes have caches of their own, 3.10 to 5.8
    struct GroupCache("kmem_cache") {
        root: "memcg_params.__root_caches_node" | "memcg_params.root_caches_node", // 4.11 (510ded33e075)
        children: "memcg_params.children",
        child: "memcg_params.children_node",
    }
}

/// A cache and those that groups of processes have of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// `struct kmem_cache`
    pub at: VirtAddr,
    /// Those of groups.
    pub children: Vec<VirtAddr>,
}

/// Caches of which groups of processes have their own.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    /// In the order of their list.
    pub all: Vec<Root>,
    /// Why there may be more.
    pub problem: Option<KernelError>,
}

/// The caches with those that groups of processes have of them, 4.11 (510ded33e075) to 5.8 (9855609bde03).
///
/// # Errors
/// The kernel keeps no such list.
pub fn roots(s: &Session) -> Result<Roots> {
    let head = s.need_symbol("slab_root_caches")?;
    let (b, mem) = (s.bind::<GroupCache>(), s.mem());
    let mut out = Roots::default();
    let mut found = Vec::new();
    let mut problem = None;
    let mut add = |link| {
        let at = b.root.container(link)?;
        let mut children = Vec::new();
        let mut child = |link| {
            children.push(b.child.container(link)?);
            Ok(())
        };
        let broken = both_ways(mem, b.children.at(at)?, &mut child).into_iter().next();
        problem = problem.take().or(broken);
        found.push(Root { at, children });
        Ok(())
    };
    let list = both_ways(mem, head, &mut add).into_iter().next();
    out.problem = problem.or(list);
    out.all = found;
    Ok(out)
}

/// What a cache keeps for a NUMA node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeOfCache {
    /// The node's number.
    pub number: u64,
    /// Its `struct kmem_cache_node`.
    pub at: VirtAddr,
    /// Its `struct node_barn` of arrays of free objects (6.18); null where it has none.
    pub barn: VirtAddr,
}

/// What a cache keeps for each NUMA node. A node without an entry is passed over: machines have node 0 and node 2.
/// `None` where an entry cannot be read.
pub fn nodes_of(s: &Session, cache: VirtAddr) -> Option<Vec<NodeOfCache>> {
    let mem = s.mem();
    let (b, pair, node) = (s.bind::<CacheNodes>(), s.bind::<PerNode>(), s.bind::<CacheNode>());
    // an array of pointers, or of pairs that hold one; its type may be longer than what was allocated
    let (first, stride) = match b.node.at(cache) {
        Ok(first) => (first, 8),
        Err(_) => (b.per_node.at(cache).ok()?.add(pair.node.offset().ok()?), pair.size.filter(|n| *n > 0)?),
    };
    let len = b.node.size().or_else(|_| b.per_node.size()).map_or(0, |bytes| bytes / stride);
    let count = crate::mm::node::count(s).unwrap_or_else(|| len.clamp(1, crate::mm::node::MAX_NODES));
    let mut out = Vec::new();
    for n in 0..count {
        let slot = first.add(n * stride);
        let at = mem.ptr(slot).ok()?;
        if at.is_null() {
            continue;
        }
        let barn = match (pair.barn.exists(), node.barn.exists()) {
            (true, _) => pair.barn.ptr(mem, slot.sub(pair.node.offset().ok()?)).ok()?,
            (false, true) => node.barn.ptr(mem, at).ok()?,
            (false, false) => VirtAddr(0),
        };
        out.push(NodeOfCache { number: n, at, barn });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_pages_lead_to_the_first_by_address_or_mask() {
        let page = VirtAddr(0xffff_ea00_0000_13c0);
        assert_eq!(head_of(page, 0), page);
        assert_eq!(head_of(page, 0xffff_ea00_0000_1001), VirtAddr(0xffff_ea00_0000_1000));
        // a mask of four pages of 64 bytes
        assert_eq!(head_of(page, 0xffff_ffff_ffff_ff01), VirtAddr(0xffff_ea00_0000_1300));
        assert_eq!(head_of(page, 0xffff_ffff_ffff_f001), VirtAddr(0xffff_ea00_0000_1000));
        // the array's own first page is an address
        assert_eq!(head_of(page, 0xffff_ea00_0000_0001), VirtAddr(0xffff_ea00_0000_0000));
    }
}
