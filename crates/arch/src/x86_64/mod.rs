//! x86-64: the facts are from the processor manuals (Intel SDM volume 3) and from the kernel's arch/x86.

mod boot;
mod entries;
mod frames;
mod insn;
mod isa;
mod layout;
mod leaves;
pub(crate) mod lift;
mod notes;
mod oops;
pub(crate) mod paging;
mod percpu;
mod ptregs;
mod references;
pub(crate) mod regs;
mod relocs;
mod shape;
mod stacks;
mod syscalls;
#[cfg(test)]
mod testmem;
mod traps;
mod unwind;

use crate::Arch;

/// `EM_X86_64` of the ELF specification.
const EM_X86_64: u16 = 62;

/// The architecture.
pub(crate) struct X86_64;

/// The record.
pub(crate) static ARCH: Arch = Arch {
    name: "x86_64",
    e_machine: EM_X86_64,
    regs: &X86_64,
    notes: &X86_64,
    boot: &X86_64,
    paging: &X86_64,
    layout: &X86_64,
    frames: &X86_64,
    stacks: Some(&X86_64),
    entries: Some(&X86_64),
    percpu: Some(&X86_64),
    references: Some(&X86_64),
    isa: Some(&X86_64),
    lift: Some(&X86_64),
    traps: Some(&X86_64),
    oops: Some(&X86_64),
    syscalls: Some(&X86_64),
    relocs: Some(&X86_64),
};
