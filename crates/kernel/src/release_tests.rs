//! Variables that lie otherwise in some configurations: the clocks behind a lock's description, the only node of
//! vmalloc, the task of a kernel for one CPU that panicked.

use crate::machine::system;
use crate::mm::vmalloc;
use crate::sched::panic;
use crate::testing::session;
use base::VirtAddr;
use testkit::kernel::{Kernel, VMALLOC};

const WALL: u64 = 1_795_404_175;
const UP: u64 = 100;

/// `tk_core` has no type with a name until 6.13: with lockdep its timekeeper lies at +56 and not at +8.
#[test]
fn clocks_behind_a_sequence_counter_of_any_size() {
    for (at, named) in [(8, false), (56, false), (56, true), (64, false)] {
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
        let core = k.variable("tk_core", 512);
        k.word(core + at + 112, WALL).word(core + at + 128, UP.wrapping_sub(WALL));
        // half a second in each clock: one more
        k.half(core + at + 28, 8).word(core + at + 32, 500_000_000 << 8).word(core + at + 136, 500_000_000);
        let clocks = system::clocks(&session(&k)).unwrap();
        assert_eq!(
            (clocks.wall_sec, clocks.uptime_sec),
            (WALL as i64, UP as i64 + 1),
            "+{at}, named: {named}"
        );
    }
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
