//! An address as a sum: `p + 24 * n + 8`, however the code computed it (`((n + (n << 1)) << 3) + p`).
//!
//! **Invariant:** what is added is added in 64 bits. A multiple of an index may be of fewer: the compiler does that where it
//! knows that nothing is lost.

use arch::dataflow::{BinOp, Expr, Flow, Mem, Sym};

/// More terms than the address of an element has.
const MAX_TERMS: usize = 6;
const MAX_DEPTH: usize = 12;
/// More bytes than an element has.
const MAX_FACTOR: i64 = 1 << 32;

/// A value times a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Term {
    pub(crate) sym: Sym,
    pub(crate) factor: i64,
}

/// Terms, and a constant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) terms: Vec<Term>,
    pub(crate) disp: i64,
}

impl Sum {
    /// Of a value.
    pub(crate) fn of(flow: &Flow, sym: Sym) -> Option<Self> {
        let mut sum = Self::default();
        sum.add(flow, sym, 1, 0)?;
        Some(sum)
    }

    /// Of the address of a memory operand.
    pub(crate) fn of_memory(flow: &Flow, ip: u64, mem: &Mem) -> Option<Self> {
        let mut sum = Self { terms: Vec::new(), disp: mem.disp };
        if let Some(base) = mem.base {
            sum.add(flow, flow.register(ip, base)?, 1, 0)?;
        }
        if let Some((index, scale)) = mem.index {
            sum.add(flow, flow.register(ip, index)?, i64::from(scale), 0)?;
        }
        Some(sum)
    }

    /// The same, with the sums that a number multiplies as terms of their own: `q * 128 + r * 16` of `(q * 8 + r) * 16`.
    pub(crate) fn spread(&self, flow: &Flow) -> Option<Self> {
        let mut sum = Self { terms: Vec::new(), disp: self.disp };
        for term in &self.terms {
            match flow.expr(term.sym) {
                Expr::Bin { op: BinOp::Add, a, b, size: 8 } if term.factor != 1 => {
                    sum.add(flow, a, term.factor, 0)?;
                    sum.add(flow, b, term.factor, 0)?;
                }
                _ => sum.put(*term)?,
            }
        }
        (sum != *self).then_some(sum)
    }

    /// What is added to the term `n`.
    pub(crate) fn others(&self, n: usize) -> Vec<Term> {
        self.terms.iter().enumerate().filter(|(at, _)| *at != n).map(|(_, term)| *term).collect()
    }

    fn add(&mut self, flow: &Flow, sym: Sym, factor: i64, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let (sym, factor) = scaled(flow, sym, factor, depth)?;
        match flow.expr(sym) {
            Expr::Const(v) => {
                self.disp = self.disp.wrapping_add(v.wrapping_mul(factor));
                Some(())
            }
            // of an index it is the source's: `table[n - 1]`
            Expr::Add { base, disp } if factor == 1 => {
                self.disp = self.disp.wrapping_add(disp);
                self.add(flow, base, 1, depth + 1)
            }
            Expr::Bin { op: BinOp::Add, a, b, size: 8 } if factor == 1 => {
                self.add(flow, a, 1, depth + 1)?;
                self.add(flow, b, 1, depth + 1)
            }
            Expr::Bin { op: BinOp::Sub, a, b, size: 8 } if factor == 1 => {
                self.add(flow, a, 1, depth + 1)?;
                self.add(flow, b, -1, depth + 1)
            }
            _ => self.put(Term { sym, factor }),
        }
    }

    /// With a term more.
    fn put(&mut self, term: Term) -> Option<()> {
        match self.terms.iter_mut().find(|known| known.sym == term.sym) {
            Some(known) => known.factor = known.factor.checked_add(term.factor)?,
            None => self.terms.push(term),
        }
        self.terms.retain(|term| term.factor != 0);
        (self.terms.len() <= MAX_TERMS).then_some(())
    }
}

/// A value as another one times a number: `n * 24` of `(n + (n << 1)) << 3`.
fn scaled(flow: &Flow, sym: Sym, factor: i64, depth: usize) -> Option<(Sym, i64)> {
    if depth > MAX_DEPTH || factor.unsigned_abs() > MAX_FACTOR.unsigned_abs() {
        return None;
    }
    let number = |sym: Sym| match flow.expr(sym) {
        Expr::Const(v) => Some(v),
        _ => None,
    };
    match flow.expr(sym) {
        Expr::Bin { op: BinOp::Shl, a, b, .. } => match number(b).filter(|n| (0..32).contains(n)) {
            Some(n) => scaled(flow, a, factor.checked_mul(1 << n)?, depth + 1),
            None => Some((sym, factor)),
        },
        Expr::Bin { op: BinOp::Mul, a, b, .. } => {
            let by = |a, by| Some((a, number(by).filter(|n| (1..MAX_FACTOR).contains(n))?));
            match by(a, b).or_else(|| by(b, a)) {
                Some((a, by)) => scaled(flow, a, factor.checked_mul(by)?, depth + 1),
                None => Some((sym, factor)),
            }
        }
        Expr::Bin { op: op @ (BinOp::Add | BinOp::Sub), a, b, .. } => {
            let ((x, f), (y, g)) = (scaled(flow, a, 1, depth + 1)?, scaled(flow, b, 1, depth + 1)?);
            let both = if op == BinOp::Add { f.checked_add(g)? } else { f.checked_sub(g)? };
            Some(if x == y && both > 0 { (x, factor.checked_mul(both)?) } else { (sym, factor) })
        }
        _ => Some((sym, factor)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arch::dataflow::{Function, Known, Operand};

    const AT: u64 = 0x1000;

    /// Lifted code of x86-64; `None` where the architecture is not built in.
    fn lifted(code: &[u8]) -> Option<(Function, Flow)> {
        let lift = arch::by_name("x86_64")?.lift().ok()?;
        let function = lift.lift(&[(AT, code)], &Known::default());
        let flow = Flow::of(&function);
        Some((function, flow))
    }

    /// The address of the last instruction's memory, as numbers: factors of the terms, the constant.
    fn sum_of(code: &[u8], last: u64) -> Option<(Vec<i64>, i64)> {
        let (function, flow) = lifted(code)?;
        let Some(Operand::Mem(mem)) = function.operand(AT + last, 1) else { return None };
        let sum = Sum::of_memory(&flow, AT + last, &mem)?;
        let mut factors: Vec<i64> = sum.terms.iter().map(|term| term.factor).collect();
        factors.sort_unstable();
        Some((factors, sum.disp))
    }

    #[test]
    fn structs_of_24_bytes() {
        // mov %esi,%esi; lea (%rsi,%rsi,2),%rdx; mov 0x10(%rdi),%rcx; lea (%rcx,%rdx,8),%rdx; mov 0x8(%rdx),%eax
        let code = [
            0x89, 0xf6, 0x48, 0x8d, 0x14, 0x76, 0x48, 0x8b, 0x4f, 0x10, 0x48, 0x8d, 0x14, 0xd1, 0x8b, 0x42,
            0x08,
        ];
        assert_eq!(sum_of(&code, 14), Some((vec![1, 24], 8)));
    }

    #[test]
    fn the_base_may_be_added_to_the_index() {
        // mov %esi,%esi; shl $4,%rsi; add 0x8(%rdi),%rsi; mov 0x8(%rsi),%eax
        let code = [0x89, 0xf6, 0x48, 0xc1, 0xe6, 0x04, 0x48, 0x03, 0x77, 0x08, 0x8b, 0x46, 0x08];
        assert_eq!(sum_of(&code, 10), Some((vec![1, 16], 8)));
    }

    #[test]
    fn multiplied_and_subtracted() {
        // movslq %esi,%rsi; imul $0x38,%rsi,%rax; mov 0x4(%rdi,%rax,1),%eax
        let code = [0x48, 0x63, 0xf6, 0x48, 0x6b, 0xc6, 0x38, 0x8b, 0x44, 0x07, 0x04];
        assert_eq!(sum_of(&code, 7), Some((vec![1, 56], 4)));
        // lea 0x0(,%rsi,8),%rax; sub %rsi,%rax; mov (%rdi,%rax,8),%eax
        let code = [0x48, 0x8d, 0x04, 0xf5, 0, 0, 0, 0, 0x48, 0x29, 0xf0, 0x8b, 0x04, 0xc7];
        assert_eq!(sum_of(&code, 11), Some((vec![1, 56], 0)));
    }

    #[test]
    fn an_index_of_two_parts_is_one_term_until_it_is_spread() {
        // lea (%rdx,%rsi,8),%rax; shl $4,%rax; mov (%rdi,%rax,1),%eax
        let code = [0x48, 0x8d, 0x04, 0xf2, 0x48, 0xc1, 0xe0, 0x04, 0x8b, 0x04, 0x07];
        let (function, flow) = lifted(&code).unwrap();
        let Some(Operand::Mem(mem)) = function.operand(AT + 8, 1) else { panic!() };
        let sum = Sum::of_memory(&flow, AT + 8, &mem).unwrap();
        assert_eq!(sum.terms.iter().map(|term| term.factor).collect::<Vec<_>>(), [1, 16]);
        let mut spread: Vec<i64> = sum.spread(&flow).unwrap().terms.iter().map(|term| term.factor).collect();
        spread.sort_unstable();
        assert_eq!(spread, [1, 16, 128]);
    }
}
