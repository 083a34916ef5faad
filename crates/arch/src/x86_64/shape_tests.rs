use super::*;
use crate::x86_64::regs::{R12, R13, RBX};

const AT: u64 = 0xffff_ffff_8100_0000;

fn at(code: &[u8], offset: u64) -> Option<FrameShape> {
    frame_shape(&[(AT, code)], AT + offset)
}

/// push %rbp; mov %rsp,%rbp; push %r12; push %rbx; sub $0x50,%rsp; call; add $0x50,%rsp; pop %rbx; pop %r12; pop %rbp; ret
const FRAME: &[u8] = &[
    0x55, 0x48, 0x89, 0xe5, 0x41, 0x54, 0x53, 0x48, 0x83, 0xec, 0x50, 0xe8, 0, 0, 0, 0, 0x48, 0x83, 0xc4,
    0x50, 0x5b, 0x41, 0x5c, 0x5d, 0xc3,
];

#[test]
fn a_prologue_step_by_step_and_back() {
    let sp = |offset| at(FRAME, offset).unwrap().from_sp.unwrap();
    assert_eq!([sp(0), sp(1), sp(4), sp(6), sp(7), sp(11)], [8, 16, 16, 24, 32, 0x70]);
    // a return address is looked up one byte before it: inside the call
    let call = at(FRAME, 15).unwrap();
    assert_eq!((call.from_sp, call.from_fp), (Some(0x70), Some(16)));
    assert_eq!(
        [RBX, RBP, R12, R13].map(|r| call.kept(r)),
        [Kept::AtCfa(-32), Kept::AtCfa(-16), Kept::AtCfa(-24), Kept::Same]
    );
    let end = at(FRAME, 24).unwrap();
    assert_eq!((end.from_sp, end.from_fp), (Some(8), None));
    assert!(end.kept.iter().all(|(_, kept)| *kept == Kept::Same));
}

#[test]
fn an_aligned_frame_is_known_by_its_frame_pointer() {
    // push %rbp; mov %rsp,%rbp; and $-16,%rsp; sub $0x40,%rsp; nop; lea -8(%rbp),%rsp; pop %rbx
    let code = [
        0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xf0, 0x48, 0x83, 0xec, 0x40, 0x90, 0x48, 0x8d, 0x65, 0xf8,
        0x5b,
    ];
    let body = at(&code, 12).unwrap();
    assert_eq!((body.from_sp, body.from_fp), (None, Some(16)));
    assert_eq!(at(&code, 17).unwrap().from_sp, Some(24));
}

#[test]
fn registers_saved_by_moves_as_old_compilers_do() {
    // push %rbp; mov %rsp,%rbp; mov %rbx,-0x18(%rbp); mov %r12,-0x10(%rbp); sub $0x20,%rsp; xor %ebx,%ebx;
    // mov -0x18(%rbp),%rbx; leave; ret
    let code = [
        0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0x5d, 0xe8, 0x4c, 0x89, 0x65, 0xf0, 0x48, 0x83, 0xec, 0x20, 0x31,
        0xdb, 0x48, 0x8b, 0x5d, 0xe8, 0xc9, 0xc3,
    ];
    let body = at(&code, 18).unwrap();
    assert_eq!((body.kept(RBX), body.kept(R12)), (Kept::AtCfa(-0x28), Kept::AtCfa(-0x20)));
    let end = at(&code, 23).unwrap();
    assert_eq!((end.from_sp, end.kept(RBX), end.kept(RBP)), (Some(8), Kept::Same, Kept::Same));
}

#[test]
fn jumps_carry_the_frame_and_disagreement_is_not_told() {
    // test; je +5 (to the end); push %rbx; xor %ebx,%ebx; jmp +1; nop ; end: nop
    let code = [0x85, 0xc0, 0x74, 0x06, 0x53, 0x31, 0xdb, 0xeb, 0x01, 0x90, 0x90];
    assert_eq!(at(&code, 9).map(|s| s.from_sp), None); // nothing leads here
    let end = at(&code, 10).unwrap();
    assert_eq!((end.from_sp, end.kept(RBX)), (None, Kept::Lost));
    // shrink-wrapped: a path that ends in a call that never returns does not spoil what is jumped to
    // test; je +6; push %rbx; call; here: nop
    let code = [0x85, 0xc0, 0x74, 0x06, 0x53, 0xe8, 0, 0, 0, 0, 0x90];
    assert_eq!(at(&code, 10).unwrap().from_sp, Some(8));
}

#[test]
fn code_that_is_reached_from_behind_or_through_a_table() {
    // push %rbx; jmp A; B: nop; ret; A: jmp B
    let code = [0x53, 0xeb, 0x02, 0x90, 0xc3, 0xeb, 0xfc];
    assert_eq!(at(&code, 3).unwrap().from_sp, Some(16));
    // sub $8,%rsp; jmp *%rax; case: nop
    let code = [0x48, 0x83, 0xec, 0x08, 0xff, 0xe0, 0x90];
    assert_eq!(at(&code, 6).unwrap().from_sp, Some(16));
}

#[test]
fn a_cold_part_has_the_frame_of_where_it_was_jumped_from() {
    // push %rbx; sub $16,%rsp; jne COLD; ret
    let cold = AT + 0x1000;
    let mut hot = vec![0x53, 0x48, 0x83, 0xec, 0x10, 0x0f, 0x85];
    hot.extend(((cold - (AT + 11)) as u32).to_le_bytes());
    hot.push(0xc3);
    let parts: [(u64, &[u8]); 2] = [(AT, &hot), (cold, &[0xe8, 0, 0, 0, 0])];
    let shape = frame_shape(&parts, cold + 4).unwrap();
    assert_eq!((shape.from_sp, shape.kept(RBX)), (Some(32), Kept::AtCfa(-16)));
    assert_eq!(frame_shape(&parts, cold + 0x100), None);
    assert_eq!(frame_shape(&[], AT), None);
}

#[test]
fn a_switch_of_stacks_makes_the_stack_pointer_unknown() {
    // push %rbp; mov %rsp,%rbp; mov %rsp,(%rdi); mov %rdi,%rsp; call; leave
    let code = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0x27, 0x48, 0x89, 0xfc, 0xe8, 0, 0, 0, 0, 0xc9];
    let call = at(&code, 14).unwrap();
    assert_eq!((call.from_sp, call.from_fp, call.kept(RBP)), (None, Some(16), Kept::AtCfa(-16)));
    // pop %rsp, and 16-bit pushes
    assert_eq!(at(&[0x5c, 0x90], 1).unwrap().from_sp, None);
    assert_eq!(at(&[0x66, 0x53, 0x90], 2).unwrap().from_sp, None);
}
