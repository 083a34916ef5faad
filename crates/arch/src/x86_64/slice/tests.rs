use super::*;
use crate::x86_64::regs as r;

fn function(bytes: &[u8]) -> Function {
    Function::decode(&[(0x1000, bytes)], &|_| false)
}

#[test]
fn a_comparison_with_memory_below_leads_to_the_trap() {
    // mov %rdi,%rbp; mov %edx,%r12d; cmp %r12d,0x60(%rbp); jb +1; ret; ud2
    let f =
        function(&[0x48, 0x89, 0xfd, 0x41, 0x89, 0xd4, 0x44, 0x39, 0x65, 0x60, 0x72, 0x01, 0xc3, 0x0f, 0x0b]);
    let ways = f.ways_to(0x100d);
    assert_eq!(ways.len(), 1);
    let b = &ways[0];
    assert_eq!((b.jump, b.compare, b.taken, b.stores), (0x100a, 0x1006, true, false));
    let t = b.test.unwrap();
    assert_eq!((t.relation, t.signed, t.size), (Relation::Lt, false, 4));
    assert_eq!(t.right, Operand::Reg { number: r::R12, size: 4 });
    let Operand::Mem(m) = t.left else { panic!("{t:?}") };
    assert_eq!((m.base, m.disp, m.size), (Some(r::RBP), 0x60, 4));
    assert!(b.changed.is_empty());
    let flow = Flow::of(&f);
    assert_eq!(flow.expr(flow.register(b.compare, r::R12).unwrap()), Expr::Entry(r::RDX));
    let (base, off) = flow.address(b.compare, &m).unwrap();
    assert_eq!((flow.expr(base), off), (Expr::Entry(r::RDI), 0x60));
    assert_eq!(f.text(0x1006).unwrap(), "cmp %r12d,0x60(%rbp)");
    assert_eq!(f.text(0x100a).unwrap(), "jb");
}

#[test]
fn a_trap_that_is_fallen_into_has_the_condition_inverted() {
    // test %rdi,%rdi; jne +2; ud2; ret
    let f = function(&[0x48, 0x85, 0xff, 0x75, 0x02, 0x0f, 0x0b, 0xc3]);
    let ways = f.ways_to(0x1005);
    let t = ways[0].test.unwrap();
    assert!(!ways[0].taken);
    assert_eq!((t.relation, t.right, t.mask), (Relation::Eq, Operand::Imm(0), None));
}

#[test]
fn a_trap_in_a_cold_part_is_reached_through_a_jump() {
    // cmp $5,%esi; jg 0x2000; ret   |   mov %rdi,%rax; ud2
    let hot: &[u8] = &[0x83, 0xfe, 0x05, 0x0f, 0x8f, 0xf7, 0x0f, 0x00, 0x00, 0xc3];
    let cold: &[u8] = &[0x48, 0x89, 0xf8, 0x0f, 0x0b];
    let f = Function::decode(&[(0x1000, hot), (0x2000, cold)], &|_| false);
    let ways = f.ways_to(0x2003);
    assert_eq!(ways.len(), 1);
    let t = ways[0].test.unwrap();
    assert_eq!((t.relation, t.signed, t.right), (Relation::Gt, true, Operand::Imm(5)));
    assert_eq!(ways[0].changed, [r::RAX]);
}

#[test]
fn a_call_between_forgets_memory_and_the_caller_s_registers() {
    // test %ebx,%ebx; je +6; jmp...: test; jne +7; call; ud2; ret
    let f = function(&[0x85, 0xdb, 0x75, 0x07, 0xe8, 0, 0, 0, 0x10, 0x0f, 0x0b, 0xc3]);
    let ways = f.ways_to(0x1009);
    assert_eq!(ways[0].calls, [0x1004]);
    assert!(ways[0].stores && ways[0].changed.contains(&r::RDI) && !ways[0].changed.contains(&r::RBX));
}

#[test]
fn two_conditions_of_one_trap_are_both_found() {
    // test %edi,%edi; je trap; cmp %esi,%edi; jl trap; ret; trap: ud2
    let f = function(&[0x85, 0xff, 0x74, 0x05, 0x39, 0xf7, 0x7c, 0x01, 0xc3, 0x0f, 0x0b]);
    let ways = f.ways_to(0x1009);
    assert_eq!(ways.len(), 2);
    assert_eq!(ways[1].test.unwrap().relation, Relation::Lt);
}

#[test]
fn a_masked_test_and_a_tested_bit() {
    // testb $4,0x10(%rdi); jne trap; ret; trap: ud2
    let f = function(&[0xf6, 0x47, 0x10, 0x04, 0x75, 0x01, 0xc3, 0x0f, 0x0b]);
    let t = f.ways_to(0x1007)[0].test.unwrap();
    assert_eq!((t.mask, t.relation, t.size), (Some(Operand::Imm(4)), Relation::Ne, 1));
    // bt $3,%rax; jae trap; ret; trap: ud2
    let f = function(&[0x48, 0x0f, 0xba, 0xe0, 0x03, 0x73, 0x01, 0xc3, 0x0f, 0x0b]);
    let t = f.ways_to(0x1008)[0].test.unwrap();
    assert_eq!((t.mask, t.relation), (Some(Operand::Imm(8)), Relation::Eq));
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
    assert_eq!(flow.expr(flow.register(0x1007, r::RDI).unwrap()), Expr::Many);
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
