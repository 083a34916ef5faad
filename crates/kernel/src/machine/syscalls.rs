//! The table of system calls (`sys_call_table`, arch/x86/entry/syscall_64.c).

use crate::error::Result;
use crate::session::Session;
use base::VirtAddr;

/// More entries than any kernel's table.
const MAX: u64 = 4096;

/// The functions of the table, by number; ends before the first entry that is no function.
pub fn table(s: &Session) -> Result<Vec<VirtAddr>> {
    let at = s.need_symbol("sys_call_table")?;
    let symbols = &s.kernel_symbols().table;
    let bytes = symbols
        .find("sys_call_table")
        .map_or(0, |sym| if sym.size != 0 { sym.size } else { symbols.span(sym.id).unwrap_or(MAX * 8) });
    let mut out = Vec::new();
    for n in 0..(bytes / 8).min(MAX) {
        let function = s.mem().ptr(at.add(n * 8))?;
        if !s.is_text(function) || s.locate(function).is_none_or(|l| l.offset != 0) {
            break;
        }
        out.push(function);
    }
    Ok(out)
}
