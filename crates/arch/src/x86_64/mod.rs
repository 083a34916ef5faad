//! x86-64: the facts are from the processor manuals (Intel SDM volume 3) and from the kernel's arch/x86.

pub mod frame;
pub mod insn;
pub mod kaslr;
pub mod layout;
pub mod paging;
pub mod ptregs;
pub mod regs;
pub mod slice;
#[cfg(test)]
mod testmem;
pub mod unwind;

use crate::{Arch, CpuState, RegSet};
use base::RawNote;

/// `EM_X86_64` of the ELF specification.
pub const EM_X86_64: u16 = 62;

/// The architecture.
#[derive(Debug)]
pub struct X86_64;

impl Arch for X86_64 {
    fn name(&self) -> &'static str {
        "x86_64"
    }
    fn is_machine(&self, e_machine: u16) -> bool {
        e_machine == EM_X86_64
    }
    fn reg_set(&self) -> &'static RegSet {
        &regs::SET
    }
    fn cpu_states(&self, notes: &[RawNote]) -> Vec<CpuState> {
        regs::cpu_states(notes)
    }
}
