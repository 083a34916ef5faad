//! Expressions as text, with the parentheses that C needs, and those that gcc asks for (`-Wparentheses`).
//!
//! **Invariant**: what was parsed and is printed parses to the same tree. Source: C17 6.5; gdb's `@` as in the parser.

use crate::ast::{BinOp, Deriv, Expr, ExprKind, TypeName, TypeSpec, UnOp};
use crate::format::escaped;
use crate::lex::type_of;
use crate::parse::LEVELS;
use crate::scope::History;
use std::fmt::{self, Write};

/// How tightly a node binds its operands: the parser's levels, with what stands around them.
type Level = usize;

const COMMA: Level = 0;
const TERNARY: Level = 1;
/// The loosest of the parser's infix operators.
const INFIX: Level = 2;
const PREFIX: Level = INFIX + LEVELS.len();
const POSTFIX: Level = PREFIX + 1;
const PRIMARY: Level = PREFIX + 2;

fn level_of_operator(op: BinOp) -> Level {
    LEVELS
        .iter()
        .position(|level| level.iter().any(|(_, known)| *known == op))
        .map_or(COMMA, |level| INFIX + level)
}

fn level_of(kind: &ExprKind) -> Level {
    match kind {
        ExprKind::Ternary(..) => TERNARY,
        ExprKind::Binary(op, ..) => level_of_operator(*op),
        ExprKind::Unary(..) | ExprKind::Cast(..) | ExprKind::SizeofExpr(_) | ExprKind::SizeofType(_) => {
            PREFIX
        }
        ExprKind::Member(..) | ExprKind::Index(..) => POSTFIX,
        _ => PRIMARY,
    }
}

/// Where C binds as one reads, and people read otherwise: gcc asks for parentheses.
const fn misleads(outer: BinOp, inner: BinOp) -> bool {
    use BinOp::{Add, BitAnd, BitOr, BitXor, Eq, Ge, Gt, Le, LogAnd, LogOr, Lt, Ne, Shl, Shr, Sub};
    match outer {
        LogOr => matches!(inner, LogAnd),
        BitOr => matches!(inner, Add | Sub | BitAnd | BitXor),
        BitXor => matches!(inner, Add | Sub | BitAnd),
        BitAnd | Shl | Shr => matches!(inner, Add | Sub),
        Eq | Ne | Lt | Le | Gt | Ge => matches!(inner, Eq | Ne | Lt | Le | Gt | Ge),
        _ => false,
    }
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
        expr(f, self, COMMA, Spelling::Parser)
    }
}

/// An expression in a reader's spelling.
struct ForReader<'a>(&'a Expr);

impl fmt::Display for ForReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expr(f, self.0, COMMA, Spelling::Reader)
    }
}

impl Expr {
    /// For a reader who has assembler beside it: registers as `%rdi`, compiler's names without quotes.
    pub const fn for_reader(&self) -> impl fmt::Display {
        ForReader(self)
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        type_name(f, self, Spelling::Parser)
    }
}

fn expr(f: &mut dyn Write, e: &Expr, least: Level, how: Spelling) -> fmt::Result {
    if level_of(&e.kind) < least {
        f.write_char('(')?;
        bare(f, e, how)?;
        return f.write_char(')');
    }
    bare(f, e, how)
}

fn bare(f: &mut dyn Write, e: &Expr, how: Spelling) -> fmt::Result {
    match &e.kind {
        ExprKind::Int { value, size, signed, hex } => int(f, *value, (*size, *signed), *hex),
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
            operand(f, *op, a, level_of_operator(*op), how)?;
            let space = if *op == BinOp::Comma { "" } else { " " };
            write!(f, "{space}{} ", op.text())?;
            operand(f, *op, b, level_of_operator(*op) + 1, how)
        }
        ExprKind::Ternary(a, b, c) => {
            expr(f, a, INFIX, how)?;
            f.write_str(" ? ")?;
            expr(f, b, COMMA, how)?;
            f.write_str(" : ")?;
            expr(f, c, TERNARY, how)
        }
        ExprKind::Cast(ty, a) => {
            f.write_char('(')?;
            type_name(f, ty, how)?;
            f.write_char(')')?;
            expr(f, a, PREFIX, how)
        }
        ExprKind::SizeofExpr(a) => {
            f.write_str("sizeof(")?;
            expr(f, a, COMMA, how)?;
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
                _ => expr(f, a, POSTFIX, how)?,
            }
            write!(f, "{}{name}", if *arrow { "->" } else { "." })
        }
        ExprKind::Index(a, i) => {
            expr(f, a, POSTFIX, how)?;
            f.write_char('[')?;
            expr(f, i, COMMA, how)?;
            f.write_char(']')
        }
        ExprKind::Call(name, args) => {
            ident(f, name, how)?;
            f.write_char('(')?;
            for (n, arg) in args.iter().enumerate() {
                f.write_str(if n > 0 { ", " } else { "" })?;
                expr(f, arg, TERNARY, how)?;
            }
            f.write_char(')')
        }
        ExprKind::Type(ty) => type_name(f, ty, how),
        ExprKind::Words(text) => f.write_str(text),
    }
}

fn operand(f: &mut dyn Write, outer: BinOp, e: &Expr, least: Level, how: Spelling) -> fmt::Result {
    let least = match e.kind {
        ExprKind::Binary(inner, ..) if misleads(outer, inner) => PRIMARY,
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
    expr(f, operand, if glues { PRIMARY } else { PREFIX }, how)
}

/// With the suffix that its type needs beyond the one that C gives it.
fn int(f: &mut dyn Write, value: u64, ty: (u64, bool), hex: bool) -> fmt::Result {
    const SUFFIXES: [(&str, bool, bool); 4] =
        [("", false, false), ("U", true, false), ("L", false, true), ("UL", true, true)];
    let fits = SUFFIXES.iter().find(|(_, unsigned, long)| type_of(value, !hex, *unsigned, *long) == ty);
    let suffix = fits.map_or("", |(suffix, ..)| suffix);
    if hex { write!(f, "{value:#x}{suffix}") } else { write!(f, "{value}{suffix}") }
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
        f.write_str(&escaped(byte, mark))?;
    }
    f.write_char(mark)
}

fn type_name(f: &mut dyn Write, ty: &TypeName, how: Spelling) -> fmt::Result {
    let heart = ty.derivs.iter().take_while(|d| matches!(d, Deriv::Qualified(_))).count();
    let (own, made) = ty.derivs.split_at_checked(heart).unwrap_or((&[], &ty.derivs));
    for deriv in own {
        if let Deriv::Qualified(q) = deriv {
            write!(f, "{} ", q.word())?;
        }
    }
    match &ty.spec {
        TypeSpec::Void => f.write_str("void")?,
        TypeSpec::Int(name, ..) | TypeSpec::Float(name, _) => f.write_str(name)?,
        TypeSpec::Named(space, name) => {
            if let Some(word) = space.keyword() {
                write!(f, "{word} ")?;
            }
            f.write_str(name)?;
        }
        TypeSpec::TypeofExpr(e) => {
            f.write_str("typeof(")?;
            expr(f, e, COMMA, how)?;
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
    let mut of_pointer = false;
    for deriv in derivs.iter().rev() {
        // a pointer to an array or a function
        let is_suffix = matches!(deriv, Deriv::Array(_) | Deriv::Func(..));
        if is_suffix && of_pointer {
            out = format!("({out})");
        }
        of_pointer = !is_suffix;
        match deriv {
            Deriv::Pointer => out.insert(0, '*'),
            Deriv::Qualified(q) if out.is_empty() => out.push_str(q.word()),
            Deriv::Qualified(q) => out = format!("{} {out}", q.word()),
            Deriv::Array(len) => {
                out.push('[');
                if let Some(len) = len {
                    expr(&mut out, len, TERNARY, how)?;
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

#[cfg(test)]
#[path = "print_tests.rs"]
mod tests;
