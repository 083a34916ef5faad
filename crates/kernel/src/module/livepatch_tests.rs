//! Live patches of kernels that are made here.

use super::*;
use crate::testing::session;
use testkit::kernel::{Kernel, TEXT};

const NEW: u64 = 0xffff_ffff_c012_3000;

fn kernel(lists: bool) -> Kernel {
    let mut k = Kernel::new();
    k.list_head();
    k.structure("module", 64, &[("name", 24, "char[32]")]);
    let patch = [
        ("mod", 0, "*module"),
        ("objs", 8, "*klp_object"),
        ("list", 16, "list_head"),
        ("enabled", 32, "bool"),
        ("obj_list", 40, "list_head"),
    ];
    let object = [
        ("name", 0, "*char"),
        ("funcs", 8, "*klp_func"),
        ("func_list", 16, "list_head"),
        ("node", 32, "list_head"),
    ];
    let function = [
        ("old_name", 0, "*char"),
        ("new_func", 8, "*u8"),
        (if lists { "old_func" } else { "old_addr" }, 16, "u64"),
        ("node", 24, "list_head"),
        ("nop", 40, "bool"),
    ];
    k.structure("klp_patch", 56, if lists { &patch } else { &patch[..4] });
    k.structure("klp_object", 48, if lists { &object } else { &object[..2] });
    k.structure("klp_func", 48, if lists { &function } else { &function[..3] });
    k
}

fn patched(lists: bool) -> (Kernel, u64) {
    let mut k = kernel(lists);
    let head = k.variable("klp_patches", 16);
    let module = k.object("module");
    k.set_text(module, "module", "name", "fix42");
    let (patch, objects, functions) = (k.object("klp_patch"), k.memory(3 * 48), k.memory(4 * 48));
    k.word(patch, module).word(patch + 8, objects).link(head, &[patch + 16]).put(patch + 32, &[1]);
    let (name, other) = (k.text("cmdline_proc_show"), k.text("vring_interrupt"));
    let of = k.text("virtio_ring");
    // one function of the kernel, and one of a module
    k.word(objects, 0).word(objects + 8, functions).word(objects + 48, of).word(objects + 56, functions + 96);
    k.word(functions, name).word(functions + 8, NEW).word(functions + 16, TEXT + 0x700);
    k.word(functions + 96, other).word(functions + 104, NEW + 0x40);
    if lists {
        k.link(patch + 40, &[objects + 32, objects + 48 + 32]);
        k.link(objects + 16, &[functions + 24]).link(objects + 48 + 16, &[functions + 96 + 24]);
    }
    (k, patch)
}

#[test]
fn functions_of_lists_and_of_arrays() {
    for lists in [true, false] {
        let (k, _) = patched(lists);
        let s = session(&k);
        let known = s.live_patches();
        assert!(known.problem.is_none() && known.transition.is_none() && known.all.len() == 1);
        assert_eq!((known.all[0].name.as_str(), known.all[0].enabled), ("fix42", Some(true)));
        let functions: Vec<_> = known.all[0]
            .functions
            .iter()
            .map(|f| (f.old_name.as_str(), f.object.as_deref(), f.old.map(|at| at.0), f.new.0))
            .collect();
        let wanted = [
            ("cmdline_proc_show", None, Some(TEXT + 0x700), NEW),
            ("vring_interrupt", Some("virtio_ring"), None, NEW + 0x40),
        ];
        assert_eq!(functions, wanted);
        let told = |at: u64| s.patched_function(VirtAddr(at)).map(|role| role.to_string());
        assert_eq!(told(NEW).unwrap(), "in place of cmdline_proc_show, by live patch fix42");
        assert_eq!(
            told(NEW + 0x40).unwrap(),
            "in place of vring_interrupt [virtio_ring], by live patch fix42"
        );
        assert_eq!(told(TEXT + 0x700).unwrap(), "replaced by live patch fix42, but not for this call");
        assert_eq!(told(TEXT), None);
    }
}

#[test]
fn a_patch_out_of_effect_hides_no_older_one() {
    let (mut k, old) = patched(false);
    let head = k.at("klp_patches");
    let module = k.object("module");
    k.set_text(module, "module", "name", "fix43");
    // a patch that came later replaces the function once more
    let newer = k.object("klp_patch");
    let (objects, functions, name) = (k.memory(2 * 48), k.memory(2 * 48), k.text("cmdline_proc_show"));
    k.word(newer, module).word(newer + 8, objects).link(head, &[old + 16, newer + 16]);
    k.word(objects + 8, functions);
    k.word(functions, name).word(functions + 8, NEW + 0x80).word(functions + 16, TEXT + 0x700);
    for (enabled, by) in [([1, 0], Some("fix42")), ([1, 1], Some("fix43")), ([0, 0], None)] {
        k.put(old + 32, &enabled[..1]).put(newer + 32, &enabled[1..]);
        let s = session(&k);
        let role = s.patched_function(VirtAddr(TEXT + 0x700));
        let told = match role {
            Some(Role::Old(patch, _)) => Some(patch.name.as_str()),
            _ => None,
        };
        assert_eq!(told, by, "{enabled:?}");
    }
}

#[test]
fn tasks_that_have_yet_to_change() {
    for (states, wanted) in [([0, 1], Some((1, 2))), ([0, 0], Some((2, 2))), ([1, 1], None)] {
        let (mut k, patch) = patched(true);
        let (tasks, _) = k.old_tasks(1);
        k.member("task_struct", ("patch_state", 96, "s32"));
        for (task, state) in [k.at("init_task"), tasks[0]].into_iter().zip(states) {
            k.half(task + 96, state);
        }
        let (at, state) = (k.variable("klp_transition_patch", 8), k.variable("klp_target_state", 4));
        k.word(at, patch).half(state, 1);
        assert_eq!(session(&k).yet_to_change(), wanted, "{states:?}");
    }
}

#[test]
fn what_is_lost_of_patches_is_said() {
    // more patches than there can be: the list ends at the bound, and that is told
    let (mut k, _) = patched(false);
    let head = k.at("klp_patches");
    let module = k.object("module");
    k.set_text(module, "module", "name", "fix");
    let no_objects = k.memory(48);
    let links: Vec<u64> = (0..=MAX_PATCHES)
        .map(|_| {
            let at = k.object("klp_patch");
            k.word(at, module).word(at + 8, no_objects);
            at + 16
        })
        .collect();
    k.link(head, &links);
    let s = session(&k);
    let known = s.live_patches();
    assert_eq!(known.all.len(), MAX_PATCHES);
    assert!(known.problem.as_ref().is_some_and(KernelError::is_loss), "{:?}", known.problem);
    // the variable that names a change is not in the dump
    let (mut k, _) = patched(false);
    k.symbol("klp_transition_patch", b'D', 0xffff_ffff_bfff_0000);
    let s = session(&k);
    let known = s.live_patches();
    assert!(known.all.len() == 1 && known.transition.is_none() && known.problem.is_some());
}

#[test]
fn a_change_that_is_under_way() {
    for (target, to_new) in [(1, true), (0, false)] {
        let (mut k, patch) = patched(true);
        let (at, state) = (k.variable("klp_transition_patch", 8), k.variable("klp_target_state", 4));
        k.word(at, patch).half(state, target);
        let s = session(&k);
        let wanted = Transition { name: "fix42".into(), to_new: Some(to_new) };
        assert_eq!(s.live_patches().transition, Some(wanted));
    }
}

#[test]
fn without_a_patch_there_is_none() {
    let mut k = kernel(true);
    k.without_btf();
    let head = k.variable("klp_patches", 16);
    k.link(head, &[]);
    let s = session(&k);
    let known = s.live_patches();
    assert!(known.all.is_empty() && known.problem.is_none() && known.transition.is_none());
}
