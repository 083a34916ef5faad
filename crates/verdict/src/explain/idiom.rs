//! Comparisons that the compiler has turned into others, turned back: a range, an error number in place of a pointer.

use crate::explain::operand::constant;
use crate::model::{Detail, Value};
use crate::naming::names::Namer;
use crate::naming::side::Side;
use arch::dataflow::{Branch, Expr, Part, Relation, Sym, Test, cut};
use cexpr::{BinOp, Expr as CExpr};
use debuginfo::types::{Type, TypeRef, Types};

/// The largest error number, `MAX_ERRNO`.
const MAX_ERRNO: u64 = 4095;

/// A comparison with a constant as the source has it, and its left side.
pub(crate) fn of(
    namer: &Namer<'_>,
    way: &Branch,
    test: &Test,
    left: &Side,
    right: u64,
) -> Option<(CExpr, Side)> {
    if test.signed || test.mask.is_some() || test.bit.is_some() {
        return None;
    }
    error_pointer(namer.types(), test, left, right).or_else(|| range(namer, way, test, left, right))
}

/// `IS_ERR(p)`: the last 4095 addresses are none.
fn error_pointer(types: &Types, test: &Test, left: &Side, right: u64) -> Option<(CExpr, Side)> {
    let last = 0_u64.wrapping_sub(MAX_ERRNO + 1);
    let not = match (test.relation, right.wrapping_sub(last)) {
        (Relation::Gt, 0) | (Relation::Ge, 1) => false,
        (Relation::Le, 0) | (Relation::Lt, 1) => true,
        _ => return None,
    };
    let kind = left.ty.and_then(|ty| types.resolve(ty).ok()).map(|(_, ty)| ty);
    let pointer = kind.as_deref().is_none_or(|ty| matches!(ty, Type::Pointer { .. }));
    if test.size != 8 || !pointer {
        return None;
    }
    let mut left = left.clone();
    if let (Some(row), Some(name)) = (&mut left.row, left.value.and_then(crate::code::errors::error_name)) {
        row.value = row.value.take().map(|v| Value { spelt: format!("{} ({name})", v.spelt), ..v });
    }
    let is_error = CExpr::call("IS_ERR", vec![left.expr.clone()]);
    Some((if not { is_error.not() } else { is_error }, left))
}

/// `x - 2 > 7` of unsigned numbers: `x < 2 || x > 9`. Where the value is known, the side that it is on.
fn range(namer: &Namer<'_>, way: &Branch, test: &Test, left: &Side, right: u64) -> Option<(CExpr, Side)> {
    let inside = match test.relation {
        Relation::Gt => false,
        Relation::Le => true,
        _ => return None,
    };
    let (base, disp) = shifted(namer, test.left, test.size)?;
    let named = namer.sym(way.compare, base, 0)?;
    let types = namer.types();
    let ty = named.ty.filter(|ty| types.size_of(*ty).is_ok_and(|n| n == test.size));
    let (low, high) = bounds(disp, right, test.size, signedness(types, ty))?;
    let value = left.value.map(|v| cut(v.wrapping_sub(disp.cast_unsigned()), test.size, false));
    let signed = low < 0 || signedness(types, ty) == Some(true);
    let known = value.map(|v| i128::from(cut(v, test.size, signed).cast_signed()));
    let known = if signed { known } else { value.map(i128::from) };
    let spell = |v: i128| {
        let v = i64::try_from(v).unwrap_or_default().cast_unsigned();
        constant(types, ty, v, test)
    };
    let to = |op: BinOp, limit: i128| CExpr::binary(op, named.expr.clone(), spell(limit));
    let expr = match known {
        _ if inside => CExpr::binary(BinOp::LogAnd, to(BinOp::Ge, low), to(BinOp::Le, high)),
        Some(v) if v < low => to(BinOp::Lt, low),
        Some(v) if v > high => to(BinOp::Gt, high),
        _ => CExpr::binary(BinOp::LogOr, to(BinOp::Lt, low), to(BinOp::Gt, high)),
    };
    let mut out = left.clone();
    if let Some(row) = &mut out.row {
        row.call_it(&named.expr);
        row.value = value.zip(known).map(|(bits, v)| Value::of(bits, v.to_string()));
        row.how = named.how;
        row.detail.extend(value.map(|_| Detail::Less(disp)));
    }
    out.expr = named.expr;
    out.ty = ty;
    out.value = value;
    Some((expr, out))
}

/// The value that a constant was added to, and the constant.
fn shifted(namer: &Namer<'_>, part: Part, size: u64) -> Option<(Sym, i64)> {
    let flow = &namer.code.flow;
    let mut sym = part.sym?;
    loop {
        match flow.expr(sym) {
            Expr::Cut { base, size: width, .. } if width >= size => sym = base,
            Expr::Add { base, disp } => {
                return Some((base, cut(disp.cast_unsigned(), size, true).cast_signed()));
            }
            _ => return None,
        }
    }
}

/// True where the type is a signed number's; `None` where that is not known.
fn signedness(types: &Types, ty: Option<TypeRef>) -> Option<bool> {
    match &*types.resolve(ty?).ok()?.1 {
        Type::Int { encoding, .. } => Some(encoding.is_signed()),
        Type::Enum { .. } => Some(false),
        _ => None,
    }
}

/// The least and the largest number of the range, where it does not wrap around.
fn bounds(disp: i64, right: u64, size: u64, signed: Option<bool>) -> Option<(i128, i128)> {
    let low = -i128::from(disp);
    let high = low.checked_add(i128::from(cut(right, size, false)))?;
    let bits = u32::try_from(size.clamp(1, 8) * 8).ok()?;
    let limit = match signed {
        Some(false) => 1_i128 << bits,
        _ => 1_i128 << (bits - 1),
    };
    let least = if signed == Some(true) { -limit } else { 1 };
    (low != 0 && low != high && low >= least && high < limit).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_do_not_wrap() {
        assert_eq!(bounds(-2, 7, 2, Some(true)), Some((2, 9)));
        assert_eq!(bounds(-2, 7, 4, None), Some((2, 9)));
        assert_eq!(bounds(3, 6, 4, Some(true)), Some((-3, 3)));
        // of an unsigned number less than 0 does not exist
        assert_eq!(bounds(3, 6, 4, Some(false)), None);
        assert_eq!(bounds(3, 6, 4, None), None);
        // x != 2
        assert_eq!(bounds(-2, 0, 4, Some(true)), None);
        assert_eq!(bounds(-2, 126, 1, Some(true)), None);
        assert_eq!(bounds(-2, 126, 1, Some(false)), Some((2, 128)));
        assert_eq!(bounds(-2, 254, 1, Some(false)), None);
    }
}
