//! Bit-fields and flags: which member the bits of a value belong to.
//!
//! Compilers test a flag of a word in the one byte that has it, and a bit-field by masks, shifts and
//! comparisons of the whole byte: these are turned back to members.

use crate::code::operand::read;
use crate::model::{Detail, Object, Spot, Value};
use crate::naming::members::{self, Leaf};
use crate::naming::names::{Named, Namer};
use crate::naming::side::Side;
use arch::dataflow::{BinOp, Expr, Part, Relation, Sym};
use debuginfo::types::TypeRef;

/// Bits of what was read from memory: `(value >> shift) & mask`.
struct Slice {
    load: Sym,
    shift: u32,
    mask: u64,
}

const fn ones(width: u32) -> u64 {
    if width == 0 {
        0
    } else if width >= 64 {
        u64::MAX
    } else {
        u64::MAX >> (64 - width)
    }
}

/// A struct read by the code: the pointer's name, the struct, and which of its bytes.
struct Source {
    from: Named,
    ty: TypeRef,
    offset: u64,
    size: u64,
    base: Sym,
    disp: i64,
}

fn slice(namer: &Namer<'_>, sym: Sym, depth: usize) -> Option<Slice> {
    if depth > 6 {
        return None;
    }
    let flow = &namer.code.flow;
    let constant = |b: Sym| match flow.expr(b) {
        Expr::Const(v) => Some(v.cast_unsigned()),
        _ => None,
    };
    match flow.expr(sym) {
        Expr::Load { size, .. } => {
            Some(Slice { load: sym, shift: 0, mask: ones(8 * u32::try_from(size).ok()?) })
        }
        Expr::Cut { base, size, signed: false } => {
            let inner = slice(namer, base, depth + 1)?;
            Some(Slice { mask: inner.mask & ones(8 * u32::try_from(size).ok()?), ..inner })
        }
        Expr::Bin { op: BinOp::Shr, a, b, .. } => {
            let inner = slice(namer, a, depth + 1)?;
            let by = u32::try_from(constant(b)?).ok().filter(|n| *n < 64)?;
            Some(Slice { shift: inner.shift + by, mask: inner.mask >> by, ..inner })
        }
        Expr::Bin { op: BinOp::And, a, b, .. } => {
            let inner = slice(namer, a, depth + 1)?;
            Some(Slice { mask: inner.mask & constant(b)?, ..inner })
        }
        _ => None,
    }
}

fn source(namer: &Namer<'_>, load: Sym) -> Option<Source> {
    let Expr::Load { base, disp, size, at } = namer.code.flow.expr(load) else { return None };
    let from = namer.sym(at, base, 1)?;
    let ty = members::pointee(namer.types(), from.ty?)?;
    let offset = u64::try_from(disp).ok()?;
    Some(Source { from, ty, offset, size, base, disp })
}

/// How many bits a value has that is exactly a bit-field.
pub(crate) fn width(namer: &Namer<'_>, sym: Sym) -> Option<u32> {
    field(namer, sym)?;
    Some(64 - slice(namer, sym, 0)?.mask.leading_zeros())
}

/// The bit-field that a value is, where it is exactly one.
pub(crate) fn field(namer: &Namer<'_>, sym: Sym) -> Option<Named> {
    let bits = slice(namer, sym, 0)?;
    let from = source(namer, bits.load)?;
    let fields = members::bit_fields(namer.types(), from.ty, from.offset, from.size);
    let mut fitting = fields.iter().filter(|f| {
        f.bits.is_some_and(|(first, width)| first == u64::from(bits.shift) && ones(width) == bits.mask)
    });
    let only = fitting.next().filter(|_| fitting.next().is_none())?;
    Some(Named {
        expr: from.from.expr.path(&only.path, true),
        ty: Some(only.ty),
        how: from.from.how,
        origin: namer.origin(bits.load),
    })
}

/// `left & mask` as a member and the mask that is asked of it; no mask where it is all of a bit-field.
pub(crate) fn masked(namer: &Namer<'_>, part: Part, left: &Side, mask: u64) -> Option<(Side, Option<u64>)> {
    if part.after || mask == 0 {
        return None;
    }
    let bits = slice(namer, part.sym?, 0)?;
    let mask = (mask & bits.mask) << bits.shift;
    let from = source(namer, bits.load)?;
    let types = namer.types();
    let fields = members::bit_fields(types, from.ty, from.offset, from.size);
    let whole = left.value.map(|v| v << bits.shift);
    let mut inside = fields.iter().filter_map(|f| {
        let (first, width) = f.bits?;
        let own = ones(width).checked_shl(u32::try_from(first).ok()?)?;
        (mask & !own == 0).then_some((f, u32::try_from(first).ok()?, ones(width)))
    });
    if let Some((f, first, width)) = inside.next() {
        if inside.next().is_some() {
            return None;
        }
        let value = whole.map(|v| v >> first & width);
        let mask = (mask >> first != width).then_some(mask >> first);
        return Some((renamed(namer, left, &from, f, value, from.size), mask));
    }
    if !fields.is_empty() {
        return None;
    }
    let (leaf, start, len) = members::containing(types, from.ty, from.offset, from.size)?;
    let by = u32::try_from((from.offset - start) * 8).ok()?;
    let base = namer.value(from.base)?;
    let at = base.value.wrapping_add_signed(from.disp).wrapping_sub(from.offset - start);
    // a register has the value of the time, memory the dump's
    let value = match (by, namer.value(bits.load)) {
        (0, Some(held)) if from.size == len => Some(held.value),
        _ => read(namer.s.mem(), at, len),
    };
    Some((renamed(namer, left, &from, &leaf, value, len), Some(mask << by)))
}

/// The comparison of a byte with a constant, as one of the bit-field that its upper bits are.
pub(crate) fn compared(
    namer: &Namer<'_>,
    part: Part,
    left: &Side,
    relation: Relation,
    right: u64,
) -> Option<(Side, u64)> {
    let bits = slice(namer, part.sym.filter(|_| !part.after)?, 0)?;
    let from = source(namer, bits.load)?;
    let top = u64::from(64 - bits.mask.leading_zeros());
    if bits.shift != 0 || bits.mask != ones(u32::try_from(top).ok()?) {
        return None;
    }
    let fields = members::bit_fields(namer.types(), from.ty, from.offset, top / 8);
    let last =
        fields.iter().find(|f| f.bits.is_some_and(|(first, width)| first + u64::from(width) == top))?;
    let (first, width) = last.bits?;
    let first = u32::try_from(first).ok()?;
    let low = right & ones(first);
    let exact = match relation {
        Relation::Gt | Relation::Le => low == ones(first),
        Relation::Ge | Relation::Lt => low == 0,
        Relation::Eq | Relation::Ne => first == 0,
    };
    let value = left.value.map(|v| v >> first & ones(width));
    exact.then(|| (renamed(namer, left, &from, last, value, from.size), right >> first))
}

/// An operand under a member's name, with the member's value.
fn renamed(
    namer: &Namer<'_>,
    left: &Side,
    from: &Source,
    leaf: &Leaf,
    value: Option<u64>,
    size: u64,
) -> Side {
    let types = namer.types();
    let expr = from.from.expr.clone().path(&leaf.path, true);
    let mut out = left.clone();
    let at = namer.value(from.base).map(|b| b.value.wrapping_add_signed(from.disp).wrapping_sub(from.offset));
    if let Some(row) = &mut out.row {
        row.call_it(&expr);
        row.value = value.map(|v| Value::of(v, crate::naming::names::shown(types, Some(leaf.ty), v, size)));
        row.how = from.from.how;
        // the register has other bits as well
        if let (Some(_), Spot::Register(register)) = (leaf.bits, &row.spot) {
            let register = register.clone();
            for detail in &mut row.detail {
                if let Detail::In(own) = detail {
                    *detail = Detail::Among(std::mem::take(own));
                }
            }
            if row.detail.is_empty() {
                row.detail.push(Detail::Among(register));
            }
            row.spot = Spot::Made;
        }
        if let Some(at) = at {
            row.commands.insert(0, format!("{}.{} {at:x}", types.name(from.ty), leaf.path));
        }
    }
    out.object = at.map(|at| Object {
        expr: from.from.expr.clone(),
        ty: from.ty,
        at,
        member: leaf.path.clone(),
        level: namer.level,
    });
    out.expr = expr;
    out.ty = Some(leaf.ty);
    out
}
