//! Expressions as text, with the parentheses that C needs, and those that gcc asks for (`-Wparentheses`).
//!
//! **Invariant**: what was parsed and is printed parses to the same tree. Source: C17 6.5; gdb's `@` as in the parser.

use crate::ast::{BinOp, Deriv, Expr, ExprKind, TypeName, TypeSpec, UnOp};
use crate::lex::{Tok, integer};
use crate::scope::History;
use debuginfo::types::{Qualifier, Space};
use std::fmt::{self, Write};

/// How tightly a node binds its operands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Comma,
    Ternary,
    LogOr,
    LogAnd,
    BitOr,
    BitXor,
    BitAnd,
    Equality,
    Relation,
    Shift,
    At,
    Sum,
    Product,
    Prefix,
    Postfix,
    Primary,
}

impl Level {
    const fn of_operator(op: BinOp) -> Self {
        match op {
            BinOp::Comma => Self::Comma,
            BinOp::LogOr => Self::LogOr,
            BinOp::LogAnd => Self::LogAnd,
            BinOp::BitOr => Self::BitOr,
            BinOp::BitXor => Self::BitXor,
            BinOp::BitAnd => Self::BitAnd,
            BinOp::Eq | BinOp::Ne => Self::Equality,
            BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge => Self::Relation,
            BinOp::Shl | BinOp::Shr => Self::Shift,
            BinOp::At => Self::At,
            BinOp::Add | BinOp::Sub => Self::Sum,
            BinOp::Mul | BinOp::Div | BinOp::Rem => Self::Product,
        }
    }

    const fn of(kind: &ExprKind) -> Self {
        match kind {
            ExprKind::Ternary(..) => Self::Ternary,
            ExprKind::Binary(op, ..) => Self::of_operator(*op),
            ExprKind::Unary(..) | ExprKind::Cast(..) | ExprKind::SizeofExpr(_) | ExprKind::SizeofType(_) => {
                Self::Prefix
            }
            ExprKind::Member(..) | ExprKind::Index(..) => Self::Postfix,
            _ => Self::Primary,
        }
    }

    /// The next tighter one: what the right side of an operator must have at least.
    const fn tighter(self) -> Self {
        match self {
            Self::Comma => Self::Ternary,
            Self::Ternary => Self::LogOr,
            Self::LogOr => Self::LogAnd,
            Self::LogAnd => Self::BitOr,
            Self::BitOr => Self::BitXor,
            Self::BitXor => Self::BitAnd,
            Self::BitAnd => Self::Equality,
            Self::Equality => Self::Relation,
            Self::Relation => Self::Shift,
            Self::Shift => Self::At,
            Self::At => Self::Sum,
            Self::Sum => Self::Product,
            Self::Product => Self::Prefix,
            Self::Prefix => Self::Postfix,
            Self::Postfix | Self::Primary => Self::Primary,
        }
    }
}

/// Where C binds as one reads, and people read otherwise: gcc asks for parentheses.
const fn misleads(outer: BinOp, inner: BinOp) -> bool {
    let inner = Level::of_operator(inner);
    match outer {
        BinOp::LogOr => matches!(inner, Level::LogAnd),
        BinOp::BitOr => matches!(inner, Level::Sum | Level::BitAnd | Level::BitXor),
        BinOp::BitXor => matches!(inner, Level::Sum | Level::BitAnd),
        BinOp::BitAnd | BinOp::Shl | BinOp::Shr => matches!(inner, Level::Sum),
        BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge => {
            matches!(inner, Level::Equality | Level::Relation)
        }
        _ => false,
    }
}

/// An expression as text in one of two spellings.
#[derive(Clone, Copy)]
pub struct Printed<'a> {
    expr: &'a Expr,
    spelling: Spelling,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// What the parser reads: `$rdi`, `'foo.isra.0'`.
    Parser,
    /// As people read it beside assembler: `%rdi`, `foo.isra.0`.
    Reader,
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expr(f, self, Level::Comma, Spelling::Parser)
    }
}

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expr(f, self.expr, Level::Comma, self.spelling)
    }
}

impl Expr {
    /// For a reader who has assembler beside it: registers as `%rdi`, compiler's names without quotes.
    #[must_use]
    pub const fn for_reader(&self) -> Printed<'_> {
        Printed { expr: self, spelling: Spelling::Reader }
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        type_name(f, self, Spelling::Parser)
    }
}

fn expr(f: &mut dyn Write, e: &Expr, least: Level, how: Spelling) -> fmt::Result {
    if Level::of(&e.kind) < least {
        f.write_char('(')?;
        bare(f, e, how)?;
        return f.write_char(')');
    }
    bare(f, e, how)
}

fn bare(f: &mut dyn Write, e: &Expr, how: Spelling) -> fmt::Result {
    match &e.kind {
        ExprKind::Int { .. } => int(f, &e.kind),
        ExprKind::Float(v, single) => {
            let suffix = if *single { "f" } else { "" };
            write!(f, "{v:?}{suffix}")
        }
        ExprKind::Char(c) => quoted(f, &[*c], '\''),
        ExprKind::Str(bytes) => quoted(f, bytes, '"'),
        ExprKind::Ident(name) => ident(f, name, how),
        ExprKind::Register(name) => {
            let mark = if how == Spelling::Parser { '$' } else { '%' };
            write!(f, "{mark}{name}")
        }
        ExprKind::History(History::Number(n)) => write!(f, "${n}"),
        ExprKind::History(History::Back(0)) => f.write_char('$'),
        ExprKind::History(History::Back(n)) => write!(f, "$${n}"),
        ExprKind::Unary(op, a) => unary(f, *op, a, how),
        ExprKind::Binary(op, a, b) => {
            operand(f, *op, a, Level::of_operator(*op), how)?;
            let space = if *op == BinOp::Comma { "" } else { " " };
            write!(f, "{space}{} ", op.text())?;
            operand(f, *op, b, Level::of_operator(*op).tighter(), how)
        }
        ExprKind::Ternary(a, b, c) => {
            expr(f, a, Level::LogOr, how)?;
            f.write_str(" ? ")?;
            expr(f, b, Level::Comma, how)?;
            f.write_str(" : ")?;
            expr(f, c, Level::Ternary, how)
        }
        ExprKind::Cast(ty, a) => {
            f.write_char('(')?;
            type_name(f, ty, how)?;
            f.write_char(')')?;
            expr(f, a, Level::Prefix, how)
        }
        ExprKind::SizeofExpr(a) => {
            f.write_str("sizeof(")?;
            expr(f, a, Level::Comma, how)?;
            f.write_char(')')
        }
        ExprKind::SizeofType(ty) => {
            f.write_str("sizeof(")?;
            type_name(f, ty, how)?;
            f.write_char(')')
        }
        ExprKind::Member(a, name, arrow) => {
            // a dot behind digits is a part of the number
            match a.kind {
                ExprKind::Int { .. } | ExprKind::Float(..) => {
                    f.write_char('(')?;
                    bare(f, a, how)?;
                    f.write_char(')')?;
                }
                _ => expr(f, a, Level::Postfix, how)?,
            }
            write!(f, "{}{name}", if *arrow { "->" } else { "." })
        }
        ExprKind::Index(a, i) => {
            expr(f, a, Level::Postfix, how)?;
            f.write_char('[')?;
            expr(f, i, Level::Comma, how)?;
            f.write_char(']')
        }
        ExprKind::Call(name, args) => {
            ident(f, name, how)?;
            f.write_char('(')?;
            for (n, arg) in args.iter().enumerate() {
                f.write_str(if n > 0 { ", " } else { "" })?;
                expr(f, arg, Level::Ternary, how)?;
            }
            f.write_char(')')
        }
        ExprKind::Type(ty) => type_name(f, ty, how),
    }
}

fn operand(f: &mut dyn Write, outer: BinOp, e: &Expr, least: Level, how: Spelling) -> fmt::Result {
    let least = match e.kind {
        ExprKind::Binary(inner, ..) if misleads(outer, inner) => Level::Primary,
        _ => least,
    };
    expr(f, e, least, how)
}

/// `-(-x)` and `&(&x)`: two of one sign are another operator.
fn unary(f: &mut dyn Write, op: UnOp, operand: &Expr, how: Spelling) -> fmt::Result {
    let sign = match op {
        UnOp::Neg => '-',
        UnOp::Plus => '+',
        UnOp::Not => '!',
        UnOp::BitNot => '~',
        UnOp::Deref => '*',
        UnOp::AddrOf => '&',
    };
    f.write_char(sign)?;
    let again = matches!(&operand.kind, ExprKind::Unary(inner, _) if *inner == op);
    let glues = again && matches!(op, UnOp::Neg | UnOp::Plus | UnOp::AddrOf);
    expr(f, operand, if glues { Level::Primary } else { Level::Prefix }, how)
}

/// With the suffix that its type needs beyond the one that C gives it.
fn int(f: &mut dyn Write, kind: &ExprKind) -> fmt::Result {
    let ExprKind::Int { value, size, signed, hex } = kind else { return Ok(()) };
    let digits = if *hex { format!("{value:#x}") } else { value.to_string() };
    let is_it = |suffix: &str| {
        integer(&format!("{digits}{suffix}"))
            .is_ok_and(|tok| matches!(tok, Tok::Int { size: s, signed: g, .. } if (s, g) == (*size, *signed)))
    };
    let suffix = ["", "U", "L", "UL"].into_iter().find(|suffix| is_it(suffix)).unwrap_or("");
    write!(f, "{digits}{suffix}")
}

/// A compiler's name is quoted for the parser, as in gdb.
fn ident(f: &mut dyn Write, name: &str, how: Spelling) -> fmt::Result {
    let plain = |part: &str| {
        part.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
            && !part.starts_with(|c: char| c.is_ascii_digit())
    };
    match name.split_once(':') {
        Some((module, inner)) if plain(module) && plain(inner) => write!(f, "{module}::{inner}"),
        _ if how == Spelling::Reader || plain(name) => f.write_str(name),
        _ => write!(f, "'{name}'"),
    }
}

fn quoted(f: &mut dyn Write, bytes: &[u8], mark: char) -> fmt::Result {
    f.write_char(mark)?;
    for &byte in bytes {
        match byte {
            b'\\' => f.write_str("\\\\")?,
            _ if char::from(byte) == mark => write!(f, "\\{mark}")?,
            b' '..=b'~' => f.write_char(char::from(byte))?,
            // of three digits: what follows may be a digit
            _ => write!(f, "\\{byte:03o}")?,
        }
    }
    f.write_char(mark)
}

fn type_name(f: &mut dyn Write, ty: &TypeName, how: Spelling) -> fmt::Result {
    let heart = ty.derivs.iter().take_while(|d| matches!(d, Deriv::Qualified(_))).count();
    let (own, made) = ty.derivs.split_at_checked(heart).unwrap_or((&[], &ty.derivs));
    for deriv in own {
        if let Deriv::Qualified(q) = deriv {
            write!(f, "{} ", qualifier(*q))?;
        }
    }
    match &ty.spec {
        TypeSpec::Void => f.write_str("void")?,
        TypeSpec::Int(name, ..) | TypeSpec::Float(name, _) => f.write_str(name)?,
        TypeSpec::Named(space, name) => {
            f.write_str(match space {
                Space::Struct => "struct ",
                Space::Union => "union ",
                Space::Enum => "enum ",
                _ => "",
            })?;
            f.write_str(name)?;
        }
        TypeSpec::TypeofExpr(e) => {
            f.write_str("typeof(")?;
            expr(f, e, Level::Comma, how)?;
            f.write_char(')')?;
        }
        TypeSpec::TypeofType(inner) => {
            f.write_str("typeof(")?;
            type_name(f, inner, how)?;
            f.write_char(')')?;
        }
    }
    match declarator(made, how)?.as_str() {
        "" => Ok(()),
        text => write!(f, " {text}"),
    }
}

/// What stands around a name that is declared, from the outermost step inwards.
fn declarator(derivs: &[Deriv], how: Spelling) -> Result<String, fmt::Error> {
    let mut out = String::new();
    for deriv in derivs.iter().rev() {
        // a pointer to an array or a function
        if matches!(deriv, Deriv::Array(_) | Deriv::Func(..)) && out.starts_with(['*', 'c', 'v', 'r', '_']) {
            out = format!("({out})");
        }
        match deriv {
            Deriv::Pointer => out.insert(0, '*'),
            Deriv::Qualified(q) if out.is_empty() => out.push_str(qualifier(*q)),
            Deriv::Qualified(q) => out = format!("{} {out}", qualifier(*q)),
            Deriv::Array(len) => {
                out.push('[');
                if let Some(len) = len {
                    expr(&mut out, len, Level::Ternary, how)?;
                }
                out.push(']');
            }
            Deriv::Func(params, open) => {
                out.push('(');
                for (n, param) in params.iter().enumerate() {
                    out.push_str(if n > 0 { ", " } else { "" });
                    type_name(&mut out, param, how)?;
                }
                out.push_str(match (*open, params.is_empty()) {
                    (true, true) => "...",
                    (true, false) => ", ...",
                    (false, _) => "",
                });
                out.push(')');
            }
        }
    }
    Ok(out)
}

const fn qualifier(q: Qualifier) -> &'static str {
    match q {
        Qualifier::Const => "const",
        Qualifier::Volatile => "volatile",
        Qualifier::Restrict => "restrict",
        Qualifier::Atomic => "_Atomic",
    }
}

#[cfg(test)]
#[path = "print_tests.rs"]
mod tests;
