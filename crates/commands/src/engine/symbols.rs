//! Symbols as the user names them.

use debuginfo::symtab::Symbol;
use kernel::Session;

/// The address of a symbol, of the kernel or a module.
pub(crate) fn value(s: &Session, name: &str) -> Option<u64> {
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
