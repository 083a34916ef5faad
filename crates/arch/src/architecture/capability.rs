//! The capabilities of an architecture, each a small trait. [`crate::Arch`] has the checklist: the order, and what each gives.
//!
//! What has a default may be left out: the default is what is said of a machine of which that is not known.

use crate::dataflow::{Function, Known, Mem};
use crate::frame::{FrameShape, Prologue, Resume, SavedLayout};
use crate::regs::{CpuState, RegSet, Regs};
use crate::space::{Linear, PageTables, Paging};
use crate::{Boot, Disassemble, EntryKind, GateTable, ImagePlace, IsText, Pte, RelocatedField, StackSource};
use base::{Fault, PhysAddr, PhysRead, RawNote, VirtAddr, VirtRead, VmcoreInfo};
use std::ops::Range;

/// `regs`: the registers, their roles and how they print.
pub trait Registers: Send + Sync {
    /// Its registers.
    fn set(&self) -> &'static RegSet;
    /// The name of the low `size` bytes of a register, as instructions have it.
    fn part_name(&self, number: usize, size: u64) -> String;
    /// A memory operand as its assembler writes it.
    fn memory_text(&self, operand: &Mem) -> String;
}

/// `notes`: the registers that a dump says its CPUs had.
pub trait CpuNotes: Send + Sync {
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
    /// The page tables that the CPU used, where the note tells; `kernel` are this kernel's own.
    fn tables_of(&self, _state: &CpuState, _kernel: &PageTables) -> Option<PageTables> {
        None
    }
    /// The registers that `NT_PRSTATUS` of a process has, in its order.
    fn general(&self) -> Vec<usize>;
    /// Registers of user mode that entries do not save, and where in `task_struct` the switch away from a task keeps each: the
    /// member's names over the years.
    fn kept_by_switch(&self) -> &'static [(usize, &'static [&'static str])] {
        &[]
    }
    /// True for registers of a 32-bit program, whose cores are other files.
    fn is_narrow(&self, _regs: &Regs) -> bool {
        false
    }
    /// Takes away what a member of `task_struct` does not hold after all.
    fn settle(&self, _regs: &mut Regs) {}
    /// System calls that did not save all registers.
    fn short_calls(&self) -> ShortCalls {
        ShortCalls::default()
    }
    /// How many bytes of a thread's floating point state [`CpuNotes::floating`] wants; 0 where it does not know them.
    fn floating_len(&self) -> usize {
        0
    }
    /// `NT_PRFPREG` of a process, by the beginning of what the kernel keeps of a thread's floating point state. `features` are
    /// the words in which the kernel counts what its processor can.
    fn floating(&self, _kept: &[u8], _features: &[u32]) -> Option<Vec<u8>> {
        None
    }
}

/// What a way into the kernel leaves in user mode's place, or nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShortCalls {
    /// Functions that only a kernel with this way has.
    pub functions: &'static [&'static str],
    /// The registers whose places in the saved ones hold what lay there before.
    pub unsaved: &'static [usize],
}

/// `boot`: from evidence to a kernel in its address space. [`crate::Boot`] has the order of the ways.
pub(crate) trait FindKernel: Send + Sync {
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
}

/// `paging`: the shapes of page tables, and what an entry says.
pub trait PageTableKinds: Send + Sync {
    /// The shapes that its page tables can have.
    fn modes(&self) -> &'static [&'static Paging];
    /// Whether code can run in a page, by the entry that maps it.
    fn may_run(&self, entry: u64) -> bool;
    /// The parts of an entry of these page tables, as of the level that maps single pages.
    fn pte(&self, entry: u64, tables: &PageTables) -> Pte;
    /// What the swap type and offset of an entry that is not present may be, by all the ways in which kernels packed them;
    /// none where it is no swap entry.
    fn swap_entries(&self, _entry: u64) -> Vec<(u64, u64)> {
        Vec::new()
    }
    /// The topmost table that the kernel keeps beside one for user mode, or the other way round (page table isolation).
    fn twin(&self, _root: PhysAddr) -> Option<PhysAddr> {
        None
    }
}

/// `layout`: where things lie in the address space, by symbols and VMCOREINFO where these tell.
pub trait AddressLayout: Send + Sync {
    /// True for an address of the kernel's half.
    fn is_kernel(&self, at: VirtAddr) -> bool;
    /// Where the kernel's image and its modules are mapped: first address, first behind the image at the latest, first behind
    /// the modules. They may lie in one range.
    fn image_range(&self) -> [VirtAddr; 3];
    /// Alignment of the kernel's image.
    fn image_align(&self) -> u64;
    /// True where the image may be mapped from `_stext` on, and not from `_text`.
    fn may_begin_at_stext(&self) -> bool {
        false
    }
    /// The number in which its kernel keeps where the image lies.
    fn image_place(&self, image: &Linear) -> ImagePlace;
    /// Where the memory of its machines begins, where that is not address 0 as a rule; the usual one first.
    fn memory_begins(&self) -> &'static [u64] {
        &[]
    }
    /// Where the direct map begins when it is not randomised, the newest first; none where no address is fixed.
    fn direct_map_bases(&self) -> &'static [u64] {
        &[]
    }
    /// Where vmalloc's range begins when it is not randomised, and its bytes, with page tables of so many levels; `None`
    /// where it has the whole of [`AddressLayout::image_range`], with the image and the modules in it.
    fn vmalloc_range(&self, _levels: usize) -> Option<(VirtAddr, u64)> {
        None
    }
    /// The first address behind the user's half.
    fn user_end(&self, tables: &PageTables) -> VirtAddr;
    /// Bits of a physical address within a section of memory (`SECTION_SIZE_BITS`), where all kernels have the same.
    fn section_bits(&self) -> Option<u32> {
        None
    }
    /// Where the array of `struct page` begins in kernels that have no variable for it, where all have it at one address.
    fn vmemmap(&self) -> Option<VirtAddr> {
        None
    }
    /// The same where VMCOREINFO tells it.
    fn vmemmap_of_info(&self, _info: &VmcoreInfo, _paging: &Paging) -> Option<VirtAddr> {
        None
    }
    /// Where all memory is mapped in one piece, where VMCOREINFO tells it.
    fn linear_map(&self, _info: &VmcoreInfo) -> Option<Linear> {
        None
    }
}

/// `frames`: how functions call and return, what entries save, where a task that does not run goes on.
pub trait Frames: Send + Sync {
    /// `struct pt_regs`: what entries into the kernel save.
    fn saved_layout(&self) -> SavedLayout;
    /// All registers saved at `at`.
    ///
    /// # Errors
    /// They are not in the dump.
    fn saved(&self, mem: &dyn VirtRead, at: VirtAddr) -> Result<Regs, Fault>;
    /// What the processor itself saved in the structure at `at`, the others being as they were `before`.
    ///
    /// # Errors
    /// It is not in the dump.
    fn interrupted(&self, mem: &dyn VirtRead, at: VirtAddr, before: &Regs) -> Result<Regs, Fault>;
    /// True when saved registers are of user mode.
    fn is_user(&self, regs: &Regs) -> bool;
    /// Whether interrupts were off, where the registers tell.
    fn interrupts_off(&self, regs: &Regs) -> Option<bool>;
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
    /// The registers that an entry saved, where the frame pointer is at the record that the entry keeps beside them.
    fn saved_at_record(&self, _mem: &dyn VirtRead, _fp: VirtAddr) -> Option<VirtAddr> {
        None
    }
    /// An address of code without the authentication code above the bits of an address.
    fn code_pointer(&self, at: u64, _paging: &Paging) -> u64 {
        at
    }
    /// True when the instruction that ends at `at` is a call, so that `at` can be a return address.
    fn follows_call(&self, mem: &dyn VirtRead, at: VirtAddr) -> bool;
    /// Bytes of the longest instruction that calls.
    fn longest_call(&self) -> u64;
    /// The function that the direct call which ends at `at` calls.
    fn call_target(&self, mem: &dyn VirtRead, at: VirtAddr) -> Option<VirtAddr>;
    /// Where a function goes on that begins at `at` and does nothing but jump to another: that one is given what it was given.
    fn jumps_to(&self, _mem: &dyn VirtRead, _at: VirtAddr) -> Option<VirtAddr> {
        None
    }
    /// How the code at `pc` of the function at `start` stands to its frame pointer.
    fn prologue(&self, _mem: &dyn VirtRead, _start: VirtAddr, _pc: VirtAddr) -> Prologue {
        Prologue::Absent
    }
    /// The frame at the instruction that contains `at`. `parts` are the function's pieces with their addresses:
    /// the first begins with its entry, a second one (`.cold`) is jumped into from the first.
    fn frame_shape(&self, _parts: &[(u64, &[u8])], _at: u64) -> Option<FrameShape> {
        None
    }
    /// The registers that the switch away from a task left, from its saved stack pointer. `legacy` is where a
    /// kernel goes on whose switch kept no return address ([`Frames::after_switch`]).
    fn sleeping(
        &self,
        mem: &dyn VirtRead,
        sp: VirtAddr,
        legacy: &dyn Fn() -> Option<VirtAddr>,
        is_text: IsText<'_>,
        function: &dyn Fn(VirtAddr) -> Option<VirtAddr>,
    ) -> Option<Resume>;
    /// Where such a kernel goes on, in the scheduler's `code` at `start` that calls `switch_to`.
    fn after_switch(&self, _start: VirtAddr, _code: &[u8], _switch_to: VirtAddr) -> Option<VirtAddr> {
        None
    }
}

/// `stacks`: the stacks that a CPU has besides its task's.
pub trait Stacks: Send + Sync {
    /// The stack of interrupts, by what the kernel's variable of each CPU points to; `task_stack` is the size of a task's.
    fn irq(&self, _pointer: VirtAddr, _task_stack: u64) -> Option<Range<VirtAddr>> {
        None
    }
    /// The same where it begins at `start`, in the variable `irq_stack_union` of each CPU.
    fn irq_from(&self, _start: VirtAddr) -> Option<Range<VirtAddr>> {
        None
    }
    /// Where the stacks are that exceptions have which must not trust the others; the first source that a kernel has counts.
    fn exceptions(&self) -> &'static [StackSource] {
        &[]
    }
}

/// `entries`: functions of the kernel's entry code by their names, and those in which CPUs end.
pub trait EntryCode: Send + Sync {
    /// What enters the kernel at this function; `None` where it is none of the entry code.
    fn entry(&self, _function: &str) -> Option<EntryKind> {
        None
    }
    /// True for a function in whose frame registers are saved because of an interrupt.
    fn saves_for_interrupt(&self, function: &str) -> bool {
        self.entry(function).is_some_and(EntryKind::is_interrupt)
    }
    /// This architecture's own part of [`crate::Arch::stop_calls`].
    fn stop_calls(&self) -> &'static [&'static str] {
        &[]
    }
    /// The table of where exceptions and interrupts enter the kernel; `None` where code at fixed places does that.
    fn gates(&self) -> Option<&'static GateTable> {
        None
    }
}

/// `percpu`: where CPUs have their own copies of variables.
pub trait PerCpu: Send + Sync {
    /// What may be the base of the CPU's own copies of per-CPU variables: the registers that the kernel keeps it in.
    fn bases(&self, _state: &CpuState) -> [Option<u64>; 2] {
        [None; 2]
    }
}

/// `references`: which addresses code names.
pub trait References: Send + Sync {
    /// The addresses that code at `start` names by itself, in its order: variables that it uses, whatever index it adds.
    fn referenced(&self, _start: VirtAddr, _code: &[u8]) -> Vec<VirtAddr> {
        Vec::new()
    }
}

/// `isa`: instructions as text, and where they lead.
pub trait Isa: Send + Sync {
    /// Instructions as text: [`crate::Insn`] says in what form.
    fn disassembler(&self) -> Box<dyn Disassemble>;
    /// Where the code of a function, all of it, goes on outside of it: jumps, and the code behind its end. `None` where that
    /// is not known: it goes on by pointers, or is not decoded.
    fn leaves(&self, _start: VirtAddr, _code: &[u8]) -> Option<Vec<VirtAddr>> {
        None
    }
}

/// `lift`: instructions for the data flow.
pub trait Lift: Send + Sync {
    /// What the instructions of a function's parts do, each part with its address, the first beginning with the entry.
    fn lift(&self, parts: &[(u64, &[u8])], known: &Known<'_>) -> Function;
}

/// `traps`: how `BUG()` and `WARN()` are coded.
pub trait Traps: Send + Sync {
    /// True where code begins with the instruction that `BUG()` and `WARN()` trap by.
    fn is_bug(&self, _code: &[u8]) -> bool {
        false
    }
}

/// `oops`: how reports of the kernel look.
pub trait OopsForm: Send + Sync {
    /// The place that an oops prints of the instruction that it is about, where a line of it has it.
    fn place<'t>(&self, _line: &'t str) -> Option<OopsPlace<'t>> {
        None
    }
    /// The stack pointer that an oops prints, where a line of it has it.
    fn sp<'t>(&self, _line: &'t str) -> Option<&'t str> {
        None
    }
    /// The registers of a line of them, with the names that the register set has; none of another line.
    fn registers(&self, _line: &str) -> Vec<(String, u64)> {
        Vec::new()
    }
    /// The register that has the address which faulted, where an oops prints such.
    fn fault_register(&self) -> Option<&'static str> {
        None
    }
    /// The function that a record of a machine check names, where a line of it has it.
    fn machine_check_place<'t>(&self, _line: &'t str) -> Option<&'t str> {
        None
    }
}

/// The place of a line of an oops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OopsPlace<'t> {
    /// In the kernel: `virtqueue_add_split+0x3d4/0x6f0 [virtio_ring]`, or an address.
    Kernel(&'t str),
    /// In a program: what follows are its registers.
    User,
}

/// `syscalls`: what programs and the kernel agree on.
pub trait Syscalls: Send + Sync {
    /// `O_DIRECT`, which is not the same bit everywhere (include/uapi/asm-generic/fcntl.h).
    fn o_direct(&self) -> u64 {
        0o40_000
    }
}

/// `relocs`: what a linker has to write into a module's file.
pub trait Relocations: Send + Sync {
    /// What a relocation of this type writes; `None` for types that are not known.
    fn field(&self, _kind: u32) -> Option<RelocatedField> {
        None
    }
}

/// A machine of which nothing is known: what stands in for capabilities that are not there.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Stacks for Nothing {}
impl EntryCode for Nothing {}
impl PerCpu for Nothing {}
impl References for Nothing {}
impl Traps for Nothing {}
impl OopsForm for Nothing {}
impl Syscalls for Nothing {}
impl Relocations for Nothing {}
