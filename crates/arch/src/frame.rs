//! What unwinding is told of code and of tasks that do not run, in words that fit every architecture.

use crate::Regs;
use base::VirtAddr;

/// What became of a register that a function must give back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// The caller's value is still in it.
    Same,
    /// The caller's value is in memory, this far from the CFA.
    AtCfa(i64),
    /// Not known.
    Lost,
}

/// A frame at one instruction, read from its function's code. The CFA (canonical frame address) is the stack
/// pointer before the call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameShape {
    /// CFA minus the stack pointer.
    pub from_sp: Option<i64>,
    /// CFA minus the frame pointer, where that register is one.
    pub from_fp: Option<i64>,
    /// The registers that a function gives back ([`crate::Roles::preserved`]).
    pub kept: Vec<(usize, Kept)>,
}

impl FrameShape {
    /// What became of a register.
    #[must_use]
    pub fn kept(&self, register: usize) -> Kept {
        self.kept.iter().find(|(r, _)| *r == register).map_or(Kept::Lost, |(_, kept)| *kept)
    }
}

/// How the code at a place stands to its frame pointer, read from the function's first instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prologue {
    /// The caller's frame pointer is still in the register; the return address is on top of the stack.
    NotPushed,
    /// It was pushed; the return address is one word up.
    Pushed,
    /// The frame stands: the frame pointer points at the caller's, the return address is one word up.
    Done,
    /// The function makes no such frame; the register is another function's, or no frame pointer at all.
    Absent,
}

/// Where a task that does not run left its registers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Resume {
    /// Program counter, stack pointer and what was saved.
    pub regs: Regs,
    /// The program counter is a return address: it speaks of the call before it.
    pub is_call: bool,
    /// Where the program counter was read; `None` where it is known from the kernel's code.
    pub slot: Option<VirtAddr>,
}

/// Where in `struct pt_regs` what the processor itself saves on an interrupt lies, and how long the whole is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SavedLayout {
    /// `sizeof(struct pt_regs)`.
    pub size: u64,
    /// Offset of what the processor saved; its first word is the program counter.
    pub interrupt: u64,
}
