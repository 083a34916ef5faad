//! Numbers as the user writes them: hexadecimal digits, and expressions of 64-bit numbers and symbols.
//!
//! The precedence is C's. Numbers are decimal, or hex with `0x` or where a digit says so; `k`, `m`, `g`
//! multiply by 1024, its square, its cube. Behind a sign a number begins with a digit: `-d` and `-a` are options that
//! `eval` does not have, not -13 and -10.

use crate::engine::error::CommandError;

/// Parentheses and signs deeper than this are refused.
const DEPTH: u32 = 64;

/// A hex number with or without `0x`.
pub(crate) fn hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

/// Why an expression has no value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum EvalError {
    /// It is no expression.
    #[error("invalid expression: {text}: {what} at column {column}")]
    Syntax { text: String, what: String, column: usize },
    /// A name that is no symbol of this dump.
    #[error("invalid expression: {text}: {name} is neither a number nor a symbol at column {column}")]
    Unknown { text: String, name: String, column: usize },
    /// Division by zero.
    #[error("invalid expression: {0}: division by zero")]
    DivisionByZero(String),
}

impl From<EvalError> for CommandError {
    fn from(e: EvalError) -> Self {
        match e {
            EvalError::Unknown { .. } => Self::failed(e),
            EvalError::Syntax { .. } | EvalError::DivisionByZero(_) => Self::argument(e),
        }
    }
}

/// The value of an expression; `symbol` gives the value of a name.
pub(crate) fn value(text: &str, symbol: &dyn Fn(&str) -> Option<u64>) -> Result<u64, EvalError> {
    let mut parser = Parser { text, at: 0, symbol };
    let value = parser.binary(0, 0)?;
    match parser.peek() {
        None => Ok(value),
        Some(c) => Err(parser.wrong(format!("unexpected '{c}'"))),
    }
}

/// C's binary operators, the loosest first.
const LEVELS: [&[&str]; 6] = [&["|"], &["^"], &["&"], &["<<", ">>"], &["+", "-"], &["*", "/", "%"]];

struct Parser<'a> {
    text: &'a str,
    at: usize,
    symbol: &'a dyn Fn(&str) -> Option<u64>,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }
    fn skip_blanks(&mut self) {
        let blanks = self.rest().len() - self.rest().trim_start().len();
        self.at = self.at.saturating_add(blanks);
    }
    fn peek(&mut self) -> Option<char> {
        self.skip_blanks();
        self.rest().chars().next()
    }
    fn eat(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let hit = self.rest().starts_with(token);
        if hit {
            self.at = self.at.saturating_add(token.len());
        }
        hit
    }
    fn wrong(&self, what: String) -> EvalError {
        EvalError::Syntax { text: self.text.to_owned(), what, column: self.at.saturating_add(1) }
    }

    fn binary(&mut self, level: usize, depth: u32) -> Result<u64, EvalError> {
        let Some(operators) = LEVELS.get(level) else { return self.unary(depth) };
        let mut left = self.binary(level.saturating_add(1), depth)?;
        while let Some(operator) = operators.iter().copied().find(|op| self.eat(op)) {
            let right = self.binary(level.saturating_add(1), depth)?;
            left = self.apply(left, operator, right)?;
        }
        Ok(left)
    }

    fn apply(&self, a: u64, operator: &str, b: u64) -> Result<u64, EvalError> {
        let zero = || EvalError::DivisionByZero(self.text.to_owned());
        // a shift by the width or more leaves nothing, as crash's users expect of a calculator
        let count = u32::try_from(b).unwrap_or(u32::MAX);
        Ok(match operator {
            "|" => a | b,
            "^" => a ^ b,
            "&" => a & b,
            "<<" => a.checked_shl(count).unwrap_or(0),
            ">>" => a.checked_shr(count).unwrap_or(0),
            "+" => a.wrapping_add(b),
            "-" => a.wrapping_sub(b),
            "*" => a.wrapping_mul(b),
            "/" => a.checked_div(b).ok_or_else(zero)?,
            _ => a.checked_rem(b).ok_or_else(zero)?,
        })
    }

    fn unary(&mut self, depth: u32) -> Result<u64, EvalError> {
        let deeper = depth.saturating_add(1);
        if deeper > DEPTH {
            return Err(self.wrong("too deep".to_owned()));
        }
        if self.eat("~") {
            Ok(!self.unary(deeper)?)
        } else if self.eat("-") {
            Ok(self.unary(deeper)?.wrapping_neg())
        } else if self.eat("+") {
            self.unary(deeper)
        } else if self.eat("(") {
            let value = self.binary(0, deeper)?;
            if self.eat(")") { Ok(value) } else { Err(self.wrong("a ) is missing".to_owned())) }
        } else {
            self.word()
        }
    }

    fn word(&mut self) -> Result<u64, EvalError> {
        self.skip_blanks();
        let rest = self.rest();
        let len = rest.find(|c: char| !(c.is_alphanumeric() || "_.:".contains(c))).unwrap_or(rest.len());
        let word = rest.get(..len).unwrap_or("").to_owned();
        if word.is_empty() {
            let what =
                rest.chars().next().map_or("a number is missing".to_owned(), |c| format!("unexpected '{c}'"));
            return Err(self.wrong(what));
        }
        // a symbol such as `add` or `fee` spells a hex number as well: a number that begins with a
        // digit is a number, any other word is first a symbol
        let number = number(&word);
        let value = if word.starts_with(|c: char| c.is_ascii_digit()) {
            number
        } else {
            (self.symbol)(&word).or(number)
        };
        let is_name = |c: char| c.is_alphabetic() || c == '_';
        let value = value.ok_or_else(|| match word.starts_with(is_name) {
            true => EvalError::Unknown {
                text: self.text.to_owned(),
                name: word.clone(),
                column: self.at.saturating_add(1),
            },
            false => self.wrong(format!("{word} is neither a number nor a symbol")),
        })?;
        self.at = self.at.saturating_add(len);
        Ok(value)
    }
}

fn number(word: &str) -> Option<u64> {
    let (digits, shift) = match word.char_indices().next_back()? {
        (at, 'k' | 'K') => (word.get(..at)?, 10),
        (at, 'm' | 'M') => (word.get(..at)?, 20),
        (at, 'g' | 'G') => (word.get(..at)?, 30),
        _ => (word, 0),
    };
    let value = match digits.parse::<u64>() {
        Ok(value) => value,
        Err(_) => hex(digits)?,
    };
    value.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(text: &str) -> Result<u64, String> {
        value(text, &|name| (name == "add" || name == "mod:sym").then_some(7)).map_err(|e| e.to_string())
    }

    #[test]
    fn expressions() {
        let table: &[(&str, u64)] = &[
            ("128k", 128 << 10),
            ("(128 * 1m)", 128 << 20),
            ("41dc065", 0x41d_c065),
            ("0x40000000 * 2", 0x8000_0000),
            ("(1 << 32)", 1 << 32),
            ("1 << 64", 0),
            ("1+2*3", 7),
            ("(1+2)*3", 9),
            ("1 | 2 ^ 3 & 1", 1 | (2 ^ (3 & 1))),
            ("~0", u64::MAX),
            ("- -5", 5),
            ("10 % 4", 2),
            ("0-1", u64::MAX),
            ("add + 1", 8),
            ("mod:sym", 7),
            ("fee", 0xfee),
            ("0x10k", 0x4000),
        ];
        for (text, want) in table {
            assert_eq!(eval(text), Ok(*want), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_says_where() {
        for (text, want) in [
            ("zz", "zz is neither a number nor a symbol at column 1"),
            ("(1 + ", "a number is missing at column 6"),
            ("(1", "a ) is missing at column 3"),
            ("1 1", "unexpected '1' at column 3"),
            ("1 / (2 - 2)", "division by zero"),
            ("99999999999999999999999", "neither a number"),
            ("99999999999g", "neither a number"),
            ("é", "neither a number"),
        ] {
            let error = eval(text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
        assert!(eval(&"(".repeat(10_000)).unwrap_err().contains("too deep"));
        assert!(eval(&"~".repeat(10_000)).unwrap_err().contains("too deep"));
    }
}
