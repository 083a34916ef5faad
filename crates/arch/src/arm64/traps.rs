//! How `BUG()` and `WARN()` are coded.

use super::Arm64;
use crate::capability::Traps;

impl Traps for Arm64 {
    /// `brk #0x800` (`BUG_BRK_IMM`, arch/arm64/include/asm/brk-imm.h).
    fn is_bug(&self, code: &[u8]) -> bool {
        code.starts_with(&0xd421_0000_u32.to_le_bytes())
    }
}
