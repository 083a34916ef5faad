//! The memory that slab caches take (SLUB: mm/slub.c, `nr_slabs` of each node times the pages of a slab).

use crate::mm::slab::{cache_names, nodes_of};
use crate::session::Session;
use base::VirtAddr;

bind! {
    /// `struct kmem_cache`
    struct Cache("kmem_cache") { order: "oo" }
}
bind! {
    /// `struct kmem_cache_node`
    struct CacheNode("kmem_cache_node") { slabs: "nr_slabs" }
}

/// More slabs than a cache has.
const MAX_SLABS: u64 = 1 << 40;
/// The largest order of a slab.
const MAX_ORDER: u32 = 10;

/// Slab caches by the bytes that they take, the largest first, and of how many that is not known.
#[must_use]
pub fn taken(s: &Session) -> (Vec<(String, u64)>, usize) {
    let b = s.bind::<Cache>();
    let node = s.bind::<CacheNode>();
    let (Ok(order), Ok(slabs)) = (b.order.offset(), node.slabs.offset()) else {
        return (Vec::new(), 0);
    };
    let mem = s.mem();
    let taken = |cache: VirtAddr| -> Option<u64> {
        // `oo.x`: the order above 16 bits of objects
        let order = mem.u32(cache.add(order)).ok()? >> 16;
        let mut all = 0_u64;
        for node in nodes_of(s, cache)? {
            all = all.saturating_add(mem.u64(node.at.add(slabs)).ok()?);
        }
        (order <= MAX_ORDER && all < MAX_SLABS).then(|| all.saturating_mul(s.page_size() << order))
    };
    let names = cache_names(s);
    let mut out: Vec<(String, u64)> =
        names.iter().filter_map(|(at, name)| Some((name.clone(), taken(*at)?))).collect();
    let unknown = names.len() - out.len();
    out.retain(|(_, bytes)| *bytes > 0);
    out.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    (out, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    #[test]
    fn what_cannot_be_read_is_not_nothing() {
        let mut k = Kernel::new();
        k.list_head();
        k.structure("kmem_cache_node", 64, &[("nr_slabs", 8, "u64")]);
        k.structure(
            "kmem_cache",
            128,
            &[("name", 0, "*char"), ("list", 8, "list_head"), ("oo", 32, "u32"), ("node", 40, "u64[1]")],
        );
        let head = k.variable("slab_caches", 16);
        let mut links = Vec::new();
        let mut nodes = Vec::new();
        // so many slabs of so many pages each
        for (name, slabs, order) in [("small", 3, 0), ("large", 5, 2), ("empty", 0, 0)] {
            let (cache, node, text) = (k.object("kmem_cache"), k.memory(4096), k.text(name));
            k.set(cache, "kmem_cache", "name", text)
                .half(cache + 32, order << 16 | 21)
                .word(cache + 40, node);
            k.word(node + 8, slabs);
            links.push(cache + 8);
            nodes.push(node);
        }
        k.link(head, &links);
        let named = |all: &[(&str, u64)]| -> Vec<(String, u64)> {
            all.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect()
        };
        assert_eq!(taken(&session(&k)), (named(&[("large", 5 * 4 * 4096), ("small", 3 * 4096)]), 0));
        k.exclude(nodes[1]);
        assert_eq!(taken(&session(&k)), (named(&[("small", 3 * 4096)]), 1));
    }
}
