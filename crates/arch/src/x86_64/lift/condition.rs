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

/// What a condition asks of the flags: a relation, and whether it is of signed numbers.
const fn relation_of(condition: ConditionCode) -> Option<(Relation, bool)> {
    use ConditionCode as C;
    Some(match condition {
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
    })
}

const ZERO: Part = Part { operand: Operand::Imm(0), sym: None, after: false };

/// A condition and the operands of the instruction that set its flags.
struct Asked {
    condition: ConditionCode,
    relation: Relation,
    signed: bool,
    a: Part,
    b: Option<Part>,
    /// What the instruction leaves in its first operand; of memory the value that was there leads to the address.
    result: Part,
    size: u64,
}

impl Asked {
    fn of(insn: &Instruction, condition: ConditionCode, taken: bool, flow: &Flow) -> Option<Self> {
        let a = part(insn, 0, flow)?;
        let b = part(insn, 1, flow);
        let size = match (a.operand, b.map(|b| b.operand)) {
            (Operand::Reg { size, .. }, _) | (_, Some(Operand::Reg { size, .. })) => size,
            (Operand::Mem(m), _) => m.size,
            _ => return None,
        };
        let (relation, signed) = relation_of(condition)?;
        let relation = if taken { relation } else { relation.negated() };
        let result = match a.operand {
            Operand::Reg { .. } => Part { operand: a.operand, sym: flow.result(insn.ip()), after: true },
            _ => Part { after: true, ..a },
        };
        Some(Self { condition, relation, signed, a, b, result, size })
    }

    const fn equality(&self) -> bool {
        matches!(self.condition, ConditionCode::e | ConditionCode::ne)
    }

    const fn sign_only(&self) -> bool {
        matches!(self.condition, ConditionCode::s | ConditionCode::ns)
    }

    /// The carry alone.
    const fn carry(&self) -> bool {
        matches!(self.condition, ConditionCode::b | ConditionCode::ae)
    }

    const fn memory(&self) -> bool {
        matches!(self.a.operand, Operand::Mem(_))
    }

    /// Both operands are one.
    fn same(&self) -> bool {
        self.b.is_some_and(|b| b.operand == self.a.operand)
    }

    const fn test(&self, left: Part, mask: Option<Part>, right: Part) -> Test {
        let Self { relation, signed, size, .. } = *self;
        Test { left, mask, bit: None, right, relation, signed, size }
    }

    /// The result, against zero.
    const fn of_result(&self) -> Test {
        self.test(self.result, None, ZERO)
    }

    /// `cmp`, `sub`. The sign of a difference is its order only without overflow: it is told of the difference itself.
    fn difference(&self, kept: bool) -> Option<Test> {
        let constant = |b: Part| matches!(b.operand, Operand::Imm(_));
        match kept {
            true if self.memory() && self.equality() => Some(self.of_result()),
            _ if !self.sign_only() => Some(self.test(self.a, None, self.b?)),
            true => Some(self.of_result()),
            false => (!self.memory() && self.size >= 4 && constant(self.b?)).then(|| self.of_result()),
        }
    }

    /// `add`: a sum that is less than one of its terms is one that its width does not hold; the term that is still there.
    fn sum(&self) -> Option<Test> {
        if !self.carry() || self.memory() {
            return self.plainly();
        }
        let register = |b: &Part| !self.same() && matches!(b.operand, Operand::Reg { .. });
        Some(self.test(self.result, None, self.b.filter(register).unwrap_or(self.a)))
    }

    /// `cmpxchg`: what was there, against what was expected.
    fn exchanged(&self, insn: &Instruction, flow: &Flow) -> Option<Test> {
        let number = regs::RAX;
        let operand = Operand::Reg { number, size: self.size };
        let expected = Part { operand, sym: flow.register(insn.ip(), number), after: false };
        self.equality().then(|| self.test(self.a, None, expected))
    }

    /// `test` of a register with itself.
    fn own(&self) -> Option<Test> {
        use ConditionCode as C;
        match self.condition {
            C::be | C::a => {
                // no carry after test: below-or-equal is equal
                let relation = if self.relation == Relation::Le { Relation::Eq } else { Relation::Ne };
                Some(Test { relation, signed: false, ..self.test(self.a, None, ZERO) })
            }
            C::b | C::ae => None,
            _ => Some(self.test(self.a, None, ZERO)),
        }
    }

    /// `test`, `and`, `or`, `xor`.
    fn logic(&self, mnemonic: Mnemonic) -> Option<Test> {
        let carry = self.carry() || matches!(self.condition, ConditionCode::be | ConditionCode::a);
        match mnemonic {
            Mnemonic::Test if self.same() => self.own(),
            Mnemonic::Test => (self.equality() || self.sign_only()).then(|| self.test(self.a, self.b, ZERO)),
            Mnemonic::And if self.equality() => Some(self.test(self.a, self.b, ZERO)),
            Mnemonic::Xor if self.equality() && !self.same() => Some(self.test(self.a, None, self.b?)),
            _ => (!carry).then(|| self.of_result()),
        }
    }

    /// What only zero and the sign of the result tell.
    fn plainly(&self) -> Option<Test> {
        (self.equality() || self.sign_only()).then(|| self.of_result())
    }

    /// `bt` and its like: the carry is the bit.
    fn bit(&self, changes: bool) -> Option<Test> {
        if !self.carry() {
            return None;
        }
        let relation = if self.relation == Relation::Lt { Relation::Ne } else { Relation::Eq };
        let test = Test { relation, signed: false, ..self.test(self.a, None, ZERO) };
        Some(match self.b? {
            // its number is what such a change is told by
            bit if changes && self.memory() => Test { bit: Some(bit), ..test },
            Part { operand: Operand::Imm(bit), .. } => {
                let bits = i64::try_from(self.size).ok()?.checked_mul(8)?;
                let mask = 1_i64.checked_shl(u32::try_from(bit.rem_euclid(bits)).ok()?)?;
                Test { mask: Some(Part { operand: Operand::Imm(mask), ..ZERO }), ..test }
            }
            bit => Test { bit: Some(bit), ..test },
        })
    }
}

/// What a flag-setting instruction compares, for a condition.
pub(super) fn test_of(
    insn: &Instruction,
    condition: ConditionCode,
    taken: bool,
    flow: &Flow,
) -> Option<Test> {
    use Mnemonic as M;
    let asked = Asked::of(insn, condition, taken, flow)?;
    match insn.mnemonic() {
        M::Cmp => asked.difference(false),
        M::Sub => asked.difference(true),
        M::Add => asked.sum(),
        M::Cmpxchg => asked.exchanged(insn, flow),
        mnemonic @ (M::Test | M::And | M::Or | M::Xor) => asked.logic(mnemonic),
        M::Inc | M::Dec | M::Neg | M::Shl | M::Shr | M::Sar => asked.plainly(),
        M::Bt => asked.bit(false),
        M::Bts | M::Btr | M::Btc => asked.bit(true),
        _ => None,
    }
}
