//! Tokens of C, with gdb's `$` names and `@`. Source: C17 6.4, gdb manual "Expressions".

use crate::error::{ErrorKind, ExprError, Span};
use std::sync::Arc;

/// A token with its place.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Tok,
    pub(crate) span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Tok {
    Int {
        value: u64,
        size: u64,
        signed: bool,
        hex: bool,
    },
    Float(f64, bool),
    Char(u8),
    Str(Arc<[u8]>),
    Ident(String),
    /// `$name`, without the dollar; empty for `$`, `$` for `$$`.
    Dollar(String),
    /// An operator or punctuation mark.
    Op(&'static str),
    End,
}

/// Longest first: the first that fits is the token.
const OPS: &[&str] = &[
    "<<=", ">>=", "...", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=",
    "/=", "%=", "&=", "|=", "^=", "::", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!", "<", ">", "=", "?",
    ":", ",", ".", "(", ")", "[", "]", "{", "}", "@", ";",
];

/// All tokens of a text, an end mark last.
pub(crate) fn lex(text: &str) -> Result<Vec<Token>, ExprError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut out = Vec::new();
    loop {
        let token = lexer.next()?;
        let end = token.kind == Tok::End;
        out.push(token);
        if end {
            return Ok(out);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

fn is_ident(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let len = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or("")
    }

    fn next(&mut self) -> Result<Token, ExprError> {
        self.take_while(char::is_whitespace);
        let start = self.at;
        let kind = match self.peek() {
            None => Tok::End,
            Some(c) if c.is_ascii_digit() => self.number()?,
            Some('.') if self.rest().chars().nth(1).is_some_and(|c| c.is_ascii_digit()) => self.number()?,
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.ident(),
            Some('$') => self.dollar(),
            Some('\'') => self.char()?,
            Some('"') => self.string()?,
            Some(c) => match OPS.iter().find(|op| self.rest().starts_with(**op)) {
                Some(op) => {
                    self.at += op.len();
                    Tok::Op(op)
                }
                None => {
                    let span = Span { start, end: start + c.len_utf8() };
                    return Err(ErrorKind::BadChar(c).at(span));
                }
            },
        };
        Ok(Token { kind, span: Span { start, end: self.at } })
    }

    /// A name. Compilers' parts of functions (`foo.isra.0`) are symbols only where the text says so
    /// in quotes, as in gdb: `'foo.isra.0'`.
    fn ident(&mut self) -> Tok {
        Tok::Ident(self.take_while(is_ident).to_owned())
    }

    fn dollar(&mut self) -> Tok {
        self.at += 1;
        if self.peek() == Some('$') {
            self.at += 1;
            let digits = self.take_while(|c| c.is_ascii_digit());
            return Tok::Dollar(format!("${digits}"));
        }
        Tok::Dollar(self.take_while(is_ident).to_owned())
    }

    fn number(&mut self) -> Result<Tok, ExprError> {
        let start = self.at;
        let hex = self.rest().starts_with("0x") || self.rest().starts_with("0X");
        let mut last = ' ';
        let rest = self.rest();
        let len = rest
            .find(|c: char| {
                let sign = (c == '+' || c == '-') && !hex && matches!(last, 'e' | 'E');
                last = c;
                !(is_ident(c) || c == '.' || sign)
            })
            .unwrap_or(rest.len());
        self.at += len;
        let text = rest.get(..len).unwrap_or("");
        let span = Span { start, end: self.at };
        let bad = |why| ErrorKind::BadNumber { text: text.to_owned(), why }.at(span);
        if !hex && text.contains(['.', 'e', 'E']) {
            let single = text.ends_with(['f', 'F']);
            let digits = text.trim_end_matches(['f', 'F', 'l', 'L']);
            let value: f64 = digits.parse().map_err(|_| bad("not a number"))?;
            return Ok(Tok::Float(value, single));
        }
        integer(text).map_err(bad)
    }

    fn string(&mut self) -> Result<Tok, ExprError> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                None => {
                    return Err(ErrorKind::Unterminated("string").at(Span { start, end: self.at }));
                }
                Some('"') => {
                    self.at += 1;
                    return Ok(Tok::Str(bytes.into()));
                }
                Some(_) => self.character(&mut bytes),
            }
        }
    }

    /// `'a'` is a character; anything longer between single quotes is a symbol's name, as in gdb.
    fn char(&mut self) -> Result<Tok, ExprError> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                None => {
                    let span = Span { start, end: self.at };
                    return Err(ErrorKind::Unterminated("character").at(span));
                }
                Some('\'') => {
                    self.at += 1;
                    break;
                }
                Some(_) => self.character(&mut bytes),
            }
        }
        match bytes.as_slice() {
            [one] => Ok(Tok::Char(*one)),
            [] => Err(ErrorKind::BadNumber { text: "''".into(), why: "empty character" }
                .at(Span { start, end: self.at })),
            many => Ok(Tok::Ident(String::from_utf8_lossy(many).into_owned())),
        }
    }

    /// One character of a string, with its escape undone.
    fn character(&mut self, out: &mut Vec<u8>) {
        let Some(c) = self.bump() else { return };
        if c != '\\' {
            let mut buf = [0; 4];
            out.extend_from_slice(c.encode_utf8(&mut buf).as_bytes());
            return;
        }
        let Some(c) = self.peek() else { return };
        match c {
            '0'..='7' => {
                let mut value = 0u32;
                for _ in 0..3 {
                    let Some(d) = self.peek().and_then(|c| c.to_digit(8)) else { break };
                    self.at += 1;
                    value = value * 8 + d;
                }
                out.push(value as u8);
            }
            'x' => {
                self.at += 1;
                let digits = self.take_while(|c| c.is_ascii_hexdigit());
                let value = digits.chars().filter_map(|c| c.to_digit(16)).fold(0u32, |v, d| (v << 4) | d);
                out.push(value as u8);
            }
            _ => {
                self.bump();
                let plain = match c {
                    'n' => 10,
                    't' => 9,
                    'r' => 13,
                    'a' => 7,
                    'b' => 8,
                    'f' => 12,
                    'v' => 11,
                    'e' => 27,
                    other => {
                        let mut buf = [0; 4];
                        out.extend_from_slice(other.encode_utf8(&mut buf).as_bytes());
                        return;
                    }
                };
                out.push(plain);
            }
        }
    }
}

/// C17 6.4.4.1: the first type of the literal's list that holds it.
fn integer(text: &str) -> Result<Tok, &'static str> {
    let lower = text.to_ascii_lowercase();
    let (radix, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..).unwrap_or("")),
        [b'0', b'b', ..] => (2, lower.get(2..).unwrap_or("")),
        [b'0', _, ..] => (8, lower.get(1..).unwrap_or("")),
        _ => (10, lower.as_str()),
    };
    let end = body.find(|c: char| !c.is_digit(radix)).unwrap_or(body.len());
    let (digits, suffix) = body.split_at(end);
    // "0u" is the octal literal 0 with a suffix: its digit was eaten as the prefix
    let (digits, radix) = if digits.is_empty() && radix == 8 { ("0", 10) } else { (digits, radix) };
    if digits.is_empty() {
        return Err("no digits");
    }
    let (unsigned, long) = match suffix {
        "" => (false, false),
        "u" => (true, false),
        "l" | "ll" => (false, true),
        "ul" | "ull" | "lu" | "llu" => (true, true),
        _ => return Err("a digit or suffix that C does not know"),
    };
    let value = u64::from_str_radix(digits, radix).map_err(|_| "does not fit into 64 bits")?;
    let (size, signed) = type_of(value, radix == 10, unsigned, long);
    Ok(Tok::Int { value, size, signed, hex: radix == 16 })
}

/// The type of a literal: its size, and whether it has a sign.
pub(crate) const fn type_of(value: u64, decimal: bool, unsigned: bool, long: bool) -> (u64, bool) {
    match (value, unsigned, long) {
        (v, false, false) if v <= 0x7fff_ffff => (4, true),
        (v, _, false) if v <= 0xffff_ffff && (unsigned || !decimal) => (4, false),
        (v, false, _) if v <= i64::MAX as u64 => (8, true),
        _ => (8, false), // also decimals beyond long, as gdb has them
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Tok {
        lex(text).unwrap().remove(0).kind
    }

    #[test]
    fn integers_get_the_first_type_that_holds_them() {
        let int = |value, size, signed| Tok::Int { value, size, signed, hex: false };
        let hex = |value, size, signed| Tok::Int { value, size, signed, hex: true };
        assert_eq!(one("0"), int(0, 4, true));
        assert_eq!(one("0u"), int(0, 4, false));
        assert_eq!(one("017"), int(15, 4, true));
        assert_eq!(one("0b101"), int(5, 4, true));
        assert_eq!(one("2147483648"), int(0x8000_0000, 8, true));
        assert_eq!(one("0x80000000"), hex(0x8000_0000, 4, false));
        assert_eq!(one("0xffffffffffffffff"), hex(u64::MAX, 8, false));
        assert_eq!(one("1UL"), int(1, 8, false));
        assert!(lex("08").is_err());
        assert!(lex("0x").is_err());
        assert!(lex("12abc").is_err());
        assert!(lex("99999999999999999999").is_err());
    }

    #[test]
    fn floats_characters_strings_and_dollars() {
        assert_eq!(one("1.5f"), Tok::Float(1.5, true));
        assert_eq!(one("1e10"), Tok::Float(1e10, false));
        assert_eq!(one(r"'\n'"), Tok::Char(10));
        assert_eq!(one(r"'\''"), Tok::Char(39));
        assert_eq!(one("'foo.isra.0'"), Tok::Ident("foo.isra.0".into()));
        assert_eq!(one(r#""a\0b\x41""#), Tok::Str(b"a\0bA".as_slice().into()));
        assert_eq!(one("$"), Tok::Dollar(String::new()));
        assert_eq!(one("$$2"), Tok::Dollar("$2".into()));
        assert_eq!(one("$rdi"), Tok::Dollar("rdi".into()));
    }

    #[test]
    fn errors_carry_the_place() {
        let e = lex("a + `").unwrap_err();
        assert_eq!(e.span, Span { start: 4, end: 5 });
        assert_eq!(e.underline("a + `"), "a + `\n    ^");
    }
}
