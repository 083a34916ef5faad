//! What can be wrong with an expression, and where in its text.

use crate::absent::Absent;
use debuginfo::types::TypeError;
use std::fmt;

/// A run of bytes of the source text, `start..end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The span from the start of `self` to the end of `other`.
    #[must_use]
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// An error with its place in the text.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ExprError {
    /// The token or sub-expression that is wrong.
    pub span: Span,
    /// What is wrong with it.
    pub kind: ErrorKind,
}

impl ExprError {
    /// The source line and a line of carets under the span, for terminals.
    #[must_use]
    pub fn underline(&self, source: &str) -> String {
        let before = source.get(..self.span.start).map_or(0, |s| s.chars().count());
        let width = source.get(self.span.start..self.span.end).map_or(1, |s| s.chars().count()).max(1);
        format!("{source}\n{}{}", " ".repeat(before), "^".repeat(width))
    }
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for ExprError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.kind)
    }
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A character that starts no token.
    #[error("unexpected character {0:?}")]
    BadChar(char),
    /// A number that C does not know.
    #[error("bad number '{text}': {why}")]
    BadNumber {
        /// As written.
        text: String,
        /// What is wrong.
        why: &'static str,
    },
    /// `"abc` or `'a`.
    #[error("unterminated {0}")]
    Unterminated(&'static str),
    /// The grammar wants something else.
    #[error("expected {wanted}, found {found}")]
    Expected {
        /// What the grammar allows here.
        wanted: &'static str,
        /// What stands here.
        found: String,
    },
    /// Nested or chained beyond the bound.
    #[error("expression is nested deeper than {0} levels")]
    TooDeep(usize),
    /// No variable, function, enumerator, local or macro has this name.
    #[error("no symbol \"{name}\"{}", did_you_mean(near))]
    UnknownName {
        /// The name.
        name: String,
        /// Names like it.
        near: Vec<String>,
    },
    /// No type has this name.
    #[error("no type named \"{name}\"{}", did_you_mean(near))]
    UnknownType {
        /// The name, with `struct`, `union` or `enum` where written.
        name: String,
        /// Names like it.
        near: Vec<String>,
    },
    /// The struct has no such member.
    #[error("{of} has no member named \"{name}\"{}", did_you_mean(near))]
    UnknownMember {
        /// The member.
        name: String,
        /// The struct or union.
        of: String,
        /// Names like it.
        near: Vec<String>,
    },
    /// The frame, or the machine, has no such register.
    #[error("no register ${name}")]
    UnknownRegister {
        /// The name, without the dollar.
        name: String,
    },
    /// A register whose value is not known here.
    #[error("register ${name}: {why}")]
    Register {
        /// The name.
        name: String,
        /// Why its value is not known.
        why: String,
    },
    /// `$7` before seven values were printed.
    #[error("history has no value {0}")]
    NoHistory(String),
    /// A symbol of which only the address is known.
    #[error("'{0}' has unknown type; cast it to its declared type, as in *(int *)&{0}")]
    NoType(String),
    /// A per-CPU variable without a CPU.
    #[error("'{0}' is a per-CPU variable; choose a CPU with per_cpu({0}, CPU)")]
    PerCpu(String),
    /// Several symbols of different addresses share the name.
    #[error("'{name}' is ambiguous: {}", places.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// `address [module]` of each.
        places: Vec<String>,
    },
    /// An operator was given something that it cannot work on.
    #[error("{operator} cannot be applied to {ty}")]
    Operand {
        /// `unary *`, `->`, `+` ...
        operator: String,
        /// The operand's type.
        ty: String,
    },
    /// `&` of something that is not in memory.
    #[error("{0} is not in memory, it has no address")]
    NotInMemory(String),
    /// `x / 0` or `x % 0`
    #[error("division by zero")]
    DivideByZero,
    /// An array or object too large to hold.
    #[error("{what} of {size} bytes is more than the {max} that an expression may hold")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size.
        size: u64,
        /// The bound.
        max: u64,
    },
    /// `=`, `++` and their kin.
    #[error("a dump cannot be written to: '{0}' is not allowed")]
    Assignment(String),
    /// A built-in was called wrongly.
    #[error("{name}: {why}")]
    Call {
        /// The built-in.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The debug information contradicts itself or lacks something.
    #[error("{0}")]
    Type(#[from] TypeError),
    /// The operand's memory is not there.
    #[error("{0}")]
    Absent(#[from] Absent),
}

impl ErrorKind {
    /// With a place in the text.
    #[must_use]
    pub fn at(self, span: Span) -> ExprError {
        ExprError { span, kind: self }
    }
}

fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        [head @ .., last] => format!("; did you mean {} or {last}?", head.join(", ")),
    }
}
