//! `dev`, `sbitmapq` and `bpf` on kernels that are made from tables.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod asked;
mod block;

use asked::{answer, ask, try_ask};
use block::{fill, numbered, requests, sbitmaps};
use testkit::kernel::Kernel;

/// A kernel with two ports' ranges, one in the other, and the addresses of their `struct resource`s.
fn resources() -> (Kernel, [u64; 3]) {
    let mut k = Kernel::new();
    let resource = [
        ("start", 0, "u64"),
        ("end", 8, "u64"),
        ("name", 16, "*char"),
        ("parent", 24, "*resource"),
        ("sibling", 32, "*resource"),
        ("child", 40, "*resource"),
    ];
    k.structure("resource", 64, &resource);
    let (root, memory) = (k.variable("ioport_resource", 64), k.variable("iomem_resource", 64));
    let (outer, inner) = (k.memory(4096), k.memory(4096));
    for (at, start, end, name, parent) in [
        (root, 0, 0xffff, "PCI IO", 0),
        (outer, 0x10, 0x1f, "outer", root),
        (inner, 0x12, 0x13, "inner", outer),
        (memory, 0, 0xf_ffff_ffff, "PCI mem", 0),
    ] {
        let name = k.text(name);
        k.set(at, "resource", "start", start)
            .set(at, "resource", "end", end)
            .set(at, "resource", "name", name);
        k.set(at, "resource", "parent", parent);
    }
    k.set(root, "resource", "child", outer).set(outer, "resource", "child", inner);
    (k, [root, outer, inner])
}

#[test]
fn ports_and_memory_are_trees() {
    let (mut k, [root, outer, inner]) = resources();
    let text = ask(&k, "dev -i");
    let head = "    RESOURCE        RANGE    NAME\n";
    let rows =
        format!("{root:x}  0000-ffff  PCI IO\n{outer:x}  0010-001f  outer\n{inner:x}  0012-0013  inner\n");
    assert!(text.starts_with(&format!("{head}{rows}\n")), "{text}");
    assert!(text.contains("  00000000-fffffffff  PCI mem\n"), "{text}");
    // one that leads back to itself, one that is of another
    k.set(inner, "resource", "sibling", inner);
    assert!(ask(&k, "dev -i").contains("comes to it twice"));
    k.set(inner, "resource", "parent", root);
    let text = ask(&k, "dev -i");
    assert!(text.contains("and says") && text.contains("outer") && !text.contains("  inner\n"), "{text}");
    k.exclude(outer);
    assert!(answer(&k, "dev -i").unwrap().is_incomplete());
    assert!(try_ask(&k, "dev -p").unwrap_err().contains("pci_root_buses"));
    assert!(try_ask(&k, "dev -i -p").is_err(), "one at a time");
}

#[test]
fn devices_by_their_numbers() {
    for is_new in [true, false] {
        let (mut k, [cdev, disk, _]) = numbered(is_new);
        let want = format!(
            "CHRDEV    NAME                 CDEV        OPERATIONS\n   1      mem            {cdev:x}  memory_fops\n   4      tty                 (none)\n\n\
             BLKDEV    NAME                GENDISK      OPERATIONS\n   8      sd             {disk:x}  sd_fops\n"
        );
        assert_eq!(ask(&k, "dev"), want, "{is_new}");
        k.exclude(disk);
        assert!(ask(&k, "dev").contains("the disks are not whole") || !is_new, "{}", ask(&k, "dev"));
    }
}

#[test]
fn requests_under_way_count_once() {
    for is_shared in [true, false] {
        let (mut k, [_, disk, queue]) = numbered(true);
        requests(&mut k, queue, is_shared, &[0, 3, 33]);
        let text = ask(&k, "dev -d");
        let row = format!("    8 {disk:x}   sda        {queue:x}       3     1     2     3\n");
        let head = "MAJOR GENDISK            NAME       REQUEST_QUEUE      TOTAL  READ WRITE   DRV\n";
        assert_eq!(text, format!("{head}{row}"), "{is_shared}");
        assert_eq!(ask(&k, "dev -D"), text);
        let (mut k, [_, _, queue]) = numbered(true);
        requests(&mut k, queue, is_shared, &[]);
        assert_eq!(ask(&k, "dev -D").lines().count(), 1);
        k.exclude(queue);
        assert!(ask(&k, "dev -D").contains("<?>"), "what is not known is not none");
    }
}

#[test]
fn a_queue_on_a_bitmap_and_its_bits() {
    let mut k = Kernel::new();
    sbitmaps(&mut k);
    let queue = k.memory(4096);
    fill(&mut k, queue, &[1, 33]);
    let text = ask(&k, &format!("sbitmapq {queue:x}"));
    for line in [
        "depth = 40",
        "busy = 2",
        "cleared = 1",
        "bits_per_word = 32",
        "map_nr = 2",
        "wake_batch = 8",
        "round_robin = 0",
        "min_shallow_depth = 4294967295",
        "        { .wait_cnt = 8, .wait = inactive },",
        "00000000: 0200 0000 02",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    assert!(ask(&k, &format!("sbitmapq -x {queue:x}")).contains("depth = 0x28\n"));
    k.structure("thing", 16, &[("id", 0, "u32"), ("more", 8, "u64")]);
    let (array, pointers) = (k.memory(4096), k.memory(4096));
    k.set(array + 33 * 16, "thing", "id", 7)
        .word(pointers + 8, array)
        .word(pointers + 33 * 8, array + 33 * 16);
    let want = format!("1: {:#x}\n33: {:#x}\n", array + 16, array + 33 * 16);
    assert_eq!(ask(&k, &format!("sbitmapq -s thing -a {array:x} {queue:x}")), want);
    let text = ask(&k, &format!("sbitmapq -s thing -a {pointers:x} -p -v {queue:x}"));
    assert!(text.contains(&format!("33 ({:#x}):\nstruct thing {{\n  id = 7,", array + 33 * 16)), "{text}");
    let text = ask(&k, &format!("sbitmapq -s thing.id -a {array:x} -v -x {queue:x}"));
    assert!(text.contains("id = 0x7"), "{text}");
    for (line, why) in [
        (format!("sbitmapq -s thing {queue:x}"), "-a"),
        (format!("sbitmapq -s nothing -a {array:x} {queue:x}"), "struct nothing is not known"),
        (format!("sbitmapq {array:x}"), ""),
    ] {
        let got = try_ask(&k, &line);
        assert!(got.as_ref().is_err_and(|e| e.contains(why)) || why.is_empty(), "{line}: {got:?}");
    }
    k.set(queue, "sbitmap_queue", "sb.map_nr", 3);
    assert!(try_ask(&k, &format!("sbitmapq {queue:x}")).unwrap_err().contains("40 bits in 3 words"));
}

/// A kernel with a program that uses a map.
fn bpf() -> (Kernel, u64, u64) {
    let mut k = Kernel::new();
    k.idr("xarray");
    k.enumeration("bpf_prog_type", &[("BPF_PROG_TYPE_UNSPEC", 0), ("BPF_PROG_TYPE_KPROBE", 2)]);
    k.enumeration("bpf_map_type", &[("BPF_MAP_TYPE_UNSPEC", 0), ("BPF_MAP_TYPE_ARRAY", 2)]);
    let prog = [
        ("pages", 0, "u16"),
        ("gpl_compatible", 2, "u16:3:1"),
        ("type", 4, "u32"),
        ("len", 8, "u32"),
        ("jited_len", 12, "u32"),
        ("tag", 16, "u8[8]"),
        ("aux", 24, "*bpf_prog_aux"),
        ("bpf_func", 32, "*void"),
        ("insnsi", 64, "u64[0]"),
    ];
    k.structure("bpf_prog", 64, &prog);
    let aux = [
        ("id", 0, "u32"),
        ("used_map_cnt", 4, "u32"),
        ("used_maps", 8, "**bpf_map"),
        ("load_time", 16, "u64"),
        ("user", 24, "*user_struct"),
        ("name", 32, "char[16]"),
        ("prog", 48, "*bpf_prog"),
    ];
    k.structure("bpf_prog_aux", 64, &aux);
    k.structure("user_struct", 16, &[("uid", 0, "u32")]);
    let map = [
        ("map_type", 0, "u32"),
        ("key_size", 4, "u32"),
        ("value_size", 8, "u32"),
        ("max_entries", 12, "u32"),
        ("map_flags", 16, "u32"),
        ("id", 20, "u32"),
        ("name", 24, "char[16]"),
    ];
    k.structure("bpf_map", 64, &map);
    k.structure("bpf_map_ops", 64, &[("map_alloc", 0, "*void")]);
    let (programs, maps) = (k.variable("prog_idr", 64), k.variable("map_idr", 64));
    let base = k.function("__bpf_call_base", 0x100);
    let lookup = k.function("bpf_map_lookup_elem", 0x900);
    let (prog, aux, map, used, user) =
        (k.memory(4096), k.memory(4096), k.memory(4096), k.memory(4096), k.memory(4096));
    for (name, value) in [("pages", 1), ("gpl_compatible", 1), ("type", 2), ("len", 5), ("aux", aux)] {
        k.set(prog, "bpf_prog", name, value);
    }
    k.put(prog + 16, &[1, 2, 3, 4, 5, 6, 7, 0xab]);
    k.set(aux, "bpf_prog_aux", "id", 4).set(aux, "bpf_prog_aux", "used_map_cnt", 1);
    k.set(aux, "bpf_prog_aux", "used_maps", used).set(aux, "bpf_prog_aux", "user", user).word(used, map);
    k.set_text(aux, "bpf_prog_aux", "name", "count").set(user, "user_struct", "uid", 1000);
    for (name, value) in
        [("map_type", 2), ("key_size", 4), ("value_size", 8), ("max_entries", 1000), ("id", 13)]
    {
        k.set(map, "bpf_map", name, value);
    }
    let [low, high] = [map as u32, (map >> 32) as u32].map(u32::to_le_bytes);
    let call = ((lookup - base) as u32).to_le_bytes();
    let code = [
        [0x18, 1, 0, 0],
        low,
        [0; 4],
        high,
        [0x85, 0, 0, 0],
        call,
        [0xb7, 0, 0, 0],
        [0; 4],
        [0x95, 0, 0, 0],
        [0; 4],
    ];
    k.put(prog + 64, &code.concat());
    k.fill_idr(programs, &[(4, prog)]);
    k.fill_idr(maps, &[(13, map)]);
    (k, prog, map)
}

#[test]
fn programs_and_maps_have_their_names() {
    let (mut k, prog, map) = bpf();
    let text = ask(&k, "bpf");
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows[0], " ID      BPF_PROG       BPF_PROG_AUX   BPF_PROG_TYPE       TAG        USED_MAPS");
    let parts: Vec<&str> = rows[1].split_whitespace().collect();
    assert_eq!(
        (parts[0], parts[1], &parts[3..]),
        ("4", &*format!("{prog:x}"), &["KPROBE", "01020304050607ab", "13"][..])
    );
    assert_eq!(rows[3], " ID      BPF_MAP       BPF_MAP_TYPE   MAP_FLAGS");
    let parts: Vec<&str> = rows[4].split_whitespace().collect();
    assert_eq!(parts, ["13", &format!("{map:x}"), "ARRAY", "00000000"]);
    let text = ask(&k, "bpf -p 4 -T");
    assert!(text.contains("     XLATED: 40  JITED: 0  MEMLOCK: 4096\n"), "{text}");
    assert!(text.contains("     GPL_COMPATIBLE: yes  NAME: \"count\"  UID: 1000\n"), "{text}");
    for line in [
        "   0: (18) r1 = map[id:13]",
        "   3: (b7) r0 = 0",
        "       95 00 00 00 00 00 00 00",
        "   4: (95) exit",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    assert!(text.contains("   2: (85) call bpf_map_lookup_elem#2048\n"), "{text}");
    assert!(ask(&k, "bpf -P -j").contains("(program not jited)"));
    let text = ask(&k, "bpf -m 13");
    assert!(text.contains("     KEY_SIZE: 4  VALUE_SIZE: 8  MAX_ENTRIES: 1000  MEMLOCK: 16384\n"), "{text}");
    assert!(ask(&k, "bpf -m 13 -s -x").contains("max_entries = 0x3e8"));
    assert_eq!(ask(&k, "bpf -P -x"), ask(&k, "bpf -P"), "crash takes -x without -s too");
    assert!(ask(&k, "bpf -PM -s -d").contains("struct bpf_prog_aux {"));
    for (line, why) in [
        ("bpf -p 5", "invalid program ID: 5"),
        ("bpf -m 4", "invalid map ID: 4"),
        ("bpf -t", "belong to -p and -P"),
        ("bpf -s", "-s belongs to"),
    ] {
        let got = try_ask(&k, line).unwrap_err();
        assert!(got.contains(why), "{line}: {got}");
    }
    k.set(map, "bpf_map", "id", 14);
    let text = ask(&k, "bpf");
    assert!(text.contains("the maps are not whole") && !text.contains("(no maps)"), "{text}");
    k.exclude(prog);
    assert!(ask(&k, "bpf").contains("the programs are not whole"));
    let mut k = Kernel::new();
    k.without_btf();
    assert!(try_ask(&k, "bpf").is_err());
}
