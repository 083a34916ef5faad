//! Code that kernels made here made at run time.

use super::*;
use crate::testing::session;
use testkit::kernel::{Kernel, TEXT};

/// Where such code lies: behind the image, with the modules.
const MADE: u64 = 0xffff_ffff_c000_0000;

fn kernel() -> Kernel {
    let mut k = Kernel::new();
    k.list_head();
    let page = k.memory(4096);
    k.map(MADE, page);
    // no module is loaded
    let modules = k.variable("modules", 16);
    k.link(modules, &[]);
    k
}

/// What is at an address: name, owner, offset, bytes.
fn at(s: &Session, at: u64) -> Option<(String, Option<String>, u64, Option<u64>)> {
    let found = s.locate(VirtAddr(at))?;
    let owner = found.symbol.module.map(str::to_owned);
    assert_eq!(s.table_of(&found.symbol).get(found.symbol.id), Some(found.symbol));
    Some((found.symbol.name.to_owned(), owner, found.offset, found.span))
}

fn known(
    name: &str,
    owner: &str,
    offset: u64,
    span: u64,
) -> Option<(String, Option<String>, u64, Option<u64>)> {
    Some((name.into(), Some(owner.into()), offset, Some(span)))
}

#[test]
fn bpf_programs_and_trampolines_since_5_7() {
    let mut k = kernel();
    let members =
        [("start", 0, "u64"), ("end", 8, "u64"), ("name", 16, "char[512]"), ("lnode", 528, "list_head")];
    k.structure("bpf_ksym", 544, &members);
    let head = k.variable("bpf_kallsyms", 16);
    let all = [
        (MADE + 0x40, MADE + 0x72, "bpf_prog_33b88420f7fb8adc_corpus"),
        (MADE + 0x80, MADE + 0x180, "bpf_trampoline_6442522479"),
        // what lies nowhere or everywhere is none
        (0, u64::MAX, "bpf_prog_wild"),
        (MADE + 0x200, MADE + 0x1ff, "bpf_prog_inside_out"),
    ];
    let links: Vec<u64> = all
        .iter()
        .map(|(start, end, name)| {
            let at = k.object("bpf_ksym");
            k.word(at, *start).word(at + 8, *end).set_text(at, "bpf_ksym", "name", name);
            at + 528
        })
        .collect();
    k.link(head, &links);
    let s = session(&k);
    assert_eq!(at(&s, MADE + 0x6d), known("bpf_prog_33b88420f7fb8adc_corpus", "bpf", 0x2d, 0x32));
    assert_eq!(at(&s, MADE + 0x80), known("bpf_trampoline_6442522479", "bpf", 0, 0x100));
    assert_eq!([0x3f, 0x72, 0x180, 0x210].map(|offset| at(&s, MADE + offset)), [None, None, None, None]);
    assert!(s.is_text(VirtAddr(MADE + 0x71)) && !s.is_text(VirtAddr(MADE + 0x72)));
    for name in ["bpf_trampoline_6442522479", "bpf:bpf_trampoline_6442522479"] {
        let found: Vec<u64> = s.named(name).iter().map(|symbol| symbol.addr.0).collect();
        assert_eq!(found, [MADE + 0x80], "{name}");
    }
    assert!(s.named("vmlinux:bpf_trampoline_6442522479").is_empty());
}

#[test]
fn bpf_programs_of_4_11_to_5_6() {
    let mut k = kernel();
    k.structure("bpf_prog", 48, &[("tag", 8, "u8[8]"), ("jited_len", 20, "u32"), ("bpf_func", 32, "*u8")]);
    let members = [("ksym_lnode", 0, "list_head"), ("prog", 16, "*bpf_prog"), ("name", 24, "char[16]")];
    k.structure("bpf_prog_aux", 40, &members);
    let head = k.variable("bpf_kallsyms", 16);
    let links: Vec<u64> = [(MADE, ""), (MADE + 0x100, "watch")]
        .into_iter()
        .map(|(start, name)| {
            let (aux, prog) = (k.object("bpf_prog_aux"), k.object("bpf_prog"));
            k.put(prog + 8, &[0x33, 0xb8, 0x84, 0x20, 0xf7, 0xfb, 0x8a, 0xdc]).half(prog + 20, 0x90);
            k.word(prog + 32, start).word(aux + 16, prog).set_text(aux, "bpf_prog_aux", "name", name);
            aux
        })
        .collect();
    k.link(head, &links);
    let s = session(&k);
    assert_eq!(at(&s, MADE + 4), known("bpf_prog_33b88420f7fb8adc", "bpf", 4, 0x90));
    assert_eq!(at(&s, MADE + 0x104), known("bpf_prog_33b88420f7fb8adc_watch", "bpf", 4, 0x90));
    assert_eq!(at(&s, MADE + 0x90), None);
}

#[test]
fn trampolines_of_ftrace_and_what_they_are_copies_of() {
    let mut k = kernel();
    k.structure(
        "ftrace_ops",
        64,
        &[
            ("next", 8, "*ftrace_ops"),
            ("trampoline", 24, "u64"),
            ("trampoline_size", 32, "u64"),
            ("list", 40, "list_head"),
        ],
    );
    let (plain, regs) = (k.function("ftrace_caller", 0x400), k.function("ftrace_regs_caller", 0x600));
    let code = |first: u8| (0..0xc0).map(|n| n ^ first).collect::<Vec<u8>>();
    k.put(plain, &code(0x11)).put(regs, &code(0x22));
    let head = k.variable("ftrace_ops_trampoline_list", 16);
    let ops_list = k.variable("ftrace_ops_list", 8);
    let end = k.variable("ftrace_list_end", 64);
    // one that is registered and in the list of trampolines, one that is only registered, one whose code is in the image
    let ops: Vec<u64> = (0..3).map(|_| k.object("ftrace_ops")).collect();
    for (n, start) in [MADE, MADE + 0x200, plain].into_iter().enumerate() {
        let next = ops.get(n + 1).copied().unwrap_or(end);
        k.word(ops[n] + 8, next).word(ops[n] + 24, start).word(ops[n] + 32, 0xc0);
    }
    k.word(ops_list, ops[0]).link(head, &[ops[0] + 40]);
    k.put(MADE, &code(0x22)).put(MADE + 0x200, &code(0x11));
    // the call of the tracer is put in
    k.put(MADE + 0x50, &[0xe8, 1, 2, 3, 4]).put(MADE + 0x250, &[0xe8, 1, 2, 3, 4]);
    let s = session(&k);
    assert_eq!(at(&s, MADE + 0x55), known("ftrace_trampoline", "__builtin__ftrace", 0x55, 0xc0));
    assert_eq!(at(&s, plain + 4).unwrap().0, "ftrace_caller");
    let copied = |at: u64| s.copied_from(VirtAddr(at)).map(|at| at.0);
    assert_eq!((copied(MADE + 0x55), copied(MADE + 0x255)), (Some(regs + 0x55), Some(plain + 0x55)));
    assert_eq!((copied(MADE + 0xc0), copied(plain)), (None, None));
    assert_eq!(s.named("ftrace_trampoline").len(), 2);
}

#[test]
fn a_trampoline_of_several_lists_has_one_name() {
    let mut k = kernel();
    let members = [
        ("next", 8, "*ftrace_ops"),
        ("trampoline", 24, "u64"),
        ("trampoline_size", 32, "u64"),
        ("list", 40, "list_head"),
    ];
    k.structure("ftrace_ops", 64, &members);
    let (head, first) = (k.variable("ftrace_ops_trampoline_list", 16), k.variable("ftrace_ops_list", 8));
    let ops = k.object("ftrace_ops");
    // it is a copy of nothing that is known
    k.word(ops + 24, MADE).word(ops + 32, 0xc0).word(first, ops).link(head, &[ops + 40]);
    let s = session(&k);
    assert_eq!(s.named("ftrace_trampoline").len(), 1);
    assert_eq!(s.copied_from(VirtAddr(MADE + 4)), None);
}

#[test]
fn pages_to_which_kprobes_move_instructions() {
    let mut k = kernel();
    let page = k.memory(4096);
    k.map(MADE + 0x1000, page);
    k.structure("kprobe_insn_cache", 88, &[("pages", 56, "list_head")]);
    k.structure("kprobe_insn_page", 40, &[("list", 0, "list_head"), ("insns", 16, "*u8")]);
    for (cache, at) in [("kprobe_insn_slots", MADE), ("kprobe_optinsn_slots", MADE + 0x1000)] {
        let cache = k.variable(cache, 88);
        let page = k.object("kprobe_insn_page");
        k.word(page + 16, at).link(cache + 56, &[page]);
    }
    let s = session(&k);
    assert_eq!(at(&s, MADE + 0x20), known("kprobe_insn_page", "__builtin__kprobes", 0x20, 0x1000));
    assert_eq!(at(&s, MADE + 0x1020), known("kprobe_optinsn_page", "__builtin__kprobes", 0x20, 0x1000));
}

#[test]
fn without_types_there_is_none() {
    let mut k = kernel();
    k.without_btf();
    k.variable("bpf_kallsyms", 16);
    k.variable("ftrace_ops_list", 8);
    let s = session(&k);
    assert_eq!(at(&s, MADE + 0x20), None);
    assert!(!s.is_text(VirtAddr(MADE)) && s.locate(VirtAddr(TEXT)).is_some());
}
