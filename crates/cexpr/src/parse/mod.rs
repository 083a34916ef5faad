//! Precedence climbing over the tokens of an expression. Source: C17 6.5; gdb's `@` binds tighter
//! than shifts and looser than `+` (gdb manual, "Expressions").
//!
//! **Invariant**: no tree is deeper than [`MAX_DEPTH`], however the text is nested or chained, so
//! that walking (or dropping) one needs a bounded stack.

mod typename;

use crate::ast::{BinOp, Expr, ExprKind, TypeName, UnOp};
use crate::error::{ErrorKind, ExprError, Span};
use crate::lex::{Tok, Token, lex};
use crate::scope::History;

/// Levels of the tree.
pub(crate) const MAX_DEPTH: usize = 200;

/// Infix operators, loosest first. `?:` stands between `,` and `||`.
pub(crate) const LEVELS: &[&[(&str, BinOp)]] = &[
    &[("||", BinOp::LogOr)],
    &[("&&", BinOp::LogAnd)],
    &[("|", BinOp::BitOr)],
    &[("^", BinOp::BitXor)],
    &[("&", BinOp::BitAnd)],
    &[("==", BinOp::Eq), ("!=", BinOp::Ne)],
    &[("<", BinOp::Lt), ("<=", BinOp::Le), (">", BinOp::Gt), (">=", BinOp::Ge)],
    &[("<<", BinOp::Shl), (">>", BinOp::Shr)],
    &[("@", BinOp::At)],
    &[("+", BinOp::Add), ("-", BinOp::Sub)],
    &[("*", BinOp::Mul), ("/", BinOp::Div), ("%", BinOp::Rem)],
];

const ASSIGNMENTS: &[&str] = &["=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "++", "--"];

/// An expression, or a type where one stands alone (`whatis struct page`).
#[derive(Clone, PartialEq, Debug)]
pub enum Parsed {
    /// An expression.
    Expr(Expr),
    /// A type.
    Type(TypeName),
}

/// Parses an expression. `is_type` says which plain names are typedefs.
///
/// # Errors
/// It is no expression; where in the text.
pub fn parse(text: &str, is_type: &dyn Fn(&str) -> bool) -> Result<Expr, ExprError> {
    let mut p = Parser::new(text, is_type)?;
    let e = p.expression()?;
    p.end()?;
    Ok(e)
}

/// Parses an expression or a type name.
///
/// # Errors
/// It is neither; where in the text.
pub fn parse_or_type(text: &str, is_type: &dyn Fn(&str) -> bool) -> Result<Parsed, ExprError> {
    let mut p = Parser::new(text, is_type)?;
    let parsed = if p.at_type() { Parsed::Type(p.type_name()?) } else { Parsed::Expr(p.expression()?) };
    p.end()?;
    Ok(parsed)
}

/// Parses a type name alone.
pub(crate) fn parse_type(text: &str, is_type: &dyn Fn(&str) -> bool) -> Result<TypeName, ExprError> {
    let mut p = Parser::new(text, is_type)?;
    let ty = p.type_name()?;
    p.end()?;
    Ok(ty)
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    nest: usize,
    is_type: &'a dyn Fn(&str) -> bool,
}

impl<'a> Parser<'a> {
    fn new(text: &str, is_type: &'a dyn Fn(&str) -> bool) -> Result<Self, ExprError> {
        Ok(Self { tokens: lex(text)?, at: 0, nest: 0, is_type })
    }

    fn kind(&self) -> &Tok {
        self.peek(0)
    }

    fn peek(&self, ahead: usize) -> &Tok {
        self.tokens.get(self.at + ahead).map_or(&Tok::End, |t| &t.kind)
    }

    fn span(&self) -> Span {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(Span::default(), |t| t.span)
    }

    fn last_span(&self) -> Span {
        self.at.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(Span::default(), |t| t.span)
    }

    fn is(&self, op: &str) -> bool {
        matches!(self.kind(), Tok::Op(o) if *o == op)
    }

    fn eat(&mut self, op: &str) -> bool {
        let hit = self.is(op);
        self.at += usize::from(hit);
        hit
    }

    fn expect(&mut self, op: &'static str, wanted: &'static str) -> Result<(), ExprError> {
        if self.eat(op) { Ok(()) } else { Err(self.unexpected(wanted)) }
    }

    fn unexpected(&self, wanted: &'static str) -> ExprError {
        let found = match self.kind() {
            Tok::End => "the end".to_owned(),
            Tok::Op(op) if ASSIGNMENTS.contains(op) => {
                return ErrorKind::Assignment((*op).to_owned()).at(self.span());
            }
            Tok::Op(op) => format!("'{op}'"),
            Tok::Ident(name) => format!("'{name}'"),
            Tok::Dollar(name) => format!("'${name}'"),
            Tok::Str(_) => "a string".to_owned(),
            Tok::Char(_) => "a character".to_owned(),
            Tok::Int { .. } | Tok::Float(..) => "a number".to_owned(),
        };
        ErrorKind::Expected { wanted, found }.at(self.span())
    }

    fn end(&self) -> Result<(), ExprError> {
        if *self.kind() == Tok::End { Ok(()) } else { Err(self.unexpected("an operator or the end")) }
    }

    /// Runs a rule one level of nesting further down.
    fn deeper<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T, ExprError>) -> Result<T, ExprError> {
        self.nest += 1;
        let out = if self.nest > MAX_DEPTH {
            Err(ErrorKind::TooDeep(MAX_DEPTH).at(self.span()))
        } else {
            rule(self)
        };
        self.nest -= 1;
        out
    }

    fn node(&self, kind: ExprKind, span: Span) -> Result<Expr, ExprError> {
        let below = kind.levels_below();
        if below >= MAX_DEPTH {
            return Err(ErrorKind::TooDeep(MAX_DEPTH).at(span));
        }
        Ok(Expr { kind, span, bare: span, depth: below + 1 })
    }

    fn expression(&mut self) -> Result<Expr, ExprError> {
        let mut left = self.ternary()?;
        while self.eat(",") {
            let right = self.ternary()?;
            let span = left.span.to(right.span);
            left = self.node(ExprKind::Binary(BinOp::Comma, left.into(), right.into()), span)?;
        }
        Ok(left)
    }

    fn ternary(&mut self) -> Result<Expr, ExprError> {
        self.deeper(|p| {
            let cond = p.binary(0)?;
            if let Tok::Op(op) = p.kind()
                && ASSIGNMENTS.contains(op)
            {
                return Err(p.unexpected("an expression"));
            }
            if !p.eat("?") {
                return Ok(cond);
            }
            let yes = p.expression()?;
            p.expect(":", "':' of '?:'")?;
            let no = p.ternary()?;
            let span = cond.span.to(no.span);
            p.node(ExprKind::Ternary(cond.into(), yes.into(), no.into()), span)
        })
    }

    fn operator(&self, from: usize) -> Option<(usize, BinOp)> {
        let Tok::Op(op) = self.kind() else { return None };
        LEVELS
            .iter()
            .enumerate()
            .skip(from)
            .find_map(|(i, level)| level.iter().find(|(text, _)| text == op).map(|(_, b)| (i, *b)))
    }

    fn binary(&mut self, from: usize) -> Result<Expr, ExprError> {
        let mut left = self.cast()?;
        while let Some((level, op)) = self.operator(from) {
            self.at += 1;
            let right = self.deeper(|p| p.binary(level + 1))?;
            let span = left.span.to(right.span);
            left = self.node(ExprKind::Binary(op, left.into(), right.into()), span)?;
        }
        Ok(left)
    }

    fn cast(&mut self) -> Result<Expr, ExprError> {
        if !(self.is("(") && self.type_follows(1)) {
            return self.unary();
        }
        self.deeper(|p| {
            let start = p.span();
            p.at += 1;
            let ty = p.type_name()?;
            p.expect(")", "')' after the type of a cast")?;
            let operand = p.cast()?;
            let span = start.to(operand.span);
            p.node(ExprKind::Cast(ty.into(), operand.into()), span)
        })
    }

    fn unary(&mut self) -> Result<Expr, ExprError> {
        let start = self.span();
        let op = match self.kind() {
            Tok::Op("-") => UnOp::Neg,
            Tok::Op("+") => UnOp::Plus,
            Tok::Op("!") => UnOp::Not,
            Tok::Op("~") => UnOp::BitNot,
            Tok::Op("*") => UnOp::Deref,
            Tok::Op("&") => UnOp::AddrOf,
            Tok::Ident(name) if matches!(name.as_str(), "sizeof" | "_Alignof" | "__alignof__") => {
                return self.sizeof();
            }
            _ => return self.postfix(),
        };
        self.deeper(|p| {
            p.at += 1;
            let operand = p.cast()?;
            let span = start.to(operand.span);
            p.node(ExprKind::Unary(op, operand.into()), span)
        })
    }

    fn sizeof(&mut self) -> Result<Expr, ExprError> {
        self.deeper(|p| {
            let start = p.span();
            p.at += 1;
            if p.is("(") && p.type_follows(1) {
                p.at += 1;
                let ty = p.type_name()?;
                p.expect(")", "')' after the type of sizeof")?;
                let span = start.to(p.last_span());
                return p.node(ExprKind::SizeofType(ty.into()), span);
            }
            let operand = p.unary()?;
            let span = start.to(operand.span);
            p.node(ExprKind::SizeofExpr(operand.into()), span)
        })
    }

    fn postfix(&mut self) -> Result<Expr, ExprError> {
        let mut left = self.primary()?;
        loop {
            let start = left.span;
            let kind = if self.eat("[") {
                let index = self.expression()?;
                self.expect("]", "']'")?;
                ExprKind::Index(left.into(), index.into())
            } else if self.is(".") || self.is("->") {
                let arrow = self.is("->");
                self.at += 1;
                let Tok::Ident(name) = self.kind().clone() else {
                    return Err(self.unexpected("the name of a member"));
                };
                self.at += 1;
                ExprKind::Member(left.into(), name, arrow)
            } else {
                return Ok(left);
            };
            let span = start.to(self.last_span());
            left = self.node(kind, span)?;
        }
    }

    fn primary(&mut self) -> Result<Expr, ExprError> {
        let span = self.span();
        let kind = match self.kind().clone() {
            Tok::Int { value, size, signed, hex } => ExprKind::Int { value, size, signed, hex },
            Tok::Float(v, single) => ExprKind::Float(v, single),
            Tok::Char(c) => ExprKind::Char(c),
            Tok::Str(s) => return self.strings(s.to_vec(), span),
            Tok::Dollar(name) => dollar(name),
            Tok::Ident(name) => return self.name(name, span),
            Tok::Op("(") => {
                self.at += 1;
                let inner = self.expression()?;
                self.expect(")", "')'")?;
                return Ok(Expr { span: span.to(self.last_span()), ..inner });
            }
            _ => return Err(self.unexpected("an expression")),
        };
        self.at += 1;
        self.node(kind, span)
    }

    /// Adjacent string literals are one.
    fn strings(&mut self, mut bytes: Vec<u8>, span: Span) -> Result<Expr, ExprError> {
        self.at += 1;
        while let Tok::Str(more) = self.kind().clone() {
            bytes.extend_from_slice(&more);
            self.at += 1;
        }
        let span = span.to(self.last_span());
        self.node(ExprKind::Str(bytes.into()), span)
    }

    fn name(&mut self, name: String, span: Span) -> Result<Expr, ExprError> {
        self.at += 1;
        if self.eat("::") {
            let Tok::Ident(inner) = self.kind().clone() else {
                return Err(self.unexpected("a name after '::'"));
            };
            self.at += 1;
            let span = span.to(self.last_span());
            return self.node(ExprKind::Ident(format!("{name}:{inner}")), span);
        }
        if !self.eat("(") {
            return self.node(ExprKind::Ident(name), span);
        }
        let mut args = Vec::new();
        if !self.is(")") {
            loop {
                args.push(self.argument()?);
                if !self.eat(",") {
                    break;
                }
            }
        }
        self.expect(")", "')' or ',' of the arguments")?;
        let span = span.to(self.last_span());
        self.node(ExprKind::Call(name, args), span)
    }

    /// An argument: an expression, or a type for `container_of` and its kin.
    fn argument(&mut self) -> Result<Expr, ExprError> {
        if !self.at_type() {
            return self.ternary();
        }
        let ty = self.type_name()?;
        let span = ty.span;
        self.node(ExprKind::Type(ty.into()), span)
    }
}

/// `$`, `$$`, `$3`, `$$2`, else a register.
fn dollar(name: String) -> ExprKind {
    if name.is_empty() {
        return ExprKind::History(History::Back(0));
    }
    if let Some(back) = name.strip_prefix('$') {
        let n = if back.is_empty() { Some(1) } else { back.parse().ok() };
        return ExprKind::History(History::Back(n.unwrap_or(u64::MAX)));
    }
    match name.parse() {
        Ok(n) => ExprKind::History(History::Number(n)),
        Err(_) => ExprKind::Register(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Expr, ExprError> {
        super::parse(text, &|n| n == "u8")
    }

    #[test]
    fn operators_bind_as_in_c() {
        let e = parse("1 + 2 * 3").unwrap();
        assert!(matches!(&e.kind, ExprKind::Binary(BinOp::Add, _, b)
            if matches!(b.kind, ExprKind::Binary(BinOp::Mul, ..))));
        let e = parse("1 - 2 - 3").unwrap();
        assert!(matches!(&e.kind, ExprKind::Binary(BinOp::Sub, a, _)
            if matches!(a.kind, ExprKind::Binary(BinOp::Sub, ..))));
        let e = parse("(u8)1 + 2").unwrap();
        assert!(
            matches!(&e.kind, ExprKind::Binary(BinOp::Add, a, _) if matches!(a.kind, ExprKind::Cast(..)))
        );
        let e = parse("(x)-1").unwrap();
        assert!(matches!(&e.kind, ExprKind::Binary(BinOp::Sub, ..)));
    }

    #[test]
    fn errors_point_at_the_token() {
        let at = |text: &str| parse(text).unwrap_err().span.start;
        assert_eq!(at("1 +"), 3);
        assert_eq!(at("a..b"), 2);
        assert_eq!(at("(1"), 2);
        assert_eq!(at("a b"), 2);
        assert_eq!(
            parse("a = 1").unwrap_err().to_string(),
            "a dump cannot be written to: '=' is not allowed"
        );
    }

    #[test]
    fn depth_is_bounded_however_it_is_made() {
        for text in [
            "(".repeat(5000),
            "-".repeat(5000),
            "*".repeat(5000) + "x",
            "1".to_owned() + &"+1".repeat(5000),
            "x".to_owned() + &".a".repeat(5000),
            "x".to_owned() + &"[0".repeat(5000),
            "(u8)".repeat(5000) + "1",
            "(u8".to_owned() + &"*".repeat(5000) + ")1",
            "(u8".to_owned() + &"(*".repeat(5000),
            "1?".repeat(5000),
            "sizeof ".repeat(5000),
        ] {
            assert!(parse(&text).is_err());
        }
        assert!(parse(&("1".to_owned() + &"+1".repeat(100))).is_ok());
    }
}
