//! Instructions that change memory as they look at it: what was there before is in a register or a flag afterwards.

use super::operand;
use crate::dataflow::{BinOp, Exchange, Operand};
use iced_x86::{Instruction, Mnemonic};

/// How an instruction changes memory that it reads; and whether it does so at once for all CPUs.
pub(super) fn exchange(insn: &Instruction) -> Option<(Exchange, bool)> {
    let (first, second) = (operand(insn, 0), operand(insn, 1));
    let memory = |n: Option<Operand>| matches!(n, Some(Operand::Mem(_)));
    if insn.mnemonic() == Mnemonic::Xchg {
        let register = match (first, second) {
            (Some(Operand::Mem(_)), Some(other)) | (Some(other), Some(Operand::Mem(_))) => other,
            _ => return None,
        };
        // an exchange with memory always locks it
        return Some((Exchange::Swap(register), true));
    }
    if !memory(first) {
        return None;
    }
    let found = match (insn.mnemonic(), second) {
        (Mnemonic::Xadd, Some(by)) => Exchange::Fetch(by),
        (Mnemonic::Cmpxchg, Some(new)) => Exchange::Compare(new),
        (Mnemonic::Inc, _) => Exchange::Change(BinOp::Add, Operand::Imm(1)),
        (Mnemonic::Dec, _) => Exchange::Change(BinOp::Sub, Operand::Imm(1)),
        (Mnemonic::Add, Some(by)) => Exchange::Change(BinOp::Add, by),
        (Mnemonic::Sub, Some(by)) => Exchange::Change(BinOp::Sub, by),
        (Mnemonic::And, Some(by)) => Exchange::Change(BinOp::And, by),
        (Mnemonic::Or, Some(by)) => Exchange::Change(BinOp::Or, by),
        (Mnemonic::Xor, Some(by)) => Exchange::Change(BinOp::Xor, by),
        (Mnemonic::Bts, Some(bit)) => Exchange::Bit(BinOp::Or, bit),
        (Mnemonic::Btr, Some(bit)) => Exchange::Bit(BinOp::And, bit),
        (Mnemonic::Btc, Some(bit)) => Exchange::Bit(BinOp::Xor, bit),
        _ => return None,
    };
    Some((found, insn.has_lock_prefix()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x86_64::lift::tests::function;
    use crate::x86_64::regs as r;

    fn exchange(bytes: &[u8]) -> Option<(Exchange, bool)> {
        function(bytes).exchange(0x1000)
    }

    #[test]
    fn changes_of_memory_are_told_apart() {
        let eax = Operand::Reg { number: r::RAX, size: 4 };
        // lock xadd %eax,(%rdi)
        assert_eq!(exchange(&[0xf0, 0x0f, 0xc1, 0x07]), Some((Exchange::Fetch(eax), true)));
        // xchg %eax,(%rdi)
        assert_eq!(exchange(&[0x87, 0x07]), Some((Exchange::Swap(eax), true)));
        // lock cmpxchg %edx,(%rdi)
        let edx = Operand::Reg { number: r::RDX, size: 4 };
        assert_eq!(exchange(&[0xf0, 0x0f, 0xb1, 0x17]), Some((Exchange::Compare(edx), true)));
        // lock decl (%rdi); decl (%rdi)
        let less = Exchange::Change(BinOp::Sub, Operand::Imm(1));
        assert_eq!(exchange(&[0xf0, 0xff, 0x0f]), Some((less, true)));
        assert_eq!(exchange(&[0xff, 0x0f]), Some((less, false)));
        // lock btsq $5,(%rdi)
        let set = Exchange::Bit(BinOp::Or, Operand::Imm(5));
        assert_eq!(exchange(&[0xf0, 0x48, 0x0f, 0xba, 0x2f, 0x05]), Some((set, true)));
        // cmp %eax,(%rdi); bt %rax,(%rdi); xchg %eax,%edx; dec %eax
        for bytes in [&[0x39, 0x07][..], &[0x48, 0x0f, 0xa3, 0x07], &[0x87, 0xc2], &[0xff, 0xc8]] {
            assert_eq!(exchange(bytes), None, "{bytes:x?}");
        }
    }
}
