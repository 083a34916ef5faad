//! The conditions under which a trap is reached: the conditional jumps that lead there and the
//! comparisons before them, told as C would.

use super::{CALL_CLOBBERED, Function, Operand, number, operand};
use iced_x86::{ConditionCode, FlowControl, InstructionInfoFactory, Mnemonic, OpAccess};

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
    const fn negated(self) -> Self {
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

/// What is compared: `left & mask RELATION right`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Test {
    /// The left operand.
    pub left: Operand,
    /// What the left one is masked with before.
    pub mask: Option<Operand>,
    /// The right operand.
    pub right: Operand,
    /// How they relate where the trap is reached.
    pub relation: Relation,
    /// Compared as signed numbers.
    pub signed: bool,
    /// Bytes compared.
    pub size: u64,
}

/// One way into a trap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Branch {
    /// The conditional jump.
    pub jump: u64,
    /// True where it leads to the trap when taken; else the trap comes when it is not.
    pub taken: bool,
    /// The instruction that sets the flags.
    pub compare: u64,
    /// What it compares; `None` for flags that are no comparison (a carry, a parity).
    pub test: Option<Test>,
    /// Registers that change between the comparison and the trap.
    pub changed: Vec<usize>,
    /// True where memory may change between the comparison and the trap.
    pub stores: bool,
    /// The calls between the comparison and the trap.
    pub calls: Vec<u64>,
}

/// How far back a path is followed.
const MAX_STEPS: usize = 64;
/// How many ways into a trap are listed.
const MAX_BRANCHES: usize = 16;

impl Function {
    /// The conditional jumps that lead to the instruction at `trap`, nearest on each path.
    #[must_use]
    pub fn ways_to(&self, trap: u64) -> Vec<Branch> {
        let mut out = Vec::new();
        let Some(&at) = self.at.get(&trap) else { return out };
        let mut seen = vec![false; self.insns.len()];
        // a path: the instruction reached, and those between it and the trap
        let mut work: Vec<(usize, Vec<usize>)> = vec![(at, Vec::new())];
        while let Some((here, path)) = work.pop() {
            if std::mem::replace(seen.get_mut(here).unwrap_or(&mut true), true) || path.len() > MAX_STEPS {
                continue;
            }
            for &p in self.before.get(here).into_iter().flatten() {
                let Some(insn) = self.insns.get(p) else { continue };
                let to = self.insns.get(here).map_or(0, iced_x86::Instruction::ip);
                if insn.flow_control() == FlowControl::ConditionalBranch {
                    if out.len() < MAX_BRANCHES {
                        let taken = insn.near_branch_target() == to;
                        out.extend(self.branch(p, taken, &path));
                    }
                } else {
                    let mut path = path.clone();
                    path.push(p);
                    work.push((p, path));
                }
            }
        }
        out.sort_by_key(|b| b.jump);
        out
    }

    /// The branch at the conditional jump with index `jump`; `after` are the instructions between it
    /// and the trap.
    fn branch(&self, jump: usize, taken: bool, after: &[usize]) -> Option<Branch> {
        let jcc = self.insns.get(jump)?;
        let needed = jcc.rflags_read();
        let mut path: Vec<usize> = after.to_vec();
        let mut here = jump;
        let compare = loop {
            let [before] = self.before.get(here)?.as_slice() else { return None };
            let insn = self.insns.get(*before)?;
            if matches!(insn.flow_control(), FlowControl::Call | FlowControl::IndirectCall) {
                return None;
            }
            if insn.rflags_modified() & needed != 0 {
                break *before;
            }
            path.push(*before);
            here = *before;
            if path.len() > 2 * MAX_STEPS {
                return None;
            }
        };
        let insn = self.insns.get(compare)?;
        let mut out = Branch {
            jump: jcc.ip(),
            taken,
            compare: insn.ip(),
            test: test_of(insn, jcc.condition_code(), taken),
            changed: Vec::new(),
            stores: false,
            calls: Vec::new(),
        };
        let mut factory = InstructionInfoFactory::new();
        for n in path {
            self.effects(n, &mut factory, &mut out);
        }
        // an operation that compares its result with zero has changed its own operand
        Some(out)
    }

    fn effects(&self, n: usize, factory: &mut InstructionInfoFactory, out: &mut Branch) {
        let Some(insn) = self.insns.get(n) else { return };
        if matches!(insn.flow_control(), FlowControl::Call | FlowControl::IndirectCall) {
            out.calls.push(insn.ip());
            out.stores = true;
            out.changed.extend(CALL_CLOBBERED);
            return;
        }
        let writes = |a| {
            matches!(a, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
        };
        let info = factory.info(insn);
        for r in info.used_registers().iter().filter(|r| writes(r.access())) {
            out.changed.extend(number(r.register()));
        }
        out.stores |= info.used_memory().iter().any(|m| writes(m.access()));
    }
}

/// What a flag-setting instruction compares, for a condition. For operations whose result is compared
/// with zero, the left operand is where the result is afterwards.
fn test_of(insn: &iced_x86::Instruction, condition: ConditionCode, taken: bool) -> Option<Test> {
    use ConditionCode as C;
    let a = operand(insn, 0)?;
    let b = operand(insn, 1);
    let size = match (a, b) {
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
    let sign_only = matches!(condition, C::s | C::ns);
    let carry = matches!(condition, C::b | C::ae | C::be | C::a);
    let relation = if taken { relation } else { relation.negated() };
    let zero = Operand::Imm(0);
    let plain = |left, mask, right| Some(Test { left, mask, right, relation, signed, size });
    match insn.mnemonic() {
        // the sign of a difference is its order only without overflow
        Mnemonic::Cmp if !sign_only => plain(a, None, b?),
        Mnemonic::Test if a == b? => match condition {
            C::be | C::a => {
                // no carry after test: below-or-equal is equal
                let relation = if relation == Relation::Le { Relation::Eq } else { Relation::Ne };
                Some(Test { left: a, mask: None, right: zero, relation, signed: false, size })
            }
            C::b | C::ae => None,
            _ => plain(a, None, zero),
        },
        Mnemonic::Test if matches!(condition, C::e | C::ne) => plain(a, b, zero),
        // of the sign bit alone
        Mnemonic::Test if sign_only => plain(a, b, zero),
        Mnemonic::And | Mnemonic::Or | Mnemonic::Xor if !carry => plain(a, None, zero),
        Mnemonic::Sub | Mnemonic::Add | Mnemonic::Inc | Mnemonic::Dec | Mnemonic::Neg
            if matches!(condition, C::e | C::ne) || sign_only =>
        {
            plain(a, None, zero)
        }
        Mnemonic::Bt if matches!(condition, C::b | C::ae) => {
            let Some(Operand::Imm(bit)) = b else { return None };
            let bits = i64::try_from(size).ok()?.checked_mul(8)?;
            let mask = 1_i64.checked_shl(u32::try_from(bit.rem_euclid(bits)).ok()?)?;
            let relation = if relation == Relation::Lt { Relation::Ne } else { Relation::Eq };
            let mask = Some(Operand::Imm(mask));
            Some(Test { left: a, mask, right: zero, relation, signed: false, size })
        }
        _ => None,
    }
}
