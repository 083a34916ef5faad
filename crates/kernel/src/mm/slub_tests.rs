//! Slabs of the releases: which caches have arrays of free objects, where each NUMA node's are, whose pages are slabs.

use crate::mm::slab;
use crate::mm::slub::State::{Allocated, Free, Unknown};
use crate::mm::slub::{State, object_at};
use crate::mm::slub_cache;
use crate::mm::track::Track;
use crate::testing::session;
use base::VirtAddr;
use testkit::kernel::{DIRECT_MAP, Kernel};

const SIZE: u64 = 64;
const OBJECTS: u64 = 8;

/// A release: which members its `kmem_cache` has.
#[derive(Clone, Copy)]
struct Release {
    name: &'static str,
    cpu_slab: bool,
    sheaves: bool,
    per_node: bool,
}

const RELEASES: &[Release] = &[
    Release { name: "6.1", cpu_slab: true, sheaves: false, per_node: false },
    Release { name: "6.4 SLUB_TINY", cpu_slab: false, sheaves: false, per_node: false },
    Release { name: "6.18", cpu_slab: true, sheaves: true, per_node: false },
    Release { name: "7.0", cpu_slab: false, sheaves: true, per_node: false },
    Release { name: "7.1", cpu_slab: false, sheaves: true, per_node: true },
];

/// A kernel with one cache and one slab of it.
struct Made {
    k: Kernel,
    cache: u64,
    /// The first object.
    slab: u64,
    page: u64,
}

impl Made {
    fn new(r: Release) -> Self {
        let mut k = Kernel::new();
        k.cpus(2);
        k.list_head();
        let counts = [("inuse", 0, "u32:0:16"), ("objects", 0, "u32:16:15"), ("frozen", 0, "u32:31:1")];
        k.structure("counts", 4, &counts);
        k.union("counters_of_slab", 8, &[("counters", 0, "u64"), ("", 0, "counts")]);
        k.structure(
            "page",
            64,
            &[("flags", 0, "u64"), ("compound_head", 8, "u64"), ("_mapcount", 48, "s32")],
        );
        k.structure(
            "slab",
            64,
            &[("slab_cache", 8, "*kmem_cache"), ("freelist", 32, "*void"), ("", 40, "counters_of_slab")],
        );
        k.member("page", ("compound_head", 56, "u64"));
        k.enumeration("pageflags", &[("PG_slab", 9), ("PG_head", 16)]);
        k.structure("node_barn", 32, &[("sheaves_full", 8, "list_head")]);
        k.structure("kmem_cache_node", 64, &[("nr_slabs", 16, "u64")]);
        k.structure("kmem_cache_cpu", 32, &[("freelist", 0, "*void"), ("slab", 16, "*slab")]);
        k.structure(
            "kmem_cache",
            512,
            &[
                ("flags", 8, "u32"),
                ("size", 12, "u32"),
                ("object_size", 16, "u32"),
                ("offset", 20, "u32"),
                ("oo", 24, "u32"),
                ("inuse", 28, "u32"),
                ("random", 32, "u64"),
                ("name", 40, "*char"),
                ("list", 48, "list_head"),
                ("node", 128, "*kmem_cache_node[16]"),
            ],
        );
        if r.cpu_slab {
            k.member("kmem_cache", ("cpu_slab", 0, "*kmem_cache_cpu"));
        }
        if r.sheaves {
            k.structure(
                "slab_sheaf",
                512,
                &[("barn_list", 0, "list_head"), ("size", 24, "u32"), ("objects", 32, "*void[0]")],
            );
            let per_cpu =
                [("main", 64, "*slab_sheaf"), ("spare", 72, "*slab_sheaf"), ("rcu_free", 80, "*slab_sheaf")];
            k.structure("slub_percpu_sheaves", 96, &per_cpu);
            k.member("kmem_cache", ("cpu_sheaves", 64, "*slub_percpu_sheaves"));
            k.member("kmem_cache_node", ("barn", 32, "*node_barn"));
        }
        if r.per_node {
            k.without("kmem_cache", "node").without("kmem_cache_node", "barn");
            k.structure(
                "kmem_cache_per_node_ptrs",
                16,
                &[("barn", 0, "*node_barn"), ("node", 8, "*kmem_cache_node")],
            );
            k.member("kmem_cache", ("per_node", 128, "kmem_cache_per_node_ptrs[16]"));
        }
        let (cache, slab) = (k.object("kmem_cache"), k.memory(4096));
        let head = k.variable("slab_caches", 16);
        k.link(head, &[cache + 48]);
        let name = k.text("box");
        let page = k.page(k.pfn(slab));
        for (member, value) in [
            ("size", SIZE),
            ("object_size", SIZE),
            ("inuse", SIZE),
            ("random", 0x1234_5678_9abc_def0),
            ("name", name),
        ] {
            k.set(cache, "kmem_cache", member, value);
        }
        k.set(page, "page", "flags", 1 << 9).set(page, "slab", "slab_cache", cache);
        k.set(page, "slab", "objects", OBJECTS).set(page, "slab", "inuse", OBJECTS);
        let mut made = Self { k, cache, slab, page };
        if r.cpu_slab {
            let per_cpu = made.k.per_cpu_memory(32);
            made.k.set(cache, "kmem_cache", "cpu_slab", per_cpu);
        }
        made
    }

    fn object(&self, n: u64) -> u64 {
        self.slab + n * SIZE
    }

    /// Writes the pointer of a free object, mixed as since 5.7.
    fn chain(&mut self, n: u64, next: u64) {
        let at = self.object(n);
        self.k.word(at, next ^ 0x1234_5678_9abc_def0 ^ at.swap_bytes());
    }

    /// An array of free objects.
    fn sheaf(&mut self, objects: &[u64]) -> u64 {
        let at = self.k.memory(4096);
        self.k.set(at, "slab_sheaf", "size", objects.len() as u64);
        for (n, object) in (0..).zip(objects) {
            let object = self.object(*object);
            self.k.word(at + 32 + n * 8, object);
        }
        at
    }

    fn states(&self, objects: std::ops::Range<u64>) -> Vec<State> {
        let s = session(&self.k);
        objects.map(|n| object_at(&s, VirtAddr(self.object(n) + 4)).unwrap().state).collect()
    }
}

#[test]
fn a_chain_of_free_objects_is_followed_on_every_release() {
    for &r in RELEASES {
        let mut made = Made::new(r);
        made.chain(2, made.object(1));
        made.chain(1, 0);
        let first = made.object(2);
        made.k.set(made.page, "slab", "freelist", first);
        assert_eq!(made.states(0..4), [Allocated, Free, Free, Allocated], "{}", r.name);
    }
}

/// How a free object's pointer is kept: plain, mixed with a number of the cache and its own place (4.14, 2482ddec670f), with
/// that place's bytes swapped (5.7, 1ad53d9fa3f6; taken back to older ones); the number is 0 in the first caches. Objects
/// begin behind a red zone (4.6), a CPU's slab is `page` before 5.17 (bb192ed9aa71), and so is what a slab is told by.
#[test]
fn pointers_of_free_objects_are_read_however_they_are_hidden() {
    for pad in [0, 16] {
        for random in [None, Some(0), Some(0x0bad_cafe_1234_5678_u64)] {
            for (swapped, old) in [(false, true), (true, true), (true, false)] {
                let mut made = Made::new(RELEASES[0]);
                let (cache, page) = (made.cache, made.page);
                made.k.member("kmem_cache", ("red_left_pad", 300, "u32"));
                made.k.set(cache, "kmem_cache", "red_left_pad", pad).set(
                    cache,
                    "kmem_cache",
                    "object_size",
                    32,
                );
                made.k.set(cache, "kmem_cache", "offset", 8);
                let slab = if old { "page" } else { "slab" };
                if old {
                    made.k.without("slab", "slab_cache").without("kmem_cache_cpu", "slab");
                    made.k.member("kmem_cache_cpu", ("page", 16, "*page"));
                    made.k.member("page", ("slab_cache", 24, "*kmem_cache"));
                    made.k
                        .member("page", ("freelist", 32, "*void"))
                        .member("page", ("", 40, "counters_of_slab"));
                    made.k.set(page, "page", "slab_cache", cache).set(page, "page", "objects", OBJECTS);
                }
                match random {
                    Some(random) => made.k.set(cache, "kmem_cache", "random", random),
                    None => made.k.without("kmem_cache", "random"),
                };
                let object = |n: u64| made.slab + n * SIZE + pad;
                let [second, fourth, sixth] = [1, 3, 5].map(object);
                for (at, next) in [(fourth, second), (second, 0), (sixth, 0)] {
                    let place = if swapped { (at + 8).swap_bytes() } else { at + 8 };
                    made.k.word(at + 8, random.map_or(next, |random| next ^ random ^ place));
                }
                made.k.set(page, slab, "freelist", fourth);
                // the chain of the CPU that allocates from it
                let per_cpu = made.k.per_cpu_memory(32);
                made.k.set(cache, "kmem_cache", "cpu_slab", per_cpu);
                let own = made.k.on_cpu(per_cpu, 1);
                made.k.word(own, sixth).word(own + 16, page);
                let s = session(&made.k);
                let states: Vec<State> = (0..7)
                    .map(|n| object_at(&s, VirtAddr(made.slab + n * SIZE + pad + 4)).unwrap().state)
                    .collect();
                let want = [Allocated, Free, Allocated, Free, Allocated, Free, Allocated];
                assert_eq!(states, want, "{pad} {random:x?} {swapped} {old}");
                assert_eq!(object_at(&s, VirtAddr(second + 4)).map(|found| found.at.0), Some(second));
            }
        }
    }
}

/// 6.18 (2d517aa09bbc): the arrays are beside `cpu_slab`, and null for caches that did not ask for them. What lies at the
/// CPUs' offsets of null is something else.
#[test]
fn a_cache_without_arrays_has_none() {
    for &r in RELEASES.iter().filter(|r| r.sheaves) {
        let made = Made::new(r);
        assert_eq!(made.states(0..2), [Allocated, Allocated], "{}", r.name);
    }
}

#[test]
fn objects_in_arrays_are_free_on_every_node() {
    for &r in RELEASES.iter().filter(|r| r.sheaves) {
        let mut made = Made::new(r);
        let per_cpu = made.k.per_cpu_memory(96);
        let cache = made.cache;
        made.k.set(cache, "kmem_cache", "cpu_sheaves", per_cpu);
        let (main, empty, kept) = (made.sheaf(&[3]), made.sheaf(&[]), made.sheaf(&[5, 6]));
        for (cpu, sheaf) in [(0, empty), (1, main)] {
            let at = made.k.on_cpu(per_cpu, cpu);
            made.k.set(at, "slub_percpu_sheaves", "main", sheaf);
        }
        // node 1 is not there; node 2 keeps a full array
        let ids = made.k.variable("nr_node_ids", 4);
        made.k.half(ids, 3);
        for n in [0, 2] {
            let (node, barn) = (made.k.object("kmem_cache_node"), made.k.object("node_barn"));
            let full = if n == 2 { vec![kept] } else { vec![] };
            made.k.link(barn + 8, &full);
            if r.per_node {
                made.k.word(cache + 128 + n * 16, barn).word(cache + 128 + n * 16 + 8, node);
            } else {
                made.k.word(cache + 128 + n * 8, node).set(node, "kmem_cache_node", "barn", barn);
            }
        }
        let want = [Allocated, Allocated, Allocated, Free, Allocated, Free, Free, Allocated];
        assert_eq!(made.states(0..8), want, "{}", r.name);
        // an array that is not in the dump leaves the others' state open
        made.k.exclude(kept);
        let s = session(&made.k);
        let state = |n| object_at(&s, VirtAddr(made.object(n))).unwrap().state;
        assert_eq!((state(3), state(7)), (Free, Unknown), "{}", r.name);
    }
}

/// Until 4.17 a page that was freed keeps the pointer to the cache whose slab it was.
#[test]
fn a_freed_page_is_no_slab() {
    let mut made = Made::new(RELEASES[0]);
    let (at, page) = (VirtAddr(made.object(1)), made.page);
    assert_eq!(slab::cache_of(&session(&made.k), at), Some("box"));
    made.k.set(page, "page", "flags", 0);
    let s = session(&made.k);
    assert_eq!((slab::cache_of(&s, at), object_at(&s, at)), (None, None));
    // 6.12: a number in the top byte, no bits: that of page tables is none of a slab's
    made.k.enumeration("pageflags", &[("PG_head", 16)]);
    made.k.enumeration("pagetype", &[("PGTY_table", 0xf2), ("PGTY_slab", 0xf5)]);
    for (kind, want) in [(0xf5, Some("box")), (0xf2, None), (0xf7, None), (0xff, None)] {
        made.k.set(page, "page", "_mapcount", kind << 24 | 0x00ff_ffff);
        assert_eq!(slab::cache_of(&session(&made.k), at), want, "{kind:#x}");
    }
}

/// SLAB (until 6.7) chains nothing: the places of objects are known, their state is not.
#[test]
fn slab_s_objects_have_places_and_no_state() {
    let mut made = Made::new(RELEASES[0]);
    let (cache, page, first) = (made.cache, made.page, made.object(0) + 0x40);
    made.k.without("kmem_cache", "oo").without("kmem_cache", "cpu_slab").without("kmem_cache", "inuse");
    made.k.member("kmem_cache", ("num", 24, "u32")).set(cache, "kmem_cache", "num", 5);
    made.k.member("slab", ("s_mem", 16, "*void")).set(page, "slab", "s_mem", first);
    let s = session(&made.k);
    let found = object_at(&s, VirtAddr(first + SIZE * 4 + 8)).unwrap();
    assert_eq!((found.at.0, found.offset, found.state), (first + SIZE * 4, 8, Unknown));
    assert_eq!(object_at(&s, VirtAddr(first + SIZE * 5)), None, "behind the last");
    assert_eq!(object_at(&s, VirtAddr(first - 8)), None, "before the first");
}

/// A list of caches that loops, ends early or leads out of memory is no whole one.
#[test]
fn a_damaged_list_of_caches_is_told() {
    let made = Made::new(RELEASES[0]);
    let s = session(&made.k);
    assert!(slab::caches(&s).problems.is_empty() && slab::caches(&s).names.len() == 1);
    for next in [made.cache + 48, 0, 0xffff_8880_7fff_f000] {
        let mut made = Made::new(RELEASES[0]);
        let entry = made.cache + 48;
        made.k.word(entry, next);
        let s = session(&made.k);
        assert!(!slab::caches(&s).problems.is_empty(), "{next:#x}");
        assert_eq!(slab::cache_names(&s).len(), 1, "{next:#x}");
    }
}

/// SLAB of 3.x has a `struct slab` that is no page.
#[test]
fn a_struct_slab_that_names_no_cache_is_another() {
    let mut made = Made::new(RELEASES[0]);
    made.k.structure("slab", 48, &[("list", 0, "list_head"), ("s_mem", 24, "*void"), ("inuse", 32, "u32")]);
    made.k.member("page", ("slab_cache", 8, "*kmem_cache"));
    assert_eq!(slab::cache_of(&session(&made.k), VirtAddr(made.object(1))), Some("box"));
}

/// 5.18 (e7d324850bfc) to 7.0: behind the first page of `struct page`s of a huge page all show the first one's contents.
#[test]
fn copies_of_a_first_page_lead_to_the_true_one() {
    let mut made = Made::new(RELEASES[0]);
    let head = made.k.page(512);
    for page in (0..8).map(|n| 512 + n * 64) {
        let first = made.k.page(page);
        made.k.set(first, "page", "flags", 1 << 16).set(first + 64, "page", "compound_head", head | 1);
    }
    let s = session(&made.k);
    let head_of =
        |pfn: u64| slab::head_page(&s, VirtAddr(DIRECT_MAP + pfn * 4096)).map(|(at, pfn)| (at.0, pfn));
    for pfn in [512, 513, 576, 577, 960, 961] {
        assert_eq!(head_of(pfn), Some((head, 512)), "{pfn}");
    }
    // a page by itself, at the begin of a page of them, whose neighbour is a later page of something else
    let alone = made.k.page(1024);
    made.k.set(alone + 64, "page", "compound_head", head | 1);
    let s = session(&made.k);
    assert_eq!(slab::head_page(&s, VirtAddr(DIRECT_MAP + (1024 << 12))), Some((VirtAddr(alone), 1024)));
}

/// 7.1 (8c846c879e22): a mask that leads to the first page from the later one's own address; before 4.4 (1d798ca3f164) a
/// flag, and the first page's address elsewhere.
#[test]
fn later_pages_lead_to_the_first_in_every_release() {
    for release in ["3.10", "4.4", "7.1"] {
        let mut made = Made::new(RELEASES[0]);
        let (first, later) = (made.k.page(768), made.k.page(771));
        match release {
            "3.10" => {
                made.k.without("page", "compound_head").member("page", ("first_page", 24, "*page"));
                made.k.enumeration("pageflags", &[("PG_slab", 7), ("PG_head", 14), ("PG_tail", 15)]);
                made.k.set(later, "page", "flags", 1 << 15).set(later, "page", "first_page", first);
            }
            "4.4" => {
                made.k.set(later, "page", "compound_head", first | 1);
            }
            _ => {
                made.k.without("page", "compound_head").member("page", ("compound_info", 56, "u64"));
                made.k.set(later, "page", "compound_info", !(4 * 64 - 1) | 1);
            }
        }
        let s = session(&made.k);
        let head = |pfn: u64| slab::head_page(&s, VirtAddr(DIRECT_MAP + pfn * 4096));
        assert_eq!(head(771), Some((VirtAddr(first), 768)), "{release}");
        assert_eq!(head(768), Some((VirtAddr(first), 768)), "{release}");
    }
}

/// What SLUB's debugging keeps beside an object may be missing with its page: then it is not known whether the object is
/// damaged, and who had it.
#[test]
fn what_is_missing_beside_an_object_is_named() {
    const FLAGS: u64 = 0x400 | 0x800 | 0x1_0000; // red zone, poison, tracks
    let mut made = Made::new(RELEASES[0]);
    let (cache, page, object, text) = (made.cache, made.page, made.slab, made.k.function("asks", 0x40));
    made.k.structure(
        "track",
        32,
        &[("addr", 0, "u64"), ("cpu", 8, "s32"), ("pid", 12, "s32"), ("when", 16, "u64")],
    );
    for (member, value) in [("flags", FLAGS), ("size", 256), ("inuse", SIZE + 8), ("offset", SIZE + 8)] {
        made.k.set(cache, "kmem_cache", member, value);
    }
    made.k.set(page, "slab", "freelist", object);
    let poison = [[0x6b; 63].as_slice(), &[0xa5], &[0xbb; 8]].concat();
    made.k
        .put(object, &poison)
        .word(object + SIZE + 8, 0x1234_5678_9abc_def0 ^ (object + SIZE + 8).swap_bytes());
    let tracks = object + SIZE + 16;
    made.k.word(tracks, text).half(tracks + 8, 1).half(tracks + 12, 7);
    made.k.word(tracks + 32, text).half(tracks + 40, u32::MAX).half(tracks + 44, 8);
    let found = object_at(&session(&made.k), VirtAddr(object)).unwrap();
    assert_eq!((found.state, found.damage.len(), found.unread.len()), (Free, 0, 0), "{found:?}");
    let who = |track: &Option<Track>| track.as_ref().map(|t| (t.pid, t.cpu));
    assert_eq!((who(&found.allocated), who(&found.freed)), (Some((7, Some(1))), Some((8, None))));
    made.k.exclude(object);
    let found = object_at(&session(&made.k), VirtAddr(object)).unwrap();
    assert_eq!(found.unread, ["who allocated it", "who freed it", "its red zone", "its poison"]);
    assert!(found.damage.is_empty() && found.allocated.is_none() && found.freed.is_none());
}

/// The free objects of a cache are in the slab's own chain (5), with a CPU (1, 2), or in a sheaf (3, 4).
#[test]
fn objects_in_use_are_counted_wherever_the_free_ones_are() {
    for &r in RELEASES {
        let mut made = Made::new(r);
        let (cache, page) = (made.cache, made.page);
        made.k.member("slab", ("slab_list", 16, "list_head")).member("slab", ("next", 48, "*slab"));
        made.k.member("kmem_cache_node", ("partial", 0, "list_head"));
        made.k.member("kmem_cache_node", ("total_objects", 40, "u64"));
        let node = made.k.object("kmem_cache_node");
        let place = if r.per_node { cache + 136 } else { cache + 128 };
        made.k.word(place, node).word(node + 16, 1).word(node + 40, OBJECTS);
        made.chain(5, 0);
        let first = made.object(5);
        made.k.set(page, "slab", "freelist", first).set(page, "slab", "inuse", OBJECTS - 1);
        let mut free = vec![5];
        if r.cpu_slab {
            made.chain(1, made.object(2));
            made.chain(2, 0);
            let per_cpu = made.k.per_cpu_memory(32);
            let (own, first) = (made.k.on_cpu(per_cpu, 1), made.object(1));
            made.k.set(cache, "kmem_cache", "cpu_slab", per_cpu).word(own, first).word(own + 16, page);
            made.k.link(node, &[]);
            free.extend([1, 2]);
        } else {
            made.k.link(node, &[page + 16]);
        }
        if r.sheaves {
            let (sheaf, per_cpu) = (made.sheaf(&[3, 4]), made.k.per_cpu_memory(96));
            let own = made.k.on_cpu(per_cpu, 0) + made.k.offset("slub_percpu_sheaves", "main");
            made.k.set(cache, "kmem_cache", "cpu_sheaves", per_cpu).word(own, sheaf);
            free.extend([3, 4]);
        }
        free.sort_unstable();
        let s = session(&made.k);
        let found = slub_cache::read(&s, VirtAddr(cache)).unwrap();
        let sums = found.sums();
        let counted = (sums.slabs.unwrap(), sums.objects.unwrap(), sums.free.unwrap());
        assert_eq!(counted, (1, OBJECTS, free.len() as u64), "{}: {found:?}", r.name);
        let slots = found.slots(&s, VirtAddr(page)).unwrap();
        let shown: Vec<u64> =
            (0..).zip(&slots).filter(|(_, slot)| slot.is_free == Some(true)).map(|(n, _)| n).collect();
        assert_eq!((slots.len() as u64, shown), (OBJECTS, free), "{}", r.name);
    }
}

/// A chain that comes back to itself after an object was freed twice, and one that leads out of the slab, leave the
/// number open; a slab of another cache in a cache's list is told.
#[test]
fn chains_and_lists_that_are_damaged_give_no_number() {
    let mut made = Made::new(RELEASES[0]);
    let (cache, page) = (made.cache, made.page);
    made.k.member("slab", ("slab_list", 16, "list_head")).member("slab", ("next", 48, "*slab"));
    made.k.member("kmem_cache_node", ("partial", 0, "list_head"));
    let node = made.k.object("kmem_cache_node");
    made.k.word(cache + 128, node).link(node, &[]);
    let per_cpu = made.k.per_cpu_memory(32);
    let own = made.k.on_cpu(per_cpu, 0);
    let first = made.object(1);
    made.k.set(cache, "kmem_cache", "cpu_slab", per_cpu).word(own, first).word(own + 16, page);
    let free = |made: &Made| slub_cache::read(&session(&made.k), VirtAddr(cache)).unwrap().sums().free;
    made.chain(1, made.object(2));
    made.chain(2, made.object(1));
    assert!(free(&made).unwrap_err().to_string().contains("comes back to"));
    made.chain(2, made.object(20));
    assert!(free(&made).unwrap_err().to_string().contains("leads to no other one"));
    made.chain(2, 0);
    assert_eq!(free(&made).unwrap(), 2);
    made.k.set(page, "slab", "slab_cache", cache + 0x100);
    assert!(free(&made).unwrap_err().to_string().contains("and in a list of the one at"));
}
