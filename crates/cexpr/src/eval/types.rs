//! Type names evaluated: `typeof`, array sizes, and derivations made in the arena of made types.

use super::{At, Evaluator};
use crate::ast::{Deriv, TypeName, TypeSpec};
use crate::error::{ErrorKind, ExprError};
use crate::eval::typename::named;
use debuginfo::types::{Param, Type, TypeRef};

impl Evaluator<'_> {
    pub(crate) fn type_of_name(&self, name: &TypeName) -> Result<TypeRef, ExprError> {
        let heart = match &name.spec {
            TypeSpec::Void => TypeRef::VOID,
            TypeSpec::Int(base, size, encoding) => {
                self.types.intern(Type::Int { name: (*base).into(), size: *size, encoding: *encoding })
            }
            TypeSpec::Float(base, size) => {
                self.types.intern(Type::Float { name: (*base).into(), size: *size })
            }
            TypeSpec::Named(space, tag) => {
                named(self.types, self.scope.prefer().as_ref(), *space, tag).at(name.heart)?
            }
            TypeSpec::TypeofExpr(e) => self.eval(e)?.ty,
            TypeSpec::TypeofType(t) => self.type_of_name(t)?,
        };
        self.derive(heart, name)
    }

    /// The type that the declarator makes of its heart.
    pub(crate) fn derive(&self, heart: TypeRef, name: &TypeName) -> Result<TypeRef, ExprError> {
        let mut ty = heart;
        for step in &name.derivs {
            ty = match step {
                Deriv::Pointer => self.types.pointer_to(ty),
                Deriv::Qualified(q) => self.types.intern(Type::Qualified { qualifier: *q, to: ty }),
                Deriv::Array(None) => self.types.array_of(ty, None),
                Deriv::Array(Some(e)) => {
                    let count = self.eval(e)?.to_int(self.types, self.mem).at(e.span)?;
                    let count = u64::try_from(count).map_err(|_| {
                        let why = format!("{count} is no number of elements");
                        ErrorKind::Call { name: "array".into(), why }.at(e.span)
                    })?;
                    self.types.array_of(ty, Some(count))
                }
                Deriv::Func(params, variadic) => {
                    let params: Result<Vec<Param>, ExprError> =
                        params.iter().map(|p| Ok(Param { name: None, ty: self.type_of_name(p)? })).collect();
                    self.types.intern(Type::Func { ret: ty, params: params?.into(), variadic: *variadic })
                }
            };
        }
        Ok(ty)
    }
}
