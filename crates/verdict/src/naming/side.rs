//! An operand of a comparison as far as it is known: what naming gives and the explanation of a condition takes.

use crate::model::{Object, Operand as Row};
use cexpr::Expr as CExpr;
use debuginfo::types::TypeRef;

/// An operand: its name, its value and the row that tells of it.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) expr: CExpr,
    pub(crate) ty: Option<TypeRef>,
    pub(crate) value: Option<u64>,
    /// False where the value was read from memory that may have changed since.
    pub(crate) sure: bool,
    pub(crate) constant: bool,
    pub(crate) memory: bool,
    pub(crate) row: Option<Row>,
    pub(crate) object: Option<Object>,
}

impl Side {
    pub(crate) fn constant(v: i64) -> Self {
        Self {
            expr: CExpr::int(v),
            ty: None,
            value: Some(v.cast_unsigned()),
            sure: true,
            constant: true,
            memory: false,
            row: None,
            object: None,
        }
    }
}
