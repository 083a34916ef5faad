//! The evaluator: walks the tree, asks the scope for names and the values for bits.
//!
//! C's rules (C17 6.3, 6.5) where C has them; gdb's where C has none (`@`, `*5`, casts to structs).

mod builtins;
mod names;
mod ops;
pub(crate) mod typename;
mod types;

use crate::absent::Absent;
use crate::ast::{BinOp, Expr, ExprKind, UnOp};
use crate::error::{ErrorKind, ExprError, Span};
use crate::eval::typename::is_typedef;
use crate::parse::{self, Parsed};
use crate::scope::Scope;
use crate::value::{Place, Value, le_bytes};
use base::VirtRead;
use debuginfo::types::{Encoding, Type, TypeRef, Types};

/// Elements that `@` may ask for.
const MAX_EXTENT: i128 = 1 << 24;

/// What a text stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A value.
    Value(Value),
    /// A type: the text was a type name.
    Type(TypeRef),
}

/// Evaluates an expression.
///
/// # Errors
/// It is no expression, names what is not known, or needs memory that is missing; where in the text.
pub fn eval(scope: &dyn Scope, text: &str) -> Result<Value, ExprError> {
    let tree = parse::parse(text, &|name| is_typedef(scope, name))?;
    eval_parsed(scope, &tree)
}

/// Evaluates a tree that was parsed before.
///
/// # Errors
/// It names what is not known, or needs memory that is missing.
pub fn eval_parsed(scope: &dyn Scope, tree: &Expr) -> Result<Value, ExprError> {
    Evaluator::new(scope).eval(tree)
}

/// Evaluates an expression or a type name.
///
/// # Errors
/// As [`eval`].
pub fn eval_or_type(scope: &dyn Scope, text: &str) -> Result<Outcome, ExprError> {
    let evaluator = Evaluator::new(scope);
    Ok(match parse::parse_or_type(text, &|name| is_typedef(scope, name))? {
        Parsed::Type(name) => Outcome::Type(evaluator.type_of_name(&name)?),
        Parsed::Expr(tree) => Outcome::Value(evaluator.eval(&tree)?),
    })
}

/// A scope at work.
pub(crate) struct Evaluator<'s> {
    pub(crate) scope: &'s dyn Scope,
    pub(crate) types: &'s Types,
    pub(crate) mem: &'s dyn VirtRead,
}

/// Pins an error without a place to a span.
trait At<T> {
    fn at(self, span: Span) -> Result<T, ExprError>;
}

impl<T, E: Into<ErrorKind>> At<T> for Result<T, E> {
    fn at(self, span: Span) -> Result<T, ExprError> {
        self.map_err(|e| e.into().at(span))
    }
}

impl<'s> Evaluator<'s> {
    pub(crate) fn new(scope: &'s dyn Scope) -> Self {
        Self { scope, types: scope.types(), mem: scope.memory() }
    }

    pub(crate) fn eval(&self, e: &Expr) -> Result<Value, ExprError> {
        self.operation(e).map_err(|error| match &error.kind {
            ErrorKind::Absent(why) if error.span.end > error.span.start => {
                let span = self.unknown(e, error.span, why).unwrap_or(error.span);
                ExprError { span, ..error }
            }
            _ => error,
        })
    }

    /// The name or register in `span` whose value is not known, and why: what was done with it is not at fault.
    fn unknown(&self, e: &Expr, span: Span, why: &Absent) -> Option<Span> {
        if let ExprKind::Ident(_) | ExprKind::Register(_) | ExprKind::History(_) = &e.kind {
            let within = span.start <= e.span.start && e.span.end <= span.end;
            let value = within.then(|| self.operation(e).ok()).flatten()?;
            return matches!(&value.place, Place::Absent(own) if own == why).then_some(e.bare);
        }
        e.children().into_iter().find_map(|child| self.unknown(child, span, why))
    }

    fn operation(&self, e: &Expr) -> Result<Value, ExprError> {
        match &e.kind {
            ExprKind::Int { value, size, signed, .. } => Ok(self.int(*size, *signed, i128::from(*value))),
            ExprKind::Float(v, single) => Ok(self.float(*v, *single)),
            ExprKind::Char(c) => Ok(Value::immediate(self.char_type(), vec![*c])),
            ExprKind::Str(bytes) => {
                let mut with_nul = bytes.to_vec();
                with_nul.push(0);
                let ty = self.types.array_of(self.char_type(), Some(with_nul.len() as u64));
                Ok(Value::immediate(ty, with_nul))
            }
            ExprKind::Ident(name) => self.name(name, e.bare),
            ExprKind::Register(name) => self.register(name, e.bare),
            ExprKind::History(which) => self.history(*which, e.bare),
            ExprKind::Unary(op, a) => self.unary(*op, a, e.span),
            ExprKind::Binary(op, a, b) => self.binary(*op, a, b, e.span),
            ExprKind::Ternary(cond, yes, no) => {
                let cond = self.truth(cond)?;
                self.eval(if cond { yes } else { no })
            }
            ExprKind::Cast(ty, a) => {
                let to = self.type_of_name(ty)?;
                self.eval(a)?.cast(self.types, self.mem, to).at(e.span)
            }
            ExprKind::SizeofExpr(a) => {
                let value = self.eval(a)?;
                if let Some(crate::value::Caveat::NoType(name)) = &value.caveat {
                    return Err(ErrorKind::NoType(name.to_string()).at(a.bare));
                }
                self.size(value.ty, e.span)
            }
            ExprKind::SizeofType(ty) => self.size(self.type_of_name(ty)?, e.span),
            ExprKind::Member(a, name, arrow) => self.member(a, name, *arrow, e.span),
            ExprKind::Index(a, b) => self.subscript(a, b, e.span),
            ExprKind::Call(name, args) => self.call(name, args, e.span),
            ExprKind::Type(ty) => {
                let found = self.types.name(self.type_of_name(ty)?);
                Err(ErrorKind::Expected { wanted: "a value", found: format!("the type {found}") }.at(e.span))
            }
            ExprKind::Words(text) => {
                Err(ErrorKind::Expected { wanted: "a value", found: text.clone() }.at(e.span))
            }
        }
    }

    fn size(&self, ty: TypeRef, span: Span) -> Result<Value, ExprError> {
        let size = match &*self.types.resolve(ty).at(span)?.1 {
            Type::Void | Type::Func { .. } => 1, // as gcc and gdb have it
            _ => self.types.exact_size_of(ty).at(span)?,
        };
        Ok(Value::ulong(self.types, size))
    }

    fn truth(&self, e: &Expr) -> Result<bool, ExprError> {
        self.eval(e)?.truth(self.types, self.mem).at(e.span)
    }

    fn unary(&self, op: UnOp, a: &Expr, span: Span) -> Result<Value, ExprError> {
        let value = self.eval(a)?;
        match op {
            UnOp::Deref => value.deref(self.types, self.mem).at(span),
            UnOp::AddrOf => {
                let what = value.address_of(self.types);
                what.at(a.span)
            }
            UnOp::Not => {
                let truth = value.truth(self.types, self.mem).at(a.span)?;
                Ok(self.int(4, true, i128::from(!truth)))
            }
            UnOp::Neg | UnOp::Plus | UnOp::BitNot => {
                let operand = self.operand(&value).at(a.span)?;
                self.negate(op, operand).at(span)
            }
        }
    }

    fn binary(&self, op: BinOp, a: &Expr, b: &Expr, span: Span) -> Result<Value, ExprError> {
        match op {
            BinOp::Comma => {
                self.eval(a)?;
                return self.eval(b);
            }
            BinOp::LogAnd => {
                let v = self.truth(a)? && self.truth(b)?;
                return Ok(self.int(4, true, i128::from(v)));
            }
            BinOp::LogOr => {
                let v = self.truth(a)? || self.truth(b)?;
                return Ok(self.int(4, true, i128::from(v)));
            }
            BinOp::At => return self.extent(a, b, span),
            _ => {}
        }
        let left = self.eval(a)?;
        let right = self.eval(b)?;
        let (x, y) = (self.operand(&left).at(a.span)?, self.operand(&right).at(b.span)?);
        self.arithmetic(op, x, y).at(span)
    }

    /// `object@count`
    fn extent(&self, a: &Expr, b: &Expr, span: Span) -> Result<Value, ExprError> {
        let left = self.eval(a)?;
        let count = self.eval(b)?.to_int(self.types, self.mem).at(b.span)?;
        if !(1..=MAX_EXTENT).contains(&count) {
            let why = format!("{count} elements; a count from 1 to {MAX_EXTENT} is wanted");
            return Err(ErrorKind::Call { name: "@".into(), why }.at(b.span));
        }
        let Some(at) = left.address() else {
            return Err(ErrorKind::NotInMemory(self.types.name(left.ty)).at(a.span));
        };
        left.check().at(span)?;
        Ok(Value::memory(self.types.array_of(left.ty, Some(count as u64)), at))
    }

    fn member(&self, a: &Expr, name: &str, arrow: bool, span: Span) -> Result<Value, ExprError> {
        let mut value = self.eval(a)?;
        let pointer = value.is_pointer(self.types).at(a.span)?;
        let array = matches!(*self.types.resolve(value.ty).at(a.span)?.1, Type::Array { .. });
        // gdb takes `.` for `->` and the other way round where only one of them can be meant
        if pointer || (array && arrow) {
            value = value.deref(self.types, self.mem).at(a.span)?;
        }
        // an unknown member is the fault of the name, which ends the span
        let at = Span { start: span.end.saturating_sub(name.len()).max(span.start), end: span.end };
        value.member(self.types, name).map_err(|kind| match kind {
            ErrorKind::UnknownMember { .. } => kind.at(at),
            ErrorKind::Operand { ty, .. } => {
                let operator = format!("{}{name}", if arrow { "->" } else { "." });
                ErrorKind::Operand { operator, ty }.at(a.span)
            }
            _ => kind.at(span),
        })
    }

    fn subscript(&self, a: &Expr, b: &Expr, span: Span) -> Result<Value, ExprError> {
        let (left, right) = (self.eval(a)?, self.eval(b)?);
        let indexable = |v: &Value| {
            self.types
                .resolve(v.ty)
                .map(|(_, t)| matches!(*t, Type::Array { .. } | Type::Pointer { .. }))
                .unwrap_or(false)
        };
        // C's 3[a]
        let (base, index, index_span) = if indexable(&left) || !indexable(&right) {
            (left, right, b.span)
        } else {
            (right, left, a.span)
        };
        let at = index.to_int(self.types, self.mem).at(index_span)?;
        base.index(self.types, self.mem, at).at(span)
    }

    /// An integer with the name that gdb gives to results of this size.
    pub(crate) fn int(&self, size: u64, signed: bool, value: i128) -> Value {
        let name = match (size, signed) {
            (16, true) => "__int128",
            (16, false) => "unsigned __int128",
            (8, true) => "long",
            (8, false) => "unsigned long",
            (_, true) => "int",
            (_, false) => "unsigned int",
        };
        let size = if matches!(size, 8 | 16) { size } else { 4 };
        Value::int(self.types, name, size, signed, value)
    }

    pub(crate) fn float(&self, v: f64, single: bool) -> Value {
        let (name, size) = if single { ("float", 4) } else { ("double", 8) };
        let ty = self.types.intern(Type::Float { name: name.into(), size });
        if single {
            Value::immediate(ty, (v as f32).to_le_bytes().to_vec())
        } else {
            Value::immediate(ty, v.to_le_bytes().to_vec())
        }
    }

    fn char_type(&self) -> TypeRef {
        self.types.intern(Type::Int { name: "char".into(), size: 1, encoding: Encoding::SignedChar })
    }

    pub(crate) fn immediate(&self, ty: TypeRef, value: i128, size: u64) -> Value {
        Value::immediate(ty, le_bytes(value, size))
    }
}
