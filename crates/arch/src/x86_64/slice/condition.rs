//! What a conditional jump asks: the comparison before it, told as C would.

use super::expr::{Expr, Sym};
use super::{Flow, Function, Operand, operand};
use iced_x86::{ConditionCode, FlowControl, Instruction, Mnemonic};

/// How two operands relate where the jump is taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Relation {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Relation {
    /// As C spells it.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Relation::Eq => "==",
            Relation::Ne => "!=",
            Relation::Lt => "<",
            Relation::Le => "<=",
            Relation::Gt => ">",
            Relation::Ge => ">=",
        }
    }
    /// With the operands exchanged.
    #[must_use]
    pub const fn swapped(self) -> Self {
        match self {
            Relation::Lt => Relation::Gt,
            Relation::Le => Relation::Ge,
            Relation::Gt => Relation::Lt,
            Relation::Ge => Relation::Le,
            same => same,
        }
    }
    /// The opposite.
    #[must_use]
    pub const fn negated(self) -> Self {
        match self {
            Relation::Eq => Relation::Ne,
            Relation::Ne => Relation::Eq,
            Relation::Lt => Relation::Ge,
            Relation::Ge => Relation::Lt,
            Relation::Gt => Relation::Le,
            Relation::Le => Relation::Gt,
        }
    }
    /// Whether it holds.
    #[must_use]
    pub const fn holds(self, order: std::cmp::Ordering) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        matches!(
            (self, order),
            (Relation::Eq, Equal)
                | (Relation::Ne, Less | Greater)
                | (Relation::Lt, Less)
                | (Relation::Le, Less | Equal)
                | (Relation::Gt, Greater)
                | (Relation::Ge, Greater | Equal)
        )
    }
}

/// An operand of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// As the instruction has it.
    pub operand: Operand,
    /// The value, in terms of the data flow; `None` where that does not know it.
    pub sym: Option<Sym>,
    /// True where it is what the instruction leaves in its operand, not what was there before.
    pub after: bool,
}

/// What is compared: `(left & mask) RELATION right`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Test {
    /// The left operand.
    pub left: Part,
    /// What the left one is masked with before.
    pub mask: Option<Part>,
    /// The number of the bit that is asked for, in place of a mask; of memory, the bit may lie behind or before the
    /// operand.
    pub bit: Option<Part>,
    /// The right operand.
    pub right: Part,
    /// How they relate where the trap is reached.
    pub relation: Relation,
    /// Compared as signed numbers.
    pub signed: bool,
    /// Bytes compared.
    pub size: u64,
}

/// A jump on the way to a trap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Branch {
    /// The conditional jump, or the jump through a table.
    pub jump: u64,
    /// True where it leads to the trap when taken; else the trap comes when it is not.
    pub taken: bool,
    /// The instruction that compares.
    pub compare: u64,
    /// The instruction that keeps the comparison's outcome in a register (`sete`), where there is one.
    pub kept_by: Option<u64>,
    /// What it compares; `None` for flags that are no comparison (a carry, a parity).
    pub test: Option<Test>,
    /// True where memory may change between the jump and the trap.
    pub stores: bool,
    /// The calls between the jump and the trap.
    pub calls: Vec<u64>,
}

/// How far before a jump its comparison is looked for.
const MAX_STEPS: usize = 64;
/// How many conditions kept in registers are followed, one from another.
const MAX_KEPT: usize = 4;

impl Function {
    /// The instruction that sets the flags which the one with index `user` reads.
    fn flags_before(&self, user: usize) -> Option<&Instruction> {
        let needed = self.insns.get(user)?.rflags_read();
        let mut here = user;
        for _ in 0..MAX_STEPS {
            let [before] = self.before.get(here)?.as_slice() else { return None };
            let insn = self.insns.get(*before)?;
            if matches!(insn.flow_control(), FlowControl::Call | FlowControl::IndirectCall) {
                return None;
            }
            if insn.rflags_modified() & needed != 0 {
                return Some(insn);
            }
            here = *before;
        }
        None
    }

    /// What the conditional jump with index `jump` asks where it is taken or not.
    pub(super) fn test_before(&self, jump: usize, taken: bool, flow: &Flow) -> Option<Branch> {
        let insn = self.insns.get(jump)?;
        let mut out = Branch {
            jump: insn.ip(),
            taken,
            compare: insn.ip(),
            kept_by: None,
            test: None,
            stores: false,
            calls: Vec::new(),
        };
        if matches!(insn.mnemonic(), Mnemonic::Jrcxz | Mnemonic::Jecxz) {
            return Some(out);
        }
        let compare = self.flags_before(jump)?;
        out.compare = compare.ip();
        out.test = test_of(compare, insn.condition_code(), taken, flow);
        for _ in 0..MAX_KEPT {
            let Some((kept, set)) = out.test.and_then(|t| kept_condition(&t, flow)) else { break };
            let Some(&n) = self.at.get(&kept) else { break };
            let (Some(setter), Some(compare)) = (self.insns.get(n), self.flags_before(n)) else { break };
            let Some(test) = test_of(compare, setter.condition_code(), set, flow) else { break };
            out.test = Some(test);
            out.compare = compare.ip();
            out.kept_by = Some(kept);
        }
        Some(out)
    }

    /// The comparison whose outcome the instruction at `ip` (`sete`) keeps in a register, as it is where that is 1.
    #[must_use]
    pub fn kept_at(&self, ip: u64, flow: &Flow) -> Option<(u64, Test)> {
        let n = *self.at.get(&ip)?;
        let (setter, compare) = (self.insns.get(n)?, self.flags_before(n)?);
        Some((compare.ip(), test_of(compare, setter.condition_code(), true, flow)?))
    }

    /// What a jump through a table asks for its case number `case`.
    pub(super) fn case_test(&self, jump: usize, case: usize, flow: &Flow) -> Option<Branch> {
        let insn = self.insns.get(jump)?;
        let load = match operand(insn, 0)? {
            Operand::Mem(_) => insn,
            _ => self
                .insns
                .get(jump.saturating_sub(super::TABLE_REACH)..jump)?
                .iter()
                .rev()
                .find(|i| matches!(operand(i, 1), Some(Operand::Mem(m)) if m.index.is_some()))?,
        };
        let index = (0..2).find_map(|n| match operand(load, n) {
            Some(Operand::Mem(m)) => m.index,
            _ => None,
        })?;
        let part = |operand, sym| Part { operand, sym, after: false };
        let register = Operand::Reg { number: index.0, size: 8 };
        let test = Test {
            left: part(register, flow.register(load.ip(), index.0)),
            mask: None,
            bit: None,
            right: part(Operand::Imm(i64::try_from(case).ok()?), None),
            relation: Relation::Eq,
            signed: false,
            size: 8,
        };
        Some(Branch {
            jump: insn.ip(),
            taken: true,
            compare: load.ip(),
            kept_by: None,
            test: Some(test),
            stores: false,
            calls: Vec::new(),
        })
    }
}

/// Of a comparison of a kept condition with zero: the instruction that kept it, and whether it was set.
fn kept_condition(test: &Test, flow: &Flow) -> Option<(u64, bool)> {
    let Expr::Flag { at, whole } = flow.expr(test.left.sym?) else { return None };
    let zero = test.right.operand == Operand::Imm(0) && test.mask.is_none() && test.bit.is_none();
    if !zero || test.left.after || (!whole && test.size != 1) {
        return None;
    }
    match test.relation {
        Relation::Ne => Some((at, true)),
        Relation::Eq => Some((at, false)),
        _ => None,
    }
}

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
fn test_of(insn: &Instruction, condition: ConditionCode, taken: bool, flow: &Flow) -> Option<Test> {
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
            let number = super::regs::RAX;
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
