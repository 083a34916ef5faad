//! Instructions as every architecture shows them.

use base::VirtAddr;

/// One instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Insn {
    /// Where it is.
    pub at: VirtAddr,
    /// Its bytes.
    pub len: usize,
    /// `mov    %rsi,-0x48(%rbp)`, without the symbol of its target.
    pub text: String,
    /// The address that it jumps to or calls, or that it addresses relative to itself.
    pub target: Option<VirtAddr>,
    /// True where the target is addressed and not branched to: `# 0x... <symbol>` follows.
    pub is_data: bool,
    /// True for an instruction of no effect.
    pub is_nop: bool,
    /// True where the bytes are no instruction.
    pub is_bad: bool,
    /// True for `ud0`, `ud1` and `ud2`: what BUG() and WARN() are made of.
    pub is_trap: bool,
}

/// Decodes instructions one after the other.
pub trait Disassemble {
    /// Bytes of the longest instruction.
    fn max_len(&self) -> usize;
    /// The instruction at the start of `bytes`, which lie at `at`; `None` without bytes.
    fn one(&mut self, at: VirtAddr, bytes: &[u8]) -> Option<Insn>;
}
