//! Layouts of types and of values in crash's form, on made types.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use base::VirtAddr;
use cexpr::{
    FormatOptions, LayoutOptions, MemberPath, Value, eval, find_tag_or_typedef, format_value, layout,
    layout_text, member_text,
};
use common::Lab;
use debuginfo::types::{CompoundKind, Encoding};

fn text(lab: &Lab, name: &str, offsets: bool) -> String {
    let ty = find_tag_or_typedef(&lab.types, None, name).unwrap();
    layout_text(&lab.types, ty, &LayoutOptions::with_offsets(offsets)).unwrap()
}

#[test]
fn a_struct_with_and_without_offsets() {
    let lab = Lab::new();
    assert_eq!(
        text(&lab, "virtqueue", true),
        "struct virtqueue {\n   [0] struct list_head list;\n  [16] void (*callback)(struct virtqueue *);\n  \
         [24] const char *name;\n  [32] unsigned int index;\n  [36] unsigned int num_free;\n}\nSIZE: 40\n"
    );
    assert_eq!(
        text(&lab, "list_head", false),
        "struct list_head {\n    struct list_head *next;\n    struct list_head *prev;\n}\nSIZE: 16\n"
    );
}

#[test]
fn anonymous_members_bit_fields_and_arrays() {
    let lab = Lab::new();
    let got = text(&lab, "vvq", true);
    for want in [
        "   [48] enum state state;\n        union {\n   [56]     struct vring split;\n            struct {\n   [56]         long a;\n   [64]         long b;\n            };\n        };\n   [72] u32 lo : 4;\n",
        "   [74] u64 wide : 40;\n",
        "  [122] short grid[2][3];\n",
        "  [176] char *names[2];\n",
        "  [224] long flex[];\n}\nSIZE: 224\n",
    ] {
        assert!(got.contains(want), "{got}\nlacks\n{want}");
    }
}

#[test]
fn named_members_of_unnamed_types() {
    let lab = Lab::empty();
    let b =
        lab.unnamed(CompoundKind::Struct, 4, vec![lab.at("blocked", "u8", 0), lab.at("need_qs", "u8", 1)]);
    let choice = lab.enumeration("", &[("RED", 0), ("GREEN", 1), ("BLUE", 7)]);
    let none = lab.unnamed(CompoundKind::Struct, 0, vec![]);
    let special = lab.declare("special");
    let members = vec![
        lab.of("b", b, 0),
        lab.of("many", lab.types.array_of(b, Some(2)), 4),
        lab.of("color", choice, 12),
        lab.of("nothing", none, 16),
        lab.at("s", "u32", 16),
    ];
    lab.define(special, "special", 20, members);
    assert_eq!(
        text(&lab, "special", true),
        "struct special {\n       struct {\n           u8 blocked;\n           u8 need_qs;\n   [0] } b;\n       struct {\n           \
         u8 blocked;\n           u8 need_qs;\n   [4] } many[2];\n  [12] enum {RED, GREEN, BLUE = 7} color;\n       struct {\n           \
         <no data fields>\n  [16] } nothing;\n  [16] u32 s;\n}\nSIZE: 20\n"
    );
    // the lines know the offsets that crash does not show
    let lines = layout(&lab.types, special, &LayoutOptions::default()).unwrap();
    assert_eq!(lines[3].offset, Some(1));
    assert!(lines[3].inner);
}

#[test]
fn typedefs_enums_and_base_types() {
    let lab = Lab::new();
    assert_eq!(text(&lab, "pid_t", false), "typedef int pid_t;\nSIZE: 4\n");
    assert_eq!(text(&lab, "atomic_t", true), "typedef struct {\n  [0] int counter;\n} atomic_t;\nSIZE: 4\n");
    assert_eq!(text(&lab, "mode", false), "enum mode {\n  MODE_R = 1\n  MODE_W = 2\n  MODE_X = 4\n};\n");
    let long = lab.base("long unsigned int", 8, Encoding::Unsigned);
    assert_eq!(lab.types.name(long), "unsigned long");
}

#[test]
fn addresses_and_hexadecimal_in_place_of_offsets() {
    let lab = Lab::new();
    let ty = lab.ty("struct list_head");
    let mut at = LayoutOptions::with_offsets(true);
    at.at = Some(VirtAddr(0xffff_ffff_8200_0080));
    assert_eq!(
        layout_text(&lab.types, ty, &at).unwrap(),
        "struct list_head {\n  [ffffffff82000080] struct list_head *next;\n  [ffffffff82000088] struct list_head *prev;\n}\nSIZE: 16\n"
    );
    let mut hex = LayoutOptions::with_offsets(true);
    hex.hex = true;
    assert_eq!(
        layout_text(&lab.types, ty, &hex).unwrap(),
        "struct list_head {\n   [0x0] struct list_head *next;\n   [0x8] struct list_head *prev;\n}\nSIZE: 0x10\n"
    );
}

#[test]
fn members_of_a_value_as_struct_prints_them() {
    let lab = Lab::new();
    let queue = eval(&lab, "queue").unwrap();
    let show = |path: &str| {
        let path = MemberPath::parse(path).unwrap();
        member_text(&lab, &queue, &path, &FormatOptions::default()).unwrap()
    };
    assert_eq!(show("comm"), "  comm = \"swapper/0\\000\\000\\000\\000\\000\\000\",\n");
    assert_eq!(show("vq.num_free"), "  vq.num_free = 60\n"); // the last of its struct: no comma
    assert_eq!(
        show("split"),
        "    split = {\n      num = 64,\n      desc = 0xffffffff82000008 <descs>\n    },\n"
    );
    assert_eq!(show("vq.list.next->prev"), "  vq.list.next->prev = 0xffffffff820000a0 <queue>\n");
    assert_eq!(show("pids[2]"), "  pids[2] = 3\n");
    let e = MemberPath::parse("a..b").unwrap_err();
    assert_eq!(e.span.start, 2);
    let path = MemberPath::parse("vq.lst").unwrap();
    let e = path.apply(&lab, &queue).unwrap_err();
    assert_eq!(e.to_string(), "struct virtqueue has no member named \"lst\"; did you mean list?");
    assert_eq!((e.span.start, e.span.end), (3, 6));
    let split = MemberPath::parse("split.desc").unwrap();
    assert_eq!(split.locate(&lab.types, queue.ty).unwrap().offset(), 64);
    assert_eq!(MemberPath::parse("a.b->c[2]").unwrap().to_string(), "a.b->c[2]");
}

#[test]
fn malformed_types_end() {
    // a struct that contains itself, and an array of two billion of it
    let lab = Lab::empty();
    let loops = lab.declare("loops");
    let members = vec![
        lab.of("me", loops, 0),
        lab.of("again", loops, 0),
        lab.of("many", lab.types.array_of(loops, Some(1 << 31)), 8),
        lab.bits("wide", "u64", 3, 200),
    ];
    lab.define(loops, "loops", 16, members);
    let value = Value::memory(loops, VirtAddr(0x1000));
    let tree = format_value(&lab, &value, &FormatOptions::default());
    // where it lies within itself cannot be
    assert!(tree.to_text().contains("<place not known>"), "{}", tree.to_text());
    let many = Value::memory(lab.types.array_of(loops, Some(1 << 31)), VirtAddr(0x1000));
    assert!(format_value(&lab, &many, &FormatOptions::default()).to_text().contains("..."));
    let cyclic = lab.unnamed(CompoundKind::Struct, 8, vec![]);
    assert!(layout_text(&lab.types, cyclic, &LayoutOptions::default()).is_ok());
}
