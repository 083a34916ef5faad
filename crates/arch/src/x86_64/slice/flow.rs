//! Forward data flow: what each register holds before each instruction, in terms of the function's
//! arguments, of memory reached from them, and of what calls returned.

use super::expr::{BinOp, Expr, Sym, cut};
use super::{CALL_CLOBBERED, Function, Mem, Operand, number, operand};
use crate::x86_64::regs;
use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Longest chain of loads and additions that is kept.
const MAX_DEPTH: usize = 12;
/// Deepest operand of an operation that is kept.
const MAX_BIN_DEPTH: usize = 5;
/// Registers that calls keep, beside the stack pointer.
const KEPT: [usize; 6] = [regs::RBX, regs::RBP, regs::R12, regs::R13, regs::R14, regs::R15];
/// How often the stack's handed-out addresses may turn out to be more.
const MAX_RUNS: usize = 3;
/// Work bound: steps per instruction.
const ROUNDS: usize = 40;

type State = ([Sym; 16], FxHashMap<i64, (Sym, u64)>);

/// The values before each instruction.
pub struct Flow {
    exprs: Vec<Expr>,
    known: FxHashMap<Expr, Sym>,
    states: FxHashMap<u64, State>,
    /// What instructions that set flags read from memory.
    loaded: FxHashMap<u64, Sym>,
    /// What they leave in their first operand.
    results: FxHashMap<u64, Sym>,
    /// The values that meet in a register where paths do.
    meetings: FxHashMap<(u64, usize), Vec<Sym>>,
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
        let mut flow = Self::run(function, None);
        for _ in 0..MAX_RUNS {
            // an address handed out late may have been used by a call before, in a loop
            let next = Self::run(function, flow.leaked);
            if next.leaked == flow.leaked {
                return next;
            }
            flow = next;
        }
        flow.states.clear();
        flow
    }

    fn run(function: &Function, leaked: Option<i64>) -> Self {
        let mut flow = Self {
            exprs: Vec::new(),
            known: FxHashMap::default(),
            states: FxHashMap::default(),
            loaded: FxHashMap::default(),
            results: FxHashMap::default(),
            meetings: FxHashMap::default(),
            leaked,
        };
        let nothing = flow.make(Expr::Opaque(function.entry));
        let mut entry = [nothing; 16];
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
                let only =
                    to.ip() != function.entry && function.before.get(*next).is_some_and(|b| b.len() == 1);
                if flow.arrive(to.ip(), &state, only) {
                    work.push_back(*next);
                }
            }
        }
        flow.keep_operands(function, &mut factory);
        flow.keep_meetings(function, &mut factory);
        flow
    }

    /// Notes the values that meet where paths do.
    fn keep_meetings(&mut self, function: &Function, factory: &mut InstructionInfoFactory) {
        // the caller's values meet those of a loop that begins with the function
        for register in 0..16 {
            let at = function.entry;
            if self.register(at, register).map(|s| self.expr(s)) == Some(Expr::Phi { at, register }) {
                let came =
                    self.make(if register == regs::RSP { Expr::Stack(0) } else { Expr::Entry(register) });
                self.meetings.insert((at, register), vec![came]);
            }
        }
        for (n, insn) in function.insns.iter().enumerate() {
            let is_entry = |n: usize| function.insns.get(n).is_some_and(|i| i.ip() == function.entry);
            let meets =
                |next: &&usize| is_entry(**next) || function.before.get(**next).is_some_and(|b| b.len() > 1);
            let nexts: Vec<usize> =
                function.after.get(n).into_iter().flatten().filter(meets).copied().collect();
            let (false, Some(mut state)) = (nexts.is_empty(), self.states.get(&insn.ip()).cloned()) else {
                continue;
            };
            self.step(insn, insn.ip().wrapping_sub(function.entry) < 6, &mut state, factory);
            for to in nexts.iter().filter_map(|n| function.insns.get(*n)) {
                for (register, came) in state.0.iter().enumerate() {
                    let at = to.ip();
                    if self.register(at, register).map(|s| self.expr(s)) == Some(Expr::Phi { at, register }) {
                        let inputs = self.meetings.entry((at, register)).or_default();
                        if !inputs.contains(came) {
                            inputs.push(*came);
                        }
                    }
                }
            }
        }
    }

    /// The values of which [`Expr::Phi`] is one.
    #[must_use]
    pub fn inputs(&self, at: u64, register: usize) -> &[Sym] {
        self.meetings.get(&(at, register)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Notes what the instructions that set flags read from memory and what they make.
    fn keep_operands(&mut self, function: &Function, factory: &mut InstructionInfoFactory) {
        for insn in function.insns.iter().filter(|i| i.rflags_modified() != 0) {
            let ip = insn.ip();
            let Some(mut state) = self.states.get(&ip).cloned() else { continue };
            let memory = (0..insn.op_count()).find_map(|n| match operand(insn, n) {
                Some(Operand::Mem(m)) => Some(m),
                _ => None,
            });
            if let Some(m) = memory {
                let sym = self.load(ip, &m, &state);
                self.loaded.insert(ip, sym);
            }
            let dst = match operand(insn, 0) {
                Some(Operand::Reg { number, .. }) => number,
                _ => continue,
            };
            self.step(insn, false, &mut state, factory);
            if let Some(sym) = state.0.get(dst) {
                self.results.insert(ip, *sym);
            }
        }
    }

    /// What an instruction that sets flags reads from memory.
    #[must_use]
    pub fn loaded(&self, ip: u64) -> Option<Sym> {
        self.loaded.get(&ip).copied()
    }

    /// What an instruction that sets flags leaves in its first operand, where that is a register.
    #[must_use]
    pub fn result(&self, ip: u64) -> Option<Sym> {
        self.results.get(&ip).copied()
    }

    /// The expression behind an index.
    #[must_use]
    pub fn expr(&self, sym: Sym) -> Expr {
        self.exprs.get(sym.0 as usize).copied().unwrap_or(Expr::Opaque(0))
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

    /// A stack slot that holds all of `sym` before `ip`: bytes from the stack pointer on entry.
    #[must_use]
    pub fn slot_of(&self, ip: u64, sym: Sym) -> Option<i64> {
        self.spilled(ip, sym).filter(|(_, size)| *size == 8).map(|(at, _)| at)
    }

    /// A stack slot that holds `sym` before `ip`, and the slot's size.
    #[must_use]
    pub fn spilled(&self, ip: u64, sym: Sym) -> Option<(i64, u64)> {
        let slots = &self.states.get(&ip)?.1;
        slots.iter().filter(|(_, (held, _))| *held == sym).map(|(at, (_, size))| (*at, *size)).min()
    }

    /// The index of an expression that occurs in the function.
    #[must_use]
    pub fn find(&self, expr: Expr) -> Option<Sym> {
        self.known.get(&expr).copied()
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

    fn depth(&self, sym: Sym) -> usize {
        self.deep(sym, 0)
    }

    fn deep(&self, sym: Sym, down: usize) -> usize {
        if down > MAX_DEPTH {
            return down;
        }
        match self.expr(sym) {
            Expr::Load { base, .. } | Expr::Add { base, .. } | Expr::Cut { base, .. } => {
                1 + self.deep(base, down + 1)
            }
            Expr::Bin { a, b, .. } => 1 + self.deep(a, down + 1).max(self.deep(b, down + 1)),
            _ => 0,
        }
    }

    /// The low bytes of a value.
    fn cut(&mut self, base: Sym, size: u64, signed: bool) -> Sym {
        let expr = match self.expr(base) {
            _ if size >= 8 => return base,
            Expr::Const(c) => Expr::Const(cut(c.cast_unsigned(), size, signed).cast_signed()),
            Expr::Load { size: own, .. } | Expr::PerCpu { size: own, .. } if own <= size && !signed => {
                return base;
            }
            Expr::Bin { size: own, .. } | Expr::Cut { size: own, signed: false, .. }
                if own <= size && !signed =>
            {
                return base;
            }
            Expr::Cut { base, size: own, signed: false } if own >= size => Expr::Cut { base, size, signed },
            Expr::Flag { at, whole } if whole || size == 1 => Expr::Flag { at, whole: true },
            _ => Expr::Cut { base, size, signed },
        };
        self.make(expr)
    }

    fn bin(&mut self, op: BinOp, a: Sym, b: Sym, size: u64, ip: u64) -> Sym {
        let expr = match (op, self.expr(a), self.expr(b)) {
            (_, Expr::Const(x), Expr::Const(y)) => {
                Expr::Const(op.apply(x.cast_unsigned(), y.cast_unsigned(), size).cast_signed())
            }
            (BinOp::Add, _, Expr::Const(y)) if size == 8 => return self.add(a, y, ip),
            (BinOp::Add, Expr::Const(x), _) if size == 8 => return self.add(b, x, ip),
            (BinOp::Sub, _, Expr::Const(y)) if size == 8 => return self.add(a, y.wrapping_neg(), ip),
            _ if self.depth(a) > MAX_BIN_DEPTH || self.depth(b) > MAX_BIN_DEPTH => Expr::Opaque(ip),
            _ => Expr::Bin { op, a, b, size },
        };
        self.make(expr)
    }

    fn add(&mut self, base: Sym, disp: i64, ip: u64) -> Sym {
        let expr = match self.expr(base) {
            _ if disp == 0 => return base,
            Expr::Const(c) => Expr::Const(c.wrapping_add(disp)),
            Expr::Stack(c) => Expr::Stack(c.wrapping_add(disp)),
            Expr::Add { base, disp: first } => Expr::Add { base, disp: first.wrapping_add(disp) },
            _ if self.depth(base) >= MAX_DEPTH => Expr::Opaque(ip),
            _ => Expr::Add { base, disp },
        };
        self.make(expr)
    }

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

    fn load(&mut self, ip: u64, m: &Mem, state: &State) -> Sym {
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
    fn step(&mut self, insn: &Instruction, first: bool, state: &mut State, f: &mut InstructionInfoFactory) {
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
        let result = match dst {
            Some((n, size)) => self.result_of(insn, n, size, state),
            None => self.flag(insn, state),
        };
        let dst = dst.map(|(n, _)| n).or_else(|| match (result, operand(insn, 0)) {
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

    /// Brings a state to an instruction, the only one that comes there or one of several; true where that changed
    /// what is known there.
    fn arrive(&mut self, to: u64, new: &State, only: bool) -> bool {
        let Some(mut old) = self.states.remove(&to) else {
            self.states.insert(to, new.clone());
            return true;
        };
        if only {
            let changed = old != *new;
            self.states.insert(to, new.clone());
            return changed;
        }
        let mut changed = false;
        for (register, (have, came)) in old.0.iter_mut().zip(new.0.iter()).enumerate() {
            let meet = Expr::Phi { at: to, register };
            if have != came && self.expr(*have) != meet {
                *have = self.make(meet);
                changed = true;
            }
        }
        let before = old.1.len();
        old.1.retain(|slot, held| new.1.get(slot) == Some(held));
        changed |= old.1.len() != before;
        self.states.insert(to, old);
        changed
    }
}
