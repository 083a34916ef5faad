//! Where a function's code goes on outside of it.

use super::insn::Disassembler;
use crate::{Disassemble, Insn, InsnKind};
use base::VirtAddr;

/// Instructions behind which code does not go on; a call that ends a function does not return.
const ENDS: [&str; 6] = ["jmp", "ret", "iret", "int3", "hlt", "call"];

/// Where the code of a function goes on outside of it; `None` where that is not known: by pointers, or as it cannot be
/// decoded.
pub(crate) fn leaves(start: VirtAddr, code: &[u8]) -> Option<Vec<VirtAddr>> {
    let mut decoder = Disassembler::new();
    let span = code.len() as u64;
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
        if insn.kind != InsnKind::Nop {
            ends = insn.kind == InsnKind::Trap || ENDS.iter().any(|end| insn.text.starts_with(end));
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

    /// `call 1f; pause; lfence; 1: mov %rax,(%rsp)` and what returns.
    #[test]
    fn a_thunk_leads_wherever_a_pointer_does() {
        const THUNK: [u8; 16] =
            [0xe8, 7, 0, 0, 0, 0xf3, 0x90, 0x0f, 0xae, 0xe8, 0xeb, 0xf9, 0x48, 0x89, 0x04, 0x24];
        // push %rax; mov %rax,(%rsp); pop %rax; ret
        const SPILLS: [u8; 7] = [0x50, 0x48, 0x89, 0x04, 0x24, 0x58, 0xc3];
        let of = |code: &[u8]| leaves(VirtAddr(0xffff_ffff_8100_0040), code);
        assert_eq!(of(&[&THUNK[..], &[0xc3]].concat()), None);
        assert_eq!(of(&SPILLS), Some(vec![]));
        let far = [&THUNK[..], &[0xe9, 0, 1, 0, 0]].concat();
        assert_eq!(of(&far), None, "code that all functions return through");
    }
}
