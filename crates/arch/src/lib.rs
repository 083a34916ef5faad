//! What differs from one processor to the next: registers and the notes that carry them, page tables, where a
//! kernel's image lies, how registers are saved on a stack.
//!
//! One folder an architecture, with the same file names in each, and a line in [`ARCHES`]. [`Arch`] is a record of
//! capabilities, with a checklist.
//!
//! **Invariant:** this crate sees no dump format; notes arrive undecoded and memory through `PhysRead`.

mod architecture;
#[cfg(feature = "arm64")]
mod arm64;
// with no architecture that lifts its code nobody makes a function
#[cfg_attr(not(feature = "x86_64"), expect(dead_code, reason = "what only lifted code needs"))]
pub mod dataflow;
mod frame;
mod insn;
mod machine;
mod regs;
mod space;
#[cfg(feature = "x86_64")]
mod x86_64;

pub(crate) use architecture::boot;
pub use architecture::boot::{Boot, BootError, Evidence, Found, How};
pub use architecture::{Arch, Capability, NotThere, capability};
pub use frame::{FrameShape, Kept, Prologue, Resume, SavedLayout};
pub use insn::{Disassemble, Insn, InsnKind};
pub use machine::{BANNER, Claim, NameSearch, OwnName, banners, claims, is_machine, kernel_name};
pub use regs::{Control, CpuState, MAX_REGS, RegSet, Regs, Roles, ShownReg};
pub use space::{Entry, KernelMap, Level, Linear, PageTables, Paging, Step, Translation, UserMap, Walk};

use base::{RawNote, VirtAddr};

/// Asks whether code lies at an address.
pub type IsText<'a> = &'a dyn Fn(VirtAddr) -> bool;

/// What the kernel is entered by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// An interrupt of a device, a timer or another CPU.
    Interrupt,
    /// An interrupt that nothing holds off.
    NonMaskable,
    /// The hardware found itself broken.
    MachineCheck,
    /// The interrupt by which another CPU stops this one for good.
    Stop,
    /// An exception or a system call, or a function that the entry code calls first.
    Other,
}

impl EntryKind {
    /// True for all that comes upon code by chance.
    #[must_use]
    pub fn is_interrupt(self) -> bool {
        self != Self::Other
    }
}

/// A stack and its name.
pub type NamedStack = (&'static str, std::ops::Range<VirtAddr>);

/// Where a kernel tells of a CPU's stacks for exceptions.
#[derive(Clone, Copy, Debug)]
pub enum StackSource {
    /// They are members of the struct that a variable of each CPU points to.
    Members {
        /// The variable.
        pointer: &'static str,
        /// The struct's name.
        of: &'static str,
        /// The stacks' names, and the members that they are.
        stacks: &'static [(&'static str, &'static str)],
    },
    /// A variable of each CPU is a table of the stacks' upper ends.
    Tops {
        /// The variable.
        table: &'static str,
        /// How many there are at most.
        count: u64,
        /// The stacks below these ends.
        stacks: fn(&[VirtAddr]) -> Vec<NamedStack>,
    },
}

/// The table of where exceptions and interrupts enter the kernel.
#[derive(Clone, Copy, Debug)]
pub struct GateTable {
    /// The kernel's variable.
    pub symbol: &'static str,
    /// Bytes of an entry.
    pub entry_size: u64,
    /// How many entries there are.
    pub count: u64,
    /// The address in an entry; none in one that is not set.
    pub target: fn(&[u8]) -> Option<VirtAddr>,
}

/// What a relocation writes, of `S`, what it refers to, `A`, its addend, and `P`, its own place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelocatedField {
    /// Nothing.
    None,
    /// `S + A`, in so many bytes.
    Sum(usize),
    /// `S + A - P`, in so many bytes.
    Distance(usize),
}

/// The number in which a kernel keeps where its image lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImagePlace {
    /// `PHYS BASE`: how `info` heads it.
    pub label: &'static str,
    /// `phys_base`: the kernel's variable.
    pub key: &'static str,
    /// What it holds, of 64 bits with or without a sign.
    pub value: i128,
}

/// The parts of a page table entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pte {
    /// The kernel takes it as there, present bit or not.
    pub mapped: bool,
    /// Physical address of the page.
    pub phys: u64,
    /// Names of the flags that are set, as crash has them.
    pub flags: Vec<&'static str>,
}

/// Every architecture that this build reads.
pub static ARCHES: &[&Arch] = &[
    #[cfg(feature = "x86_64")]
    &x86_64::ARCH,
    #[cfg(feature = "arm64")]
    &arm64::ARCH,
];

/// How reports look on each of them: a log alone does not say of which machine it is.
pub fn oops_forms() -> impl Iterator<Item = &'static dyn capability::OopsForm> {
    ARCHES.iter().map(|arch| arch.oops())
}

/// The architecture by the name that `uname -m` gives it; `None` for one that is not read, or not by this build.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Arch> {
    ARCHES.iter().copied().find(|a| a.name() == name)
}

/// The architecture of ELF files of this `e_machine`.
#[must_use]
pub fn by_machine(e_machine: u16) -> Option<&'static Arch> {
    ARCHES.iter().copied().find(|a| a.e_machine == e_machine)
}

/// The names of all architectures that crashlens has code for, as `uname -m` gives them, whether this build has them or not.
const NAMES: [&str; 2] = ["x86_64", "aarch64"];

/// True for an architecture that crashlens has code for, but not in this build; by its kernel's name of it, or `uname`'s.
#[must_use]
pub fn is_left_out(machine: &str) -> bool {
    NAMES.iter().any(|name| [*name, kernel_name(name)].contains(&machine) && by_name(name).is_none())
}

/// Reads arbitrary bytes as the descriptors of CPU notes: the fuzz target of this parser.
#[doc(hidden)]
pub fn fuzz_notes(data: &[u8]) {
    for (name, kind) in [("CORE", 1), ("QEMU", 0)] {
        let note = RawNote { name: name.as_bytes().to_vec(), kind, desc: data.to_vec() };
        for arch in ARCHES {
            let _ = arch.notes.cpu_states(std::slice::from_ref(&note));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_told_from_what_is_not() {
        for (name, kernel, built) in
            [("x86_64", "x86_64", cfg!(feature = "x86_64")), ("aarch64", "arm64", cfg!(feature = "arm64"))]
        {
            assert_eq!(by_name(name).is_some(), built, "{name}");
            assert_eq!((is_left_out(name), is_left_out(kernel)), (!built, !built), "{name}");
        }
        assert!(ARCHES.iter().all(|arch| NAMES.contains(&arch.name())), "a name that NAMES lacks");
        assert!(by_name("riscv64").is_none() && !is_left_out("riscv64"));
    }
}
