//! Relocations of modules (ELF for the Arm 64-bit Architecture, "Static Data relocations").

use super::Arm64;
use crate::RelocatedField;
use crate::capability::Relocations;

impl Relocations for Arm64 {
    fn field(&self, kind: u32) -> Option<RelocatedField> {
        use RelocatedField::{Distance, None as Nothing, Sum};
        Some(match kind {
            0 | 256 => Nothing,
            257 => Sum(8),      // R_AARCH64_ABS64
            258 => Sum(4),      // ABS32
            259 => Sum(2),      // ABS16
            260 => Distance(8), // PREL64
            261 => Distance(4), // PREL32
            262 => Distance(2), // PREL16
            _ => return None,
        })
    }
}
