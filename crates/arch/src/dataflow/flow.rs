//! Forward data flow: what each register holds before each instruction, in terms of the function's
//! arguments, of memory reached from them, and of what calls returned.

use super::expr::{Expr, Sym};
use super::{Convention, Function, MAX_OPERANDS, Mem, Operand};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// How often the stack's handed-out addresses may turn out to be more.
const MAX_RUNS: usize = 3;
/// How often an instruction's state may change before it may only lose.
const MAX_VISITS: usize = 12;
/// Work bound: steps per instruction.
const ROUNDS: usize = 40;

/// Room for the registers of any architecture here: [`Convention::followed`] are in use.
const REGISTERS: usize = 32;

/// What the registers hold, and the stack's slots by their place, each with its size.
pub(crate) type State = ([Sym; REGISTERS], FxHashMap<i64, (Sym, u64)>);

/// The values before each instruction.
pub struct Flow {
    pub(super) convention: &'static Convention,
    pub(super) exprs: Vec<Expr>,
    pub(super) known: FxHashMap<Expr, Sym>,
    states: FxHashMap<u64, State>,
    /// What instructions that set flags read from memory.
    loaded: FxHashMap<u64, Sym>,
    /// What they leave in their first operand.
    results: FxHashMap<u64, Sym>,
    /// The values that meet in a register where paths do.
    meetings: FxHashMap<(u64, usize), Vec<Sym>>,
    /// Stack addresses that the function hands out; what lies there may be changed by calls.
    pub(super) leaked: Option<i64>,
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
        let convention = function.convention();
        let mut flow = Self {
            convention,
            exprs: Vec::new(),
            known: FxHashMap::default(),
            states: FxHashMap::default(),
            loaded: FxHashMap::default(),
            results: FxHashMap::default(),
            meetings: FxHashMap::default(),
            leaked,
        };
        let nothing = flow.make(Expr::Opaque(function.entry));
        let mut entry = [nothing; REGISTERS];
        for (n, slot) in entry.iter_mut().enumerate().take(convention.followed) {
            *slot =
                if n == convention.regs.sp { flow.make(Expr::Stack(0)) } else { flow.make(Expr::Entry(n)) };
        }
        let entry = (entry, FxHashMap::default());
        flow.states.insert(function.entry, entry.clone());
        let mut outs: FxHashMap<usize, State> = FxHashMap::default();
        let mut visits: FxHashMap<usize, usize> = FxHashMap::default();
        let mut work: VecDeque<usize> = function.number(function.entry).into_iter().collect();
        let mut left = function.ops.len().saturating_mul(ROUNDS);
        while let Some(n) = work.pop_front() {
            left = match left.checked_sub(1) {
                Some(left) => left,
                None => {
                    // not finished: nothing may be believed
                    flow.states.clear();
                    return flow;
                }
            };
            let Some(op) = function.ops.get(n) else { continue };
            let Some(mut state) = flow.states.get(&op.ip).cloned() else { continue };
            function.code.step(n, op.ip.wrapping_sub(function.entry), &mut flow, &mut state);
            outs.insert(n, state);
            for next in function.after.get(n).into_iter().flatten() {
                let Some(to) = function.ops.get(*next).map(|op| op.ip) else { continue };
                let mut incoming: Vec<&State> =
                    function.before.get(*next).into_iter().flatten().filter_map(|p| outs.get(p)).collect();
                if to == function.entry {
                    incoming.push(&entry);
                }
                let visits = visits.entry(*next).or_default();
                *visits += 1;
                if flow.arrive(to, &incoming, *visits > MAX_VISITS) {
                    work.push_back(*next);
                }
            }
        }
        flow.keep_operands(function);
        flow.keep_meetings(function);
        flow
    }

    /// Notes the values that meet where paths do.
    fn keep_meetings(&mut self, function: &Function) {
        // the caller's values meet those of a loop that begins with the function
        for register in 0..self.convention.followed {
            let at = function.entry;
            if self.register(at, register).map(|s| self.expr(s)) == Some(Expr::Phi { at, register }) {
                let is_stack = register == self.convention.regs.sp;
                let came = self.make(if is_stack { Expr::Stack(0) } else { Expr::Entry(register) });
                self.meetings.insert((at, register), vec![came]);
            }
        }
        for (n, op) in function.ops.iter().enumerate() {
            let is_entry = |n: usize| function.ops.get(n).is_some_and(|op| op.ip == function.entry);
            let meets =
                |next: &&usize| is_entry(**next) || function.before.get(**next).is_some_and(|b| b.len() > 1);
            let nexts: Vec<usize> =
                function.after.get(n).into_iter().flatten().filter(meets).copied().collect();
            let (false, Some(mut state)) = (nexts.is_empty(), self.states.get(&op.ip).cloned()) else {
                continue;
            };
            function.code.step(n, op.ip.wrapping_sub(function.entry), self, &mut state);
            for to in nexts.iter().filter_map(|n| function.ops.get(*n)) {
                for (register, came) in self.convention.registers(&state).iter().enumerate() {
                    let at = to.ip;
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
    fn keep_operands(&mut self, function: &Function) {
        let code = &function.code;
        for (n, op) in function.ops.iter().enumerate().filter(|(n, _)| code.flags_changed(*n) != 0) {
            let ip = op.ip;
            let Some(mut state) = self.states.get(&ip).cloned() else { continue };
            let memory = (0..MAX_OPERANDS).find_map(|which| match code.operand(n, which) {
                Some(Operand::Mem(m)) => Some(m),
                _ => None,
            });
            if let Some(m) = memory {
                let sym = self.load(ip, &m, &state);
                self.loaded.insert(ip, sym);
            }
            let dst = match code.operand(n, 0) {
                Some(Operand::Reg { number, .. }) => number,
                _ => continue,
            };
            let difference = code.difference(n, self, &state);
            code.step(n, u64::MAX, self, &mut state);
            if let Some(sym) = difference.or(state.0.get(dst).copied()) {
                self.results.insert(ip, sym);
            }
        }
    }

    /// What an instruction that sets flags reads from memory.
    #[must_use]
    pub fn loaded(&self, ip: u64) -> Option<Sym> {
        self.loaded.get(&ip).copied()
    }

    /// What an instruction that sets flags leaves in its first operand, where that is a register; of a comparison with a
    /// constant the difference, which it drops.
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
        self.convention.registers(self.states.get(&ip)?).get(number).copied()
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
        let registers = self.states.get(&ip).map(|state| self.convention.registers(state));
        registers.into_iter().flatten().enumerate().filter(move |(_, held)| **held == sym).map(|(n, _)| n)
    }

    /// Brings the states of all that may run before it to an instruction; true where that changed what is known there.
    /// A visitor too many may only take away from what is known, so that there is an end.
    fn arrive(&mut self, to: u64, incoming: &[&State], weary: bool) -> bool {
        let Some(new) = self.joined(to, incoming) else { return false };
        let old = self.states.remove(&to);
        let new = match &old {
            Some(old) if weary => self.joined(to, &[old, &new]).unwrap_or(new),
            _ => new,
        };
        let changed = old.as_ref() != Some(&new);
        self.states.insert(to, new);
        changed
    }

    /// What holds whichever of several states came.
    fn joined(&mut self, at: u64, incoming: &[&State]) -> Option<State> {
        let (first, rest) = incoming.split_first()?;
        let mut out = (*first).clone();
        for (register, held) in out.0.iter_mut().enumerate().take(self.convention.followed) {
            if rest.iter().any(|other| other.0.get(register) != Some(held)) {
                *held = self.make(Expr::Phi { at, register });
            }
        }
        out.1.retain(|slot, held| rest.iter().all(|other| other.1.get(slot) == Some(held)));
        Some(out)
    }
}
