use super::*;

fn table(symbols: &[(&str, u64, u64, u8)]) -> SymbolTable {
    let mut builder = SymbolTableBuilder::new();
    symbols.iter().for_each(|(name, addr, size, kind)| builder.push(name.as_bytes(), *addr, *size, *kind));
    builder.build()
}

fn at(table: &SymbolTable, addr: u64) -> String {
    table.at(VirtAddr(addr)).map_or("-".into(), |(s, offset)| format!("{}+{offset:#x}", s.name))
}

#[test]
fn an_address_is_named_after_the_symbol_below() {
    let t = table(&[("b", 0x200, 0, b'T'), ("a", 0x100, 0x10, b't'), ("c", 0x300, 0, b'D')]);
    let named = [0xff, 0x100, 0x1ff, 0x200, 0x300, u64::MAX].map(|a| at(&t, a));
    assert_eq!(named, ["-", "a+0x0", "a+0xff", "b+0x0", "c+0x0", "c+0xfffffffffffffcff"]);
}

#[test]
fn of_several_at_one_address_the_kernels_choice_is_first() {
    let t = table(&[
        ("__memcpy", 0x100, 0, b'T'),
        ("memcpy", 0x100, 0, b'W'),
        ("__crc_memcpy", 0x100, 0, b'A'),
        ("__start_text_marks", 0x100, 0, b'T'),
        ("x", 0x80, 0, b'T'),
    ]);
    let names: Vec<&str> = t.exactly_at(VirtAddr(0x100)).map(|s| s.name).collect();
    assert_eq!(names, ["__memcpy", "__start_text_marks", "memcpy", "__crc_memcpy"]);
    assert_eq!(at(&t, 0x108), "__memcpy+0x8");
}

#[test]
fn bounds_end_a_name() {
    let mut builder = SymbolTableBuilder::new();
    builder.push(b"last", 0x1f0, 0, b'T');
    builder.push(b"end", 0x200, 0, b'B');
    builder.push(b"module", 0x1000, 0, b't');
    builder.bound(0x100..0x200);
    builder.bound(0x1000..0x1100);
    let t = builder.build();
    let named = [0x1ff, 0x200, 0x201, 0xfff, 0x10ff, 0x1100].map(|a| at(&t, a));
    assert_eq!(named, ["last+0xf", "end+0x0", "-", "-", "module+0xff", "-"]);
    let id = t.find("module").unwrap().id;
    assert_eq!(t.span(id), Some(0x100));
}

#[test]
fn names_may_stand_for_several_symbols() {
    let t = table(&[("s", 0x300, 0, b'd'), ("t", 0x200, 0, b'd'), ("s", 0x100, 0, b'd')]);
    let addrs: Vec<u64> = t.named("s").map(|s| s.addr.0).collect();
    assert_eq!(addrs, [0x100, 0x300]);
    assert!(t.named("nothing").next().is_none());
    assert!(SymbolTable::empty().named("s").next().is_none());
}

#[test]
fn the_global_symbol_is_meant_where_files_have_others_of_its_name() {
    let mut builder = SymbolTableBuilder::new();
    builder.push(b"_end", 0x1200, 0, b't');
    builder.push(b"_end", 0x9000, 0, b'B');
    builder.push(b"_end", 0x9800, 0, b'b');
    builder.push(b"s", 0x1300, 0, b'd');
    builder.push(b"s", 0x1100, 0, b't');
    let t = builder.build();
    assert_eq!(t.addr("_end"), Some(VirtAddr(0x9000)));
    assert_eq!(t.addr("s"), Some(VirtAddr(0x1100)));
}

#[test]
fn neighbours_are_at_other_addresses() {
    let t = table(&[("a", 1, 0, b'T'), ("b", 5, 0, b'T'), ("b2", 5, 0, b'T'), ("c", 9, 0, b'T')]);
    let b = t.find("b2").unwrap().id;
    assert_eq!(t.next(b).unwrap().name, "c");
    assert_eq!(t.prev(b).unwrap().name, "a");
    assert_eq!(t.prev(t.find("c").unwrap().id).unwrap().name, "b");
    assert!(t.prev(t.find("a").unwrap().id).is_none());
    assert_eq!(t.span(b), Some(4));
    assert_eq!(t.span(t.find("c").unwrap().id), None);
    assert_eq!(t.between(VirtAddr(1), VirtAddr(9)).count(), 3);
}

#[test]
fn the_kernels_symbol_is_found_before_a_modules() {
    let kernel = table(&[("cleanup", 0x9000, 0, b't')]);
    let mut builder = SymbolTableBuilder::new();
    builder.start_module("loop");
    builder.push(b"cleanup", 0x1000, 0, b't');
    builder.start_module("xfs");
    builder.push(b"init", 0x2000, 0, b't');
    let both = kernel.merged(&builder.build());
    assert_eq!(both.len(), 3);
    assert_eq!(both.find("cleanup").unwrap().addr, VirtAddr(0x9000));
    assert_eq!(both.named("cleanup").count(), 2);
    assert_eq!(both.find("init").unwrap().module, Some("xfs"));
    assert_eq!(both.modules().collect::<Vec<_>>(), ["loop", "xfs"]);
}

#[test]
fn searches() {
    let t =
        table(&[("virtqueue_add_split", 1, 0, b't'), ("virtqueue_add", 2, 0, b't'), ("jiffies", 3, 0, b'D')]);
    assert_eq!(t.with_prefix("virtq").count(), 2);
    assert_eq!(t.containing("add_s").next().unwrap().name, "virtqueue_add_split");
    assert_eq!(t.near("jifies"), ["jiffies"]);
    assert_eq!(t.near("vitrqueue_add"), ["virtqueue_add"]);
    assert_eq!(t.near("VirtQueue_Add"), ["virtqueue_add"]);
    assert!(t.near("completely_else").is_empty());
}

#[test]
fn a_name_that_is_no_text_is_said_to_be_none() {
    let mut builder = SymbolTableBuilder::new();
    builder.push(&[0xff, 0xfe], 1, 0, b'T');
    assert_eq!(builder.build().at(VirtAddr(1)).unwrap().0.name, "<name is not UTF-8>");
}

/// clang's LTO: a static that was moved between files has a number behind its name.
#[test]
fn names_of_link_time_optimisation_are_those_of_the_source() {
    let t = table(&[
        ("foo.llvm.12345678901234567890", 0x100, 0, b't'),
        ("foo", 0x200, 0, b't'),
        ("bar.llvm.7.cold", 0x300, 0, b't'),
        ("llvm.7", 0x400, 0, b't'),
        (".llvm.7", 0x500, 0, b't'),
        ("x.7", 0x600, 0, b't'),
    ]);
    let named = [0x108, 0x200, 0x300, 0x400, 0x500, 0x600].map(|a| at(&t, a));
    assert_eq!(named, ["foo+0x8", "foo+0x0", "bar.llvm.7.cold+0x0", "llvm.7+0x0", ".llvm.7+0x0", "x.7+0x0"]);
    let addresses = |name: &str| t.named(name).map(|s| s.addr.0).collect::<Vec<_>>();
    assert_eq!(addresses("foo"), [0x100, 0x200]);
    assert_eq!(addresses("foo.llvm.12345678901234567890"), [0x100, 0x200], "as a file of symbols spells it");
}
