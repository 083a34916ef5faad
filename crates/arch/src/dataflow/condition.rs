//! What a conditional jump asks: the comparison before it, told as C would.

use super::expr::{Expr, Sym};
use super::{Flow, Function, Kind, Operand};

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
    /// The instruction that keeps the comparison's outcome in a register, where there is one.
    pub kept_by: Option<u64>,
    /// What it compares; `None` for flags that are no comparison (a carry, a parity).
    pub test: Option<Test>,
    /// True where memory may change between the jump and the trap.
    pub stores: bool,
    /// The calls between the jump and the trap.
    pub calls: Vec<u64>,
    /// Comparisons and jumps of the same switch before this one, which leave no other values.
    pub before: Vec<u64>,
}

/// How far before a jump its comparison is looked for.
const MAX_STEPS: usize = 64;
/// How many conditions kept in registers are followed, one from another.
const MAX_KEPT: usize = 4;

impl Function {
    /// The instruction that sets the flags which the one with index `user` reads.
    fn flags_before(&self, user: usize) -> Option<usize> {
        let needed = self.code.flags_read(user);
        let mut here = user;
        for _ in 0..MAX_STEPS {
            let [before] = self.before.get(here)?.as_slice() else { return None };
            if self.ops.get(*before)?.is_call() {
                return None;
            }
            if self.code.flags_changed(*before) & needed != 0 {
                return Some(*before);
            }
            here = *before;
        }
        None
    }

    /// What the conditional jump with index `jump` asks where it is taken or not.
    pub(super) fn test_before(&self, jump: usize, taken: bool, flow: &Flow) -> Option<Branch> {
        let op = self.ops.get(jump)?;
        let mut out = Branch {
            jump: op.ip,
            taken,
            compare: op.ip,
            kept_by: None,
            test: None,
            stores: false,
            calls: Vec::new(),
            before: Vec::new(),
        };
        if op.kind == Kind::Conditional && self.code.flags_read(jump) == 0 {
            // it compares by itself
            out.test = self.code.test(jump, jump, taken, flow);
            return Some(out);
        }
        let compare = self.flags_before(jump)?;
        out.compare = self.ops.get(compare)?.ip;
        out.test = self.code.test(compare, jump, taken, flow);
        for _ in 0..MAX_KEPT {
            let Some((kept, set)) = out.test.and_then(|t| kept_condition(&t, flow)) else { break };
            let Some(n) = self.number(kept) else { break };
            let Some(compare) = self.flags_before(n) else { break };
            let Some(test) = self.code.test(compare, n, set, flow) else { break };
            out.test = Some(test);
            out.compare = self.ops.get(compare)?.ip;
            out.kept_by = Some(kept);
        }
        Some(out)
    }

    /// The comparison whose outcome the instruction at `ip` keeps in a register, as it is where that is 1.
    #[must_use]
    pub fn kept_at(&self, ip: u64, flow: &Flow) -> Option<(u64, Test)> {
        let n = self.number(ip)?;
        let compare = self.flags_before(n)?;
        Some((self.ops.get(compare)?.ip, self.code.test(compare, n, true, flow)?))
    }

    /// What a jump through a table asks for its case number `case`.
    pub(super) fn case_test(&self, jump: usize, case: usize, flow: &Flow) -> Option<Branch> {
        let (load, index) = self.code.case(jump)?;
        let (jump, load) = (self.ops.get(jump)?.ip, self.ops.get(load)?.ip);
        let part = |operand, sym| Part { operand, sym, after: false };
        let register = Operand::Reg { number: index, size: 8 };
        let test = Test {
            left: part(register, flow.register(load, index)),
            mask: None,
            bit: None,
            right: part(Operand::Imm(i64::try_from(case).ok()?), None),
            relation: Relation::Eq,
            signed: false,
            size: 8,
        };
        Some(Branch {
            jump,
            taken: true,
            compare: load,
            kept_by: None,
            test: Some(test),
            stores: false,
            calls: Vec::new(),
            before: Vec::new(),
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
