//! `struct pt_regs` (arch/x86/include/asm/ptrace.h): the registers as an entry into the kernel saves them on
//! the stack: r15 at offset 0 ... rdi, orig_rax, then what the processor pushed: rip, cs, eflags, rsp, ss.

use super::regs::{CS, RFLAGS, RIP, RSP, SET, SS, USER_REGS};
use crate::Regs;
use base::{Fault, VirtAddr, VirtRead};

/// `sizeof(struct pt_regs)`.
pub(crate) const SIZE: u64 = 21 * 8;
/// Offset of `ip`, the first word of what the processor itself pushed (the "iret frame").
pub(crate) const IRET: u64 = 16 * 8;

/// All registers saved at `at`.
pub(crate) fn read(mem: &dyn VirtRead, at: VirtAddr) -> Result<Regs, Fault> {
    read_words(mem, at, 0)
}

/// Only the iret frame, where the rest of the structure is not filled in: `at` is where the whole structure
/// would begin.
pub(crate) fn read_iret(mem: &dyn VirtRead, at: VirtAddr) -> Result<Regs, Fault> {
    read_words(mem, at, 16)
}

fn read_words(mem: &dyn VirtRead, at: VirtAddr, from: usize) -> Result<Regs, Fault> {
    let mut bytes = [0; SIZE as usize];
    let skip = from * 8;
    if let Some(part) = bytes.get_mut(skip..) {
        mem.read(at.add(skip as u64), part)?;
    }
    let mut regs = Regs::new(&SET);
    let words = bytes.chunks_exact(8).map(|w| w.try_into().map(u64::from_le_bytes).unwrap_or_default());
    for (word, number) in words.zip(USER_REGS).skip(from) {
        regs.set(number, word);
    }
    Ok(regs)
}

/// True when the saved registers are of user mode (privilege level 3).
pub(crate) fn is_user(regs: &Regs) -> bool {
    regs.get(CS).is_some_and(|cs| cs & 3 == 3)
}

/// True when saved registers can have been: of user mode or of the kernel's own privilege level, with flags that
/// the processor can have (bit 1 always, none from 22 on).
pub(crate) fn is_possible(regs: &Regs) -> bool {
    let privilege = regs.get(CS).map(|cs| cs & 3);
    let flags = regs.get(RFLAGS).is_some_and(|flags| flags & 2 != 0 && flags >> 22 == 0);
    flags && (privilege == Some(3) || privilege == Some(0))
}

/// What the processor itself saved, over the registers that were not saved yet and are still as they were.
pub(crate) fn interrupted(mem: &dyn VirtRead, at: VirtAddr, before: &Regs) -> Result<Regs, Fault> {
    let iret = read_iret(mem, at)?;
    let mut regs = *before;
    for number in [RIP, CS, RFLAGS, RSP, SS] {
        regs.put(number, iret.get(number));
    }
    Ok(regs)
}
