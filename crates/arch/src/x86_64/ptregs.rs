//! `struct pt_regs` (arch/x86/include/asm/ptrace.h): the registers as an entry into the kernel saves them on
//! the stack: r15 at offset 0 ... rdi, orig_rax, then what the processor pushed: rip, cs, eflags, rsp, ss.

use super::regs::{CS, RIP, SET, USER_REGS};
use crate::Regs;
use base::{Fault, VirtAddr, VirtRead};

/// `sizeof(struct pt_regs)`.
pub const SIZE: u64 = 21 * 8;
/// Offset of `ip`, the first word of what the processor itself pushed (the "iret frame").
pub const IRET: u64 = 16 * 8;
/// Length of the iret frame.
pub const IRET_SIZE: u64 = 5 * 8;

/// All registers saved at `at`.
pub fn read(mem: &dyn VirtRead, at: VirtAddr) -> Result<Regs, Fault> {
    read_words(mem, at, 0)
}

/// Only the iret frame, where the rest of the structure is not filled in: `at` is where the whole structure
/// would begin.
pub fn read_iret(mem: &dyn VirtRead, at: VirtAddr) -> Result<Regs, Fault> {
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
#[must_use]
pub fn is_user(regs: &Regs) -> bool {
    regs.get(CS).is_some_and(|cs| cs & 3 == 3)
}

/// True when a saved iret frame looks like kernel mode: the kernel's code selector (`__KERNEL_CS`, 0x10).
#[must_use]
pub fn is_kernel(regs: &Regs) -> bool {
    regs.get(CS) == Some(0x10) && regs.get(RIP).is_some_and(|pc| pc >> 63 != 0)
}
