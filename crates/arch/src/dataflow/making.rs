//! The making of expressions: each once, constants folded, chains of bounded depth.

use super::Flow;
use super::expr::{BinOp, Expr, Sym, cut};

/// Longest chain of loads and additions that is kept.
pub(super) const MAX_DEPTH: usize = 12;
/// Deepest operand of an operation that is kept.
const MAX_BIN_DEPTH: usize = 5;

impl Flow {
    pub(crate) fn make(&mut self, expr: Expr) -> Sym {
        if let Some(&sym) = self.known.get(&expr) {
            return sym;
        }
        let sym = Sym(u32::try_from(self.exprs.len()).unwrap_or(u32::MAX));
        self.exprs.push(expr);
        self.known.insert(expr, sym);
        sym
    }

    pub(crate) fn depth(&self, sym: Sym) -> usize {
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
    pub(crate) fn cut(&mut self, base: Sym, size: u64, signed: bool) -> Sym {
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

    pub(crate) fn bin(&mut self, op: BinOp, a: Sym, b: Sym, size: u64, ip: u64) -> Sym {
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

    pub(crate) fn add(&mut self, base: Sym, disp: i64, ip: u64) -> Sym {
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
}
