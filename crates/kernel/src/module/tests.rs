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
    for (offset, value) in [(24, 0), (96, 0x1234), (96 + 16, u64::from(u32::MAX))] {
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
    // a name without an end, no memory at all
    for damage in
        [[(24, [0x4242_4242_4242_4242; 7].as_slice()), (0, &[0])], [(96 + 16, &[0]), (120 + 16, &[0])]]
    {
        let (mut k, [first, _]) = made();
        for (offset, words) in damage {
            (0..).zip(words).for_each(|(n, word)| _ = k.word(first + offset + 8 * n, *word));
        }
        let s = session(&k);
        assert_eq!((names(&s), s.modules_problem().is_some()), (vec!["second"], true), "{damage:x?}");
    }
    let (mut k, [first, second]) = made();
    k.set_text(first, "module", "name", "second").set(second, "module", "taints", u64::MAX);
    let s = session(&k);
    let why = s.modules_problem().unwrap().to_string();
    assert!(why.contains("are both called second"), "{why}");
    assert_eq!(s.modules().iter().map(|m| m.taints).collect::<Vec<_>>(), [Some(0x1000), None]);
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
