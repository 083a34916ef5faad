//! What an architecture is: a record of capabilities.

pub(crate) mod boot;
pub mod capability;

use crate::{RegSet, kernel_name};
use base::VirtAddr;
use capability::{
    AddressLayout, CpuNotes, EntryCode, FindKernel, Frames, Isa, Lift, Nothing, OopsForm, PageTableKinds,
    PerCpu, References, Registers, Relocations, Stacks, Syscalls, Traps,
};

/// An architecture: a record of capabilities, each a small trait of [`capability`] and a file of its folder.
///
/// **The checklist.** One adds them in this order. What has to be there before a dump opens is a plain field; of the others
/// `None` stands for "not there yet", and all commands work as far as they can without ([`Self::missing`]).
///
/// | field | is | gives | without it |
/// |---|---|---|---|
/// | `regs` | registers, roles, how they print | registers by name everywhere | needed |
/// | `notes` | CPUs' registers in a dump's notes, a process's in a core | `bt` of running tasks, `gcore` | needed; it may find none |
/// | `boot` | evidence to a placed address space | a dump opens | needed |
/// | `paging` | levels, permissions, swap entries, page sizes | `vtop`, `rd` of any address | needed |
/// | `layout` | image, modules, direct map, `vmemmap` | symbols, `kmem`, what an address is | needed |
/// | `frames` | calls, returns, saved registers, switched-out tasks | `bt` | needed; most of it may be left out at first |
/// | `stacks` | interrupt and exception stacks | `bt` through interrupts | frames on them are not found |
/// | `entries` | entry code by name, functions in which CPUs end | frames before an interrupt, `bt` of stopped CPUs | a trace ends at the entry |
/// | `percpu` | registers with the base of the CPU's own variables | registers are held against the CPU | that check is left out |
/// | `references` | addresses that code names | variables of kernels whose table lacks them | those variables are not found |
/// | `isa` | instructions as text, which of them call and jump | `dis`, the loop of a CPU that hangs | `dis` says [`NotThere`], loops are not found |
/// | `lift` | what instructions do to registers and memory | conditions and operands of `verdict`, arguments of frames | `verdict` says [`NotThere`] |
/// | `traps` | how `BUG()` and `WARN()` are coded | the bug table where types lack | its entries are not read |
/// | `oops` | how reports look | place and stack of a report | they are not read from the log |
/// | `syscalls` | flags that differ | `O_DIRECT` | the usual bit |
/// | `relocs` | relocations of modules' files | types and lines of modules | such files' debug information is refused |
#[derive(Clone, Copy)]
pub struct Arch {
    /// As `uname -m` prints it.
    pub(crate) name: &'static str,
    /// Of its ELF files.
    pub(crate) e_machine: u16,
    /// Registers.
    pub regs: &'static dyn Registers,
    /// Notes with registers.
    pub notes: &'static dyn CpuNotes,
    /// Where kernels are.
    pub(crate) boot: &'static dyn FindKernel,
    /// Page tables.
    pub paging: &'static dyn PageTableKinds,
    /// The address space.
    pub layout: &'static dyn AddressLayout,
    /// Calls and returns.
    pub frames: &'static dyn Frames,
    /// Stacks of CPUs.
    pub(crate) stacks: Option<&'static dyn Stacks>,
    /// Entry code.
    pub(crate) entries: Option<&'static dyn EntryCode>,
    /// CPUs' own variables.
    pub(crate) percpu: Option<&'static dyn PerCpu>,
    /// What code names.
    pub(crate) references: Option<&'static dyn References>,
    /// Instructions as text.
    pub(crate) isa: Option<&'static dyn Isa>,
    /// Instructions for the data flow.
    pub(crate) lift: Option<&'static dyn Lift>,
    /// `BUG()` and `WARN()`.
    pub(crate) traps: Option<&'static dyn Traps>,
    /// Reports.
    pub(crate) oops: Option<&'static dyn OopsForm>,
    /// The system calls' constants.
    pub(crate) syscalls: Option<&'static dyn Syscalls>,
    /// Modules' files.
    pub(crate) relocs: Option<&'static dyn Relocations>,
}

/// A capability that an architecture may lack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Capability {
    /// Interrupt and exception stacks.
    Stacks,
    /// Entry code by name.
    Entries,
    /// The base of the CPU's own variables.
    PerCpu,
    /// Addresses that code names.
    References,
    /// Instructions as text.
    Isa,
    /// Instructions for the data flow.
    Lift,
    /// `BUG()` and `WARN()` in code.
    Traps,
    /// The form of reports.
    Oops,
    /// Constants of system calls.
    Syscalls,
    /// Relocations of modules' files.
    Relocs,
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stacks => "interrupt stacks",
            Self::Entries => "entry code",
            Self::PerCpu => "the base of per-CPU variables",
            Self::References => "variables that code names",
            Self::Isa => "instructions",
            Self::Lift => "values in code",
            Self::Traps => "BUG() and WARN() in code",
            Self::Oops => "the kernel's reports",
            Self::Syscalls => "constants of system calls",
            Self::Relocs => "relocations of module files",
        })
    }
}

/// What a machine's code would tell is not read yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotThere {
    /// `isa` is not there.
    #[error("instructions of {0} are not decoded yet")]
    Text(&'static str),
    /// `lift` is not there.
    #[error("values are not followed through the code of {0} yet")]
    Flow(&'static str),
}

/// Functions of every architecture in which a dying CPU ends, innermost first.
const STOP_CALLS: [&str; 4] = ["__crash_kexec", "crash_kexec", "vpanic", "panic"];

impl Arch {
    /// The name as `uname -m` prints it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
    /// The `e_machine` of its ELF files.
    #[must_use]
    pub const fn e_machine(&self) -> u16 {
        self.e_machine
    }
    /// True for the `e_machine` of an ELF file of this architecture.
    #[must_use]
    pub const fn is_machine(&self, e_machine: u16) -> bool {
        self.e_machine == e_machine
    }
    /// Its registers: [`Registers::set`].
    #[must_use]
    pub fn reg_set(&self) -> &'static RegSet {
        self.regs.set()
    }
    /// True for an address of the kernel's half: [`AddressLayout::is_kernel`].
    #[must_use]
    pub fn is_kernel(&self, at: VirtAddr) -> bool {
        self.layout.is_kernel(at)
    }

    /// Stacks of CPUs; none is known where that is not there.
    #[must_use]
    pub fn stacks(&self) -> &'static dyn Stacks {
        self.stacks.unwrap_or(&Nothing)
    }
    /// Entry code; no function is, where that is not there.
    #[must_use]
    pub fn entries(&self) -> &'static dyn EntryCode {
        self.entries.unwrap_or(&Nothing)
    }
    /// CPUs' own variables; no base is known where that is not there.
    #[must_use]
    pub fn percpu(&self) -> &'static dyn PerCpu {
        self.percpu.unwrap_or(&Nothing)
    }
    /// What code names; nothing, where that is not there.
    #[must_use]
    pub fn references(&self) -> &'static dyn References {
        self.references.unwrap_or(&Nothing)
    }
    /// `BUG()` and `WARN()` in code; no code is, where that is not there.
    #[must_use]
    pub fn traps(&self) -> &'static dyn Traps {
        self.traps.unwrap_or(&Nothing)
    }
    /// Reports; no line is of one, where that is not there.
    #[must_use]
    pub fn oops(&self) -> &'static dyn OopsForm {
        self.oops.unwrap_or(&Nothing)
    }
    /// Constants of system calls; the usual ones, where that is not there.
    #[must_use]
    pub fn syscalls(&self) -> &'static dyn Syscalls {
        self.syscalls.unwrap_or(&Nothing)
    }
    /// Relocations; no type is known where that is not there.
    #[must_use]
    pub fn relocs(&self) -> &'static dyn Relocations {
        self.relocs.unwrap_or(&Nothing)
    }
    /// Instructions as text.
    ///
    /// # Errors
    /// They are not decoded yet.
    pub fn isa(&self) -> Result<&'static dyn Isa, NotThere> {
        self.isa.ok_or(NotThere::Text(kernel_name(self.name)))
    }
    /// Instructions for the data flow.
    ///
    /// # Errors
    /// What they do is not known yet.
    pub fn lift(&self) -> Result<&'static dyn Lift, NotThere> {
        self.lift.ok_or(NotThere::Flow(kernel_name(self.name)))
    }

    /// The capabilities that are not there yet.
    pub fn missing(&self) -> impl Iterator<Item = Capability> {
        use Capability::{Entries, Isa, Lift, Oops, PerCpu, References, Relocs, Stacks, Syscalls, Traps};
        let all = [
            (self.stacks.is_some(), Stacks),
            (self.entries.is_some(), Entries),
            (self.percpu.is_some(), PerCpu),
            (self.references.is_some(), References),
            (self.isa.is_some(), Isa),
            (self.lift.is_some(), Lift),
            (self.traps.is_some(), Traps),
            (self.oops.is_some(), Oops),
            (self.syscalls.is_some(), Syscalls),
            (self.relocs.is_some(), Relocs),
        ];
        all.into_iter().filter(|(there, _)| !there).map(|(_, capability)| capability)
    }

    /// Functions in which a CPU ends that dies or is stopped: those of the architecture, then those of all. Innermost first: none
    /// calls one that comes behind it.
    pub fn stop_calls(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.entries().stop_calls().iter().copied().chain(STOP_CALLS)
    }
}

impl std::fmt::Debug for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arch({})", self.name)
    }
}

impl PartialEq for Arch {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Arch {}
