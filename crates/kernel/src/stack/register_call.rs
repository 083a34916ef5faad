//! Whether a program counter is in the function that the stack says was called. The return address on top of the stack
//! lies behind a call; where that call names its function, the code that runs is of that function, of one that it jumps to,
//! or of a part of it that lies elsewhere. A program counter in other code is not the CPU's.

use crate::session::Session;
use crate::stack::code::SessionCode;
use crate::stack::register_fit::Doubt;
use base::VirtAddr;
use unwind::{Code, Frame, How, Unwinder, Unwound};

/// Functions that are followed from the one that was called.
const MAX_FUNCTIONS: usize = 64;
/// Bytes of them that are decoded in all.
const MAX_BYTES: u64 = 64 << 10;

/// What the stack has against the registers that these frames begin with; `None` where it bears them out, and where nothing
/// tells.
pub(crate) fn contradicted(s: &Session, cpu: u32, u: &Unwinder<'_>, frames: &Unwound) -> Option<Doubt> {
    let (first, caller) = (frames.frames.first()?, frames.frames.get(1)?);
    let code = SessionCode::at_hand(s, None);
    // code without tables is unwound by guesses, which prove nothing
    if first.how != How::Start
        || first.saved.is_some()
        || caller.saved.is_some()
        || code.orc(first.pc).is_none()
    {
        return None;
    }
    if caller.how.is_guess() {
        // the tables lead to no return address, though the rest of the stack is whole
        return s.has_whole_stack(u, cpu).then_some(Doubt::NoFrames);
    }
    let by_tables = matches!(caller.how, How::Orc | How::Cfi | How::Code);
    (by_tables && !is_called(s, first, caller)).then_some(Doubt::Call(first.pc, caller.pc))
}

/// Whether the call that ends at the caller's return address can lead to the first frame's code.
fn is_called(s: &Session, first: &Frame, caller: &Frame) -> bool {
    let function = |at: VirtAddr| s.locate(at).map(|l| (l.symbol.addr, l.span));
    // of a call by pointer the target is not known
    let Some(target) = s.arch().frames.call_target(s.mem(), caller.pc) else { return true };
    let (Some((own, _)), Some((start, _))) = (function(first.pc), function(target)) else { return true };
    let mut known = vec![start];
    let mut bytes = 0_u64;
    let mut next = 0;
    while let Some(at) = known.get(next).copied() {
        next += 1;
        if at == own {
            return true;
        }
        let Some(span) = function(at).and_then(|(_, span)| span) else { return true };
        bytes = bytes.saturating_add(span);
        let Some(leaves) = leaves(s, at, span).filter(|_| bytes < MAX_BYTES) else { return true };
        for to in leaves {
            if let Some((start, _)) = function(to)
                && !known.contains(&start)
            {
                known.push(start);
            }
        }
        if known.len() > MAX_FUNCTIONS {
            return true;
        }
    }
    false
}

/// Where the code of a function goes on outside of it; `None` where that is not known.
fn leaves(s: &Session, start: VirtAddr, span: u64) -> Option<Vec<VirtAddr>> {
    let code = s.mem().bytes(start, usize::try_from(span.min(MAX_BYTES)).ok()?).ok()?;
    s.arch().isa().ok()?.leaves(start, &code)
}
