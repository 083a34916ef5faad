//! Values that a loop carries: what they may begin with, and what each turn makes of them.
//!
//! **Invariant:** whatever path the code took, the value is what [`Walk::turn`] makes of one of [`Walk::firsts`], done
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
pub struct Walk {
    /// What it may begin with.
    pub firsts: Vec<Sym>,
    /// What each turn of the loop does to it; empty where there is no loop.
    pub turn: Vec<Hop>,
}

impl Flow {
    /// How a value that depends on the path came about; `None` where that is no such value, and where turns differ
    /// or are more than loads and additions.
    #[must_use]
    pub fn walk(&self, sym: Sym) -> Option<Walk> {
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
        let mut out = Walk { firsts: Vec::new(), turn: Vec::new() };
        for input in inputs {
            let (root, hops) = self.hops_to(input)?;
            if !self.is_meeting(root) {
                if !out.firsts.iter().any(|known| self.alike(*known, input, 0)) {
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
        let same = *first != sym && rest.iter().all(|other| self.alike(*first, *other, 0));
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
        let same = whole != sym && inputs.iter().all(|input| self.alike(whole, peeled(*input).0, 0));
        let low = inputs.iter().min_by_key(|input| peeled(**input).1).filter(|_| same)?;
        Some((*low, peeled(*low).1)).filter(|(_, size)| *size < 8)
    }

    /// True for values that are made the same way of the same ones, memory read at whatever instruction.
    fn alike(&self, a: Sym, b: Sym, depth: usize) -> bool {
        if a == b || depth > MAX_HOPS {
            return a == b;
        }
        match (self.expr(a), self.expr(b)) {
            (Expr::Load { base: a, disp: x, size: n, .. }, Expr::Load { base: b, disp: y, size: m, .. }) => {
                x == y && n == m && self.alike(a, b, depth + 1)
            }
            (Expr::Add { base: a, disp: x }, Expr::Add { base: b, disp: y }) => {
                x == y && self.alike(a, b, depth + 1)
            }
            (Expr::Cut { base: a, size: x, signed: n }, Expr::Cut { base: b, size: y, signed: m }) => {
                x == y && n == m && self.alike(a, b, depth + 1)
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

#[cfg(test)]
mod tests {
    use super::super::{Function, Known};
    use super::*;
    use crate::x86_64::regs as r;

    fn walk(code: &[u8], at: u64, register: usize) -> (Flow, Option<Walk>) {
        let f = Function::decode(&[(0x1000, code)], &Known::default());
        let flow = Flow::of(&f);
        let walk = flow.register(at, register).and_then(|sym| flow.walk(sym));
        (flow, walk)
    }

    #[test]
    fn a_loop_over_a_list_begins_with_the_argument_and_goes_on_by_its_member() {
        // test %esi,%esi; je 2; 1: mov 0x18(%rdi),%rdi; sub $1,%esi; jae 1; 2: mov %rdx,0x40(%rdi); ret
        let code = [
            0x85, 0xf6, 0x74, 0x09, 0x48, 0x8b, 0x7f, 0x18, 0x83, 0xee, 0x01, 0x73, 0xf7, 0x48, 0x89, 0x57,
            0x40, 0xc3,
        ];
        let (flow, found) = walk(&code, 0x100d, r::RDI);
        let walk = found.unwrap();
        assert_eq!(walk.turn, [Hop::Load { disp: 0x18, size: 8 }]);
        assert_eq!(walk.firsts.iter().map(|s| flow.expr(*s)).collect::<Vec<_>>(), [Expr::Entry(r::RDI)]);
        // what no path changes is no such value
        assert!(flow.walk(flow.register(0x100d, r::RDX).unwrap()).is_none());
    }

    #[test]
    fn a_turn_may_be_of_several_loads_and_additions() {
        // mov 0x8(%rsi),%rdx; 1: lea -0x8(%rdx),%rax; mov 0x8(%rax),%rdx; cmp %rdx,%rdi; jne 1; ret
        let code = [
            0x48, 0x8b, 0x56, 0x08, 0x48, 0x8d, 0x42, 0xf8, 0x48, 0x8b, 0x50, 0x08, 0x48, 0x39, 0xd7, 0x75,
            0xf3, 0xc3,
        ];
        let (flow, found) = walk(&code, 0x1004, r::RDX);
        let walk = found.unwrap();
        // the additions of -8 and 8 are one load at 0
        assert_eq!(walk.turn, [Hop::Load { disp: 0, size: 8 }]);
        let first = flow.expr(walk.firsts[0]);
        assert!(matches!(first, Expr::Load { disp: 8, size: 8, .. }), "{first:?}");
    }

    #[test]
    fn turns_that_differ_or_compute_are_not_told() {
        // 1: test %esi,%esi; je 2; mov 0x18(%rdi),%rdi; jmp 1; 2: mov 0x20(%rdi),%rdi; jmp 1
        let code =
            [0x85, 0xf6, 0x74, 0x06, 0x48, 0x8b, 0x7f, 0x18, 0xeb, 0xf6, 0x48, 0x8b, 0x7f, 0x20, 0xeb, 0xf0];
        assert_eq!(walk(&code, 0x1000, r::RDI).1, None);
        // 1: imul %rsi,%rdi; dec %edx; jne 1; ret
        let code = [0x48, 0x0f, 0xaf, 0xfe, 0xff, 0xca, 0x75, 0xf8, 0xc3];
        assert_eq!(walk(&code, 0x1000, r::RDI).1, None);
    }

    #[test]
    fn what_is_read_again_on_another_path_is_one_value() {
        // mov 0x18(%rdi),%rdx; test %esi,%esi; je 1; mov 0x18(%rdi),%rdx; 1: ret
        let code = [0x48, 0x8b, 0x57, 0x18, 0x85, 0xf6, 0x74, 0x04, 0x48, 0x8b, 0x57, 0x18, 0xc3];
        let (flow, _) = walk(&code, 0x100c, r::RDX);
        let only = flow.only(flow.register(0x100c, r::RDX).unwrap()).unwrap();
        assert!(matches!(flow.expr(only), Expr::Load { disp: 0x18, .. }));
        // in a loop that follows it: another one in each turn
        // 1: mov 0x18(%rdi),%rdi; dec %esi; jne 1; ret
        let code = [0x48, 0x8b, 0x7f, 0x18, 0xff, 0xce, 0x75, 0xf8, 0xc3];
        let (flow, _) = walk(&code, 0x1000, r::RDI);
        assert_eq!(flow.only(flow.register(0x1000, r::RDI).unwrap()), None);
    }

    #[test]
    fn where_two_paths_meet_without_a_loop_both_values_are_told() {
        // test %edx,%edx; je 1; mov %rsi,%rdi; 1: mov (%rdi),%rax; ret
        let code = [0x85, 0xd2, 0x74, 0x03, 0x48, 0x89, 0xf7, 0x48, 0x8b, 0x07, 0xc3];
        let (flow, found) = walk(&code, 0x1007, r::RDI);
        let walk = found.unwrap();
        assert!(walk.turn.is_empty());
        let mut firsts: Vec<Expr> = walk.firsts.iter().map(|s| flow.expr(*s)).collect();
        firsts.sort_by_key(|e| *e == Expr::Entry(r::RSI));
        assert_eq!(firsts, [Expr::Entry(r::RDI), Expr::Entry(r::RSI)]);
    }
}
