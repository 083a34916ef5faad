//! Where in the source an address is, for commands that show it beside a symbol.

use base::VirtAddr;
use kernel::Session;
use report::Cell;

/// `kernel/panic.c: 276`, where line information is at hand.
pub(crate) fn of(_s: &Session, _at: VirtAddr) -> Option<Cell> {
    None
}
