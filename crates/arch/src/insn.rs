//! Instructions as every architecture shows them.

use base::VirtAddr;

/// One instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Insn {
    /// Where it is.
    pub at: VirtAddr,
    /// Its bytes.
    pub len: usize,
    /// What it is, as the machine's own assembler writes it: `mov    %rsi,-0x48(%rbp)`, `b.eq   0xffff800008010064`. The
    /// address of a target is in it; the symbol of that (`<vfs_read+20>`) comes behind it, and is not in it.
    pub text: String,
    /// What the assembler's users are told beside it, with the sign that makes it a comment (`// b.none`): behind the symbol.
    pub comment: Option<String>,
    /// The address that it jumps to or calls, or that it addresses relative to itself.
    pub target: Option<VirtAddr>,
    /// True where the text does not have the target's address, so that `# 0x... <symbol>` follows (x86-64's `0x10(%rip)`).
    pub is_data: bool,
    /// What is to be known of it without reading its text.
    pub kind: InsnKind,
}

/// What an instruction is there for. No text is read for it: each architecture has other words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InsnKind {
    /// Calls a function, by its address or by pointer.
    Call,
    /// Jumps, whether always or not, by address or by pointer; a return is none.
    Jump,
    /// Has no effect.
    Nop,
    /// What `BUG()` and `WARN()` are made of: `ud2`, `brk`.
    Trap,
    /// The bytes are no instruction.
    Bad,
    /// All else.
    Other,
}

/// Decodes instructions one after the other.
pub trait Disassemble {
    /// Bytes of the longest instruction.
    fn max_len(&self) -> usize;
    /// Instructions lie at multiples of so many bytes.
    fn align(&self) -> u64 {
        1
    }
    /// The instruction at the start of `bytes`, which lie at `at`; `None` without bytes.
    fn one(&mut self, at: VirtAddr, bytes: &[u8]) -> Option<Insn>;
}
