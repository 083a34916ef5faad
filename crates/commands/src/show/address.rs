//! Addresses as the user writes them.

use crate::{CommandError, Cx};
use base::{FaultKind, VirtAddr};
use debuginfo::symtab::Symbol;
use kernel::{Machine, Session};

/// The value of a word that stands for an address: hexadecimal digits with or without `0x`, a symbol
/// (`MODULE:NAME` for one of a module), or an expression of both (`init_task+16`, `(panic + 0x20)`).
/// A word such as `add` that is a symbol and spells a number is the symbol.
pub(crate) fn parse(cx: &Cx<'_>, command: &str, word: &str) -> Result<u64, CommandError> {
    let digit_first = word.starts_with(|c: char| c.is_ascii_digit());
    if digit_first && let Some(at) = crate::cmd::program::eval::hex(word) {
        return Ok(at);
    }
    let Some(s) = cx.session_if_open() else {
        // digits need no symbols
        let digits = crate::cmd::program::eval::hex(word)
            .or_else(|| crate::cmd::program::eval::value(word, &|_| None).ok());
        return match digits {
            Some(at) => Ok(at),
            None => Err(cx.session(command).err().unwrap_or_else(|| CommandError::failed(command, word))),
        };
    };
    let symbol = |name: &str| symbol(s, name);
    if !digit_first && let Some(at) = symbol(word) {
        return Ok(at);
    }
    if let Some(at) = crate::cmd::program::eval::hex(word) {
        return Ok(at);
    }
    let is_name = word.chars().all(|c| c.is_alphanumeric() || "_.:$".contains(c)) && !digit_first;
    if is_name {
        return Err(not_found(s, command, word));
    }
    crate::cmd::program::eval::value(word, &symbol).map_err(|e| e.of(command))
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

/// The address of a symbol, of the kernel or a module.
pub(crate) fn symbol(s: &Session, name: &str) -> Option<u64> {
    s.symbol(name).or_else(|| named(s, name).first().map(|sym| sym.addr)).map(|at| at.0)
}

/// All symbols of a name. `MODULE:NAME` chooses those of a module, `FILE.c:NAME` those whose code is from a
/// file, which takes line information.
pub(crate) fn named<'s>(s: &'s Session, name: &str) -> Vec<Symbol<'s>> {
    match name.split_once(':') {
        Some((file, name)) if file.contains('.') => {
            let end = format!("/{file}");
            let from = |sym: &Symbol<'_>| {
                s.source_line(sym.addr).is_some_and(|l| *l.file == *file || l.file.ends_with(&end))
            };
            s.named(name).into_iter().filter(from).collect()
        }
        _ => s.named(name),
    }
}

/// The error for a name that no symbol has.
pub(crate) fn not_found(s: &Session, command: &str, word: &str) -> CommandError {
    let near = s.kernel_symbols().table.near(word);
    let hint = match near.as_slice() {
        [] => String::new(),
        names => format!(" (did you mean {}?)", names.join(" or ")),
    };
    let why = s.kernel_symbols().problem.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    CommandError::failed(command, format_args!("symbol not found: {word}{hint}{why}"))
}
