//! Calls that enter a function, and calls of others that go on to it.

use super::*;
use crate::testing::session;
use testkit::kernel::Kernel;
use unwind::How;

/// `call to` at `from`: the return address.
fn call(k: &mut Kernel, from: u64, to: u64) -> u64 {
    jump(k, 0xe8, from, to)
}

/// An instruction with a 32-bit distance at `from`: the address behind it.
fn jump(k: &mut Kernel, opcode: u8, from: u64, to: u64) -> u64 {
    let back = from + 5;
    let far = u32::try_from(to.wrapping_sub(back) & u64::from(u32::MAX)).unwrap();
    k.put(from, &[opcode]).put(from + 1, &far.to_le_bytes());
    back
}

fn frame(s: &Session, pc: u64, how: How) -> Frame {
    Frame {
        pc: VirtAddr(pc),
        is_call: true,
        slot: None,
        sp: VirtAddr(0),
        cfa: None,
        how,
        regs: arch::Regs::new(s.arch().reg_set()),
        saved: None,
        stack: None,
    }
}

#[test]
fn a_call_enters_the_function_that_it_names() {
    let mut k = Kernel::new();
    let names = [
        ("inner", 0x100),
        ("other", 0x200),
        ("passes_on", 0x300),
        ("outer", 0x400),
        ("inner.cold", 0x500),
        ("__x86_indirect_thunk_rax", 0x600),
        ("end", 0x700),
    ];
    let [inner, other, passes_on, outer, cold, thunk, _] = names.map(|(name, at)| k.function(name, at));
    jump(&mut k, 0xe9, passes_on, inner);
    // other() ends in a jump to inner(), and does something before
    k.put(other, &[0x90]);
    jump(&mut k, 0xe9, other + 1, inner);
    let direct = call(&mut k, outer, inner);
    let through = call(&mut k, outer + 0x10, passes_on);
    let tail = call(&mut k, outer + 0x20, other);
    let retpoline = call(&mut k, outer + 0x30, thunk);
    // call *%rax
    k.put(outer + 0x40, &[0x90, 0x90, 0x90, 0xff, 0xd0]);
    let pointer = outer + 0x45;
    let s = session(&k);
    let of = |ret| entered(&s, VirtAddr(inner), &frame(&s, ret, How::Orc));
    assert_eq!(of(direct), Some(Entered::Directly));
    assert_eq!(of(through), Some(Entered::Directly));
    assert_eq!(of(tail), None, "other() may have given inner() anything");
    assert_eq!(of(retpoline), Some(Entered::ByPointer));
    assert_eq!(of(pointer), Some(Entered::ByPointer));
    assert_eq!(entered(&s, VirtAddr(inner), &frame(&s, direct, How::Scan)), None, "the frame is a guess");
    let returns = Frame { is_call: false, ..frame(&s, direct, How::Orc) };
    assert_eq!(entered(&s, VirtAddr(inner), &returns), None);
    assert_eq!(entry_of(&s, VirtAddr(inner + 4)), Some(VirtAddr(inner)));
    assert_eq!(entry_of(&s, VirtAddr(cold + 4)), Some(VirtAddr(inner)));
}
