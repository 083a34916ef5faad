//! What differs from one processor to the next: registers and the notes that carry them, page tables, where a
//! kernel's image lies, how registers are saved on a stack.
//!
//! One folder an architecture, with the same file names in each, and a line in [`ARCHES`].
//!
//! **Invariant:** this crate sees no dump format; notes arrive undecoded and memory through `PhysRead`.

#[cfg(feature = "arm64")]
mod arm64;
mod boot;
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

pub use boot::{Boot, BootError, Evidence, Found, How};
pub use frame::{FrameShape, Kept, Prologue, Resume, SavedLayout};
pub use insn::{Disassemble, Insn};
pub use machine::{BANNER, Claim, NameSearch, OwnName, banners, claims, kernel_name};
pub use regs::{Control, CpuState, MAX_REGS, RegSet, Regs, Roles, ShownReg};
pub use space::{Entry, KernelMap, Level, Linear, PageTables, Paging, Step, Translation, UserMap, Walk};

use base::{Fault, PhysAddr, PhysRead, RawNote, VirtAddr, VirtRead, VmcoreInfo};

/// Asks whether code lies at an address.
pub type IsText<'a> = &'a dyn Fn(VirtAddr) -> bool;

/// An architecture.
pub trait Arch: Send + Sync + std::fmt::Debug {
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
    /// The name of the low `size` bytes of a register, as instructions have it.
    fn part_name(&self, number: usize, size: u64) -> String;
    /// The CPUs' registers from the notes of a dump, in the order of the notes.
    fn cpu_states(&self, notes: &[RawNote]) -> Vec<CpuState>;
    /// The same CPUs' registers in the notes of a second kind, where the dump's writer wrote both, in their order.
    fn second_states(&self, _notes: &[RawNote]) -> Vec<CpuState> {
        Vec::new()
    }
    /// True for what a CPU has after a reset, before any kernel runs on it.
    fn is_reset(&self, _state: &CpuState) -> bool {
        false
    }
    /// What may be the base of the CPU's own copies of per-CPU variables: the registers that the kernel keeps it in.
    fn per_cpu_bases(&self, _state: &CpuState) -> [Option<u64>; 2] {
        [None; 2]
    }
    /// The page tables that the CPU used, where the note tells; `kernel` are this kernel's own.
    fn tables_of(&self, _state: &CpuState, _kernel: &PageTables) -> Option<PageTables> {
        None
    }

    /// Where VMCOREINFO places the kernel, not yet held against memory. `header` is how far the image's virtual addresses lie
    /// above the physical ones by the dump's own headers, where they say so.
    fn by_vmcoreinfo(&self, info: &VmcoreInfo, header: Option<u64>, phys: &dyn PhysRead) -> Option<Boot>;
    /// The page tables that a CPU was using, in every way that its registers can be read, and the register that tells them;
    /// none where the notes have no such register.
    fn tables_used(&self, _state: &CpuState, _phys: &dyn PhysRead) -> Vec<(&'static str, PageTables)> {
        Vec::new()
    }
    /// How far virtual addresses of the kernel's image that these tables map lie above the physical ones: costs a few reads.
    fn image_offset(&self, _tables: &PageTables, _phys: &dyn PhysRead) -> Option<u64> {
        None
    }
    /// The kernel whose image these tables map, confirmed by its banner.
    fn kernel_in(&self, _tables: PageTables, _phys: &dyn PhysRead) -> Option<Boot> {
        None
    }
    /// The kernel whose topmost page table is this page of 4 KiB, or begins with it.
    fn kernel_at(&self, at: PhysAddr, page: &[u8], phys: &dyn PhysRead) -> Option<Boot>;
    /// Alignment of the kernel's image.
    fn image_align(&self) -> u64;
    /// True where the image may be mapped from `_stext` on, and not from `_text`.
    fn may_begin_at_stext(&self) -> bool {
        false
    }
    /// The number in which its kernel keeps where the image lies.
    fn image_place(&self, image: &Linear) -> ImagePlace;
    /// The addresses at which an image begins that is linked as usual, where there are such: releases differ. `info` are the kernel's own words.
    fn usual_texts(&self, _info: &VmcoreInfo, _paging: &Paging) -> Vec<VirtAddr> {
        Vec::new()
    }
    /// Where the image was linked to begin, as the boot loader read it.
    fn text_by_loader(
        &self,
        _mem: &dyn VirtRead,
        _symbol: &dyn Fn(&str) -> Option<VirtAddr>,
    ) -> Option<VirtAddr> {
        None
    }

    /// `struct pt_regs`: what entries into the kernel save.
    fn saved_layout(&self) -> SavedLayout;
    /// All registers saved at `at`.
    fn saved(&self, mem: &dyn VirtRead, at: VirtAddr) -> Result<Regs, Fault>;
    /// What the processor itself saved in the structure at `at`, the others being as they were `before`.
    fn interrupted(&self, mem: &dyn VirtRead, at: VirtAddr, before: &Regs) -> Result<Regs, Fault>;
    /// True when saved registers are of user mode.
    fn is_user(&self, regs: &Regs) -> bool;
    /// True when an entry can have saved these.
    fn can_be_saved(&self, regs: &Regs) -> bool;
    /// The lowest structure of saved registers that begins in the `words` words from `at` on.
    fn find_saved(
        &self,
        mem: &dyn VirtRead,
        at: VirtAddr,
        words: u64,
        is_text: IsText<'_>,
    ) -> Option<VirtAddr>;

    /// The place that an oops prints of the instruction that it is about, where a line of it has it.
    fn oops_pc<'t>(&self, line: &'t str) -> Option<&'t str>;
    /// The stack pointer that an oops prints, where a line of it has it.
    fn oops_sp<'t>(&self, line: &'t str) -> Option<&'t str>;
    /// The stack of interrupts, by what the kernel's variable of each CPU points to; `task_stack` is the size of a task's.
    fn irq_stack(&self, pointer: VirtAddr, task_stack: u64) -> std::ops::Range<VirtAddr>;
    /// The same where it begins at `start`, in the variable `irq_stack_union` of each CPU.
    fn irq_stack_from(&self, _start: VirtAddr) -> Option<std::ops::Range<VirtAddr>> {
        None
    }
    /// Whether each CPU has stacks of its own for exceptions that must not trust the others.
    fn has_exception_stacks(&self) -> bool {
        false
    }

    /// What enters the kernel at this function; `None` where it is none of the entry code.
    fn entry(&self, function: &str) -> Option<EntryKind>;
    /// True for a function in whose frame registers are saved because of an interrupt.
    fn saves_for_interrupt(&self, function: &str) -> bool {
        self.entry(function).is_some_and(EntryKind::is_interrupt)
    }
    /// The registers that an entry saved, where the frame pointer is at the record that the entry keeps beside them.
    fn saved_at_record(&self, _mem: &dyn VirtRead, _fp: VirtAddr) -> Option<VirtAddr> {
        None
    }
    /// An address of code without the authentication code above the bits of an address.
    fn code_pointer(&self, at: u64, _paging: &Paging) -> u64 {
        at
    }

    /// True where code begins with the instruction that `BUG()` and `WARN()` trap by.
    fn is_bug_trap(&self, code: &[u8]) -> bool;
    /// True when the instruction that ends at `at` is a call, so that `at` can be a return address.
    fn follows_call(&self, mem: &dyn VirtRead, at: VirtAddr) -> bool;
    /// Bytes of the longest instruction that calls.
    fn longest_call(&self) -> u64;
    /// The function that the direct call which ends at `at` calls.
    fn call_target(&self, mem: &dyn VirtRead, at: VirtAddr) -> Option<VirtAddr>;
    /// Where the code of a function, all of it, goes on outside of it: jumps, and the code behind its end. `None` where that
    /// is not known: it goes on by pointers, or is not decoded.
    fn leaves(&self, _start: VirtAddr, _code: &[u8]) -> Option<Vec<VirtAddr>> {
        None
    }
    /// The addresses that code at `start` names by itself, in its order: variables that it uses, whatever index it adds.
    fn referenced(&self, start: VirtAddr, code: &[u8]) -> Vec<VirtAddr>;
    /// How the code at `pc` of the function at `start` stands to its frame pointer.
    fn prologue(&self, mem: &dyn VirtRead, start: VirtAddr, pc: VirtAddr) -> Prologue;
    /// The frame at the instruction that contains `at`. `parts` are the function's pieces with their addresses:
    /// the first begins with its entry, a second one (`.cold`) is jumped into from the first.
    fn frame_shape(&self, parts: &[(u64, &[u8])], at: u64) -> Option<FrameShape>;

    /// The registers that the switch away from a task left, from its saved stack pointer. `legacy` is where a
    /// kernel goes on whose switch kept no return address ([`Arch::after_switch`]).
    fn sleeping(
        &self,
        mem: &dyn VirtRead,
        sp: VirtAddr,
        legacy: &dyn Fn() -> Option<VirtAddr>,
        is_text: IsText<'_>,
        function: &dyn Fn(VirtAddr) -> Option<VirtAddr>,
    ) -> Option<Resume>;
    /// Where such a kernel goes on, in the scheduler's `code` at `start` that calls `switch_to`.
    fn after_switch(&self, start: VirtAddr, code: &[u8], switch_to: VirtAddr) -> Option<VirtAddr>;

    /// Where the memory of its machines begins, where that is not address 0 as a rule; the usual one first.
    fn memory_begins(&self) -> &'static [u64] {
        &[]
    }
    /// True for an address of the kernel's half.
    fn is_kernel(&self, at: VirtAddr) -> bool;
    /// Where the kernel's image and its modules are mapped: first address, first behind the image at the latest, first behind
    /// the modules. They may lie in one range.
    fn image_range(&self) -> [VirtAddr; 3];
    /// Where the direct map begins when it is not randomised, the newest first; none where no address is fixed.
    fn direct_map_bases(&self) -> &'static [u64];
    /// Where vmalloc's range begins when it is not randomised, and its bytes, with page tables of so many levels; `None`
    /// where it has the whole of [`Arch::image_range`], with the image and the modules in it.
    fn vmalloc_range(&self, _levels: usize) -> Option<(VirtAddr, u64)> {
        None
    }
    /// The first address behind the user's half.
    fn user_end(&self, tables: &PageTables) -> VirtAddr;
    /// Where the array of `struct page` begins in kernels that have no variable for it, where all have it at one address.
    fn vmemmap(&self) -> Option<VirtAddr> {
        None
    }
    /// The same where VMCOREINFO tells it.
    fn vmemmap_told(&self, _info: &VmcoreInfo, _paging: &Paging) -> Option<VirtAddr> {
        None
    }
    /// Where all memory is mapped in one piece, where VMCOREINFO tells it.
    fn linear_map(&self, _info: &VmcoreInfo) -> Option<Linear> {
        None
    }
    /// The shapes that its page tables can have.
    fn paging(&self) -> &'static [&'static Paging];
    /// Whether code can run in a page, by the entry that maps it.
    fn may_run(&self, entry: u64) -> bool;
    /// The parts of an entry of these page tables, as of the level that maps single pages.
    fn pte(&self, entry: u64, tables: &PageTables) -> Pte;
    /// What the swap type and offset of an entry that is not present may be, by all the ways in which kernels packed them;
    /// none where it is no swap entry.
    fn swap_entries(&self, _entry: u64) -> Vec<(u64, u64)> {
        Vec::new()
    }

    /// `O_DIRECT`, which is not the same bit everywhere (include/uapi/asm-generic/fcntl.h).
    fn o_direct(&self) -> u64 {
        0o40_000
    }

    /// The instructions of a function's parts for the data flow, each part with its address, the first beginning with the
    /// entry; `None` where they are not decoded yet.
    fn lift(&self, _parts: &[(u64, &[u8])], _known: &dataflow::Known<'_>) -> Option<dataflow::Function> {
        None
    }
    /// Instructions as text; `None` where they are not decoded yet.
    fn disassembler(&self) -> Option<Box<dyn Disassemble>>;
}

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

impl PartialEq for dyn Arch {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}
impl Eq for dyn Arch {}

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
pub const ARCHES: &[&dyn Arch] = &[
    #[cfg(feature = "x86_64")]
    &x86_64::X86_64,
    #[cfg(feature = "arm64")]
    &arm64::Arm64,
];

/// The architecture by the name that `uname -m` gives it; `None` for one that is not read, or not by this build.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Arch> {
    ARCHES.iter().copied().find(|a| a.name() == name)
}

/// The names of all architectures that crashlens has code for, as `uname -m` gives them.
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
            let _ = arch.cpu_states(std::slice::from_ref(&note));
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
        assert!(by_name("riscv64").is_none() && !is_left_out("riscv64"));
    }
}
