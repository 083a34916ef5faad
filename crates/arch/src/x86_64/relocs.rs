//! Relocations of modules (System V ABI for x86-64, "Relocation Types").

use super::X86_64;
use crate::RelocatedField;
use crate::capability::Relocations;

impl Relocations for X86_64 {
    fn field(&self, kind: u32) -> Option<RelocatedField> {
        use RelocatedField::{Distance, None as Nothing, Sum};
        Some(match kind {
            0 => Nothing,
            1 => Sum(8),          // R_X86_64_64
            2 | 4 => Distance(4), // PC32, PLT32
            10 | 11 => Sum(4),    // 32, 32S
            12 => Sum(2),         // 16
            13 => Distance(2),    // PC16
            14 => Sum(1),         // 8
            15 => Distance(1),    // PC8
            17 => Sum(8),         // DTPOFF64: offset in the thread's block
            21 => Sum(4),         // DTPOFF32
            24 => Distance(8),    // PC64
            _ => return None,
        })
    }
}
