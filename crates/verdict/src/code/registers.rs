//! The values that registers had in frames further out, and at calls in them.
//!
//! The kernel's unwind tables tell where a caller's stack is and not what its registers were. That the code tells:
//! a function keeps what it must give back in the registers themselves or in the slots that it pushed them to, and
//! what it needs itself after a call in the same places.

use crate::code::function::Code;
use crate::code::listing::Listing;
use crate::naming::names::Namer;
use arch::Regs;
use arch::dataflow::{Expr, Operand, Sym};
use base::VirtAddr;
use kernel::Session;
use kernel::stack::called::thunk_register;
use std::rc::Rc;
use unwind::Frame;

/// A frame's function, and what of its registers and stack is still known.
pub(crate) struct FrameValues<'a> {
    s: &'a Session,
    pub(crate) code: &'a Rc<Code>,
    pub(crate) regs: Regs,
    cfa: Option<VirtAddr>,
    /// All registers are known: nothing was called from here.
    whole: bool,
    /// Where the frame is.
    pub(crate) ip: u64,
}

impl<'a> FrameValues<'a> {
    /// Of a frame, with the registers that are known in it.
    fn of(s: &'a Session, code: &'a Rc<Code>, frame: &Frame, regs: Regs) -> Self {
        Self { s, code, regs, cfa: frame.cfa, whole: !frame.is_call, ip: frame.pc.0 }
    }

    /// The value of an expression of the function, as far as it is kept anywhere at the frame's place.
    pub(crate) fn value(&self, sym: Sym) -> Option<u64> {
        self.eval(sym, 0)
    }

    /// The value of a register before the instruction at `at`.
    pub(crate) fn register_at(&self, at: u64, register: usize) -> Option<u64> {
        self.value(self.code.flow.register(at, register)?)
    }

    /// The register of a function's first argument.
    pub(crate) fn first(&self) -> Option<usize> {
        self.regs.reg_set().roles.arguments.first().copied()
    }

    /// The first argument that the function was called with.
    fn argument_on_entry(&self) -> Option<u64> {
        self.on_entry(self.first()?)
    }

    /// What a register held when the function was entered.
    pub(crate) fn on_entry(&self, register: usize) -> Option<u64> {
        self.value(self.code.flow.register(self.code.entry.0, register)?)
    }

    fn eval(&self, sym: Sym, depth: usize) -> Option<u64> {
        if depth > 6 {
            return None;
        }
        if let Expr::Const(v) = self.code.flow.expr(sym) {
            return Some(v.cast_unsigned());
        }
        let expr = self.code.flow.expr(sym);
        // a value of unknown origin is in no place for certain
        if !matches!(expr, Expr::Opaque(0))
            && let Some(v) = self.held(sym)
        {
            return Some(v);
        }
        match expr {
            Expr::Add { base, disp } => Some(self.eval(base, depth + 1)?.wrapping_add_signed(disp)),
            Expr::Load { base, disp, size: 8, .. } => {
                let at = self.eval(base, depth + 1)?.wrapping_add_signed(disp);
                self.s.mem().u64(VirtAddr(at)).ok()
            }
            Expr::Stack(at) => Some(self.cfa?.0.wrapping_sub(8).wrapping_add_signed(at)),
            Expr::Phi { .. } => self.eval(self.code.flow.only(sym)?, depth + 1),
            _ => None,
        }
    }

    /// In a register, or in a slot of the stack.
    fn held(&self, sym: Sym) -> Option<u64> {
        let kept = self.regs.reg_set().roles.preserved;
        let known = |n: &usize| (self.whole || kept.contains(n)) && self.regs.get(*n).is_some();
        let register = self.code.flow.holders(self.ip, sym).find(known).and_then(|n| self.regs.get(n));
        register.or_else(|| {
            let at = self.code.flow.slot_of(self.ip, sym)?;
            self.s.mem().u64(VirtAddr(self.cfa?.0.wrapping_sub(8).wrapping_add_signed(at))).ok()
        })
    }
}

/// Frames from one outwards, with their code and what is known of their registers.
pub(crate) struct Chain<'a> {
    s: &'a Session,
    frames: &'a [Frame],
    from: usize,
    links: Vec<(Option<Rc<Code>>, Regs)>,
}

/// How far outwards registers are followed.
const MAX_LINKS: usize = 16;

impl<'a> Chain<'a> {
    /// From frame `from` to frame `to`.
    pub(crate) fn of(s: &'a Session, frames: &'a [Frame], from: usize, to: usize) -> Self {
        let mut links: Vec<(Option<Rc<Code>>, Regs)> = Vec::new();
        let mut carried: Option<Regs> = None;
        for frame in frames.iter().take(to.saturating_add(1)).skip(from).take(MAX_LINKS) {
            let mut regs = frame.regs;
            let kept = regs.reg_set().roles.preserved;
            for &n in kept {
                if regs.get(n).is_none() {
                    regs.put(n, carried.as_ref().and_then(|c| c.get(n)));
                }
            }
            let code = Code::around(s, frame.lookup());
            // what the caller's registers were: those that this function has to give back
            carried = code.as_ref().filter(|_| frame.saved.is_none()).map(|code| {
                let values = FrameValues::of(s, code, frame, regs);
                let mut out = Regs::new(regs.reg_set());
                kept.iter().for_each(|&n| out.put(n, values.on_entry(n)));
                out
            });
            links.push((code, regs));
        }
        Self { s, frames, from, links }
    }

    /// The values of a frame's function; `None` where its code is not in the dump.
    pub(crate) fn values_at(&self, n: usize) -> Option<FrameValues<'_>> {
        let (code, regs) = self.links.get(n.checked_sub(self.from)?)?;
        Some(FrameValues::of(self.s, code.as_ref()?, self.frames.get(n)?, *regs))
    }

    /// The first argument that a frame's function was called with.
    pub(crate) fn first_argument(&self, n: usize) -> Option<u64> {
        self.values_at(n)?.argument_on_entry()
    }

    /// The first argument of the call that a frame is in: its value, and the name of what was passed.
    pub(crate) fn passed(&self, n: usize) -> (Option<u64>, Option<String>) {
        let found = || {
            let values = self.values_at(n)?;
            let frame = self.frames.get(n)?;
            let call = Listing::around(self.s, frame.lookup())?.call_before(frame.pc)?;
            let first = values.first()?;
            let value = values.register_at(call.0, first);
            let namer = || Namer::new(self.s, values.code, &values.regs, frame.cfa.map(|a| a.0));
            let name = namer().register(call.0, first).map(|n| n.text());
            // the parameter of a function that was inlined (`lock` of `spin_lock()`) says less than what it was called with
            let own = || namer().by_own().register(call.0, first).map(|n| n.text());
            let is_bare = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let name = if name.as_ref().is_some_and(is_bare) { own().or(name) } else { name };
            Some((value, name))
        };
        found().unwrap_or_default()
    }

    /// The function that the indirect call that a frame is in has called: another than the frame before says, where
    /// that one jumped on to the next.
    pub(crate) fn called(&self, n: usize) -> Option<VirtAddr> {
        let values = self.values_at(n)?;
        let frame = self.frames.get(n)?;
        let (call, operand) = values.code.function.call_before(frame.pc.0)?;
        let value = match operand.or_else(|| thunk(self.s, values.code, call))? {
            Operand::Reg { number, .. } => values.register_at(call, number)?,
            Operand::Mem(m) => {
                let (base, disp) = values.code.flow.address(call, &m)?;
                self.s.mem().u64(VirtAddr(values.value(base)?.wrapping_add_signed(disp))).ok()?
            }
            Operand::Imm(_) => return None,
        };
        let at = VirtAddr(value);
        self.s.locate(at).filter(|l| l.offset == 0 && self.s.is_text(at)).map(|_| at)
    }
}

/// The register that a retpoline's thunk jumps to.
pub(crate) fn thunk(s: &Session, code: &Code, call: u64) -> Option<Operand> {
    let number = thunk_register(s, VirtAddr(code.function.target(call)?))?;
    Some(Operand::Reg { number, size: 8 })
}
