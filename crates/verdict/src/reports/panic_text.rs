//! What `panic()` was called with, from the buffer it formats its message into: for a dump without a log.
//!
//! Source: kernel/panic.c. The buffer is static in `panic()` (in `vpanic()` since 6.15); its address is the
//! first argument of the call that formats it.

use crate::code::function::Code;
use crate::code::listing::Listing;
use arch::dataflow::Expr;
use base::VirtAddr;
use kernel::Session;

/// Bytes of the buffer.
const BUFFER: usize = 1024;

/// The message of the panic; `None` where there was none, or the code does not tell where it is.
pub(crate) fn of(s: &Session) -> Option<String> {
    ["vpanic", "panic"].iter().find_map(|name| {
        let at = s.symbol(name)?;
        let code = Code::around(s, at)?;
        let listing = Listing::around(s, at)?;
        let call = listing.calls().find(|(_, target)| {
            s.locate(*target)
                .is_some_and(|l| l.offset == 0 && matches!(l.symbol.name, "vscnprintf" | "vsnprintf"))
        })?;
        let Expr::Const(buffer) =
            code.flow.expr(code.flow.register(call.0.0, *s.arch().reg_set().roles.arguments.first()?)?)
        else {
            return None;
        };
        let raw = s.mem().cstr(VirtAddr(buffer.cast_unsigned()), BUFFER).ok()?;
        let text = String::from_utf8(raw).ok()?;
        let text = text.trim_end();
        (!text.is_empty() && text.chars().all(|c| !c.is_control() || c == '\n')).then(|| text.to_owned())
    })
}
