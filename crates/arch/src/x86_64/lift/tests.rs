//! Conditions and values, in code of x86-64.

use crate::dataflow::{BinOp, Branch, Expr, Flow, Function, Known, Operand, Relation, Way};
use crate::x86_64::regs as r;

/// The function with this code at 0x1000.
pub(super) fn function(bytes: &[u8]) -> Function {
    super::function(&[(0x1000, bytes)], &Known::default())
}

fn ways(bytes: &[u8], trap: u64) -> (Function, Flow, Vec<Way>) {
    let f = function(bytes);
    let flow = Flow::of(&f);
    let ways = f.ways_to(trap, &flow);
    (f, flow, ways)
}

/// The only step of the only way.
fn only(ways: &[Way]) -> &Branch {
    assert_eq!(ways.len(), 1, "{ways:#?}");
    assert_eq!(ways[0].steps.len(), 1, "{ways:#?}");
    &ways[0].steps[0]
}

/// Each way as its jumps, taken or not; those that are not needed in brackets.
fn shape(ways: &[Way]) -> Vec<String> {
    let one = |(b, spare): (&Branch, &bool)| {
        let text = format!("{}{:x}", if b.taken { "" } else { "!" }, b.jump);
        if *spare { format!("({text})") } else { text }
    };
    ways.iter().map(|w| w.steps.iter().zip(&w.spare).map(one).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_comparison_with_memory_below_leads_to_the_trap() {
    // mov %rdi,%rbp; mov %edx,%r12d; cmp %r12d,0x60(%rbp); jb +1; ret; ud2
    let code = [0x48, 0x89, 0xfd, 0x41, 0x89, 0xd4, 0x44, 0x39, 0x65, 0x60, 0x72, 0x01, 0xc3, 0x0f, 0x0b];
    let (f, flow, ways) = ways(&code, 0x100d);
    let b = only(&ways);
    assert_eq!((b.jump, b.compare, b.taken, b.stores), (0x100a, 0x1006, true, false));
    let t = b.test.unwrap();
    assert_eq!((t.relation, t.signed, t.size), (Relation::Lt, false, 4));
    assert_eq!(t.right.operand, Operand::Reg { number: r::R12, size: 4 });
    let Operand::Mem(m) = t.left.operand else { panic!("{t:?}") };
    assert_eq!((m.base, m.disp, m.size), (Some(r::RBP), 0x60, 4));
    let Expr::Cut { base, size: 4, signed: false } = flow.expr(t.right.sym.unwrap()) else { panic!() };
    assert_eq!(flow.expr(base), Expr::Entry(r::RDX));
    let Expr::Load { base, disp: 0x60, size: 4, at: 0x1006 } = flow.expr(t.left.sym.unwrap()) else {
        panic!()
    };
    assert_eq!(flow.expr(base), Expr::Entry(r::RDI));
    assert_eq!(f.text(0x1006).unwrap(), "cmp %r12d,0x60(%rbp)");
    assert_eq!(f.text(0x100a).unwrap(), "jb");
}

#[test]
fn a_trap_that_is_fallen_into_has_the_condition_inverted() {
    // test %rdi,%rdi; jne +2; ud2; ret
    let (_, _, ways) = ways(&[0x48, 0x85, 0xff, 0x75, 0x02, 0x0f, 0x0b, 0xc3], 0x1005);
    let t = only(&ways).test.unwrap();
    assert!(!only(&ways).taken);
    assert_eq!((t.relation, t.right.operand, t.mask), (Relation::Eq, Operand::Imm(0), None));
}

#[test]
fn a_trap_in_a_cold_part_is_reached_through_a_jump() {
    // cmp $5,%esi; jg 0x2000; ret   |   mov %rdi,%rax; ud2
    let hot: &[u8] = &[0x83, 0xfe, 0x05, 0x0f, 0x8f, 0xf7, 0x0f, 0x00, 0x00, 0xc3];
    let cold: &[u8] = &[0x48, 0x89, 0xf8, 0x0f, 0x0b];
    let f = super::function(&[(0x1000, hot), (0x2000, cold)], &Known::default());
    let flow = Flow::of(&f);
    let ways = f.ways_to(0x2003, &flow);
    let t = only(&ways).test.unwrap();
    assert_eq!((t.relation, t.signed, t.right.operand), (Relation::Gt, true, Operand::Imm(5)));
}

#[test]
fn a_call_between_is_told_and_the_value_lives_on_where_calls_keep_it() {
    // test %ebx,%ebx; jne +7; call; ud2; ret
    let (_, flow, ways) = ways(&[0x85, 0xdb, 0x75, 0x07, 0xe8, 0, 0, 0, 0x10, 0x0f, 0x0b, 0xc3], 0x1009);
    let b = only(&ways);
    assert_eq!((b.calls.as_slice(), b.stores), ([0x1004].as_slice(), true));
    let sym = b.test.unwrap().left.sym.unwrap();
    assert_eq!(flow.holders(0x1009, sym).collect::<Vec<_>>(), [r::RBX]);
}

#[test]
fn a_branch_that_rejoins_decides_nothing() {
    // test %rdi,%rdi; je 1: test %esi,%esi; jne 2; nop; 2: ud2; 1: ret
    let code = [0x48, 0x85, 0xff, 0x74, 0x07, 0x85, 0xf6, 0x75, 0x01, 0x90, 0x0f, 0x0b, 0xc3];
    assert_eq!(shape(&ways(&code, 0x100a).2), ["!1003"]);
}

#[test]
fn either_of_two_conditions_leads_to_one_trap() {
    // test %edi,%edi; je trap; cmp %esi,%edi; jl trap; ret; trap: ud2
    let code = [0x85, 0xff, 0x74, 0x05, 0x39, 0xf7, 0x7c, 0x01, 0xc3, 0x0f, 0x0b];
    let (_, _, ways) = ways(&code, 0x1009);
    assert_eq!(shape(&ways), ["1002", "(!1002) 1006"]);
    assert_eq!(ways[1].steps[1].test.unwrap().relation, Relation::Lt);
}

#[test]
fn both_of_two_conditions_lead_to_a_trap() {
    // test %edi,%edi; je out; cmp %esi,%edi; jl trap; out: ret; trap: ud2
    let code = [0x85, 0xff, 0x74, 0x04, 0x39, 0xf7, 0x7c, 0x01, 0xc3, 0x0f, 0x0b];
    assert_eq!(shape(&ways(&code, 0x1009).2), ["!1002 1006"]);
    // a || b && c
    // test %edi,%edi; jne trap; test %esi,%esi; je out; test %edx,%edx; jne trap; out: ret; trap: ud2
    let code = [0x85, 0xff, 0x75, 0x09, 0x85, 0xf6, 0x74, 0x04, 0x85, 0xd2, 0x75, 0x01, 0xc3, 0x0f, 0x0b];
    assert_eq!(shape(&ways(&code, 0x100d).2), ["1002", "(!1002) !1006 100a"]);
    // (a || b) && c
    // test %edi,%edi; jne 1; test %esi,%esi; je out; 1: test %edx,%edx; jne trap; out: ret; trap: ud2
    let code = [0x85, 0xff, 0x75, 0x04, 0x85, 0xf6, 0x74, 0x04, 0x85, 0xd2, 0x75, 0x01, 0xc3, 0x0f, 0x0b];
    assert_eq!(shape(&ways(&code, 0x100d).2), ["1002 100a", "(!1002) !1006 100a"]);
}

#[test]
fn a_check_that_leaves_for_elsewhere_is_none_of_the_condition() {
    // test %rdi,%rdi; je 2; test %esi,%esi; js trap; mov %esi,%eax; 2: ret (elsewhere); trap: ud2
    let code = [0x48, 0x85, 0xff, 0x74, 0x06, 0x85, 0xf6, 0x78, 0x03, 0x89, 0xf0, 0xc3, 0x0f, 0x0b];
    assert_eq!(shape(&ways(&code, 0x100c).2), ["1007"]);
}

#[test]
fn a_masked_test_and_a_tested_bit() {
    // testb $4,0x10(%rdi); jne trap; ret; trap: ud2
    let (_, _, all) = ways(&[0xf6, 0x47, 0x10, 0x04, 0x75, 0x01, 0xc3, 0x0f, 0x0b], 0x1007);
    let t = only(&all).test.unwrap();
    assert_eq!((t.mask.unwrap().operand, t.relation, t.size), (Operand::Imm(4), Relation::Ne, 1));
    // bt $3,%rax; jae trap; ret; trap: ud2
    let (_, _, all) = ways(&[0x48, 0x0f, 0xba, 0xe0, 0x03, 0x73, 0x01, 0xc3, 0x0f, 0x0b], 0x1008);
    let t = only(&all).test.unwrap();
    assert_eq!((t.mask.unwrap().operand, t.relation), (Operand::Imm(8), Relation::Eq));
    // bt %rcx,%rax; jb trap; ret; trap: ud2
    let (_, _, all) = ways(&[0x48, 0x0f, 0xa3, 0xc8, 0x72, 0x01, 0xc3, 0x0f, 0x0b], 0x1007);
    let t = only(&all).test.unwrap();
    assert_eq!(t.bit.unwrap().operand, Operand::Reg { number: r::RCX, size: 8 });
    assert_eq!((t.mask, t.relation), (None, Relation::Ne));
}

#[test]
fn an_and_is_told_by_what_was_masked_and_its_result_is_found() {
    // mov %edi,%eax; and $7,%eax; jne trap; ret; trap: ud2
    let (_, flow, all) = ways(&[0x89, 0xf8, 0x83, 0xe0, 0x07, 0x75, 0x01, 0xc3, 0x0f, 0x0b], 0x1008);
    let t = only(&all).test.unwrap();
    assert!(!t.left.after && t.mask.unwrap().operand == Operand::Imm(7));
    let Expr::Cut { base, .. } = flow.expr(t.left.sym.unwrap()) else { panic!() };
    assert_eq!(flow.expr(base), Expr::Entry(r::RDI));
    // or %esi,%edi; jne trap; ret; trap: ud2
    let (_, flow, all) = ways(&[0x09, 0xf7, 0x75, 0x01, 0xc3, 0x0f, 0x0b], 0x1005);
    let t = only(&all).test.unwrap();
    let sym = t.left.sym.unwrap();
    assert!(t.left.after && flow.holders(0x1005, sym).eq([r::RDI]));
    assert!(matches!(flow.expr(sym), Expr::Bin { op: BinOp::Or, size: 4, .. }));
    // sub %rsi,%rdi; jb trap; ret; trap: ud2: of what was there before
    let (_, flow, all) = ways(&[0x48, 0x29, 0xf7, 0x72, 0x01, 0xc3, 0x0f, 0x0b], 0x1006);
    let t = only(&all).test.unwrap();
    assert_eq!(flow.expr(t.left.sym.unwrap()), Expr::Entry(r::RDI));
    assert_eq!(t.relation, Relation::Lt);
}

#[test]
fn a_condition_kept_in_a_register_is_followed_to_its_comparison() {
    // cmp %rsi,%rdi; setb %al; movzbl %al,%eax; nop; test %eax,%eax; jne trap; ret; trap: ud2
    let code = [
        0x48, 0x39, 0xf7, 0x0f, 0x92, 0xc0, 0x0f, 0xb6, 0xc0, 0x90, 0x85, 0xc0, 0x75, 0x01, 0xc3, 0x0f, 0x0b,
    ];
    let (_, flow, all) = ways(&code, 0x100f);
    let b = only(&all);
    assert_eq!((b.compare, b.kept_by, b.jump), (0x1000, Some(0x1003), 0x100c));
    let t = b.test.unwrap();
    assert_eq!((t.relation, t.signed, t.size), (Relation::Lt, false, 8));
    assert_eq!(flow.expr(t.left.sym.unwrap()), Expr::Entry(r::RDI));
    // xor %eax,%eax; cmp $1,%edi; sete %al; test %eax,%eax; je trap: the opposite
    let code = [0x31, 0xc0, 0x83, 0xff, 0x01, 0x0f, 0x94, 0xc0, 0x85, 0xc0, 0x74, 0x01, 0xc3, 0x0f, 0x0b];
    let t = only(&ways(&code, 0x100d).2).test.unwrap();
    assert_eq!((t.relation, t.right.operand), (Relation::Ne, Operand::Imm(1)));
    // cmp $0xf,%eax; seta %bl; ja trap; ret; trap: ud2: the outcome lives on
    let (f, flow, all) = ways(&[0x83, 0xf8, 0x0f, 0x0f, 0x97, 0xc3, 0x77, 0x01, 0xc3, 0x0f, 0x0b], 0x1009);
    let (compare, kept) = f.kept_at(0x1003, &flow).unwrap();
    assert_eq!((compare, kept.relation), (only(&all).compare, only(&all).test.unwrap().relation));
    let held = flow.register(0x1009, r::RBX).unwrap();
    assert_eq!(flow.expr(held), Expr::Flag { at: 0x1003, whole: false });
    // mov %rdx,%rax; cmp $1,%edi; sete %al; test %eax,%eax: the rest of the register is not known
    let code =
        [0x48, 0x89, 0xd0, 0x83, 0xff, 0x01, 0x0f, 0x94, 0xc0, 0x85, 0xc0, 0x74, 0x01, 0xc3, 0x0f, 0x0b];
    assert_eq!(only(&ways(&code, 0x100e).2).kept_by, None);
}

#[test]
fn a_switch_leads_to_the_trap_by_its_bound_and_its_table() {
    // cmp $2,%edi; ja trap; mov %edi,%eax; jmp *0x5000(,%rax,8); 1: ret; trap: ud2
    let code = [
        0x83, 0xff, 0x02, 0x77, 0x0a, 0x89, 0xf8, 0xff, 0x24, 0xc5, 0x00, 0x50, 0x00, 0x00, 0xc3, 0x0f, 0x0b,
    ];
    let known = Known {
        table: &|m| if m.disp == 0x5000 { vec![0x100e, 0x100f, 0x100e] } else { Vec::new() },
        ..Known::default()
    };
    let f = super::function(&[(0x1000, &code)], &known);
    let flow = Flow::of(&f);
    let ways = f.ways_to(0x100f, &flow);
    let tests: Vec<_> = ways.iter().map(|w| w.steps[0].test.unwrap()).collect();
    assert_eq!((tests[0].relation, tests[0].right.operand), (Relation::Gt, Operand::Imm(2)));
    assert_eq!((tests[1].relation, tests[1].right.operand), (Relation::Eq, Operand::Imm(1)));
    assert_eq!(ways.len(), 2);
    // the table's targets are reached by data flow
    assert!(flow.register(0x100e, r::RDI).is_some());
}

#[test]
fn what_follows_a_call_that_never_returns_is_other_code() {
    // test %edi,%edi; jne 1; call 0x3000; 1: test %esi,%esi; jne trap; ret; trap: ud2  (0x3000 never returns)
    let code = [0x85, 0xff, 0x75, 0x05, 0xe8, 0xf7, 0x1f, 0, 0, 0x85, 0xf6, 0x75, 0x01, 0xc3, 0x0f, 0x0b];
    let known = Known { returns: &|to| to != 0x3000, ..Known::default() };
    let f = super::function(&[(0x1000, &code)], &known);
    let flow = Flow::of(&f);
    assert_eq!(flow.expr(flow.register(0x1009, r::RDX).unwrap()), Expr::Entry(r::RDX));
    assert_eq!(shape(&f.ways_to(0x100e, &flow)), ["100b"]);
}

#[test]
fn a_function_that_cannot_but_trap_is_its_caller_s_business() {
    let f = function(&[0x48, 0x89, 0xf8, 0x0f, 0x0b]);
    assert!(f.always_reaches(0x1003) && f.ways_to(0x1003, &Flow::of(&f)).is_empty());
    let f = function(&[0x85, 0xff, 0x74, 0x02, 0x0f, 0x0b, 0xc3]);
    assert!(!f.always_reaches(0x1004));
}

#[test]
fn arithmetic_is_kept_as_expressions() {
    // lea (%rcx,%r8,1),%eax; shl $4,%rdi; movslq %esi,%rsi; nop
    let f = function(&[0x42, 0x8d, 0x04, 0x01, 0x48, 0xc1, 0xe7, 0x04, 0x48, 0x63, 0xf6, 0x90]);
    let flow = Flow::of(&f);
    let Expr::Cut { base, size: 4, signed: false } = flow.expr(flow.register(0x100b, r::RAX).unwrap()) else {
        panic!()
    };
    let Expr::Bin { op: BinOp::Add, a, b, .. } = flow.expr(base) else { panic!() };
    assert_eq!((flow.expr(a), flow.expr(b)), (Expr::Entry(r::RCX), Expr::Entry(r::R8)));
    let Expr::Bin { op: BinOp::Shl, a, b, .. } = flow.expr(flow.register(0x100b, r::RDI).unwrap()) else {
        panic!()
    };
    assert_eq!((flow.expr(a), flow.expr(b)), (Expr::Entry(r::RDI), Expr::Const(4)));
    let Expr::Cut { size: 4, signed: true, .. } = flow.expr(flow.register(0x100b, r::RSI).unwrap()) else {
        panic!()
    };
}

#[test]
fn chains_of_loads_are_kept_and_calls_return_something_else() {
    // mov 0x10(%rdi),%rax; mov 0x8(%rax),%rcx; mov (%rcx),%edx
    let f = function(&[0x48, 0x8b, 0x47, 0x10, 0x48, 0x8b, 0x48, 0x08, 0x8b, 0x11, 0xe8, 0, 0, 0, 0, 0xc3]);
    let flow = Flow::of(&f);
    let rcx = flow.register(0x1008, r::RCX).unwrap();
    let Expr::Load { base, disp: 8, size: 8, at: 0x1004 } = flow.expr(rcx) else { panic!() };
    let Expr::Load { base, disp: 0x10, .. } = flow.expr(base) else { panic!() };
    assert_eq!(flow.expr(base), Expr::Entry(r::RDI));
    assert_eq!(flow.expr(flow.register(0x100f, r::RAX).unwrap()), Expr::Returned(0x100a));
}

#[test]
fn values_survive_in_stack_slots() {
    // sub $0x20,%rsp; mov %rsi,0x8(%rsp); call; mov 0x8(%rsp),%rbx; ret
    let f = function(&[
        0x48, 0x83, 0xec, 0x20, 0x48, 0x89, 0x74, 0x24, 0x08, 0xe8, 0, 0, 0, 0, 0x48, 0x8b, 0x5c, 0x24, 0x08,
        0xc3,
    ]);
    let flow = Flow::of(&f);
    assert_eq!(flow.expr(flow.register(0x1013, r::RBX).unwrap()), Expr::Entry(r::RSI));
}

#[test]
fn what_differs_by_path_is_not_known() {
    // test %esi,%esi; je +3; mov %rdx,%rdi; ret
    let f = function(&[0x85, 0xf6, 0x74, 0x03, 0x48, 0x89, 0xd7, 0xc3]);
    let flow = Flow::of(&f);
    assert_eq!(flow.expr(flow.register(0x1007, r::RDI).unwrap()), Expr::Phi { at: 0x1007, register: r::RDI });
}

#[test]
fn push_and_pop_keep_what_they_move() {
    // push %rdi; call; pop %rbx; ret
    let f = function(&[0x57, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xe8, 0, 0, 0, 0, 0x5b, 0xc3]);
    let flow = Flow::of(&f);
    assert_eq!(flow.expr(flow.register(0x100d, r::RBX).unwrap()), Expr::Entry(r::RDI));
}

#[test]
fn the_call_before_a_return_address() {
    // call *0x18(%rax); call *%rbx; ret
    let f = function(&[0xff, 0x50, 0x18, 0xff, 0xd3, 0xc3]);
    let Some((0x1000, Some(Operand::Mem(m)))) = f.call_before(0x1003) else { panic!() };
    assert_eq!((m.base, m.disp), (Some(r::RAX), 0x18));
    assert_eq!(f.call_before(0x1005), Some((0x1003, Some(Operand::Reg { number: r::RBX, size: 8 }))));
    assert_eq!(f.call_before(0x1004), None);
}

#[test]
fn a_slot_handed_out_after_a_call_in_a_loop_is_not_believed() {
    // sub $0x10,%rsp; mov %rsi,(%rsp); 1: call f; mov (%rsp),%rbx; lea (%rsp),%rdi; jmp 1
    let code = [
        0x48, 0x83, 0xec, 0x10, 0x48, 0x89, 0x34, 0x24, 0xe8, 0, 0, 0, 0, 0x48, 0x8b, 0x1c, 0x24, 0x48, 0x8d,
        0x3c, 0x24, 0xeb, 0xf1,
    ];
    let f = function(&code);
    let flow = Flow::of(&f);
    assert!(!matches!(flow.expr(flow.register(0x1011, r::RBX).unwrap()), Expr::Entry(_)));
}

#[test]
fn the_values_that_meet_in_a_loop_are_known() {
    // mov 0x8(%rdi),%rax; xor %edx,%edx; 1: add (%rax),%rdx; add $8,%rax; cmp %rcx,%rax; jne 1; ret
    let code = [
        0x48, 0x8b, 0x47, 0x08, 0x31, 0xd2, 0x48, 0x03, 0x10, 0x48, 0x83, 0xc0, 0x08, 0x48, 0x39, 0xc8, 0x75,
        0xf4, 0xc3,
    ];
    let f = function(&code);
    let flow = Flow::of(&f);
    let meet = flow.register(0x1006, r::RAX).unwrap();
    assert_eq!(flow.expr(meet), Expr::Phi { at: 0x1006, register: r::RAX });
    let inputs: Vec<Expr> = flow.inputs(0x1006, r::RAX).iter().map(|s| flow.expr(*s)).collect();
    assert!(
        matches!(inputs.as_slice(), [Expr::Load { disp: 8, .. }, Expr::Add { base, disp: 8 }] if *base == meet),
        "{inputs:?}"
    );
}

#[test]
fn what_came_before_a_loop_was_known_is_forgotten_and_code_that_is_never_reached_brings_nothing() {
    // 0: mov %rdi,%rax; 3: jmp 6 (5: nop, never reached, falls into 6); 6: mov %rax,%rbx; 9: test %esi,%esi;
    // b: je 14; d: mov 0x18(%rax),%rax; 11: jmp 6; 13: nop (never reached); 14: ret
    let code = [
        0x48, 0x89, 0xf8, 0xeb, 0x01, 0x90, 0x48, 0x89, 0xc3, 0x85, 0xf6, 0x74, 0x07, 0x48, 0x8b, 0x40, 0x18,
        0xeb, 0xf3, 0x90, 0xc3,
    ];
    let flow = Flow::of(&function(&code));
    let at = |ip, register| flow.expr(flow.register(ip, register).unwrap());
    let meet = Expr::Phi { at: 0x1006, register: r::RAX };
    assert_eq!((at(0x1006, r::RAX), at(0x1014, r::RAX)), (meet, meet));
    assert_eq!(at(0x1014, r::RBX), meet, "the same value, and not one of its own");
    // 0: test %esi,%esi; 2: je 5; 4: nop; 5: one state came twice: nothing differs
    let flow = Flow::of(&function(&[0x85, 0xf6, 0x74, 0x01, 0x90, 0xc3]));
    assert_eq!(flow.expr(flow.register(0x1005, r::RDI).unwrap()), Expr::Entry(r::RDI));
}

#[test]
fn arguments_are_those_that_are_looked_at() {
    // mov %rdi,%rax; xor %esi,%esi; rep movsb; ret
    let f = function(&[0x48, 0x89, 0xf8, 0x31, 0xf6, 0xf3, 0xa4, 0xc3]);
    let flow = Flow::of(&f);
    let reads = [r::RDI, r::RSI, r::RDX, r::RCX].map(|n| f.reads(n, &flow));
    assert_eq!(reads, [true, false, false, true]);
    // call 0x1007; ret: calls in their order
    assert_eq!(
        function(&[0x90, 0xe8, 1, 0, 0, 0, 0xc3, 0xc3]).calls().collect::<Vec<_>>(),
        [(0x1001, 0x1007)]
    );
}

#[test]
fn what_is_changed_as_it_is_looked_at() {
    // lock decl (%rdi); je trap; ret; trap: ud2: the result is zero
    let (_, flow, found) = ways(&[0xf0, 0xff, 0x0f, 0x74, 0x01, 0xc3, 0x0f, 0x0b], 0x1006);
    let t = only(&found).test.unwrap();
    assert!(t.left.after && t.right.operand == Operand::Imm(0));
    assert_eq!((t.relation, t.size), (Relation::Eq, 4));
    assert!(matches!(flow.expr(t.left.sym.unwrap()), Expr::Load { disp: 0, size: 4, at: 0x1000, .. }));
    // subl $3,(%rdi); je …: the same; jle …: what was there is compared with 3
    let (_, _, found) = ways(&[0x83, 0x2f, 0x03, 0x74, 0x01, 0xc3, 0x0f, 0x0b], 0x1006);
    let t = only(&found).test.unwrap();
    assert!(t.left.after && t.right.operand == Operand::Imm(0));
    let (_, _, found) = ways(&[0x83, 0x2f, 0x03, 0x7e, 0x01, 0xc3, 0x0f, 0x0b], 0x1006);
    let t = only(&found).test.unwrap();
    assert!(!t.left.after && t.right.operand == Operand::Imm(3) && t.relation == Relation::Le);
    // lock cmpxchg %edx,(%rdi); jne …: memory is not what %eax was
    let (_, flow, found) = ways(&[0xf0, 0x0f, 0xb1, 0x17, 0x75, 0x01, 0xc3, 0x0f, 0x0b], 0x1007);
    let t = only(&found).test.unwrap();
    assert_eq!(t.right.operand, Operand::Reg { number: r::RAX, size: 4 });
    assert_eq!((t.relation, flow.expr(t.right.sym.unwrap())), (Relation::Ne, Expr::Entry(r::RAX)));
    // and what it was is in %eax then
    assert_eq!(flow.register(0x1004, r::RAX), t.left.sym);
    // lock btsq $5,(%rdi); jb …
    let (_, _, found) = ways(&[0xf0, 0x48, 0x0f, 0xba, 0x2f, 0x05, 0x72, 0x01, 0xc3, 0x0f, 0x0b], 0x1009);
    let t = only(&found).test.unwrap();
    assert_eq!((t.bit.map(|b| b.operand), t.mask, t.relation), (Some(Operand::Imm(5)), None, Relation::Ne));
    // bt %rsi,(%rdi); jae …
    let (_, _, found) = ways(&[0x48, 0x0f, 0xa3, 0x37, 0x73, 0x01, 0xc3, 0x0f, 0x0b], 0x1007);
    let t = only(&found).test.unwrap();
    assert_eq!(t.bit.map(|b| b.operand), Some(Operand::Reg { number: r::RSI, size: 8 }));
    assert_eq!((t.relation, t.size), (Relation::Eq, 8));
}

#[test]
fn a_carry_is_a_sum_below_its_term() {
    // mov %rdi,%rax; add %rsi,%rax; jb trap; ret; trap: ud2
    let (_, flow, found) = ways(&[0x48, 0x89, 0xf8, 0x48, 0x01, 0xf0, 0x72, 0x01, 0xc3, 0x0f, 0x0b], 0x1009);
    let t = only(&found).test.unwrap();
    assert!(t.left.after && !t.right.after && !t.signed);
    assert_eq!((t.relation, flow.expr(t.right.sym.unwrap())), (Relation::Lt, Expr::Entry(r::RSI)));
    assert!(matches!(flow.expr(t.left.sym.unwrap()), Expr::Bin { op: BinOp::Add, .. }));
    // add %rax,(%rdi); jb …: the sum is in memory, and its term nowhere
    let (_, _, found) = ways(&[0x48, 0x01, 0x07, 0x72, 0x01, 0xc3, 0x0f, 0x0b], 0x1006);
    assert_eq!(only(&found).test, None);
    // lea 1(%rdi),%rax; add $1,%rdi; jo …: no comparison
    let (_, _, found) = ways(&[0x48, 0x83, 0xc7, 0x01, 0x70, 0x01, 0xc3, 0x0f, 0x0b], 0x1007);
    assert_eq!(only(&found).test, None);
}

#[test]
fn the_sign_of_a_difference_is_told_of_the_difference() {
    // mov $-1,%eax; lock xadd %eax,0x4(%rdi); cmp $1,%eax; js +1; ret; ud2
    let code = [
        0xb8, 0xff, 0xff, 0xff, 0xff, 0xf0, 0x0f, 0xc1, 0x47, 0x04, 0x83, 0xf8, 0x01, 0x78, 0x01, 0xc3, 0x0f,
        0x0b,
    ];
    let (_, flow, ways) = ways(&code, 0x1010);
    let t = only(&ways).test.unwrap();
    assert_eq!((t.relation, t.signed, t.size, t.right.operand), (Relation::Lt, true, 4, Operand::Imm(0)));
    assert!(t.left.after);
    let Expr::Bin { op: BinOp::Sub, a, b, size: 4 } = flow.expr(t.left.sym.unwrap()) else { panic!("{t:?}") };
    assert!(matches!(flow.expr(a), Expr::Load { disp: 4, size: 4, at: 0x1005, .. }));
    assert_eq!(flow.expr(b), Expr::Const(1));
    // with a register the sign is that of neither order nor a value that the code has: cmp %edx,%eax; js +1; ret; ud2
    let (_, _, ways) = self::ways(&[0x39, 0xd0, 0x78, 0x01, 0xc3, 0x0f, 0x0b], 0x1005);
    assert!(only(&ways).test.is_none());
}

#[test]
fn a_low_part_kept_over_a_call_on_one_path_is_the_same_value() {
    // sub $8,%rsp; test %esi,%esi; je 1; mov %edx,(%rsp); call f; mov (%rsp),%edx; 1: nop
    let f = function(&[
        0x48, 0x83, 0xec, 0x08, 0x85, 0xf6, 0x74, 0x0b, 0x89, 0x14, 0x24, 0xe8, 0, 0, 0, 0, 0x8b, 0x14, 0x24,
        0x90,
    ]);
    let flow = Flow::of(&f);
    let met = flow.register(0x1013, r::RDX).unwrap();
    assert_eq!(flow.only(met), None);
    let (low, size) = flow.only_low(met).unwrap();
    let Expr::Cut { base, size: 4, signed: false } = flow.expr(low) else { panic!() };
    assert_eq!((size, flow.expr(base)), (4, Expr::Entry(r::RDX)));
}

#[test]
fn registers_that_code_does_not_compute_with_are_not_followed() {
    // push %rbx; cmp $1,%rdi; jne +2; xor %ebx,%ebx; ud2
    let f = function(&[0x53, 0x48, 0x83, 0xff, 0x01, 0x75, 0x02, 0x31, 0xdb, 0x0f, 0x0b]);
    let flow = Flow::of(&f);
    for ip in [0x1000, 0x1001, 0x1007, 0x1009] {
        let known: Vec<usize> = (0..r::SET.names.len()).filter(|n| flow.register(ip, *n).is_some()).collect();
        assert_eq!(known, (r::RAX..=r::R15).collect::<Vec<_>>(), "{ip:#x}");
    }
    // nor does one of them hold a value
    for n in [r::RIP, r::RFLAGS, r::CS, r::ORIG_RAX, r::GS_BASE] {
        assert_eq!(flow.find(Expr::Entry(n)), None);
        assert!(!f.reads(n, &flow));
    }
    let held = |ip, n| flow.register(ip, n).unwrap();
    assert_eq!(flow.holders(0x1007, held(0x1007, r::RBX)).collect::<Vec<_>>(), [r::RBX]);
    assert_eq!(flow.expr(held(0x1009, r::RBX)), Expr::Phi { at: 0x1009, register: r::RBX });
    assert_eq!(flow.inputs(0x1009, r::RBX).len(), 2);
}

#[test]
fn what_ran_right_before_ends_where_paths_meet_and_at_calls() {
    // mov 0x24(%rcx),%eax; add %esi,%eax; mov 0x20(%rcx),%esi; mov %eax,0x24(%rcx); cmp %eax,%esi; jb +1; ret; ud2
    let code = [
        0x8b, 0x41, 0x24, 0x01, 0xf0, 0x8b, 0x71, 0x20, 0x89, 0x41, 0x24, 0x39, 0xc6, 0x72, 0x01, 0xc3, 0x0f,
        0x0b,
    ];
    let (f, flow, ways) = ways(&code, 0x1010);
    let b = only(&ways);
    assert_eq!(f.just_before(b.compare).collect::<Vec<_>>(), [0x1008, 0x1005, 0x1003, 0x1000]);
    // the sum that is compared is the one that was stored
    let Some(Operand::Reg { number, .. }) = f.operand(0x1008, 1) else { panic!() };
    let compared = b.test.unwrap().right.sym.unwrap();
    assert_eq!(flow.register(0x1008, number), Some(compared));
    // test %ebx,%ebx; jne +7; call; ud2; ret: two ways lead to ret, and what a call did is not known
    let f = function(&[0x85, 0xdb, 0x75, 0x07, 0xe8, 0, 0, 0, 0x10, 0x0f, 0x0b, 0xc3]);
    assert_eq!(f.just_before(0x1009).count(), 0);
    assert_eq!(f.just_before(0x1004).collect::<Vec<_>>(), [0x1002, 0x1000]);
}

#[test]
fn a_switch_leaves_one_value_or_all_but_its_cases() {
    // cmp $2,%esi; je a; ja b; test %esi,%esi; je c; ud2; a: mov %esi,%eax; ret; b: mov %edi,%eax; ret; c: ret
    let mut code = [
        0x83, 0xfe, 0x02, 0x74, 0x08, 0x77, 0x09, 0x85, 0xf6, 0x74, 0x08, 0x0f, 0x0b, 0x89, 0xf0, 0xc3, 0x89,
        0xf8, 0xc3, 0xc3,
    ];
    let (_, _, all) = ways(&code, 0x100b);
    let (step, test) = (only(&all), only(&all).test.unwrap());
    assert_eq!((test.relation, test.right.operand), (Relation::Eq, Operand::Imm(1)));
    assert_eq!((step.jump, step.before.as_slice()), (0x1009, &[0x1000, 0x1003, 0x1005][..]));
    // of a signed number those below 0 are left as well: it is below 2, and not 0
    code[5] = 0x7f;
    let (_, _, all) = ways(&code, 0x100b);
    assert_eq!(shape(&all), ["!1005 !1009"]);
    let relations: Vec<Relation> = all[0].steps.iter().map(|step| step.test.unwrap().relation).collect();
    assert_eq!(relations, [Relation::Lt, Relation::Ne]);
    // a store before the last comparison, as between two checks of a function: cmp $2,%esi; ja b; mov %esi,(%rdi); test; je c; ud2
    let stored = [
        0x83, 0xfe, 0x02, 0x77, 0x08, 0x89, 0x37, 0x85, 0xf6, 0x74, 0x05, 0x0f, 0x0b, 0x89, 0xf8, 0xc3, 0xc3,
    ];
    assert_eq!(shape(&ways(&stored, 0x100b).2), ["!1009"]);
    // cmp $1,%esi; je a; cmp $2,%esi; je b; cmp $5,%esi; je c; ud2; ...
    let default = [
        0x83, 0xfe, 0x01, 0x74, 0x0c, 0x83, 0xfe, 0x02, 0x74, 0x0a, 0x83, 0xfe, 0x05, 0x74, 0x08, 0x0f, 0x0b,
        0x89, 0xf0, 0xc3, 0x89, 0xf8, 0xc3, 0xc3,
    ];
    let (_, _, all) = ways(&default, 0x100f);
    assert_eq!(shape(&all), ["!1003 !1008 !100d"]);
    // the cases as a tree: cmp $18,%esi; je a; ja b; ud2; b: cmp $33,%esi; jne c; ret; c: ud2; a: ret
    let tree = [
        0x83, 0xfe, 0x12, 0x74, 0x0c, 0x77, 0x02, 0x0f, 0x0b, 0x83, 0xfe, 0x21, 0x75, 0x01, 0xc3, 0x0f, 0x0b,
        0xc3,
    ];
    let (_, _, all) = ways(&tree, 0x100f);
    assert_eq!(shape(&all), ["1005 100c"], "above 18 says that it is not 18");
    assert_eq!(all[0].steps[0].test.unwrap().relation, Relation::Gt);
    // of two checks each is its own
    assert_eq!(shape(&ways(&default[5..], 0x100a).2), ["!1008"]);
}

#[test]
fn what_stands_behind_a_return_leads_nowhere() {
    // refcount_warn_saturate() of 6.1: cmp $2,%esi; je a; jbe b; cmp $3,%esi; je a; ret; int3; int3; b: test %esi,%esi; je a; ud2;
    // a: ret
    let mut code = [
        0x83, 0xfe, 0x02, 0x74, 0x12, 0x76, 0x08, 0x83, 0xfe, 0x03, 0x74, 0x0b, 0xc3, 0xcc, 0xcc, 0x85, 0xf6,
        0x74, 0x04, 0x0f, 0x0b, 0x90, 0x90, 0xc3,
    ];
    let is_one = |code: &[u8]| {
        let (_, _, all) = ways(code, 0x1013);
        let test = only(&all).test.unwrap();
        assert_eq!((test.relation, test.right.operand), (Relation::Eq, Operand::Imm(1)), "{all:#?}");
    };
    is_one(&code);
    // nop; nop
    (code[13], code[14]) = (0x90, 0x90);
    is_one(&code);
    // what a breakpoint stands in place of is code: mov %esi,%eax; int3; test %esi,%esi; je +2; ud2; ret
    let probed = [0x89, 0xf0, 0xcc, 0x85, 0xf6, 0x74, 0x02, 0x0f, 0x0b, 0xc3];
    let (f, flow, all) = ways(&probed, 0x1007);
    assert_eq!(shape(&all), ["!1005"]);
    assert!(f.always_reaches(0x1003));
    let Expr::Cut { base, size: 4, .. } = flow.expr(flow.register(0x1003, r::RAX).unwrap()) else { panic!() };
    assert_eq!(flow.expr(base), Expr::Entry(r::RSI));
}

#[test]
fn a_byte_of_a_register_that_holds_no_more_is_followed() {
    let rax = |code: &[u8], at: u64| {
        let flow = Flow::of(&function(code));
        let sym = flow.register(at, r::RAX).unwrap();
        (flow.expr(sym), flow)
    };
    // movzbl 0xc(%rdi),%eax; shr $1,%al; and $0x1f,%eax; ret
    let (expr, flow) = rax(&[0x0f, 0xb6, 0x47, 0x0c, 0xd0, 0xe8, 0x83, 0xe0, 0x1f, 0xc3], 0x1009);
    let Expr::Bin { op: BinOp::And, a, b, size: 4 } = expr else { panic!("{expr:?}") };
    assert_eq!(flow.expr(b), Expr::Const(0x1f));
    let Expr::Bin { op: BinOp::Shr, a, b, size: 1 } = flow.expr(a) else { panic!() };
    assert_eq!(flow.expr(b), Expr::Const(1));
    assert!(matches!(flow.expr(a), Expr::Load { disp: 0xc, size: 1, .. }));
    // mov 0xc(%rdi),%eax; shr $1,%al; ret: the other bytes stay
    let (expr, _) = rax(&[0x8b, 0x47, 0x0c, 0xd0, 0xe8, 0xc3], 0x1005);
    assert_eq!(expr, Expr::Opaque(0x1003));
    // movzbl 0xc(%rdi),%eax; shr $1,%ah; ret
    let (expr, _) = rax(&[0x0f, 0xb6, 0x47, 0x0c, 0xd0, 0xec, 0xc3], 0x1006);
    assert_eq!(expr, Expr::Opaque(0x1004));
}

#[test]
fn the_first_call_behind_the_tracers_nop_is_the_functions_own() {
    let rax = |code: &[u8], at: u64| {
        let flow = Flow::of(&function(code));
        flow.expr(flow.register(at, r::RAX).unwrap())
    };
    // nopl 0x0(%rax,%rax,1); call; ret
    let traced = [0x0f, 0x1f, 0x44, 0, 0, 0xe8, 0, 0, 0, 0, 0xc3];
    assert_eq!(rax(&traced, 0x100a), Expr::Returned(0x1005));
    // sub $8,%rsp; call; ret
    let untraced = [0x48, 0x83, 0xec, 0x08, 0xe8, 0, 0, 0, 0, 0xc3];
    assert_eq!(rax(&untraced, 0x1009), Expr::Returned(0x1004));
    // call __fentry__; ret, and the same behind endbr64
    assert_eq!(rax(&[0xe8, 0, 0, 0, 0, 0xc3], 0x1005), Expr::Entry(r::RAX));
    assert_eq!(rax(&[0xf3, 0x0f, 0x1e, 0xfa, 0xe8, 0, 0, 0, 0, 0xc3], 0x1009), Expr::Entry(r::RAX));
}
