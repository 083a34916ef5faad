//! How `BUG()` and `WARN()` are coded.

use super::X86_64;
use crate::capability::Traps;

impl Traps for X86_64 {
    /// `ud2`, or `ud1` with the prefixes of its operands.
    fn is_bug(&self, code: &[u8]) -> bool {
        let skip = code.iter().take_while(|b| matches!(b, 0x67 | 0x40..=0x4f)).count();
        matches!(code.get(skip..), Some([0x0f, 0x0b | 0xb9, ..]))
    }
}
