//! A function's machine code, sliced: which values its registers hold at an instruction, and which condition leads to
//! a trap. No architecture is known here: what an instruction does is for the architecture that lifted it
//! (`Lifted`), and what calls do for its [`Convention`].
//!
//! **Invariant:** what is not certain is [`Expr::Opaque`]; a value is never guessed.

mod carried;
mod condition;
mod decide;
mod expr;
mod flow;
mod making;
mod memory;
mod narrowed;

pub use carried::{Carried, Hop};
pub use condition::{Branch, Part, Relation, Test};
pub use decide::Way;
pub use expr::{BinOp, Expr, Sym, cut};
pub use flow::Flow;
pub(crate) use flow::State;

use crate::RegSet;
use rustc_hash::FxHashMap;

/// More bytes than any function of the kernel has.
pub const MAX_BYTES: usize = 1 << 18;
/// More bytes than any instruction has.
const MAX_INSN: u64 = 16;
/// More operands than any instruction has.
const MAX_OPERANDS: u32 = 8;

/// A memory operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mem {
    /// Base register.
    pub base: Option<usize>,
    /// Index register with its scale.
    pub index: Option<(usize, u8)>,
    /// Displacement, or the whole address where there is no base (also of operands relative to the instruction).
    pub disp: i64,
    /// Bytes read or written.
    pub size: u64,
    /// Relative to the CPU's own area.
    pub per_cpu: bool,
}

/// An operand of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand {
    /// The low `size` bytes of a register.
    Reg {
        /// Its number.
        number: usize,
        /// Bytes.
        size: u64,
    },
    /// A constant, sign-extended.
    Imm(i64),
    /// Memory.
    Mem(Mem),
}

/// How an instruction changes the memory that it reads. What was there before is in a register or a flag afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exchange {
    /// Adds this operand, which gets what was there.
    Fetch(Operand),
    /// Stores this operand, which gets what was there.
    Swap(Operand),
    /// Stores this operand where the accumulator is what is there; the accumulator gets what was there.
    Compare(Operand),
    /// Arithmetic with this operand; the flags are of the result.
    Change(BinOp, Operand),
    /// Sets, clears (`And`) or flips (`Xor`) the bit with this number; the carry is what it was.
    Bit(BinOp, Operand),
}

/// What functions agree on.
#[derive(Debug)]
pub struct Convention {
    /// The registers, with their roles in calls.
    pub regs: &'static RegSet,
    /// How many of them code computes with, from number 0 on. Only these are followed.
    pub followed: usize,
    /// Registers that a call may change.
    pub clobbered: &'static [usize],
    /// The register that [`Exchange::Compare`] compares, and that gets what was in memory.
    pub accumulator: usize,
}

impl Convention {
    /// What the registers that are followed hold.
    pub(crate) fn registers<'s>(&self, state: &'s State) -> &'s [Sym] {
        state.0.get(..self.followed).unwrap_or(&state.0)
    }

    /// The number of an argument register among the arguments.
    #[must_use]
    pub fn argument(&self, register: usize) -> Option<usize> {
        self.regs.roles.arguments.iter().position(|a| *a == register)
    }
}

/// How code goes on after an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// With the next one.
    Next,
    /// It calls [`Op::target`].
    Call,
    /// It calls what a register or memory holds.
    IndirectCall,
    /// At the target or with the next one.
    Conditional,
    /// At the target.
    Jump,
    /// Where a register or memory says.
    IndirectJump,
    /// It traps. Where the kernel resumes there ([`Known::resumes`]), with the next one.
    Trap,
    /// Not in this function: it returns.
    End,
}

/// An instruction, as far as the order of instructions goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    /// Where it is.
    pub(crate) ip: u64,
    /// Where the one behind it is.
    pub(crate) next: u64,
    /// How code goes on.
    pub(crate) kind: Kind,
    /// The address that it jumps to or calls; 0 where it does not say.
    pub(crate) target: u64,
}

impl Op {
    fn is_call(&self) -> bool {
        matches!(self.kind, Kind::Call | Kind::IndirectCall)
    }
}

/// Decoded instructions of a function: what an architecture says of them. `n` counts them.
pub(crate) trait Lifted: Send + Sync {
    /// What functions agree on.
    fn convention(&self) -> &'static Convention;
    /// The instructions.
    fn ops(&self) -> Vec<Op>;
    /// The text, branch targets left out.
    fn text(&self, n: usize) -> Option<String>;
    /// Operand `which`.
    fn operand(&self, n: usize, which: u32) -> Option<Operand>;
    /// The memory that it reads or writes, and whether it writes.
    fn accesses(&self, n: usize) -> Vec<(Mem, bool)>;
    /// True where it reads a register.
    fn reads(&self, n: usize, register: usize) -> bool;
    /// True where it does nothing.
    fn is_nop(&self, n: usize) -> bool;
    /// True where it stands between pieces of code so that nothing runs there: what a speculating processor comes to
    /// behind a return.
    fn is_barrier(&self, n: usize) -> bool;
    /// True where it copies or fills memory.
    fn is_string(&self, n: usize) -> bool;
    /// True where it divides.
    fn divides(&self, n: usize) -> bool;
    /// True where it stores to another place than the stack.
    fn stores(&self, n: usize) -> bool;
    /// How it changes memory that it reads; and whether it does so at once for all CPUs.
    fn exchange(&self, n: usize) -> Option<(Exchange, bool)>;
    /// The memory of the table that an indirect jump goes through.
    fn table(&self, jump: usize) -> Option<Mem>;
    /// The instruction that reads that table, and the register with the number of the case.
    fn case(&self, jump: usize) -> Option<(usize, usize)>;

    /// Brings `state` from before the instruction to behind it. `from_entry`: how far it is from the function's entry.
    fn step(&self, n: usize, from_entry: u64, flow: &mut Flow, state: &mut State);
    /// What a comparison with a constant makes, and drops.
    fn difference(&self, n: usize, flow: &mut Flow, state: &State) -> Option<Sym>;
    /// The flags that it reads, as bits of the architecture's own.
    fn flags_read(&self, n: usize) -> u32;
    /// The flags that it changes.
    fn flags_changed(&self, n: usize) -> u32;
    /// What the flags that `compare` leaves say where `user`, which may be the same, finds its condition to hold, or not to.
    fn test(&self, compare: usize, user: usize, holds: bool, flow: &Flow) -> Option<Test>;
}

/// A function's instructions, of its main part and of those that the compiler moved away (`.cold`).
pub struct Function {
    code: Box<dyn Lifted>,
    ops: Vec<Op>,
    at: FxHashMap<u64, usize>,
    entry: u64,
    /// For each instruction, those that may run right before it.
    before: Vec<Vec<usize>>,
    /// For each instruction, those that may run right after it.
    after: Vec<Vec<usize>>,
    /// Jumps through a table, with the table's targets in order.
    switches: FxHashMap<usize, Vec<u64>>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Function({:#x}, {} instructions)", self.entry, self.ops.len())
    }
}

/// What a function's code does not say of itself.
pub struct Known<'a> {
    /// Of a trap: whether the kernel goes on after it, as after a warning.
    pub resumes: &'a dyn Fn(u64) -> bool,
    /// Of the target of a direct call: whether it returns.
    pub returns: &'a dyn Fn(u64) -> bool,
    /// Of the memory that a jump takes its target from: the jump table there.
    pub table: &'a dyn Fn(&Mem) -> Vec<u64>,
}

impl Default for Known<'_> {
    /// No trap resumes, all calls return, no table is known.
    fn default() -> Self {
        Self { resumes: &|_| false, returns: &|_| true, table: &|_| Vec::new() }
    }
}

impl std::fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known")
    }
}

/// How many instructions [`Function::just_before`] goes back.
const MAX_BEFORE: usize = 32;

impl Function {
    /// The order of a function's instructions; the function begins at `entry`.
    pub(crate) fn of(entry: u64, code: Box<dyn Lifted>, known: &Known<'_>) -> Self {
        let ops = code.ops();
        let at: FxHashMap<u64, usize> = ops.iter().enumerate().map(|(n, op)| (op.ip, n)).collect();
        let mut before = vec![Vec::new(); ops.len()];
        let mut after = vec![Vec::new(); ops.len()];
        let mut switches = FxHashMap::default();
        for (n, op) in ops.iter().enumerate() {
            let mut targets: Vec<u64> = Vec::new();
            let falls = match op.kind {
                Kind::Call => (known.returns)(op.target),
                Kind::Next | Kind::IndirectCall => true,
                Kind::Conditional => {
                    targets.push(op.target);
                    true
                }
                Kind::Jump => {
                    targets.push(op.target);
                    false
                }
                Kind::IndirectJump => {
                    targets = code.table(n).map(|m| (known.table)(&m)).unwrap_or_default();
                    if !targets.is_empty() {
                        switches.insert(n, targets.clone());
                    }
                    false
                }
                Kind::Trap => (known.resumes)(op.ip),
                Kind::End => false,
            };
            if falls {
                targets.push(op.next);
            }
            for to in targets.iter().filter_map(|t| at.get(t)) {
                if let (Some(b), Some(a)) = (before.get_mut(*to), after.get_mut(n))
                    && !b.contains(&n)
                {
                    b.push(n);
                    a.push(*to);
                }
            }
        }
        let mut function = Self { code, ops, at, entry, before, after, switches };
        function.leave_out_padding();
        function
    }

    /// Takes away that code goes on from what only fills room in front of the next piece of code: nothing leads to it. Else
    /// that piece would seem to be reached by two ways.
    fn leave_out_padding(&mut self) {
        let leads_anywhere =
            |(n, op): (usize, &Op)| op.kind == Kind::IndirectJump && !self.switches.contains_key(&n);
        // a jump whose targets are not known may lead to an instruction that does nothing, not to a barrier
        let open = self.ops.iter().enumerate().any(leads_anywhere);
        let entry = self.number(self.entry);
        for n in 0..self.ops.len() {
            let fills = self.code.is_barrier(n) || (!open && self.code.is_nop(n));
            if !fills || Some(n) == entry || self.before.get(n).is_none_or(|before| !before.is_empty()) {
                continue;
            }
            let next = self.after.get_mut(n).map(std::mem::take).unwrap_or_default();
            for to in next {
                if let Some(before) = self.before.get_mut(to) {
                    before.retain(|from| *from != n);
                }
            }
        }
    }

    fn number(&self, ip: u64) -> Option<usize> {
        self.at.get(&ip).copied()
    }

    fn op(&self, ip: u64) -> Option<&Op> {
        self.ops.get(self.number(ip)?)
    }

    /// What functions agree on.
    #[must_use]
    pub fn convention(&self) -> &'static Convention {
        self.code.convention()
    }

    /// True where an instruction begins at this address.
    #[must_use]
    pub fn has(&self, ip: u64) -> bool {
        self.at.contains_key(&ip)
    }

    /// How many instructions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }
    /// True where nothing could be decoded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The instruction as the machine's assemblers write it, branch targets left out.
    #[must_use]
    pub fn text(&self, ip: u64) -> Option<String> {
        self.code.text(self.number(ip)?)
    }

    /// The address that a direct jump or call leads to.
    #[must_use]
    pub fn target(&self, ip: u64) -> Option<u64> {
        let op = self.op(ip)?;
        matches!(op.kind, Kind::Call | Kind::Conditional | Kind::Jump).then_some(op.target)
    }

    /// The memory that the instruction at `ip` reads or writes, and whether it writes. For string
    /// operations and others with two accesses, all of them.
    #[must_use]
    pub fn accesses(&self, ip: u64) -> Vec<(Mem, bool)> {
        self.number(ip).map(|n| self.code.accesses(n)).unwrap_or_default()
    }

    /// The register or memory that an indirect call or jump at `ip` takes its target from.
    #[must_use]
    pub fn indirect(&self, ip: u64) -> Option<Operand> {
        match self.op(ip)?.kind {
            Kind::IndirectCall | Kind::IndirectJump => self.operand(ip, 0),
            _ => None,
        }
    }

    /// The call that returns to `ip`, and where it takes its target from; for a call of a thunk
    /// (`__x86_indirect_thunk_rax`) that is the caller's business to know.
    #[must_use]
    pub fn call_before(&self, ip: u64) -> Option<(u64, Option<Operand>)> {
        let call = (1..=MAX_INSN).find_map(|len| {
            let op = self.op(ip.wrapping_sub(len))?;
            (op.is_call() && op.next == ip).then_some(op.ip)
        })?;
        Some((call, self.indirect(call)))
    }

    /// The instructions that have run right before the one at `ip`, the nearest first, up to where paths meet or a call
    /// may have changed memory.
    pub fn just_before(&self, ip: u64) -> impl Iterator<Item = u64> + '_ {
        let mut here = self.number(ip);
        std::iter::from_fn(move || {
            let [only] = self.before.get(here?)?.as_slice() else { return None };
            let op = self.ops.get(*only).filter(|op| !op.is_call())?;
            here = Some(*only);
            Some(op.ip)
        })
        .take(MAX_BEFORE)
    }

    /// The instructions that run behind the one at `ip` whatever is decided: those up to the next jump, where no other way
    /// leads to them and no call may change memory.
    pub fn before_jump(&self, ip: u64) -> impl Iterator<Item = u64> + '_ {
        let mut here = self.number(ip);
        std::iter::from_fn(move || {
            let [only] = self.after.get(here?)?.as_slice() else { return None };
            let [_] = self.before.get(*only)?.as_slice() else { return None };
            let op = self.ops.get(*only).filter(|op| op.kind == Kind::Next)?;
            here = Some(*only);
            Some(op.ip)
        })
        .take(MAX_BEFORE)
    }

    /// The direct calls: each with its target.
    pub fn calls(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ops.iter().filter(|op| op.kind == Kind::Call).map(|op| (op.ip, op.target))
    }

    /// True where the function looks at what a register held on entry.
    #[must_use]
    pub fn reads(&self, register: usize, flow: &Flow) -> bool {
        self.ops.iter().enumerate().any(|(n, op)| {
            let held = flow.register(op.ip, register).map(|sym| flow.expr(sym));
            held == Some(Expr::Entry(register)) && self.code.reads(n, register)
        })
    }

    /// Operand `which` of the instruction at `ip`.
    #[must_use]
    pub fn operand(&self, ip: u64, which: u32) -> Option<Operand> {
        self.code.operand(self.number(ip)?, which)
    }

    /// How the instruction at `ip` changes memory that it reads; and whether it does so at once for all CPUs.
    #[must_use]
    pub fn exchange(&self, ip: u64) -> Option<(Exchange, bool)> {
        self.code.exchange(self.number(ip)?)
    }

    /// True for instructions that copy or fill memory.
    #[must_use]
    pub fn is_string(&self, ip: u64) -> bool {
        self.number(ip).is_some_and(|n| self.code.is_string(n))
    }

    /// True where the instruction divides.
    #[must_use]
    pub fn divides(&self, ip: u64) -> bool {
        self.number(ip).is_some_and(|n| self.code.divides(n))
    }
}
