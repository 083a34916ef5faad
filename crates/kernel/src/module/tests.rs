//! Modules that are made: what is known of each, where an address lies, and what is missing.

use super::*;
use crate::testing::session;
use testkit::kernel::Kernel;

/// Where modules lie.
const AT: u64 = 0xffff_ffff_c000_0000;

/// Modules `first` and `second` with a page of code and a page of data each; their `struct module`s, each in two pages: the
/// taints are in the second.
fn made() -> (Kernel, [u64; 2]) {
    let mut k = Kernel::new();
    k.list_head();
    k.structure("module_memory", 24, &[("base", 0, "*void"), ("size", 16, "u32")]);
    let module = [
        ("state", 0, "u32"),
        ("list", 8, "list_head"),
        ("name", 24, "char[56]"),
        ("mem", 96, "module_memory[7]"),
        ("taints", 4096, "u64"),
        ("srcversion", 4104, "*char"),
    ];
    k.structure("module", 8192, &module);
    k.function("schedule", 0x40);
    k.function("load_module", 0x80);
    let head = k.variable("modules", 16);
    let mut all = [0; 2];
    for (n, name) in (0..).zip(["first", "second"]) {
        let at = k.memory(8192);
        k.set_text(at, "module", "name", name).set(at, "module", "taints", 0x1000 << n);
        for (kind, page) in [(0, 0), (1, 1)] {
            let (base, bytes) = (AT + n * 0x1_0000 + page * 4096, k.memory(4096));
            k.word(at + 96 + kind * 24, base).half(at + 96 + kind * 24 + 16, 4096).map(base, bytes);
        }
        all[n as usize] = at;
    }
    // the newest comes first in the kernel's list
    k.link(head, &[all[1] + 8, all[0] + 8]);
    (k, all)
}

fn names(s: &Session) -> Vec<&str> {
    s.modules().iter().map(|m| m.name.as_str()).collect()
}

#[test]
fn modules_in_the_order_in_which_they_were_loaded() {
    let (k, _) = made();
    let s = session(&k);
    assert_eq!((names(&s), s.modules_problem().is_none()), (vec!["first", "second"], true));
    let [first, second] = s.modules() else { panic!("two modules") };
    assert_eq!((first.base().0, first.size(), first.taints), (AT, 8192, Some(0x1000)));
    assert_eq!((second.taints, second.state), (Some(0x2000), Some(0)));
}

#[test]
fn an_address_is_in_one_module_and_its_code_is_no_data() {
    let (k, _) = made();
    let s = session(&k);
    let module = |at: u64| s.module_at(VirtAddr(at)).map(|m| m.name.as_str());
    assert_eq!(
        [module(AT), module(AT + 0x1_1fff), module(AT + 0x2000)],
        [Some("first"), Some("second"), None]
    );
    // neither before the first nor behind the last, nor far from all
    assert_eq!([AT - 1, AT + 0x1_2000, 0, u64::MAX].map(module), [None; 4]);
    let code = |at: u64| s.is_text(VirtAddr(at));
    assert_eq!(
        [code(AT), code(AT + 0x1000), code(AT + 0x1_0ff8), code(AT + 0x2000)],
        [true, false, true, false]
    );
}

/// What of a module is missing is missing alone; a module of which the rest is missing is left out, with the reason.
#[test]
fn what_is_missing_of_a_module_is_no_number() {
    let (mut k, [_, second]) = made();
    k.exclude(second + 4096);
    let s = session(&k);
    let found = s.modules().last().unwrap();
    assert_eq!((names(&s).len(), found.size(), found.taints), (2, 8192, None));
    assert!(found.srcversion.is_err(), "it is not known whether it has one");
    k.exclude(second);
    let s = session(&k);
    assert!(!names(&s).contains(&"second") && s.modules_problem().is_some());
}

#[test]
fn a_damaged_module_is_none() {
    for (offset, value) in [(96, 0x1234), (96 + 16, u64::from(u32::MAX))] {
        let (mut k, [first, _]) = made();
        k.word(first + offset, value);
        let s = session(&k);
        assert_eq!(names(&s), ["second"], "{offset}: {value:#x}");
        assert!(s.modules_problem().is_some(), "{offset}: {value:#x}");
    }
}

/// What one of two modules says of itself that cannot be; the rest of it is told.
#[test]
fn what_cannot_be_of_a_module_is_told() {
    // no memory at all
    let (mut k, [first, _]) = made();
    k.word(first + 96 + 16, 0).word(first + 120 + 16, 0);
    let s = session(&k);
    assert_eq!((names(&s), s.modules_problem().is_some()), (vec!["second"], true));
    let (mut k, [first, second]) = made();
    k.set_text(first, "module", "name", "second").set(second, "module", "taints", u64::MAX);
    let s = session(&k);
    let why = s.modules_problem().unwrap().to_string();
    assert!(why.contains("are both called second"), "{why}");
    assert_eq!(s.modules().iter().map(|m| m.taints).collect::<Vec<_>>(), [Some(0x1000), None]);
}

/// Objects of both modules in /sys/module, with their names.
fn in_sys(k: &mut Kernel, all: [u64; 2]) {
    k.structure("kobject", 40, &[("entry", 0, "list_head"), ("kset", 16, "*kset"), ("name", 32, "*char")]);
    k.structure("module_kobject", 48, &[("kobj", 0, "kobject"), ("mod", 40, "*module")]);
    k.member("module", ("mkobj", 4112, "module_kobject"));
    for (at, name) in all.into_iter().zip(["first", "second"]) {
        let text = k.text(name);
        k.word(at + 4112 + 40, at).word(at + 4112 + 32, text);
    }
}

/// A name that is none: all its bytes are of another kind, it has no end, or it is empty.
const NO_NAMES: [[u64; 7]; 3] = [[0xffff_ffff_ffff_ffff; 7], [0x4242_4242_4242_4242; 7], [0; 7]];

#[test]
fn a_module_keeps_its_place_without_its_name() {
    for words in NO_NAMES {
        for has_object in [true, false] {
            let (mut k, all) = made();
            if has_object {
                in_sys(&mut k, all);
            }
            (0..).zip(words).for_each(|(n, word)| _ = k.word(all[0] + 24 + 8 * n, word));
            k.word(all[0], 0);
            let s = session(&k);
            let name = if has_object { "first" } else { NO_NAME };
            assert_eq!(names(&s), [name, "second"], "{words:x?}");
            let [first, second] = s.modules() else { panic!("two modules") };
            assert_eq!((first.base().0, first.has_name(), first.misnamed.is_some()), (AT, has_object, true));
            assert!(second.misnamed.is_none() && s.module_at(VirtAddr(AT)).is_some());
            let why = s.misnamed_module().unwrap().to_string();
            assert!(why.contains("its name is"), "{why}");
            assert!(s.modules_problem().is_none(), "the list is whole");
        }
    }
}

/// Of two words that can both be its name nothing tells which is, unless one of them is another module's.
#[test]
fn a_name_that_its_object_contradicts_is_told() {
    for (own, told) in [("sekond", NO_NAME), ("ext4", NO_NAME), ("first", "second")] {
        let (mut k, all) = made();
        in_sys(&mut k, all);
        k.put(all[1] + 24, &[0; 16]).set_text(all[1], "module", "name", own);
        let s = session(&k);
        assert_eq!(names(&s), ["first", told], "{own}");
        let why = s.misnamed_module().unwrap().to_string();
        assert!(why.contains(&format!("its name is {own:?}, and in /sys/module it is \"second\"")), "{why}");
        assert!(s.modules_problem().is_none() && s.module_named("first").unwrap().at.0 == all[0], "{own}");
    }
}

/// A third that knows the name decides, whichever of them is damaged.
#[test]
fn the_name_that_most_know_counts() {
    for damaged in ["struct", "object", "types"] {
        for other in ["first", "ext4"] {
            let (mut k, all) = made();
            in_sys(&mut k, all);
            k.structure("btf", 80, &[("name", 0, "char[56]")]);
            k.structure(
                "btf_module",
                32,
                &[("list", 0, "list_head"), ("module", 16, "*module"), ("btf", 24, "*btf")],
            );
            let (head, one, btf) = (k.variable("btf_modules", 16), k.object("btf_module"), k.object("btf"));
            k.link(head, &[one]).word(one + 16, all[1]).word(one + 24, btf);
            k.set_text(btf, "btf", "name", "second");
            match damaged {
                "struct" => _ = k.put(all[1] + 24, &[0; 16]).set_text(all[1], "module", "name", other),
                "types" => _ = k.put(btf, &[0; 16]).set_text(btf, "btf", "name", other),
                _ => {
                    let text = k.text(other);
                    k.word(all[1] + 4112 + 32, text);
                }
            }
            let s = session(&k);
            assert_eq!(names(&s), ["first", "second"], "{damaged} {other}");
            assert!(s.misnamed_module().is_some() && s.modules_problem().is_none(), "{damaged} {other}");
        }
    }
}

/// Neither end of the list leads anywhere: the modules' types and the tree of their memory do.
#[test]
fn a_list_that_leads_nowhere_leaves_other_ways() {
    for ends in [[0x4141_4141_4141_4141; 2], [0; 2], [1; 2]] {
        let (mut k, all) = made();
        k.structure("btf_module", 32, &[("list", 0, "list_head"), ("module", 16, "*module")]);
        let (head, one) = (k.variable("btf_modules", 16), k.object("btf_module"));
        k.link(head, &[one]).word(one + 16, all[0]);
        k.structure("rb_node", 24, &[("rb_right", 8, "*rb_node"), ("rb_left", 16, "*rb_node")]);
        k.structure("latch_tree_node", 48, &[("node", 0, "rb_node[2]")]);
        k.structure("mod_tree_node", 56, &[("mod", 0, "*module"), ("node", 8, "latch_tree_node")]);
        k.structure("latch_tree_root", 24, &[("tree", 8, "u64[2]")]);
        k.structure("mod_tree_root", 40, &[("root", 0, "latch_tree_root")]);
        let (tree, node) = (k.variable("mod_tree", 40), k.object("mod_tree_node"));
        k.word(node, all[1]).word(tree + 8, node + 8);
        let head = k.at("modules");
        // 1 stands for a head that points to itself
        let ends = ends.map(|end| if end == 1 { head } else { end });
        k.word(head, ends[0]).word(head + 8, ends[1]);
        let s = session(&k);
        let mut names = names(&s);
        names.sort_unstable();
        assert_eq!((names, s.modules_problem().is_some()), (vec!["first", "second"], true), "{ends:x?}");
    }
}

/// One whose `struct module` lies beside its memory has another size or place than it says.
#[test]
fn a_module_that_does_not_hold_itself_is_damaged() {
    for (size, is_whole) in [(0x2000, true), (0x1000, false)] {
        let (mut k, [first, _]) = made();
        k.list_head();
        let (at, bytes) = (AT + 0x10_0000, k.memory(0x2000));
        for page in [0, 0x1000] {
            k.map(at + page, bytes + page);
        }
        k.set_text(at + 0x1000, "module", "name", "third");
        k.word(at + 0x1000 + 96, at).half(at + 0x1000 + 96 + 16, size);
        k.link(k.at("modules"), &[at + 0x1008, first + 8]);
        let s = session(&k);
        assert_eq!((names(&s).contains(&"third"), s.modules_problem().is_none()), (is_whole, is_whole));
    }
}

/// A list that steps over a module says that it is damaged, and the module is found.
#[test]
fn a_module_that_is_stepped_over_is_found() {
    let (mut k, [first, _]) = made();
    k.word(k.at("modules"), first + 8);
    let s = session(&k);
    let mut names = names(&s);
    names.sort_unstable();
    assert_eq!((names, s.modules_problem().is_some()), (vec!["first", "second"], true));
}

/// A list that leaves a module out in both directions looks whole; its object in /sys/module is there all the same.
#[test]
fn a_module_that_the_list_leaves_out_is_found_by_its_object() {
    for (listed, has_symbol) in [(Some(0), true), (Some(0), false), (Some(1), false), (None, true)] {
        let (mut k, all) = made();
        k.structure("kset", 16, &[("list", 0, "list_head")]);
        k.structure("kobject", 32, &[("entry", 0, "list_head"), ("kset", 16, "*kset")]);
        k.structure("module_kobject", 40, &[("kobj", 0, "kobject"), ("mod", 32, "*module")]);
        k.member("module", ("mkobj", 4112, "module_kobject"));
        let set = k.object("kset");
        // what is built in is there too, without a module
        let built_in = k.object("module_kobject");
        k.link(set, &[built_in, all[1] + 4112, all[0] + 4112]);
        for at in all {
            k.word(at + 4112 + 16, set).word(at + 4112 + 32, at);
        }
        if has_symbol {
            let variable = k.variable("module_kset", 8);
            k.word(variable, set);
        }
        let listed: Vec<u64> = listed.iter().map(|n: &usize| all[*n] + 8).collect();
        k.link(k.at("modules"), &listed);
        let s = session(&k);
        let mut names = names(&s);
        names.sort_unstable();
        assert_eq!(names, ["first", "second"]);
        let why = s.modules_problem().unwrap().to_string();
        assert!(why.contains(if listed.is_empty() { "it is empty" } else { "it leaves out" }), "{why}");
    }
}

/// The functions by which a kernel with modules is told are lost, and so is the list: nothing says that none is loaded.
#[test]
fn lost_symbols_are_no_kernel_without_modules() {
    let (mut k, _) = made();
    k.lose("modules").lose("load_module");
    let whole = session(&k);
    assert!(whole.modules_problem().is_none(), "it names no such function");
    let mut lost = whole.kernel_symbols().clone();
    assert!(cannot_load(&lost));
    lost.lost = 1;
    assert!(!cannot_load(&lost));
}

/// Two functions of one name: a message of the kernel that names it does not tell which.
#[test]
fn a_name_of_several_functions_is_of_none() {
    let mut k = Kernel::new();
    let once = k.function("once", 0x40);
    k.function("twice", 0x80);
    k.function("twice", 0xc0);
    let s = session(&k);
    assert_eq!(s.only_function("once", None).map(|at| at.0), Some(once));
    assert_eq!((s.only_function("twice", None), s.only_function("never", None)), (None, None));
    assert_eq!(s.named("twice").len(), 2);
    let found = s.locate(VirtAddr(once + 5)).unwrap();
    assert_eq!((found.symbol.name, found.offset, found.span), ("once", 5, Some(0x40)));
}
