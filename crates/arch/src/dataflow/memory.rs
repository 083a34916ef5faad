//! What operands, memory and calls hold.

use super::expr::{BinOp, Expr, Sym};
use super::flow::State;
use super::making::MAX_DEPTH;
use super::{Flow, Mem, Operand};

impl Flow {
    /// What an operand holds, in 8 bytes of which only its own count.
    pub(crate) fn value(&mut self, ip: u64, from: Operand, state: &State) -> Sym {
        let expr = match from {
            Operand::Imm(v) => Expr::Const(v),
            Operand::Reg { number, .. } => match state.0.get(number) {
                Some(sym) => return *sym,
                None => Expr::Opaque(ip),
            },
            Operand::Mem(m) => return self.load(ip, &m, state),
        };
        self.make(expr)
    }

    /// `base + index * scale + disp`
    pub(crate) fn sum(&mut self, ip: u64, m: &Mem, state: &State) -> Sym {
        let base = m.base.and_then(|b| state.0.get(b).copied());
        let index = m.index.and_then(|(i, scale)| Some((state.0.get(i).copied()?, scale)));
        let scaled = index.map(|(sym, scale)| {
            let by = self.make(Expr::Const(i64::from(scale.trailing_zeros())));
            if scale > 1 { self.bin(BinOp::Shl, sym, by, 8, ip) } else { sym }
        });
        match (base, scaled) {
            (None, None) => self.make(Expr::Const(m.disp)),
            (Some(one), None) | (None, Some(one)) => self.add(one, m.disp, ip),
            (Some(base), Some(index)) => {
                let sum = self.bin(BinOp::Add, base, index, 8, ip);
                self.add(sum, m.disp, ip)
            }
        }
    }

    /// What is read from memory.
    pub(crate) fn load(&mut self, ip: u64, m: &Mem, state: &State) -> Sym {
        if m.per_cpu {
            let whole = m.base.is_none() && m.index.is_none();
            return self.make(if whole {
                Expr::PerCpu { at: m.disp, size: m.size }
            } else {
                Expr::Opaque(ip)
            });
        }
        if m.base.is_none() && m.index.is_none() {
            let base = self.make(Expr::Const(m.disp));
            return self.make(Expr::Load { base, disp: 0, size: m.size, at: ip });
        }
        let whole = self.sum(ip, m, state);
        let (base, disp) = match self.expr(whole) {
            Expr::Add { base, disp } => (base, disp),
            Expr::Stack(at) => match state.1.get(&at) {
                Some((sym, size)) if m.size <= *size => return self.cut(*sym, m.size, false),
                _ => (whole, 0),
            },
            Expr::Opaque(at) if at == ip => return whole,
            _ => (whole, 0),
        };
        if self.depth(base) >= MAX_DEPTH {
            return self.make(Expr::Opaque(ip));
        }
        self.make(Expr::Load { base, disp, size: m.size, at: ip })
    }

    /// A stack address that is handed out.
    pub(crate) fn leak(&mut self, sym: Sym) {
        if let Expr::Stack(at) = self.expr(sym) {
            self.leaked = Some(self.leaked.map_or(at, |low| low.min(at)));
        }
    }

    /// What a call leaves.
    pub(crate) fn call(&mut self, ip: u64, state: &mut State) {
        for &n in self.convention.clobbered {
            let sym = self.make(if n == self.convention.regs.roles.result {
                Expr::Returned(ip)
            } else {
                Expr::Opaque(ip)
            });
            if let Some(slot) = state.0.get_mut(n) {
                *slot = sym;
            }
        }
        self.forget(state);
    }

    /// Forgets the slots that code elsewhere may have changed. Registers saved for the caller are none of
    /// them: a function that overwrites those returns into chaos.
    pub(crate) fn forget(&self, state: &mut State) {
        let Some(low) = self.leaked else { return };
        let saved = |sym: Sym| matches!(self.expr(sym), Expr::Entry(n) if self.convention.regs.roles.preserved.contains(&n));
        state.1.retain(|slot, (held, _)| *slot < low || saved(*held));
    }
}
