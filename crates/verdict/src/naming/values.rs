//! What a value of the data flow was when the instruction to blame ran: in a register, in a stack slot, in the
//! caller's registers, computed, printed by the kernel, or read from memory as the dump has it.
//!
//! **Invariant:** a value that memory holds in the dump and that the code had read earlier is told as such.

use crate::code::operand::{read, register_name};
use crate::model::Spot;
use crate::naming::names::Namer;
use arch::dataflow::{Expr, Operand, Sym, cut};
use base::VirtAddr;
use kernel::stack::called::{self, Entered};

/// A value, and where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    pub(crate) value: u64,
    /// Where; of constants and sums nowhere.
    pub(crate) spot: Spot,
    /// True where it was read from memory that may have changed since the code read it.
    pub(crate) now: bool,
    /// The address of that memory.
    pub(crate) memory: Option<u64>,
    /// The register it is in.
    pub(crate) register: Option<usize>,
}

impl Held {
    fn made(value: u64, now: bool) -> Self {
        Self { value, spot: Spot::Made, now, memory: None, register: None }
    }
}

const MAX_DEPTH: usize = 16;

impl Namer<'_> {
    /// What a value was when the instruction at `self.at` was about to run.
    pub(crate) fn value(&self, sym: Sym) -> Option<Held> {
        self.value_in(sym, 0)
    }

    fn value_in(&self, sym: Sym, depth: usize) -> Option<Held> {
        if depth > MAX_DEPTH {
            return None;
        }
        if let Some(held) = self.kept(sym) {
            return Some(held);
        }
        if let Some((_, value)) = self.printed.iter().find(|(known, _)| *known == sym) {
            return Some(Held { spot: Spot::Printed, ..Held::made(*value, false) });
        }
        let entry_sp = self.cfa.map(|cfa| cfa.wrapping_sub(8));
        match self.code.flow.expr(sym) {
            Expr::Const(v) => Some(Held::made(v.cast_unsigned(), false)),
            Expr::Stack(at) => Some(Held::made(entry_sp?.wrapping_add_signed(at), false)),
            Expr::Add { base, disp } => {
                let base = self.value_in(base, depth + 1)?;
                Some(Held::made(base.value.wrapping_add_signed(disp), base.now))
            }
            Expr::Cut { base, size, signed } => {
                let base = self.value_in(base, depth + 1)?;
                Some(Held { value: cut(base.value, size, signed), ..base })
            }
            Expr::Bin { op, a, b, size } => {
                let (a, b) = (self.value_in(a, depth + 1)?, self.value_in(b, depth + 1)?);
                Some(Held::made(op.apply(a.value, b.value, size), a.now || b.now))
            }
            Expr::Load { base, disp, size, at } => {
                // `xadd`: what it read is no longer there
                if self.code.function.accesses(at).iter().any(|(_, writes)| *writes) {
                    return None;
                }
                let at = self.value_in(base, depth + 1)?.value.wrapping_add_signed(disp);
                let value = read(self.s.mem(), at, size)?;
                let spot = Spot::Memory { bits: size * 8, at };
                Some(Held { value, spot, now: true, memory: Some(at), register: None })
            }
            Expr::PerCpu { at, size } => {
                let at = self.regs.per_cpu()?.wrapping_add_signed(at);
                let value = read(self.s.mem(), at, size)?;
                let spot = Spot::Memory { bits: size * 8, at };
                Some(Held { value, spot, now: true, memory: Some(at), register: None })
            }
            Expr::Entry(number) => {
                let outer = self.outer()?;
                let sym = outer.code.flow.register(outer.at, number)?;
                let held = outer.value_in(sym, depth + 1)?;
                let spot = Spot::Caller { function: outer.code.name.clone(), spot: Box::new(held.spot) };
                Some(Held { spot, register: None, ..held })
            }
            Expr::Phi { .. } => self.value_in(self.code.flow.only(sym)?, depth + 1),
            Expr::Flag { .. } | Expr::Returned(_) | Expr::Opaque(_) => None,
        }
    }

    /// A value that a register or a stack slot still holds.
    fn kept(&self, sym: Sym) -> Option<Held> {
        let flow = &self.code.flow;
        if matches!(flow.expr(sym), Expr::Const(_) | Expr::Stack(_)) {
            return None;
        }
        if let Some((n, value)) = flow.holders(self.at, sym).find_map(|n| Some((n, self.regs.get(n)?))) {
            let spot = Spot::Register(register_name(self.s, n, 8));
            return Some(Held { value, spot, now: false, memory: None, register: Some(n) });
        }
        let (slot, size) = flow.spilled(self.at, sym)?;
        let at = self.cfa?.wrapping_sub(8).wrapping_add_signed(slot);
        let value = read(self.s.mem(), at, size)?;
        Some(Held { value, spot: Spot::Saved(at), now: false, memory: Some(at), register: None })
    }

    /// What a register that calls keep held when this function was entered.
    pub(crate) fn on_entry(&self, number: usize) -> Option<u64> {
        let sym = self.code.flow.find(Expr::Entry(number));
        match sym {
            Some(sym) => self.kept(sym).map(|h| h.value),
            None => None,
        }
    }

    /// The function that called this one, at its call, with the registers that calls keep. `None` where the
    /// stack does not say for certain who called, or where the call was of another function that jumped here.
    pub(crate) fn outer(&self) -> Option<&Self> {
        self.outer.get_or_init(|| self.find_outer().map(Box::new)).as_deref()
    }

    fn find_outer(&self) -> Option<Self> {
        let (frame, rest) = self.callers.split_first()?;
        let entered = called::entered(self.s, self.code.entry, frame)?;
        let code = crate::code::function::Code::around(self.s, frame.lookup())?;
        let (call, operand) = code.function.call_before(frame.pc.0)?;
        let set = self.regs.reg_set();
        let mut regs = arch::Regs::new(set);
        for &n in set.roles.preserved {
            regs.put(n, self.on_entry(n));
        }
        regs.put(set.sp, self.cfa);
        regs.put(set.roles.per_cpu, self.regs.per_cpu());
        regs.set(set.pc, call);
        let cfa = frame.cfa.map(|at| at.0);
        let mut out = Self::new(self.s, &code, &regs, cfa).with_callers(rest);
        out.at = call;
        out.level = self.level + 1;
        if out.level > 3 {
            return None;
        }
        let is_proven = match entered {
            Entered::Directly => true,
            Entered::ByPointer => {
                called::leads_to(self.s, VirtAddr(out.callee(call, operand)?), self.code.entry)
            }
        };
        is_proven.then_some(out)
    }

    /// The address that a call leads to.
    fn callee(&self, call: u64, operand: Option<Operand>) -> Option<u64> {
        let flow = &self.code.flow;
        let register = match operand {
            Some(Operand::Reg { number, .. }) => Some(number),
            Some(Operand::Mem(m)) => {
                let (base, disp) = flow.address(call, &m)?;
                let at = self.value(base)?.value.wrapping_add_signed(disp);
                return read(self.s.mem(), at, 8);
            }
            _ => None,
        };
        let register = match register {
            Some(n) => Some(n),
            None => {
                let target = self.code.function.target(call)?;
                match called::thunk_register(self.s, VirtAddr(target)) {
                    Some(n) => Some(n),
                    None => return Some(target),
                }
            }
        };
        Some(self.value(flow.register(call, register?)?)?.value)
    }
}
