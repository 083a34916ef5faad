//! The table through which the CPU enters the kernel: what each exception and interrupt begins to run. Where it is and how an
//! entry says its address is the architecture's to know ([`arch::GateTable`]).

use crate::error::{KernelError, Result};
use crate::session::Session;
use base::{Fault, VirtAddr};

/// Where each gate leads; none for one that is not set.
///
/// # Errors
/// This architecture has no such table, or it is not known where it is.
pub fn gates(s: &Session) -> Result<Vec<Result<Option<VirtAddr>, Fault>>> {
    let table = s
        .arch()
        .entries()
        .gates()
        .ok_or(KernelError::NotBuilt("a table of gates: this architecture has none"))?;
    let first = s.need_symbol(table.symbol)?;
    let size = table.entry_size;
    let read = |n: u64| {
        let raw = s.mem().bytes(first.add(n.saturating_mul(size)), usize::try_from(size).unwrap_or(0))?;
        Ok((table.target)(&raw))
    };
    Ok((0..table.count).map(read).collect())
}
