//! Values that loops carry, in code of x86-64.

use super::tests::function;
use crate::dataflow::{Carried, Expr, Flow, Hop};
use crate::x86_64::regs as r;

fn carried(code: &[u8], at: u64, register: usize) -> (Flow, Option<Carried>) {
    let f = function(code);
    let flow = Flow::of(&f);
    let carried = flow.register(at, register).and_then(|sym| flow.carried(sym));
    (flow, carried)
}

#[test]
fn a_loop_over_a_list_begins_with_the_argument_and_goes_on_by_its_member() {
    // test %esi,%esi; je 2; 1: mov 0x18(%rdi),%rdi; sub $1,%esi; jae 1; 2: mov %rdx,0x40(%rdi); ret
    let code = [
        0x85, 0xf6, 0x74, 0x09, 0x48, 0x8b, 0x7f, 0x18, 0x83, 0xee, 0x01, 0x73, 0xf7, 0x48, 0x89, 0x57, 0x40,
        0xc3,
    ];
    let (flow, found) = carried(&code, 0x100d, r::RDI);
    let carried = found.unwrap();
    assert_eq!(carried.turn, [Hop::Load { disp: 0x18, size: 8 }]);
    assert_eq!(carried.firsts.iter().map(|s| flow.expr(*s)).collect::<Vec<_>>(), [Expr::Entry(r::RDI)]);
    // what no path changes is no such value
    assert!(flow.carried(flow.register(0x100d, r::RDX).unwrap()).is_none());
}

#[test]
fn a_turn_may_be_of_several_loads_and_additions() {
    // mov 0x8(%rsi),%rdx; 1: lea -0x8(%rdx),%rax; mov 0x8(%rax),%rdx; cmp %rdx,%rdi; jne 1; ret
    let code = [
        0x48, 0x8b, 0x56, 0x08, 0x48, 0x8d, 0x42, 0xf8, 0x48, 0x8b, 0x50, 0x08, 0x48, 0x39, 0xd7, 0x75, 0xf3,
        0xc3,
    ];
    let (flow, found) = carried(&code, 0x1004, r::RDX);
    let carried = found.unwrap();
    // the additions of -8 and 8 are one load at 0
    assert_eq!(carried.turn, [Hop::Load { disp: 0, size: 8 }]);
    let first = flow.expr(carried.firsts[0]);
    assert!(matches!(first, Expr::Load { disp: 8, size: 8, .. }), "{first:?}");
}

#[test]
fn turns_that_differ_or_compute_are_not_told() {
    // 1: test %esi,%esi; je 2; mov 0x18(%rdi),%rdi; jmp 1; 2: mov 0x20(%rdi),%rdi; jmp 1
    let code =
        [0x85, 0xf6, 0x74, 0x06, 0x48, 0x8b, 0x7f, 0x18, 0xeb, 0xf6, 0x48, 0x8b, 0x7f, 0x20, 0xeb, 0xf0];
    assert_eq!(carried(&code, 0x1000, r::RDI).1, None);
    // 1: imul %rsi,%rdi; dec %edx; jne 1; ret
    let code = [0x48, 0x0f, 0xaf, 0xfe, 0xff, 0xca, 0x75, 0xf8, 0xc3];
    assert_eq!(carried(&code, 0x1000, r::RDI).1, None);
}

#[test]
fn what_is_read_again_on_another_path_is_one_value() {
    // mov 0x18(%rdi),%rdx; test %esi,%esi; je 1; mov 0x18(%rdi),%rdx; 1: ret
    let code = [0x48, 0x8b, 0x57, 0x18, 0x85, 0xf6, 0x74, 0x04, 0x48, 0x8b, 0x57, 0x18, 0xc3];
    let (flow, _) = carried(&code, 0x100c, r::RDX);
    let only = flow.only(flow.register(0x100c, r::RDX).unwrap()).unwrap();
    assert!(matches!(flow.expr(only), Expr::Load { disp: 0x18, .. }));
    // in a loop that follows it: another one in each turn
    // 1: mov 0x18(%rdi),%rdi; dec %esi; jne 1; ret
    let code = [0x48, 0x8b, 0x7f, 0x18, 0xff, 0xce, 0x75, 0xf8, 0xc3];
    let (flow, _) = carried(&code, 0x1000, r::RDI);
    assert_eq!(flow.only(flow.register(0x1000, r::RDI).unwrap()), None);
}

#[test]
fn where_two_paths_meet_without_a_loop_both_values_are_told() {
    // test %edx,%edx; je 1; mov %rsi,%rdi; 1: mov (%rdi),%rax; ret
    let code = [0x85, 0xd2, 0x74, 0x03, 0x48, 0x89, 0xf7, 0x48, 0x8b, 0x07, 0xc3];
    let (flow, found) = carried(&code, 0x1007, r::RDI);
    let carried = found.unwrap();
    assert!(carried.turn.is_empty());
    let mut firsts: Vec<Expr> = carried.firsts.iter().map(|s| flow.expr(*s)).collect();
    firsts.sort_by_key(|e| *e == Expr::Entry(r::RSI));
    assert_eq!(firsts, [Expr::Entry(r::RDI), Expr::Entry(r::RSI)]);
}
