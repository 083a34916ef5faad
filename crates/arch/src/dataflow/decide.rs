//! Which conditional jumps decide that an instruction is reached, and how they are joined: `a && b`, `a || b`.
//!
//! A jump decides where one of its sides leads to the instruction on every path and the other does not. It
//! belongs to the same condition as one that it leads to where its other side goes to the same place, with
//! nothing stored or called in between.

use super::condition::Branch;
use super::{Flow, Function, Kind};
use rustc_hash::{FxHashMap, FxHashSet};

/// Conditions that together lead to the instruction, in the order in which they are decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// The jumps taken or not.
    pub steps: Vec<Branch>,
    /// For each step, true where the other side of the jump could have led to the instruction as well: `!a` of the
    /// second way of `a || b`.
    pub spare: Vec<bool>,
}

/// How far straight code is followed.
const MAX_STRAIGHT: usize = 64;
/// How many jumps one condition may have.
const MAX_REGION: usize = 8;
/// How many ways are listed.
const MAX_WAYS: usize = 16;
/// How often the code between a jump and the instruction is walked.
const MAX_WALK: usize = 4096;

/// Where a side of a jump leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum To {
    Trap,
    Escape,
    Jump(usize),
    Elsewhere,
}

struct Region<'a> {
    f: &'a Function,
    /// Instructions from which the trap is reached on every path.
    sure: Vec<bool>,
    /// Where the code goes on when the condition does not hold.
    escape: usize,
    jumps: FxHashSet<usize>,
}

impl Function {
    /// The ways to the instruction at `trap`: it was reached because all conditions of one of them held.
    #[must_use]
    pub fn ways_to(&self, trap: u64, flow: &Flow) -> Vec<Way> {
        let Some(at) = self.number(trap) else { return Vec::new() };
        let sure = self.inevitable(at);
        let mut escapes: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut out: Vec<Way> = Vec::new();
        for jump in self.deciders(&sure) {
            if self.switches.contains_key(&jump) {
                out.extend(self.cases(jump, at, &sure, flow));
                continue;
            }
            for other in self.after.get(jump).into_iter().flatten().filter(|n| !is(&sure, **n)) {
                let to = self.canonical(*other);
                match escapes.iter_mut().find(|(e, _)| *e == to) {
                    Some((_, jumps)) => jumps.push(jump),
                    None => escapes.push((to, vec![jump])),
                }
            }
        }
        // a || b: where a does not hold, b is asked, which is no escape
        let deciders: Vec<usize> = escapes.iter().flat_map(|(_, j)| j.iter().copied()).collect();
        let mut done: FxHashSet<usize> = FxHashSet::default();
        let mut groups: Vec<Region<'_>> = Vec::new();
        for (escape, _) in &escapes {
            if self.leads_to(*escape, &deciders) {
                continue;
            }
            let mut region =
                Region { f: self, sure: sure.clone(), escape: *escape, jumps: FxHashSet::default() };
            region.grow();
            done.extend(&region.jumps);
            groups.push(region);
        }
        for region in &groups {
            // a || b && c: what b escapes to is asked by the whole, of which a alone is a part
            let part_of = |other: &&Region<'_>| {
                other.jumps.len() > region.jumps.len() && region.jumps.is_subset(&other.jumps)
            };
            if !groups.iter().any(|other| part_of(&other)) {
                out.extend(region.ways(at, flow));
            }
        }
        for jump in deciders.into_iter().filter(|j| !done.contains(j)) {
            let taken = self.side(jump, true).is_some_and(|n| is(&sure, n));
            if let Some(step) = self.branch(jump, taken, at, flow) {
                out.push(Way { steps: vec![step], spare: vec![false] });
            }
        }
        out.sort_by_key(|w| w.steps.first().map(|s| s.jump));
        out.truncate(MAX_WAYS);
        out.into_iter().map(|way| self.narrowed(way, flow)).collect()
    }

    /// True where the function cannot but reach the instruction: the reason is with its caller.
    #[must_use]
    pub fn always_reaches(&self, trap: u64) -> bool {
        let (Some(at), Some(entry)) = (self.number(trap), self.number(self.entry)) else { return false };
        is(&self.inevitable(at), entry)
    }

    /// The instructions from which `at` is reached on every path.
    fn inevitable(&self, at: usize) -> Vec<bool> {
        let mut sure = vec![false; self.ops.len()];
        let mut work = vec![at];
        if let Some(slot) = sure.get_mut(at) {
            *slot = true;
        }
        while let Some(n) = work.pop() {
            for &p in self.before.get(n).into_iter().flatten() {
                let all = self.after.get(p).is_some_and(|a| !a.is_empty() && a.iter().all(|n| is(&sure, *n)));
                // a table's jump may have targets that are not known
                let whole = self.ops.get(p).is_some_and(|op| op.kind != Kind::IndirectJump);
                if all && whole && !is(&sure, p) {
                    if let Some(slot) = sure.get_mut(p) {
                        *slot = true;
                    }
                    work.push(p);
                }
            }
        }
        sure
    }

    /// The jumps of which one side leads to the trap and another does not.
    fn deciders(&self, sure: &[bool]) -> Vec<usize> {
        let mut out: Vec<usize> = sure
            .iter()
            .enumerate()
            .filter(|(_, sure)| **sure)
            .flat_map(|(n, _)| self.before.get(n).into_iter().flatten().copied())
            .filter(|p| !is(sure, *p))
            .collect();
        out.sort_unstable();
        out.dedup();
        out
    }

    /// Where a conditional jump goes when it is taken or not.
    pub(super) fn side(&self, jump: usize, taken: bool) -> Option<usize> {
        let op = self.ops.get(jump)?;
        let to = if taken { op.target } else { op.next };
        self.number(to)
    }

    /// The instruction that jumps and no-operations lead to.
    fn canonical(&self, mut n: usize) -> usize {
        for _ in 0..MAX_STRAIGHT {
            let Some(op) = self.ops.get(n) else { break };
            let skip = op.kind == Kind::Jump || self.code.is_nop(n);
            match self.after.get(n).map(Vec::as_slice) {
                Some([next]) if skip => n = *next,
                _ => break,
            }
        }
        n
    }

    /// True where straight code from `n` ends in one of these jumps.
    fn leads_to(&self, n: usize, jumps: &[usize]) -> bool {
        self.straight(n).is_some_and(|(jump, _)| jumps.contains(&jump))
    }

    /// The conditional jump that straight code from `n` ends in; false where it stores or calls before.
    fn straight(&self, mut n: usize) -> Option<(usize, bool)> {
        let mut pure = true;
        for _ in 0..MAX_STRAIGHT {
            if self.ops.get(n)?.kind == Kind::Conditional {
                return Some((n, pure));
            }
            pure &= !self.stores(n);
            let [next] = self.after.get(n)?.as_slice() else { return None };
            n = *next;
        }
        None
    }

    /// True for calls and for stores to other places than the stack.
    pub(super) fn stores(&self, n: usize) -> bool {
        self.ops.get(n).is_some_and(|op| op.is_call() || self.code.stores(n))
    }

    /// A conditional jump as a step to the trap.
    fn branch(&self, jump: usize, taken: bool, trap: usize, flow: &Flow) -> Option<Branch> {
        let mut out = self.test_before(jump, taken, flow)?;
        let from = self.side(jump, taken)?;
        (out.stores, out.calls) = self.between(jump, from, trap);
        Some(out)
    }

    /// What may run between a jump and the trap: whether it stores, and its calls.
    fn between(&self, jump: usize, from: usize, trap: usize) -> (bool, Vec<u64>) {
        let reach = |start: usize, next: &Vec<Vec<usize>>, stop: usize| {
            let mut seen = FxHashSet::default();
            let mut work = vec![start];
            while let Some(n) = work.pop() {
                if n == stop || seen.len() > MAX_WALK || !seen.insert(n) {
                    continue;
                }
                work.extend(next.get(n).into_iter().flatten().copied().filter(|n| *n != jump));
            }
            seen
        };
        let forward = reach(from, &self.after, trap);
        let backward = reach(trap, &self.before, jump);
        let mut stores = false;
        let mut calls = Vec::new();
        for n in forward.intersection(&backward).filter(|n| **n != trap) {
            stores |= self.stores(*n);
            calls.extend(self.ops.get(*n).filter(|op| op.is_call()).map(|op| op.ip));
        }
        calls.sort_unstable();
        (stores, calls)
    }

    /// The cases of a switch that lead to the trap.
    fn cases(&self, jump: usize, trap: usize, sure: &[bool], flow: &Flow) -> Vec<Way> {
        let targets = self.switches.get(&jump).cloned().unwrap_or_default();
        let mut out = Vec::new();
        for (case, target) in targets.iter().enumerate() {
            let Some(to) = self.number(*target).filter(|n| is(sure, *n)) else { continue };
            let Some(mut step) = self.case_test(jump, case, flow) else { continue };
            (step.stores, step.calls) = self.between(jump, to, trap);
            out.push(Way { steps: vec![step], spare: vec![false] });
        }
        out
    }
}

impl Region<'_> {
    fn to(&self, n: usize) -> To {
        if self.f.canonical(n) == self.escape {
            return To::Escape;
        }
        if is(&self.sure, n) {
            return To::Trap;
        }
        match self.f.straight(n) {
            Some((jump, true)) => To::Jump(jump),
            _ => To::Elsewhere,
        }
    }

    /// Takes in the jumps whose sides both lead into the region, to the trap or to the escape.
    fn grow(&mut self) {
        let mut candidates: FxHashSet<usize> = self.f.deciders(&self.sure).into_iter().collect();
        for _ in 0..MAX_REGION {
            let mut grown = false;
            let mut wider = candidates.clone();
            for &jump in &candidates {
                if self.jumps.contains(&jump) || self.jumps.len() >= MAX_REGION {
                    continue;
                }
                let sides = [true, false].map(|t| self.f.side(jump, t).map(|n| self.to(n)));
                let inside = |to: &Option<To>| match to {
                    Some(To::Trap | To::Escape) => true,
                    Some(To::Jump(j)) => self.jumps.contains(j),
                    _ => false,
                };
                let is_jump = self.f.ops.get(jump).is_some_and(|op| op.kind == Kind::Conditional);
                if is_jump && sides.iter().all(inside) && sides[0] != sides[1] {
                    self.jumps.insert(jump);
                    wider.extend(self.jumps_before(jump));
                    grown = true;
                }
            }
            candidates = wider;
            if !grown {
                break;
            }
        }
    }

    /// The conditional jumps from which straight code leads to this one.
    fn jumps_before(&self, jump: usize) -> Vec<usize> {
        let mut out = Vec::new();
        let mut seen = FxHashSet::default();
        let mut work = vec![jump];
        while let Some(n) = work.pop() {
            for &p in self.f.before.get(n).into_iter().flatten() {
                if seen.len() > MAX_STRAIGHT || !seen.insert(p) {
                    continue;
                }
                match self.f.ops.get(p).map(|op| op.kind) {
                    Some(Kind::Conditional) => out.push(p),
                    Some(Kind::Call | Kind::IndirectCall) | None => {}
                    _ => work.push(p),
                }
            }
        }
        out
    }

    /// Every path through the region that ends in the trap.
    fn ways(&self, trap: usize, flow: &Flow) -> Vec<Way> {
        let follows: FxHashSet<usize> = self
            .jumps
            .iter()
            .flat_map(|j| [true, false].map(|t| self.f.side(*j, t).map(|n| self.to(n))))
            .filter_map(|to| match to {
                Some(To::Jump(j)) => Some(j),
                _ => None,
            })
            .collect();
        let mut roots: Vec<usize> = self.jumps.iter().copied().filter(|j| !follows.contains(j)).collect();
        roots.sort_unstable();
        let mut paths = Vec::new();
        for root in roots {
            self.follow(root, &mut Vec::new(), &mut paths);
        }
        paths
            .into_iter()
            .filter_map(|path| {
                let steps: Option<Vec<Branch>> =
                    path.iter().map(|(j, taken)| self.f.branch(*j, *taken, trap, flow)).collect();
                let spare = path.iter().map(|(j, _)| self.is_spare(*j, &path)).collect();
                Some(Way { steps: steps?, spare })
            })
            .collect()
    }

    fn follow(&self, jump: usize, path: &mut Vec<(usize, bool)>, out: &mut Vec<Vec<(usize, bool)>>) {
        if path.iter().any(|(j, _)| *j == jump) || out.len() >= MAX_WAYS {
            return;
        }
        for taken in [true, false] {
            path.push((jump, taken));
            match self.f.side(jump, taken).map(|n| self.to(n)) {
                Some(To::Trap) => out.push(path.clone()),
                Some(To::Jump(next)) if self.jumps.contains(&next) => self.follow(next, path, out),
                _ => {}
            }
            path.pop();
        }
    }

    /// True where the path would lead to the trap as well if this jump went the other way.
    fn is_spare(&self, flipped: usize, path: &[(usize, bool)]) -> bool {
        let way: FxHashMap<usize, bool> = path.iter().copied().collect();
        let mut here = flipped;
        for _ in 0..=path.len() {
            let Some(taken) = way.get(&here).map(|t| *t != (here == flipped)) else { return false };
            match self.f.side(here, taken).map(|n| self.to(n)) {
                Some(To::Trap) => return true,
                Some(To::Jump(next)) if next != flipped => here = next,
                _ => return false,
            }
        }
        false
    }
}

fn is(flags: &[bool], n: usize) -> bool {
    flags.get(n).copied().unwrap_or(false)
}
