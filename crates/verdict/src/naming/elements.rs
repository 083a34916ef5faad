//! Elements of arrays: `table[n].len` of an address that is computed from an index.

use crate::code::operand::register_name;
use crate::model::{How, Origin};
use crate::naming::members;
use crate::naming::names::{Member, Named, Namer};
use arch::dataflow::{BinOp, Expr, Mem, Sym};
use base::VirtAddr;
use cexpr::{BinOp as COp, Expr as CExpr, MemberPath};
use debuginfo::types::TypeRef;

/// `base + index * factor`
struct Scaled {
    base: Sym,
    index: Sym,
    factor: u64,
}

impl Namer<'_> {
    /// `table[n].len` for a memory operand with an index register.
    pub(crate) fn element(&self, ip: u64, mem: &Mem) -> Option<Member> {
        let flow = &self.code.flow;
        let (index, scale) = mem.index?;
        let index = flow.register(ip, index)?;
        match mem.base {
            Some(base) => {
                let sym = flow.register(ip, base)?;
                let (base, more) = match flow.expr(sym) {
                    Expr::Add { base, disp } => (base, disp),
                    _ => (sym, 0),
                };
                let (index, factor) = self.scale(index, u64::from(scale));
                let whole = Scaled { base, index, factor };
                self.of_array(ip, &whole, mem.disp.wrapping_add(more), mem.size, 0)
            }
            None => {
                let (index, factor) = self.scale(index, u64::from(scale));
                self.of_global_array(ip, mem.disp, index, factor, mem.size)
            }
        }
    }

    /// `table[n].len` for a read at `sum + disp`, where the sum is of a pointer and a scaled index.
    pub(crate) fn indexed(&self, ip: u64, sum: Sym, disp: i64, size: u64, depth: usize) -> Option<Member> {
        let Expr::Bin { op: BinOp::Add, a, b, size: 8 } = self.code.flow.expr(sum) else { return None };
        [(a, b), (b, a)].into_iter().find_map(|(base, index)| {
            let (index, factor) = self.scale(index, 1);
            let (base, more) = match self.code.flow.expr(base) {
                Expr::Add { base, disp } => (base, disp),
                _ => (base, 0),
            };
            self.of_array(ip, &Scaled { base, index, factor }, disp.wrapping_add(more), size, depth)
        })
    }

    /// `table[n].len` for a read at `index * factor + table`, where the table is a global variable.
    pub(crate) fn indexed_global(&self, ip: u64, index: Sym, at: i64, size: u64) -> Option<Member> {
        let (index, factor) = self.scale(index, 1);
        if at >= -0x1000 || factor < 2 {
            return None;
        }
        self.of_global_array(ip, at, index, factor, size)
    }

    /// A value as another one times a constant.
    fn scale(&self, sym: Sym, factor: u64) -> (Sym, u64) {
        let flow = &self.code.flow;
        let by = |b: Sym| match flow.expr(b) {
            Expr::Const(v) => u64::try_from(v).ok(),
            _ => None,
        };
        match flow.expr(sym) {
            Expr::Bin { op: BinOp::Shl, a, b, .. } if by(b).is_some_and(|n| n < 32) => {
                self.scale(a, factor << by(b).unwrap_or(0))
            }
            Expr::Bin { op: BinOp::Mul, a, b, .. } if by(b).is_some_and(|n| n < 1 << 20) => {
                self.scale(a, factor.saturating_mul(by(b).unwrap_or(1)))
            }
            Expr::Bin { op: BinOp::Add, a, b, .. } => {
                let ((x, f), (y, g)) = (self.scale(a, 1), self.scale(b, 1));
                if x == y { (x, factor.saturating_mul(f.saturating_add(g))) } else { (sym, factor) }
            }
            _ => (sym, factor),
        }
    }

    fn of_array(&self, ip: u64, at: &Scaled, disp: i64, size: u64, depth: usize) -> Option<Member> {
        let types = self.types();
        let from = self.sym(ip, at.base, depth + 1)?;
        let to = members::pointee(types, from.ty?)?;
        let index = self.index_of(ip, at.index, depth)?;
        let len = types.size_of(to).ok()?;
        let how = from.how.max(How::Decoded);
        let made = |expr: CExpr, ty: Option<TypeRef>, others: bool| {
            let how = if others { How::Guessed } else { how };
            Member::alone(Named { expr, ty, how, origin: Origin::Unsaid })
        };
        let offset = u64::try_from(disp).ok()?;
        if len == at.factor && offset < len {
            // p[n].member
            let element = from.expr.index(index);
            if !members::is_compound(types, to) {
                return (offset == 0 && len == size).then(|| made(element, Some(to), false));
            }
            let leaf = members::leaf(types, to, offset, size, &self.code.name)?;
            return Some(made(element.path(&leaf.path, false), Some(leaf.ty), !leaf.others.is_empty()));
        }
        // p->array[n].member
        let leaf = members::leaf(types, to, offset, size, &self.code.name)?;
        let all = with_index(&leaf, at.factor, index, from.expr, true)?;
        Some(made(all, Some(leaf.ty), !leaf.others.is_empty()))
    }

    fn of_global_array(&self, ip: u64, at: i64, index: Sym, factor: u64, size: u64) -> Option<Member> {
        use debuginfo::types::Space;
        let types = self.loaded_types();
        let l = self.s.locate(VirtAddr(at.cast_unsigned()))?;
        let name = l.symbol.name.to_owned();
        let ty = types.first(Some(&self.scope()), Space::Variable, &name)?;
        let leaf = members::leaf(types, ty, l.offset, size, &self.code.name)?;
        let index = self.index_of(ip, index, 0)?;
        let named = Named {
            expr: with_index(&leaf, factor, index, CExpr::ident(name), false)?,
            ty: Some(leaf.ty),
            how: How::Table,
            origin: Origin::Global,
        };
        Some(Member::alone(named))
    }

    fn index_of(&self, ip: u64, index: Sym, depth: usize) -> Option<CExpr> {
        match self.code.flow.expr(index) {
            Expr::Const(v) => Some(CExpr::int(v)),
            _ => match self.sym(ip, index, depth + 1) {
                Some(named) => Some(named.expr),
                // a register that has it still; the number that it was
                None => match self.code.flow.holders(self.at, index).next() {
                    Some(n) => Some(CExpr::register(register_name(self.s, n, 8))),
                    None => self.value(index).map(|held| CExpr::unsigned(held.value)),
                },
            },
        }
    }
}

/// A path below an object with an index in place of its last array's number, where that array's elements have this size.
fn with_index(
    leaf: &members::Leaf,
    factor: u64,
    index: CExpr,
    object: CExpr,
    of_pointer: bool,
) -> Option<CExpr> {
    if leaf.stride != Some(factor) {
        return None;
    }
    let steps = &leaf.path.steps;
    let last = steps.iter().rposition(|step| !step.index.is_empty())?;
    let mut array = MemberPath { steps: steps.get(..=last)?.to_vec() };
    let first = array.steps.last_mut()?.index.pop()?;
    let index = if first == 0 { index } else { CExpr::binary(COp::Add, index, CExpr::unsigned(first)) };
    let rest = MemberPath { steps: steps.get(last + 1..)?.to_vec() };
    Some(object.path(&array, of_pointer).index(index).path(&rest, false))
}
