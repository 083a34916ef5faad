//! What programs and the kernel agree on.

use super::Arm64;
use crate::capability::Syscalls;

impl Syscalls for Arm64 {
    /// arch/arm64/include/uapi/asm/fcntl.h
    fn o_direct(&self) -> u64 {
        0o200_000
    }
}
