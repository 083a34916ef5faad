//! What each instruction does to the registers and to the stack's slots.

use super::expr::{BinOp, Expr, Sym};
use super::flow::State;
use super::making::MAX_DEPTH;
use super::{CALL_CLOBBERED, Flow, Mem, Operand, number, operand};
use crate::x86_64::regs;
use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess};

/// Registers that calls keep, beside the stack pointer.
const KEPT: [usize; 6] = [regs::RBX, regs::RBP, regs::R12, regs::R13, regs::R14, regs::R15];

impl Flow {
    /// What an operand holds, in 8 bytes of which only its own count.
    fn value(&mut self, insn: &Instruction, from: Operand, state: &State) -> Sym {
        let ip = insn.ip();
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
    fn sum(&mut self, ip: u64, m: &Mem, state: &State) -> Sym {
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

    pub(super) fn load(&mut self, ip: u64, m: &Mem, state: &State) -> Sym {
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

    /// What arithmetic leaves in its destination.
    fn arithmetic(&mut self, insn: &Instruction, dst: usize, size: u64, state: &State) -> Option<Sym> {
        let ip = insn.ip();
        let op = match insn.mnemonic() {
            Mnemonic::Add => BinOp::Add,
            Mnemonic::Sub => BinOp::Sub,
            Mnemonic::And => BinOp::And,
            Mnemonic::Or => BinOp::Or,
            Mnemonic::Xor => BinOp::Xor,
            Mnemonic::Shl => BinOp::Shl,
            Mnemonic::Shr => BinOp::Shr,
            Mnemonic::Sar => BinOp::Sar,
            Mnemonic::Imul if insn.op_count() >= 2 => BinOp::Mul,
            Mnemonic::Inc | Mnemonic::Dec => {
                let by = self.make(Expr::Const(1));
                let op = if insn.mnemonic() == Mnemonic::Inc { BinOp::Add } else { BinOp::Sub };
                let a = *state.0.get(dst)?;
                return Some(self.bin(op, a, by, size, ip));
            }
            _ => return None,
        };
        let three = insn.op_count() == 3;
        let (a, b) = if three { (1, 2) } else { (0, 1) };
        let (a, b) = (operand(insn, a)?, operand(insn, b)?);
        if a == b && matches!(op, BinOp::Xor | BinOp::Sub) {
            return Some(self.make(Expr::Const(0)));
        }
        let (a, b) = (self.value(insn, a, state), self.value(insn, b, state));
        Some(self.bin(op, a, b, size, ip))
    }

    /// What `cmp` of a register with a constant makes, and drops.
    pub(super) fn difference(&mut self, insn: &Instruction, state: &State) -> Option<Sym> {
        match (insn.mnemonic(), operand(insn, 0)?, operand(insn, 1)?) {
            (Mnemonic::Cmp, Operand::Reg { number, size }, Operand::Imm(by)) if size >= 4 => {
                let (a, b) = (*state.0.get(number)?, self.make(Expr::Const(by)));
                Some(self.bin(BinOp::Sub, a, b, size, insn.ip()))
            }
            _ => None,
        }
    }

    /// What an instruction leaves in its destination register, where that is followed.
    fn result_of(&mut self, insn: &Instruction, dst: usize, size: u64, state: &State) -> Option<Sym> {
        let src = operand(insn, 1);
        let own = |from: Operand| match from {
            Operand::Reg { size, .. } => size,
            Operand::Mem(m) => m.size,
            Operand::Imm(_) => 8,
        };
        match (insn.mnemonic(), src) {
            (Mnemonic::Mov, Some(src)) => {
                let sym = self.value(insn, src, state);
                if src == (Operand::Reg { number: regs::RSP, size: 8 }) && dst != regs::RBP {
                    self.leak(sym);
                }
                Some(self.cut(sym, size, false))
            }
            (Mnemonic::Movzx, Some(src)) => {
                let sym = self.value(insn, src, state);
                Some(self.cut(sym, own(src), false))
            }
            (Mnemonic::Movsx | Mnemonic::Movsxd, Some(src)) => {
                let sym = self.value(insn, src, state);
                let wide = self.cut(sym, own(src), true);
                Some(self.cut(wide, size, false))
            }
            (Mnemonic::Lea, Some(Operand::Mem(m))) => {
                let sym = self.sum(insn.ip(), &m, state);
                self.leak(sym);
                Some(self.cut(sym, size, false))
            }
            (Mnemonic::Pop, _) => {
                let m = Mem { base: Some(regs::RSP), index: None, disp: 0, size: 8, per_cpu: false };
                Some(self.load(insn.ip(), &m, state))
            }
            _ => self.arithmetic(insn, dst, size, state),
        }
    }

    /// A stack address that is handed out.
    fn leak(&mut self, sym: Sym) {
        if let Expr::Stack(at) = self.expr(sym) {
            self.leaked = Some(self.leaked.map_or(at, |low| low.min(at)));
        }
    }

    /// The state after an instruction.
    pub(super) fn step(
        &mut self,
        insn: &Instruction,
        first: bool,
        state: &mut State,
        f: &mut InstructionInfoFactory,
    ) {
        let ip = insn.ip();
        match insn.flow_control() {
            // __fentry__ keeps every register
            FlowControl::Call if first => return,
            FlowControl::Call | FlowControl::IndirectCall => return self.call(ip, state),
            _ => {}
        }
        let dst = match operand(insn, 0) {
            Some(Operand::Reg { number, size }) if insn.op_count() > 0 && size >= 4 => Some((number, size)),
            _ => None,
        };
        let exchanged = self.exchanged(insn, state);
        let result = match (dst, exchanged) {
            (_, Some((_, old))) => Some(old),
            (Some((n, size)), None) => self.result_of(insn, n, size, state),
            (None, None) => self.flag(insn, state),
        };
        let dst =
            exchanged.map(|(n, _)| n).or(dst.map(|(n, _)| n)).or_else(|| match (result, operand(insn, 0)) {
                (Some(_), Some(Operand::Reg { number, .. })) => Some(number),
                _ => None,
            });
        if insn.mnemonic() == Mnemonic::Leave {
            return self.leave(ip, state);
        }
        if insn.mnemonic() == Mnemonic::Cdqe {
            let wide = state.0.get(regs::RAX).copied().map(|sym| self.cut(sym, 4, true));
            if let (Some(slot), Some(sym)) = (state.0.get_mut(regs::RAX), wide) {
                *slot = sym;
            }
            return;
        }
        self.stores(insn, state, f);
        let info = f.info(insn);
        let written: Vec<usize> = info
            .used_registers()
            .iter()
            .filter(|r| {
                matches!(
                    r.access(),
                    OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
                )
            })
            .filter_map(|r| number(r.register()))
            .collect();
        let stack = insn.stack_pointer_increment();
        for n in written {
            let sym = match result {
                Some(sym) if Some(n) == dst => sym,
                _ if n == regs::RSP && stack != 0 && insn.mnemonic() != Mnemonic::Leave => {
                    let held = state.0.get(n).copied();
                    match held {
                        Some(held) => self.add(held, i64::from(stack), ip),
                        None => self.make(Expr::Opaque(ip)),
                    }
                }
                _ => self.make(Expr::Opaque(ip)),
            };
            if let Some(slot) = state.0.get_mut(n) {
                *slot = sym;
            }
        }
    }

    /// `lock xadd %eax,(%rdi)`, `xchg %eax,(%rdi)`: the register gets what the memory had.
    fn exchanged(&mut self, insn: &Instruction, state: &State) -> Option<(usize, Sym)> {
        let (one, other) = (operand(insn, 0)?, operand(insn, 1)?);
        match (insn.mnemonic(), one, other) {
            (Mnemonic::Xadd, Operand::Mem(m), Operand::Reg { number, size })
            | (Mnemonic::Xchg, Operand::Mem(m), Operand::Reg { number, size })
            | (Mnemonic::Xchg, Operand::Reg { number, size }, Operand::Mem(m))
                if size >= 4 =>
            {
                Some((number, self.load(insn.ip(), &m, state)))
            }
            (Mnemonic::Cmpxchg, Operand::Mem(m), Operand::Reg { size, .. }) if size >= 4 => {
                Some((super::ACCUMULATOR, self.load(insn.ip(), &m, state)))
            }
            _ => None,
        }
    }

    /// `sete %al`
    fn flag(&mut self, insn: &Instruction, state: &State) -> Option<Sym> {
        use iced_x86::ConditionCode as C;
        let Some(Operand::Reg { number, size: 1 }) = operand(insn, 0) else { return None };
        let sets = insn.condition_code() != C::None && insn.op_count() == 1;
        let whole = state.0.get(number).is_some_and(|held| self.expr(*held) == Expr::Const(0));
        sets.then(|| self.make(Expr::Flag { at: insn.ip(), whole }))
    }

    /// `mov %rbp,%rsp; pop %rbp`
    fn leave(&mut self, ip: u64, state: &mut State) {
        let m = Mem { base: Some(regs::RBP), index: None, disp: 0, size: 8, per_cpu: false };
        let saved = self.load(ip, &m, state);
        let frame = state.0.get(regs::RBP).copied();
        let sp = match frame {
            Some(frame) => self.add(frame, 8, ip),
            None => self.make(Expr::Opaque(ip)),
        };
        for (n, sym) in [(regs::RSP, sp), (regs::RBP, saved)] {
            if let Some(slot) = state.0.get_mut(n) {
                *slot = sym;
            }
        }
    }

    /// What the instruction stores to the stack; a store elsewhere cannot be to a slot whose address
    /// was never taken.
    fn stores(&mut self, insn: &Instruction, state: &mut State, f: &mut InstructionInfoFactory) {
        let written: Vec<_> = f
            .info(insn)
            .used_memory()
            .iter()
            .filter(|m| {
                matches!(
                    m.access(),
                    OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
                )
            })
            .copied()
            .collect();
        for m in written {
            let size = m.memory_size().size() as u64;
            let base = number(m.base()).and_then(|b| state.0.get(b)).map(|s| self.expr(*s));
            match base {
                Some(Expr::Stack(at)) if number(m.index()).is_none() => {
                    // iced gives a push its address below the old stack pointer
                    let at = at.wrapping_add(m.displacement().cast_signed());
                    state.1.retain(|slot, (_, len)| {
                        *slot + len.cast_signed() <= at || at + size.cast_signed() <= *slot
                    });
                    let source = match insn.mnemonic() {
                        Mnemonic::Mov => operand(insn, 1),
                        Mnemonic::Push => operand(insn, 0),
                        _ => None,
                    };
                    if let Some(source @ (Operand::Reg { .. } | Operand::Imm(_))) = source {
                        let sym = self.value(insn, source, state);
                        let sym = self.cut(sym, size, false);
                        state.1.insert(at, (sym, size));
                    }
                }
                Some(Expr::Stack(_)) => state.1.clear(),
                _ => {
                    self.forget(state);
                }
            }
        }
    }

    fn call(&mut self, ip: u64, state: &mut State) {
        for n in CALL_CLOBBERED {
            let sym = self.make(if n == regs::RAX { Expr::Returned(ip) } else { Expr::Opaque(ip) });
            if let Some(slot) = state.0.get_mut(n) {
                *slot = sym;
            }
        }
        self.forget(state);
    }

    /// Forgets the slots that code elsewhere may have changed. Registers saved for the caller are none of
    /// them: a function that overwrites those returns into chaos.
    fn forget(&self, state: &mut State) {
        let Some(low) = self.leaked else { return };
        let saved = |sym: Sym| matches!(self.expr(sym), Expr::Entry(n) if KEPT.contains(&n));
        state.1.retain(|slot, (held, _)| *slot < low || saved(*held));
    }
}
