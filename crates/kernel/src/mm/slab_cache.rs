//! A slab cache of SLAB (mm/slab.c, until 6.7): how many slabs and objects it has, and how many of these are free.
//!
//! A node's slabs are in three lists: full, partial, free. A slab counts the objects that are in use: `struct slab.inuse`, since
//! 3.13 (8456a648cf44) `active` of `struct page`, since 5.17 (d122019bf061) of another `struct slab`. Objects in the arrays that CPUs and nodes
//! keep (`array_cache`) are free, though their slab counts them as in use.

use crate::bind::{Binding, Field, Layouts, find_struct};
use crate::containers::list::both_ways;
use crate::error::{KernelError, Result};
use crate::mm::node;
use crate::mm::slub_cache::Sums;
use crate::sched::cpu::per_cpu_offset;
use crate::session::Session;
use base::VirtAddr;
use debuginfo::types::Type;

bind! {
    /// `struct kmem_cache` of SLAB
    struct SlabCache("kmem_cache") {
        objects: "num",
        order: "gfporder",
        nodes: "node" | "nodelists",
        per_cpu: "cpu_cache", // 3.19 (bf0dea23a9c0)
        arrays: "array",
    }
}
bind! {
    /// `struct kmem_cache_node`; `kmem_list3` before 3.7
    struct SlabNode("kmem_cache_node" | "kmem_list3") {
        partial: "slabs_partial",
        full: "slabs_full",
        free: "slabs_free",
        shared: "shared",
        alien: "alien",
    }
}
bind! {
    /// `struct array_cache`
    struct ArrayCache("array_cache") { count: "avail", limit: "limit" }
}
bind! {
    /// `struct alien_cache` (3.18, c8522a3a5832): before it an array alone
    struct AlienCache("alien_cache") { array: "ac" }
}

/// What links a slab and counts its objects.
#[derive(Debug)]
struct SlabLinks {
    link: Field,
    inuse: Field,
}

impl Binding for SlabLinks {
    fn bind(layouts: &Layouts<'_>) -> Self {
        // that of 3.x has `inuse`, that of 5.17 `active`; between them struct page has it
        let has = |ty, name| layouts.types.member(ty, name).is_ok_and(|found| found.is_some());
        let own = find_struct(layouts.types, &["slab"]).filter(|ty| has(*ty, "inuse") || has(*ty, "active"));
        let (of, ty) = match own {
            Some(_) => ("slab", own),
            None => ("page", find_struct(layouts.types, &["page"])),
        };
        let field = |member, paths: &[&'static str]| Field::bind(layouts, of, ty, member, paths);
        Self {
            link: field("slab_list", &["slab_list", "list", "lru"]),
            inuse: field("active", &["active", "inuse"]),
        }
    }
}

/// An array keeps no more objects.
const MAX_KEPT: u64 = 1 << 16;

/// Whether the kernel's caches are SLAB's.
#[must_use]
pub fn is_kernels(s: &Session) -> bool {
    let b = s.bind::<SlabNode>();
    s.bind::<SlabCache>().objects.exists() && b.partial.exists() && b.full.exists()
}

/// The sums of a cache.
#[must_use]
pub fn sums(s: &Session, cache: VirtAddr) -> Sums {
    match read(s, cache) {
        Ok(all) => Sums { slabs: Ok(all.slabs), objects: Ok(all.objects), free: Ok(all.free) },
        Err(e) => Sums { slabs: Err(e.clone()), objects: Err(e.clone()), free: Err(e) },
    }
}

/// Bytes of a cache's slabs.
///
/// # Errors
/// The cache cannot be read.
pub fn slab_bytes(s: &Session, cache: VirtAddr) -> Result<u64> {
    let order = s.bind::<SlabCache>().order.num(s.mem(), cache)?;
    match order <= 20 {
        true => Ok(s.page_size() << order),
        false => {
            let why = format!("its slabs are of order {order}");
            Err(KernelError::Damaged { what: "kmem_cache", at: cache, why })
        }
    }
}

#[derive(Default)]
struct Found {
    slabs: u64,
    objects: u64,
    free: u64,
}

fn read(s: &Session, cache: VirtAddr) -> Result<Found> {
    let mem = s.mem();
    let (b, node) = (s.bind::<SlabCache>(), s.bind::<SlabNode>());
    let each = b.objects.num(mem, cache)?;
    let mut out = Found::default();
    let mut kept = 0_u64;
    for at in nodes(s, cache)? {
        // what a slab of the list has in use: all, as it counts, nothing
        for (list, of) in [(&node.full, Some(each)), (&node.partial, None), (&node.free, Some(0))] {
            let (slabs, used) = listed(s, list.at(at)?, each, of)?;
            out.slabs = out.slabs.saturating_add(slabs);
            let objects = slabs.saturating_mul(each);
            out.objects = out.objects.saturating_add(objects);
            out.free = out.free.saturating_add(objects.saturating_sub(used));
        }
        kept = kept.saturating_add(array(s, node.shared.ptr(mem, at)?)?).saturating_add(aliens(s, at)?);
    }
    for &cpu in &s.cpus().possible {
        let own = match b.per_cpu.exists() {
            true => b.per_cpu.ptr(mem, cache)?.add(per_cpu_offset(s, cpu)?),
            false => mem.ptr(b.arrays.at(cache)?.add(u64::from(cpu) * 8))?,
        };
        kept = kept.saturating_add(array(s, own)?);
    }
    out.free = out.free.saturating_add(kept);
    Ok(out)
}

/// The slabs of a list, and how many of their objects are in use.
fn listed(s: &Session, head: VirtAddr, each: u64, of: Option<u64>) -> Result<(u64, u64)> {
    let (mem, b) = (s.mem(), s.bind::<SlabLinks>());
    let (mut slabs, mut used) = (0_u64, 0_u64);
    let mut add = |link| {
        let at = b.link.container(link)?;
        let own = match of {
            Some(own) => own,
            None => b.inuse.num(mem, at)?,
        };
        if own > each {
            let why = format!("{own} of its {each} objects are in use");
            return Err(KernelError::Damaged { what: "slab", at, why });
        }
        (slabs, used) = (slabs + 1, used.saturating_add(own));
        Ok(())
    };
    match both_ways(mem, head, &mut add).into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok((slabs, used)),
    }
}

/// What the cache keeps for each node: an array in it, or one that it points to.
fn nodes(s: &Session, cache: VirtAddr) -> Result<Vec<VirtAddr>> {
    let (mem, field) = (s.mem(), &s.bind::<SlabCache>().nodes);
    let ty = s.types().resolve(field.ty()?)?.1;
    let (first, len) = match &*ty {
        Type::Array { .. } => (field.at(cache)?, field.size()? / 8),
        // in 3.x the array lies behind those of the CPUs
        _ => (field.ptr(mem, cache)?, node::MAX_NODES),
    };
    let count = node::count(s).unwrap_or(1).min(len);
    let mut out = Vec::new();
    for n in 0..count {
        let at = mem.ptr(first.add(n * 8))?;
        if !at.is_null() {
            out.push(at);
        }
    }
    Ok(out)
}

/// How many free objects an array keeps; none where there is no array.
fn array(s: &Session, at: VirtAddr) -> Result<u64> {
    if at.is_null() {
        return Ok(0);
    }
    let (mem, b) = (s.mem(), s.bind::<ArrayCache>());
    let (count, limit) = (u64::from(b.count.u32(mem, at)?), u64::from(b.limit.u32(mem, at)?));
    if count > limit || count > MAX_KEPT {
        let why = format!("it keeps {count} objects, of {limit} at most");
        return Err(KernelError::Damaged { what: "array_cache", at, why });
    }
    Ok(count)
}

/// Free objects of other nodes that a node keeps for them.
fn aliens(s: &Session, at: VirtAddr) -> Result<u64> {
    let (mem, b) = (s.mem(), s.bind::<SlabNode>());
    if !b.alien.exists() {
        return Ok(0); // a kernel without NUMA
    }
    let first = b.alien.ptr(mem, at)?;
    // BAD_ALIEN_MAGIC and none
    if !s.arch().is_kernel(first) {
        return Ok(0);
    }
    let inner = &s.bind::<AlienCache>().array;
    let mut out = 0_u64;
    for n in 0..node::count(s).unwrap_or(1) {
        let one = mem.ptr(first.add(n * 8))?;
        if !one.is_null() {
            let array_at = if inner.exists() { inner.at(one)? } else { one };
            out = out.saturating_add(array(s, array_at)?);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// A cache with a full slab, one with 3 of 10 objects in use, and a free one; a CPU keeps 2, the node 1.
    fn machine(age: &str) -> (Kernel, u64) {
        let mut k = Kernel::new();
        k.list_head();
        k.structure("array_cache", 64, &[("avail", 0, "u32"), ("limit", 4, "u32")]);
        let lists = [
            ("slabs_partial", 0, "list_head"),
            ("slabs_full", 16, "list_head"),
            ("slabs_free", 32, "list_head"),
            ("shared", 48, "*array_cache"),
        ];
        k.structure("kmem_cache_node", 64, &lists);
        k.structure("kmem_cache", 128, &[("num", 0, "u32"), ("gfporder", 4, "u32"), ("name", 8, "*char")]);
        let (slab, inuse) = match age {
            "3.10" => {
                k.structure("slab", 64, &[("list", 0, "list_head"), ("inuse", 32, "u32")]);
                k.structure("page", 64, &[("lru", 8, "list_head")]);
                (0, 32)
            }
            "4.9" => {
                k.structure("page", 64, &[("lru", 8, "list_head"), ("active", 32, "u32")]);
                (8, 32)
            }
            _ => {
                k.structure("slab", 64, &[("slab_list", 8, "list_head"), ("active", 40, "u32")]);
                (8, 40)
            }
        };
        let old = age == "3.10";
        match old {
            true => k
                .member("kmem_cache", ("node", 24, "**kmem_cache_node"))
                .member("kmem_cache", ("array", 32, "*array_cache[4]")),
            false => k
                .member("kmem_cache", ("node", 24, "*kmem_cache_node[1]"))
                .member("kmem_cache", ("cpu_cache", 32, "*array_cache")),
        };
        let (cache, node) = (k.object("kmem_cache"), k.object("kmem_cache_node"));
        k.half(cache, 10).half(cache + 4, 1);
        let keeps = |k: &mut Kernel, at: u64, count| {
            k.half(at, count).half(at + 4, 30);
        };
        let shared = k.object("array_cache");
        keeps(&mut k, shared, 1);
        k.word(node + 48, shared);
        if old {
            let (nodes, own) = (k.memory(16), k.object("array_cache"));
            keeps(&mut k, own, 2);
            k.word(nodes, node).word(cache + 24, nodes).word(cache + 32, own);
        } else {
            let own = k.per_cpu_memory(64);
            let at = k.on_cpu(own, 0);
            keeps(&mut k, at, 2);
            k.word(cache + 24, node).word(cache + 32, own);
        }
        for (list, used) in [(0, 3), (16, 10), (32, 0)] {
            let at = k.memory(64);
            k.half(at + inuse, used).link(node + list, &[at + slab]);
        }
        (k, cache)
    }

    #[test]
    fn sums_of_every_age() {
        for age in ["3.10", "4.9", "6.1"] {
            let (k, cache) = machine(age);
            let s = session(&k);
            assert!(is_kernels(&s));
            let sums = sums(&s, VirtAddr(cache));
            let shown = (sums.slabs.unwrap(), sums.objects.unwrap(), sums.free.unwrap());
            assert_eq!(shown, (3, 30, 30 - 13 + 3), "{age}");
            assert_eq!(slab_bytes(&s, VirtAddr(cache)).unwrap(), 8192);
        }
    }

    #[test]
    fn an_array_that_keeps_more_than_it_can_gives_no_number() {
        let (mut k, cache) = machine("3.10");
        let s = session(&k);
        let own = s.mem().ptr(VirtAddr(cache + 32)).unwrap();
        k.half(own.0, 31);
        assert!(sums(&session(&k), VirtAddr(cache)).free.unwrap_err().is_loss());
    }
}
