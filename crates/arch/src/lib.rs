//! What differs from one processor to the next: registers and the notes that carry them, page tables, where a
//! kernel's image lies, how registers are saved on a stack.
//!
//! One folder an architecture, with the same file names in each, and a line in [`ARCHES`].
//!
//! **Invariant:** this crate sees no dump format; notes arrive undecoded and memory through `PhysRead`.

mod regs;
pub mod x86_64;

pub use regs::{Control, CpuState, MAX_REGS, RegSet, Regs};
pub use x86_64::kaslr::{Boot, BootError, How};
pub use x86_64::paging::{KernelMap, PageTables, Step, Translation, UserMap, Walk};

use base::RawNote;

/// An architecture.
pub trait Arch: Send + Sync {
    /// The name as `uname -m` prints it.
    fn name(&self) -> &'static str;
    /// True for the `e_machine` of an ELF file of this architecture.
    fn is_machine(&self, e_machine: u16) -> bool;
    /// Its registers.
    fn reg_set(&self) -> &'static RegSet;
    /// The name of a register, by DWARF number or own number of an extra.
    fn reg_name(&self, number: usize) -> Option<&'static str> {
        self.reg_set().name(number)
    }
    /// The number of a register, by name.
    fn reg_number(&self, name: &str) -> Option<usize> {
        self.reg_set().number(name)
    }
    /// The CPUs' registers from the notes of a dump, in the order of the notes.
    fn cpu_states(&self, notes: &[RawNote]) -> Vec<CpuState>;
}

/// Every architecture that crashlens reads.
pub const ARCHES: &[&dyn Arch] = &[&x86_64::X86_64];

/// The architecture of an ELF file's `e_machine`.
#[must_use]
pub fn by_machine(e_machine: u16) -> Option<&'static dyn Arch> {
    ARCHES.iter().copied().find(|a| a.is_machine(e_machine))
}

/// The architecture by the name that `uname -m` gives it.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Arch> {
    ARCHES.iter().copied().find(|a| a.name() == name)
}

/// Reads arbitrary bytes as the descriptors of CPU notes: the fuzz target of this parser.
#[doc(hidden)]
pub fn fuzz_notes(data: &[u8]) {
    for (name, kind) in [("CORE", 1), ("QEMU", 0)] {
        let note = RawNote { name: name.as_bytes().to_vec(), kind, desc: data.to_vec() };
        for arch in ARCHES {
            let _ = arch.cpu_states(std::slice::from_ref(&note));
        }
    }
}
