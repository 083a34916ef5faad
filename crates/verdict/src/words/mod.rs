//! The only place that makes English: how the parts of a verdict read.
//!
//! **Invariant:** what is decided about a death is decided before. Nothing here asks the dump, and nothing elsewhere asks
//! what a sentence says.

mod cause;
mod context;
mod headline;
mod loss;
mod memory;
mod object;
mod operand;
mod pointer;
mod report;
mod stall;
mod statement;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use context::descent;

use crate::model::{CodeLine, Says, Statement};
use std::fmt;

impl Statement {
    /// As people read it.
    #[must_use]
    pub fn text(&self) -> String {
        self.says.to_string()
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Says::Line(line) => f.write_str(line),
            Says::Code(lines) => f.write_str(&joined(lines, "; ")),
            Says::Evidence(said) => said.fmt(f),
            Says::Context(said) => said.fmt(f),
            Says::Module(said) => said.fmt(f),
            Says::Stall(said) => said.fmt(f),
            Says::Related(said) => said.fmt(f),
            Says::Report(said) => said.fmt(f),
            Says::Memory(said) => said.fmt(f),
            Says::History(said) => said.fmt(f),
            Says::Known(issue) => issue.fmt(f),
        }
    }
}

impl fmt::Display for CodeLine {
    /// `+0x1a jb +0x66 -> trap`; `+0x8 cmp %eax,0x18(%rdi)   (%eax is q->lost, 0x18(%rdi) is q->limit)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodeLine::In(function) => write!(f, "in {function}:"),
            CodeLine::Instruction { at, text, jump, names } => {
                write!(f, "{at} {text}")?;
                jump.iter().try_for_each(|jump| jump.fmt(f))?;
                if names.is_empty() {
                    return Ok(());
                }
                let each = names.iter().map(|(operand, expr)| format!("{operand} is {}", expr.for_reader()));
                write!(f, "   ({})", joined(each, ", "))
            }
        }
    }
}

/// Several things with a mark between them.
fn joined<T: fmt::Display>(all: impl IntoIterator<Item = T>, mark: &str) -> String {
    all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(mark)
}

/// `1 byte`, `2 bytes`
fn bytes(n: u64) -> String {
    format!("{n} byte{}", if n == 1 { "" } else { "s" })
}

/// A CPU's number.
fn cpu(cpu: Option<u32>) -> String {
    cpu.map_or_else(|| "?".to_owned(), |cpu| cpu.to_string())
}
