//! Values that a loop carries: what they may begin with, and what each turn makes of them.
//!
//! **Invariant:** whatever path the code took, the value is what [`Carried::turn`] makes of one of [`Carried::firsts`], done
//! any number of times, none included. Which and how often is for memory to tell.

use super::{Expr, Flow, Sym};

/// Most places where paths meet that one value goes through.
const MAX_MEETINGS: usize = 8;
/// Longest chain of loads and additions in one turn.
const MAX_HOPS: usize = 12;

/// What a turn of a loop does to a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hop {
    /// Reads `size` bytes at the value and `disp`.
    Load {
        /// The offset.
        disp: i64,
        /// Bytes.
        size: u64,
    },
    /// Adds a constant.
    Add(i64),
}

/// A value of several, by the path that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Carried {
    /// What it may begin with.
    pub firsts: Vec<Sym>,
    /// What each turn of the loop does to it; empty where there is no loop.
    pub turn: Vec<Hop>,
}

impl Flow {
    /// How a value that depends on the path came about; `None` where that is no such value, and where turns differ
    /// or are more than loads and additions.
    #[must_use]
    pub fn carried(&self, sym: Sym) -> Option<Carried> {
        if !self.is_meeting(sym) {
            return None;
        }
        let mut meetings = vec![sym];
        let mut inputs: Vec<Sym> = Vec::new();
        let mut n = 0;
        while let Some(Expr::Phi { at, register }) = meetings.get(n).map(|one| self.expr(*one)) {
            n += 1;
            for input in self.inputs(at, register) {
                if !inputs.contains(input) {
                    inputs.push(*input);
                }
                let (root, _) = self.hops_to(*input)?;
                if self.is_meeting(root) && !meetings.contains(&root) {
                    meetings.push(root);
                }
            }
            if meetings.len() > MAX_MEETINGS {
                return None;
            }
        }
        let mut out = Carried { firsts: Vec::new(), turn: Vec::new() };
        for input in inputs {
            let (root, hops) = self.hops_to(input)?;
            if !self.is_meeting(root) {
                if !out.firsts.iter().any(|known| self.is_alike(*known, input, 0)) {
                    out.firsts.push(input);
                }
            } else if out.turn.is_empty() {
                out.turn = hops;
            } else if !hops.is_empty() && hops != out.turn {
                return None;
            }
        }
        Some(out)
    }

    /// The one value that all paths bring, read again on some of them.
    #[must_use]
    pub fn only(&self, sym: Sym) -> Option<Sym> {
        let Expr::Phi { at, register } = self.expr(sym) else { return None };
        let (first, rest) = self.inputs(at, register).split_first()?;
        // a loop's value is another one in each turn
        let same = *first != sym && rest.iter().all(|other| self.is_alike(*first, *other, 0));
        same.then_some(*first)
    }

    /// The one value that all paths bring, where some bring its low part only: that part, and its size.
    #[must_use]
    pub fn only_low(&self, sym: Sym) -> Option<(Sym, u64)> {
        let Expr::Phi { at, register } = self.expr(sym) else { return None };
        let peeled = |input: Sym| match self.expr(input) {
            Expr::Cut { base, size, signed: false } => (base, size),
            _ => (input, 8),
        };
        let inputs = self.inputs(at, register);
        let (whole, _) = peeled(*inputs.first()?);
        let same = whole != sym && inputs.iter().all(|input| self.is_alike(whole, peeled(*input).0, 0));
        let low = inputs.iter().min_by_key(|input| peeled(**input).1).filter(|_| same)?;
        Some((*low, peeled(*low).1)).filter(|(_, size)| *size < 8)
    }

    /// True for values that are made alike: what was read from one place twice may differ.
    pub(super) fn alike(&self, a: Sym, b: Sym) -> bool {
        self.is_alike(a, b, 0)
    }

    /// True for values that are made the same way of the same ones, memory read at whatever instruction.
    fn is_alike(&self, a: Sym, b: Sym, depth: usize) -> bool {
        if a == b || depth > MAX_HOPS {
            return a == b;
        }
        match (self.expr(a), self.expr(b)) {
            (Expr::Load { base: a, disp: x, size: n, .. }, Expr::Load { base: b, disp: y, size: m, .. }) => {
                x == y && n == m && self.is_alike(a, b, depth + 1)
            }
            (Expr::Add { base: a, disp: x }, Expr::Add { base: b, disp: y }) => {
                x == y && self.is_alike(a, b, depth + 1)
            }
            (Expr::Cut { base: a, size: x, signed: n }, Expr::Cut { base: b, size: y, signed: m }) => {
                x == y && n == m && self.is_alike(a, b, depth + 1)
            }
            _ => false,
        }
    }

    fn is_meeting(&self, sym: Sym) -> bool {
        matches!(self.expr(sym), Expr::Phi { .. })
    }

    /// What a chain of loads and additions begins with, and the chain; `None` for a chain from a value that depends on
    /// the path where there is more in it than these.
    fn hops_to(&self, sym: Sym) -> Option<(Sym, Vec<Hop>)> {
        let mut here = sym;
        let mut hops = Vec::new();
        for _ in 0..MAX_HOPS {
            match self.expr(here) {
                Expr::Load { base, disp, size, .. } => {
                    hops.push(Hop::Load { disp, size });
                    here = base;
                }
                Expr::Add { base, disp } => {
                    hops.push(Hop::Add(disp));
                    here = base;
                }
                Expr::Cut { .. } | Expr::Bin { .. } => {
                    return (!self.depends(here, 0)).then_some((here, hops));
                }
                _ => {
                    hops.reverse();
                    return Some((here, hops));
                }
            }
        }
        None
    }

    /// True where a value may depend on the path that was taken.
    fn depends(&self, sym: Sym, depth: usize) -> bool {
        if depth > MAX_HOPS {
            return true;
        }
        match self.expr(sym) {
            Expr::Load { base, .. } | Expr::Add { base, .. } | Expr::Cut { base, .. } => {
                self.depends(base, depth + 1)
            }
            Expr::Bin { a, b, .. } => self.depends(a, depth + 1) || self.depends(b, depth + 1),
            Expr::Phi { .. } => true,
            _ => false,
        }
    }
}
