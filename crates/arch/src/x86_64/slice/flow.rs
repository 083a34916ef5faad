//! Forward data flow: what each register holds before each instruction, in terms of the function's
//! arguments, of memory reached from them, and of what calls returned.

use super::{CALL_CLOBBERED, Function, Mem, Operand, number, operand};
use crate::x86_64::regs;
use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// An expression's index in its [`Flow`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sym(u32);

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Expr {
    /// What a register held on entry.
    Entry(usize),
    /// An address on the stack: bytes from the stack pointer on entry.
    Stack(i64),
    /// A constant.
    Const(i64),
    /// Read from memory at `base + disp`, `size` bytes, by the instruction at `at`.
    Load {
        /// The pointer.
        base: Sym,
        /// The offset.
        disp: i64,
        /// Bytes.
        size: u64,
        /// The instruction that read it.
        at: u64,
    },
    /// Read from the CPU's own area (`%gs:ADDRESS`).
    PerCpu {
        /// The address within the area.
        at: i64,
        /// Bytes.
        size: u64,
    },
    /// `base + disp`.
    Add {
        /// The value added to.
        base: Sym,
        /// The constant.
        disp: i64,
    },
    /// What the call at this address returned.
    Returned(u64),
    /// Set at this instruction, by something not followed.
    Opaque(u64),
    /// Different on different paths.
    Many,
}

/// Longest chain of loads and additions that is kept.
const MAX_DEPTH: usize = 12;
/// Work bound: steps per instruction.
const ROUNDS: usize = 40;

type State = ([Sym; 16], FxHashMap<i64, (Sym, u64)>);

/// The values before each instruction.
pub struct Flow {
    exprs: Vec<Expr>,
    known: FxHashMap<Expr, Sym>,
    states: FxHashMap<u64, State>,
    /// Stack addresses that the function hands out; what lies there may be changed by calls.
    leaked: Option<i64>,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flow({} expressions)", self.exprs.len())
    }
}

impl Flow {
    /// Runs over a function until nothing changes.
    #[must_use]
    pub fn of(function: &Function) -> Self {
        let mut flow = Self {
            exprs: Vec::new(),
            known: FxHashMap::default(),
            states: FxHashMap::default(),
            leaked: None,
        };
        let many = flow.make(Expr::Many);
        let mut entry = [many; 16];
        for (n, slot) in entry.iter_mut().enumerate() {
            *slot = if n == regs::RSP { flow.make(Expr::Stack(0)) } else { flow.make(Expr::Entry(n)) };
        }
        let mut factory = InstructionInfoFactory::new();
        flow.states.insert(function.entry, (entry, FxHashMap::default()));
        let mut work: VecDeque<usize> = function.at.get(&function.entry).copied().into_iter().collect();
        let mut left = function.insns.len().saturating_mul(ROUNDS);
        while let Some(n) = work.pop_front() {
            left = match left.checked_sub(1) {
                Some(left) => left,
                None => {
                    // not finished: nothing may be believed
                    flow.states.clear();
                    return flow;
                }
            };
            let Some(insn) = function.insns.get(n) else { continue };
            let Some(mut state) = flow.states.get(&insn.ip()).cloned() else { continue };
            flow.step(insn, insn.ip().wrapping_sub(function.entry) < 6, &mut state, &mut factory);
            for next in function.after.get(n).into_iter().flatten() {
                let Some(to) = function.insns.get(*next) else { continue };
                if flow.join(to.ip(), &state) {
                    work.push_back(*next);
                }
            }
        }
        flow
    }

    /// The expression behind an index.
    #[must_use]
    pub fn expr(&self, sym: Sym) -> Expr {
        self.exprs.get(sym.0 as usize).copied().unwrap_or(Expr::Many)
    }

    /// What a register holds before the instruction at `ip`; `None` where the instruction is never
    /// reached from the entry by direct jumps.
    #[must_use]
    pub fn register(&self, ip: u64, number: usize) -> Option<Sym> {
        self.states.get(&ip)?.0.get(number).copied()
    }

    /// The pointer and offset of a memory operand before `ip`, where it has a base and no index.
    #[must_use]
    pub fn address(&self, ip: u64, mem: &Mem) -> Option<(Sym, i64)> {
        if mem.per_cpu || mem.index.is_some() {
            return None;
        }
        let base = self.register(ip, mem.base?)?;
        match self.expr(base) {
            Expr::Add { base, disp } => Some((base, disp.wrapping_add(mem.disp))),
            _ => Some((base, mem.disp)),
        }
    }

    /// What the stack slot that `mem` names holds before `ip`.
    #[must_use]
    pub fn slot(&self, ip: u64, mem: &Mem) -> Option<Sym> {
        let (base, disp) = self.address(ip, mem)?;
        let Expr::Stack(at) = self.expr(base) else { return None };
        let (sym, size) = self.states.get(&ip)?.1.get(&at.wrapping_add(disp)).copied()?;
        (mem.size <= size).then_some(sym)
    }

    /// A stack slot that holds `sym` before `ip`: bytes from the stack pointer on entry.
    #[must_use]
    pub fn slot_of(&self, ip: u64, sym: Sym) -> Option<i64> {
        self.states.get(&ip)?.1.iter().find(|(_, (held, size))| *held == sym && *size == 8).map(|(at, _)| *at)
    }

    /// The registers that hold the same value before `ip` as `sym`.
    pub fn holders(&self, ip: u64, sym: Sym) -> impl Iterator<Item = usize> + '_ {
        let state = self.states.get(&ip);
        state
            .into_iter()
            .flat_map(move |s| s.0.iter().enumerate().filter(move |(_, held)| **held == sym).map(|(n, _)| n))
    }

    fn make(&mut self, expr: Expr) -> Sym {
        if let Some(&sym) = self.known.get(&expr) {
            return sym;
        }
        let sym = Sym(u32::try_from(self.exprs.len()).unwrap_or(u32::MAX));
        self.exprs.push(expr);
        self.known.insert(expr, sym);
        sym
    }

    fn depth(&self, mut sym: Sym) -> usize {
        let mut depth = 0;
        while let Expr::Load { base, .. } | Expr::Add { base, .. } = self.expr(sym) {
            sym = base;
            depth += 1;
            if depth > MAX_DEPTH {
                break;
            }
        }
        depth
    }

    fn add(&mut self, base: Sym, disp: i64, ip: u64) -> Sym {
        let expr = match self.expr(base) {
            _ if disp == 0 => return base,
            Expr::Const(c) => Expr::Const(c.wrapping_add(disp)),
            Expr::Stack(c) => Expr::Stack(c.wrapping_add(disp)),
            Expr::Add { base, disp: first } => Expr::Add { base, disp: first.wrapping_add(disp) },
            Expr::Many => Expr::Opaque(ip),
            _ if self.depth(base) >= MAX_DEPTH => Expr::Opaque(ip),
            _ => Expr::Add { base, disp },
        };
        self.make(expr)
    }

    fn value(&mut self, insn: &Instruction, from: Operand, state: &State) -> Sym {
        let ip = insn.ip();
        let expr = match from {
            Operand::Imm(v) => Expr::Const(v),
            Operand::Reg { number, size } => match state.0.get(number) {
                Some(sym) if size >= 4 => return *sym,
                _ => Expr::Opaque(ip),
            },
            Operand::Mem(m) => return self.load(ip, &m, state),
        };
        self.make(expr)
    }

    fn load(&mut self, ip: u64, m: &Mem, state: &State) -> Sym {
        if m.per_cpu {
            let whole = m.base.is_none() && m.index.is_none();
            return self.make(if whole {
                Expr::PerCpu { at: m.disp, size: m.size }
            } else {
                Expr::Opaque(ip)
            });
        }
        if m.index.is_some() {
            return self.make(Expr::Opaque(ip));
        }
        let Some(base) = m.base else {
            let base = self.make(Expr::Const(m.disp));
            return self.make(Expr::Load { base, disp: 0, size: m.size, at: ip });
        };
        let Some(&held) = state.0.get(base) else { return self.make(Expr::Opaque(ip)) };
        let (base, disp) = match self.expr(held) {
            Expr::Add { base, disp } => (base, disp.wrapping_add(m.disp)),
            Expr::Stack(at) => {
                return match state.1.get(&at.wrapping_add(m.disp)) {
                    Some((sym, size)) if m.size <= *size && m.size >= 4 => *sym,
                    _ => self.make(Expr::Opaque(ip)),
                };
            }
            Expr::Many => return self.make(Expr::Opaque(ip)),
            _ => (held, m.disp),
        };
        if self.depth(base) >= MAX_DEPTH {
            return self.make(Expr::Opaque(ip));
        }
        self.make(Expr::Load { base, disp, size: m.size, at: ip })
    }

    /// The state after an instruction.
    fn step(&mut self, insn: &Instruction, first: bool, state: &mut State, f: &mut InstructionInfoFactory) {
        let ip = insn.ip();
        match insn.flow_control() {
            // __fentry__ keeps every register
            FlowControl::Call if first => return,
            FlowControl::Call | FlowControl::IndirectCall => return self.call(ip, state),
            _ => {}
        }
        let wide = |op: u32| match insn.op_kind(op) {
            OpKind::Register => insn.op_register(op).size() >= 4,
            _ => false,
        };
        let dst = (insn.op_count() > 0 && insn.op0_kind() == OpKind::Register && wide(0))
            .then(|| number(insn.op0_register()))
            .flatten();
        let src = operand(insn, 1);
        let result = match (insn.mnemonic(), dst, src) {
            (Mnemonic::Mov, Some(_), Some(src)) => Some(self.value(insn, src, state)),
            (Mnemonic::Movzx | Mnemonic::Movsx | Mnemonic::Movsxd, Some(_), Some(src)) => {
                Some(self.value(insn, src, state))
            }
            (Mnemonic::Lea, Some(_), Some(Operand::Mem(m))) => Some(self.lea(ip, &m, state)),
            (Mnemonic::Xor | Mnemonic::Sub, Some(d), Some(Operand::Reg { number: s, .. })) if d == s => {
                Some(self.make(Expr::Const(0)))
            }
            (Mnemonic::Add, Some(d), Some(Operand::Imm(v))) => {
                let base = state.0.get(d).copied();
                base.map(|base| self.add(base, v, ip))
            }
            (Mnemonic::Sub, Some(d), Some(Operand::Imm(v))) => {
                let base = state.0.get(d).copied();
                base.map(|base| self.add(base, v.wrapping_neg(), ip))
            }
            (Mnemonic::Pop, Some(_), _) => {
                let sp = state.0.get(regs::RSP).copied();
                let m = Mem { base: Some(regs::RSP), index: None, disp: 0, size: 8, per_cpu: false };
                sp.map(|_| self.load(ip, &m, state))
            }
            (Mnemonic::Leave, ..) => None,
            _ => None,
        };
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

    fn lea(&mut self, ip: u64, m: &Mem, state: &State) -> Sym {
        let Some(base) = m.base.and_then(|b| state.0.get(b).copied()) else {
            return self.make(if m.index.is_none() { Expr::Const(m.disp) } else { Expr::Opaque(ip) });
        };
        if m.index.is_some() {
            return self.make(Expr::Opaque(ip));
        }
        let sym = self.add(base, m.disp, ip);
        if let Expr::Stack(at) = self.expr(sym) {
            self.leaked = Some(self.leaked.map_or(at, |low| low.min(at)));
        }
        sym
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
                        state.1.insert(at, (sym, size));
                    }
                }
                Some(Expr::Stack(_)) => state.1.clear(),
                _ => {
                    if let Some(low) = self.leaked {
                        state.1.retain(|slot, _| *slot < low);
                    }
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
        if let Some(low) = self.leaked {
            state.1.retain(|slot, _| *slot < low);
        }
    }

    /// Brings a state to an instruction; true where that changed what is known there.
    fn join(&mut self, to: u64, new: &State) -> bool {
        let many = self.make(Expr::Many);
        let Some(old) = self.states.get_mut(&to) else {
            self.states.insert(to, new.clone());
            return true;
        };
        let mut changed = false;
        for (have, came) in old.0.iter_mut().zip(new.0.iter()) {
            if have != came && *have != many {
                *have = many;
                changed = true;
            }
        }
        let before = old.1.len();
        old.1.retain(|slot, held| new.1.get(slot) == Some(held));
        changed || old.1.len() != before
    }
}
