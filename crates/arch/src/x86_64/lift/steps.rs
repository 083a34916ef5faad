//! What each instruction does to the registers and to the stack's slots.

use super::uses::Uses;
use super::{CONVENTION, number, operand};
use crate::dataflow::{BinOp, Expr, Flow, Mem, Operand, State, Sym};
use crate::x86_64::regs;
use iced_x86::{FlowControl, Instruction, Mnemonic};

/// What arithmetic leaves in its destination.
fn arithmetic(flow: &mut Flow, insn: &Instruction, dst: usize, size: u64, state: &State) -> Option<Sym> {
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
            let by = flow.make(Expr::Const(1));
            let op = if insn.mnemonic() == Mnemonic::Inc { BinOp::Add } else { BinOp::Sub };
            let a = *state.0.get(dst)?;
            return Some(flow.bin(op, a, by, size, ip));
        }
        _ => return None,
    };
    let three = insn.op_count() == 3;
    let (a, b) = if three { (1, 2) } else { (0, 1) };
    let (a, b) = (operand(insn, a)?, operand(insn, b)?);
    if a == b && matches!(op, BinOp::Xor | BinOp::Sub) {
        return Some(flow.make(Expr::Const(0)));
    }
    let (a, b) = (flow.value(insn.ip(), a, state), flow.value(insn.ip(), b, state));
    Some(flow.bin(op, a, b, size, ip))
}

/// What `cmp` of a register with a constant makes, and drops.
pub(super) fn difference(flow: &mut Flow, insn: &Instruction, state: &State) -> Option<Sym> {
    match (insn.mnemonic(), operand(insn, 0)?, operand(insn, 1)?) {
        (Mnemonic::Cmp, Operand::Reg { number, size }, Operand::Imm(by)) if size >= 4 => {
            let (a, b) = (*state.0.get(number)?, flow.make(Expr::Const(by)));
            Some(flow.bin(BinOp::Sub, a, b, size, insn.ip()))
        }
        _ => None,
    }
}

/// What an instruction leaves in its destination register, where that is followed.
fn result_of(flow: &mut Flow, insn: &Instruction, dst: usize, size: u64, state: &State) -> Option<Sym> {
    let src = operand(insn, 1);
    let own = |from: Operand| match from {
        Operand::Reg { size, .. } => size,
        Operand::Mem(m) => m.size,
        Operand::Imm(_) => 8,
    };
    match (insn.mnemonic(), src) {
        (Mnemonic::Mov, Some(src)) => {
            let sym = flow.value(insn.ip(), src, state);
            if src == (Operand::Reg { number: regs::RSP, size: 8 }) && dst != regs::RBP {
                flow.leak(sym);
            }
            Some(flow.cut(sym, size, false))
        }
        (Mnemonic::Movzx, Some(src)) => {
            let sym = flow.value(insn.ip(), src, state);
            Some(flow.cut(sym, own(src), false))
        }
        (Mnemonic::Movsx | Mnemonic::Movsxd, Some(src)) => {
            let sym = flow.value(insn.ip(), src, state);
            let wide = flow.cut(sym, own(src), true);
            Some(flow.cut(wide, size, false))
        }
        (Mnemonic::Lea, Some(Operand::Mem(m))) => {
            let sym = flow.sum(insn.ip(), &m, state);
            flow.leak(sym);
            Some(flow.cut(sym, size, false))
        }
        (Mnemonic::Pop, _) => {
            let m = Mem { base: Some(regs::RSP), index: None, disp: 0, size: 8, per_cpu: false };
            Some(flow.load(insn.ip(), &m, state))
        }
        _ => arithmetic(flow, insn, dst, size, state),
    }
}

/// The state after an instruction, which reads and writes as `uses` says; a call may be that of `__fentry__`.
pub(super) fn step(insn: &Instruction, uses: &Uses, is_fentry: bool, flow: &mut Flow, state: &mut State) {
    let ip = insn.ip();
    match insn.flow_control() {
        // __fentry__ keeps every register
        FlowControl::Call if is_fentry => return,
        FlowControl::Call | FlowControl::IndirectCall => return flow.call(ip, state),
        _ => {}
    }
    let dst = match operand(insn, 0) {
        Some(Operand::Reg { number, size }) if insn.op_count() > 0 && size >= 4 => Some((number, size)),
        _ => None,
    };
    let exchanged = exchanged(flow, insn, state);
    let result = match (dst, exchanged) {
        (_, Some((_, old))) => Some(old),
        (Some((n, size)), None) => result_of(flow, insn, n, size, state),
        (None, None) => flag(flow, insn, state).or_else(|| narrow(flow, insn, state)),
    };
    let dst =
        exchanged.map(|(n, _)| n).or(dst.map(|(n, _)| n)).or_else(|| match (result, operand(insn, 0)) {
            (Some(_), Some(Operand::Reg { number, .. })) => Some(number),
            _ => None,
        });
    if insn.mnemonic() == Mnemonic::Leave {
        return leave(flow, ip, state);
    }
    if insn.mnemonic() == Mnemonic::Cdqe {
        let wide = state.0.get(regs::RAX).copied().map(|sym| flow.cut(sym, 4, true));
        if let (Some(slot), Some(sym)) = (state.0.get_mut(regs::RAX), wide) {
            *slot = sym;
        }
        return;
    }
    stores(flow, insn, uses, state);
    let stack = insn.stack_pointer_increment();
    for n in (0..CONVENTION.followed).filter(|n| uses.writes(*n)) {
        let sym = match result {
            Some(sym) if Some(n) == dst => sym,
            _ if n == regs::RSP && stack != 0 => {
                let held = state.0.get(n).copied();
                match held {
                    Some(held) => flow.add(held, i64::from(stack), ip),
                    None => flow.make(Expr::Opaque(ip)),
                }
            }
            _ => flow.make(Expr::Opaque(ip)),
        };
        if let Some(slot) = state.0.get_mut(n) {
            *slot = sym;
        }
    }
}

/// `lock xadd %eax,(%rdi)`, `xchg %eax,(%rdi)`: the register gets what the memory had.
fn exchanged(flow: &mut Flow, insn: &Instruction, state: &State) -> Option<(usize, Sym)> {
    let (one, other) = (operand(insn, 0)?, operand(insn, 1)?);
    match (insn.mnemonic(), one, other) {
        (Mnemonic::Xadd, Operand::Mem(m), Operand::Reg { number, size })
        | (Mnemonic::Xchg, Operand::Mem(m), Operand::Reg { number, size })
        | (Mnemonic::Xchg, Operand::Reg { number, size }, Operand::Mem(m))
            if size >= 4 =>
        {
            Some((number, flow.load(insn.ip(), &m, state)))
        }
        (Mnemonic::Cmpxchg, Operand::Mem(m), Operand::Reg { size, .. }) if size >= 4 => {
            Some((regs::RAX, flow.load(insn.ip(), &m, state)))
        }
        _ => None,
    }
}

/// `shr $1,%al` of a register that holds no more than that byte: the others stay zero.
fn narrow(flow: &mut Flow, insn: &Instruction, state: &State) -> Option<Sym> {
    let Operand::Reg { number, size } = operand(insn, 0)? else { return None };
    let held = *state.0.get(number)?;
    let whole = size < 4 && flow.cut(held, size, false) == held;
    whole.then(|| arithmetic(flow, insn, number, size, state))?
}

/// `sete %al`
fn flag(flow: &mut Flow, insn: &Instruction, state: &State) -> Option<Sym> {
    use iced_x86::ConditionCode as C;
    let Some(Operand::Reg { number, size: 1 }) = operand(insn, 0) else { return None };
    let sets = insn.condition_code() != C::None && insn.op_count() == 1;
    let whole = state.0.get(number).is_some_and(|held| flow.expr(*held) == Expr::Const(0));
    sets.then(|| flow.make(Expr::Flag { at: insn.ip(), whole }))
}

/// `mov %rbp,%rsp; pop %rbp`
fn leave(flow: &mut Flow, ip: u64, state: &mut State) {
    let m = Mem { base: Some(regs::RBP), index: None, disp: 0, size: 8, per_cpu: false };
    let saved = flow.load(ip, &m, state);
    let frame = state.0.get(regs::RBP).copied();
    let sp = match frame {
        Some(frame) => flow.add(frame, 8, ip),
        None => flow.make(Expr::Opaque(ip)),
    };
    for (n, sym) in [(regs::RSP, sp), (regs::RBP, saved)] {
        if let Some(slot) = state.0.get_mut(n) {
            *slot = sym;
        }
    }
}

/// What the instruction stores to the stack; a store elsewhere cannot be to a slot whose address
/// was never taken.
fn stores(flow: &mut Flow, insn: &Instruction, uses: &Uses, state: &mut State) {
    for m in &uses.stores {
        let size = m.memory_size().size() as u64;
        let base = number(m.base()).and_then(|b| state.0.get(b)).map(|s| flow.expr(*s));
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
                    let sym = flow.value(insn.ip(), source, state);
                    let sym = flow.cut(sym, size, false);
                    state.1.insert(at, (sym, size));
                }
            }
            Some(Expr::Stack(_)) => state.1.clear(),
            _ => {
                flow.forget(state);
            }
        }
    }
}
