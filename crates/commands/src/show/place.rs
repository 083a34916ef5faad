//! Where in the source an address is, for commands that show it beside a symbol.

use base::VirtAddr;
use kernel::Session;
use report::Cell;

/// `kernel/panic.c: 276`, where line information is at hand.
pub(crate) fn of(s: &Session, at: VirtAddr) -> Option<Cell> {
    let line = s.source_line(at).filter(|l| l.line != 0)?;
    Some(Cell::from(format!("{}: {}", line.file, line.line)))
}
