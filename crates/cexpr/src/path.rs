//! Paths of members as the arguments of `struct` spell them: `se.load`, `mm->mm_users`, `pids[1]`.

use crate::error::{ErrorKind, ExprError, Span};
use crate::lex::{Tok, lex};
use crate::scope::Scope;
use crate::value::Value;
use debuginfo::types::{Found, Type, TypeRef, Types};
use std::fmt;

/// One step of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The member; empty where the step only chooses elements of what comes before.
    pub name: String,
    /// Its elements chosen, one index a dimension.
    pub index: Vec<u64>,
    /// True where `->` leads to it.
    pub arrow: bool,
    /// Where the name stands in the text.
    pub span: Span,
}

/// A path of members. One that was read has a step at least; without any it is the object itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemberPath {
    /// The steps, outermost first.
    pub steps: Vec<Step>,
}

impl MemberPath {
    /// Reads `a.b->c[2]`.
    ///
    /// # Errors
    /// It is no path; which character is wrong.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        let tokens = lex(text)?;
        let mut steps = Vec::new();
        let mut tokens = tokens.into_iter().peekable();
        let mut arrow = false;
        let wrong = |wanted, span| ErrorKind::Expected { wanted, found: "something else".into() }.at(span);
        while let Some(t) = tokens.next() {
            let Tok::Ident(name) = t.kind else { return Err(wrong("the name of a member", t.span)) };
            let mut step = Step { name, index: Vec::new(), arrow, span: t.span };
            while tokens.next_if(|t| t.kind == Tok::Op("[")).is_some() {
                match tokens.next().map(|t| (t.kind, t.span)) {
                    Some((Tok::Int { value, .. }, _)) => step.index.push(value),
                    other => return Err(wrong("an index", other.map_or(Span::default(), |o| o.1))),
                }
                match tokens.next().map(|t| (t.kind, t.span)) {
                    Some((Tok::Op("]"), _)) => {}
                    other => return Err(wrong("']'", other.map_or(Span::default(), |o| o.1))),
                }
            }
            steps.push(step);
            match tokens.next().map(|t| (t.kind, t.span)) {
                Some((Tok::End, _)) | None => break,
                Some((Tok::Op("."), _)) => arrow = false,
                Some((Tok::Op("->"), _)) => arrow = true,
                Some((_, span)) => return Err(wrong("'.', '->' or '['", span)),
            }
        }
        Ok(Self { steps })
    }

    /// The value at the end of the path. A pointer on the way is followed, by `.` as well.
    ///
    /// # Errors
    /// A member is not there, or a pointer on the way is missing.
    pub fn apply(&self, scope: &dyn Scope, from: &Value) -> Result<Value, ExprError> {
        let (types, mem) = (scope.types(), scope.memory());
        let mut value = from.clone();
        for step in &self.steps {
            let at = |kind: ErrorKind| kind.at(step.span);
            if value.is_pointer(types).map_err(at)? {
                value = value.deref(types, mem).map_err(at)?;
            }
            value = value.member(types, &step.name).map_err(at)?;
            for &i in &step.index {
                value = value.index(types, mem, i128::from(i)).map_err(at)?;
            }
        }
        Ok(value)
    }

    /// The place of the path's end within `ty`; an error where the path leads through a pointer.
    ///
    /// # Errors
    /// A member is not there, or the path leads through a pointer.
    pub fn locate(&self, types: &Types, ty: TypeRef) -> Result<Found, ExprError> {
        let mut here = Found { ty, bit_offset: 0, bit_size: None };
        for step in &self.steps {
            let at = |kind: ErrorKind| kind.at(step.span);
            let found = crate::value::find_member(types, here.ty, &step.name).map_err(at)?;
            here = Found { bit_offset: here.bit_offset.saturating_add(found.bit_offset), ..found };
            for &i in &step.index {
                let (_, ty) = types.resolve(here.ty).map_err(|e| at(e.into()))?;
                let Type::Array { elem, .. } = &*ty else {
                    return Err(at(ErrorKind::Operand { operator: "[]".into(), ty: types.name(here.ty) }));
                };
                let size = types.size_of(*elem).map_err(|e| at(e.into()))?;
                let bits = size.saturating_mul(i).saturating_mul(8);
                here = Found { ty: *elem, bit_offset: here.bit_offset.saturating_add(bits), bit_size: None };
            }
        }
        Ok(here)
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            if i > 0 {
                f.write_str(if step.arrow { "->" } else { "." })?;
            }
            f.write_str(&step.name)?;
            for index in &step.index {
                write!(f, "[{index}]")?;
            }
        }
        Ok(())
    }
}
