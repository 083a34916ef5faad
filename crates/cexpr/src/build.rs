//! Expressions that are put together, and not read from a text.
//!
//! **Invariant**: an address that is followed is its object: `(&x)->m` is made as `x.m`, and `*&x` as `x`.

use crate::ast::{BinOp, Expr, ExprKind, TypeName, TypeSpec, UnOp};
use crate::error::Span;
use crate::lex::type_of;
use crate::path::{MemberPath, Step};
use debuginfo::types::Space;

impl Expr {
    /// A node that stands in no text.
    #[must_use]
    pub fn new(kind: ExprKind) -> Self {
        let depth = kind.levels_below().saturating_add(1);
        Self { kind, span: Span::default(), bare: Span::default(), depth }
    }

    /// A variable or a function.
    #[must_use]
    pub fn ident(name: impl Into<String>) -> Self {
        Self::new(ExprKind::Ident(name.into()))
    }

    /// A register, by its name without a mark.
    #[must_use]
    pub fn register(name: impl Into<String>) -> Self {
        Self::new(ExprKind::Register(name.into()))
    }

    /// A number, of the type that C gives it.
    #[must_use]
    pub fn int(value: i64) -> Self {
        match value {
            0.. => Self::literal(value.unsigned_abs(), false),
            _ => Self::unary(UnOp::Neg, Self::literal(value.unsigned_abs(), false)),
        }
    }

    /// A number without a sign, of the type that C gives it.
    #[must_use]
    pub fn unsigned(value: u64) -> Self {
        Self::literal(value, false)
    }

    /// A number in base 16.
    #[must_use]
    pub fn hex(value: u64) -> Self {
        Self::literal(value, true)
    }

    fn literal(value: u64, hex: bool) -> Self {
        let (size, signed) = type_of(value, !hex, false, false);
        Self::new(ExprKind::Int { value, size, signed, hex })
    }

    /// A prefix operator.
    #[must_use]
    pub fn unary(op: UnOp, operand: Self) -> Self {
        match (op, operand.kind) {
            (UnOp::Deref, ExprKind::Unary(UnOp::AddrOf, inner))
            | (UnOp::AddrOf, ExprKind::Unary(UnOp::Deref, inner)) => *inner,
            (op, kind) => Self::new(ExprKind::Unary(op, Self { kind, ..operand }.into())),
        }
    }

    /// `!x`
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it makes a node and computes nothing")]
    pub fn not(self) -> Self {
        Self::unary(UnOp::Not, self)
    }

    /// `&x`; `p` of `*p`.
    #[must_use]
    pub fn address(self) -> Self {
        Self::unary(UnOp::AddrOf, self)
    }

    /// `*p`; `x` of `&x`.
    #[must_use]
    pub fn pointed(self) -> Self {
        Self::unary(UnOp::Deref, self)
    }

    /// What this is the address of: `x` of `&x`.
    #[must_use]
    pub fn addressed(&self) -> Option<&Self> {
        match &self.kind {
            ExprKind::Unary(UnOp::AddrOf, object) => Some(object),
            _ => None,
        }
    }

    /// `x.name`
    #[must_use]
    pub fn member(self, name: impl Into<String>) -> Self {
        Self::new(ExprKind::Member(self.into(), name.into(), false))
    }

    /// `p->name`; `x.name` of `&x`.
    #[must_use]
    pub fn arrow(self, name: impl Into<String>) -> Self {
        match self.kind {
            ExprKind::Unary(UnOp::AddrOf, object) => object.member(name),
            kind => Self::new(ExprKind::Member(Self { kind, ..self }.into(), name.into(), true)),
        }
    }

    /// `a[i]`
    #[must_use]
    pub fn index(self, at: Self) -> Self {
        Self::new(ExprKind::Index(self.into(), at.into()))
    }

    /// `name(args)`
    #[must_use]
    pub fn call(name: impl Into<String>, args: Vec<Self>) -> Self {
        Self::new(ExprKind::Call(name.into(), args))
    }

    /// An infix operator.
    #[must_use]
    pub fn binary(op: BinOp, left: Self, right: Self) -> Self {
        Self::new(ExprKind::Binary(op, left.into(), right.into()))
    }

    /// `(type)x`
    #[must_use]
    pub fn cast(self, to: TypeName) -> Self {
        Self::new(ExprKind::Cast(to.into(), self.into()))
    }

    /// The members of a path below this object, or below what this pointer leads to.
    #[must_use]
    pub fn path(self, path: &MemberPath, of_pointer: bool) -> Self {
        path.steps.iter().enumerate().fold(self, |at, (n, step)| {
            let arrow = if n == 0 { of_pointer } else { step.arrow };
            let at = match step.name.as_str() {
                // elements of what comes before
                "" => at,
                name if arrow => at.arrow(name),
                name => at.member(name),
            };
            elements(at, step)
        })
    }

    /// A path alone, as `offsetof` and its kin name one.
    #[must_use]
    pub fn designator(path: &MemberPath) -> Option<Self> {
        let (first, rest) = path.steps.split_first()?;
        let of_first = elements(Self::ident(&*first.name), first);
        Some(of_first.path(&MemberPath { steps: rest.to_vec() }, false))
    }

    /// What C has no expression for.
    #[must_use]
    pub fn words(text: impl Into<String>) -> Self {
        Self::new(ExprKind::Words(text.into()))
    }

    /// True where a node of the tree is so.
    pub fn any(&self, is_so: &dyn Fn(&ExprKind) -> bool) -> bool {
        is_so(&self.kind) || self.children().into_iter().any(|child| child.any(is_so))
    }

    /// True where a register stands in it, or words that name one.
    #[must_use]
    pub fn names_register(&self) -> bool {
        self.any(&|kind| match kind {
            ExprKind::Register(_) => true,
            ExprKind::Words(text) => text.contains('%'),
            _ => false,
        })
    }

    /// True where it is C as far as it goes: no words stand in it.
    #[must_use]
    pub fn is_c(&self) -> bool {
        !self.any(&|kind| matches!(kind, ExprKind::Words(_)))
    }
}

/// The elements that a step of a path chooses.
fn elements(array: Expr, step: &Step) -> Expr {
    step.index.iter().fold(array, |at, i| at.index(Expr::unsigned(*i)))
}

impl TypeName {
    /// A struct, union, enum or typedef.
    #[must_use]
    pub fn named(space: Space, name: impl Into<String>) -> Self {
        let spec = TypeSpec::Named(space, name.into());
        Self { spec, derivs: Vec::new(), span: Span::default(), heart: Span::default(), depth: 1 }
    }

    /// A pointer to it.
    #[must_use]
    pub fn pointer(mut self) -> Self {
        self.derivs.push(crate::ast::Deriv::Pointer);
        self.depth = self.depth.saturating_add(1);
        self
    }
}
