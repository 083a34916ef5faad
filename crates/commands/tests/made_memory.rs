//! `vm` and `kmem` on kernels that are made from tables.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod asked;

use asked::{answer, ask, try_ask};
use testkit::kernel::Kernel;

/// Task 1 has an address space with two mappings, a thread of the kernel (2) none, and task 3 has given up its own.
struct Space {
    k: Kernel,
    mm: u64,
    root: u64,
    mappings: [u64; 2],
    page: u64,
}

fn space() -> Space {
    let mut k = Kernel::new();
    let (tasks, _) = k.old_tasks(3);
    k.member("task_struct", ("flags", 92, "u32"));
    k.half(tasks[1] + 92, 0x20_0000);
    let members = [
        ("pgd", 0, "*void"),
        ("mmap", 8, "*vm_area_struct"),
        ("total_vm", 16, "u64"),
        ("rss_stat", 24, "mm_rss_stat"),
    ];
    k.structure("mm_rss_stat", 32, &[("count", 0, "u64[4]")]);
    k.structure("mm_struct", 64, &members);
    let vma = [
        ("vm_start", 0, "u64"),
        ("vm_end", 8, "u64"),
        ("vm_next", 16, "*vm_area_struct"),
        ("vm_flags", 24, "u64"),
        ("vm_file", 32, "*void"),
        ("vm_pgoff", 40, "u64"),
    ];
    k.structure("vm_area_struct", 64, &vma);
    let (mm, root) = (k.object("mm_struct"), k.user_tables());
    let mappings = [k.object("vm_area_struct"), k.object("vm_area_struct")];
    k.word(tasks[0] + 80, mm).word(mm, root).word(mm + 8, mappings[0]).word(mm + 16, 3).word(mm + 24, 1);
    for (at, (start, end, next, flags)) in mappings
        .into_iter()
        .zip([(0x40_0000, 0x40_2000, mappings[1], 0x75), (0x4000_0000, 0x4020_1000, 0, 0x73)])
    {
        k.word(at, start).word(at + 8, end).word(at + 16, next).word(at + 24, flags);
    }
    let page = k.memory(4096);
    k.map_user(root, 0x40_0000, page);
    Space { k, mm, root, mappings, page }
}

#[test]
fn vm_shows_the_address_space_and_its_mappings() {
    let Space { k, mm, root, mappings, .. } = space();
    let text = ask(&k, "vm 1");
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert!(lines[0].starts_with("PID: 1  "), "{text}");
    assert_eq!(lines[1], "       MM               PGD          RSS    TOTAL_VM");
    assert_eq!(
        lines[2].split_whitespace().collect::<Vec<_>>(),
        [&format!("{mm:x}"), &format!("{root:x}"), "4k", "12k"]
    );
    assert_eq!(lines[3], "      VMA           START       END     FLAGS FILE");
    assert_eq!(lines[4], format!("{:x}     400000     402000 75", mappings[0]));
    assert_eq!(lines[5], format!("{:x}   40000000   40201000 73", mappings[1]));
    assert_eq!(lines.len(), 6);
    assert!(ask(&k, "vm 2").contains("0k"), "a thread of the kernel");
    let gone = ask(&k, "vm 3");
    assert!(gone.contains("task 3 has no address space any more") && !gone.contains("0k"), "{gone}");
    let given = ask(&k, &format!("vm -M {mm:x} 3"));
    assert!(given.contains("40201000") && given.contains("PID: 3"), "{given}");
    assert!(try_ask(&k, "vm -M 1000 3").unwrap_err().contains("invalid mm_struct"));
}

#[test]
fn vm_p_shows_each_page_and_what_no_table_maps_at_once() {
    let Space { mut k, mappings, page, root, .. } = space();
    let text = ask(&k, "vm -p 1");
    let physical = k.pfn(page) << 12;
    assert!(text.contains(&format!("400000      {physical:>8x}\n401000      (not mapped)\n")), "{text}");
    assert!(text.contains("40000000    (not mapped)  (513 pages)\n"), "{text}");
    let one = ask(&k, &format!("vm -P {:x} 1", mappings[1]));
    assert!(one.contains("40000000") && !one.contains("401000"), "{one}");
    assert!(try_ask(&k, "vm -P 1234 1").unwrap_err().contains("invalid vma address"));
    k.exclude(root);
    let report = answer(&k, "vm -p 1").unwrap();
    assert!(report.is_incomplete(), "the page table is lost");
}

#[test]
fn vm_r_shows_what_is_meant_alone() {
    let Space { k, page, .. } = space();
    let flags = ask(&k, "vm -R 73 1");
    assert!(flags.contains("40201000") && !flags.contains("402000 75"), "{flags}");
    let at = ask(&k, "vm -R 400abc 1");
    assert!(at.contains("VIRTUAL") && at.contains("400000      ") && !at.contains("401000"), "{at}");
    let physical = ask(&k, &format!("vm -R {:x} 1", k.pfn(page) << 12));
    assert!(physical.contains("400000      "), "{physical}");
    assert!(ask(&k, "vm -R nosuch 1").contains("no mapping has"));
    let each = ask(&k, "foreach vm -R 73");
    assert!(each.contains("PID: 1 ") && !each.contains("PID: 2"), "{each}");
}

#[test]
fn vm_shows_structs_and_flags() {
    let Space { k, .. } = space();
    let mm = ask(&k, "vm -m -d 1");
    assert!(mm.contains("struct mm_struct {") && mm.contains("total_vm = 3"), "{mm}");
    assert!(ask(&k, "vm -v -x 1").contains("vm_end = 0x402000"));
    assert_eq!(ask(&k, "vm -x 1"), ask(&k, "vm 1"), "crash takes it without -m and -v too");
    assert_eq!(ask(&k, "vm -f 75").trim(), "75: (READ|EXEC|MAYREAD|MAYWRITE|MAYEXEC)");
    assert_eq!(ask(&k, "vm -f 1801").trim(), "1801: (READ|0x800|0x1000)");
    for (line, why) in [
        ("vm -p -m 1", "cannot be used with"),
        ("vm -f 75 1", "cannot be used with"),
        ("vm -f zz", "invalid vm_flags value"),
        ("foreach vm -P 1234", "vm -P is not about several tasks"),
    ] {
        let got = try_ask(&k, line).unwrap_err();
        assert!(got.contains(why), "{line}: {got}");
    }
}

#[test]
fn a_list_of_mappings_that_is_cut_is_told() {
    let Space { mut k, mappings, .. } = space();
    k.word(mappings[0] + 16, 0x10);
    let report = answer(&k, "vm 1").unwrap();
    assert!(report.is_incomplete());
    let text = ask(&k, "vm 1");
    assert!(text.contains("402000 75") && text.contains("is not whole"), "{text}");
    // a list that comes back to itself ends
    let (first, second) = (mappings[0], mappings[1]);
    k.word(first + 16, second).word(second + 16, first);
    assert!(ask(&k, "vm 1").contains("do not ascend"));
}

/// A machine with one zone: free blocks of page frames 4 (order 2) and 9 (order 0), counted in `vm_zone_stat`.
fn zone(free: u64) -> (Kernel, u64) {
    let mut k = Kernel::new();
    k.list_head();
    k.structure("free_area", 24, &[("free_list", 0, "list_head[1]"), ("nr_free", 16, "u64")]);
    let members = [
        ("_watermark", 0, "u64[3]"),
        ("name", 24, "*char"),
        ("zone_start_pfn", 32, "u64"),
        ("spanned_pages", 40, "u64"),
        ("present_pages", 48, "u64"),
        ("managed_pages", 56, "u64"),
        ("free_area", 64, "free_area[3]"),
        ("vm_stat", 136, "u64[1]"),
    ];
    k.structure("zone", 256, &members);
    let node =
        [("node_zones", 0, "zone[1]"), ("node_start_pfn", 256, "u64"), ("node_spanned_pages", 264, "u64")];
    k.structure("pglist_data", 512, &node);
    k.structure(
        "page",
        64,
        &[("flags", 0, "u64"), ("lru", 8, "list_head"), ("private", 40, "u64"), ("_mapcount", 48, "u32")],
    );
    k.enumeration("zone_stat_item", &[("NR_FREE_PAGES", 0), ("NR_VM_ZONE_STAT_ITEMS", 1)]);
    let node = k.variable("contig_page_data", 512);
    let (stat, name) = (k.variable("vm_zone_stat", 8), k.text("Normal"));
    k.word(stat, free)
        .word(node + 136, free)
        .word(node + 24, name)
        .word(node + 40, 16)
        .word(node + 48, 15)
        .word(node + 56, 14);
    k.word(node, 1).word(node + 8, 2).word(node + 16, 3).word(node + 264, 16);
    for order in 0..3_u64 {
        let links: Vec<u64> = [(0, 9), (2, 4)]
            .into_iter()
            .filter(|(own, _)| *own == order)
            .map(|(_, pfn)| {
                let page = k.page(pfn);
                k.word(page + 40, order).half(page + 48, 0xffff_ff80);
                page + 8
            })
            .collect();
        let count = links.len() as u64;
        k.link(node + 64 + order * 24, &links).word(node + 64 + order * 24 + 16, count);
    }
    (k, node)
}

#[test]
fn kmem_f_counts_the_blocks_and_holds_them_against_the_count() {
    let (k, node) = zone(5);
    let text = ask(&k, "kmem -f");
    assert!(text.contains("nr_free_pages: 5  (verified)"), "{text}");
    assert!(text.contains(&format!("  2      16k  {:x}       1      4", node + 64 + 48)), "{text}");
    assert!(ask(&zone(7).0, "kmem -f").contains("nr_free_pages: 7  (found 5)"));
    let (mut k, _) = zone(5);
    let page = k.page(9);
    assert!(ask(&k, "kmem -F").contains(&format!("{page:x}")));
    // a page in the list that is not free any more
    k.half(page + 48, 1);
    let report = answer(&k, "kmem -f").unwrap();
    assert!(report.is_incomplete());
    let text = ask(&k, "kmem -f");
    assert!(text.contains("at least") && text.contains("and is none"), "{text}");
}

#[test]
fn kmem_z_shows_zones_and_their_counts() {
    let (mut k, node) = zone(5);
    let text = ask(&k, "kmem -z");
    assert!(text.contains(&format!("NODE: 0  ZONE: 0  ADDR: {node:x}  NAME: \"Normal\"")), "{text}");
    assert!(text.contains("  SIZE: 16  PRESENT: 15  MIN/LOW/HIGH: 1/2/3"), "{text}");
    assert!(text.contains("NR_FREE_PAGES: 5"), "{text}");
    assert!(ask(&k, "kmem -V").contains("  VM_ZONE_STAT:\nNR_FREE_PAGES: 5\n"));
    k.without("zone", "vm_stat");
    assert!(ask(&k, "kmem -z").contains("counts of the zone"));
}

#[test]
fn kmem_refuses_what_it_would_pass_over() {
    let (k, _) = zone(5);
    for (line, why) in [
        ("kmem", "an option says what to show"),
        ("kmem -i -f", "-i and -f are mutually exclusive"),
        ("kmem -z 1000", "1000: -z takes no argument"),
        ("kmem -i=shred", "only \"shared\" can follow"),
        ("kmem -I box -f", "-I is about"),
        ("kmem -P -z", "-P is about"),
        ("kmem -c", "no page_hash_table"),
        ("kmem -C", "no page_hash_table"),
        ("kmem -s box", "slab_caches"),
        ("kmem -h", "hstates"),
        ("kmem -r", "slab_root_caches"),
        ("kmem -v", "vmap_area"),
        ("kmem -n -g", "mutually exclusive"),
        ("kmem -m nosuch 1000", "nosuch"),
        ("kmem -g zz", "invalid flags value"),
    ] {
        let got = try_ask(&k, line).unwrap_err();
        assert!(got.contains(why), "{line}: {got}");
    }
}

#[test]
fn kmem_g_names_flags() {
    let mut k = Kernel::new();
    k.enumeration("pageflags", &[("PG_locked", 0), ("PG_slab", 7), ("PG_head", 14), ("__NR_PAGEFLAGS", 15)]);
    let text = ask(&k, "kmem -g 4081");
    assert_eq!(
        text,
        "FLAGS: 4081\n  PAGE-FLAG BIT  VALUE\n  PG_locked   0  0001\n  PG_slab     7  0080\n  PG_head    14  4000\n"
    );
    assert!(ask(&k, "kmem -g 2").contains("(none found)"));
    assert_eq!(ask(&k, "kmem -g").lines().count(), 4);
}

#[test]
fn meminfo_is_laid_out_as_the_kernel_does_it() {
    let mut k = Kernel::new();
    k.enumeration(
        "node_stat_item",
        &[("NR_ANON_MAPPED", 0), ("NR_FILE_DIRTY", 1), ("NR_VM_NODE_STAT_ITEMS", 2)],
    );
    k.enumeration("zone_stat_item", &[("NR_FREE_PAGES", 0), ("NR_VM_ZONE_STAT_ITEMS", 1)]);
    let (zone, node) = (k.variable("vm_zone_stat", 8), k.variable("vm_node_stat", 16));
    let all = k.variable("_totalram_pages", 8);
    k.word(zone, 500).word(node, 70).word(node + 8, 2).word(all, 1000);
    let text = ask(&k, "meminfo");
    assert!(text.starts_with("MemTotal:           4000 kB\nMemFree:            2000 kB\n"), "{text}");
    assert!(text.contains("\nDirty:                 8 kB\n"), "{text}");
    // what is not known is no number
    assert!(text.contains("\nBuffers:             <?> kB\n"), "{text}");
    let text = ask(&k, "meminfo -w");
    assert!(text.contains("all that the kernel manages             4000      100\n"), "{text}");
    assert!(text.contains("free                                    2000       50\n"), "{text}");
    assert!(text.contains("in no count                              <?>"), "{text}");
    assert!(try_ask(&k, "meminfo -n 3").is_err(), "-n is of -w");
}

/// The array of pages has frames of which a dump has no memory: those that the firmware keeps, as of video memory.
#[test]
fn kmem_knows_a_page_that_is_no_memory() {
    let (mut k, _) = zone(5);
    k.member("page", ("_refcount", 52, "s32"));
    let page = k.page(0xb000);
    k.word(page, 0x1000).half(page + 52, 1);
    for line in ["kmem -P b000000", "kmem b000000", "kmem -p b000000"] {
        let text = ask(&k, line);
        assert!(text.contains(&format!("{page:x}  b000000")), "{line}: {text}");
    }
    // beyond the array there is none, and no member of one
    let text = ask(&k, "kmem -P 700000000000");
    assert!(text.contains("physical address not found in mem map"), "{text}");
    assert!(try_ask(&k, "kmem -m flags 700000000000").unwrap_err().contains("not mapped"));
}

#[test]
fn kmem_names_the_stack_of_a_cpu() {
    let mut k = Kernel::new();
    k.cpus(2);
    let stack = k.memory(16384);
    let pointer = k.per_cpu("hardirq_stack_ptr", 8);
    k.word(k.on_cpu(pointer, 1), stack + 16384);
    let text = ask(&k, &format!("kmem {:x}", stack + 0x100));
    let wanted = format!("CPU: 1  STACK: IRQ stack  RANGE: {stack:x} - {:x}", stack + 16384);
    assert!(text.contains(&wanted), "{text}");
    assert!(!ask(&k, &format!("kmem {:x}", stack - 8)).contains("IRQ stack"));
    k.exclude(k.on_cpu(pointer, 0));
    let report = answer(&k, &format!("kmem {:x}", stack + 0x8000)).unwrap();
    assert!(report.is_incomplete());
}
