//! The symbol that an address lies in, as a cell.

use base::VirtAddr;
use kernel::Session;
use report::{Cell, SymbolRef};

/// `name+43`, without its module; the address where no symbol is known.
pub(crate) fn of(s: &Session, at: VirtAddr) -> Cell {
    match s.locate(at) {
        Some(found) => {
            let name = found.symbol.name.to_owned();
            Cell::from(SymbolRef { name, offset: found.offset, ..SymbolRef::default() })
        }
        None => Cell::Addr(at.0),
    }
}

/// The module whose symbol it is; none for the kernel's own.
pub(crate) fn module(s: &Session, at: VirtAddr) -> Option<String> {
    s.locate(at)?.symbol.module.map(str::to_owned)
}
