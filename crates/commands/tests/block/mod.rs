//! Block devices of kernels that are made from tables: a disk, its queue, bitmaps of requests' numbers.

use testkit::kernel::Kernel;

/// A kernel with the character devices `mem` (1) and `tty` (4), and the block device `sd` (8) with the disk `sda`; the
/// addresses of the `cdev`, the `gendisk` and its queue.
pub(crate) fn numbered(is_new: bool) -> (Kernel, [u64; 3]) {
    let mut k = Kernel::new();
    k.list_head();
    let own = [
        ("next", 0, "*void"),
        ("major", 8, "u32"),
        ("baseminor", 12, "u32"),
        ("minorct", 16, "s32"),
        ("name", 20, "char[64]"),
    ];
    k.structure("char_device_struct", 96, &own);
    k.structure("cdev", 64, &[("ops", 8, "*void"), ("dev", 32, "u32")]);
    k.structure("kobj_map", 2048, &[("probes", 0, "*probe[255]")]);
    k.structure(
        "probe",
        64,
        &[("next", 0, "*probe"), ("dev", 8, "u32"), ("range", 16, "u64"), ("data", 24, "*void")],
    );
    k.structure("blk_major_name", 64, &[("next", 0, "*void"), ("major", 8, "s32"), ("name", 12, "char[16]")]);
    let disk = [
        ("major", 0, "s32"),
        ("first_minor", 4, "s32"),
        ("disk_name", 12, "char[32]"),
        ("fops", 48, "*void"),
        ("queue", 56, "*request_queue"),
    ];
    k.structure("gendisk", 64, &disk);
    let (table, map_pointer, map) =
        (k.variable("chrdevs", 255 * 8), k.variable("cdev_map", 8), k.memory(4096));
    k.word(map_pointer, map);
    for (major, name) in [(1, "mem"), (4, "tty")] {
        let at = k.memory(4096);
        k.set(at, "char_device_struct", "major", major).set_text(at, "char_device_struct", "name", name);
        k.word(table + major * 8, at);
    }
    let (probe, cdev, ops) = (k.memory(4096), k.memory(4096), k.function("memory_fops", 0x400));
    k.set(cdev, "cdev", "ops", ops).set(cdev, "cdev", "dev", 1 << 20);
    k.set(probe, "probe", "dev", 1 << 20).set(probe, "probe", "range", 256).set(probe, "probe", "data", cdev);
    k.word(map + 8, probe);
    let (names, name) = (k.variable("major_names", 255 * 8), k.memory(4096));
    k.set(name, "blk_major_name", "major", 8)
        .set_text(name, "blk_major_name", "name", "sd")
        .word(names + 64, name);
    let (disk, queue, fops) = (k.memory(4096), k.memory(4096), k.function("sd_fops", 0x480));
    k.set(disk, "gendisk", "major", 8).set_text(disk, "gendisk", "disk_name", "sda");
    k.set(disk, "gendisk", "fops", fops).set(disk, "gendisk", "queue", queue);
    if is_new {
        k.structure("super_block", 64, &[("s_inodes", 16, "list_head")]);
        k.structure("inode", 64, &[("i_sb_list", 16, "list_head")]);
        k.structure("block_device", 64, &[("bd_disk", 8, "*gendisk")]);
        k.structure("bdev_inode", 128, &[("bdev", 0, "block_device"), ("vfs_inode", 64, "inode")]);
        let (pointer, sb, both) = (k.variable("blockdev_superblock", 8), k.memory(4096), k.memory(4096));
        k.word(pointer, sb).set(both, "bdev_inode", "bdev.bd_disk", disk);
        k.link(sb + 16, &[both + 64 + 16]);
    } else {
        let (pointer, map, probe) = (k.variable("bdev_map", 8), k.memory(4096), k.memory(4096));
        k.word(pointer, map).word(map + 64, probe);
        k.set(probe, "probe", "dev", 8 << 20)
            .set(probe, "probe", "range", 16)
            .set(probe, "probe", "data", disk);
    }
    (k, [cdev, disk, queue])
}

/// The queue of requests of a disk: two hardware queues that share one bitmap, where `is_shared`; which tags are set.
pub(crate) fn requests(k: &mut Kernel, queue: u64, is_shared: bool, set: &[u64]) {
    sbitmaps(k);
    k.enumeration("req_flag_bits", &[("__REQ_FAILFAST_DEV", 8), ("__REQ_SYNC", 11)]);
    k.structure(
        "request_queue",
        128,
        &[("mq_ops", 0, "*void"), ("nr_hw_queues", 8, "u32"), ("queue_hw_ctx", 16, "**void")],
    );
    k.structure("blk_mq_hw_ctx", 64, &[("queue", 0, "*request_queue"), ("tags", 8, "*blk_mq_tags")]);
    let bitmap = if is_shared { "*sbitmap_queue" } else { "sbitmap_queue" };
    let tags = [
        ("nr_reserved_tags", 4, "u32"),
        ("bitmap_tags", 16, bitmap),
        ("breserved_tags", 144, bitmap),
        ("rqs", 272, "**request"),
    ];
    k.structure("blk_mq_tags", 512, &tags);
    let request =
        [("q", 0, "*request_queue"), ("tag", 8, "s32"), ("cmd_flags", 12, "u32"), ("state", 16, "u32")];
    k.structure("request", 128, &request);
    let array = k.memory(4096);
    let ops = k.memory(16);
    k.set(queue, "request_queue", "mq_ops", ops).set(queue, "request_queue", "nr_hw_queues", 2);
    k.set(queue, "request_queue", "queue_hw_ctx", array);
    let shared = k.memory(4096);
    fill(k, shared, set);
    for n in 0..2 {
        let (hctx, tags, rqs) = (k.memory(4096), k.memory(4096), k.memory(4096));
        k.word(array + n * 8, hctx).set(hctx, "blk_mq_hw_ctx", "queue", queue).set(
            hctx,
            "blk_mq_hw_ctx",
            "tags",
            tags,
        );
        k.set(tags, "blk_mq_tags", "rqs", rqs);
        match is_shared {
            true => _ = k.word(tags + 16, shared),
            false => fill(k, tags + 16, if n == 0 { set } else { &[] }),
        }
        for tag in set {
            // what the second one has is of requests that are done
            let request = k.memory(128);
            k.set(request, "request", "q", queue).set(
                request,
                "request",
                "tag",
                if n == 0 { *tag } else { 0xffff_ffff },
            );
            k.set(request, "request", "cmd_flags", tag & 1).set(request, "request", "state", 1);
            k.word(rqs + tag * 8, request);
        }
    }
}

/// The structs of bitmaps and of queues on them.
pub(crate) fn sbitmaps(k: &mut Kernel) {
    k.list_head();
    k.structure("sbitmap_word", 128, &[("word", 0, "u64"), ("cleared", 64, "u64")]);
    let own = [
        ("depth", 0, "u32"),
        ("shift", 4, "u32"),
        ("map_nr", 8, "u32"),
        ("round_robin", 12, "bool"),
        ("map", 16, "*sbitmap_word"),
        ("alloc_hint", 24, "*u32"),
    ];
    k.structure("sbitmap", 32, &own);
    k.structure("wait_queue_head", 24, &[("head", 8, "list_head")]);
    k.structure("sbq_wait_state", 64, &[("wait_cnt", 0, "s32"), ("wait", 8, "wait_queue_head")]);
    let queue = [
        ("sb", 0, "sbitmap"),
        ("wake_batch", 32, "u32"),
        ("wake_index", 36, "s32"),
        ("ws", 40, "*sbq_wait_state"),
        ("ws_active", 48, "s32"),
        ("min_shallow_depth", 52, "u32"),
    ];
    k.structure("sbitmap_queue", 128, &queue);
}

/// Fills a queue of 40 bits in words of 32; bit 35 is set and cleared.
pub(crate) fn fill(k: &mut Kernel, at: u64, set: &[u64]) {
    let (map, states) = (k.memory(4096), k.memory(4096));
    let word = |n: u64| set.iter().filter(|bit| *bit / 32 == n).fold(0, |word, bit| word | 1 << (bit % 32));
    k.word(map, word(0)).word(map + 128, word(1) | 1 << 3).word(map + 128 + 64, 1 << 3);
    for (name, value) in [
        ("sb.depth", 40),
        ("sb.shift", 5),
        ("sb.map_nr", 2),
        ("sb.map", map),
        ("wake_batch", 8),
        ("ws", states),
    ] {
        k.set(at, "sbitmap_queue", name, value);
    }
    k.set(at, "sbitmap_queue", "min_shallow_depth", 0xffff_ffff);
    for n in 0..8 {
        k.set(states + n * 64, "sbq_wait_state", "wait_cnt", 8).link(states + n * 64 + 16, &[]);
    }
}
