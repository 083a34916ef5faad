//! Stacks to frames: the kernel's own tables first (ORC), then DWARF call frame information, then what the code
//! itself does to the stack, then frame pointers, then a scan whose frames are marked as guesses.
//!
//! Memory, code and the known stacks come in through small traits, so that an array is a stack in tests.
//!
//! **Invariant:** what was unwound is kept. An [`Unwound`] always has the frames up to where it stopped, and says
//! why it stopped.

mod cfi;
mod fallback;
mod orc;
mod record;
mod shape;
mod walk;

#[cfg(test)]
mod tests;

pub use arch::Resume;

use arch::{Arch, FrameShape, Regs};
use base::{Fault, VirtAddr};
use debuginfo::cfi::CfiRow;
use debuginfo::orc::OrcEntry;

/// What unwinding asks about code.
pub trait Code {
    /// True when code of the kernel, of a module, or made at run time lies at this address. The kernel's init
    /// text counts: it was freed, but the boot CPU's idle task was called from there.
    fn is_text(&self, pc: VirtAddr) -> bool;
    /// The ORC entry for the instruction at `pc`.
    fn orc(&self, _pc: VirtAddr) -> Option<OrcEntry> {
        None
    }
    /// Why what the kernel's table says of the instruction at `pc` cannot be read, where the dump lost it.
    fn lost_table(&self, _pc: VirtAddr) -> Option<Fault> {
        None
    }
    /// The call frame information for the instruction at `pc`, in the running kernel's addresses.
    fn cfi(&self, _pc: VirtAddr) -> Option<CfiRow> {
        None
    }
    /// The frame at the instruction at `pc`, read from its function's code.
    fn shape(&self, _pc: VirtAddr) -> Option<FrameShape> {
        None
    }
    /// An address of code as it is in memory, without the authentication code that a signed one carries.
    fn code_pointer(&self, at: u64) -> u64 {
        at
    }
    /// True for code of the kernel's image whose function is not known, though others are: its symbol is lost.
    fn is_nameless(&self, _pc: VirtAddr) -> bool {
        false
    }
    /// True where the kernel has names of its functions, and the dump lost them: code without one may be any.
    fn are_names_lost(&self) -> bool {
        false
    }
    /// Where the function around `pc` begins.
    fn function(&self, _pc: VirtAddr) -> Option<VirtAddr> {
        None
    }
    /// The return address that the call had, of which `word` is in memory at `slot`: tracers put an address of their own
    /// there, and note the one that was. `callee` lies in the function that was called, where that is known.
    fn returned_to(&self, _slot: VirtAddr, word: VirtAddr, _callee: Option<VirtAddr>) -> VirtAddr {
        word
    }
    /// True for an address that tracers put in the place of return addresses.
    fn is_swapped(&self, _pc: VirtAddr) -> bool {
        false
    }
}

/// A stack that the kernel has: a task's, or a CPU's for interrupts and each kind of exception. They bound the
/// scan, and tell going to another stack from going down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stack {
    /// Its name as backtraces print it: `IRQ`, `NMI`, `#DF` ...; empty for a task's own.
    pub name: String,
    /// Lowest address.
    pub start: VirtAddr,
    /// One past the highest address.
    pub end: VirtAddr,
}

impl Stack {
    /// True for a task's own stack.
    #[must_use]
    pub const fn is_task(&self) -> bool {
        self.name.is_empty()
    }

    /// True when `at` lies on the stack; a stack pointer may also be its end, where nothing is pushed.
    #[must_use]
    pub const fn contains(&self, at: VirtAddr) -> bool {
        self.start.0 <= at.0 && at.0 < self.end.0
    }
}

/// How a frame was found from the one it called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum How {
    /// It is where unwinding began.
    Start,
    /// By the kernel's ORC table.
    Orc,
    /// By DWARF call frame information.
    Cfi,
    /// By what the function's code does to the stack up to here.
    Code,
    /// By the chain of frame pointers.
    FramePointer,
    /// By the register in which a call leaves its return address.
    Link,
    /// By the registers that an interrupt or exception saved, found without a table.
    Saved,
    /// The code that it called is none: the return address on top of the stack of a call into nowhere.
    WildCall,
    /// By the next return address on the stack behind a call of this very function.
    Called,
    /// The kernel's own unwinder found it, as the report in its log says.
    Logged,
    /// A guess: the next word on the stack that is a return address.
    Scan,
}

impl How {
    /// Its name in data: it stays as it is, whatever this type is called.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Orc => "Orc",
            Self::Cfi => "Cfi",
            Self::Code => "Code",
            Self::FramePointer => "FramePointer",
            Self::Link => "Link",
            Self::Saved => "Saved",
            Self::WildCall => "WildCall",
            Self::Called => "Called",
            Self::Logged => "Logged",
            Self::Scan => "Scan",
        }
    }
    /// True for a guess, which backtraces mark.
    #[must_use]
    pub const fn is_guess(self) -> bool {
        matches!(self, How::Scan)
    }
}

/// Registers that entry code saved on the stack: `struct pt_regs`.
#[derive(Clone, PartialEq, Debug)]
pub struct Saved {
    /// Address of the structure.
    pub at: VirtAddr,
    /// The registers; all of them, or only rip, rsp and those beside them where the rest was not saved.
    pub regs: Regs,
    /// True when all were saved.
    pub full: bool,
    /// They are of user mode.
    pub user: bool,
}

/// One frame: a place in code, and what is known of the machine there.
#[derive(Clone, PartialEq, Debug)]
pub struct Frame {
    /// The program counter: for a caller, the return address.
    pub pc: VirtAddr,
    /// `pc` is a return address, so that symbols, lines and tables are looked up one byte before it.
    pub is_call: bool,
    /// Where `pc` was read from the stack; `None` where it came from registers. It is the address that backtraces
    /// print in brackets; for a frame without it, they print `sp`.
    pub slot: Option<VirtAddr>,
    /// The stack pointer in this frame.
    pub sp: VirtAddr,
    /// The canonical frame address, where it was computed: one above this frame's return address.
    pub cfa: Option<VirtAddr>,
    /// How this frame was found.
    pub how: How,
    /// The registers known in this frame.
    pub regs: Regs,
    /// The frame is entry code that saved these registers: the next frame, if any, is what was interrupted.
    pub saved: Option<Saved>,
    /// The stack that `sp` is on: an index into the stacks given.
    pub stack: Option<usize>,
}

impl Frame {
    /// The address to look up in symbols and tables.
    #[must_use]
    pub const fn lookup(&self) -> VirtAddr {
        if self.is_call { self.pc.sub(1) } else { self.pc }
    }
}

/// Why unwinding stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StopReason {
    /// The last frame's saved registers are of user mode.
    UserMode,
    /// The tables say that there is no caller: the bottom of a kernel thread or of an idle task.
    EndOfStack,
    /// Nothing more on the stack looks like a return address.
    NothingFound,
    /// Stack memory could not be read.
    Fault(Fault),
    /// What the kernel's table says of the last frame could not be read, and nothing else led on.
    LostTable(Fault),
    /// The next frame would not be further up the stack.
    NoProgress(VirtAddr),
    /// More frames than any kernel stack can hold.
    TooMany,
    /// The start registers lack a program counter or stack pointer.
    NoStart,
}

impl StopReason {
    /// True where the frames reach the end of the stack: none is missing there.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        matches!(self, StopReason::UserMode | StopReason::EndOfStack)
    }

    /// True where the dump lost what would lead to more frames.
    #[must_use]
    pub const fn is_loss(&self) -> bool {
        match self {
            StopReason::Fault(fault) | StopReason::LostTable(fault) => fault.is_loss(),
            _ => false,
        }
    }
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StopReason::UserMode => f.write_str("entered from user mode"),
            StopReason::EndOfStack => f.write_str("end of stack"),
            StopReason::NothingFound => f.write_str("no further return address on the stack"),
            StopReason::Fault(fault) => write!(f, "stack not readable: {fault}"),
            StopReason::LostTable(fault) => {
                write!(f, "the unwind data of this frame cannot be read: {fault}")
            }
            StopReason::NoProgress(sp) => write!(f, "stack pointer {sp:#x} does not lead upwards"),
            StopReason::TooMany => f.write_str("too many frames"),
            StopReason::NoStart => f.write_str("no program counter or stack pointer to start from"),
        }
    }
}

/// A stack's frames, innermost first, and why there are no more.
#[derive(Clone, PartialEq, Debug)]
pub struct Unwound {
    /// The frames.
    pub frames: Vec<Frame>,
    /// Why unwinding stopped.
    pub stopped: StopReason,
}

/// Unwinds stacks.
pub struct Unwinder<'a> {
    /// The architecture.
    pub arch: &'static Arch,
    /// What is asked about code.
    pub code: &'a dyn Code,
    /// The kernel's memory.
    pub mem: &'a dyn base::VirtRead,
    /// The stacks that there are. Without any, every readable address can be a stack.
    pub stacks: &'a [Stack],
}

impl std::fmt::Debug for Unwinder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unwinder").field("stacks", &self.stacks.len()).finish_non_exhaustive()
    }
}
