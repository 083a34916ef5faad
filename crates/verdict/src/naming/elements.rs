//! Elements of arrays: `table[n].len` of an address that is computed from an index.

use crate::code::operand::register_name;
use crate::model::{How, Origin};
use crate::naming::members::{self, Leaf};
use crate::naming::names::{Member, Named, Namer};
use crate::naming::sums::{Sum, Term};
use arch::dataflow::{Expr, Mem, Sym};
use base::VirtAddr;
use cexpr::{BinOp as COp, Expr as CExpr, MemberPath};
use debuginfo::types::{Space, TypeRef};

/// An element of an array, or a member of one, by the address of it.
pub(crate) struct Element {
    /// `t->slots[idx].len`
    pub(crate) named: Named,
    /// The pointer that leads to the array, or to the struct that it is in; `None` of a global variable.
    pub(crate) pointer: Option<(Sym, Named)>,
    /// Its indices, from the outermost on.
    pub(crate) indices: Vec<Index>,
    /// What is added to the pointer and to the indices.
    pub(crate) disp: i64,
}

/// An index.
#[derive(Clone)]
pub(crate) struct Index {
    pub(crate) sym: Sym,
    pub(crate) named: Option<Named>,
    /// As the expression has it.
    pub(crate) expr: CExpr,
    /// So many bytes are added for each.
    pub(crate) factor: i64,
    /// Bytes of an element.
    pub(crate) stride: u64,
    /// The number that the compiler added.
    pub(crate) more: i64,
    /// The array: `t->slots`.
    pub(crate) array: CExpr,
    /// How many elements its type has.
    pub(crate) count: Option<u64>,
    /// Where the array is a member of the struct that the pointer leads to: the struct, the array in it.
    pub(crate) within: Option<(TypeRef, MemberPath)>,
}

/// What is read at an address, and where the naming of it stands.
#[derive(Clone, Copy)]
struct Asked {
    ip: u64,
    size: u64,
    depth: usize,
    /// The address, where an access tells it.
    at: Option<u64>,
    /// The index that leads there.
    solved: Option<i64>,
}

impl Asked {
    const fn read(ip: u64, size: u64, depth: usize) -> Self {
        Self { ip, size, depth, at: None, solved: None }
    }
}

/// What of an object is an element: the expression, its type, its indices.
struct Found {
    expr: CExpr,
    ty: Option<TypeRef>,
    guessed: bool,
    indices: Vec<Index>,
}

impl Namer<'_> {
    /// `table[n].len` for a memory operand with an index register.
    pub(crate) fn element(&self, ip: u64, mem: &Mem) -> Option<Member> {
        Some(Member::alone(self.element_at(ip, mem, None)?.named))
    }

    /// The element that a memory operand is, or is in; with the address that it had.
    pub(crate) fn element_at(&self, ip: u64, mem: &Mem, at: Option<u64>) -> Option<Element> {
        if mem.per_cpu {
            return None;
        }
        let sum = Sum::of_memory(&self.code.flow, ip, mem)?;
        self.summed(&sum, Asked { at, ..Asked::read(ip, mem.size, 0) })
    }

    /// `table[n].len` for a read at `sum + disp`, where the sum is of a pointer or a global variable and of scaled indices.
    pub(crate) fn indexed(&self, ip: u64, sum: Sym, disp: i64, size: u64, depth: usize) -> Option<Member> {
        Some(Member::alone(self.indexed_at(ip, sum, disp, size, depth)?.named))
    }

    /// The same, with the parts of its address.
    pub(crate) fn indexed_at(
        &self,
        ip: u64,
        sum: Sym,
        disp: i64,
        size: u64,
        depth: usize,
    ) -> Option<Element> {
        if !matches!(self.code.flow.expr(sum), Expr::Bin { .. }) {
            return None;
        }
        let sum = Sum::of(&self.code.flow, sum)?;
        let sum = Sum { disp: sum.disp.wrapping_add(disp), ..sum };
        self.summed(&sum, Asked::read(ip, size, depth))
    }

    /// The element that a value was read from, with the address that it had, where that is certain.
    pub(crate) fn element_read(&self, sym: Sym) -> Option<(Element, Option<u64>)> {
        let flow = &self.code.flow;
        let read = match flow.expr(sym) {
            Expr::Cut { base, .. } => flow.expr(base),
            read => read,
        };
        let Expr::Load { base, disp, size, at } = read else { return None };
        let held = self.value(base).filter(|held| !held.now);
        Some((
            self.indexed_at(at, base, disp, size, 0)?,
            held.map(|held| held.value.wrapping_add_signed(disp)),
        ))
    }

    fn summed(&self, sum: &Sum, asked: Asked) -> Option<Element> {
        let whole = |sum: &Sum| self.of_pointer(sum, asked).or_else(|| self.of_global(sum, asked));
        whole(sum).or_else(|| whole(&sum.spread(&self.code.flow)?))
    }

    /// Of the sum of a pointer and indices.
    fn of_pointer(&self, sum: &Sum, asked: Asked) -> Option<Element> {
        if sum.terms.len() < 2 {
            return None;
        }
        sum.terms.iter().enumerate().filter(|(_, term)| term.factor == 1).find_map(|(n, term)| {
            let from = self.sym(asked.ip, term.sym, asked.depth + 1)?;
            let to = members::pointee(self.types(), from.ty?)?;
            let asked = Asked { solved: self.solved(sum, n, asked.at), ..asked };
            let found = self.below(&from.expr, to, &sum.others(n), sum.disp, asked)?;
            let how = if found.guessed { How::Guessed } else { from.how.max(How::Decoded) };
            let named = Named { expr: found.expr, ty: found.ty, how, origin: Origin::Unsaid };
            Some(Element { named, pointer: Some((term.sym, from)), indices: found.indices, disp: sum.disp })
        })
    }

    /// The index that leads to an address, where there is one alone and the pointer is known.
    fn solved(&self, sum: &Sum, pointer: usize, at: Option<u64>) -> Option<i64> {
        let others = sum.others(pointer);
        let [only] = others.as_slice() else { return None };
        let pointer = self.value(sum.terms.get(pointer)?.sym)?.value;
        let left = at?.wrapping_sub(pointer.wrapping_add_signed(sum.disp)).cast_signed();
        if left.checked_rem(only.factor)? == 0 { left.checked_div(only.factor) } else { None }
    }

    /// Of the sum of a global variable's address and indices.
    fn of_global(&self, sum: &Sum, asked: Asked) -> Option<Element> {
        if sum.disp >= -0x1000 || sum.terms.is_empty() || sum.terms.iter().any(|term| term.factor < 2) {
            return None;
        }
        let types = self.loaded_types();
        let l = self.s.locate(VirtAddr(sum.disp.cast_unsigned()))?;
        let name = l.symbol.name.to_owned();
        let Some(ty) = types.first(Some(&self.scope()), Space::Variable, &name) else {
            return self.of_symbol(&name, l.offset, sum, asked);
        };
        let leaf = members::leaf(types, ty, l.offset, asked.size, &self.code.name)?;
        let (expr, indices) = self.with_indices(&leaf, &sum.terms, (CExpr::ident(name), false), ty, asked)?;
        let named = Named { expr, ty: Some(leaf.ty), how: How::Table, origin: Origin::Global };
        Some(Element { named, pointer: None, indices, disp: sum.disp })
    }

    /// `&p[n]`, `&p->array[n]` of a sum.
    pub(crate) fn element_address(&self, ip: u64, sum: Sym, depth: usize) -> Option<Named> {
        let types = self.types();
        let sum = Sum::of(&self.code.flow, sum)?;
        if sum.terms.len() != 2 {
            return None;
        }
        sum.terms.iter().enumerate().filter(|(_, term)| term.factor == 1).find_map(|(n, term)| {
            let [index] = sum.others(n).try_into().ok()?;
            let from = self.sym(ip, term.sym, depth + 1)?;
            let to = members::pointee(types, from.ty?)?;
            let len =
                types.size_of(to).ok().and_then(|len| i64::try_from(len).ok()).filter(|len| *len > 1)?;
            let asked = Asked::read(ip, 0, depth);
            let how = from.how.max(How::Decoded);
            let made = |expr: CExpr, ty| Named { expr, ty, how, origin: Origin::Computed };
            if index.factor == len && sum.disp % len == 0 {
                let index = self.index(
                    &index,
                    len.cast_unsigned(),
                    sum.disp / len,
                    (from.expr.clone(), None),
                    asked,
                )?;
                return Some(made(from.expr.index(index.expr).address(), from.ty));
            }
            let (path, ty) = members::beginning_at(types, to, u64::try_from(sum.disp).ok()?)?;
            let elem = members::pointee(types, ty).filter(|_| !members::is_pointer(types, ty))?;
            let stride = types.size_of(elem).ok().filter(|len| index.factor.cast_unsigned() == *len)?;
            let array = from.expr.path(&path, true);
            let index = self.index(&index, stride, 0, (array.clone(), None), asked)?;
            Some(made(array.index(index.expr).address(), Some(types.pointer_to(elem))))
        })
    }

    /// `*(table + n * 24 + 8)` of a variable whose type is not known.
    fn of_symbol(&self, name: &str, offset: u64, sum: &Sum, asked: Asked) -> Option<Element> {
        let array = CExpr::ident(name);
        let indices: Vec<Index> = sum
            .terms
            .iter()
            .map(|term| {
                let stride = u64::try_from(term.factor).ok()?;
                self.index(term, stride, 0, (array.clone(), None), asked)
            })
            .collect::<Option<_>>()?;
        let mut text = format!("*({name}");
        for index in &indices {
            text.push_str(&format!(" + {} * {}", index.expr.for_reader(), index.factor));
        }
        if offset > 0 {
            text.push_str(&format!(" + {offset:#x}"));
        }
        text.push(')');
        let named = Named { expr: CExpr::words(text), ty: None, how: How::Decoded, origin: Origin::Global };
        Some(Element { named, pointer: None, indices, disp: sum.disp })
    }

    /// What of `p[…]` or of `*p` lies at the offset that the terms and the number make.
    fn below(&self, p: &CExpr, to: TypeRef, terms: &[Term], disp: i64, asked: Asked) -> Option<Found> {
        let types = self.types();
        let len = types.size_of(to).ok().and_then(|len| i64::try_from(len).ok()).filter(|len| *len > 0)?;
        let own = terms.iter().position(|term| term.factor == len);
        if let Some(found) = own
            .filter(|_| (0..len).contains(&disp))
            .and_then(|n| self.entry(p, to, terms, (n, disp, len), asked))
        {
            return Some(found);
        }
        if let Some(found) = self.of_struct(p, to, terms, disp, asked) {
            return Some(found);
        }
        let multiple = || terms.iter().position(|term| term.factor > 0 && term.factor % len == 0);
        self.entry(p, to, terms, (own.or_else(multiple)?, disp, len), asked)
    }

    /// `p[n].member`
    fn entry(
        &self,
        p: &CExpr,
        to: TypeRef,
        terms: &[Term],
        (n, disp, len): (usize, i64, i64),
        asked: Asked,
    ) -> Option<Found> {
        let types = self.types();
        let term = terms.get(n)?;
        let offset = disp.rem_euclid(len).cast_unsigned();
        let stride = len.cast_unsigned();
        let index = self.index(term, stride, disp.div_euclid(len), (p.clone(), None), asked)?;
        let element = p.clone().index(index.expr.clone());
        let rest: Vec<Term> = terms.iter().enumerate().filter(|(at, _)| *at != n).map(|(_, t)| *t).collect();
        if !members::is_compound(types, to) {
            let fits = offset == 0 && stride == asked.size && rest.is_empty();
            return fits.then(|| Found { expr: element, ty: Some(to), guessed: false, indices: vec![index] });
        }
        let leaf = members::leaf(types, to, offset, asked.size, &self.code.name)?;
        let guessed = !leaf.others.is_empty();
        let (expr, more) = self.with_indices(&leaf, &rest, (element, false), to, asked)?;
        Some(Found { expr, ty: Some(leaf.ty), guessed, indices: [index].into_iter().chain(more).collect() })
    }

    /// `p->array[n].member`
    fn of_struct(&self, p: &CExpr, to: TypeRef, terms: &[Term], disp: i64, asked: Asked) -> Option<Found> {
        let offset = u64::try_from(disp).ok()?;
        let leaf = members::leaf(self.types(), to, offset, asked.size, &self.code.name)?;
        let (expr, indices) = self.with_indices(&leaf, terms, (p.clone(), true), to, asked)?;
        Some(Found { expr, ty: Some(leaf.ty), guessed: !leaf.others.is_empty(), indices })
    }

    /// A path below an object with indices in place of the numbers of its arrays, by the sizes of their elements. All terms
    /// have to be such indices.
    fn with_indices(
        &self,
        leaf: &Leaf,
        terms: &[Term],
        (object, of_pointer): (CExpr, bool),
        ty: TypeRef,
        asked: Asked,
    ) -> Option<(CExpr, Vec<Index>)> {
        let mut left = terms.to_vec();
        let mut indices: Vec<Index> = Vec::new();
        let (mut at, mut arrow, mut n) = (object, of_pointer, 0);
        let mut gone = MemberPath::default();
        for step in &leaf.path.steps {
            let name = MemberPath { steps: vec![cexpr::Step { index: Vec::new(), ..step.clone() }] };
            at = at.path(&name, arrow);
            arrow = false;
            gone.steps.extend(name.steps);
            for first in &step.index {
                let array = leaf.arrays.get(n)?;
                n += 1;
                let own = left.iter().position(|term| fits(term, array.stride, leaf, n));
                at = match own.map(|own| left.remove(own)) {
                    Some(term) => {
                        let more = i64::try_from(*first).ok()?;
                        let index =
                            self.index(&term, array.stride, more, (at.clone(), array.count), asked)?;
                        let made = at.index(index.expr.clone());
                        indices.push(Index { within: Some((ty, gone.clone())), ..index });
                        made
                    }
                    None => at.index(CExpr::unsigned(*first)),
                };
                if let Some(last) = gone.steps.last_mut() {
                    last.index.push(*first);
                }
            }
        }
        left.is_empty().then_some((at, indices))
    }

    /// An index: a term in elements, and the number that the compiler added.
    fn index(
        &self,
        term: &Term,
        stride: u64,
        more: i64,
        (array, count): (CExpr, Option<u64>),
        asked: Asked,
    ) -> Option<Index> {
        let named = self.sym(asked.ip, term.sym, asked.depth + 1);
        let own = match (&named, self.code.flow.expr(term.sym)) {
            (_, Expr::Const(v)) => CExpr::int(v),
            (Some(named), _) => named.expr.clone(),
            // a register that has it still; the number that it was
            (None, _) => match self.code.flow.holders(self.at, term.sym).next() {
                Some(n) => CExpr::register(register_name(self.s, n, 8)),
                None => match self.value(term.sym) {
                    Some(held) => CExpr::unsigned(held.value),
                    None => CExpr::int(asked.solved?),
                },
            },
        };
        let times = term.factor.checked_div(i64::try_from(stride).ok()?)?;
        let own = if times == 1 { own } else { CExpr::binary(COp::Mul, own, CExpr::int(times)) };
        let expr = match more {
            0 => own,
            1.. => CExpr::binary(COp::Add, own, CExpr::int(more)),
            _ => CExpr::binary(COp::Sub, own, CExpr::unsigned(more.unsigned_abs())),
        };
        Some(Index {
            sym: term.sym,
            named,
            expr,
            factor: term.factor,
            stride,
            more,
            array,
            count,
            within: None,
        })
    }
}

/// True for the term that is the index of the array `n` (from 1 on) of a path: it has the size of its elements, or is a
/// multiple of that and of no other array's.
fn fits(term: &Term, stride: u64, leaf: &Leaf, n: usize) -> bool {
    let factor = u64::try_from(term.factor).unwrap_or(0);
    let multiple = |stride: u64| stride > 0 && factor > 0 && factor.is_multiple_of(stride);
    let exact = leaf.arrays.iter().any(|array| array.stride == factor);
    let earlier = leaf.arrays.iter().take(n.saturating_sub(1)).any(|array| multiple(array.stride));
    if exact { stride == factor } else { multiple(stride) && !earlier }
}
