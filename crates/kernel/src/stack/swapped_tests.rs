//! Notes of tracers in kernels that are made here, one of each release's shape.

use super::*;
use crate::testing::session;
use testkit::kernel::{Kernel, Member, TEXT};

/// Where functions lie: two traced ones, and a caller.
const FIRST: u64 = TEXT + 0x1000;
const SECOND: u64 = TEXT + 0x1100;
const CALLER: u64 = TEXT + 0x1200;
/// Words of a stack that functions return by; any will do.
const INNER: u64 = 0xffff_c900_0000_3f10;
const OUTER: u64 = 0xffff_c900_0000_3f80;

fn kernel(task: &[Member<'_>]) -> (Kernel, u64) {
    let mut k = Kernel::new();
    k.function("return_to_handler", 0x100);
    k.function("first", 0x1000);
    k.function("second", 0x1100);
    k.function("caller", 0x1200);
    k.function("second.cold", 0x1300);
    k.structure("llist_node", 8, &[("next", 0, "*llist_node")]);
    k.structure("llist_head", 8, &[("first", 0, "*llist_node")]);
    k.structure("hlist_node", 16, &[("next", 0, "*hlist_node"), ("pprev", 8, "u64")]);
    k.structure("task_struct", 256, task);
    let at = k.object("task_struct");
    (k, at)
}

/// What the word at `slot` was before, in a task's stack.
fn before(s: &Session, task: u64, slot: u64, word: &str, callee: Option<u64>) -> u64 {
    let word = s.symbol(word).unwrap();
    s.fact::<Tracers>().before(s, Some(VirtAddr(task)), VirtAddr(slot), word, callee.map(VirtAddr)).0
}

const GRAPH: &str = "return_to_handler";
const GRAPH_AT: u64 = TEXT + 0x100;

fn graph_entry(k: &mut Kernel, at: u64, back: u64, function: u64, slot: Option<u64>) {
    k.set(at, "ftrace_ret_stack", "ret", back).set(at, "ftrace_ret_stack", "func", function);
    if let Some(slot) = slot {
        k.set(at, "ftrace_ret_stack", "retp", slot);
    }
}

#[test]
fn words_since_6_11() {
    let (mut k, task) = kernel(&[("curr_ret_stack", 0, "s32"), ("ret_stack", 8, "*u64")]);
    k.structure("ftrace_ret_stack", 24, &[("ret", 0, "u64"), ("func", 8, "u64"), ("retp", 16, "*u64")]);
    let words = k.memory(4096);
    k.set(task, "task_struct", "ret_stack", words);
    // outermost first: a structure, two words of data of a tracer's own, and what says how far to go back; what lies behind
    // the top is of calls that returned
    graph_entry(&mut k, words, CALLER + 9, SECOND, Some(OUTER));
    k.word(words + 24, 77).word(words + 32, 78).word(words + 40, 5);
    graph_entry(&mut k, words + 48, SECOND + 9, FIRST, Some(INNER));
    k.word(words + 72, 3);
    graph_entry(&mut k, words + 80, FIRST + 5, FIRST, Some(OUTER - 0x40));
    k.set(task, "task_struct", "curr_ret_stack", 10);
    let s = session(&k);
    assert_eq!(before(&s, task, INNER, GRAPH, None), SECOND + 9);
    assert_eq!(before(&s, task, OUTER, GRAPH, None), CALLER + 9);
    assert_eq!(before(&s, task, OUTER - 0x40, GRAPH, Some(FIRST + 4)), GRAPH_AT);
}

fn array(retp: bool) -> (Kernel, u64, u64) {
    let (mut k, task) = kernel(&[("curr_ret_stack", 0, "s32"), ("ret_stack", 8, "*ftrace_ret_stack")]);
    k.structure("ftrace_ret_stack", 32, if retp { NOTE } else { &NOTE[..3] });
    let all = k.memory(50 * 32);
    k.set(task, "task_struct", "ret_stack", all);
    (k, task, all)
}

#[test]
fn an_array_since_4_9() {
    let (mut k, task, all) = array(true);
    graph_entry(&mut k, all, CALLER + 9, SECOND, Some(OUTER));
    // an entry for a function that was jumped to has the tracer's own address
    graph_entry(&mut k, all + 32, GRAPH_AT, FIRST, Some(OUTER));
    graph_entry(&mut k, all + 64, SECOND + 9, FIRST, Some(INNER));
    graph_entry(&mut k, all + 96, FIRST + 5, FIRST, Some(INNER + 8));
    for (top, inner) in [(2, SECOND + 9), (2 - 65536, SECOND + 9), (1, GRAPH_AT), (-1, GRAPH_AT)] {
        k.set(task, "task_struct", "curr_ret_stack", i64::from(top).cast_unsigned());
        let s = session(&k);
        assert_eq!(before(&s, task, INNER, GRAPH, None), inner, "{top}");
        assert_eq!(before(&s, task, OUTER, GRAPH, None), if top == -1 { GRAPH_AT } else { CALLER + 9 });
        assert_eq!(before(&s, task, INNER + 8, GRAPH, Some(FIRST + 8)), GRAPH_AT);
    }
}

#[test]
fn a_note_whose_place_is_lost_is_sure_of_nothing() {
    let (mut k, task, _) = array(true);
    let page = k.memory(3 * 4096).next_multiple_of(4096) + 4096;
    graph_entry(&mut k, page - 24, SECOND + 9, FIRST, Some(INNER));
    k.set(task, "task_struct", "ret_stack", page - 24).set(task, "task_struct", "curr_ret_stack", 0);
    assert_eq!(before(&session(&k), task, INNER, GRAPH, Some(FIRST + 8)), SECOND + 9);
    k.exclude(page);
    assert_eq!(before(&session(&k), task, INNER, GRAPH, Some(FIRST + 8)), GRAPH_AT);
}

#[test]
fn an_array_that_names_functions_alone() {
    let (mut k, task, all) = array(false);
    graph_entry(&mut k, all, CALLER + 9, SECOND + 4, None);
    graph_entry(&mut k, all + 32, SECOND + 9, FIRST, None);
    k.set(task, "task_struct", "curr_ret_stack", 1);
    let s = session(&k);
    assert_eq!(before(&s, task, INNER, GRAPH, Some(FIRST + 8)), SECOND + 9);
    // a part of it that lies elsewhere
    assert_eq!(before(&s, task, OUTER, GRAPH, Some(TEXT + 0x1304)), CALLER + 9);
    assert_eq!(before(&s, task, OUTER, GRAPH, Some(CALLER + 8)), GRAPH_AT);
    assert_eq!(before(&s, task, OUTER, GRAPH, None), GRAPH_AT);
    // two calls of one function: nothing tells which is which
    graph_entry(&mut k, all + 64, FIRST + 5, FIRST, None);
    k.set(task, "task_struct", "curr_ret_stack", 2);
    let s = session(&k);
    assert_eq!(before(&s, task, INNER, GRAPH, Some(FIRST + 8)), GRAPH_AT);
    assert_eq!(before(&s, task, OUTER, GRAPH, Some(SECOND + 8)), CALLER + 9);
}

#[test]
fn a_tracer_that_took_another_tracers_address() {
    let (mut k, task) =
        kernel(&[("curr_ret_stack", 0, "s32"), ("ret_stack", 8, "*u64"), ("rethooks", 16, "llist_head")]);
    let probe = k.function("arch_rethook_trampoline", 0x200);
    k.structure("ftrace_ret_stack", 24, &[("ret", 0, "u64"), ("func", 8, "u64"), ("retp", 16, "*u64")]);
    k.structure(
        "rethook_node",
        40,
        &[("llist", 16, "llist_node"), ("ret_addr", 24, "u64"), ("frame", 32, "u64")],
    );
    let words = k.memory(4096);
    k.set(task, "task_struct", "ret_stack", words).set(task, "task_struct", "curr_ret_stack", 4);
    graph_entry(&mut k, words, probe, FIRST, Some(INNER));
    // two probes of one function: the first of them took what was there, the second what the first had put there
    let nodes: Vec<u64> = (0..3).map(|_| k.object("rethook_node")).collect();
    for (n, (back, frame)) in
        [(probe, INNER), (CALLER + 9, INNER), (CALLER + 5, OUTER)].into_iter().enumerate()
    {
        let next = nodes.get(n + 1).map_or(0, |at| at + 16);
        k.word(nodes[n] + 16, next).word(nodes[n] + 24, back).word(nodes[n] + 32, frame);
    }
    k.set(task, "task_struct", "rethooks.first", nodes[0] + 16);
    let s = session(&k);
    assert_eq!(before(&s, task, INNER, GRAPH, None), CALLER + 9);
    assert_eq!(before(&s, task, OUTER, "arch_rethook_trampoline", None), CALLER + 5);
    assert_eq!(before(&s, task, OUTER + 8, "arch_rethook_trampoline", Some(FIRST)), probe);
}

#[test]
fn return_probes_of_5_11_to_5_17() {
    let (mut k, task) = kernel(&[("kretprobe_instances", 16, "llist_head")]);
    let probe = k.function("__kretprobe_trampoline", 0x200);
    k.structure("kretprobe_instance", 48, LISTED_INSTANCE);
    let at = k.object("kretprobe_instance");
    k.word(at + 32, CALLER + 9).word(at + 40, OUTER);
    k.set(task, "task_struct", "kretprobe_instances.first", at + 16);
    let s = session(&k);
    assert_eq!(before(&s, task, OUTER, "__kretprobe_trampoline", None), CALLER + 9);
    assert_eq!(before(&s, task, INNER, "__kretprobe_trampoline", None), probe);
}

/// `struct ftrace_ret_stack`; `retp` is not in all builds.
const NOTE: &[(&str, u64, &str)] =
    &[("ret", 0, "u64"), ("func", 8, "u64"), ("calltime", 16, "u64"), ("retp", 24, "*u64")];
/// `struct kretprobe_instance` from 5.11 on: in a list of its task's.
const LISTED_INSTANCE: &[(&str, u64, &str)] =
    &[("llist", 16, "llist_node"), ("ret_addr", 32, "*u8"), ("fp", 40, "*u8")];
/// `struct kretprobe_instance` before 5.11; `fp` is not in the oldest.
const INSTANCE: &[(&str, u64, &str)] = &[
    ("hlist", 0, "hlist_node"),
    ("rp", 16, "*kretprobe"),
    ("ret_addr", 24, "*u8"),
    ("task", 32, "*task_struct"),
    ("fp", 40, "*u8"),
];

#[test]
fn a_table_of_return_probes_before_5_11() {
    for fp in [true, false] {
        let (mut k, task) = kernel(&[]);
        let probe = k.function("kretprobe_trampoline", 0x200);
        k.structure("kprobe", 64, &[("addr", 40, "*u8")]);
        k.structure("kretprobe", 128, &[("kp", 0, "kprobe")]);
        k.structure("kretprobe_instance", 48, if fp { INSTANCE } else { &INSTANCE[..4] });
        let table = k.variable("kretprobe_inst_table", 64 * 8);
        let other = k.object("task_struct");
        let nodes: Vec<u64> = (0..3).map(|_| k.object("kretprobe_instance")).collect();
        let probed = [(SECOND, other), (SECOND, task), (FIRST, task)];
        let back = [FIRST + 5, CALLER + 9, SECOND + 9];
        for (n, (function, whose)) in probed.into_iter().enumerate() {
            let rp = k.object("kretprobe");
            k.set(rp, "kretprobe", "kp.addr", function);
            let at = nodes[n];
            k.word(at, nodes.get(n + 1).copied().unwrap_or(0)).word(at + 16, rp);
            k.word(at + 24, back[n]).word(at + 32, whose);
            if fp {
                k.word(at + 40, [OUTER, OUTER, INNER][n]);
            }
        }
        k.word(table + 37 * 8, nodes[0]);
        let s = session(&k);
        let word = "kretprobe_trampoline";
        assert_eq!(before(&s, task, OUTER, word, Some(SECOND + 4)), CALLER + 9);
        assert_eq!(before(&s, task, INNER, word, Some(FIRST + 4)), SECOND + 9);
        assert_eq!(before(&s, other, OUTER, word, Some(SECOND + 4)), FIRST + 5);
        assert_eq!(before(&s, task, INNER + 8, word, Some(CALLER + 4)), probe);
    }
}

#[test]
fn one_lost_page_does_not_cost_the_other_notes() {
    // the inner entries lie in a page that the dump lacks
    for retp in [true, false] {
        let (mut k, task) = kernel(&[("curr_ret_stack", 0, "s32"), ("ret_stack", 8, "*ftrace_ret_stack")]);
        k.structure("ftrace_ret_stack", 32, if retp { NOTE } else { &NOTE[..3] });
        let pages = k.memory(3 * 4096).next_multiple_of(4096);
        let all = pages + 4096 - 2 * 32;
        k.set(task, "task_struct", "ret_stack", all).set(task, "task_struct", "curr_ret_stack", 3);
        for (n, (back, of)) in
            [(CALLER + 9, SECOND), (SECOND + 9, FIRST), (CALLER + 5, FIRST)].into_iter().enumerate()
        {
            graph_entry(&mut k, all + n as u64 * 32, back, of, retp.then_some(OUTER + n as u64 * 8));
        }
        k.exclude(pages + 4096);
        let s = session(&k);
        // without the place of the word, the lost entries may be of the same function
        let wanted = if retp { SECOND + 9 } else { GRAPH_AT };
        assert_eq!(before(&s, task, OUTER + 8, GRAPH, Some(FIRST + 8)), wanted);
    }
    // a list of probes leads out of the dump behind the first two
    let (mut k, task) = kernel(&[("kretprobe_instances", 16, "llist_head")]);
    k.function("__kretprobe_trampoline", 0x200);
    k.structure("kretprobe_instance", 48, LISTED_INSTANCE);
    let (one, two) = (k.object("kretprobe_instance"), k.object("kretprobe_instance"));
    k.word(one + 16, two + 16).word(one + 32, SECOND + 9).word(one + 40, INNER);
    k.word(two + 16, 0xdead_0000_0000_0100).word(two + 32, CALLER + 9).word(two + 40, OUTER);
    k.set(task, "task_struct", "kretprobe_instances.first", one + 16);
    let s = session(&k);
    let word = "__kretprobe_trampoline";
    assert_eq!(before(&s, task, INNER, word, None), SECOND + 9);
    assert_eq!(before(&s, task, OUTER, word, None), CALLER + 9);
}

#[test]
fn a_damaged_bucket_of_probes_says_nothing_of_the_others() {
    let (mut k, task) = kernel(&[]);
    k.function("kretprobe_trampoline", 0x200);
    k.structure("kretprobe_instance", 48, INSTANCE);
    let table = k.variable("kretprobe_inst_table", 64 * 8);
    let at = k.object("kretprobe_instance");
    k.word(at + 24, CALLER + 9).word(at + 32, task).word(at + 40, OUTER);
    k.word(table + 3 * 8, 0xdead_0000_0000_0100).word(table + 37 * 8, at);
    let s = session(&k);
    assert_eq!(before(&s, task, OUTER, "kretprobe_trampoline", None), CALLER + 9);
}

#[test]
fn a_moved_part_is_of_the_nearest_function_of_its_name() {
    let (mut k, task, all) = array(false);
    // another function of the name, far from the part and before the right one
    k.function("twin", 0x400);
    k.function("twin", 0x2000);
    k.function("twin.cold", 0x2100);
    graph_entry(&mut k, all, CALLER + 9, TEXT + 0x2000, None);
    k.set(task, "task_struct", "curr_ret_stack", 0);
    let s = session(&k);
    assert_eq!(before(&s, task, OUTER, GRAPH, Some(TEXT + 0x2104)), CALLER + 9);
}

#[test]
fn nothing_is_known_without_types() {
    let (mut k, task) = kernel(&[]);
    k.without_btf();
    let s = session(&k);
    assert_eq!(before(&s, task, INNER, GRAPH, Some(FIRST + 4)), GRAPH_AT);
}

/// `sub $8,%rsp; call` and what follows, up to `ret`.
fn function(k: &mut Kernel, name: &str, offset: u64, calls: u64) -> u64 {
    let at = k.function(name, offset);
    let distance = u32::try_from(calls.wrapping_sub(at + 9) & 0xffff_ffff).unwrap();
    let [a, b, c, d] = distance.to_le_bytes();
    k.put(at, &[0x48, 0x83, 0xec, 8, 0xe8, a, b, c, d, 0x48, 0x83, 0xc4, 8, 0xc3]);
    at + 9
}

#[test]
fn the_frames_of_a_sleeping_task_that_is_traced() {
    let (mut k, _) = kernel(&[]);
    k.structure("thread_struct", 8, &[("sp", 0, "u64")]);
    k.structure(
        "task_struct",
        256,
        &[
            ("curr_ret_stack", 0, "s32"),
            ("ret_stack", 8, "*u64"),
            ("stack", 16, "*u8"),
            ("thread", 24, "thread_struct"),
            ("pid", 32, "s32"),
            ("tgid", 36, "s32"),
            ("comm", 40, "char[16]"),
        ],
    );
    k.structure("ftrace_ret_stack", 24, &[("ret", 0, "u64"), ("func", 8, "u64"), ("retp", 16, "*u64")]);
    let task = k.object("task_struct");
    let switch = k.function("__switch_to_asm", 0x900);
    let schedule = function(&mut k, "__schedule", 0xa00, switch);
    let inner = function(&mut k, "inner", 0xb00, TEXT + 0xa00);
    let middle = function(&mut k, "middle", 0xc00, TEXT + 0xb00);
    let outer = function(&mut k, "outer", 0xd00, TEXT + 0xc00);
    let stack = k.memory(16384);
    k.set(task, "task_struct", "stack", stack).set(task, "task_struct", "pid", 7);
    let sp = stack + 16384 - 0x400;
    k.set(task, "task_struct", "thread.sp", sp);
    // what the switch saved, then the frames of two words each, and zeros
    for (n, word) in
        [0, 0, 0, 0, 0, 0, schedule, 0, inner, 0, GRAPH_AT, 0, GRAPH_AT, 0, 0].into_iter().enumerate()
    {
        k.word(sp + n as u64 * 8, word);
    }
    let words = k.memory(4096);
    k.set(task, "task_struct", "ret_stack", words).set(task, "task_struct", "curr_ret_stack", 8);
    graph_entry(&mut k, words, outer, TEXT + 0xc00, Some(sp + 12 * 8));
    graph_entry(&mut k, words + 32, middle, TEXT + 0xb00, Some(sp + 10 * 8));
    let s = session(&k);
    let task = crate::sched::task::read_task(&s, VirtAddr(task)).unwrap();
    let found = s.backtrace(&task).unwound;
    let frames: Vec<_> = found.frames.iter().map(|f| (f.pc.0, f.how.is_guess())).collect();
    assert_eq!(frames, [schedule, inner, middle, outer].map(|pc| (pc, false)));
}
