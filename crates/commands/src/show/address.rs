//! Addresses as the user writes them.

use crate::engine::error::meant;
use crate::engine::symbols;
use crate::{CommandError, Cx};
use base::{FaultKind, VirtAddr};
use kernel::{Machine, Session};

/// The value of a word that stands for an address: hexadecimal digits with or without `0x`, a symbol
/// (`MODULE:NAME` for one of a module), or an expression of both (`init_task+16`, `(panic + 0x20)`).
/// A word such as `add` that is a symbol and spells a number is the symbol.
pub(crate) fn parse(cx: &Cx<'_>, word: &str) -> Result<u64, CommandError> {
    let digit_first = word.starts_with(|c: char| c.is_ascii_digit());
    if digit_first && let Some(at) = crate::engine::number::hex(word) {
        return Ok(at);
    }
    let Some(s) = cx.session_if_open() else {
        // digits need no symbols
        let digits =
            crate::engine::number::hex(word).or_else(|| crate::engine::number::value(word, &|_| None).ok());
        return match digits {
            Some(at) => Ok(at),
            None => Err(cx.session().err().unwrap_or_else(|| CommandError::failed(word))),
        };
    };
    let symbol = |name: &str| symbols::value(s, name);
    if !digit_first && let Some(at) = symbol(word) {
        return Ok(at);
    }
    if let Some(at) = crate::engine::number::hex(word) {
        return Ok(at);
    }
    let is_name = word.chars().all(|c| c.is_alphanumeric() || "_.:$".contains(c)) && !digit_first;
    if is_name {
        return Err(not_found(s, word));
    }
    crate::engine::number::value(word, &symbol).map_err(CommandError::from)
}

/// Whose an address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// The kernel's page tables map it, or it lies in the kernel's half of what they can map.
    Kernel,
    /// A process's, if anyone's.
    User,
    /// The hardware can form no such address.
    Nobody,
}

/// Whose an address is, by the kernel's page tables.
pub(crate) fn side(m: &Machine, at: VirtAddr) -> Side {
    match m.mem.tables().translate(m.phys(), at) {
        Ok(_) => Side::Kernel,
        Err(FaultKind::NonCanonical) => Side::Nobody,
        Err(_) if m.arch.is_kernel(at) => Side::Kernel,
        Err(_) => Side::User,
    }
}

/// The error for a name that no symbol has.
pub(crate) fn not_found(s: &Session, word: &str) -> CommandError {
    let near = s.kernel_symbols().table.near(word);
    let hint = meant(&near);
    let why = s.kernel_symbols().problem.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    CommandError::failed(format_args!("symbol not found: {word}{hint}{why}"))
        .lost_if(s.kernel_symbols().is_lost)
}
