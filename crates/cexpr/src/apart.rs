//! How far pointers are apart.

use crate::value::step_of;
use crate::{ErrorKind, Value};
use base::VirtRead;
use debuginfo::types::{Type, TypeRef, Types};

/// How many elements lie between two pointers: those of `to` from the address `y` up to `x`. Elements of another size, or of none
/// that is known, are an error: C does not count them.
pub(crate) fn elements(
    types: &Types,
    (x, to): (u64, TypeRef),
    (y, other): (u64, TypeRef),
) -> Result<i128, ErrorKind> {
    let bad = || ErrorKind::Operand {
        operator: "-".into(),
        ty: format!("pointers to {} and {}", types.name(to), types.name(other)),
    };
    let step = step_of(types, to)?;
    if step != step_of(types, other)? {
        return Err(bad());
    }
    let apart = x.wrapping_sub(y).cast_signed();
    apart.checked_div(step.cast_signed()).map(i128::from).ok_or_else(bad)
}

impl Value {
    /// How many elements this pointer or array is behind another one.
    ///
    /// # Errors
    /// One is neither, its memory is missing, or their elements are of several sizes or of none that is known.
    pub fn elements_from(&self, types: &Types, mem: &dyn VirtRead, other: &Self) -> Result<i128, ErrorKind> {
        let of = |value: &Self| match &*types.resolve(value.ty)?.1 {
            Type::Pointer { to } | Type::Array { elem: to, .. } => Ok((value.to_address(types, mem)?.0, *to)),
            _ => Err(ErrorKind::Operand { operator: "-".into(), ty: types.name(value.ty) }),
        };
        elements(types, of(self)?, of(other)?)
    }
}
