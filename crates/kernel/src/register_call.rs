//! Whether a program counter is in the function that the stack says was called. The return address on top of the stack
//! lies behind a call; where that call names its function, the code that runs is of that function, of one that it jumps to,
//! or of a part of it that lies elsewhere. A program counter in other code is not the CPU's.

use crate::backtrace::SessionCode;
use crate::register_fit::Doubt;
use crate::session::Session;
use arch::Insn;
use base::VirtAddr;
use unwind::{Code, Frame, How, Unwinder, Unwound};

/// Functions that are followed from the one that was called.
const MAX_FUNCTIONS: usize = 64;
/// Bytes of them that are decoded in all.
const MAX_BYTES: u64 = 64 << 10;

/// Instructions behind which code does not go on; a call that ends a function does not return.
const ENDS: [&str; 6] = ["jmp", "ret", "iret", "int3", "hlt", "call"];

/// What the stack has against the registers that these frames begin with; `None` where it bears them out, and where nothing
/// tells.
pub(crate) fn contradicted(s: &Session, cpu: u32, u: &Unwinder<'_>, frames: &Unwound) -> Option<Doubt> {
    let (first, caller) = (frames.frames.first()?, frames.frames.get(1)?);
    let code = SessionCode { session: s, at_hand: true };
    // code without tables is unwound by guesses, which prove nothing
    if first.how != How::Start
        || first.saved.is_some()
        || caller.saved.is_some()
        || code.orc(first.pc).is_none()
    {
        return None;
    }
    if caller.how == How::Scan {
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
    let Some(target) = s.arch().call_target(s.mem(), caller.pc) else { return true };
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
        let Some(jumps) = jumps(s, at, span).filter(|_| bytes < MAX_BYTES) else { return true };
        for to in jumps {
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

/// Where the code of a function goes on outside of it; `None` where that is not known: by pointers, or as it cannot be
/// decoded.
fn jumps(s: &Session, start: VirtAddr, span: u64) -> Option<Vec<VirtAddr>> {
    let mut decoder = s.arch().disassembler()?;
    let code = s.mem().bytes(start, usize::try_from(span.min(MAX_BYTES)).ok()?).ok()?;
    let mut out = Vec::new();
    let (mut at, mut ends) = (0, false);
    let mut writes_return = false;
    while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
        let insn = decoder.one(start.add(at as u64), rest)?;
        if writes_return && goes_back(&insn, start, span) {
            // a call by pointer through a thunk: it returns to where the pointer leads (arch/x86/lib/retpoline.S)
            return None;
        }
        writes_return = insn.text.starts_with("mov ") && insn.text.ends_with(",(%rsp)");
        if insn.text.starts_with('j') {
            let to = insn.target.filter(|_| !insn.is_data)?;
            if to < start || to >= start.add(span) {
                out.push(to);
            }
        }
        // what pads a function is no part of it
        if !insn.is_nop {
            ends = insn.is_trap || ENDS.iter().any(|end| insn.text.starts_with(end));
        }
        at = at.checked_add(insn.len.max(1))?;
    }
    // assembly goes on from one label to the next
    if !ends {
        out.push(start.add(span));
    }
    Some(out)
}

/// Whether the function ends with this instruction: it returns, by itself or by the code that all functions return through.
fn goes_back(insn: &Insn, start: VirtAddr, span: u64) -> bool {
    let outside = |to: VirtAddr| to < start || to >= start.add(span);
    insn.text.starts_with("ret") || insn.text.starts_with("jmp") && insn.target.is_some_and(outside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use testkit::kernel::Kernel;

    /// `call 1f; pause; lfence; 1: mov %rax,(%rsp)` and what returns.
    #[test]
    fn a_thunk_leads_wherever_a_pointer_does() {
        const THUNK: [u8; 16] =
            [0xe8, 7, 0, 0, 0, 0xf3, 0x90, 0x0f, 0xae, 0xe8, 0xeb, 0xf9, 0x48, 0x89, 0x04, 0x24];
        // push %rax; mov %rax,(%rsp); pop %rax; ret
        const SPILLS: [u8; 7] = [0x50, 0x48, 0x89, 0x04, 0x24, 0x58, 0xc3];
        let far = [0xe9, 0, 1, 0, 0];
        let mut k = Kernel::new();
        let (at, spills) = (k.function("thunk", 0x40), k.function("spills", 0x80));
        k.put(at, &THUNK).put(at + 16, &[0xc3]).put(spills, &SPILLS);
        let of = |k: &Kernel, at, len| jumps(&session(k), VirtAddr(at), len);
        assert_eq!(of(&k, at, 17), None);
        assert_eq!(of(&k, spills, 7), Some(vec![]));
        k.put(at + 16, &far);
        assert_eq!(of(&k, at, 21), None, "code that all functions return through");
    }
}
