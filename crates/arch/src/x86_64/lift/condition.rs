//! What the flags of an instruction say, told as C would. Facts: Intel SDM volume 2, flags and conditions.

use super::operand;
use crate::dataflow::{Flow, Operand, Part, Relation, Test};
use crate::x86_64::regs;
use iced_x86::{ConditionCode, Instruction, Mnemonic};

fn part(insn: &Instruction, n: u32, flow: &Flow) -> Option<Part> {
    let operand = operand(insn, n)?;
    let sym = match operand {
        Operand::Imm(_) => None,
        Operand::Reg { number, .. } => flow.register(insn.ip(), number),
        Operand::Mem(_) => flow.loaded(insn.ip()),
    };
    Some(Part { operand, sym, after: false })
}

/// What a flag-setting instruction compares, for a condition.
pub(super) fn test_of(
    insn: &Instruction,
    condition: ConditionCode,
    taken: bool,
    flow: &Flow,
) -> Option<Test> {
    use ConditionCode as C;
    let a = part(insn, 0, flow)?;
    let b = part(insn, 1, flow);
    let size = match (a.operand, b.map(|b| b.operand)) {
        (Operand::Reg { size, .. }, _) | (_, Some(Operand::Reg { size, .. })) => size,
        (Operand::Mem(m), _) => m.size,
        _ => return None,
    };
    let (relation, signed) = match condition {
        C::b => (Relation::Lt, false),
        C::ae => (Relation::Ge, false),
        C::be => (Relation::Le, false),
        C::a => (Relation::Gt, false),
        C::e => (Relation::Eq, false),
        C::ne => (Relation::Ne, false),
        C::l => (Relation::Lt, true),
        C::ge => (Relation::Ge, true),
        C::le => (Relation::Le, true),
        C::g => (Relation::Gt, true),
        C::s => (Relation::Lt, true),
        C::ns => (Relation::Ge, true),
        _ => return None,
    };
    let equality = matches!(condition, C::e | C::ne);
    let sign_only = matches!(condition, C::s | C::ns);
    let carry = matches!(condition, C::b | C::ae | C::be | C::a);
    let relation = if taken { relation } else { relation.negated() };
    let zero = Part { operand: Operand::Imm(0), sym: None, after: false };
    let plain = |left, mask, right| Some(Test { left, mask, bit: None, right, relation, signed, size });
    // of memory the value that was there leads to the address
    let result = match a.operand {
        Operand::Reg { .. } => Part { operand: a.operand, sym: flow.result(insn.ip()), after: true },
        _ => Part { after: true, ..a },
    };
    let memory = matches!(a.operand, Operand::Mem(_));
    let same = b.is_some_and(|b| b.operand == a.operand);
    match insn.mnemonic() {
        // the sign of a difference is its order only without overflow
        Mnemonic::Sub if memory && equality => plain(result, None, zero),
        Mnemonic::Cmp | Mnemonic::Sub if !sign_only => plain(a, None, b?),
        // so it is told of the difference itself
        Mnemonic::Cmp if !memory && size >= 4 && matches!(b?.operand, Operand::Imm(_)) => {
            plain(result, None, zero)
        }
        // a sum that is less than one of its terms is one that its width does not hold: the term that is still there
        Mnemonic::Add if matches!(condition, C::b | C::ae) && !memory => {
            plain(result, None, b.filter(|b| !same && matches!(b.operand, Operand::Reg { .. })).unwrap_or(a))
        }
        Mnemonic::Cmpxchg if equality => {
            let number = regs::RAX;
            let operand = Operand::Reg { number, size };
            plain(a, None, Part { operand, sym: flow.register(insn.ip(), number), after: false })
        }
        Mnemonic::Test if same => match condition {
            C::be | C::a => {
                // no carry after test: below-or-equal is equal
                let relation = if relation == Relation::Le { Relation::Eq } else { Relation::Ne };
                Some(Test { left: a, mask: None, bit: None, right: zero, relation, signed: false, size })
            }
            C::b | C::ae => None,
            _ => plain(a, None, zero),
        },
        Mnemonic::Test | Mnemonic::And if equality || (sign_only && insn.mnemonic() == Mnemonic::Test) => {
            plain(a, b, zero)
        }
        Mnemonic::Xor if equality && !same => plain(a, None, b?),
        Mnemonic::And | Mnemonic::Or | Mnemonic::Xor if !carry => plain(result, None, zero),
        Mnemonic::Sub
        | Mnemonic::Add
        | Mnemonic::Inc
        | Mnemonic::Dec
        | Mnemonic::Neg
        | Mnemonic::Shl
        | Mnemonic::Shr
        | Mnemonic::Sar
            if equality || sign_only =>
        {
            plain(result, None, zero)
        }
        Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc if matches!(condition, C::b | C::ae) => {
            let relation = if relation == Relation::Lt { Relation::Ne } else { Relation::Eq };
            let mut test =
                Test { left: a, mask: None, bit: None, right: zero, relation, signed: false, size };
            let changes = insn.mnemonic() != Mnemonic::Bt;
            match (b?, a.operand) {
                // its number is what such a change is told by
                (bit, Operand::Mem(_)) if changes => test.bit = Some(bit),
                (Part { operand: Operand::Imm(bit), .. }, _) => {
                    let bits = i64::try_from(size).ok()?.checked_mul(8)?;
                    let mask = 1_i64.checked_shl(u32::try_from(bit.rem_euclid(bits)).ok()?)?;
                    test.mask = Some(Part { operand: Operand::Imm(mask), ..zero });
                }
                (bit, _) => test.bit = Some(bit),
            }
            Some(test)
        }
        _ => None,
    }
}
