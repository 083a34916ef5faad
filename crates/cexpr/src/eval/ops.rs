//! Arithmetic on promoted operands: C17 6.3.1 (conversions), 6.5.3 to 6.5.12 (operators).

use super::Evaluator;
use crate::apart::elements;
use crate::ast::{BinOp, UnOp};
use crate::error::ErrorKind;
use crate::value::{Number, Value, step_of};
use base::VirtAddr;
use debuginfo::types::{Type, TypeRef};

/// An operand after the integer promotions and the decay of arrays and functions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand {
    Int { value: i128, size: u64, signed: bool },
    Float { value: f64, single: bool },
    Pointer { at: u64, to: TypeRef, ty: TypeRef },
}

impl Operand {
    fn is_pointer(self) -> bool {
        matches!(self, Operand::Pointer { .. })
    }

    fn as_float(self) -> f64 {
        match self {
            Operand::Int { value, .. } => value as f64,
            Operand::Float { value, .. } => value,
            Operand::Pointer { at, .. } => at as f64,
        }
    }

    /// A pointer counts as an unsigned long where no pointer rule applies.
    fn as_int(self) -> (i128, u64, bool) {
        match self {
            Operand::Int { value, size, signed } => (value, size, signed),
            Operand::Float { value, .. } => (value as i128, 8, true),
            Operand::Pointer { at, .. } => (i128::from(at), 8, false),
        }
    }
}

/// The value that `size` bytes keep of a number.
pub(super) fn wrap(value: i128, size: u64, signed: bool) -> i128 {
    let unused = 128u64.saturating_sub(size.saturating_mul(8)).min(127) as u32;
    if size >= 16 {
        return value;
    }
    let top = value << unused;
    if signed { top >> unused } else { ((top as u128) >> unused) as i128 }
}

impl Evaluator<'_> {
    /// Promotes a value.
    pub(super) fn operand(&self, value: &Value) -> Result<Operand, ErrorKind> {
        let (at, ty) = self.types.resolve(value.ty)?;
        let number = value.number(self.types, self.mem)?;
        Ok(match (&*ty, number) {
            (Type::Pointer { to }, Number::Int(v)) => {
                Operand::Pointer { at: v as u64, to: *to, ty: value.ty }
            }
            (Type::Array { elem, .. }, Number::Int(v)) => {
                Operand::Pointer { at: v as u64, to: *elem, ty: self.types.pointer_to(*elem) }
            }
            (Type::Func { .. }, Number::Int(v)) => {
                Operand::Pointer { at: v as u64, to: at, ty: self.types.pointer_to(at) }
            }
            (Type::Float { size, .. }, Number::Float(value)) => Operand::Float { value, single: *size == 4 },
            (Type::Int { size, encoding, .. }, Number::Int(v)) => {
                let narrow = *size < 4 || value.bits.is_some_and(|b| b.width < 32);
                promote(v, *size, encoding.is_signed(), narrow)
            }
            (Type::Enum { size, signed, .. }, Number::Int(v)) => promote(v, *size, *signed, *size < 4),
            _ => {
                return Err(ErrorKind::Operand {
                    operator: "arithmetic".into(),
                    ty: self.types.name(value.ty),
                });
            }
        })
    }

    pub(super) fn negate(&self, op: UnOp, a: Operand) -> Result<Value, ErrorKind> {
        match (op, a) {
            (UnOp::Neg, Operand::Float { value, single }) => Ok(self.float(-value, single)),
            (UnOp::Plus, Operand::Float { value, single }) => Ok(self.float(value, single)),
            (_, Operand::Float { .. }) => {
                Err(ErrorKind::Operand { operator: "unary ~".into(), ty: "double".into() })
            }
            _ => {
                let (value, size, signed) = a.as_int();
                let value = match op {
                    UnOp::Neg => value.wrapping_neg(),
                    UnOp::BitNot => !value,
                    _ => value,
                };
                Ok(self.int(size, signed, wrap(value, size, signed)))
            }
        }
    }

    pub(super) fn arithmetic(&self, op: BinOp, a: Operand, b: Operand) -> Result<Value, ErrorKind> {
        if let Some(order) = comparison(op) {
            return Ok(self.int(4, true, i128::from(compare(order, a, b))));
        }
        if (a.is_pointer() || b.is_pointer()) && matches!(op, BinOp::Add | BinOp::Sub) {
            return self.pointer_arithmetic(op, a, b);
        }
        match (a, b) {
            (Operand::Float { .. }, _) | (_, Operand::Float { .. }) => self.float_arithmetic(op, a, b),
            _ => self.integer_arithmetic(op, a, b),
        }
    }

    fn pointer_arithmetic(&self, op: BinOp, a: Operand, b: Operand) -> Result<Value, ErrorKind> {
        let bad = |ty: TypeRef| ErrorKind::Operand { operator: op.text().into(), ty: self.types.name(ty) };
        match (op, a, b) {
            (BinOp::Sub, Operand::Pointer { at: x, to, .. }, Operand::Pointer { at: y, to: other, .. }) => {
                Ok(self.int(8, true, elements(self.types, (x, to), (y, other))?))
            }
            (_, Operand::Pointer { at, to, ty }, Operand::Int { value, .. })
            | (BinOp::Add, Operand::Int { value, .. }, Operand::Pointer { at, to, ty }) => {
                let by = i128::from(step_of(self.types, to)?).wrapping_mul(value) as u64;
                let moved = if op == BinOp::Add { at.wrapping_add(by) } else { at.wrapping_sub(by) };
                Ok(self.immediate(ty, i128::from(VirtAddr(moved).0), 8))
            }
            (_, Operand::Pointer { ty, .. }, _) | (_, _, Operand::Pointer { ty, .. }) => Err(bad(ty)),
            _ => Err(ErrorKind::Operand { operator: op.text().into(), ty: "these operands".into() }),
        }
    }

    fn float_arithmetic(&self, op: BinOp, a: Operand, b: Operand) -> Result<Value, ErrorKind> {
        let (x, y) = (a.as_float(), b.as_float());
        let v = match op {
            BinOp::Add => x + y,
            BinOp::Sub => x - y,
            BinOp::Mul => x * y,
            BinOp::Div => x / y,
            _ => return Err(ErrorKind::Operand { operator: op.text().into(), ty: "double".into() }),
        };
        // an integer takes the other's type
        let double = |o| matches!(o, Operand::Float { single: false, .. });
        Ok(self.float(v, !double(a) && !double(b)))
    }

    fn integer_arithmetic(&self, op: BinOp, a: Operand, b: Operand) -> Result<Value, ErrorKind> {
        let ((x, xs, xsigned), (y, ys, ysigned)) = (a.as_int(), b.as_int());
        if matches!(op, BinOp::Shl | BinOp::Shr) {
            return Ok(self.int(xs, xsigned, shift(op, x, y, xs, xsigned)));
        }
        // the usual arithmetic conversions
        let size = xs.max(ys);
        let signed = match xs.cmp(&ys) {
            std::cmp::Ordering::Equal => xsigned && ysigned,
            std::cmp::Ordering::Greater => xsigned,
            std::cmp::Ordering::Less => ysigned,
        };
        let (x, y) = (wrap(x, size, signed), wrap(y, size, signed));
        let v = match op {
            BinOp::Add => x.wrapping_add(y),
            BinOp::Sub => x.wrapping_sub(y),
            BinOp::Mul => x.wrapping_mul(y),
            BinOp::Div | BinOp::Rem if y == 0 => return Err(ErrorKind::DivideByZero),
            BinOp::Div => x.wrapping_div(y),
            BinOp::Rem => x.wrapping_rem(y),
            BinOp::BitAnd => x & y,
            BinOp::BitOr => x | y,
            _ => x ^ y,
        };
        Ok(self.int(size, signed, wrap(v, size, signed)))
    }
}

fn promote(value: i128, size: u64, signed: bool, narrow: bool) -> Operand {
    if narrow { Operand::Int { value, size: 4, signed: true } } else { Operand::Int { value, size, signed } }
}

/// gdb's answer where C has none: a count beyond the width leaves only the sign.
fn shift(op: BinOp, x: i128, by: i128, size: u64, signed: bool) -> i128 {
    let width = i128::from(size.saturating_mul(8).min(128));
    let v = match (op, u32::try_from(by)) {
        (BinOp::Shl, Ok(n)) if by < width => x.checked_shl(n).unwrap_or(0),
        (BinOp::Shr, Ok(n)) if by < width => x >> n.min(127),
        (BinOp::Shr, _) if x < 0 => -1,
        _ => 0,
    };
    wrap(v, size, signed)
}

/// Which orderings make the comparison true; `None` for other operators.
fn comparison(op: BinOp) -> Option<BinOp> {
    use BinOp::{Eq, Ge, Gt, Le, Lt, Ne};
    matches!(op, Eq | Ne | Lt | Le | Gt | Ge).then_some(op)
}

fn compare(op: BinOp, a: Operand, b: Operand) -> bool {
    let order = match (a, b) {
        (Operand::Float { .. }, _) | (_, Operand::Float { .. }) => a.as_float().partial_cmp(&b.as_float()),
        _ => {
            let ((x, xs, xsigned), (y, ys, ysigned)) = (a.as_int(), b.as_int());
            let size = xs.max(ys);
            let signed = match xs.cmp(&ys) {
                std::cmp::Ordering::Equal => xsigned && ysigned,
                std::cmp::Ordering::Greater => xsigned,
                std::cmp::Ordering::Less => ysigned,
            };
            let order = |v| wrap(v, size, signed);
            if signed {
                Some(order(x).cmp(&order(y)))
            } else {
                Some((order(x) as u128).cmp(&(order(y) as u128)))
            }
        }
    };
    match op {
        BinOp::Eq => order.is_some_and(std::cmp::Ordering::is_eq),
        BinOp::Ne => !order.is_some_and(std::cmp::Ordering::is_eq),
        BinOp::Lt => order.is_some_and(std::cmp::Ordering::is_lt),
        BinOp::Le => order.is_some_and(std::cmp::Ordering::is_le),
        BinOp::Gt => order.is_some_and(std::cmp::Ordering::is_gt),
        _ => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}
