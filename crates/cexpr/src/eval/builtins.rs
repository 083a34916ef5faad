//! The kernel's macros that engineers type, as functions (include/linux/container_of.h, list.h,
//! percpu-defs.h, err.h, bits.h, minmax.h, math.h).

use super::{At, Evaluator};
use crate::ast::{Expr, ExprKind, TypeSpec};
use crate::error::{ErrorKind, ExprError, Span};
use crate::eval::typename::find_tag_or_typedef;
use crate::value::{Caveat, Place, Value, find_member};
use debuginfo::types::{Space, Type, TypeRef};

/// The largest error number (include/linux/err.h).
const MAX_ERRNO: u64 = 4095;

impl Evaluator<'_> {
    pub(super) fn call(&self, name: &str, args: &[Expr], span: Span) -> Result<Value, ExprError> {
        let count = |n: usize| -> Result<(), ExprError> {
            if args.len() == n {
                return Ok(());
            }
            let why = format!("takes {n} argument{}, got {}", if n == 1 { "" } else { "s" }, args.len());
            Err(ErrorKind::Call { name: name.to_owned(), why }.at(span))
        };
        match (name, args) {
            ("container_of" | "list_entry" | "hlist_entry" | "rb_entry" | "llist_entry", _) => {
                count(3)?;
                let [ptr, ty, member] = args else { return Err(self.bad_args(name, span)) };
                self.around(&self.eval(ptr)?, ty, member, span)
            }
            ("list_first_entry" | "list_last_entry", _) => {
                count(3)?;
                let [ptr, ty, member] = args else { return Err(self.bad_args(name, span)) };
                let link = if name == "list_first_entry" { "next" } else { "prev" };
                let head = self.eval(ptr)?.deref(self.types, self.mem).at(ptr.span)?;
                let node = head.member(self.types, link).at(ptr.span)?;
                self.around(&node, ty, member, span)
            }
            ("offsetof", _) => {
                count(2)?;
                let [ty, member] = args else { return Err(self.bad_args(name, span)) };
                let bits = self.path(self.type_arg(ty)?, member)?.1;
                Ok(Value::ulong(self.types, bits / 8))
            }
            ("sizeof_field" | "FIELD_SIZEOF", _) => {
                count(2)?;
                let [ty, member] = args else { return Err(self.bad_args(name, span)) };
                let (member, _) = self.path(self.type_arg(ty)?, member)?;
                self.size(member, span)
            }
            ("per_cpu" | "per_cpu_ptr", _) => {
                count(2)?;
                let [what, cpu] = args else { return Err(self.bad_args(name, span)) };
                let number = self.unsigned(cpu)?;
                self.on_cpu(name, &self.eval(what)?, number, span)
            }
            ("this_cpu_ptr" | "raw_cpu_ptr" | "this_cpu_read" | "raw_cpu_read", [what]) => {
                let Some(cpu) = self.scope.cpu() else {
                    let why = "no CPU is chosen; use per_cpu or per_cpu_ptr".to_owned();
                    return Err(ErrorKind::Call { name: name.to_owned(), why }.at(span));
                };
                self.on_cpu(name, &self.eval(what)?, cpu, span)
            }
            ("READ_ONCE" | "ACCESS_ONCE" | "likely" | "unlikely" | "rcu_dereference", [x]) => self.eval(x),
            ("ARRAY_SIZE", [x]) => self.array_size(x),
            ("atomic_read" | "atomic64_read" | "atomic_long_read", [x]) => {
                let to = self.eval(x)?.deref(self.types, self.mem).at(x.span)?;
                to.member(self.types, "counter").at(x.span)
            }
            ("test_bit", [nr, ptr]) => {
                let nr = self.unsigned(nr)?;
                let base = self.eval(ptr)?.to_address(self.types, self.mem).at(ptr.span)?;
                let byte = base.add(nr / 8);
                let fault = |f| crate::absent::Absent::Fault(f);
                let b = self.mem.u8(byte).map_err(fault).at(ptr.span)?;
                Ok(self.int(4, true, i128::from(b >> (nr % 8) & 1)))
            }
            _ => self.numeric(name, args, span),
        }
    }

    fn bad_args(&self, name: &str, span: Span) -> ExprError {
        ErrorKind::Call { name: name.to_owned(), why: "wrong arguments".into() }.at(span)
    }

    /// Macros that take plain numbers.
    fn numeric(&self, name: &str, args: &[Expr], span: Span) -> Result<Value, ExprError> {
        let ulong = |v: u64| Ok(Value::ulong(self.types, v));
        let truth = |v: bool| Ok(self.int(4, true, i128::from(v)));
        let is_err = |v: u64| v >= 0u64.wrapping_sub(MAX_ERRNO);
        match (name, args) {
            ("IS_ERR" | "IS_ERR_VALUE", [x]) => truth(is_err(self.bits(x)?)),
            ("IS_ERR_OR_NULL", [x]) => {
                let v = self.bits(x)?;
                truth(v == 0 || is_err(v))
            }
            ("PTR_ERR", [x]) => Ok(self.int(8, true, i128::from(self.bits(x)?.cast_signed()))),
            ("ERR_PTR", [x]) => {
                let ty = self.types.pointer_to(TypeRef::VOID);
                Ok(self.immediate(ty, i128::from(self.bits(x)?), 8))
            }
            ("BIT" | "BIT_ULL", [n]) => {
                match u32::try_from(self.bits(n)?).ok().and_then(|n| 1u64.checked_shl(n)) {
                    Some(v) => ulong(v),
                    None => {
                        Err(ErrorKind::Call { name: name.into(), why: "a bit from 0 to 63 is wanted".into() }
                            .at(span))
                    }
                }
            }
            ("GENMASK" | "GENMASK_ULL", [high, low]) => {
                let (h, l) = (self.bits(high)?, self.bits(low)?);
                if h > 63 || l > h {
                    let why = "wants 63 >= high >= low".to_owned();
                    return Err(ErrorKind::Call { name: name.into(), why }.at(span));
                }
                ulong((u64::MAX << l) & (u64::MAX >> (63 - h)))
            }
            ("ALIGN" | "round_up", [x, a]) => {
                let (x, a) = (self.bits(x)?, self.bits(a)?);
                let mask = a.wrapping_sub(1);
                ulong(x.wrapping_add(mask) & !mask)
            }
            ("ALIGN_DOWN" | "round_down", [x, a]) => {
                let (x, a) = (self.bits(x)?, self.bits(a)?);
                ulong(x & !a.wrapping_sub(1))
            }
            ("DIV_ROUND_UP", [x, a]) => {
                let (x, d) = (self.bits(x)?, self.bits(a)?);
                match d {
                    0 => Err(ErrorKind::DivideByZero.at(a.span)),
                    _ => ulong(x.div_ceil(d)),
                }
            }
            ("min" | "max", [a, b]) => {
                let op = if name == "min" { crate::ast::BinOp::Le } else { crate::ast::BinOp::Ge };
                let (x, y) = (self.eval(a)?, self.eval(b)?);
                let (l, r) = (self.operand(&x).at(a.span)?, self.operand(&y).at(b.span)?);
                let first = self.arithmetic(op, l, r).at(span)?.truth(self.types, self.mem).at(span)?;
                Ok(if first { x } else { y })
            }
            ("ntohs" | "htons" | "be16_to_cpu" | "cpu_to_be16", [x]) => {
                Ok(self.int(4, true, i128::from((self.bits(x)? as u16).swap_bytes())))
            }
            ("ntohl" | "htonl" | "be32_to_cpu" | "cpu_to_be32", [x]) => {
                Ok(self.int(4, false, i128::from((self.bits(x)? as u32).swap_bytes())))
            }
            ("be64_to_cpu" | "cpu_to_be64", [x]) => ulong(self.bits(x)?.swap_bytes()),
            _ => self.by_scope(name, args, span),
        }
    }

    fn by_scope(&self, name: &str, args: &[Expr], span: Span) -> Result<Value, ExprError> {
        let values: Result<Vec<Value>, ExprError> = args.iter().map(|a| self.eval(a)).collect();
        match self.scope.call(name, &values?) {
            Some(Ok(value)) => Ok(value),
            Some(Err(why)) => Err(ErrorKind::Call { name: name.to_owned(), why }.at(span)),
            None => {
                let why = if self.scope.symbol(name).is_empty() {
                    "no function or macro of this name is known"
                } else {
                    "a function of a dumped kernel cannot be called"
                };
                Err(ErrorKind::Call { name: name.to_owned(), why: why.into() }.at(span))
            }
        }
    }

    fn bits(&self, e: &Expr) -> Result<u64, ExprError> {
        Ok(self.eval(e)?.to_int(self.types, self.mem).at(e.span)? as u64)
    }

    fn unsigned(&self, e: &Expr) -> Result<u64, ExprError> {
        let v = self.eval(e)?.to_int(self.types, self.mem).at(e.span)?;
        u64::try_from(v).map_err(|_| {
            ErrorKind::Call { name: v.to_string(), why: "a number from 0 is wanted".into() }.at(e.span)
        })
    }

    fn array_size(&self, x: &Expr) -> Result<Value, ExprError> {
        let value = self.eval(x)?;
        match &*self.types.resolve(value.ty).at(x.span)?.1 {
            Type::Array { count, .. } => Ok(Value::ulong(self.types, count.unwrap_or(0))),
            _ => Err(ErrorKind::Operand { operator: "ARRAY_SIZE".into(), ty: self.types.name(value.ty) }
                .at(x.span)),
        }
    }

    /// A per-CPU variable, or the target of a per-CPU pointer, on one CPU.
    fn on_cpu(&self, name: &str, what: &Value, cpu: u64, span: Span) -> Result<Value, ExprError> {
        let offset = self
            .scope
            .per_cpu_offset(cpu)
            .map_err(|why| ErrorKind::Call { name: name.to_owned(), why }.at(span))?;
        if name.ends_with("_ptr") {
            let at = what.to_address(self.types, self.mem).at(span)?;
            let ty = match &*self.types.resolve(what.ty).at(span)?.1 {
                Type::Array { elem, .. } => self.types.pointer_to(*elem),
                _ => what.ty,
            };
            return Ok(self.immediate(ty, i128::from(at.add(offset).0), 8));
        }
        what.on_cpu(offset).ok_or_else(|| {
            let why = "wants a per-CPU variable; of a pointer use per_cpu_ptr".to_owned();
            ErrorKind::Call { name: name.to_owned(), why }.at(span)
        })
    }

    fn around(&self, ptr: &Value, ty: &Expr, member: &Expr, span: Span) -> Result<Value, ExprError> {
        let outer = self.type_arg(ty)?;
        let (_, bits) = self.path(outer, member)?;
        ptr.container_of(self.types, self.mem, outer, bits / 8).at(span)
    }

    /// A type given as an argument; a bare tag is taken too.
    fn type_arg(&self, e: &Expr) -> Result<TypeRef, ExprError> {
        match &e.kind {
            ExprKind::Type(name) => self.type_of_name(name),
            ExprKind::Ident(tag) => {
                find_tag_or_typedef(self.types, self.scope.prefer().as_ref(), tag).at(e.span)
            }
            _ => Err(ErrorKind::Expected { wanted: "a type", found: "an expression".into() }.at(e.span)),
        }
    }

    /// The type and bit offset of a member named by `a.b[2]`.
    fn path(&self, outer: TypeRef, e: &Expr) -> Result<(TypeRef, u64), ExprError> {
        let named = |name: &str, of: TypeRef, base: u64| {
            let found = find_member(self.types, of, name).at(e.span)?;
            Ok((found.ty, base.saturating_add(found.bit_offset)))
        };
        match &e.kind {
            ExprKind::Ident(name) => named(name, outer, 0),
            // a member whose name is a typedef's too
            ExprKind::Type(ty) => match &ty.spec {
                TypeSpec::Named(Space::Typedef, name) if ty.derivs.is_empty() => named(name, outer, 0),
                _ => Err(ErrorKind::Expected { wanted: "a member", found: "a type".into() }.at(e.span)),
            },
            ExprKind::Member(inner, name, false) => {
                let (ty, bits) = self.path(outer, inner)?;
                named(name, ty, bits)
            }
            ExprKind::Index(inner, index) => {
                let (ty, bits) = self.path(outer, inner)?;
                let Type::Array { elem, .. } = *self.types.resolve(ty).at(e.span)?.1 else {
                    return Err(
                        ErrorKind::Operand { operator: "[]".into(), ty: self.types.name(ty) }.at(e.span)
                    );
                };
                let by = self.unsigned(index)?.saturating_mul(self.types.size_of(elem).at(e.span)?);
                Ok((elem, bits.saturating_add(by.saturating_mul(8))))
            }
            _ => Err(ErrorKind::Expected { wanted: "a member", found: "an expression".into() }.at(e.span)),
        }
    }
}

impl Value {
    /// A per-CPU variable on the CPU whose area lies at `offset`; `None` where this is no object in memory.
    #[must_use]
    pub fn on_cpu(&self, offset: u64) -> Option<Value> {
        let at = self.address()?.add(offset);
        let caveat = self.caveat.clone().filter(|c| matches!(c, Caveat::NoType(_)));
        Some(Value { place: Place::Memory(at), caveat, ..self.clone() })
    }
}
