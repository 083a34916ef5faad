//! Variables that lie otherwise in some configurations: the clocks behind a lock's description, the only node of
//! vmalloc, the task of a kernel for one CPU that panicked.

use crate::machine::system;
use crate::mm::page_state::{self, Use};
use crate::mm::vmalloc;
use crate::sched::{panic, task, waitq};
use crate::testing::session;
use base::VirtAddr;
use testkit::kernel::{DIRECT_MAP, Kernel, VMALLOC};

const WALL: u64 = 1_795_404_175;
const UP: u64 = 100;

/// `tk_core` has no type with a name until 6.13: with lockdep its timekeeper lies at +56 and not at +8.
#[test]
fn clocks_behind_a_sequence_counter_of_any_size() {
    // 6.17 (22c62b9a84b8): the first of several
    for (at, named, variable) in [
        (8, false, "tk_core"),
        (56, false, "tk_core"),
        (56, true, "tk_core"),
        (64, false, "tk_core"),
        (8, true, "timekeeper_data"),
        (64, false, "timekeeper_data"),
    ] {
        let mut k = Kernel::new();
        k.structure("timespec64", 16, &[("tv_sec", 0, "s64"), ("tv_nsec", 8, "s64")]);
        k.structure("tk_read_base", 56, &[("shift", 28, "u32"), ("xtime_nsec", 32, "u64")]);
        k.structure(
            "timekeeper",
            280,
            &[
                ("tkr_mono", 0, "tk_read_base"),
                ("xtime_sec", 112, "u64"),
                ("wall_to_monotonic", 128, "timespec64"),
                ("offs_boot", 160, "s64"),
            ],
        );
        if named {
            k.structure("tk_data", 384, &[("timekeeper", at, "timekeeper")]);
        }
        let core = k.variable(variable, 1024);
        k.word(core + at + 112, WALL).word(core + at + 128, UP.wrapping_sub(WALL));
        // half a second in each clock: one more
        k.half(core + at + 28, 8).word(core + at + 32, 500_000_000 << 8).word(core + at + 136, 500_000_000);
        let clocks = system::clocks(&session(&k)).unwrap();
        assert_eq!(
            (clocks.wall_sec, clocks.uptime_sec),
            (WALL as i64, UP as i64 + 1),
            "+{at}, named: {named}, {variable}"
        );
    }
}

/// To 6.8 one tree has all areas. A guard page is left out, but where the area has none; 5.4 (688fcbfc06e4) and 6.3
/// (869176a09606) took `flags` out of an area and gave them another meaning: whose it is its `vm` says.
#[test]
fn areas_of_one_tree() {
    for (flags, size) in [(None, 0x3000_u64), (Some(4_u64), 0x3000), (Some(0), 0x3000)] {
        let mut k = Kernel::new();
        let node =
            [("__rb_parent_color", 0, "u64"), ("rb_right", 8, "*rb_node"), ("rb_left", 16, "*rb_node")];
        k.structure("rb_node", 24, &node);
        k.structure("rb_root", 8, &[("rb_node", 0, "*rb_node")]);
        let area = [
            ("va_start", 0, "u64"),
            ("va_end", 8, "u64"),
            ("rb_node", 16, "rb_node"),
            ("vm", 56, "*vm_struct"),
        ];
        k.structure("vmap_area", 80, &area);
        if flags.is_some() {
            k.member("vmap_area", ("flags", 72, "u64"));
        }
        let vm = [("addr", 8, "*void"), ("size", 16, "u64"), ("flags", 24, "u64"), ("caller", 56, "*void")];
        k.structure("vm_struct", 72, &vm);
        let (area, other, vm) = (k.object("vmap_area"), k.object("vmap_area"), k.object("vm_struct"));
        k.set(area, "vmap_area", "va_start", VMALLOC).set(area, "vmap_area", "va_end", VMALLOC + size);
        k.set(area, "vmap_area", "vm", vm).word(area + 24, other + 16);
        if let Some(flags) = flags {
            k.set(area, "vmap_area", "flags", flags);
        }
        k.set(vm, "vm_struct", "addr", VMALLOC).set(vm, "vm_struct", "size", size);
        // one that was freed and not yet taken away has no vm
        k.set(other, "vmap_area", "va_start", VMALLOC + 0x10_0000).set(
            other,
            "vmap_area",
            "va_end",
            VMALLOC + 0x10_2000,
        );
        let root = k.variable("vmap_area_root", 8);
        k.word(root, area + 16);
        let s = session(&k);
        let found = vmalloc::area_at(&s, VirtAddr(VMALLOC + 0x1800)).unwrap();
        assert_eq!((found.start.0, found.size, found.caller), (VMALLOC, size - 0x1000, None), "{flags:?}");
        assert_eq!(vmalloc::area_at(&s, VirtAddr(VMALLOC + 0x10_0800)), None);
        assert_eq!(vmalloc::area_at(&s, VirtAddr(VMALLOC + size)), None);
    }
}

/// 4.13 (2055da97389a) renamed wait queues, their entries and both links.
#[test]
fn wait_queues_by_either_name_of_each_struct() {
    for (head, entry, [link, own]) in [
        ("__wait_queue_head", "__wait_queue", ["task_list", "task_list"]),
        ("wait_queue_head", "wait_queue_entry", ["head", "entry"]),
    ] {
        let mut k = Kernel::new();
        k.list_head();
        k.structure(head, 24, &[("lock", 0, "u32"), (link, 8, "list_head")]);
        k.structure(
            entry,
            40,
            &[("flags", 0, "u32"), ("private", 8, "*void"), ("func", 16, "*void"), (own, 24, "list_head")],
        );
        let wake = k.function("default_wake_function", 0x40);
        let queue = k.object(head);
        let entries: Vec<u64> = (1..4_u64)
            .map(|n| {
                let at = k.object(entry);
                k.set(at, entry, "private", 0xffff_8880_0000_0000 + n).set(at, entry, "func", wake);
                at
            })
            .collect();
        let links: Vec<u64> = entries.iter().map(|at| at + 24).collect();
        k.link(queue + 8, &links);
        let s = session(&k);
        let mut found = Vec::new();
        let problems = waitq::waiters(&s, VirtAddr(queue), &mut |w| {
            found.push((w.at.0, w.private.0 & 0xf, w.func));
            Ok(())
        });
        assert!(problems.unwrap().is_empty(), "{head}");
        let want: Vec<_> = entries.iter().zip(1..).map(|(at, n)| (*at, n, Some(VirtAddr(wake)))).collect();
        assert_eq!(found, want, "{head}");
    }
}

/// Free pages in the lists of a CPU: a zone's `pageset` is `per_cpu_pageset` since 5.14, of another struct.
#[test]
fn free_pages_of_a_cpu_and_pages_by_their_types() {
    for (member, of) in [("pageset", "per_cpu_pageset"), ("per_cpu_pageset", "per_cpu_pages")] {
        let mut k = Kernel::new();
        k.list_head();
        k.enumeration(
            "pageflags",
            &[("PG_locked", 0), ("PG_reserved", 10), ("PG_head", 16), ("PG_hwpoison", 22)],
        );
        k.enumeration(
            "pagetype",
            &[
                ("PGTY_buddy", 0xf0),
                ("PGTY_offline", 0xf1),
                ("PGTY_table", 0xf2),
                ("PGTY_hugetlb", 0xf4),
                ("PGTY_slab", 0xf5),
                ("PGTY_unaccepted", 0xf7),
                ("PGTY_mapcount_underflow", 0xff),
            ],
        );
        k.structure(
            "page",
            64,
            &[
                ("flags", 0, "u64"),
                ("lru", 8, "list_head"),
                ("mapping", 24, "*void"),
                ("private", 40, "u64"),
                ("page_type", 48, "u32"),
                ("_refcount", 52, "s32"),
                ("compound_head", 56, "u64"),
            ],
        );
        k.structure(of, 64, &[("lists", 16, "list_head[3]")]);
        k.structure("zone", 64, &[(member, 8, "*void")]);
        k.structure("pglist_data", 256, &[("node_zones", 0, "zone[4]")]);
        let node = k.variable("contig_page_data", 256);
        let lists = k.per_cpu_memory(64);
        k.word(node + 64 + 8, lists);
        let head = k.on_cpu(lists, 0) + 16 + 16;
        let [free, in_use, offline, unaccepted, huge, under] = [7, 8, 9, 10, 11, 12].map(|pfn| k.page(pfn));
        for page in [free, in_use] {
            k.set(page, "page", "page_type", u64::from(u32::MAX));
        }
        k.link(head, &[free + 8]).set(in_use, "page", "_refcount", 1);
        for (page, kind) in [(offline, 0xf1_u64), (unaccepted, 0xf7), (huge, 0xf4), (under, 0xff)] {
            k.set(page, "page", "page_type", kind << 24).set(page, "page", "_refcount", 1);
        }
        let s = session(&k);
        let used = |pfn: u64| {
            page_state::state_at(&s, VirtAddr(DIRECT_MAP + (pfn << 12) + 8)).map(|state| state.used)
        };
        assert_eq!(used(7), Some(Use::FreeOfCpu(0)), "{member}");
        assert_eq!(used(8), Some(Use::InUse));
        for (pfn, name) in [(9, "offline"), (10, "unaccepted"), (11, "hugetlb")] {
            assert_eq!(used(pfn), Some(Use::Typed(name.into())), "{member}");
        }
        assert_eq!(used(12), None, "no type");
    }
}

/// A task's `thread_info` was at the end of its stack before 4.9: where the page that names the stack is missing it is not
/// known, and no number.
#[test]
fn a_thread_info_on_a_stack_that_is_not_there_is_none() {
    let mut k = Kernel::new();
    let (tasks, stacks) = k.old_tasks(3);
    k.exclude(stacks[1]).word(stacks[2], 0);
    let s = session(&k);
    let info =
        |n: usize| s.tasks().at(VirtAddr(tasks[n])).and_then(|t| task::thread_info(&s, t)).map(|at| at.0);
    assert_eq!([info(0), info(1), info(2)], [Some(stacks[0]), None, None]);
}

/// 6.9 (72210662c5a2): areas are in nodes. With one CPU the pointer to them is folded away, and only `single` is left.
#[test]
fn areas_of_the_only_node_of_vmalloc() {
    for folded in [false, true] {
        let mut k = Kernel::new();
        k.structure(
            "rb_node",
            24,
            &[("__rb_parent_color", 0, "u64"), ("rb_right", 8, "*rb_node"), ("rb_left", 16, "*rb_node")],
        );
        k.structure("rb_root", 8, &[("rb_node", 0, "*rb_node")]);
        k.structure("rb_list", 40, &[("root", 0, "rb_root")]);
        k.structure("vmap_node", 96, &[("busy", 48, "rb_list")]);
        k.structure(
            "vmap_area",
            72,
            &[
                ("va_start", 0, "u64"),
                ("va_end", 8, "u64"),
                ("rb_node", 16, "rb_node"),
                ("vm", 56, "*vm_struct"),
            ],
        );
        k.structure(
            "vm_struct",
            72,
            &[("addr", 8, "*void"), ("size", 16, "u64"), ("flags", 24, "u64"), ("caller", 56, "*void")],
        );
        let by = k.function("asks", 0x40);
        let (area, vm) = (k.object("vmap_area"), k.object("vm_struct"));
        k.set(area, "vmap_area", "va_start", VMALLOC).set(area, "vmap_area", "va_end", VMALLOC + 0x3000);
        k.set(area, "vmap_area", "vm", vm);
        k.set(vm, "vm_struct", "addr", VMALLOC).set(vm, "vm_struct", "size", 0x3000);
        k.set(vm, "vm_struct", "caller", by + 4);
        let node = k.variable("single", 96);
        k.word(node + 48, area + 16);
        if !folded {
            let (nodes, count) = (k.variable("vmap_nodes", 8), k.variable("nr_vmap_nodes", 4));
            k.word(nodes, node).half(count, 1);
        }
        let s = session(&k);
        let found = vmalloc::area_at(&s, VirtAddr(VMALLOC + 0x1800)).expect("the area is found");
        assert_eq!((found.start.0, found.size), (VMALLOC, 0x2000), "folded: {folded}");
        assert_eq!(found.caller, Some(VirtAddr(by + 4)));
        assert_eq!(vmalloc::area_at(&s, VirtAddr(VMALLOC + 0x3000)), None);
        assert!(panic::known_panic_task(&s).is_none());
    }
}
