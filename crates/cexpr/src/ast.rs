//! The syntax tree of an expression.

use crate::error::Span;
use crate::scope::History;
use std::sync::Arc;

/// An expression with its place in the text.
#[derive(Clone, PartialEq, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
    /// The same without the parentheses around it.
    pub bare: Span,
    /// Levels of the tree below and with this node; the parser bounds those of what it reads.
    pub depth: usize,
}

/// The kinds of expressions.
#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// An integer literal with the type that C gives it.
    Int {
        /// Value.
        value: u64,
        /// 4 or 8 bytes.
        size: u64,
        /// Signedness.
        signed: bool,
        /// It is written in base 16.
        hex: bool,
    },
    /// `1.5`; true for the suffix `f`.
    Float(f64, bool),
    /// `'a'`: a char as gdb has it.
    Char(u8),
    /// `"abc"`
    Str(Arc<[u8]>),
    /// A name; `module::name` is kept as `module:name`.
    Ident(String),
    /// `$rdi`
    Register(String),
    /// `$1`, `$`, `$$`
    History(History),
    /// A prefix operator.
    Unary(UnOp, Box<Expr>),
    /// An infix operator.
    Binary(BinOp, Box<Expr>, Box<Expr>),
    /// `a ? b : c`
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `(type) expr`
    Cast(Box<TypeName>, Box<Expr>),
    /// `sizeof expr`
    SizeofExpr(Box<Expr>),
    /// `sizeof(type)`
    SizeofType(Box<TypeName>),
    /// `a.b`, or `a->b` where the flag is set.
    Member(Box<Expr>, String, bool),
    /// `a[i]`
    Index(Box<Expr>, Box<Expr>),
    /// `name(args)`
    Call(String, Vec<Expr>),
    /// An argument that is a type: of `container_of` and its kin.
    Type(Box<TypeName>),
    /// What C has no expression for, in words: a reader sees it as it is, and it has no value.
    Words(String),
}

impl ExprKind {
    /// Levels of the tree below this node.
    pub(crate) fn levels_below(&self) -> usize {
        match self {
            ExprKind::Unary(_, a) | ExprKind::SizeofExpr(a) | ExprKind::Member(a, ..) => a.depth,
            ExprKind::Binary(_, a, b) | ExprKind::Index(a, b) => a.depth.max(b.depth),
            ExprKind::Ternary(a, b, c) => a.depth.max(b.depth).max(c.depth),
            ExprKind::Cast(t, a) => t.depth.max(a.depth),
            ExprKind::SizeofType(t) | ExprKind::Type(t) => t.depth,
            ExprKind::Call(_, args) => args.iter().map(|a| a.depth).max().unwrap_or(0),
            _ => 0,
        }
    }
}

impl Expr {
    /// The operands, in the order of the text.
    pub(crate) fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Unary(_, a)
            | ExprKind::Cast(_, a)
            | ExprKind::SizeofExpr(a)
            | ExprKind::Member(a, ..) => vec![a],
            ExprKind::Binary(_, a, b) | ExprKind::Index(a, b) => vec![a, b],
            ExprKind::Ternary(a, b, c) => vec![a, b, c],
            ExprKind::Call(_, args) => args.iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// Prefix operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnOp {
    /// `-`
    Neg,
    /// `+`
    Plus,
    /// `!`
    Not,
    /// `~`
    BitNot,
    /// `*`
    Deref,
    /// `&`
    AddrOf,
}

/// Infix operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "they are named as C's operators are")]
pub enum BinOp {
    Comma,
    LogOr,
    LogAnd,
    BitOr,
    BitXor,
    BitAnd,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Shl,
    Shr,
    /// gdb's `object@count`: an array made of memory.
    At,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl BinOp {
    /// The operator as written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            BinOp::Comma => ",",
            BinOp::LogOr => "||",
            BinOp::LogAnd => "&&",
            BinOp::BitOr => "|",
            BinOp::BitXor => "^",
            BinOp::BitAnd => "&",
            BinOp::Eq => "==",
            BinOp::Ne => "!=",
            BinOp::Lt => "<",
            BinOp::Le => "<=",
            BinOp::Gt => ">",
            BinOp::Ge => ">=",
            BinOp::Shl => "<<",
            BinOp::Shr => ">>",
            BinOp::At => "@",
            BinOp::Add => "+",
            BinOp::Sub => "-",
            BinOp::Mul => "*",
            BinOp::Div => "/",
            BinOp::Rem => "%",
        }
    }
}

/// A type as it is written: `const struct page *[4]`.
#[derive(Clone, PartialEq, Debug)]
pub struct TypeName {
    /// The type at the heart of the declaration.
    pub spec: TypeSpec,
    /// What is made of it, from the heart outwards.
    pub derivs: Vec<Deriv>,
    /// Where it stands.
    pub span: Span,
    /// Where its heart stands.
    pub heart: Span,
    /// Levels of the tree below and with this node.
    pub depth: usize,
}

/// The type at the heart of a declaration.
#[derive(Clone, PartialEq, Debug)]
pub enum TypeSpec {
    /// `void`
    Void,
    /// An integer type by its C name, size and meaning.
    Int(&'static str, u64, debuginfo::types::Encoding),
    /// `float`, `double`, `long double`
    Float(&'static str, u64),
    /// `struct NAME`, `union NAME`, `enum NAME` or a typedef.
    Named(debuginfo::types::Space, String),
    /// `typeof(expr)`
    TypeofExpr(Box<Expr>),
    /// `typeof(type)`
    TypeofType(Box<TypeName>),
}

/// One step outwards from the heart of a declaration.
#[derive(Clone, PartialEq, Debug)]
pub enum Deriv {
    /// `*`
    Pointer,
    /// `[n]`, `[]`
    Array(Option<Box<Expr>>),
    /// `(params)`; true for `...`
    Func(Vec<TypeName>, bool),
    /// `const`, `volatile`
    Qualified(debuginfo::types::Qualifier),
}
